import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { times } from '../../test/conformance/cases.ts';
import { ledgerConformance } from '../../test/conformance/ledger.ts';
import { plantDynamoRow } from '../../test/conformance/ledger-plant.ts';
import { entry, item, noted, rich } from '../../test/conformance/ledger-samples.ts';
import { type Bench, CREDENTIALS, openDynamoBench } from '../../test/samples/dynamodb.ts';
import { type FaultKind, isFault, type Retry } from '../model/fault.ts';
import type { KeyItem } from '../model/key-item.ts';
import { createLedgerTable, type DynamoLedgerOptions, openDynamoLedger } from './dynamodb.ts';
import type { Ledger } from './ledger.ts';

/** Enough for listDue to be asked before the index has caught up. */
const INDEX_LAG_MS = 5;
const DUE_ATTEMPTS = 400;

const table = 'ledgers';
const nameOf = new Map<Ledger, string>();
let bench: Bench;
let ledgers = 0;

const place = (more: Partial<DynamoLedgerOptions> = {}) => ({
  table,
  region: 'us-east-1',
  endpoint: bench.url,
  credentials: CREDENTIALS,
  ...more,
});

beforeAll(async () => {
  bench = await openDynamoBench({ indexLagMs: INDEX_LAG_MS });
  await createLedgerTable(place());
  await createLedgerTable(place());
});

afterAll(() => bench.stop());

async function open(name = `l${++ledgers}`, more: Partial<DynamoLedgerOptions> = {}): Promise<Ledger> {
  const ledger = await openDynamoLedger(place({ ledger: name, ...more }));
  nameOf.set(ledger, name);
  return ledger;
}

async function faultOf(call: Promise<unknown>): Promise<readonly [FaultKind, Retry]> {
  const outcome = await call.catch((error: unknown) => error);
  if (isFault(outcome)) return [outcome.kind, outcome.retry];
  throw new Error(`no fault: ${JSON.stringify(outcome)}`);
}

ledgerConformance({
  name: 'dynamodb',
  open: () => open(),
  reopen: (ledger) => open(nameOf.get(ledger)),
  plantRow: async (ledger, key, text) =>
    plantDynamoRow(
      bench.client,
      { table, ledger: nameOf.get(ledger) as string, epoch: await ledger.epoch() },
      key,
      text,
    ),
  dueLag: { attempts: DUE_ATTEMPTS, pause: () => pause(INDEX_LAG_MS) },
  modelRuns: 8,
});

/** All rows of one ledger, as they lie in the table. */
async function rowsOf(name: string) {
  const { Items = [] } = await bench.client.scan({ TableName: table });
  return Items.filter(({ pk }) => pk?.S?.startsWith(`${name}/`));
}

describe('an epoch that ends', () => {
  test('lets a write that was under way land only where nobody of the new epoch has looked', async () => {
    const name = `l${++ledgers}`;
    const [old, young] = [await open(name), await open(name)];
    const keys = ['seen', 'unseen', 'absent but seen', 'absent and unseen'] as const;
    for (const key of keys.slice(0, 2)) await old.compareAndSet(noted(key, 'old'), { rev: 0, epoch: 1 });
    // Each of these writes has found its epoch to be the ledger's; then the ledger moves on.
    bench.faults.add({
      scope: { operation: 'PutItem' },
      effect: { kind: 'wait', ms: { kind: 'even', min: 150, max: 150 } },
      times: keys.length,
    });
    const late = keys.map((key, index) => old.compareAndSet(noted(key, 'late'), { rev: index < 2 ? 1 : 0, epoch: 1 }));
    await pause(50);
    expect(await young.advanceEpoch(1)).toBe(true);
    expect(await young.get('seen')).toMatchObject({ epoch: 2, item: { rev: 1 } });
    expect(await young.get('absent but seen')).toEqual({ epoch: 2, item: null });
    expect(await Promise.all(late)).toEqual(['fenced', 'done', 'fenced', 'done']);
    const reasons = await Promise.all(keys.map(async (key) => (await young.get(key)).item?.unresolved?.reason));
    expect(reasons).toEqual(['old', 'late', undefined, 'late']);
    bench.faults.clear();
  });

  test('leaves nothing behind for keys that were looked at in the first one', async () => {
    const name = `l${++ledgers}`;
    const ledger = await open(name);
    await ledger.get('k');
    await ledger.compareAndSet(item('k'), { rev: 0, epoch: 1 });
    await ledger.remove('k', { rev: 1, epoch: 1 });
    expect(await rowsOf(name)).toHaveLength(1);
  });

  test('leaves marks that expire for keys that were found absent since', async () => {
    const name = `l${++ledgers}`;
    const ledger = await open(name, { now: () => 1_000_000 });
    await ledger.advanceEpoch(1, 7);
    await ledger.get('k');
    await ledger.get('k');
    const week = 7 * 24 * 3600;
    const marks = (await rowsOf(name)).filter(({ expires }) => expires !== undefined);
    expect(marks).toMatchObject([{ rev: { N: '0' }, fence: { N: '7' }, expires: { N: `${1_000 + week}` } }]);
    expect(await ledger.listKeys({ limit: 10 })).toEqual([]);
    expect(await ledger.compareAndSet(item('k'), { rev: 0, epoch: 7 })).toBe('done');
    expect((await rowsOf(name)).filter(({ expires }) => expires !== undefined)).toEqual([]);
  });
});

describe('a name of more than a kilobyte', () => {
  const shared = 'é'.repeat(600);
  const names = ['z', shared.slice(0, 495), ...['', 'a', 'b', 'b\u0000', 'c/1', '😀'].map((end) => `${shared}${end}`)];

  test('is a key like any other, listed in order whatever the pages', async () => {
    const ledger = await open();
    for (const key of [...names].reverse()) await ledger.compareAndSet(item(key, { due: 5 }), { rev: 0, epoch: 1 });
    for (const limit of [1, 3, 100]) {
      const listed: string[] = [];
      for (let pages = 0; pages <= names.length; pages++) {
        const after = listed.at(-1);
        listed.push(...(await ledger.listKeys({ limit, ...(after === undefined ? {} : { after }) })));
      }
      expect(listed).toEqual(names);
    }
    await expect.poll(() => ledger.listDue(5, 100)).toEqual(names);
    expect((await ledger.get(`${shared}b`)).item?.key).toBe(`${shared}b`);
    await ledger.appendLog(entry(`${shared}b`, `${shared}id`, 1));
    expect(await ledger.appendLog(entry(`${shared}b`, `${shared}id`, 1))).toBe(false);
    expect(await ledger.readLog(`${shared}b`)).toHaveLength(1);
  });

  test('is the id of a record like any other', async () => {
    const ledger = await open();
    for (const id of names) await ledger.swapRecord(id, 0, `of ${id.length}`);
    const ids = async (query: { prefix: string; after?: string }) =>
      (await ledger.listRecords({ ...query, limit: 100 })).map(({ id }) => id);
    expect(await ids({ prefix: `${shared}b` })).toEqual([`${shared}b`, `${shared}b\u0000`]);
    expect(await ids({ prefix: 'é', after: `${shared}b` })).toEqual(names.slice(5));
    expect(await ids({ prefix: shared, after: '😀' })).toEqual([]);
  });
});

describe('what is stored', () => {
  test('is small: an item as replication leaves it costs one write unit', async () => {
    const name = `l${++ledgers}`;
    const ledger = await open(name);
    const site = rich('k').sites.a!;
    const key = 'photos/2026/11/21/IMG_20261121_104455.jpg';
    const large = { ...rich(key), sites: { aws: site, gcp: site, azure: site } };
    expect(Buffer.byteLength(JSON.stringify(large))).toBeGreaterThan(1536);
    await ledger.compareAndSet(large, { rev: 0, epoch: 1 });
    const row = (await rowsOf(name)).find(({ item: it }) => it !== undefined);
    expect(row?.item?.B?.length).toBeLessThan(800);
    expect((await ledger.get(key)).item).toEqual({ ...large, rev: 1, epoch: 1 });
  });

  test('and was damaged is a fault that names the field', async () => {
    const name = `l${++ledgers}`;
    const ledger = await open(name);
    await ledger.compareAndSet(rich('k'), { rev: 0, epoch: 1 });
    const row = (await rowsOf(name)).find(({ item: it }) => it !== undefined)!;
    for (const [field, value] of [
      ['item', { B: new Uint8Array([1, 2, 3]) }],
      ['item', { B: new Uint8Array([99]) }],
      ['rev', { S: 'one' }],
      ['fence', { N: '0.5' }],
    ] as const) {
      await bench.client.putItem({ TableName: table, Item: { ...row, [field]: value } });
      const fault = await ledger.get('k').catch((error: unknown) => error);
      expect(isFault(fault, 'invalid') && fault.details.field).toBe(field === 'item' ? 'item' : `row.${field}`);
    }
  });

  test('is never more than a row can hold: nothing is sent then', async () => {
    const ledger = await open();
    // Nothing makes this small.
    const noise = times(15_000, (index) => createHash('sha256').update(`${index}`).digest('base64')).join('');
    bench.faults.add({ scope: { operation: 'PutItem' }, effect: { kind: 'outage' } });
    expect(await faultOf(ledger.swapRecord('r', 0, noise.repeat(1)))).toEqual(['too-large', 'never']);
    bench.faults.clear();
  });

  test('costs what the decision record says', async () => {
    const ledger = await open();
    const cost = async (call: () => Promise<unknown>) => {
      const before = bench.consumed();
      await call();
      const { readUnits, writeUnits } = bench.consumed();
      return [readUnits - before.readUnits, writeUnits - before.writeUnits];
    };
    const swap = (rev: number, due: number | null, changes: Partial<KeyItem> = {}) =>
      cost(() => ledger.compareAndSet({ ...rich('k'), due, ...changes }, { rev, epoch: 1 }));
    const create = (key: string) => ledger.compareAndSet({ ...rich(key), due: null }, { rev: 0, epoch: 1 });
    expect(await cost(() => ledger.get('k'))).toEqual([2, 0]);
    expect(await swap(0, 5)).toEqual([1, 2]);
    expect(await swap(1, null)).toEqual([1, 2]);
    expect(await swap(2, null)).toEqual([1, 1]);
    // Due, and not in the index.
    expect(await swap(3, 5, { unlisted: true })).toEqual([1, 1]);
    expect(await swap(4, null)).toEqual([1, 1]);
    // Lost: the condition is charged, and no more.
    expect(await swap(0, null)).toEqual([1, 1]);
    expect(await cost(() => ledger.appendLog(entry('k', 'e', 1)))).toEqual([0, 1]);
    // What is asked for in one turn shares the epoch.
    expect(await cost(() => Promise.all(times(10, (index) => ledger.get(`of ten ${index}`))))).toEqual([11, 0]);
    expect(await cost(() => Promise.all([ledger.get('k'), ledger.get('k')]))).toEqual([2, 0]);
    expect(await cost(() => Promise.all(times(10, (index) => create(`of ten ${index}`))))).toEqual([1, 10]);
    await ledger.advanceEpoch(1);
    // Once for each key after an epoch has ended.
    expect(await cost(() => ledger.get('k'))).toEqual([2, 1]);
    expect(await cost(() => ledger.get('k'))).toEqual([2, 0]);
    expect(await cost(() => ledger.get('absent'))).toEqual([2, 1]);
    expect(await cost(() => ledger.listKeys({ limit: 100 }))).toEqual([16, 0]);
    expect(await cost(() => ledger.listDue(1, 100))).toEqual([8, 0]);
  });
});

describe('a fault of the service', () => {
  const told = async (effect: Parameters<Bench['faults']['add']>[0]['effect'], operation = 'PutItem') => {
    const ledger = await open(undefined, { timeoutMs: 300 });
    bench.faults.add({ scope: { operation }, effect });
    try {
      return await faultOf(
        operation === 'PutItem' ? ledger.compareAndSet(item('k'), { rev: 0, epoch: 1 }) : ledger.get('k'),
      );
    } finally {
      bench.faults.clear();
    }
  };

  test('is told apart: what was not written, and what may have been', async () => {
    expect(await told({ kind: 'status', status: 429 })).toEqual(['throttled', 'later']);
    expect(await told({ kind: 'status', status: 403 })).toEqual(['forbidden', 'never']);
    expect(await told({ kind: 'status', status: 500 })).toEqual(['timeout', 'later']);
    expect(await told({ kind: 'status', status: 503 })).toEqual(['timeout', 'later']);
    expect(await told({ kind: 'lost-answer' })).toEqual(['timeout', 'later']);
    expect(await told({ kind: 'silence' })).toEqual(['timeout', 'later']);
  });

  test('of a read is asked again before it is told', async () => {
    const ledger = await open();
    bench.faults.add({ scope: { operation: 'BatchGetItem' }, effect: { kind: 'status', status: 500 }, times: 2 });
    expect(await ledger.get('k')).toEqual({ item: null, epoch: 1 });
    expect(bench.faults.list()).toEqual([]);
  });

  test('that outlasts all attempts is unavailable', async () => {
    expect(await told({ kind: 'status', status: 503 }, 'BatchGetItem')).toEqual(['unavailable', 'later']);
  });

  test('after a write whose answer was lost: it may have happened, and a second one does not repeat it', async () => {
    const ledger = await open();
    bench.faults.add({ scope: { operation: 'PutItem' }, effect: { kind: 'lost-answer' }, times: 1 });
    expect(await faultOf(ledger.compareAndSet(noted('k', 'lost'), { rev: 0, epoch: 1 }))).toEqual(['timeout', 'later']);
    expect(await ledger.compareAndSet(noted('k', 'lost'), { rev: 0, epoch: 1 })).toBe('lost');
    expect((await ledger.get('k')).item?.rev).toBe(1);
  });
});

describe('opening', () => {
  test('names what is wrong', async () => {
    expect(await faultOf(openDynamoLedger(place({ table: 'none' })))).toEqual(['not-found', 'never']);
    expect(await faultOf(openDynamoLedger(place({ ledger: 'a/b' })))).toEqual(['invalid', 'never']);
    expect(await faultOf(openDynamoLedger(place({ endpoint: 'http://127.0.0.1:1' })))).toEqual([
      'unreachable',
      'later',
    ]);
    const stranger = { accessKeyId: 'local', secretAccessKey: 'wrong' };
    expect(await faultOf(openDynamoLedger(place({ credentials: stranger })))).toEqual(['forbidden', 'never']);
  });

  test('refuses a layout that it does not know', async () => {
    const name = `l${++ledgers}`;
    await open(name);
    const [row] = await rowsOf(name);
    await bench.client.putItem({ TableName: table, Item: { ...row, layout: { N: '2' } } });
    expect(await faultOf(open(name))).toEqual(['unsupported', 'never']);
  });

  test('by many at once makes one ledger', async () => {
    const name = `l${++ledgers}`;
    const all = await Promise.all(times(16, () => open(name)));
    expect(new Set(await Promise.all(all.map((it) => it.epoch())))).toEqual(new Set([1]));
    await all[0]?.swapRecord('r', 0, 'x');
    expect(await all[1]?.getRecord('r')).toMatchObject({ value: 'x' });
  });

  test('a closed ledger is a mistake of our own', async () => {
    const ledger = await open();
    await ledger.close();
    await ledger.close();
    expect(await faultOf(ledger.get('k'))).toEqual(['internal', 'never']);
  });

  test('ledgers of one table do not see each other', async () => {
    const [one, two] = [await open('a'), await open('a.b')];
    await one.compareAndSet(item('k', { due: 1 }), { rev: 0, epoch: 1 });
    await one.advanceEpoch(1);
    expect(await two.get('k')).toEqual({ item: null, epoch: 1 });
    expect(await two.listKeys({ limit: 10 })).toEqual([]);
  });
});
