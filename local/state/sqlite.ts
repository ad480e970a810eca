/** The database of one local cloud: a file that survives kill -9, or memory. Calls are synchronous, so a transaction is one turn. */

import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';

export type SqlValue = SQLInputValue;

export interface Database {
  /** Several statements without parameters: tables and indexes, written so that they may run again. */
  define(schema: string): void;
  /** Answers how many rows were changed, and the row id of an insert. */
  run(sql: string, ...values: readonly SqlValue[]): { readonly changes: number; readonly rowId: number };
  get<Row>(sql: string, ...values: readonly SqlValue[]): Row | undefined;
  all<Row>(sql: string, ...values: readonly SqlValue[]): readonly Row[];
  /** All or nothing; may be nested, then the outermost one counts. `body` must not wait for anything. */
  transaction<T>(body: () => T): T;
  /** Runs after the outermost transaction has been committed; never when it is rolled back. At once outside of one. */
  afterCommit(then: () => void): void;
  close(): void;
}

/** `path` null: in memory, gone with the process. */
export function openDatabase(path: string | null): Database {
  const db = new DatabaseSync(path ?? ':memory:');
  // The operating system keeps what a killed process wrote; only a power cut could take the last few writes.
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;');
  const statements = new Map<string, StatementSync>();
  let depth = 0;
  let waiting: (() => void)[] = [];

  function prepared(sql: string): StatementSync {
    let statement = statements.get(sql);
    if (statement === undefined) {
      statement = db.prepare(sql);
      statements.set(sql, statement);
    }
    return statement;
  }

  return {
    define: (schema) => db.exec(schema),
    run(sql, ...values) {
      const { changes, lastInsertRowid } = prepared(sql).run(...values);
      return { changes: Number(changes), rowId: Number(lastInsertRowid) };
    },
    get: <Row>(sql: string, ...values: readonly SqlValue[]) => prepared(sql).get(...values) as Row | undefined,
    all: <Row>(sql: string, ...values: readonly SqlValue[]) =>
      prepared(sql).all(...values) as unknown[] as readonly Row[],
    transaction(body) {
      if (depth > 0) return body();
      db.exec('BEGIN IMMEDIATE');
      depth = 1;
      try {
        const answer = body();
        db.exec('COMMIT');
        depth = 0;
        const then = waiting;
        waiting = [];
        for (const each of then) each();
        return answer;
      } catch (error) {
        if (depth > 0) db.exec('ROLLBACK');
        depth = 0;
        waiting = [];
        throw error;
      }
    },
    afterCommit(then) {
      if (depth > 0) waiting.push(then);
      else then();
    },
    close() {
      statements.clear();
      db.close();
    },
  };
}
