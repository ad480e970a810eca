/** Makes Azurite's descriptions durable: every change of a turn lies in the database before the turn's answer can leave. */

import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Database } from '../../state/sqlite.ts';
import type { LokiChange, LokiCollection, LokiDocument, LokiStore } from './azurite.ts';

export interface Journal {
  /** Fills the stores with what they held, and notes every change from now on. */
  follow(stores: readonly LokiStore[]): Promise<void>;
  /** Files of bytes that no description tells of: what a killed process left unfinished. */
  sweep(folder: string): void;
}

export interface JournalOptions {
  readonly db: Database;
  /** A change has happened and is not yet stored: what is given back is done in the transaction that stores it. */
  watch(collection: string, change: LokiChange, document: LokiDocument): (() => void) | undefined;
  /** Nothing can be stored any more: nothing may be acknowledged any more. */
  fail(error: unknown): void;
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS azurite_documents (
    collection TEXT NOT NULL, id INTEGER NOT NULL, json TEXT NOT NULL, PRIMARY KEY (collection, id)
  ) STRICT, WITHOUT ROWID;
`;
const EXTENTS = '$EXTENTS_COLLECTION$';
const CHANGES: readonly LokiChange[] = ['insert', 'update', 'delete'];

export function openJournal({ db, watch, fail }: JournalOptions): Journal {
  db.define(TABLES);
  /** By collection and number; null: gone. */
  let changed = new Map<string, { collection: string; id: number; document: LokiDocument | null }>();
  let also: (() => void)[] = [];
  let waiting = false;

  function note(collection: string, change: LokiChange, document: LokiDocument): void {
    const id = document.$loki;
    changed.set(`${collection}/${id}`, { collection, id, document: change === 'delete' ? null : document });
    const then = watch(collection, change, document);
    if (then !== undefined) also.push(then);
    // After all changes of this turn, which belong together, and before whoever waits for them goes on.
    if (!waiting) queueMicrotask(store);
    waiting = true;
  }

  function store(): void {
    waiting = false;
    const [rows, then] = [changed, also];
    changed = new Map();
    also = [];
    try {
      db.transaction(() => {
        for (const { collection, id, document } of rows.values()) {
          if (document === null)
            db.run('DELETE FROM azurite_documents WHERE collection = ? AND id = ?', collection, id);
          else db.run('INSERT OR REPLACE INTO azurite_documents VALUES (?, ?, ?)', collection, id, toJson(document));
        }
        for (const each of then) each();
      });
    } catch (error) {
      fail(error);
    }
  }

  return {
    async follow(stores) {
      for (const it of stores) {
        await it.init();
        for (const collection of it.db.collections) {
          fill(collection, db);
          for (const change of CHANGES)
            collection.on(change, (document) => {
              for (const each of Array.isArray(document) ? document : [document]) note(collection.name, change, each);
            });
        }
      }
    },
    sweep(folder) {
      const extents = db.all<{ json: string }>('SELECT json FROM azurite_documents WHERE collection = ?', EXTENTS);
      const known = new Set(extents.map(({ json }) => (JSON.parse(json) as { id: string }).id));
      for (const name of readdirSync(folder)) if (!known.has(name)) rmSync(join(folder, name), { force: true });
    },
  };
}

function fill(collection: LokiCollection, db: Database): void {
  const rows = db.all<{ json: string }>(
    'SELECT json FROM azurite_documents WHERE collection = ? ORDER BY id',
    collection.name,
  );
  collection.data = rows.map(({ json }) => JSON.parse(json) as LokiDocument);
  collection.maxId = collection.data.at(-1)?.$loki ?? 0;
  collection.idIndex = null;
  collection.ensureId();
  collection.ensureAllIndexes(true);
  for (const field of collection.uniqueNames) collection.ensureUniqueIndex(field);
}

function toJson(document: LokiDocument): string {
  return JSON.stringify(document);
}
