/** The contract every ledger driver keeps: one linearizable item per key, changed only by compare-and-set. */

import type { KeyItem } from '../model/key-item.ts';
import type { LogEntry } from '../model/log-entry.ts';

export interface LedgerRead {
  readonly item: KeyItem | null;
  /** The ledger's epoch, read together with the item. */
  readonly epoch: number;
}

/** lost: somebody else changed the item first. fenced: the ledger has moved to a newer epoch. */
export type Swap = 'done' | 'lost' | 'fenced';

/** A small record beside the items: jobs, parts, cursors. `rev` works as for items. */
export interface LedgerRecord {
  readonly id: string;
  readonly rev: number;
  readonly value: string;
}

/**
 * Reads are strong. A write that answers 'done' is durable; 'lost' and 'fenced' wrote nothing; Fault 'timeout' may have
 * written. A row that cannot be read as an item is Fault 'invalid' naming the field: it is never overwritten by guess.
 */
export interface Ledger {
  get(key: string): Promise<LedgerRead>;

  /**
   * Stores `next` if the item's rev is still `expected.rev` (0: no item yet) and the ledger's epoch is `expected.epoch`.
   * The driver stores rev + 1 and the epoch; `next.rev` and `next.epoch` are ignored.
   */
  compareAndSet(next: KeyItem, expected: { readonly rev: number; readonly epoch: number }): Promise<Swap>;

  /** Forgets the item, under the same conditions. */
  remove(key: string, expected: { readonly rev: number; readonly epoch: number }): Promise<Swap>;

  /** Keys listed (`listedAt`) at or before `now`, the most overdue first. May lag behind; it only finds keys. */
  listDue(now: number, limit: number): Promise<readonly string[]>;

  /** Keys of all items in key order (UTF-8 bytes), greater than `after`. */
  listKeys(query: { readonly after?: string; readonly limit: number }): Promise<readonly string[]>;

  /** True when new, false when an entry with this key and id is there already; the first one stays. */
  appendLog(entry: LogEntry): Promise<boolean>;
  /** Entries of one key, in the order of their `at`, then id. */
  readLog(key: string): Promise<readonly LogEntry[]>;

  epoch(): Promise<number>;
  /** True when the epoch was `from` and is now `to` (the next one unless given); every write with another one is 'fenced'. */
  advanceEpoch(from: number, to?: number): Promise<boolean>;

  getRecord(id: string): Promise<LedgerRecord | null>;
  /** Stores `value` if the record's rev is still `rev` (0: no record yet); null removes it. False: lost. */
  swapRecord(id: string, rev: number, value: string | null): Promise<boolean>;
  /** Records whose id starts with `prefix`, in id order, ids greater than `after`. */
  listRecords(query: {
    readonly prefix: string;
    readonly after?: string;
    readonly limit: number;
  }): Promise<readonly LedgerRecord[]>;

  close(): Promise<void>;
}
