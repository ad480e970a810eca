/** Lists the objects of a bucket in the order of their UTF-8 bytes, with prefixes, offsets, versions and pages. */

import type { Cloud } from '../../service.ts';
import { findBucket } from './buckets.ts';
import { type Answer, type Call, isTrue, pageSize } from './call.ts';
import { invalidValue, unsupported } from './errors.ts';
import { pickFields, toObject } from './resource.ts';
import type { ObjectRow } from './tables.ts';

export interface Query {
  readonly bucket: string;
  readonly prefix: string;
  /** Empty: none. */
  readonly delimiter: string;
  readonly startOffset: string;
  /** Empty: none. */
  readonly endOffset: string;
  readonly versions: boolean;
  readonly includeTrailingDelimiter: boolean;
  readonly max: number;
  readonly token: string | null;
}

export interface Page {
  readonly items: readonly ObjectRow[];
  readonly prefixes: readonly string[];
  readonly next: string | null;
}

/** Where a page begins: at the first name that is not less, and of that name after this generation. */
interface Cursor {
  readonly name: Buffer;
  readonly generation: number;
  /** The prefix told last. */
  readonly folder: string;
}

const ROWS = 256;

export function listObjects(cloud: Cloud, query: Query): Page {
  const { db } = cloud.state;
  findBucket(cloud, query.bucket);
  // Bytes, since the successor of a prefix is no valid UTF-8.
  const bounds = [query.prefix, query.startOffset].map((text) => Buffer.from(text));
  const first = bounds.reduce((a, b) => (Buffer.compare(a, b) < 0 ? b : a));
  let cursor: Cursor = query.token === null ? { name: first, generation: 0, folder: '' } : readToken(query.token);
  const ends = [successor(query.prefix), query.endOffset === '' ? null : Buffer.from(query.endOffset)];
  const end = ends.reduce((a, b) => (a === null || (b !== null && Buffer.compare(b, a) < 0) ? b : a));
  const items: ObjectRow[] = [];
  const prefixes: string[] = [];
  const sql = `SELECT * FROM gcs_objects WHERE bucket = ?1
    AND (name > CAST(?2 AS TEXT) OR (name = CAST(?2 AS TEXT) AND generation > ?3)) AND name >= CAST(?2 AS TEXT)
    ${end === null ? '' : 'AND name < CAST(?5 AS TEXT)'} ${query.versions ? '' : 'AND deleted IS NULL'}
    ORDER BY name, generation LIMIT ?4`;

  const isFull = () => items.length + prefixes.length >= query.max;
  for (;;) {
    const limit = Math.min(ROWS, query.max - items.length - prefixes.length + 1);
    const bound = end === null ? [] : [end];
    const rows = db.all<ObjectRow>(sql, query.bucket, cursor.name, cursor.generation, limit, ...bound);
    if (rows.length === 0) return { items, prefixes, next: null };
    for (const row of rows) {
      const folder = folderOf(row.name, query);
      if (folder !== null && folder !== cursor.folder) {
        if (isFull()) return { items, prefixes, next: toToken(cursor) };
        prefixes.push(folder);
        cursor = { ...cursor, folder };
      }
      if (folder !== null && !(query.includeTrailingDelimiter && row.name === folder)) {
        // All else in the folder is told by its prefix: go on behind it.
        cursor = { name: successor(folder)!, generation: 0, folder };
        break;
      }
      if (isFull()) return { items, prefixes, next: toToken(cursor) };
      items.push(row);
      cursor = { name: Buffer.from(row.name), generation: row.generation, folder: cursor.folder };
    }
  }
}

/** The folder that stands for this name in the list, delimiter included. */
function folderOf(name: string, { prefix, delimiter }: Query): string | null {
  if (delimiter === '') return null;
  const at = name.indexOf(delimiter, prefix.length);
  return at < 0 ? null : name.slice(0, at + delimiter.length);
}

/** The least bytes that are greater than everything that begins with `text`; null when nothing is. */
function successor(text: string): Buffer | null {
  const bytes = Buffer.from(text);
  const last = bytes.length - 1;
  // A byte of UTF-8 is never 0xff, so it can always grow.
  if (last < 0) return null;
  bytes[last] = bytes[last]! + 1;
  return bytes;
}

function toToken({ name, generation, folder }: Cursor): string {
  return Buffer.from(JSON.stringify([name.toString('base64'), generation, folder])).toString('base64url');
}

function readToken(token: string): Cursor {
  try {
    const [name, generation, folder] = JSON.parse(Buffer.from(token, 'base64url').toString()) as unknown[];
    const whole = typeof name === 'string' && Number.isSafeInteger(generation) && typeof folder === 'string';
    if (whole) return { name: Buffer.from(name, 'base64'), generation: Number(generation), folder };
    throw invalidValue('pageToken');
  } catch {
    throw invalidValue('Invalid value for pageToken.');
  }
}

export function listHandler(cloud: Cloud) {
  return ({ path: [bucket = ''], query, base }: Call): Answer => {
    // There is no soft delete policy here, and the cloud refuses the question then.
    if (isTrue(query.get('softDeleted'))) throw invalidValue('Bucket does not have a soft delete policy.');
    const glob = query.get('matchGlob');
    if (glob) throw unsupported('matchGlob');
    const { items, prefixes, next } = listObjects(cloud, {
      bucket,
      prefix: query.get('prefix') ?? '',
      delimiter: query.get('delimiter') ?? '',
      startOffset: query.get('startOffset') ?? '',
      endOffset: query.get('endOffset') ?? '',
      versions: isTrue(query.get('versions')),
      includeTrailingDelimiter: isTrue(query.get('includeTrailingDelimiter')),
      max: pageSize(query),
      token: query.get('pageToken') || null,
    });
    const json = {
      kind: 'storage#objects',
      ...(next === null ? {} : { nextPageToken: next }),
      ...(prefixes.length === 0 ? {} : { prefixes }),
      ...(items.length === 0 ? {} : { items: items.map((row) => toObject(row, base)) }),
    };
    return { status: 200, json: pickFields(json, query.get('fields')) };
  };
}
