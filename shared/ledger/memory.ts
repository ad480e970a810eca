/** A ledger in memory: the reference for every other driver, and what simulations run on. */

import { type KeyItem, listedAt } from '../model/key-item.ts';
import { checkKey } from '../model/key-map.ts';
import type { LogEntry } from '../model/log-entry.ts';
import type { Ledger, LedgerRead, LedgerRecord, Swap } from './ledger.ts';
import {
  checkCount,
  checkEpochs,
  checkExpected,
  checkLimit,
  checkText,
  checkUnicode,
  type Expected,
  readEntryText,
  readItemText,
  toEntryText,
  toItemText,
} from './stored.ts';

export interface MemoryLedger extends Ledger {
  /** Puts a text where the item of this key is stored, at the next revision, as a defective program might. */
  plantRow(key: string, text: string): void;
}

/** Never changes; a newer revision is a new row. Texts, so that no caller holds what another one reads. */
interface Row {
  readonly rev: number;
  readonly text: string;
}

interface LoggedText {
  readonly at: number;
  readonly id: string;
  readonly text: string;
}

const FIRST_EPOCH = 1;

/** Everything is gone with the process, and `close` changes nothing: who holds the ledger can go on. */
export function openMemoryLedger(): MemoryLedger {
  const rows = openSortedMap<Row>();
  const dues = new Map<string, number>();
  const logs = new Map<string, Map<string, LoggedText>>();
  const records = openSortedMap<LedgerRecord>();
  let epoch = FIRST_EPOCH;

  function refusal(key: string, expected: Expected): Exclude<Swap, 'done'> | null {
    if (expected.epoch !== epoch) return 'fenced';
    return expected.rev === (rows.get(key)?.rev ?? 0) ? null : 'lost';
  }

  return {
    async get(key: string): Promise<LedgerRead> {
      const row = rows.get(checkKey(key));
      return { item: row === undefined ? null : readItemText(row.text, key, row.rev), epoch };
    },

    async compareAndSet(next: KeyItem, expected: Expected): Promise<Swap> {
      const { key } = next;
      const due = listedAt(next);
      const text = toItemText(next, expected);
      const refused = refusal(key, expected);
      if (refused !== null) return refused;
      rows.set(key, { rev: expected.rev + 1, text });
      if (due === null) dues.delete(key);
      else dues.set(key, due);
      return 'done';
    },

    async remove(key: string, expected: Expected): Promise<Swap> {
      checkExpected(key, expected);
      const refused = refusal(key, expected);
      if (refused !== null) return refused;
      rows.delete(key);
      dues.delete(key);
      return 'done';
    },

    async listDue(now: number, limit: number): Promise<readonly string[]> {
      checkLimit(limit);
      const found: [key: string, due: number][] = [];
      for (const entry of dues) if (entry[1] <= now) found.push(entry);
      found.sort((a, b) => a[1] - b[1] || compareUtf8(a[0], b[0]));
      return found.slice(0, limit).map(([key]) => key);
    },

    async listKeys({ after = '', limit }: { readonly after?: string; readonly limit: number }) {
      checkUnicode(after, 'after');
      checkLimit(limit);
      const keys = rows.keys();
      const from = firstAfter(keys, after);
      return keys.slice(from, from + limit);
    },

    async appendLog(entry: LogEntry): Promise<boolean> {
      const text = toEntryText(entry);
      const { key, id, at } = entry;
      const log = logs.get(key) ?? new Map<string, LoggedText>();
      if (log.has(id)) return false;
      logs.set(key, log.set(id, { at, id, text }));
      return true;
    },

    async readLog(key: string): Promise<readonly LogEntry[]> {
      const log = [...(logs.get(checkKey(key))?.values() ?? [])];
      return log.sort((a, b) => a.at - b.at || compareUtf8(a.id, b.id)).map(({ text }) => readEntryText(text));
    },

    async epoch(): Promise<number> {
      return epoch;
    },

    async advanceEpoch(from: number, to = from + 1): Promise<boolean> {
      checkEpochs(from, to);
      if (from !== epoch) return false;
      epoch = to;
      return true;
    },

    async getRecord(id: string): Promise<LedgerRecord | null> {
      checkText(id, 'id');
      const record = records.get(id);
      return record === undefined ? null : { ...record };
    },

    async swapRecord(id: string, rev: number, value: string | null): Promise<boolean> {
      checkText(id, 'id');
      checkCount(rev, 'rev');
      if (value !== null) checkUnicode(value, 'value');
      if (rev !== (records.get(id)?.rev ?? 0)) return false;
      if (value === null) records.delete(id);
      else records.set(id, { id, rev: rev + 1, value });
      return true;
    },

    async listRecords(query: { readonly prefix: string; readonly after?: string; readonly limit: number }) {
      const { prefix, after = '', limit } = query;
      checkUnicode(prefix, 'prefix');
      checkUnicode(after, 'after');
      checkLimit(limit);
      const ids = records.keys();
      const found: LedgerRecord[] = [];
      for (let i = firstAfter(ids, after); i < ids.length && found.length < limit; i++) {
        const id = ids[i] as string;
        if (id.startsWith(prefix)) found.push({ ...(records.get(id) as LedgerRecord) });
      }
      return found;
    },

    async close(): Promise<void> {},

    plantRow(key: string, text: string): void {
      rows.set(checkKey(key), { rev: (rows.get(key)?.rev ?? 0) + 1, text });
    },
  };
}

interface SortedMap<V> {
  get(key: string): V | undefined;
  set(key: string, value: V): void;
  delete(key: string): void;
  /** In the order of their UTF-8 bytes. */
  keys(): readonly string[];
}

/** Sorts only when somebody lists after a key came or went: most calls change what is there already. */
function openSortedMap<V>(): SortedMap<V> {
  const values = new Map<string, V>();
  let sorted: readonly string[] | null = null;
  return {
    get: (key) => values.get(key),
    set(key, value) {
      const size = values.size;
      values.set(key, value);
      if (values.size !== size) sorted = null;
    },
    delete(key) {
      if (values.delete(key)) sorted = null;
    },
    keys() {
      sorted ??= [...values.keys()].sort(compareUtf8);
      return sorted;
    },
  };
}

function firstAfter(sorted: readonly string[], after: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareUtf8(sorted[middle] as string, after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** JavaScript's own order is that of UTF-16 units, where an emoji comes before U+FFFF. */
function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Halves of surrogate pairs stand for characters above all others. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
