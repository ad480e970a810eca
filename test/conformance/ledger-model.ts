/** Conformance of a ledger: any sequence of calls is answered as by a Map. */

import fc from 'fast-check';
import { expect } from 'vitest';
import type { Ledger, LedgerRead, LedgerRecord, Swap } from '#shared/ledger/ledger.ts';
import type { KeyItem } from '#shared/model/key-item.ts';
import type { LogEntry } from '#shared/model/log-entry.ts';
import { entry, noted } from './ledger-samples.ts';

/** Few, so that calls meet each other. */
const KEYS = ['a', 'a/b', 'é', '\uffff', '😀'];
const IDS = ['p/1', 'p/2', 'p_1', 'q'];
const CALLS_MAX = 60;

/** Relative to what is right at that moment. */
const anyOffset = fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.constantFrom(-1, 1, 2));
const anyKey = fc.constantFrom(...KEYS);
const anyId = fc.constantFrom(...IDS);
const anyTime = fc.nat({ max: 5 });
const anyLimit = fc.integer({ min: 1, max: 6 });
const anyAfter = fc.option(fc.constantFrom('', 'a', 'b', 'p/1', '\ud7ff', '\uffff'), { nil: undefined });

const anyCall = fc.oneof(
  fc.record({ call: fc.constant('get' as const), key: anyKey }),
  {
    weight: 4,
    arbitrary: fc.record({
      call: fc.constant('compareAndSet' as const),
      key: anyKey,
      rev: anyOffset,
      epoch: anyOffset,
      reason: fc.string({ maxLength: 3 }),
      due: fc.option(anyTime),
      unlisted: fc.boolean(),
    }),
  },
  fc.record({ call: fc.constant('remove' as const), key: anyKey, rev: anyOffset, epoch: anyOffset }),
  fc.record({ call: fc.constant('listDue' as const), now: anyTime, limit: anyLimit }),
  fc.record({ call: fc.constant('listKeys' as const), after: anyAfter, limit: anyLimit }),
  fc.record({ call: fc.constant('appendLog' as const), key: anyKey, id: anyId, at: anyTime }),
  fc.record({ call: fc.constant('readLog' as const), key: anyKey }),
  fc.record({ call: fc.constant('advanceEpoch' as const), from: anyOffset, by: fc.constantFrom(undefined, 1, 2) }),
  {
    weight: 2,
    arbitrary: fc.record({
      call: fc.constant('swapRecord' as const),
      id: anyId,
      rev: anyOffset,
      value: fc.option(fc.string({ maxLength: 3 })),
    }),
  },
  fc.record({
    call: fc.constant('listRecords' as const),
    prefix: fc.constantFrom('', 'p', 'p/', 'p_', 'x'),
    after: anyAfter,
    limit: anyLimit,
  }),
);
type Call = typeof anyCall extends fc.Arbitrary<infer T> ? T : never;

export const anyCalls: fc.Arbitrary<readonly Call[]> = fc.array(anyCall, { maxLength: CALLS_MAX, size: 'max' });

/** `dueLags`: what listDue answers is not compared. */
export async function runLikeModel(ledger: Ledger, calls: readonly Call[], dueLags: boolean): Promise<void> {
  const model = openModel(await ledger.epoch());
  for (const call of calls) {
    const [answer, expected] = await both(ledger, model, call);
    if (!(call.call === 'listDue' && dueLags)) expect({ call, answer }).toEqual({ call, answer: expected });
  }
  expect(await ledger.listKeys({ limit: 100 })).toEqual(model.listKeys('', 100));
  expect(await ledger.listRecords({ prefix: '', limit: 100 })).toEqual(model.listRecords('', '', 100));
  for (const key of KEYS) {
    expect(await ledger.get(key)).toEqual(model.get(key));
    expect(await ledger.readLog(key)).toEqual(model.readLog(key));
  }
}

async function both(ledger: Ledger, model: Model, call: Call): Promise<readonly [answer: unknown, expected: unknown]> {
  switch (call.call) {
    case 'get':
      return [await ledger.get(call.key), model.get(call.key)];
    case 'compareAndSet': {
      const next = noted(call.key, call.reason, {
        due: call.due,
        ...(call.unlisted && call.due !== null && { unlisted: true }),
      });
      const expected = model.expectation(call.key, call.rev, call.epoch);
      return [await ledger.compareAndSet(next, expected), model.compareAndSet(next, expected)];
    }
    case 'remove': {
      const expected = model.expectation(call.key, call.rev, call.epoch);
      return [await ledger.remove(call.key, expected), model.remove(call.key, expected)];
    }
    case 'listDue': {
      const answer = await ledger.listDue(call.now, call.limit);
      return [model.dues(answer), model.listDue(call.now, call.limit)];
    }
    case 'listKeys': {
      const page = call.after === undefined ? {} : { after: call.after };
      return [await ledger.listKeys({ ...page, limit: call.limit }), model.listKeys(call.after ?? '', call.limit)];
    }
    case 'appendLog': {
      const it = entry(call.key, call.id, call.at);
      return [await ledger.appendLog(it), model.appendLog(it)];
    }
    case 'readLog':
      return [await ledger.readLog(call.key), model.readLog(call.key)];
    case 'advanceEpoch': {
      const from = Math.max(0, model.epoch() + call.from);
      if (call.by === undefined) return [await ledger.advanceEpoch(from), model.advanceEpoch(from, from + 1)];
      return [await ledger.advanceEpoch(from, from + call.by), model.advanceEpoch(from, from + call.by)];
    }
    case 'swapRecord': {
      const rev = Math.max(0, model.recordRev(call.id) + call.rev);
      return [await ledger.swapRecord(call.id, rev, call.value), model.swapRecord(call.id, rev, call.value)];
    }
    case 'listRecords': {
      const { prefix, after, limit } = call;
      const page = after === undefined ? {} : { after };
      return [await ledger.listRecords({ prefix, ...page, limit }), model.listRecords(prefix, after ?? '', limit)];
    }
  }
}

interface Expected {
  readonly rev: number;
  readonly epoch: number;
}

type Model = ReturnType<typeof openModel>;

function openModel(firstEpoch: number) {
  const items = new Map<string, KeyItem>();
  const log: LogEntry[] = [];
  const records = new Map<string, LedgerRecord>();
  let epoch = firstEpoch;

  function swap(key: string, expected: Expected, change: () => void): Swap {
    if (expected.epoch !== epoch) return 'fenced';
    if (expected.rev !== (items.get(key)?.rev ?? 0)) return 'lost';
    change();
    return 'done';
  }

  return {
    epoch: () => epoch,
    recordRev: (id: string) => records.get(id)?.rev ?? 0,
    expectation: (key: string, rev: number, offset: number): Expected => ({
      rev: Math.max(0, (items.get(key)?.rev ?? 0) + rev),
      epoch: Math.max(0, epoch + offset),
    }),
    get: (key: string): LedgerRead => ({ item: items.get(key) ?? null, epoch }),
    compareAndSet: (next: KeyItem, expected: Expected) =>
      swap(next.key, expected, () => items.set(next.key, { ...next, rev: expected.rev + 1, epoch })),
    remove: (key: string, expected: Expected) => swap(key, expected, () => items.delete(key)),
    /** The times alone: among keys due at one moment any order will do. */
    dues: (keys: readonly string[]) => keys.map((key) => items.get(key)?.due),
    listDue: (now: number, limit: number) =>
      [...items.values()]
        .flatMap(({ due, unlisted }) => (due !== null && due <= now && !unlisted ? [due] : []))
        .sort((a, b) => a - b)
        .slice(0, limit),
    listKeys: (after: string, limit: number) => page([...items.keys()], after, limit),
    appendLog(it: LogEntry): boolean {
      if (log.some(({ key, id }) => key === it.key && id === it.id)) return false;
      log.push(it);
      return true;
    },
    readLog: (key: string) => log.filter((it) => it.key === key).sort((a, b) => a.at - b.at || byBytes(a.id, b.id)),
    advanceEpoch(from: number, to: number): boolean {
      if (from !== epoch) return false;
      epoch = to;
      return true;
    },
    swapRecord(id: string, rev: number, value: string | null): boolean {
      if (rev !== (records.get(id)?.rev ?? 0)) return false;
      if (value === null) records.delete(id);
      else records.set(id, { id, rev: rev + 1, value });
      return true;
    },
    listRecords: (prefix: string, after: string, limit: number) => {
      const ids = [...records.keys()].filter((id) => id.startsWith(prefix));
      return page(ids, after, limit).map((id) => records.get(id));
    },
  };
}

function page(names: readonly string[], after: string, limit: number): readonly string[] {
  return names
    .filter((name) => byBytes(name, after) > 0)
    .sort(byBytes)
    .slice(0, limit);
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
