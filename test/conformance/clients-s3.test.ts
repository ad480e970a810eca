/** The local S3 through clients that others wrote: the AWS command line and rclone, each with 2,000 files of all sorts. */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestS3, type TestS3 } from '../local/s3.ts';

const run = promisify(execFile);
const FILES = 2000;
const TIMEOUT_MS = 240_000;

let world: TestS3;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'triplicate-clients-'));
  world = await openTestS3({ folder: join(folder, 'state') });
  for (const name of ['cli', 'rclone']) world.service.createBucket(name);
  // Old command lines presign as new buckets do not take it any more, unless they are told.
  writeFileSync(join(folder, 'aws.config'), '[default]\ns3 =\n  signature_version = s3v4\n');
  makeFiles(join(folder, 'files'));
});

afterAll(async () => {
  await world.stop();
  rmSync(folder, { recursive: true, force: true });
  expect(world.reports).toEqual([]);
});

/** Small ones, empty ones, one of several parts; in folders, with names that have to be encoded. */
function makeFiles(root: string): void {
  const names = ['plain', 'with blank', 'plus+and&', 'caf\u00e9', 'cafe\u0301', '100%25', "quote'", '\u{1f600}'];
  for (let index = 0; index < FILES - 1; index++) {
    const file = join(root, `d${index % 7}`, `e ${index % 13}`, `${names[index % names.length]} ${index}.bin`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(
      file,
      createHash('sha512')
        .update(String(index))
        .digest('base64')
        .repeat(index % 40),
    );
  }
  writeFileSync(join(root, 'large.bin'), Buffer.alloc(21 * 1024 * 1024, 'large '));
}

/** Path and hash of every file below. */
function digest(root: string): string[] {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => `${file.slice(root.length)} ${createHash('md5').update(readFileSync(file)).digest('hex')}`)
    .sort();
}

async function keysOf(Bucket: string): Promise<number> {
  let count = 0;
  let ContinuationToken: string | undefined;
  do {
    const page = await world.client.send(new ListObjectsV2Command({ Bucket, ContinuationToken }));
    count += page.KeyCount ?? 0;
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
  return count;
}

async function versionOf(tool: string): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await run(tool, [tool === 'rclone' ? 'version' : '--version']);
    return `${stdout}${stderr}`.split('\n', 1)[0];
  } catch {
    return undefined;
  }
}

const credentials = { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local-secret', AWS_REGION: 'us-east-1' };
const environment = () => ({
  ...process.env,
  ...credentials,
  AWS_DEFAULT_REGION: 'us-east-1',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: join(folder, 'aws.config'),
  // Of no use without TLS, and rclone fails where it is set.
  AWS_CA_BUNDLE: undefined,
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  HOME: folder,
  LC_ALL: 'C.UTF-8',
  RCLONE_CONFIG: join(folder, 'rclone.conf'),
});
const limits = () => ({ env: environment(), maxBuffer: 64 * 1024 * 1024, timeout: TIMEOUT_MS });

describe('the AWS command line', () => {
  const aws = async (...words: string[]) =>
    (await run('aws', ['--endpoint-url', world.endpoint, ...words], limits())).stdout;

  it('brings files in, out, up to date and away', { timeout: TIMEOUT_MS }, async (context) => {
    const version = await versionOf('aws');
    if (version === undefined) return context.skip('not run: needs the AWS command line (apt-get install awscli)');
    const files = join(folder, 'files');
    await aws('s3', 'sync', files, 's3://cli/all/', '--only-show-errors');
    expect(await keysOf('cli')).toBe(FILES);
    expect(await aws('s3', 'sync', files, 's3://cli/all/', '--size-only')).toBe('');
    const listed = await aws('s3', 'ls', '--recursive', 's3://cli/all/d1/');
    expect(listed.trim().split('\n')).toHaveLength(digest(join(files, 'd1')).length);
    const back = join(folder, 'cli-back');
    await aws('s3', 'sync', 's3://cli/all/', back, '--only-show-errors');
    expect(digest(back)).toEqual(digest(files));
    await aws('s3', 'cp', '--recursive', 's3://cli/all/d2/', 's3://cli/copied/', '--only-show-errors');
    const head = JSON.parse(await aws('s3api', 'head-object', '--bucket', 'cli', '--key', 'all/large.bin'));
    expect(head.ContentLength).toBe(21 * 1024 * 1024);
    const url = (await aws('s3', 'presign', 's3://cli/all/large.bin')).trim();
    expect((await (await fetch(url)).arrayBuffer()).byteLength).toBe(21 * 1024 * 1024);
    await aws('s3', 'rm', '--recursive', 's3://cli/', '--only-show-errors');
    expect(await keysOf('cli')).toBe(0);
    await aws('s3', 'mb', 's3://cli-made');
    await aws('s3', 'rb', 's3://cli-made');
  });

  it('is refused where a condition does not hold', { timeout: TIMEOUT_MS }, async (context) => {
    const version = await versionOf('aws');
    if (version === undefined) return context.skip('not run: needs the AWS command line (apt-get install awscli)');
    const put = () => {
      const body = join(folder, 'files', 'large.bin');
      return aws('s3api', 'put-object', '--bucket', 'cli', '--key', 'once', '--body', body, '--if-none-match', '*');
    };
    await put();
    await expect(put()).rejects.toThrow(/PreconditionFailed|Unknown options: --if-none-match/);
    await aws('s3', 'rm', 's3://cli/once');
  });
});

describe('rclone', () => {
  const rclone = (...words: string[]) => {
    const options = ['provider=Other', 'env_auth=true', 'region=us-east-1', `endpoint="${world.endpoint}"`];
    const remote = `:s3,${options.join(',')}:`;
    const flags = ['--s3-force-path-style', '--s3-chunk-size', '5M', '--s3-upload-cutoff', '6M', '--retries', '1'];
    const given = words.map((word) => word.replace('remote:', remote));
    return run('rclone', [...given, ...flags], limits());
  };

  it('brings files in, out and away, and finds no difference', { timeout: TIMEOUT_MS }, async (context) => {
    if ((await versionOf('rclone')) === undefined)
      return context.skip('not run: needs rclone (apt-get install rclone)');
    const files = join(folder, 'files');
    await rclone('copy', files, 'remote:rclone/all');
    expect(await keysOf('rclone')).toBe(FILES);
    const { stderr } = await rclone('check', files, 'remote:rclone/all', '--download');
    expect(stderr).toMatch(/ 0 differences found/);
    const { stderr: hashed } = await rclone('check', files, 'remote:rclone/all');
    expect(hashed).toMatch(/ 0 differences found/);
    const { stdout } = await rclone('lsf', '--recursive', '--files-only', 'remote:rclone/all');
    expect(stdout.trim().split('\n')).toHaveLength(FILES);
    const back = join(folder, 'rclone-back');
    await rclone('sync', 'remote:rclone/all', back);
    expect(digest(back)).toEqual(digest(files));
    await rclone('copy', 'remote:rclone/all/d3', 'remote:rclone/copied');
    const { stderr: same } = await rclone('check', 'remote:rclone/all/d3', 'remote:rclone/copied');
    expect(same).toMatch(/ 0 differences found/);
    await rclone('delete', 'remote:rclone');
    expect(await keysOf('rclone')).toBe(0);
  });
});
