/** Clients that somebody else wrote, against the local Cloud Storage: what they find wrong is wrong. */

import { execFile, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { openCloud } from '../../local/cloud.ts';
import { type GcsService, startGcs } from '../../local/google/gcs/gcs.ts';

const CALL_MS_MAX = 120_000;
const TEST_MS_MAX = 240_000;

const folder = mkdtempSync(join(tmpdir(), 'clients-gcs-'));
const reports: string[] = [];
const cloud = openCloud({ name: 'gcp', report: (line) => void reports.push(line) });
let gcs: GcsService;
/** The same state behind TLS, since gsutil speaks nothing else; null where openssl is not there. */
let overTls: GcsService | null = null;

beforeAll(async () => {
  gcs = await startGcs(cloud, { port: 0 });
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert],
    ...subject,
  ]);
  if (made.status !== 0) return;
  const tls = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  overTls = await startGcs(cloud, { port: 0, tls });
});

afterAll(async () => {
  await gcs.stop();
  await overTls?.stop();
  await cloud.close();
  rmSync(folder, { recursive: true, force: true });
  expect(reports).toEqual([]);
});

const DIRECTORIES = ['plain', 'with space', 'per%20cent', 'ünï/日本', 'nfd-u\u0308', 'deep/er/and/deep/er', '🧊'];
const SIZES = [0, 1, 100, 5_000, 60_000];

/** Files of all sorts of sizes under all sorts of names; a few are large enough to go up in chunks. */
function writeFiles(top: string, count: number, large: readonly number[] = []): void {
  for (let i = 0; i < count; i++) {
    const file = join(top, DIRECTORIES[i % DIRECTORIES.length]!, `file ${i} +&#'.bin`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, randomBytes(SIZES[i % SIZES.length]!));
  }
  for (const size of large) writeFileSync(join(top, `large-${size}`), randomBytes(size));
}

/** Path and digest of every file below. */
function digests(top: string): Readonly<Record<string, string>> {
  const files = readdirSync(top, { recursive: true, withFileTypes: true }).filter((it) => it.isFile());
  const entries = files.map((it) => {
    const path = join(it.parentPath, it.name);
    return [relative(top, path), createHash('md5').update(readFileSync(path)).digest('base64')] as const;
  });
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

interface Ran {
  readonly code: number;
  readonly stdout: string;
  /** Both streams: tools differ in where they say what. */
  readonly said: string;
}

function run(tool: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ran> {
  const options = { env: { PATH: process.env.PATH, HOME: folder, ...env }, timeout: CALL_MS_MAX, maxBuffer: 2 ** 26 };
  return new Promise((resolve) => {
    execFile(tool, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, said: `${stdout}\n${stderr}` });
    });
  });
}

function needs(context: TestContext, tool: string, how: string, there = true): void {
  if (there && spawnSync(tool, ['version'], { timeout: CALL_MS_MAX }).status === 0) return;
  const reason = `needs ${tool} (${how})`;
  console.warn(`not run: clients of Cloud Storage: ${context.task.name}, ${reason}`);
  context.skip(reason);
}

describe('rclone', () => {
  const config = join(folder, 'rclone.conf');
  const rclone = async (...args: string[]) => {
    const ran = await run('rclone', ['--config', config, '--transfers', '8', '--checkers', '8', ...args], {});
    expect(ran.code, ran.said).toBe(0);
    return ran;
  };

  it('copies 2,000 mixed files in and out, syncs changes, finds no difference, deletes', {
    timeout: TEST_MS_MAX,
  }, async (context) => {
    needs(context, 'rclone', 'apt-get install rclone');
    const [source, back] = [join(folder, 'rclone-in'), join(folder, 'rclone-out')];
    const settings = ['type = google cloud storage', 'anonymous = true', `endpoint = ${gcs.endpoint}/storage/v1/`];
    writeFileSync(config, ['[local]', ...settings, 'bucket_policy_only = true', ''].join('\n'));
    gcs.createBucket('by-rclone');
    writeFiles(source, 1_998, [9 * 2 ** 20, 20 * 2 ** 20 + 1]);

    await rclone('copy', source, 'local:by-rclone/in');
    const checked = await rclone('check', source, 'local:by-rclone/in');
    expect(checked.said).toMatch(/ 0 differences found/);
    expect(checked.said).toMatch(/ 2000 matching files/);
    expect((await rclone('lsf', '-R', '--files-only', 'local:by-rclone')).stdout.trim().split('\n')).toHaveLength(
      2_000,
    );
    const folders = (await rclone('lsf', '--dirs-only', 'local:by-rclone/in')).stdout.trim().split('\n');
    expect(folders).toHaveLength(new Set(DIRECTORIES.map((it) => it.split('/')[0])).size);

    const names = Object.keys(digests(source)).filter((it) => it.includes('file'));
    for (const name of names.slice(0, 50)) rmSync(join(source, name));
    for (const name of names.slice(50, 100)) writeFileSync(join(source, name), randomBytes(777));
    for (let i = 0; i < 50; i++) writeFileSync(join(source, `new ${i}`), randomBytes(i));
    await rclone('sync', source, 'local:by-rclone/in');
    expect((await rclone('check', '--download', source, 'local:by-rclone/in')).said).toMatch(/ 0 differences found/);

    await rclone('sync', 'local:by-rclone/in', back);
    expect(digests(back)).toEqual(digests(source));

    await rclone('copyto', 'local:by-rclone/in/new 7', 'local:by-rclone/copied on the server');
    await rclone('delete', 'local:by-rclone');
    expect((await rclone('lsf', '-R', 'local:by-rclone')).stdout).toBe('');
  });
});

/** What both of Google's own tools are put through; `tool` is how a command line of it begins. */
async function ofGoogle(bucket: string, call: (...args: string[]) => Promise<Ran>, sync: string): Promise<void> {
  const [source, back] = [join(folder, `${bucket}-in`), join(folder, `${bucket}-out`)];
  writeFiles(source, 14, [20 * 2 ** 20 + 1]);
  mkdirSync(back);
  gcs.createBucket(bucket, { versioning: true });
  const url = `gs://${bucket}`;
  await call(sync, '-r', source, `${url}/in`);
  const listed = (await call('ls', `${url}/in/**`)).stdout.trim().split('\n');
  expect(listed.map((it) => it.slice(`${url}/in/`.length)).sort()).toEqual(Object.keys(digests(source)).sort());
  const large = `large-${20 * 2 ** 20 + 1}`;
  expect((await call('hash', `${url}/in/${large}`)).said).toContain(digests(source)[large]);

  await call('cp', `${url}/in/${large}`, `${url}/copy`);
  await call('cp', join(source, large), `${url}/copy`);
  expect((await call('ls', '-a', `${url}/copy`)).stdout.match(/#\d+/g)).toHaveLength(2);

  await call(sync, '-r', `${url}/in`, back);
  expect(digests(back)).toEqual(digests(source));
  await call('rm', `${url}/in/**`);
  expect((await call('ls', url)).stdout.trim()).toBe(`${url}/copy`);
  await call('rm', '-r', url);
  expect(gcs.hasBucket(bucket)).toBe(false);
}

describe('gcloud storage', () => {
  it('syncs in and out, lists, hashes, copies, deletes all versions', { timeout: TEST_MS_MAX }, async (context) => {
    needs(context, 'gcloud', 'the Google Cloud CLI');
    const env = {
      CLOUDSDK_CONFIG: join(folder, 'gcloud'),
      CLOUDSDK_CORE_PROJECT: 'local-project',
      CLOUDSDK_CORE_DISABLE_PROMPTS: '1',
      CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: 'true',
      CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK: 'true',
      CLOUDSDK_AUTH_DISABLE_CREDENTIALS: 'true',
      CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE: `${gcs.endpoint}/storage/v1/`,
    };
    const call = async (...args: string[]) => {
      const ran = await run('gcloud', ['storage', ...args], env);
      expect(ran.code, ran.said).toBe(0);
      return ran;
    };
    await ofGoogle('by-gcloud', call, 'rsync');
  });
});

describe('gsutil', () => {
  it('syncs in and out, lists, hashes, copies, deletes all versions', { timeout: TEST_MS_MAX }, async (context) => {
    needs(context, 'gsutil', 'pip install gsutil, and openssl for a certificate', overTls !== null);
    const boto = join(folder, 'boto');
    const lines = [
      ...['[Credentials]', 'gs_json_host = localhost', `gs_json_port = ${overTls?.port}`],
      // gsutil brings its own list of authorities, on which the certificate of this test is not.
      ...['[Boto]', 'https_validate_certificates = False', 'num_retries = 1'],
      ...['[GSUtil]', 'software_update_check_period = 0', 'default_project_id = local-project'],
      `state_dir = ${join(folder, 'gsutil')}`,
    ];
    writeFileSync(boto, `${lines.join('\n')}\n`);
    const env = { BOTO_CONFIG: boto, CLOUDSDK_CONFIG: join(folder, 'gsutil-gcloud') };
    const call = async (...args: string[]) => {
      const ran = await run('gsutil', args, env);
      expect(ran.code, ran.said).toBe(0);
      return ran;
    };
    await ofGoogle('by-gsutil', call, 'rsync');
  });
});
