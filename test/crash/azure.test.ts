import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ServiceBusClient } from '@azure/service-bus';
import { BlobServiceClient } from '@azure/storage-blob';
import { afterAll, describe, expect, test } from 'vitest';
import { bytesOf, openAzure } from './azure-world.ts';

const ROUNDS = 3;
/** After so many answers and up to so many milliseconds more the process is killed. */
const ANSWERS_MIN = 30;
const GRACE_MS_MAX = 200;

const folder = mkdtempSync(join(tmpdir(), 'triplicate-azure-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What it printed before it was killed. */
function runUntilKilled(round: number): Promise<readonly string[]> {
  const script = join(import.meta.dirname, 'azure-writer.ts');
  const child = spawn(process.execPath, [script, '--folder', folder, '--round', String(round)]);
  let text = '';
  let complaints = '';
  let doomed = false;
  child.stderr.on('data', (bytes) => {
    complaints += bytes;
  });
  child.stdout.on('data', (bytes) => {
    text += bytes;
    if (doomed || text.split('\n').length < ANSWERS_MIN) return;
    doomed = true;
    setTimeout(() => child.kill('SIGKILL'), Math.random() * GRACE_MS_MAX);
  });
  return new Promise((resolve, reject) => {
    child.on('close', (_code, signal) => {
      if (signal === 'SIGKILL') resolve(text.split('\n').slice(0, -1));
      else reject(new Error(`the writer ended by itself: ${complaints}`));
    });
  });
}

describe('the local Azure, killed while it writes', () => {
  test('has every blob, message and event that it acknowledged, whole', { timeout: 60_000 }, async () => {
    const lines: string[] = [];
    for (let round = 1; round <= ROUNDS; round++) lines.push(...(await runUntilKilled(round)));
    const blobs = lines.filter((line) => line.startsWith('blob ')).map((line) => line.split(' ').slice(1));
    const messages = lines.filter((line) => line.startsWith('message ')).map((line) => line.split(' ')[1]);
    expect(Math.min(blobs.length, messages.length)).toBeGreaterThan(ROUNDS);

    const azure = await openAzure(folder);
    const box = BlobServiceClient.fromConnectionString(azure.blob.connectionString).getContainerClient('box');
    const orderOf = (version: string) => version.split('-').reduce((sum, part) => sum * 10_000 + Number(part), 0);
    for (const [key, acknowledged] of new Map(blobs as [string, string][])) {
      const body = await box.getBlobClient(key).downloadToBuffer();
      const version = body.toString('latin1', 0, 64).split(';')[0] ?? '';
      // A write that was under way may have happened; one that was answered must have.
      expect(orderOf(version)).toBeGreaterThanOrEqual(orderOf(acknowledged));
      expect(body.equals(bytesOf(version))).toBe(true);
    }

    const client = new ServiceBusClient(azure.bus.connectionString);
    const drain = async (queue: string) => {
      const receiver = client.createReceiver(queue, { receiveMode: 'receiveAndDelete' });
      const all = [];
      for (;;) {
        const some = await receiver.receiveMessages(100, { maxWaitTimeInMs: 100 });
        if (some.length === 0) return all;
        all.push(...some.map(({ body }) => body));
      }
    };
    expect(await drain('work')).toEqual(expect.arrayContaining(messages));
    await azure.cloud.delivery.settled();
    const told = (await drain('events')).map(({ subject }) => String(subject).split('/').at(-1));
    for (const key of new Set(blobs.map(([key]) => key)))
      expect(told.filter((it) => it === key).length).toBeGreaterThanOrEqual(blobs.filter(([it]) => it === key).length);

    const extents = azure.cloud.state.db.get<{ count: number }>(
      `SELECT count(*) AS count FROM azurite_documents WHERE collection = '$EXTENTS_COLLECTION$'`,
    );
    expect(readdirSync(join(folder, 'extents')).length).toBeLessThanOrEqual(extents?.count ?? 0);
    await client.close();
    await azure.stop();
  });
});
