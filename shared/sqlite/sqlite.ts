/** Opens a SQLite file that several processes share, with the tables of whoever asks. */

import { DatabaseSync } from 'node:sqlite';
import { Fault, invalid } from '../model/fault.ts';
import { toSqliteFault } from './fault.ts';

/** One user of a file. Two may share it: each has one half of user_version for the number of its schema. */
export interface Tenant {
  /** What it is called when something is wrong with it. */
  readonly name: string;
  readonly half: 'lower' | 'upper';
  readonly schema: number;
  readonly tables: string;
}

const WAL_ATTEMPTS_MAX = 10;
const UPPER = 0x10000;

/** Every commit is synced before it is answered. */
export function openSqliteFile(path: string, busyTimeoutMs: number, tenant: Tenant): DatabaseSync {
  if (!Number.isSafeInteger(busyTimeoutMs) || busyTimeoutMs < 0)
    throw invalid('busyTimeoutMs', busyTimeoutMs, 'an integer >= 0');
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(path, { timeout: busyTimeoutMs });
    prepareFile(db, path, tenant);
    return db;
  } catch (error) {
    if (db?.isOpen) db.close();
    throw toSqliteFault(error, { op: 'open' });
  }
}

function prepareFile(db: DatabaseSync, path: string, tenant: Tenant): void {
  if (useWriteAheadLog(db) !== 'wal') throw new Fault('unsupported', `${path}: SQLite keeps no write-ahead log there`);
  // macOS needs fullfsync for what fsync does elsewhere.
  db.exec('PRAGMA synchronous = FULL; PRAGMA fullfsync = ON');
  if (schemaOf(db, path, tenant) === tenant.schema) return;
  db.exec('BEGIN IMMEDIATE');
  const step = tenant.half === 'lower' ? tenant.schema : tenant.schema * UPPER;
  // Another process may have made the tables since.
  if (schemaOf(db, path, tenant) === 0) db.exec(`${tenant.tables} PRAGMA user_version = ${userVersion(db) + step}`);
  db.exec('COMMIT');
}

/** Here SQLite refuses to wait when others do the same at the same moment; for the lock it waits. */
function useWriteAheadLog(db: DatabaseSync): unknown {
  for (let attempt = 1; ; attempt++) {
    try {
      return db.prepare('PRAGMA journal_mode = WAL').get()?.journal_mode;
    } catch (error) {
      if (attempt === WAL_ATTEMPTS_MAX || toSqliteFault(error, { op: 'open' }).kind !== 'unavailable') throw error;
      db.exec('BEGIN EXCLUSIVE; COMMIT');
    }
  }
}

function schemaOf(db: DatabaseSync, path: string, { name, half, schema: known }: Tenant): number {
  const schema = half === 'lower' ? userVersion(db) & (UPPER - 1) : userVersion(db) >>> 16;
  if (schema <= known) return schema;
  const details = { op: 'open', field: 'user_version', value: schema };
  throw new Fault('unsupported', `${path}: its ${name} has schema ${schema}, this program knows ${known}`, details);
}

function userVersion(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.user_version);
}
