/** Transactions, optimistic: what they read must still stand when they commit, or they are aborted and wrote nothing. */

import { randomBytes } from 'node:crypto';
import { grpcError } from '../grpc.ts';
import type { TransactionOptions } from './wire.ts';

export interface Transaction {
  readonly id: Buffer;
  readonly readOnly: boolean;
  /** Reads it again and answers what it saw; compared by this text. */
  readonly seen: Map<string, { readonly text: string; again(): string }>;
  usedAt: number;
}

export interface Transactions {
  begin(options: TransactionOptions | null): Transaction;
  /** Throws when there is none of this id, or no more. */
  find(id: Buffer): Transaction;
  /** Remembers a read; throws ABORTED when the same was read before and has changed. */
  remember(transaction: Transaction, what: string, read: () => string): void;
  /** Throws ABORTED when anything it saw has changed. */
  verify(transaction: Transaction): void;
  end(id: Buffer): void;
}

/** Firestore ends a transaction that did nothing for so long. */
const IDLE_MS_MAX = 60_000;
const OPEN_MAX = 10_000;

export function openTransactions(): Transactions {
  const open = new Map<string, Transaction>();

  function dropIdle(now: number): void {
    for (const [key, { usedAt }] of open) if (open.size > OPEN_MAX || now - usedAt > IDLE_MS_MAX) open.delete(key);
  }

  return {
    begin(options) {
      const { readOnly } = options ?? {};
      if (readOnly?.readTime) throw grpcError('UNIMPLEMENTED', 'The local Firestore keeps no versions of the past.');
      const now = performance.now();
      dropIdle(now);
      const begun = { id: randomBytes(24), readOnly: Boolean(readOnly), seen: new Map(), usedAt: now };
      open.set(begun.id.toString('hex'), begun);
      return begun;
    },
    find(id) {
      const now = performance.now();
      dropIdle(now);
      const found = open.get(id.toString('hex'));
      if (found === undefined)
        throw grpcError('INVALID_ARGUMENT', 'The referenced transaction has expired or is no longer valid.');
      found.usedAt = now;
      return found;
    },
    remember(transaction, what, read) {
      const text = read();
      const before = transaction.seen.get(what);
      if (before !== undefined && before.text !== text) throw contention();
      transaction.seen.set(what, { text, again: read });
    },
    verify({ seen }) {
      for (const { text, again } of seen.values()) if (again() !== text) throw contention();
    },
    end: (id) => void open.delete(id.toString('hex')),
  };
}

function contention() {
  return grpcError('ABORTED', 'Too much contention on these documents. Please try again.');
}
