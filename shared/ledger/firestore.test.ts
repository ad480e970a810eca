import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCloud } from '../../local/cloud.ts';
import { type FirestoreService, startFirestore } from '../../local/google/firestore/firestore.ts';
import { ledgerConformance } from '../../test/conformance/ledger.ts';
import { allKeys, shuffled } from '../../test/conformance/ledger-bench.ts';
import { item } from '../../test/conformance/ledger-samples.ts';
import { isFault } from '../model/fault.ts';
import { openConnection } from './firestore/connection.ts';
import { toId } from './firestore/ids.ts';
import { type FirestoreLedgerOptions, openFirestoreLedger } from './firestore.ts';
import type { Ledger } from './ledger.ts';

const cloud = openCloud({ name: 'gcp' });
let service: FirestoreService;
const nameOf = new Map<Ledger, string>();
let ledgers = 0;

beforeAll(async () => {
  service = await startFirestore(cloud, { port: 0 });
});

afterAll(async () => {
  await service.stop();
  await cloud.close();
});

const place = () => ({ projectId: 'local-project', apiEndpoint: `http://127.0.0.1:${service.port}` });

async function open(name = `l${++ledgers}`, options: Partial<FirestoreLedgerOptions> = {}): Promise<Ledger> {
  const ledger = await openFirestoreLedger({ ...place(), ledger: name, ...options });
  nameOf.set(ledger, name);
  return ledger;
}

async function plantRow(ledger: Ledger, key: string, text: string): Promise<void> {
  const connection = openConnection(place());
  const name = connection.nameOf(`triplicate/${nameOf.get(ledger)}/items/${toId(key)}`);
  const fields = { name: { stringValue: key }, rev: { integerValue: 1 }, item: { stringValue: text } };
  await connection.write('plant', key, { update: { name, fields } });
  await connection.close();
}

ledgerConformance({
  name: 'firestore',
  open: () => open(),
  reopen: (ledger) => open(nameOf.get(ledger)),
  plantRow,
  modelRuns: 15,
});

describe('beyond what the suite asks', () => {
  const store = async (ledger: Ledger, key: string) =>
    ledger.compareAndSet(item(key), { rev: 0, epoch: await ledger.epoch() });

  test('long keys that begin alike have documents of their own, listed in order and page by page', async () => {
    const ledger = await open();
    const begin = 'p'.repeat(1_000);
    const wide = '\uffff'.repeat(360);
    const keys = [
      ...['', '!', 'p', `p${'p'.repeat(23)}`].map((end) => begin + end),
      ...['', '\u0000', 'a', 'b', 'c', 'd', 'e'].map((end) => wide + end),
      ...['1', '2', '3'].map((end) => wide + wide + end),
      `${wide}\u{10ffff}`,
      'z',
    ];
    const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const key of shuffled(keys)) expect(await store(ledger, key)).toBe('done');
    for (const limit of [1, 2, 3, 100]) expect(await allKeys(ledger, limit)).toEqual(sorted);
    for (const key of keys) {
      expect(await ledger.appendLog({ key, id: key, kind: 'version', at: 1, note: '' })).toBe(true);
      expect(await ledger.swapRecord(key, 0, 'v')).toBe(true);
    }
    const under = sorted.filter((key) => key.startsWith(wide));
    expect((await ledger.listRecords({ prefix: wide, limit: 100 })).map(({ id }) => id)).toEqual(under);
    expect((await ledger.listRecords({ prefix: `${wide}c`, limit: 100 })).map(({ id }) => id)).toEqual([`${wide}c`]);
    await ledger.close();
  });

  test('ids are in the order of the names they stand for', () => {
    const names = [
      '\u0000',
      '\u0000\u0000',
      '\u0001',
      '-',
      '.',
      '/',
      '0',
      'A',
      '_',
      '__x__',
      'a',
      'a\u0000',
      'aa',
      'ab',
      'b',
      '\u00e9',
      '\uffff',
      '😀',
    ];
    const ids = names.map(toId);
    expect([...ids].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))).toEqual(ids);
    expect(new Set(ids).size).toBe(names.length);
    for (const id of [...ids, toId('\uffff'.repeat(1_024))]) {
      expect(id).toMatch(/^[-0-9A-Z_a-z~]+$/);
      expect(id).not.toMatch(/^__.*__$/);
      expect(Buffer.byteLength(id)).toBeLessThanOrEqual(1_500);
    }
  });

  test('two ledgers of one collection have nothing to do with each other', async () => {
    const [one, two] = [await open('one'), await open('two')];
    expect(await store(one, 'k')).toBe('done');
    expect(await one.advanceEpoch(1)).toBe(true);
    expect(await two.get('k')).toEqual({ item: null, epoch: 1 });
    await Promise.all([one.close(), two.close()]);
  });

  test('every failure is a fault that says whether a write may have happened', async () => {
    const ledger = await open('faults', { answerMs: 300 });
    const epoch = await ledger.epoch();
    type Effect = Parameters<typeof cloud.faults.add>[0]['effect'];
    const struck = async (operation: string, effect: Effect, times: number, call: () => Promise<unknown>) => {
      cloud.faults.add({ scope: { service: 'firestore', operation }, effect, times });
      const outcome = await call().catch((error: unknown) => (isFault(error) ? error.kind : error));
      cloud.faults.clear();
      return outcome;
    };
    const write = () => ledger.compareAndSet(item('k'), { rev: 0, epoch });
    expect(await struck('Commit', { kind: 'status', status: 409 }, 100, write)).toBe('conflict');
    expect(await struck('Commit', { kind: 'status', status: 503 }, 1, write)).toBe('unavailable');
    expect(await struck('Commit', { kind: 'status', status: 429 }, 1, write)).toBe('throttled');
    expect(await struck('BatchGetDocuments', { kind: 'silence' }, 1, write)).toBe('timeout');
    expect(await struck('RunQuery', { kind: 'silence' }, 1, () => ledger.listKeys({ limit: 1 }))).toBe('timeout');
    expect(await struck('RunQuery', { kind: 'cut', afterBytes: 0 }, 1, () => ledger.listKeys({ limit: 1 }))).toBe(
      'timeout',
    );
    expect((await ledger.get('k')).item).toBeNull();
    expect(await struck('Commit', { kind: 'status', status: 409 }, 2, write)).toBe('done');
    expect(await struck('Commit', { kind: 'lost-answer' }, 1, () => ledger.remove('k', { rev: 1, epoch }))).toBe(
      'timeout',
    );
    expect((await ledger.get('k')).item).toBeNull();
    const large = ledger.swapRecord('r', 0, 'x'.repeat(1_100_000));
    expect(await large.catch((error) => error.kind)).toBe('too-large');
    await ledger.close();
    const nowhere = open('faults', { apiEndpoint: 'http://127.0.0.1:1' });
    expect(await nowhere.catch((error) => error.kind)).toBe('unreachable');
    for (const wrong of [{ ledger: 'a/b' }, { collection: '__x__' }, { apiEndpoint: 'firestore.example' }])
      expect(await openFirestoreLedger({ ...place(), ...wrong }).catch((error) => error.kind)).toBe('invalid');
  });

  test('a layout of another program, or a ledger that lost its epoch, is not touched', async () => {
    const connection = openConnection(place());
    const update = {
      name: connection.nameOf('triplicate/newer'),
      fields: { epoch: { integerValue: 1 }, layout: { integerValue: 2 } },
    };
    await connection.write('plant', 'newer', { update });
    expect(await open('newer').catch((error) => error.kind)).toBe('unsupported');
    const ledger = await open('lost');
    await connection.write('plant', 'lost', { delete: connection.nameOf('triplicate/lost') });
    expect(await ledger.get('k').catch((error) => error.kind)).toBe('corrupt');
    await Promise.all([ledger.close(), connection.close()]);
  });
});
