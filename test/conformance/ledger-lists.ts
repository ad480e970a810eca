/** Conformance of a ledger: what is due, and which keys and records there are, in order and page by page. */

import { expect } from 'vitest';
import type { LedgerRecord } from '#shared/ledger/ledger.ts';
import { refusedFor, times, winners } from './cases.ts';
import { allKeys, change, create, forget, type LedgerCase, shuffled } from './ledger-bench.ts';
import { AWKWARD, item } from './ledger-samples.ts';

const RACERS = 64;
const ROUNDS = 8;

export const LISTS: readonly LedgerCase[] = [
  {
    test: 'due is what is due now or was due before, the most overdue first',
    async run({ ledger, eventually, ...rest }) {
      const dues = [400, 100, 300, 500, 200].map((due) => item(`k${due}`, { due }));
      await create({ ledger, eventually, ...rest }, ...dues, item('never'), item('at zero', { due: 0 }));
      await eventually(async () => {
        expect(await ledger.listDue(300, 10)).toEqual(['at zero', 'k100', 'k200', 'k300']);
        expect(await ledger.listDue(299, 10)).toEqual(['at zero', 'k100', 'k200']);
        expect(await ledger.listDue(0, 10)).toEqual(['at zero']);
        expect(await ledger.listDue(Number.MAX_SAFE_INTEGER, 10)).toHaveLength(6);
      });
    },
  },
  {
    test: 'a limit leaves out the least overdue',
    async run(bench) {
      await create(bench, ...shuffled(times(30, (due) => item(`k${due}`, { due }))));
      await bench.eventually(async () => {
        expect(await bench.ledger.listDue(29, 1)).toEqual(['k0']);
        expect(await bench.ledger.listDue(29, 29)).toEqual(times(29, (due) => `k${due}`));
        expect(await bench.ledger.listDue(10, 29)).toEqual(times(11, (due) => `k${due}`));
      });
    },
  },
  {
    test: 'an item is due when its last revision says, and a forgotten one never',
    async run(bench) {
      const { ledger, eventually } = bench;
      await create(
        bench,
        item('done', { due: 1 }),
        item('later', { due: 2 }),
        item('sooner'),
        item('gone', { due: 3 }),
      );
      await eventually(async () => expect(await ledger.listDue(100, 10)).toEqual(['done', 'later', 'gone']));
      await change(ledger, item('done'));
      await change(ledger, item('later', { due: 50 }));
      await change(ledger, item('sooner', { due: 10 }));
      await forget(ledger, 'gone');
      await eventually(async () => {
        expect(await ledger.listDue(100, 10)).toEqual(['sooner', 'later']);
        expect(await ledger.listDue(49, 10)).toEqual(['sooner']);
      });
    },
  },
  {
    test: 'an item that is not to be listed is not found as due, until a later revision lists it',
    async run(bench) {
      const { ledger, eventually } = bench;
      const hidden = { due: 1, unlisted: true } as const;
      await create(bench, item('born hidden', hidden), item('hidden later', { due: 2 }), item('other', { due: 3 }));
      await change(ledger, item('hidden later', hidden));
      await eventually(async () => expect(await ledger.listDue(100, 10)).toEqual(['other']));
      expect((await ledger.get('born hidden')).item).toMatchObject(hidden);
      expect(await allKeys(ledger, 10)).toEqual(['born hidden', 'hidden later', 'other']);
      await change(ledger, item('born hidden', { due: 4 }));
      await eventually(async () => expect(await ledger.listDue(100, 10)).toEqual(['other', 'born hidden']));
    },
  },
  {
    test: 'awkward keys are found when they are due',
    async run(bench) {
      await create(bench, ...AWKWARD.map((key, due) => item(key, { due })));
      await bench.eventually(async () => expect(await bench.ledger.listDue(1000, 100)).toEqual(AWKWARD));
    },
  },
  {
    test: 'keys are listed in the order of their UTF-8 bytes',
    async run(bench) {
      await create(bench, ...shuffled(AWKWARD).map((key) => item(key)));
      const keys = await bench.ledger.listKeys({ limit: 100 });
      expect(keys).toEqual(AWKWARD);
      expect(keys).toEqual([...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
      expect(keys.indexOf('\uffff')).toBeLessThan(keys.indexOf('😀'));
    },
  },
  {
    test: 'pages of any size, put together, hold every key once',
    async run(bench) {
      await create(bench, ...shuffled(AWKWARD).map((key) => item(key)));
      for (const limit of [1, 2, 7, 100]) expect(await allKeys(bench.ledger, limit)).toEqual(AWKWARD);
    },
  },
  {
    test: 'a page begins after a key, whether there is such a key or not',
    async run(bench) {
      const { ledger } = bench;
      await create(bench, ...['a', 'b', 'b\u0000', 'c/1', 'c/2', 'd'].map((key) => item(key)));
      expect(await ledger.listKeys({ after: 'b', limit: 2 })).toEqual(['b\u0000', 'c/1']);
      expect(await ledger.listKeys({ after: 'c', limit: 10 })).toEqual(['c/1', 'c/2', 'd']);
      expect(await ledger.listKeys({ after: '😀', limit: 10 })).toEqual([]);
      expect(await ledger.listKeys({ after: '', limit: 1 })).toEqual(['a']);
    },
  },
  {
    test: 'keys are listed as soon as they are stored, and no longer than that',
    async run(bench) {
      const { ledger } = bench;
      await create(bench, item('b'), item('d'));
      expect(await allKeys(ledger, 10)).toEqual(['b', 'd']);
      await create(bench, item('c'));
      await forget(ledger, 'b');
      await change(ledger, item('d'));
      expect(await allKeys(ledger, 10)).toEqual(['c', 'd']);
    },
  },
  {
    test: 'limits below one are refused by name',
    async run({ ledger }) {
      for (const limit of [0, -1, 1.5, Number.NaN]) {
        await refusedFor('limit', ledger.listKeys({ limit }));
        await refusedFor('limit', ledger.listDue(1, limit));
        await refusedFor('limit', ledger.listRecords({ prefix: '', limit }));
      }
    },
  },
  {
    test: 'a record is created, changed and removed by who knows its revision',
    async run({ ledger }) {
      expect(await ledger.swapRecord('r', 0, 'one')).toBe(true);
      expect(await ledger.getRecord('r')).toEqual({ id: 'r', rev: 1, value: 'one' });
      expect(await ledger.swapRecord('r', 1, 'two')).toBe(true);
      expect(await ledger.getRecord('r')).toEqual({ id: 'r', rev: 2, value: 'two' });
      expect(await ledger.swapRecord('r', 2, null)).toBe(true);
      expect(await ledger.getRecord('r')).toBeNull();
      expect(await ledger.swapRecord('r', 0, 'anew')).toBe(true);
      expect(await ledger.getRecord('r')).toEqual({ id: 'r', rev: 1, value: 'anew' });
    },
  },
  {
    test: 'a record changes for nobody else',
    async run({ ledger }) {
      expect(await ledger.swapRecord('r', 1, 'x')).toBe(false);
      expect(await ledger.swapRecord('r', 1, null)).toBe(false);
      expect(await ledger.swapRecord('r', 0, null)).toBe(true);
      expect(await ledger.getRecord('r')).toBeNull();
      await ledger.swapRecord('r', 0, 'one');
      await ledger.swapRecord('r', 1, 'two');
      for (const rev of [0, 1, 3]) {
        expect(await ledger.swapRecord('r', rev, 'late')).toBe(false);
        expect(await ledger.swapRecord('r', rev, null)).toBe(false);
      }
      expect(await ledger.getRecord('r')).toEqual({ id: 'r', rev: 2, value: 'two' });
    },
  },
  {
    test: `of ${RACERS} who swap a record at once one does`,
    async run({ ledger }) {
      for (let rev = 0; rev < ROUNDS; rev++) {
        const racers = times(RACERS, (racer) => ledger.swapRecord('r', rev, `${rev} ${racer}`));
        expect(await winners(racers, true, false)).toBe(1);
        expect(await ledger.getRecord('r')).toMatchObject({ rev: rev + 1 });
      }
    },
  },
  {
    test: 'the value of a record is any text up to 64 KiB',
    async run({ ledger }) {
      const values = ['', ' ', 'null', '{"a":1}', 'a\u0000b\r\n', '😀é', 'é'.repeat(32 * 1024)];
      for (const [index, value] of values.entries()) {
        expect(await ledger.swapRecord('r', index, value)).toBe(true);
        expect(await ledger.getRecord('r')).toEqual({ id: 'r', rev: index + 1, value });
      }
      await refusedFor('value', ledger.swapRecord('r', values.length, 'half \ud83d'));
    },
  },
  {
    test: 'records are listed by the very letters of their prefix, in the order of their UTF-8 bytes',
    async run({ ledger }) {
      const under = ['job%/1', 'job%/2', 'job%/😀'];
      const others = ['job', 'job%', 'job0/1', 'job_/1', 'JOB%/1', 'jobx/1', 'k'];
      for (const id of shuffled([...under, ...others])) await ledger.swapRecord(id, 0, `of ${id}`);
      const record = (id: string): LedgerRecord => ({ id, rev: 1, value: `of ${id}` });
      expect(await ledger.listRecords({ prefix: 'job%/', limit: 100 })).toEqual(under.map(record));
      expect(await ledger.listRecords({ prefix: 'job_', limit: 100 })).toEqual([record('job_/1')]);
      expect(await ledger.listRecords({ prefix: 'job%', limit: 100 })).toEqual(['job%', ...under].map(record));
      expect(await ledger.listRecords({ prefix: 'none', limit: 100 })).toEqual([]);
      expect(await ledger.listRecords({ prefix: '', limit: 100 })).toHaveLength(under.length + others.length);
    },
  },
  {
    test: 'a page of records begins after an id and stays below the prefix',
    async run({ ledger }) {
      const ids = times(10, (index) => `p/${index}`);
      for (const id of shuffled([...ids, 'o/9', 'q/0'])) await ledger.swapRecord(id, 0, '');
      const list = async (after: string, limit: number) =>
        (await ledger.listRecords({ prefix: 'p/', after, limit })).map(({ id }) => id);
      expect(await list('p/3', 2)).toEqual(['p/4', 'p/5']);
      expect(await list('p/7', 10)).toEqual(['p/8', 'p/9']);
      expect(await list('p/35', 2)).toEqual(['p/4', 'p/5']);
      expect(await list('', 3)).toEqual(['p/0', 'p/1', 'p/2']);
      expect(await list('a', 100)).toEqual(ids);
      expect(await list('p/9', 10)).toEqual([]);
      expect(await list('z', 10)).toEqual([]);
    },
  },
  {
    test: 'awkward ids have records of their own, listed in order',
    async run({ ledger }) {
      for (const id of shuffled(AWKWARD)) expect(await ledger.swapRecord(id, 0, `of ${id}`)).toBe(true);
      for (const id of AWKWARD) expect(await ledger.getRecord(id)).toEqual({ id, rev: 1, value: `of ${id}` });
      expect((await ledger.listRecords({ prefix: '', limit: 100 })).map(({ id }) => id)).toEqual(AWKWARD);
      for (const id of ['', 'half \ud83d']) await refusedFor('id', ledger.swapRecord(id, 0, 'x'));
    },
  },
  {
    test: 'a record and an item of one name have nothing to do with each other',
    async run(bench) {
      const { ledger, epoch } = bench;
      await create(bench, item('same'));
      expect(await ledger.getRecord('same')).toBeNull();
      expect(await ledger.swapRecord('same', 0, 'x')).toBe(true);
      expect(await ledger.swapRecord('other', 0, 'x')).toBe(true);
      await ledger.advanceEpoch(epoch);
      expect(await ledger.swapRecord('same', 1, 'y')).toBe(true);
      await forget(ledger, 'same');
      expect(await ledger.getRecord('same')).toEqual({ id: 'same', rev: 2, value: 'y' });
      expect(await allKeys(ledger, 10)).toEqual([]);
    },
  },
];
