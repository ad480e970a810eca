import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AttributeValue, DynamoDB } from '@aws-sdk/client-dynamodb';
import { afterAll, expect, test } from 'vitest';
import { createThings, openClient, TABLE as TableName } from '../../../test/samples/dynamodb.ts';

const folder = mkdtempSync(join(tmpdir(), 'triplicate-dynamodb-'));
const ROUNDS = 4;
const ACKNOWLEDGED = 40;
const WRITERS = 4;
const server = join(import.meta.dirname, '../../../test/crash/dynamodb.ts');
const running = new Set<ChildProcess>();

afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

async function start(): Promise<{ readonly client: DynamoDB; kill(): Promise<void> }> {
  const child = spawn(process.execPath, [server, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  running.add(child);
  const [line] = await once(child.stdout!, 'data');
  const client = openClient(String(line).trim());
  return {
    client,
    async kill() {
      child.kill('SIGKILL');
      await once(child, 'exit');
      running.delete(child);
      client.destroy();
    },
  };
}

/** Both halves of a transaction, and what an index shows of the first. */
async function readAll(client: DynamoDB) {
  const page = async (call: Promise<{ Items?: Record<string, AttributeValue>[] | undefined }>) =>
    (await call).Items ?? [];
  const rows = await page(client.scan({ TableName }));
  const shown = await page(client.scan({ TableName, IndexName: 'by-owner' }));
  const half = (sk: string) => rows.filter((row) => row.sk?.N === sk).map((row) => row.pk?.S ?? '');
  return { first: half('1').sort(), second: half('2').sort(), shown: shown.map((row) => row.pk?.S ?? '').sort() };
}

test('what was acknowledged survives kill -9, and no transaction is torn', async () => {
  const acknowledged = new Set<string>();
  let next = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const { client, kill } = await start();
    if (round === 0) await createThings(client);
    const enough = acknowledged.size + ACKNOWLEDGED;
    let killed: Promise<void> | null = null;
    const writer = async () => {
      while (killed === null) {
        const pk = { S: `write ${next++}` };
        await client.transactWriteItems({
          TransactItems: [
            { Put: { TableName, Item: { pk, sk: { N: '1' }, owner: { S: 'o' }, rank: { N: `${next}` } } } },
            { Put: { TableName, Item: { pk, sk: { N: '2' } } } },
          ],
        });
        acknowledged.add(pk.S);
        // In the middle of what the others are doing.
        if (acknowledged.size >= enough) killed ??= kill();
      }
    };
    await Promise.allSettled(Array.from({ length: WRITERS }, writer));
    await killed;
  }
  const { client, kill } = await start();
  const { first, second, shown } = await readAll(client);
  await kill();
  expect(acknowledged.size).toBeGreaterThanOrEqual(ROUNDS * ACKNOWLEDGED);
  expect([...acknowledged].filter((it) => !first.includes(it))).toEqual([]);
  expect(second).toEqual(first);
  expect(shown).toEqual(first);
});
