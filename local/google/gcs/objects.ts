/** What happens to objects: every visible change is one transaction, its notifications included. */

import type { Cloud } from '../../service.ts';
import { findBucket, isVersioned } from './buckets.ts';
import { type Conditions, checkConditions } from './conditions.ts';
import { invalidValue, noObject, Refusal } from './errors.ts';
import type { ObjectFields } from './fields.ts';
import type { Bytes } from './ingest.ts';
import { checkObjectName } from './names.ts';
import { notify } from './notifications.ts';
import { nextGeneration, type ObjectRow, timeText } from './tables.ts';

export interface Place {
  readonly bucket: string;
  readonly name: string;
}

export interface Write extends Place {
  readonly bytes: Bytes;
  readonly fields: ObjectFields;
  readonly storageClass?: string | undefined;
  readonly components?: number | null;
  readonly conditions: Conditions;
  /** For the links in notifications. */
  readonly base: string;
}

export function findLive({ state: { db } }: Cloud, { bucket, name }: Place): ObjectRow | undefined {
  const sql = 'SELECT * FROM gcs_objects WHERE bucket = ? AND name = ? AND deleted IS NULL';
  return db.get<ObjectRow>(sql, bucket, name);
}

/** `generation` null: the live one. */
export function findObject(cloud: Cloud, place: Place, generation: bigint | null): ObjectRow {
  findBucket(cloud, place.bucket);
  const sql = 'SELECT * FROM gcs_objects WHERE bucket = ? AND name = ? AND generation = ?';
  const row =
    generation === null
      ? findLive(cloud, place)
      : cloud.state.db.get<ObjectRow>(sql, place.bucket, place.name, generation);
  if (row === undefined) throw noObject(place.bucket, place.name);
  return row;
}

/** Puts a new object there, in place of the one that stands there. */
export function writeObject(cloud: Cloud, write: Write): ObjectRow {
  const { db, bodies } = cloud.state;
  const { bucket: bucketName, name, bytes, fields, conditions, base } = write;
  checkObjectName(name);
  return db.transaction(() => {
    const bucket = findBucket(cloud, bucketName);
    const old = findLive(cloud, write);
    checkConditions(old, conditions);
    const generation = nextGeneration(cloud);
    // Before the old object lets go of bytes that the new one may share with it.
    bodies.keep(bytes.body);
    if (old) {
      checkHolds(old);
      retire(cloud, old, isVersioned(bucket), base, { overwrittenByGeneration: String(generation) });
    }
    const now = timeText(cloud.now());
    const row: ObjectRow = {
      bucket: bucketName,
      name,
      generation,
      metageneration: 1,
      size: bytes.size,
      md5: bytes.md5,
      crc32c: bytes.crc32c,
      body: bytes.body,
      components: write.components ?? null,
      storage_class: write.storageClass ?? String(JSON.parse(bucket.fields).storageClass),
      fields: JSON.stringify(fields),
      created: now,
      updated: now,
      deleted: null,
    };
    const values = Object.values(row);
    db.run(
      `INSERT INTO gcs_objects (${Object.keys(row).join(', ')}) VALUES (${values.map(() => '?').join(', ')})`,
      ...values,
    );
    notify(cloud, 'OBJECT_FINALIZE', row, base, old ? { overwroteGeneration: String(old.generation) } : {});
    return row;
  });
}

/** With a generation for good; without, a versioned bucket keeps what stood there as a noncurrent one. */
export function deleteObject(
  cloud: Cloud,
  place: Place,
  { generation, conditions, base }: { generation: bigint | null; conditions: Conditions; base: string },
): void {
  cloud.state.db.transaction(() => {
    const bucket = findBucket(cloud, place.bucket);
    const row = findObject(cloud, place, generation);
    checkConditions(row, conditions);
    checkHolds(row);
    retire(cloud, row, generation === null && isVersioned(bucket), base, {});
  });
}

/** New fields for the same bytes: the generation stays, the metageneration grows. */
export function changeFields(
  cloud: Cloud,
  place: Place,
  {
    generation,
    conditions,
    base,
    change,
  }: {
    generation: bigint | null;
    conditions: Conditions;
    base: string;
    change: (before: ObjectFields, row: ObjectRow) => ObjectFields;
  },
): ObjectRow {
  const { db } = cloud.state;
  return db.transaction(() => {
    const before = findObject(cloud, place, generation);
    checkConditions(before, conditions);
    const fields = JSON.stringify(change(JSON.parse(before.fields), before));
    const updated = timeText(cloud.now());
    const row = { ...before, fields, updated, metageneration: before.metageneration + 1 };
    db.run(
      'UPDATE gcs_objects SET fields = ?, updated = ?, metageneration = ? WHERE bucket = ? AND name = ? AND generation = ?',
      row.fields,
      row.updated,
      row.metageneration,
      row.bucket,
      row.name,
      row.generation,
    );
    notify(cloud, 'OBJECT_METADATA_UPDATE', row, base, {});
    return row;
  });
}

function retire(
  cloud: Cloud,
  row: ObjectRow,
  keep: boolean,
  base: string,
  more: Readonly<Record<string, string>>,
): void {
  const { db, bodies } = cloud.state;
  const gone = { ...row, deleted: row.deleted ?? timeText(cloud.now()) };
  const key = [row.bucket, row.name, row.generation] as const;
  if (keep) {
    const sql = 'UPDATE gcs_objects SET deleted = ? WHERE bucket = ? AND name = ? AND generation = ?';
    db.run(sql, gone.deleted, ...key);
  } else {
    db.run('DELETE FROM gcs_objects WHERE bucket = ? AND name = ? AND generation = ?', ...key);
    bodies.drop(row.body);
  }
  notify(cloud, keep ? 'OBJECT_ARCHIVE' : 'OBJECT_DELETE', gone, base, more);
}

function checkHolds(row: ObjectRow): void {
  const { temporaryHold, eventBasedHold } = JSON.parse(row.fields) as ObjectFields;
  const hold = temporaryHold ? 'Temporary' : eventBasedHold ? 'Event-Based' : null;
  if (hold === null) return;
  const what = `Object '${row.bucket}/${row.name}' is under active ${hold} hold`;
  throw new Refusal(403, 'forbidden', `${what} and cannot be deleted, overwritten or archived until hold is removed.`, {
    xmlCode: 'AccessDenied',
  });
}

const STORAGE_CLASSES = ['STANDARD', 'NEARLINE', 'COLDLINE', 'ARCHIVE', 'MULTI_REGIONAL', 'REGIONAL'];

/** Undefined: as the bucket has it. */
export function readStorageClass(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string' || !STORAGE_CLASSES.includes(value.toUpperCase()))
    throw invalidValue('Invalid value for storageClass.');
  return value.toUpperCase();
}
