/** Conformance of a ledger: the log takes every entry once, the epoch advances once, and nothing is forgotten. */

import { expect } from 'vitest';
import type { LogEntry } from '#shared/model/log-entry.ts';
import { answers, refusedFor, times, winners } from './cases.ts';
import { allKeys, create, forget, type LedgerCase, shuffled, stored } from './ledger-bench.ts';
import { AWKWARD, entry, item, rich } from './ledger-samples.ts';

const RACERS = 64;

export const LOG: readonly LedgerCase[] = [
  {
    test: 'an entry is new once, and the first one stays',
    async run({ ledger }) {
      expect(await ledger.appendLog(entry('k', 'e', 5, { note: 'first' }))).toBe(true);
      expect(await ledger.appendLog(entry('k', 'e', 5, { note: 'first' }))).toBe(false);
      expect(await ledger.appendLog(entry('k', 'e', 1, { note: 'second' }))).toBe(false);
      expect(await ledger.readLog('k')).toEqual([entry('k', 'e', 5, { note: 'first' })]);
    },
  },
  {
    test: 'entries come back with every field they had and no other',
    async run({ ledger }) {
      const full: LogEntry = {
        ...entry('k', 'full', 1, { kind: 'superseded', note: 'because\n"of" \u0000 😀' }),
        vid: 'a:1',
        by: 'b:2',
        site: 'a',
      };
      const plain = entry('k', 'plain', 2, { kind: 'collected', note: '' });
      await ledger.appendLog(plain);
      await ledger.appendLog(full);
      expect(await ledger.readLog('k')).toStrictEqual([full, plain]);
    },
  },
  {
    test: 'entries are read in the order of their time, then of their id',
    async run({ ledger }) {
      const ordered = [
        entry('k', 'z', 1),
        entry('k', 'a', 9),
        entry('k', 'b', 10),
        entry('k', 'b1', 10),
        entry('k', 'c', 10),
        entry('k', 'a2', 100),
      ];
      for (const it of shuffled(ordered)) expect(await ledger.appendLog(it)).toBe(true);
      expect(await ledger.readLog('k')).toEqual(ordered);
    },
  },
  {
    test: 'every key has a log of its own',
    async run({ ledger }) {
      for (const key of ['k', 'k2', 'K', 'k/'])
        expect(await ledger.appendLog(entry(key, 'same id', 1, { note: key }))).toBe(true);
      for (const key of ['k', 'k2', 'K', 'k/'])
        expect(await ledger.readLog(key)).toEqual([entry(key, 'same id', 1, { note: key })]);
    },
  },
  {
    test: 'awkward keys and ids do not mix',
    async run({ ledger }) {
      for (const key of AWKWARD) for (const id of ['e', key]) await ledger.appendLog(entry(key, id, 1));
      for (const key of AWKWARD) {
        const expected =
          key === 'e' ? ['e'] : ['e', key].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect((await ledger.readLog(key)).map(({ id }) => id)).toEqual(expected);
      }
    },
  },
  {
    test: 'two hundred entries of one key are all read',
    async run({ ledger }) {
      const entries = times(200, (at) => entry('k', `e${at}`, at, { note: 'x'.repeat(500) }));
      for (const it of shuffled(entries)) expect(await ledger.appendLog(it)).toBe(true);
      expect(await ledger.readLog('k')).toEqual(entries);
    },
  },
  {
    test: `of ${RACERS} who append one entry at once one is the first`,
    async run({ ledger }) {
      const racers = times(RACERS, (racer) => ledger.appendLog(entry('k', 'e', racer)));
      expect(await winners(racers, true, false)).toBe(1);
      expect(await ledger.readLog('k')).toHaveLength(1);
    },
  },
  {
    test: 'the log outlives its item and any epoch',
    async run(bench) {
      const { ledger, epoch } = bench;
      await create(bench, item('k'));
      await ledger.appendLog(entry('k', 'e1', 1));
      await forget(ledger, 'k');
      await ledger.advanceEpoch(epoch);
      expect(await ledger.appendLog(entry('k', 'e2', 2))).toBe(true);
      expect((await ledger.readLog('k')).map(({ id }) => id)).toEqual(['e1', 'e2']);
    },
  },
  {
    test: 'an entry without an id or a time is refused by name',
    async run({ ledger }) {
      await refusedFor('entry.id', ledger.appendLog(entry('k', '', 1)));
      await refusedFor('entry.id', ledger.appendLog(entry('k', 'half \ud83d', 1)));
      for (const at of [-1, 0.5, Number.NaN]) await refusedFor('entry.at', ledger.appendLog(entry('k', 'e', at)));
      expect(await ledger.readLog('k')).toEqual([]);
    },
  },
  {
    test: 'the epoch advances by one, only from where it is',
    async run({ ledger, epoch }) {
      expect(await ledger.advanceEpoch(epoch + 1)).toBe(false);
      expect(await ledger.epoch()).toBe(epoch);
      expect(await ledger.advanceEpoch(epoch)).toBe(true);
      expect(await ledger.advanceEpoch(epoch)).toBe(false);
      expect(await ledger.epoch()).toBe(epoch + 1);
      expect(await ledger.get('k')).toEqual({ item: null, epoch: epoch + 1 });
    },
  },
  {
    test: 'the epoch leaps as far as it is told, and fences all that lie between',
    async run({ ledger, epoch }) {
      const far = epoch + 1_700_000_000;
      expect(await ledger.advanceEpoch(epoch + 1, far)).toBe(false);
      expect(await ledger.advanceEpoch(epoch, far)).toBe(true);
      expect(await ledger.advanceEpoch(epoch, far)).toBe(false);
      expect(await ledger.epoch()).toBe(far);
      for (const other of [epoch, epoch + 1, far - 1, far + 1])
        expect(await ledger.compareAndSet(item('k'), { rev: 0, epoch: other })).toBe('fenced');
      expect(await ledger.compareAndSet(item('k'), { rev: 0, epoch: far })).toBe('done');
      expect(await ledger.get('k')).toEqual(stored(item('k'), 1, far));
    },
  },
  {
    test: 'an epoch that does not go forward is refused by name',
    async run({ ledger, epoch }) {
      for (const from of [-1, 0.5, Number.NaN]) await refusedFor('from', ledger.advanceEpoch(from));
      for (const to of [epoch, epoch - 1, epoch + 0.5, Number.NaN])
        await refusedFor('to', ledger.advanceEpoch(epoch, to));
      expect(await ledger.epoch()).toBe(epoch);
    },
  },
  {
    test: `of ${RACERS} who advance the epoch at once one does`,
    async run({ ledger, epoch }) {
      for (let from = epoch; from < epoch + 8; from++) {
        expect(
          await winners(
            times(RACERS, () => ledger.advanceEpoch(from)),
            true,
            false,
          ),
        ).toBe(1);
        expect(await ledger.epoch()).toBe(from + 1);
      }
    },
  },
  {
    test: 'of writes at the moment of an advance each is done or fenced as it was told, and none is done later',
    async run({ ledger, epoch }) {
      const write = (key: string) => ledger.compareAndSet(item(key), { rev: 0, epoch });
      const early = times(RACERS, (index) => write(`early${index}`));
      const advance = ledger.advanceEpoch(epoch);
      const late = times(RACERS, (index) => write(`late${index}`));
      expect(await advance).toBe(true);
      expect(await write('after')).toBe('fenced');
      const swaps = await answers([...early, ...late], 'fenced');
      expect(swaps).not.toContain('lost');
      expect(await allKeys(ledger, 100)).toHaveLength(swaps.filter((swap) => swap === 'done').length);
    },
  },
  {
    test: 'a ledger opened again has all it had',
    needs: 'reopen',
    async run(bench) {
      const { ledger, epoch } = bench;
      await create(bench, rich('k'), ...AWKWARD.map((key, due) => item(key === 'k' ? 'k2' : key, { due })));
      await ledger.appendLog(entry('k', 'e', 1));
      await ledger.swapRecord('r', 0, 'value');
      await ledger.advanceEpoch(epoch);
      const again = await bench.reopen();
      expect(await again.epoch()).toBe(epoch + 1);
      expect(await again.get('k')).toEqual({ ...stored(rich('k'), 1, epoch), epoch: epoch + 1 });
      expect(await allKeys(again, 100)).toHaveLength(AWKWARD.length + 1);
      await bench.eventually(async () => expect(await again.listDue(1000, 100)).toEqual(AWKWARD));
      expect(await again.readLog('k')).toEqual([entry('k', 'e', 1)]);
      expect(await again.getRecord('r')).toEqual({ id: 'r', rev: 1, value: 'value' });
      expect(await again.appendLog(entry('k', 'e', 1))).toBe(false);
      expect(await again.compareAndSet(item('k'), { rev: 1, epoch })).toBe('fenced');
      expect(await again.compareAndSet(item('k'), { rev: 1, epoch: epoch + 1 })).toBe('done');
    },
  },
];
