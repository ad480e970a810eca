/** Conformance of a ledger: items change only by compare-and-set, and only in the epoch of the ledger. */

import { expect } from 'vitest';
import type { KeyItem } from '#shared/model/key-item.ts';
import { refusedFor, times, winners } from './cases.ts';
import { allKeys, change, create, forget, type LedgerCase, stored } from './ledger-bench.ts';
import { AWKWARD, entry, item, noted, rich } from './ledger-samples.ts';

const RACERS = 64;
const ROUNDS = 8;

export const ITEMS: readonly LedgerCase[] = [
  {
    test: 'a new ledger has no items, no log, no records, and an epoch',
    async run({ ledger, epoch }) {
      expect(Number.isSafeInteger(epoch) && epoch >= 0).toBe(true);
      expect(await ledger.get('k')).toEqual({ item: null, epoch });
      expect(await ledger.listKeys({ limit: 10 })).toEqual([]);
      expect(await ledger.listDue(Number.MAX_SAFE_INTEGER, 10)).toEqual([]);
      expect(await ledger.readLog('k')).toEqual([]);
      expect(await ledger.getRecord('r')).toBeNull();
      expect(await ledger.listRecords({ prefix: '', limit: 10 })).toEqual([]);
    },
  },
  {
    test: 'an item with something in every field comes back as it was',
    async run(bench) {
      await create(bench, rich('k'));
      expect(await bench.ledger.get('k')).toStrictEqual(stored(rich('k'), 1, bench.epoch));
    },
  },
  {
    test: 'the driver says rev and epoch, whatever stands in the item',
    async run({ ledger, epoch }) {
      expect(await ledger.compareAndSet(item('k', { rev: 41, epoch: 99 }), { rev: 0, epoch })).toBe('done');
      expect(await ledger.get('k')).toEqual(stored(item('k'), 1, epoch));
      expect(await ledger.compareAndSet(item('k', { rev: 0, epoch: 0 }), { rev: 1, epoch })).toBe('done');
      expect(await ledger.get('k')).toEqual(stored(item('k'), 2, epoch));
    },
  },
  {
    test: 'revisions count one by one',
    async run({ ledger, epoch }) {
      for (let rev = 0; rev < 20; rev++) {
        expect(await ledger.compareAndSet(noted('k', `${rev}`), { rev, epoch })).toBe('done');
        expect(await ledger.get('k')).toEqual(stored(noted('k', `${rev}`), rev + 1, epoch));
      }
    },
  },
  {
    test: 'an item is created only once',
    async run(bench) {
      await create(bench, noted('k', 'first'));
      expect(await bench.ledger.compareAndSet(noted('k', 'second'), { rev: 0, epoch: bench.epoch })).toBe('lost');
      expect(await bench.ledger.get('k')).toEqual(stored(noted('k', 'first'), 1, bench.epoch));
    },
  },
  {
    test: 'a write that expects another revision is lost and changes nothing',
    async run(bench) {
      const { ledger, epoch } = bench;
      await create(bench, noted('k', 'one', { due: 5 }));
      await change(ledger, noted('k', 'two', { due: 5 }));
      for (const rev of [0, 1, 3, 1000])
        expect(await ledger.compareAndSet(noted('k', 'late', { due: null }), { rev, epoch })).toBe('lost');
      expect(await ledger.get('k')).toEqual(stored(noted('k', 'two', { due: 5 }), 2, epoch));
      await bench.eventually(async () => expect(await ledger.listDue(5, 10)).toEqual(['k']));
    },
  },
  {
    test: 'a write over an item that is not there is lost',
    async run({ ledger, epoch }) {
      expect(await ledger.compareAndSet(item('k'), { rev: 1, epoch })).toBe('lost');
      expect(await ledger.get('k')).toEqual({ item: null, epoch });
    },
  },
  {
    test: 'a write of an older epoch is fenced and changes nothing',
    async run(bench) {
      const { ledger, epoch } = bench;
      await create(bench, noted('k', 'old'));
      expect(await ledger.advanceEpoch(epoch)).toBe(true);
      expect(await ledger.compareAndSet(noted('k', 'late'), { rev: 1, epoch })).toBe('fenced');
      expect(await ledger.compareAndSet(noted('new', 'late'), { rev: 0, epoch })).toBe('fenced');
      expect(await ledger.remove('k', { rev: 1, epoch })).toBe('fenced');
      const { item: kept } = stored(noted('k', 'old'), 1, epoch);
      expect(await ledger.get('k')).toEqual({ item: kept, epoch: epoch + 1 });
      expect(await ledger.get('new')).toEqual({ item: null, epoch: epoch + 1 });
    },
  },
  {
    test: 'a write of an epoch that is still to come is fenced and changes nothing',
    async run(bench) {
      const { ledger, epoch } = bench;
      await create(bench, noted('k', 'now'));
      for (const ahead of [1, 2, 1000]) {
        expect(await ledger.compareAndSet(noted('k', 'early'), { rev: 1, epoch: epoch + ahead })).toBe('fenced');
        expect(await ledger.compareAndSet(item('new'), { rev: 0, epoch: epoch + ahead })).toBe('fenced');
        expect(await ledger.remove('k', { rev: 1, epoch: epoch + ahead })).toBe('fenced');
      }
      expect(await ledger.get('k')).toEqual(stored(noted('k', 'now'), 1, epoch));
      expect(await allKeys(ledger, 10)).toEqual(['k']);
    },
  },
  {
    test: 'an item of an older epoch is changed by who knows the new one',
    async run(bench) {
      const { ledger, epoch } = bench;
      await create(bench, noted('k', 'old'));
      await ledger.advanceEpoch(epoch);
      expect(await ledger.compareAndSet(noted('k', 'new'), { rev: 1, epoch: epoch + 1 })).toBe('done');
      expect(await ledger.get('k')).toEqual(stored(noted('k', 'new'), 2, epoch + 1));
    },
  },
  {
    test: `of ${RACERS} writers at once one wins each round, and its item stands`,
    async run({ ledger, epoch }) {
      for (let rev = 0; rev < ROUNDS; rev++) {
        const won: string[] = [];
        const racers = times(RACERS, async (racer) => {
          const swap = await ledger.compareAndSet(noted('k', `${racer}`), { rev, epoch });
          if (swap === 'done') won.push(`${racer}`);
          return swap;
        });
        expect(await winners(racers, 'done', 'lost')).toBe(1);
        expect(await ledger.get('k')).toEqual(stored(noted('k', won[0] as string), rev + 1, epoch));
      }
    },
  },
  {
    test: `of ${RACERS} who forget an item at once one does`,
    async run(bench) {
      const { ledger, epoch } = bench;
      await create(bench, item('k'));
      expect(
        await winners(
          times(RACERS, () => ledger.remove('k', { rev: 1, epoch })),
          'done',
          'lost',
        ),
      ).toBe(1);
      expect(await ledger.get('k')).toEqual({ item: null, epoch });
    },
  },
  {
    test: 'of a writer and one who forgets, one wins',
    async run(bench) {
      const { ledger, epoch } = bench;
      const keys = times(20, (index) => `k${index}`);
      await create(bench, ...keys.map((key) => item(key)));
      for (const key of keys) {
        const write = ledger.compareAndSet(noted(key, 'written'), { rev: 1, epoch });
        const racers = [write, ledger.remove(key, { rev: 1, epoch })];
        expect(await winners(racers, 'done', 'lost')).toBe(1);
        expect((await ledger.get(key)).item?.rev).toBe((await write) === 'done' ? 2 : undefined);
      }
    },
  },
  {
    test: 'keys do not touch each other',
    async run(bench) {
      const { ledger, epoch } = bench;
      await create(bench, noted('k1', 'one'), noted('k2', 'two'));
      await change(ledger, noted('k1', 'one again'));
      await forget(ledger, 'k1');
      expect(await ledger.get('k2')).toEqual(stored(noted('k2', 'two'), 1, epoch));
    },
  },
  {
    test: 'what was given and what was answered are copies',
    async run(bench) {
      const { ledger, epoch } = bench;
      const given = rich('k');
      await create(bench, given);
      given.dots.a = 999;
      given.sites.a!.intents.push({ ...given.sites.a!.intents[0]!, wid: 'w2' });
      const { item: answered } = await ledger.get('k');
      answered!.frontier.push('a:4');
      answered!.outbox.length = 0;
      expect(await ledger.get('k')).toEqual(stored(rich('k'), 1, epoch));
    },
  },
  {
    test: 'an item of 64 KiB is stored, read and changed',
    async run(bench) {
      const { ledger, epoch } = bench;
      const outbox = times(64, (index) => entry('k', `e${index}`, index, { note: `${index}é`.padEnd(920, '"x') }));
      const large: KeyItem = item('k', { outbox });
      const bytes = Buffer.byteLength(JSON.stringify(large));
      expect(bytes).toBeGreaterThan(64 * 1024);
      await create(bench, large);
      expect(await ledger.get('k')).toEqual(stored(large, 1, epoch));
      await change(ledger, { ...large, due: 1 });
      expect(await ledger.get('k')).toEqual(stored({ ...large, due: 1 }, 2, epoch));
    },
  },
  {
    test: 'a forgotten item is gone, and its key can be used anew',
    async run(bench) {
      const { ledger, epoch } = bench;
      await create(bench, noted('k', 'first', { due: 1 }));
      expect(await ledger.remove('k', { rev: 1, epoch })).toBe('done');
      expect(await ledger.get('k')).toEqual({ item: null, epoch });
      expect(await ledger.compareAndSet(noted('k', 'late'), { rev: 1, epoch })).toBe('lost');
      await create(bench, noted('k', 'again'));
      expect(await ledger.get('k')).toEqual(stored(noted('k', 'again'), 1, epoch));
    },
  },
  {
    test: 'an item is forgotten only at the revision that was read',
    async run(bench) {
      const { ledger, epoch } = bench;
      await create(bench, noted('k', 'one'));
      await change(ledger, noted('k', 'two'));
      for (const rev of [0, 1, 3]) expect(await ledger.remove('k', { rev, epoch })).toBe('lost');
      expect(await ledger.get('k')).toEqual(stored(noted('k', 'two'), 2, epoch));
    },
  },
  {
    test: 'forgetting what is not there is done for who expects nothing, lost for who expects something',
    async run({ ledger, epoch }) {
      expect(await ledger.remove('k', { rev: 0, epoch })).toBe('done');
      expect(await ledger.remove('k', { rev: 1, epoch })).toBe('lost');
      expect(await ledger.remove('k', { rev: 0, epoch: epoch + 1 })).toBe('fenced');
    },
  },
  {
    test: 'every awkward key has an item of its own',
    async run(bench) {
      const { ledger, epoch } = bench;
      await create(bench, ...AWKWARD.map((key) => noted(key, `of ${key}`)));
      for (const key of AWKWARD) expect(await ledger.get(key)).toEqual(stored(noted(key, `of ${key}`), 1, epoch));
      for (const key of AWKWARD) await change(ledger, noted(key, 'changed'));
      for (const key of AWKWARD) expect((await ledger.get(key)).item?.rev).toBe(2);
      for (const key of AWKWARD) await forget(ledger, key);
      for (const key of AWKWARD) expect(await ledger.get(key)).toEqual({ item: null, epoch });
    },
  },
  {
    test: 'two spellings of one character are two keys',
    async run(bench) {
      const { ledger, epoch } = bench;
      const [composed, decomposed] = ['caf\u00e9', 'cafe\u0301'] as const;
      await create(bench, noted(composed, 'NFC'));
      expect(await ledger.get(decomposed)).toEqual({ item: null, epoch });
      await create(bench, noted(decomposed, 'NFD'));
      expect((await ledger.get(composed)).item).toMatchObject({ key: composed, unresolved: { reason: 'NFC' } });
      expect((await ledger.get(decomposed)).item).toMatchObject({ key: decomposed, unresolved: { reason: 'NFD' } });
    },
  },
  {
    test: 'a key that no cloud can hold is refused by name',
    async run({ ledger, epoch }) {
      for (const key of ['', 'half \ud83d', '\ude00', 'x'.repeat(1025)]) {
        await refusedFor('key', ledger.get(key));
        await refusedFor('key', ledger.compareAndSet(item(key), { rev: 0, epoch }));
        await refusedFor('key', ledger.remove(key, { rev: 0, epoch }));
        await refusedFor('key', ledger.readLog(key));
        await refusedFor('key', ledger.appendLog(entry(key, 'e', 1)));
      }
      expect(await ledger.listKeys({ limit: 10 })).toEqual([]);
    },
  },
  {
    test: 'an expectation that is no count is refused by name',
    async run({ ledger, epoch }) {
      for (const wrong of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        await refusedFor('expected.rev', ledger.compareAndSet(item('k'), { rev: wrong, epoch }));
        await refusedFor('expected.rev', ledger.remove('k', { rev: wrong, epoch }));
        await refusedFor('expected.epoch', ledger.compareAndSet(item('k'), { rev: 0, epoch: wrong }));
        await refusedFor('expected.epoch', ledger.remove('k', { rev: 0, epoch: wrong }));
      }
    },
  },
  {
    test: 'an item that could not be read back is refused, and the old one stays',
    async run(bench) {
      const { ledger, epoch } = bench;
      await create(bench, noted('k', 'good'));
      const wrong: readonly (readonly [field: string, changes: object])[] = [
        ['item.due', { due: Number.NaN }],
        ['item.unlisted', { unlisted: true }],
        ['item.frontier[0]', { frontier: ['a:1'] }],
        ['item.colour', { colour: 'blue' }],
        ['item.schema', { schema: 2 }],
      ];
      for (const [field, changes] of wrong)
        await refusedFor(field, ledger.compareAndSet({ ...item('k'), ...changes } as KeyItem, { rev: 1, epoch }));
      expect(await ledger.get('k')).toEqual(stored(noted('k', 'good'), 1, epoch));
    },
  },
  {
    test: 'a row that is no item is a fault that names the field, and nobody writes over it',
    needs: 'plantRow',
    async run({ ledger, epoch, plantRow }) {
      const row = { ...item('k'), rev: 1, epoch };
      const rows: readonly (readonly [field: string, text: string])[] = [
        ['item', ''],
        ['item', '{"schema":1,"key":"k'],
        ['item', 'null'],
        ['item.schema', JSON.stringify({ ...row, schema: 2 })],
        ['item.due', JSON.stringify({ ...row, due: 'tomorrow' })],
        ['item.unlisted', JSON.stringify({ ...row, due: 1, unlisted: 'no' })],
        ['item.sites.a.phys', JSON.stringify({ ...row, sites: { a: {} } })],
        ['item.key', JSON.stringify({ ...row, key: 'other' })],
        ['item.rev', JSON.stringify({ ...row, rev: 77 })],
      ];
      for (const [index, [field, text]] of rows.entries()) {
        const key = field === 'item.key' ? 'k' : `k${index}`;
        await plantRow(key, text.replace('"key":"k"', `"key":"${key}"`));
        await refusedFor(field, ledger.get(key));
        // Who could not read it can only guess that nothing is there.
        expect(await ledger.compareAndSet(item(key), { rev: 0, epoch })).toBe('lost');
        expect(await ledger.remove(key, { rev: 0, epoch })).toBe('lost');
        await refusedFor(field, ledger.get(key));
        expect(await ledger.listKeys({ limit: 100 })).toContain(key);
      }
    },
  },
  {
    test: 'a good row beside a bad one can be read and changed',
    needs: 'plantRow',
    async run(bench) {
      await bench.plantRow('bad', '{');
      await create(bench, item('good', { due: 1 }));
      await change(bench.ledger, noted('good', 'changed'));
      expect(await bench.ledger.get('good')).toEqual(stored(noted('good', 'changed'), 2, bench.epoch));
    },
  },
];
