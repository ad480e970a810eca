/** A ledger in one SQLite file, which several processes of one machine may open at the same time. */

import type { SQLInputValue, StatementSync } from 'node:sqlite';
import { type KeyItem, listedAt } from '../model/key-item.ts';
import { checkKey } from '../model/key-map.ts';
import type { LogEntry } from '../model/log-entry.ts';
import { toSqliteFault } from '../sqlite/fault.ts';
import { openSqliteFile, type Tenant } from '../sqlite/sqlite.ts';
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

export interface SqliteLedgerOptions {
  /** How long a call may wait, and this process with it, until other processes let go of the file. */
  readonly busyTimeoutMs?: number;
  /**
   * Runs something when what else is to be done now has been done: writes that are asked for until then share one commit,
   * and one wait for the disk. Left out: each write is committed by itself, at once.
   */
  readonly soon?: (run: () => void) => void;
}

/** A write that has been asked for. */
interface Waiting {
  readonly run: () => unknown;
  readonly done: (answer: unknown) => void;
  readonly failed: (error: unknown) => void;
}

const BUSY_TIMEOUT_MS = 5_000;

/**
 * The file may hold a queue as well, so each of them has one half of user_version: this is the lower one.
 * Text is compared by its UTF-8 bytes (collation BINARY), which is the order the contract asks for.
 */
const TABLES = `
  CREATE TABLE ledger_items (key TEXT NOT NULL PRIMARY KEY, rev INTEGER NOT NULL, due INTEGER, item TEXT NOT NULL) STRICT;
  CREATE INDEX ledger_items_due ON ledger_items (due, key) WHERE due IS NOT NULL;
  CREATE TABLE ledger_log (
    key TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, entry TEXT NOT NULL, PRIMARY KEY (key, id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE ledger_records (id TEXT NOT NULL PRIMARY KEY, rev INTEGER NOT NULL, value TEXT NOT NULL) STRICT;
  CREATE TABLE ledger_epoch (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL) STRICT;
  INSERT INTO ledger_epoch VALUES (1, 1);
`;

const TENANT: Tenant = { name: 'ledger', half: 'lower', schema: 1, tables: TABLES };

const EPOCH = '(SELECT epoch FROM ledger_epoch)';

/**
 * A write that was answered survives the end of the process and of the power: every commit is synced before it is
 * answered. Calls run in the calling thread, so none of them waits for another call of the same process longer than for
 * the commit they share.
 */
export function openSqliteLedger(path: string, options: SqliteLedgerOptions = {}): Ledger {
  const db = openSqliteFile(path, options.busyTimeoutMs ?? BUSY_TIMEOUT_MS, TENANT);
  let waiting: Waiting[] = [];
  const sql = {
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    rollback: db.prepare('ROLLBACK'),
    mark: db.prepare('SAVEPOINT one_of_many'),
    keep: db.prepare('RELEASE one_of_many'),
    undo: db.prepare('ROLLBACK TO one_of_many'),
    get: db.prepare(`SELECT ${EPOCH} AS epoch, rev, item FROM (SELECT 1) LEFT JOIN ledger_items ON key = ?`),
    create: db.prepare(
      `INSERT INTO ledger_items (key, rev, due, item) SELECT ?, 1, ?, ? WHERE ${EPOCH} = ? ON CONFLICT DO NOTHING`,
    ),
    update: db.prepare(
      `UPDATE ledger_items SET rev = rev + 1, due = ?, item = ? WHERE key = ? AND rev = ? AND ${EPOCH} = ?`,
    ),
    remove: db.prepare(`DELETE FROM ledger_items WHERE key = ? AND rev = ? AND ${EPOCH} = ?`),
    listDue: db.prepare('SELECT key FROM ledger_items WHERE due <= ? ORDER BY due, key LIMIT ?'),
    listKeys: db.prepare('SELECT key FROM ledger_items WHERE key > ? ORDER BY key LIMIT ?'),
    appendLog: db.prepare('INSERT INTO ledger_log (key, id, at, entry) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING'),
    readLog: db.prepare('SELECT entry FROM ledger_log WHERE key = ? ORDER BY at, id'),
    epoch: db.prepare(`SELECT ${EPOCH} AS epoch`),
    advanceEpoch: db.prepare('UPDATE ledger_epoch SET epoch = ? WHERE epoch = ?'),
    getRecord: db.prepare('SELECT id, rev, value FROM ledger_records WHERE id = ?'),
    createRecord: db.prepare('INSERT INTO ledger_records (id, rev, value) VALUES (?, 1, ?) ON CONFLICT DO NOTHING'),
    updateRecord: db.prepare('UPDATE ledger_records SET rev = rev + 1, value = ? WHERE id = ? AND rev = ?'),
    removeRecord: db.prepare('DELETE FROM ledger_records WHERE id = ? AND rev = ?'),
    listRecords: db.prepare('SELECT id, rev, value FROM ledger_records WHERE id >= ? AND id > ? ORDER BY id'),
  };

  function ask<T>(op: string, key: string | undefined, body: () => T): T {
    try {
      return body();
    } catch (error) {
      throw toSqliteFault(error, key === undefined ? { op } : { op, key });
    }
  }

  function write<T>(op: string, key: string | undefined, run: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const failed = (error: unknown) => reject(toSqliteFault(error, key === undefined ? { op } : { op, key }));
      waiting.push({ run, done: resolve as Waiting['done'], failed });
      if (options.soon === undefined) commit();
      else if (waiting.length === 1) options.soon(commit);
    });
  }

  /** The write lock first: a transaction that read before it got the lock could not get it any more. */
  function commit(): void {
    const group = waiting;
    waiting = [];
    if (group.length === 0) return;
    try {
      sql.begin.run();
      const answers = group.length === 1 ? group.map(answerOf) : group.map(attempt);
      sql.commit.run();
      for (const answer of answers) answer();
    } catch (error) {
      for (const { failed } of group) failed(error);
      // What cannot be rolled back now is when the file is closed.
      if (db.isOpen && db.isTransaction) sql.rollback.run();
    }
  }

  function answerOf({ run, done }: Waiting): () => void {
    const answer = run();
    return () => done(answer);
  }

  /** One that fails undoes itself alone, unless SQLite has undone them all. */
  function attempt(one: Waiting): () => void {
    sql.mark.run();
    try {
      const answer = answerOf(one);
      sql.keep.run();
      return answer;
    } catch (error) {
      if (!db.isTransaction) throw error;
      sql.undo.run();
      sql.keep.run();
      return () => one.failed(error);
    }
  }

  function changesOne(statement: StatementSync, ...values: SQLInputValue[]): boolean {
    return Number(statement.run(...values).changes) === 1;
  }

  function epochNow(): number {
    return rowOf<{ epoch: number }>(sql.epoch.get()).epoch;
  }

  function swap(op: string, key: string, expected: Expected, body: () => boolean): Promise<Swap> {
    return write(op, key, () => {
      if (body()) return 'done';
      return epochNow() === expected.epoch ? 'lost' : 'fenced';
    });
  }

  return {
    async get(key: string): Promise<LedgerRead> {
      checkKey(key);
      return ask('get', key, () => {
        const { epoch, rev, item } = rowOf<ItemRow>(sql.get.get(key));
        return { item: rev === null || item === null ? null : readItemText(item, key, rev), epoch };
      });
    },

    async compareAndSet(next: KeyItem, expected: Expected): Promise<Swap> {
      const { key } = next;
      const due = listedAt(next);
      const { rev, epoch } = expected;
      const text = toItemText(next, expected);
      return swap('compareAndSet', key, expected, () =>
        rev === 0 ? changesOne(sql.create, key, due, text, epoch) : changesOne(sql.update, due, text, key, rev, epoch),
      );
    },

    async remove(key: string, expected: Expected): Promise<Swap> {
      checkExpected(key, expected);
      const { rev, epoch } = expected;
      return swap('remove', key, expected, () => {
        if (rev > 0) return changesOne(sql.remove, key, rev, epoch);
        const row = rowOf<ItemRow>(sql.get.get(key));
        return row.rev === null && row.epoch === epoch;
      });
    },

    async listDue(now: number, limit: number): Promise<readonly string[]> {
      checkLimit(limit);
      return ask('listDue', undefined, () => rowsOf<KeyRow>(sql.listDue.all(now, limit)).map(({ key }) => key));
    },

    async listKeys({ after = '', limit }: { readonly after?: string; readonly limit: number }) {
      checkUnicode(after, 'after');
      checkLimit(limit);
      return ask('listKeys', undefined, () => rowsOf<KeyRow>(sql.listKeys.all(after, limit)).map(({ key }) => key));
    },

    async appendLog(entry: LogEntry): Promise<boolean> {
      const text = toEntryText(entry);
      const { key, id, at } = entry;
      return write('appendLog', key, () => changesOne(sql.appendLog, key, id, at, text));
    },

    async readLog(key: string): Promise<readonly LogEntry[]> {
      checkKey(key);
      return ask('readLog', key, () =>
        rowsOf<{ entry: string }>(sql.readLog.all(key)).map(({ entry }) => readEntryText(entry)),
      );
    },

    async epoch(): Promise<number> {
      return ask('epoch', undefined, epochNow);
    },

    async advanceEpoch(from: number, to = from + 1): Promise<boolean> {
      checkEpochs(from, to);
      return write('advanceEpoch', undefined, () => changesOne(sql.advanceEpoch, to, from));
    },

    async getRecord(id: string): Promise<LedgerRecord | null> {
      checkText(id, 'id');
      return ask('getRecord', id, () => {
        const row = sql.getRecord.get(id);
        return row === undefined ? null : toRecord(row);
      });
    },

    async swapRecord(id: string, rev: number, value: string | null): Promise<boolean> {
      checkText(id, 'id');
      checkCount(rev, 'rev');
      if (value !== null) checkUnicode(value, 'value');
      return write('swapRecord', id, () => {
        if (value === null)
          return rev === 0 ? sql.getRecord.get(id) === undefined : changesOne(sql.removeRecord, id, rev);
        return rev === 0 ? changesOne(sql.createRecord, id, value) : changesOne(sql.updateRecord, value, id, rev);
      });
    },

    async listRecords(query: { readonly prefix: string; readonly after?: string; readonly limit: number }) {
      const { prefix, after = '', limit } = query;
      checkUnicode(prefix, 'prefix');
      checkUnicode(after, 'after');
      checkLimit(limit);
      return ask('listRecords', undefined, () => {
        const found: LedgerRecord[] = [];
        for (const row of sql.listRecords.iterate(prefix, after)) {
          const record = toRecord(row);
          if (!record.id.startsWith(prefix)) break;
          found.push(record);
          if (found.length === limit) break;
        }
        return found;
      });
    },

    async close(): Promise<void> {
      if (!db.isOpen) return;
      commit();
      ask('close', undefined, () => db.close());
    },
  };
}

interface ItemRow {
  readonly epoch: number;
  /** null, both of them: no such item. */
  readonly rev: number | null;
  readonly item: string | null;
}

interface KeyRow {
  readonly key: string;
}

function toRecord(row: unknown): LedgerRecord {
  const { id, rev, value } = row as LedgerRecord;
  return { id, rev, value };
}

function rowOf<T>(row: unknown): T {
  return row as T;
}

function rowsOf<T>(rows: readonly unknown[]): readonly T[] {
  return rows as readonly T[];
}
