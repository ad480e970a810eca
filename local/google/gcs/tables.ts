/** What the service remembers: its tables, and the clock that numbers generations. */

import type { Cloud } from '../../service.ts';
import type { Body } from '../../state/bodies.ts';
import type { Database } from '../../state/sqlite.ts';

const TABLES = `
  CREATE TABLE IF NOT EXISTS gcs_buckets (
    name TEXT NOT NULL PRIMARY KEY, project TEXT NOT NULL, metageneration INTEGER NOT NULL, created TEXT NOT NULL,
    updated TEXT NOT NULL, fields TEXT NOT NULL, policy TEXT, notifications INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS gcs_objects (
    bucket TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL, metageneration INTEGER NOT NULL,
    size INTEGER NOT NULL, md5 TEXT, crc32c TEXT NOT NULL, body TEXT NOT NULL, components INTEGER,
    storage_class TEXT NOT NULL, fields TEXT NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL, deleted TEXT,
    PRIMARY KEY (bucket, name, generation)
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX IF NOT EXISTS gcs_objects_live ON gcs_objects (bucket, name) WHERE deleted IS NULL;
  CREATE TABLE IF NOT EXISTS gcs_clock (id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS gcs_notifications (
    bucket TEXT NOT NULL, id INTEGER NOT NULL, topic TEXT NOT NULL, payload TEXT NOT NULL, types TEXT, attributes TEXT,
    prefix TEXT, PRIMARY KEY (bucket, id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS gcs_sessions (
    id TEXT NOT NULL PRIMARY KEY, bucket TEXT NOT NULL, name TEXT NOT NULL, fields TEXT NOT NULL,
    conditions TEXT NOT NULL, expected TEXT NOT NULL, total INTEGER, created INTEGER NOT NULL, state TEXT NOT NULL,
    size INTEGER NOT NULL, crc32c INTEGER NOT NULL, body TEXT NOT NULL, result TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS gcs_rewrites (
    token TEXT NOT NULL PRIMARY KEY, call TEXT NOT NULL, generation INTEGER NOT NULL, rewritten INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS gcs_uploads (
    id TEXT NOT NULL PRIMARY KEY, bucket TEXT NOT NULL, name TEXT NOT NULL, fields TEXT NOT NULL,
    storage_class TEXT, created TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS gcs_parts (
    upload TEXT NOT NULL, part INTEGER NOT NULL, size INTEGER NOT NULL, md5 TEXT NOT NULL, crc32c TEXT NOT NULL,
    body TEXT NOT NULL, modified TEXT NOT NULL, PRIMARY KEY (upload, part)
  ) STRICT, WITHOUT ROWID;
`;

export interface BucketRow {
  readonly name: string;
  readonly project: string;
  readonly metageneration: number;
  readonly created: string;
  readonly updated: string;
  /** JSON: what clients may set. */
  readonly fields: string;
  readonly policy: string | null;
  /** How many notification configurations were ever made. */
  readonly notifications: number;
}

export interface ObjectRow {
  readonly bucket: string;
  readonly name: string;
  readonly generation: number;
  readonly metageneration: number;
  readonly size: number;
  readonly md5: string | null;
  readonly crc32c: string;
  readonly body: Body;
  readonly components: number | null;
  readonly storage_class: string;
  /** JSON: what clients may set, see fields.ts. */
  readonly fields: string;
  readonly created: string;
  readonly updated: string;
  /** When it became noncurrent; null while it is live. */
  readonly deleted: string | null;
}

export function defineTables(db: Database): void {
  db.define(TABLES);
}

/** Microseconds by the cloud's clock, and always more than any before, whatever that clock does. */
export function nextGeneration({ state: { db }, now }: Cloud): number {
  const last = db.get<{ generation: number }>('SELECT generation FROM gcs_clock WHERE id = 1')?.generation ?? 0;
  const generation = Math.max(Math.floor(now() * 1000), last + 1);
  db.run(
    'INSERT INTO gcs_clock (id, generation) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET generation = ?1',
    generation,
  );
  return generation;
}

export const timeText = (ms: number): string => new Date(ms).toISOString();
