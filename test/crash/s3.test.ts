/** The local S3 is killed with kill -9 amid writes: what was answered stands whole, and its notification still comes. */

import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, expect, test } from 'vitest';
import { openTestS3 } from '../local/s3.ts';

const ROUNDS = 2;
const ANSWERS = 120;
const WRITERS = 8;

const folder = mkdtempSync(join(tmpdir(), 'triplicate-s3-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Small ones that lie in the database, and some that lie in files. */
function bytesOf(key: string): Buffer {
  return Buffer.alloc(1 + ((Number(key.split('-')[1]) * 7919) % 120_000), `${key};`);
}

/** The version of every key whose write was answered before the process was killed. */
async function writeUntilKilled(round: number): Promise<Map<string, string>> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 's3-endpoint.ts'), '--folder', folder]);
  const closed = new Promise((resolve) => child.once('close', resolve));
  let complaints = '';
  child.stderr.on('data', (bytes) => {
    complaints += bytes;
  });
  const port = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (bytes) => resolve(String(bytes).trim()));
    child.once('close', () => reject(new Error(`the endpoint ended by itself: ${complaints}`)));
  });
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new S3Client({ endpoint, region: 'us-east-1', credentials, forcePathStyle: true, maxAttempts: 1 });
  const answered = new Map<string, string>();
  let next = 0;
  async function write(): Promise<void> {
    for (;;) {
      const key = `${round}-${next++}`;
      const command = new PutObjectCommand({ Bucket: 'bucket', Key: key, Body: bytesOf(key) });
      const told = await client.send(command).catch(() => null);
      if (told === null) return;
      answered.set(key, told.VersionId ?? '');
      if (answered.size === ANSWERS) child.kill('SIGKILL');
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, write));
  client.destroy();
  await closed;
  expect(child.signalCode).toBe('SIGKILL');
  return answered;
}

test('what was answered before a kill stands whole, and is told of', { timeout: 60_000 }, async () => {
  const answered = new Map<string, string>();
  for (let round = 0; round < ROUNDS; round++)
    for (const [key, version] of await writeUntilKilled(round)) answered.set(key, version);
  expect(answered.size).toBeGreaterThanOrEqual(ROUNDS * ANSWERS);

  const world = await openTestS3({ folder });
  const told = new Set<string>();
  world.cloud.delivery.to('arn:aws:sqs:', ({ body }) => {
    for (const record of JSON.parse(body).Records ?? []) told.add(record.s3.object.versionId);
  });
  for (const [Key, VersionId] of answered) {
    const read = await world.client.send(new GetObjectCommand({ Bucket: 'bucket', Key, VersionId }));
    const bytes = (await read.Body?.transformToByteArray()) ?? Buffer.alloc(0);
    expect(Buffer.compare(bytesOf(Key), bytes), Key).toBe(0);
  }
  // Those that nobody took while the endpoint ran are waiting for their next attempt.
  await expect.poll(() => [...answered.values()].filter((id) => !told.has(id)), { timeout: 30_000 }).toEqual([]);
  // No file is left that no version consists of.
  const { db } = world.cloud.state;
  const bodies = db.all<{ body: string }>('SELECT body FROM s3_versions').flatMap(({ body }) => body.split(','));
  const ids = new Set(bodies.map((segment) => segment.split(':')[0] ?? ''));
  expect(readdirSync(join(folder, 'bodies')).filter((name) => !ids.has(name))).toEqual([]);
  expect(db.all<{ id: string }>('SELECT id FROM bodies').filter(({ id }) => !ids.has(id))).toEqual([]);
  await world.stop();
});
