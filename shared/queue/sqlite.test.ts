import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, test } from 'vitest';
import { times } from '../../test/conformance/cases.ts';
import { queueConformance } from '../../test/conformance/queue.ts';
import { receiveAll } from '../../test/conformance/queue-bench.ts';
import { openSqliteLedger } from '../ledger/sqlite.ts';
import { isFault } from '../model/fault.ts';
import type { Queue } from './queue.ts';
import { openSqliteQueue } from './sqlite.ts';

const folder = mkdtempSync(join(tmpdir(), 'triplicate-queue-'));
const fileOf = new Map<Queue, string>();
let files = 0;
let time = 1_700_000_000_000;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function newFile(): string {
  return join(folder, `${++files}.db`);
}

function open(file: string, busyTimeoutMs = 5_000): Queue {
  const queue = openSqliteQueue(file, { now: () => time, busyTimeoutMs });
  fileOf.set(queue, file);
  return queue;
}

function tamper(file: string, change: (db: DatabaseSync) => void): void {
  const db = new DatabaseSync(file);
  try {
    change(db);
  } finally {
    db.close();
  }
}

async function kindOf(call: () => unknown): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    return isFault(error) ? error.kind : error;
  }
}

const harness = {
  reopen: async (queue: Queue) => open(fileOf.get(queue)!),
  advance: async (ms: number) => {
    time += ms;
  },
};

queueConformance({ ...harness, name: 'sqlite', open: async () => open(newFile()) });

queueConformance({
  ...harness,
  name: 'sqlite beside a ledger',
  async open() {
    const file = newFile();
    await openSqliteLedger(file).close();
    return open(file);
  },
});

describe('one file', () => {
  test('two handles share its messages and never hold the same one', async () => {
    const file = newFile();
    const [one, two] = [open(file), open(file)];
    for (const body of times(20, (index) => `m${index}`)) await one.send(body);
    const takes = times(10, (index) => (index % 2 ? one : two).receive({ max: 3, visibilityMs: 1_000 }));
    const all = (await Promise.all(takes)).flat();
    expect(new Set(all.map(({ id }) => id)).size).toBe(20);
    expect(all).toHaveLength(20);
    expect(await two.settle(all[0]!.receipt, { kind: 'done' })).toBe(true);
    expect(await one.settle(all[0]!.receipt, { kind: 'done' })).toBe(false);
    await Promise.all([one.close(), two.close()]);
  });

  test('an id is never used again, so an old receipt cannot hold a new message', async () => {
    const file = newFile();
    const queue = open(file);
    await queue.send('old');
    const [old] = await receiveAll(queue);
    await queue.settle(old!.receipt, { kind: 'done' });
    await queue.close();
    const again = open(file);
    await again.send('new');
    const [fresh] = await receiveAll(again);
    expect(fresh!.id).not.toBe(old!.id);
    expect(await again.settle(old!.receipt, { kind: 'done' })).toBe(false);
    expect(await again.settle('no receipt', { kind: 'done' })).toBe(false);
    await again.close();
  });

  test('a newer schema of the queue is refused, a newer one of the ledger beside it is not', async () => {
    const file = newFile();
    await open(file).close();
    tamper(file, (db) => db.exec(`PRAGMA user_version = ${0x10000 + 7}`));
    await open(file).close();
    tamper(file, (db) => db.exec(`PRAGMA user_version = ${2 * 0x10000}`));
    expect(await kindOf(() => open(file))).toBe('unsupported');
  });

  test('it is unavailable while another process keeps it locked, and corrupt when it is no database', async () => {
    const file = newFile();
    const queue = open(file, 10);
    const holder = new DatabaseSync(file);
    holder.exec('BEGIN IMMEDIATE');
    expect(await kindOf(() => queue.send('m'))).toBe('unavailable');
    holder.exec('ROLLBACK');
    holder.close();
    await queue.send('m');
    expect(await queue.depth()).toEqual({ waiting: 1, inFlight: 0, dead: 0 });
    await queue.close();
    writeFileSync(file, 'no database at all, '.repeat(100));
    expect(await kindOf(() => open(file))).toBe('corrupt');
  });

  test('what can be received is found by an index', async () => {
    const file = newFile();
    await open(file).close();
    tamper(file, (db) => {
      const plan = (sql: string) => JSON.stringify(db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all());
      expect(plan('SELECT id FROM queue_messages WHERE visible_at <= 5 ORDER BY visible_at, id LIMIT 3')).toMatch(
        /SEARCH queue_messages USING COVERING INDEX queue_messages_visible \(visible_at<\?\)"}]$/,
      );
      expect(plan('SELECT id FROM queue_messages WHERE dead_at IS NOT NULL ORDER BY dead_at, id LIMIT 3')).toMatch(
        /USING COVERING INDEX queue_messages_dead/,
      );
    });
  });
});
