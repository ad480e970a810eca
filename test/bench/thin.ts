/** Many objects at little cost: rows that are like the one of a template, whose bytes all of them share. */

import type { Database } from '../../local/state/sqlite.ts';

export interface Multiplying {
  readonly bucket: string;
  /** Its template is number 0, which stands already; these are 1 up to, not including, `count`. */
  readonly prefix: string;
  readonly count: number;
}

/** As keyOf in samples.ts names them. */
export const KEY = "? || printf('/%02d/%08d', i % 100, i)";
/** From the first up to, not including, the second; whole, which numbers from outside are not. */
export const NUMBERS = `WITH RECURSIVE numbers(i) AS (
  SELECT CAST(? AS INTEGER) UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < ?
)`;

/** As long as S3's own. */
export const S3_VERSION = "printf('K%031d', i)";

/** Answers the version of the template, which those of the others are made of. */
export function multiplyS3(db: Database, { bucket, prefix, count }: Multiplying): string {
  const key = templateOf(prefix);
  const columns = 'marker, current, modified, size, etag, body, properties, tags, checksum, parts';
  const from = 's3_versions WHERE bucket = ? AND key = ? AND current = 1';
  const found = rowOf<{ version: string; body: string }>(db, `SELECT version, body FROM ${from}`, bucket, key);
  db.transaction(() => {
    db.run(
      `INSERT INTO s3_versions (bucket, key, version, ${columns})
        ${NUMBERS} SELECT t.bucket, ${KEY}, ${S3_VERSION}, ${columns} FROM numbers, (SELECT * FROM ${from}) AS t`,
      ...[1, count, prefix, bucket, key],
    );
    share(db, found.body, count);
  });
  return found.version;
}

/** The generations of the others lie before that of the template, one by one. */
export function multiplyGcs(db: Database, { bucket, prefix, count }: Multiplying): string {
  const key = templateOf(prefix);
  const columns =
    'metageneration, size, md5, crc32c, body, components, storage_class, fields, created, updated, deleted';
  const from = 'gcs_objects WHERE bucket = ? AND name = ? AND deleted IS NULL';
  const found = rowOf<{ generation: number; body: string }>(db, `SELECT generation, body FROM ${from}`, bucket, key);
  db.transaction(() => {
    db.run(
      `INSERT INTO gcs_objects (bucket, name, generation, ${columns})
        ${NUMBERS} SELECT t.bucket, ${KEY}, t.generation - i, ${columns} FROM numbers, (SELECT * FROM ${from}) AS t`,
      ...[1, count, prefix, bucket, key],
    );
    share(db, found.body, count);
  });
  return String(found.generation);
}

export function templateOf(prefix: string): string {
  return `${prefix}/00/00000000`;
}

function share(db: Database, body: string, count: number): void {
  db.run('UPDATE bodies SET uses = uses + ? WHERE id = ?', count - 1, body.split(':')[0] ?? '');
}

function rowOf<Row>(db: Database, sql: string, ...values: readonly string[]): Row {
  const row = db.get<Row>(sql, ...values);
  if (row === undefined) throw new Error(`the template ${values.join('/')} does not stand there`);
  return row;
}
