/** Buckets and versions of objects as they lie in the database. Whoever writes does so within a transaction. */

import { randomBytes } from 'node:crypto';
import type { Body } from '../../state/bodies.ts';
import type { Database } from '../../state/sqlite.ts';
import type { State } from '../../state/state.ts';
import type { Algorithm, Checksum, ChecksumType } from './checksums.ts';
import type { Rule } from './notify.ts';

/** Off is what a bucket is that never had versions; there is no way back to it. */
export type Versioning = 'Off' | 'Enabled' | 'Suspended';

export type Tags = Readonly<Record<string, string>>;

export interface Bucket {
  readonly name: string;
  readonly created: number;
  readonly versioning: Versioning;
  readonly tags: Tags | null;
  readonly rules: readonly Rule[];
}

/** What is kept of the headers of a write. */
export interface Properties {
  /** content-type and its like, as they were sent. */
  readonly headers: Readonly<Record<string, string>>;
  /** Without x-amz-meta-. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly storageClass: string;
  readonly encryption: string;
  readonly kmsKey?: string;
  readonly bucketKey?: boolean;
}

/** One part of an object that was uploaded in parts. */
export interface PartInfo {
  readonly number: number;
  readonly size: number;
  readonly checksum?: string;
}

export interface Draft {
  readonly size: number;
  readonly etag: string;
  readonly body: Body;
  readonly properties: Properties;
  readonly tags: Tags;
  readonly checksum: Checksum;
  readonly parts: readonly PartInfo[] | null;
}

export interface Version extends Draft {
  /** Grows with every write to any key, so it tells one write from the next even where content is the same. */
  readonly id: number;
  readonly key: string;
  /** `null` for what was written while the bucket had no versioning. */
  readonly version: string;
  /** A delete marker: nothing else of it means anything. */
  readonly marker: boolean;
  readonly current: boolean;
  /** In whole seconds, as milliseconds. */
  readonly modified: number;
}

export const NULL_VERSION = 'null';

export const TABLES = `
  CREATE TABLE IF NOT EXISTS s3_buckets (
    name TEXT NOT NULL PRIMARY KEY, created INTEGER NOT NULL, versioning TEXT NOT NULL, tags TEXT, rules TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS s3_versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key TEXT NOT NULL, version TEXT NOT NULL,
    marker INTEGER NOT NULL, current INTEGER NOT NULL, modified INTEGER NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, body TEXT NOT NULL, properties TEXT NOT NULL, tags TEXT NOT NULL, checksum TEXT NOT NULL,
    parts TEXT
  ) STRICT;
  CREATE UNIQUE INDEX IF NOT EXISTS s3_versions_names ON s3_versions (bucket, key, version);
  CREATE INDEX IF NOT EXISTS s3_versions_keys ON s3_versions (bucket, key, id);
  CREATE UNIQUE INDEX IF NOT EXISTS s3_versions_current ON s3_versions (bucket, key) WHERE current = 1;
  CREATE TABLE IF NOT EXISTS s3_uploads (
    id TEXT NOT NULL PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, initiated INTEGER NOT NULL,
    standing INTEGER, properties TEXT NOT NULL, tags TEXT NOT NULL, algorithm TEXT, type TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS s3_uploads_keys ON s3_uploads (bucket, key, id);
  CREATE TABLE IF NOT EXISTS s3_parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, body TEXT NOT NULL,
    modified INTEGER NOT NULL, checksums TEXT NOT NULL,
    PRIMARY KEY (upload, number)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS s3_sequence (id INTEGER PRIMARY KEY, last TEXT NOT NULL) STRICT;
`;

interface BucketRow {
  readonly name: string;
  readonly created: number;
  readonly versioning: Versioning;
  readonly tags: string | null;
  readonly rules: string;
}

export function findBucket(db: Database, name: string): Bucket | undefined {
  const row = db.get<BucketRow>('SELECT * FROM s3_buckets WHERE name = ?', name);
  return row && readBucket(row);
}

export function listBuckets(db: Database): readonly Bucket[] {
  return db.all<BucketRow>('SELECT * FROM s3_buckets ORDER BY name').map(readBucket);
}

function readBucket(row: BucketRow): Bucket {
  return { ...row, tags: row.tags === null ? null : JSON.parse(row.tags), rules: JSON.parse(row.rules) };
}

export function saveBucket(db: Database, { name, created, versioning, tags, rules }: Bucket): void {
  db.run(
    'INSERT OR REPLACE INTO s3_buckets (name, created, versioning, tags, rules) VALUES (?, ?, ?, ?, ?)',
    name,
    created,
    versioning,
    tags === null ? null : JSON.stringify(tags),
    JSON.stringify(rules),
  );
}

interface VersionRow extends Pick<Version, 'id' | 'key' | 'version' | 'modified' | 'size' | 'etag' | 'body'> {
  readonly marker: number;
  readonly current: number;
  readonly properties: string;
  readonly tags: string;
  readonly checksum: string;
  readonly parts: string | null;
}

function readVersion(row: VersionRow): Version {
  return {
    ...row,
    marker: row.marker === 1,
    current: row.current === 1,
    properties: JSON.parse(row.properties),
    tags: JSON.parse(row.tags),
    checksum: readChecksum(row.checksum),
    parts: row.parts === null ? null : JSON.parse(row.parts),
  };
}

/** Kept as one text: algorithm, type and value. */
export function readChecksum(text: string): Checksum {
  const [algorithm, type, value = ''] = text.split(' ');
  return { algorithm: algorithm as Algorithm, type: type as ChecksumType, value };
}

/** The current version, which may be a delete marker. */
export function findCurrent(db: Database, bucket: string, key: string): Version | undefined {
  const row = db.get<VersionRow>('SELECT * FROM s3_versions WHERE bucket = ? AND key = ? AND current = 1', bucket, key);
  return row && readVersion(row);
}

/** What a reader of the key would get. */
export function findLive(db: Database, bucket: string, key: string): Version | undefined {
  const found = findCurrent(db, bucket, key);
  return found?.marker ? undefined : found;
}

export function findVersion(db: Database, bucket: string, key: string, version: string): Version | undefined {
  const sql = 'SELECT * FROM s3_versions WHERE bucket = ? AND key = ? AND version = ?';
  const row = db.get<VersionRow>(sql, bucket, key, version);
  return row && readVersion(row);
}

const MARKER: Draft = {
  size: 0,
  etag: '',
  body: '',
  properties: { headers: {}, metadata: {}, storageClass: 'STANDARD', encryption: 'AES256' },
  tags: {},
  checksum: { algorithm: 'CRC64NVME', type: 'FULL_OBJECT', value: '' },
  parts: null,
};

/** Makes the draft the current version; in a bucket without versioning, or with it suspended, instead of the null one. */
export function addVersion(state: State, bucket: Bucket, key: string, modified: number, draft: Draft): Version {
  return add(state, bucket, key, modified, draft, false);
}

export function addMarker(state: State, bucket: Bucket, key: string, modified: number): Version {
  return add(state, bucket, key, modified, MARKER, true);
}

function add(
  { db, bodies }: State,
  bucket: Bucket,
  key: string,
  modified: number,
  draft: Draft,
  marker: boolean,
): Version {
  const version = bucket.versioning === 'Enabled' ? newVersionId() : NULL_VERSION;
  // First: the new body may be made of the one that goes.
  bodies.keep(draft.body);
  if (version === NULL_VERSION) {
    const old = findVersion(db, bucket.name, key, NULL_VERSION);
    if (old !== undefined) {
      db.run('DELETE FROM s3_versions WHERE id = ?', old.id);
      bodies.drop(old.body);
    }
  }
  db.run('UPDATE s3_versions SET current = 0 WHERE bucket = ? AND key = ? AND current = 1', bucket.name, key);
  const { size, etag, body, properties, tags, checksum, parts } = draft;
  const { rowId } = db.run(
    `INSERT INTO s3_versions
      (bucket, key, version, marker, current, modified, size, etag, body, properties, tags, checksum, parts)
      VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?)`,
    bucket.name,
    key,
    version,
    marker ? 1 : 0,
    modified,
    size,
    etag,
    body,
    JSON.stringify(properties),
    JSON.stringify(tags),
    `${checksum.algorithm} ${checksum.type} ${checksum.value}`,
    parts === null ? null : JSON.stringify(parts),
  );
  return { ...draft, id: rowId, key, version, marker, current: true, modified };
}

/** For good. The newest that is left becomes the current one. */
export function removeVersion({ db, bodies }: State, bucket: Bucket, { id, key, body, current }: Version): void {
  db.run('DELETE FROM s3_versions WHERE id = ?', id);
  bodies.drop(body);
  if (!current) return;
  db.run(
    `UPDATE s3_versions SET current = 1
      WHERE id = (SELECT id FROM s3_versions WHERE bucket = ? AND key = ? ORDER BY id DESC LIMIT 1)`,
    bucket.name,
    key,
  );
}

export function saveTags(db: Database, { id }: Version, tags: Tags): void {
  db.run('UPDATE s3_versions SET tags = ? WHERE id = ?', JSON.stringify(tags), id);
}

/** 32 characters that mean nothing, as S3 has them. */
function newVersionId(): string {
  return randomBytes(24).toString('base64url').replaceAll('-', '.');
}
