import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, test } from 'vitest';
import { times } from '../../test/conformance/cases.ts';
import { ledgerConformance } from '../../test/conformance/ledger.ts';
import { AWKWARD, entry, item, noted } from '../../test/conformance/ledger-samples.ts';
import type { OpenerData } from '../../test/crash/opener.ts';
import { type FaultKind, isFault, type Retry } from '../model/fault.ts';
import { openSqliteQueue } from '../queue/sqlite.ts';
import type { Ledger } from './ledger.ts';
import { openSqliteLedger, type SqliteLedgerOptions } from './sqlite.ts';

const folder = mkdtempSync(join(tmpdir(), 'triplicate-ledger-'));
/** A race takes about a second; a busy machine may need more. */
const RACE_MS_MAX = 120_000;

const fileOf = new Map<Ledger, string>();
let files = 0;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function newFile(): string {
  return join(folder, `${++files}.db`);
}

function open(file: string, options: SqliteLedgerOptions = {}): Ledger {
  const ledger = openSqliteLedger(file, options);
  fileOf.set(ledger, file);
  return ledger;
}

/** What somebody else does to the file. */
function tamper(file: string, change: (db: DatabaseSync) => void): void {
  const db = new DatabaseSync(file);
  try {
    change(db);
  } finally {
    db.close();
  }
}

async function faultOf(call: () => unknown): Promise<readonly [FaultKind, Retry]> {
  try {
    await call();
  } catch (error) {
    if (isFault(error)) return [error.kind, error.retry];
    throw error;
  }
  throw new Error('it was answered');
}

/** With commits that are shared, as programs open it; the tests below do without. */
ledgerConformance({
  name: 'sqlite',
  open: async () => open(newFile(), { soon: setImmediate }),
  reopen: async (ledger) => open(fileOf.get(ledger)!, { soon: setImmediate }),
  plantRow: async (ledger, key, text) =>
    tamper(fileOf.get(ledger)!, (db) =>
      db.prepare('INSERT INTO ledger_items (key, rev, due, item) VALUES (?, 1, NULL, ?)').run(key, text),
    ),
});

describe('a shared commit', () => {
  const BROKEN = `CREATE TRIGGER broken AFTER INSERT ON ledger_items WHEN new.key = 'bad'
    BEGIN SELECT RAISE(FAIL, 'broken'); END`;

  test('holds what was asked for in one turn; each is answered for itself, and one that fails undoes itself alone', async () => {
    const file = newFile();
    const commits: (() => void)[] = [];
    const ledger = openSqliteLedger(file, { soon: (run) => void commits.push(run) });
    tamper(file, (db) => db.exec(BROKEN));
    const create = (key: string, epoch = 1) => ledger.compareAndSet(item(key), { rev: 0, epoch });
    const asked = Promise.allSettled([create('a'), create('bad'), create('a'), create('b', 2), create('c')]);
    expect(await ledger.listKeys({ limit: 9 })).toEqual([]);
    expect(commits).toHaveLength(1);
    commits[0]!();
    const [a, bad, again, fenced, c] = await asked;
    expect([a, again, fenced, c].map((it) => it?.status === 'fulfilled' && it.value)).toEqual([
      'done',
      'lost',
      'fenced',
      'done',
    ]);
    expect(bad).toMatchObject({ status: 'rejected', reason: { kind: 'internal' } });
    expect(await ledger.listKeys({ limit: 9 })).toEqual(['a', 'c']);
    await ledger.close();
  });

  test('that cannot happen fails for all that share it, and the next one happens', async () => {
    const file = newFile();
    const ledger = openSqliteLedger(file, { soon: setImmediate, busyTimeoutMs: 10 });
    const both = () => ['a', 'b'].map((key) => ledger.compareAndSet(item(key), { rev: 0, epoch: 1 }));
    const holder = new DatabaseSync(file);
    holder.exec('BEGIN IMMEDIATE');
    for (const one of await Promise.allSettled(both()))
      expect(one).toMatchObject({ status: 'rejected', reason: { kind: 'unavailable', retry: 'later' } });
    holder.exec('ROLLBACK');
    holder.close();
    expect(await Promise.all(both())).toEqual(['done', 'done']);
    await ledger.close();
  });

  test('is not forgotten when the ledger is closed', async () => {
    const file = newFile();
    const ledger = openSqliteLedger(file, { soon: setImmediate });
    const asked = ledger.compareAndSet(item('k'), { rev: 0, epoch: 1 });
    await ledger.close();
    expect(await asked).toBe('done');
    const again = open(file);
    expect(await again.listKeys({ limit: 9 })).toEqual(['k']);
    await again.close();
  });
});

describe('one file', () => {
  test('two handles see and refuse each other', async () => {
    const file = newFile();
    const [one, two] = [open(file), open(file)];
    const epoch = await one.epoch();
    expect(await one.compareAndSet(noted('k', 'one'), { rev: 0, epoch })).toBe('done');
    expect(await two.compareAndSet(noted('k', 'two'), { rev: 0, epoch })).toBe('lost');
    expect(await two.compareAndSet(noted('k', 'two'), { rev: 1, epoch })).toBe('done');
    expect((await one.get('k')).item).toMatchObject({ rev: 2, unresolved: { reason: 'two' } });
    expect(await two.advanceEpoch(epoch)).toBe(true);
    expect(await one.compareAndSet(item('k'), { rev: 2, epoch })).toBe('fenced');
    await Promise.all([one.close(), two.close()]);
  });

  test('four processes that make it together win every revision once and take every message once', {
    timeout: RACE_MS_MAX,
  }, async () => {
    const file = newFile();
    const racers = times(4, () => race(file, 50));
    // Sent while they race, by a fifth one.
    const queue = openSqliteQueue(file, { now: () => 1 });
    for (const body of times(40, (index) => `m${index}`)) await queue.send(body);
    const bodies = (await Promise.all(racers)).flat();
    bodies.push(...(await race(file, 0)));
    expect(bodies.sort()).toEqual(times(40, (index) => `m${index}`).sort());
    expect(await queue.depth()).toEqual({ waiting: 0, inFlight: 40, dead: 0 });
    const ledger = open(file);
    expect((await ledger.get('k')).item?.rev).toBe(200);
    expect(await ledger.readLog('k')).toHaveLength(200);
    await Promise.all([ledger.close(), queue.close()]);
  });

  test('four that open it at the same moment, when it is new, all get it', { timeout: RACE_MS_MAX }, async () => {
    const many = times(40, newFile);
    const data: OpenerData = { files: many, threads: 4, arrivals: new SharedArrayBuffer(4) };
    const openers = times(4, () => new Worker(program('opener.ts'), { workerData: data, execArgv: [] }));
    const faults = await Promise.all(openers.map((opener) => once(opener, 'message')));
    expect(faults.flat(2)).toEqual([]);
    const queue = openSqliteQueue(many[0]!, { now: () => 1 });
    expect(await queue.depth()).toMatchObject({ waiting: 4 });
    await queue.close();
  });

  test('it holds a ledger and a queue, whichever came first', async () => {
    const file = newFile();
    const queue = openSqliteQueue(file, { now: () => 1 });
    await queue.send('m');
    const ledger = open(file);
    await ledger.swapRecord('r', 0, 'x');
    await Promise.all([ledger.close(), queue.close()]);
    const [again, queueAgain] = [open(file), openSqliteQueue(file, { now: () => 1 })];
    expect(await again.getRecord('r')).toEqual({ id: 'r', rev: 1, value: 'x' });
    expect(await queueAgain.depth()).toEqual({ waiting: 1, inFlight: 0, dead: 0 });
    await Promise.all([again.close(), queueAgain.close()]);
  });

  test('a newer schema of the ledger is refused, a newer one of the queue beside it is not', async () => {
    const file = newFile();
    await open(file).close();
    tamper(file, (db) => db.exec(`PRAGMA user_version = ${1 + 7 * 0x10000}`));
    await open(file).close();
    tamper(file, (db) => db.exec('PRAGMA user_version = 2'));
    expect(await faultOf(() => openSqliteLedger(file))).toEqual(['unsupported', 'never']);
    tamper(file, (db) => db.exec('PRAGMA user_version = 1'));
    await open(file).close();
  });
});

describe('a fault of the file', () => {
  test('is unavailable while another process keeps it locked, and the call can be repeated', async () => {
    const file = newFile();
    const ledger = openSqliteLedger(file, { busyTimeoutMs: 10 });
    const write = () => ledger.compareAndSet(item('k'), { rev: 0, epoch: 1 });
    const holder = new DatabaseSync(file);
    holder.exec('BEGIN IMMEDIATE');
    expect(await faultOf(write)).toEqual(['unavailable', 'later']);
    expect(await ledger.get('k')).toEqual({ item: null, epoch: 1 });
    holder.exec('ROLLBACK');
    expect(await write()).toBe('done');
    holder.close();
    await ledger.close();
  });

  test('in the middle of a write undoes it and leaves the ledger usable', async () => {
    const file = newFile();
    const ledger = open(file);
    tamper(file, (db) =>
      db.exec(`CREATE TRIGGER broken AFTER INSERT ON ledger_items WHEN new.key = 'bad'
        BEGIN SELECT RAISE(FAIL, 'broken'); END`),
    );
    expect(await faultOf(() => ledger.compareAndSet(item('bad'), { rev: 0, epoch: 1 }))).toEqual(['internal', 'never']);
    expect(await ledger.compareAndSet(item('good'), { rev: 0, epoch: 1 })).toBe('done');
    expect(await ledger.listKeys({ limit: 10 })).toEqual(['good']);
    await ledger.close();
  });

  test('is corrupt for good when it is no database', async () => {
    const file = newFile();
    writeFileSync(file, 'not a database, but long enough to look at: '.repeat(100));
    expect(await faultOf(() => openSqliteLedger(file))).toEqual(['corrupt', 'never']);
  });

  test('is corrupt for good when a part of it was written over', async () => {
    const file = newFile();
    const ledger = open(file);
    const entries = times(200, (index) => entry('k', `e${index}`, index, { note: 'x'.repeat(500) }));
    for (const it of entries) await ledger.appendLog(it);
    await ledger.close();
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.fill(0xaa, 16 * 4096));
    const again = open(file);
    expect(await faultOf(() => again.readLog('k'))).toEqual(['corrupt', 'never']);
    await again.close();
  });

  test('is unavailable when its folder is missing', async () => {
    expect(await faultOf(() => openSqliteLedger(join(folder, 'none', 'x.db')))).toEqual(['unavailable', 'later']);
  });

  test('a closed ledger is a mistake of our own', async () => {
    const ledger = open(newFile());
    await ledger.close();
    await ledger.close();
    expect(await faultOf(() => ledger.get('k'))).toEqual(['internal', 'never']);
  });
});

test('what is due, listed and logged is found by an index', async () => {
  const file = newFile();
  await open(file).close();
  tamper(file, (db) => {
    const plan = (sql: string) => JSON.stringify(db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all());
    expect(plan('SELECT key FROM ledger_items WHERE due <= 5 ORDER BY due, key LIMIT 3')).toMatch(
      /SEARCH ledger_items USING COVERING INDEX ledger_items_due \(due<\?\)"}]$/,
    );
    expect(plan("SELECT key FROM ledger_items WHERE key > 'a' ORDER BY key LIMIT 3")).toMatch(/SEARCH.*\(key>\?\)"}]$/);
  });
});

test('the text of a key is kept as it is, byte by byte', async () => {
  const file = newFile();
  const ledger = open(file);
  for (const key of AWKWARD) await ledger.compareAndSet(item(key), { rev: 0, epoch: 1 });
  await ledger.close();
  tamper(file, (db) => {
    const rows = db.prepare('SELECT hex(CAST(key AS BLOB)) AS hex FROM ledger_items ORDER BY key').all();
    expect(rows.map(({ hex }) => hex)).toEqual(AWKWARD.map((key) => Buffer.from(key).toString('hex').toUpperCase()));
  });
});

function program(name: string): string {
  return join(import.meta.dirname, '../../test/crash', name);
}

/** The bodies that one more process took from the queue. */
async function race(file: string, wins: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, [program('racer.ts'), file, `${wins}`], {
    timeout: 30_000,
    killSignal: 'SIGKILL',
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (data) => {
    out += data;
  });
  child.stderr.on('data', (data) => {
    err += data;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`racer ended with ${code}: ${err}`);
  return JSON.parse(out);
}
