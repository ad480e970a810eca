/** What SQLite's result codes mean to us, for every driver that keeps its data in a SQLite file. */

import { type Fault, type FaultKind, fault, isFault, type Retry } from '../model/fault.ts';

interface Meaning {
  readonly kind: FaultKind;
  readonly retry?: Retry;
}

/** By primary result code, https://sqlite.org/rescode.html; all others are mistakes of our own. */
const MEANINGS: Readonly<Record<number, Meaning>> = {
  3: { kind: 'forbidden' }, // PERM
  5: { kind: 'unavailable' }, // BUSY: another process held the lock for longer than the busy timeout
  6: { kind: 'unavailable' }, // LOCKED
  7: { kind: 'unavailable' }, // NOMEM
  8: { kind: 'forbidden' }, // READONLY
  10: { kind: 'timeout' }, // IOERR: after a failed sync nobody knows what the disk has kept
  11: { kind: 'corrupt', retry: 'never' }, // CORRUPT
  13: { kind: 'unavailable' }, // FULL: the transaction was rolled back
  14: { kind: 'unavailable' }, // CANTOPEN
  15: { kind: 'unavailable' }, // PROTOCOL: many processes opened the file at the same moment
  18: { kind: 'too-large' }, // TOOBIG
  23: { kind: 'forbidden' }, // AUTH
  26: { kind: 'corrupt', retry: 'never' }, // NOTADB
};

export interface SqlitePlace {
  readonly op: string;
  readonly key?: string;
}

/** A Fault stays as it is. */
export function toSqliteFault(error: unknown, place: SqlitePlace): Fault {
  if (isFault(error)) return error;
  const meaning = MEANINGS[resultCodeOf(error)] ?? { kind: 'internal' };
  const text = error instanceof Error ? error.message : String(error);
  const details = { ...place, cause: error, ...(meaning.retry === undefined ? {} : { retry: meaning.retry }) };
  return fault(meaning.kind, `SQLite, ${place.op}: ${text}`, details);
}

/** The lower eight bits; those above say more than anybody here needs. 0: not an error of SQLite. */
function resultCodeOf(error: unknown): number {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return 0;
  return typeof error.errcode === 'number' ? error.errcode & 0xff : 0;
}
