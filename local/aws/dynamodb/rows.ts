/** The items of all tables and what their indexes show of them, in SQLite, in the order in which they are asked for. */

import type { Database, SqlValue } from '../../state/sqlite.ts';
import { type KeyParts, type Place, partsOf, placeInIndex } from './keys.ts';
import type { Index, Measure, Table } from './tables.ts';
import { type Item, isSame, itemBytes } from './values.ts';

export interface Row {
  readonly spot: number;
  readonly hash: Uint8Array;
  readonly range: Uint8Array;
  /** Of the item in its table, where this is a row of an index. */
  readonly base_hash: Uint8Array;
  readonly base_range: Uint8Array;
  readonly size: number;
  readonly item: string;
}

/** Which rows of a table (index '') or of one of its indexes, and from where on. */
export interface Span {
  readonly table: Table;
  readonly index: string;
  /** One partition key, or all whose spots lie between these, the second one excluded. */
  readonly of: { readonly spot: number; readonly hash: Uint8Array } | { readonly spots: readonly [number, number] };
  /** Conditions on `range`, each with one value. */
  readonly ranges: readonly (readonly [operator: '=' | '<' | '<=' | '>' | '>=', bytes: Uint8Array])[];
  readonly backwards: boolean;
  /** Exclusive. */
  readonly after: Pick<Row, 'spot' | 'hash' | 'range' | 'base_hash' | 'base_range'> | null;
}

export interface Rows {
  find(table: Table, place: Place): Item | null;
  /** Answers the write units of each index, so far as it changes. null: nothing stood there, or nothing is to stand. */
  store(table: Table, place: Place, old: Item | null, next: Item | null): Readonly<Record<string, number>>;
  page(span: Span, limit: number): readonly Row[];
  /** Fills an index that is new. */
  fill(table: Table, index: Index): void;
  dropIndex(table: Table, index: string): void;
  drop(table: Table): void;
  measure(table: Table, index: string): Measure;
  /** Notes anew when the items of a table may go. */
  noteExpiry(table: Table): void;
  expired(table: Table, now: number, limit: number): readonly Item[];
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS dynamodb_rows (
    tid INTEGER NOT NULL, idx TEXT NOT NULL, spot INTEGER NOT NULL, hash BLOB NOT NULL, range BLOB NOT NULL,
    base_hash BLOB NOT NULL, base_range BLOB NOT NULL, appears INTEGER NOT NULL, vanishes INTEGER, expires INTEGER,
    size INTEGER NOT NULL, item TEXT NOT NULL,
    PRIMARY KEY (tid, idx, spot, hash, range, base_hash, base_range, appears)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS dynamodb_rows_vanishes ON dynamodb_rows (vanishes) WHERE vanishes IS NOT NULL;
  CREATE INDEX IF NOT EXISTS dynamodb_rows_expires ON dynamodb_rows (tid, expires) WHERE expires IS NOT NULL;
`;

const NONE = new Uint8Array();
const KIB = 1024;
/** So often what indexes no longer show is thrown away. */
const WRITES_PER_SWEEP = 500;
/** DynamoDB takes a time to live that lies further back for a mistake. */
const EXPIRY_AGE_SECONDS_MAX = 5 * 365 * 24 * 3600;

/** `indexLagMs`: so late a global index shows what happened to its table. */
export function openRows(db: Database, now: () => number, indexLagMs: number): Rows {
  db.define(TABLES);
  let writes = 0;

  function insert(table: Table, index: string, place: Place, base: Place | null, item: Item, appears: number): void {
    const expires = base === null ? expiryOf(table, item) : null;
    const values: SqlValue[] = [
      table.id,
      index,
      place.spot,
      place.hash,
      place.range,
      base?.hash ?? NONE,
      base?.range ?? NONE,
    ];
    db.run(
      `INSERT OR REPLACE INTO dynamodb_rows
        (tid, idx, spot, hash, range, base_hash, base_range, appears, expires, size, item)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[...values, appears, expires, itemBytes(item), JSON.stringify(item)],
    );
  }

  function remove(table: Table, index: string, place: Place, base: Place | null, at: number): void {
    const where =
      'tid = ? AND idx = ? AND spot = ? AND hash = ? AND range = ? ' +
      'AND base_hash = ? AND base_range = ? AND vanishes IS NULL';
    const values: SqlValue[] = [
      table.id,
      index,
      place.spot,
      place.hash,
      place.range,
      base?.hash ?? NONE,
      base?.range ?? NONE,
    ];
    if (at === 0) db.run(`DELETE FROM dynamodb_rows WHERE ${where}`, ...values);
    else db.run(`UPDATE dynamodb_rows SET vanishes = ? WHERE ${where}`, at, ...values);
  }

  function sweep(): void {
    writes += 1;
    if (writes % WRITES_PER_SWEEP === 0) db.run('DELETE FROM dynamodb_rows WHERE vanishes <= ?', now());
  }

  return {
    find(table, { spot, hash, range }) {
      const row = db.get<{ item: string }>(
        "SELECT item FROM dynamodb_rows WHERE tid = ? AND idx = '' AND spot = ? AND hash = ? AND range = ?",
        ...[table.id, spot, hash, range],
      );
      return row === undefined ? null : toItem(row.item);
    },

    store(table, place, old, next) {
      const units: Record<string, number> = {};
      if (next === null) remove(table, '', place, null, 0);
      else insert(table, '', place, null, next, 0);
      for (const index of table.indexes) {
        const at = index.isGlobal && indexLagMs > 0 ? now() + indexLagMs : 0;
        const [before, after] = [shown(table, index, old), shown(table, index, next)];
        if (before !== null && after !== null && isSame({ M: before.item }, { M: after.item })) continue;
        if (before === null && after === null) continue;
        if (before !== null) remove(table, index.name, before.place, place, at);
        if (after !== null) insert(table, index.name, after.place, place, after.item, at);
        units[index.name] = unitsOf(before, after);
      }
      sweep();
      return units;
    },

    page({ table, index, of, ranges, backwards, after }, limit) {
      const where = ['tid = ?', 'idx = ?'];
      const values: SqlValue[] = [table.id, index];
      const columns =
        'spots' in of ? ['spot', 'hash', 'range', 'base_hash', 'base_range'] : ['range', 'base_hash', 'base_range'];
      if ('spots' in of) {
        where.push('spot >= ?', 'spot < ?');
        values.push(...of.spots);
      } else {
        where.push('spot = ?', 'hash = ?');
        values.push(of.spot, of.hash);
      }
      for (const [operator, bytes] of ranges) {
        where.push(`range ${operator} ?`);
        values.push(bytes);
      }
      if (after !== null) {
        where.push(`(${columns.join(', ')}) ${backwards ? '<' : '>'} (${columns.map(() => '?').join(', ')})`);
        values.push(...columns.map((column) => after[column as keyof typeof after]));
      }
      if (index !== '') {
        where.push('appears <= ?', '(vanishes IS NULL OR vanishes > ?)');
        values.push(now(), now());
      }
      const order = columns.map((column) => `${column} ${backwards ? 'DESC' : 'ASC'}`).join(', ');
      return db.all<Row>(
        `SELECT spot, hash, range, base_hash, base_range, size, item FROM dynamodb_rows
          WHERE ${where.join(' AND ')} ORDER BY ${order} LIMIT ?`,
        ...[...values, limit],
      );
    },

    fill(table, index) {
      const rows = db.all<Row>(
        "SELECT spot, hash, range, item FROM dynamodb_rows WHERE tid = ? AND idx = ''",
        table.id,
      );
      for (const row of rows) {
        const entry = shown(table, index, toItem(row.item));
        if (entry !== null) insert(table, index.name, entry.place, row, entry.item, 0);
      }
    },

    dropIndex(table, index) {
      db.run('DELETE FROM dynamodb_rows WHERE tid = ? AND idx = ?', table.id, index);
    },

    drop(table) {
      db.run('DELETE FROM dynamodb_rows WHERE tid = ?', table.id);
    },

    measure(table, index) {
      const sql = `SELECT count(*) AS items, coalesce(sum(size), 0) AS bytes FROM dynamodb_rows
          WHERE tid = ? AND idx = ? AND vanishes IS NULL`;
      return db.get<Measure>(sql, table.id, index) as Measure;
    },

    noteExpiry(table) {
      db.run('UPDATE dynamodb_rows SET expires = NULL WHERE tid = ? AND expires IS NOT NULL', table.id);
      if (table.timeToLive === null) return;
      for (const row of db.all<Row>(
        "SELECT spot, hash, range, item FROM dynamodb_rows WHERE tid = ? AND idx = ''",
        table.id,
      )) {
        const expires = expiryOf(table, toItem(row.item));
        if (expires !== null)
          db.run(
            "UPDATE dynamodb_rows SET expires = ? WHERE tid = ? AND idx = '' AND spot = ? AND hash = ? AND range = ?",
            ...[expires, table.id, row.spot, row.hash, row.range],
          );
      }
    },

    expired(table, at, limit) {
      const seconds = Math.floor(at / 1000);
      return db
        .all<{ item: string }>(
          'SELECT item FROM dynamodb_rows WHERE tid = ? AND expires < ? AND expires > ? LIMIT ?',
          ...[table.id, seconds, seconds - EXPIRY_AGE_SECONDS_MAX, limit],
        )
        .map(({ item }) => toItem(item));
    },
  };
}

/** Without a prototype, so that no name means anything but an attribute. */
export function toItem(text: string): Item {
  return Object.setPrototypeOf(JSON.parse(text), null) as Item;
}

interface Shown {
  readonly place: Place;
  readonly item: Item;
}

/** What an index shows of an item; null: nothing. */
function shown(table: Table, index: Index, item: Item | null): Shown | null {
  const place = item === null ? null : placeInIndex(item, index.keys);
  return item === null || place === null ? null : { place, item: projected(table, index, item) };
}

function projected({ keys }: Table, index: Index, item: Item): Item {
  const { ProjectionType, NonKeyAttributes = [] } = index.projection;
  if (ProjectionType === 'ALL') return item;
  const wanted = new Set([...namesOf(keys), ...namesOf(index.keys), ...NonKeyAttributes]);
  return Object.fromEntries(Object.entries(item).filter(([name]) => wanted.has(name)));
}

export function namesOf(keys: KeyParts): readonly string[] {
  return partsOf(keys).map(({ name }) => name);
}

/** An entry whose key changes is deleted and written anew. */
function unitsOf(before: Shown | null, after: Shown | null): number {
  const [old, next] = [before, after].map((it) => (it === null ? 0 : Math.ceil(itemBytes(it.item) / KIB)));
  const moved = before !== null && after !== null && !isThere(before.place, after.place);
  return moved ? (old as number) + (next as number) : Math.max(old as number, next as number);
}

function isThere(a: Place, b: Place): boolean {
  return Buffer.compare(a.hash, b.hash) === 0 && Buffer.compare(a.range, b.range) === 0;
}

function expiryOf({ timeToLive }: Table, item: Item): number | null {
  const seconds = timeToLive === null ? Number.NaN : Number(item[timeToLive]?.N);
  return Number.isSafeInteger(Math.floor(seconds)) ? Math.floor(seconds) : null;
}
