/** The documents in the database, and indexes of single fields, each made when a query first wants it. */

import type { Database } from '../../state/sqlite.ts';
import { fieldAt, readFieldPath, toOrdered } from './value.ts';
import { type Document, type Fields, toTime } from './wire.ts';

/** projects/P/databases/D/documents/a/b/c: a collection of documents, by its whole path. */
export interface Place {
  readonly collection: string;
  readonly id: string;
}

export interface Stored {
  readonly name: string;
  readonly fields: Fields;
  /** Microseconds. */
  readonly createTime: number;
  readonly updateTime: number;
}

export interface Codec {
  serialize(document: { readonly fields: Fields }): Buffer;
  deserialize(bytes: Buffer): { readonly fields: Fields };
}

/** From `low` up to, not including, `high`; the ends are left out where there is none. */
export interface Range {
  readonly low?: Uint8Array;
  readonly high?: Uint8Array;
}

export interface Documents {
  get(name: string): Stored | null;
  /** A document that stays as it was keeps its time. Answers the time that stands. */
  put(document: Stored): number;
  remove(name: string): void;
  /** In the order of their ids. Both ends are included. */
  scan(
    collection: string,
    range: { readonly low?: string; readonly high?: string },
    descending: boolean,
  ): Iterable<Stored>;
  /** Those that have this field, in the order of its value, then of their ids. */
  scanField(collection: string, field: string, range: Range, descending: boolean): Iterable<Stored>;
  /** Of all collections of this name below `parent`, in no order. */
  scanGroup(parent: string, collectionId: string): Iterable<Stored>;
  collectionIds(parent: string): readonly string[];
  /** The names of documents that are not there and have documents below them. */
  missing(collection: string): readonly string[];
  /** Later than every time that was given before. */
  tick(nowMs: number): number;
  /** No earlier than any change. */
  time(nowMs: number): number;
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS firestore_documents (
    collection TEXT NOT NULL, id TEXT NOT NULL, collection_id TEXT NOT NULL, document BLOB NOT NULL,
    create_time INTEGER NOT NULL, update_time INTEGER NOT NULL, PRIMARY KEY (collection, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS firestore_documents_group ON firestore_documents (collection_id, collection);
  CREATE TABLE IF NOT EXISTS firestore_fields (
    collection TEXT NOT NULL, field TEXT NOT NULL, PRIMARY KEY (collection, field)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS firestore_index (
    collection TEXT NOT NULL, field TEXT NOT NULL, value BLOB NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (collection, field, value, id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS firestore_clock (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL) STRICT;
  INSERT OR IGNORE INTO firestore_clock VALUES (1, 0);
`;

const PAGE = 200;
/** Comes after every value and every id. */
const LAST_VALUE = Buffer.of(0xff);
const LAST_ID = '\u{10ffff}\u{10ffff}';

interface Row {
  readonly collection: string;
  readonly id: string;
  readonly document: Uint8Array;
  readonly create_time: number;
  readonly update_time: number;
  readonly value: Uint8Array;
}

export function openDocuments(db: Database, codec: Codec): Documents {
  db.define(TABLES);

  const toStored = ({ collection, id, document, create_time, update_time }: Row): Stored => ({
    name: `${collection}/${id}`,
    fields: codec.deserialize(Buffer.from(document)).fields,
    createTime: create_time,
    updateTime: update_time,
  });

  function fieldsOf(collection: string): readonly string[] {
    return db
      .all<{ field: string }>('SELECT field FROM firestore_fields WHERE collection = ?', collection)
      .map(({ field }) => field);
  }

  function indexOne(collection: string, field: string, id: string, fields: Fields): void {
    const value = fieldAt(fields, readFieldPath(field));
    if (value !== undefined)
      db.run('INSERT OR REPLACE INTO firestore_index VALUES (?, ?, ?, ?)', collection, field, toOrdered(value), id);
  }

  function unindex({ collection, id }: Place, fields: Fields): void {
    for (const field of fieldsOf(collection)) {
      const value = fieldAt(fields, readFieldPath(field));
      if (value !== undefined)
        db.run(
          'DELETE FROM firestore_index WHERE collection = ? AND field = ? AND value = ? AND id = ?',
          collection,
          field,
          toOrdered(value),
          id,
        );
    }
  }

  function rowAt({ collection, id }: Place): Row | undefined {
    return db.get<Row>('SELECT * FROM firestore_documents WHERE collection = ? AND id = ?', collection, id);
  }

  function get(name: string): Stored | null {
    const row = rowAt(placeOf(name));
    return row === undefined ? null : toStored(row);
  }

  function lastTime(): number {
    return db.get<{ last: number }>('SELECT last FROM firestore_clock')?.last ?? 0;
  }

  /** Of all that lies below this path: the first segment behind it, each once, in order. */
  function nextSegments(path: string): readonly string[] {
    const rows = db.all<{ collection: string }>(
      'SELECT DISTINCT collection FROM firestore_documents WHERE collection > ? AND collection < ? ORDER BY collection',
      `${path}/`,
      `${path}0`,
    );
    return [...new Set(rows.map(({ collection }) => collection.slice(path.length + 1).split('/')[0] ?? ''))];
  }

  function* scan(collection: string, range: { readonly low?: string; readonly high?: string }, descending: boolean) {
    let { low = '', high = LAST_ID } = range;
    let open = false;
    for (;;) {
      const rows = db.all<Row>(
        `SELECT * FROM firestore_documents
         WHERE collection = ? AND id ${open && !descending ? '>' : '>='} ? AND id ${open && descending ? '<' : '<='} ?
         ORDER BY id ${descending ? 'DESC' : 'ASC'} LIMIT ?`,
        collection,
        low,
        high,
        PAGE,
      );
      yield* rows.map(toStored);
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE) return;
      open = true;
      if (descending) high = last.id;
      else low = last.id;
    }
  }

  function makeIndex(collection: string, field: string): void {
    if (db.get('SELECT 1 FROM firestore_fields WHERE collection = ? AND field = ?', collection, field)) return;
    db.transaction(() => {
      db.run('INSERT INTO firestore_fields VALUES (?, ?)', collection, field);
      for (const { name, fields } of scan(collection, {}, false)) indexOne(collection, field, placeOf(name).id, fields);
    });
  }

  return {
    get,

    put(document) {
      const place = placeOf(document.name);
      const { collection, id } = place;
      const bytes = codec.serialize({ fields: document.fields });
      const old = rowAt(place);
      if (old !== undefined) {
        if (bytes.equals(old.document)) return old.update_time;
        unindex(place, toStored(old).fields);
      }
      db.run(
        'INSERT OR REPLACE INTO firestore_documents VALUES (?, ?, ?, ?, ?, ?)',
        collection,
        id,
        collection.slice(collection.lastIndexOf('/') + 1),
        bytes,
        document.createTime,
        document.updateTime,
      );
      for (const field of fieldsOf(collection)) indexOne(collection, field, id, document.fields);
      return document.updateTime;
    },

    remove(name) {
      const place = placeOf(name);
      const old = get(name);
      if (old === null) return;
      unindex(place, old.fields);
      db.run('DELETE FROM firestore_documents WHERE collection = ? AND id = ?', place.collection, place.id);
    },

    scan,

    *scanField(collection, field, range, descending) {
      makeIndex(collection, field);
      const { low = Buffer.alloc(0), high = LAST_VALUE } = range;
      let value: Uint8Array = descending ? high : low;
      let id = '';
      for (;;) {
        const beyond = descending
          ? '(it.value, it.id) < (?, ?) AND it.value >= ?'
          : '(it.value, it.id) > (?, ?) AND it.value < ?';
        const rows = db.all<Row>(
          `SELECT document.*, it.value AS value FROM firestore_index AS it
           JOIN firestore_documents AS document ON document.collection = it.collection AND document.id = it.id
           WHERE it.collection = ? AND it.field = ? AND ${beyond}
           ORDER BY it.value ${descending ? 'DESC' : 'ASC'}, it.id ${descending ? 'DESC' : 'ASC'} LIMIT ?`,
          collection,
          field,
          value,
          id,
          descending ? low : high,
          PAGE,
        );
        yield* rows.map(toStored);
        const last = rows.at(-1);
        if (last === undefined || rows.length < PAGE) return;
        value = last.value;
        id = last.id;
      }
    },

    *scanGroup(parent, collectionId) {
      const rows = db.all<{ collection: string }>(
        'SELECT DISTINCT collection FROM firestore_documents WHERE collection_id = ?',
        collectionId,
      );
      for (const { collection } of rows) if (collection.startsWith(`${parent}/`)) yield* scan(collection, {}, false);
    },

    collectionIds: (parent) => nextSegments(parent),

    missing: (collection) =>
      nextSegments(collection)
        .map((id) => `${collection}/${id}`)
        .filter((name) => rowAt(placeOf(name)) === undefined),

    tick(nowMs) {
      db.run('UPDATE firestore_clock SET last = max(last + 1, ?)', Math.floor(nowMs) * 1_000);
      return lastTime();
    },

    time: (nowMs) => Math.max(lastTime(), Math.floor(nowMs) * 1_000),
  };
}

export function placeOf(name: string): Place {
  const at = name.lastIndexOf('/');
  return { collection: name.slice(0, at), id: name.slice(at + 1) };
}

export function toDocument({ name, fields, createTime, updateTime }: Stored): Document {
  return { name, fields, createTime: toTime(createTime), updateTime: toTime(updateTime) };
}
