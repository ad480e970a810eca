/** Lists: keys in the order of their UTF-8 bytes, grouped at a delimiter, page by page. */

import type { SqlValue } from '../../state/sqlite.ts';
import { ACCOUNT } from '../account.ts';
import { type Answer, bucketOf, type Call, quoted, toIso } from './call.ts';
import { findUpload, partsOf } from './multipart.ts';
import { toFormText } from './notify.ts';
import { invalidArgument } from './refusal.ts';
import { readChecksum } from './tables.ts';
import { type Node, toXml } from './xml.ts';

const PAGE_MAX = 1000;
const OWNER: Node = ['Owner', [['ID', ACCOUNT]]];

interface Row {
  readonly id: number;
  readonly key: string;
  readonly version: string;
  readonly marker: number;
  readonly current: number;
  readonly modified: number;
  readonly size: number;
  readonly etag: string;
  readonly checksum: string;
  readonly storageClass: string;
}

const COLUMNS = `id, key, version, marker, current, modified, size, etag, checksum,
  json_extract(properties, '$.storageClass') AS storageClass`;

/** What every list of keys is asked for. */
interface Wish {
  readonly prefix: string;
  readonly delimiter: string;
  readonly max: number;
  /** How keys are written: as they are, or as in a form. */
  readonly encode: (text: string) => string;
  readonly encoding: string | undefined;
}

function readWish({ query }: Call, maxName: string): Wish {
  const encoding = query.get('encoding-type');
  if (encoding !== undefined && encoding !== 'url')
    throw invalidArgument('encoding-type', encoding, 'Invalid Encoding Method specified in Request');
  return {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    max: readMax(query, maxName),
    encode: encoding === 'url' ? toFormText : (text) => text,
    encoding,
  };
}

function readMax(query: ReadonlyMap<string, string>, name: string): number {
  const text = query.get(name) ?? '';
  if (text === '') return PAGE_MAX;
  const value = Number(text);
  if (!/^-?\d{1,10}$/.test(text))
    throw invalidArgument(name, text, `Provided ${name} not an integer or within integer range`);
  if (value < 0) throw invalidArgument(name, text, `Argument ${name} must be an integer between 0 and 2147483647`);
  return Math.min(value, PAGE_MAX);
}

/** Where a page begins: at this key, and of that key below this id. */
interface Cursor {
  readonly key: string;
  readonly below?: number;
}

interface Page<Item> {
  readonly items: readonly Item[];
  readonly prefixes: readonly string[];
  /** The last thing on a page that is not the last one, and where the next one begins. */
  readonly more: { readonly last: Item | string; readonly next: Cursor } | null;
}

/** `read` answers rows from the cursor on, in order. Groups are leapt over instead of read. */
function paginate<Item extends { readonly key: string; readonly id: number }>(
  { prefix, delimiter, max }: Wish,
  from: Cursor,
  read: (from: Cursor, end: string | null, count: number) => readonly Item[],
): Page<Item> {
  const items: Item[] = [];
  const prefixes: string[] = [];
  if (max === 0) return { items, prefixes, more: null };
  const end = prefix === '' ? null : successorOf(prefix);
  let cursor = compare(from.key, prefix) < 0 ? { key: prefix } : from;
  let last: Item | string | null = null;
  for (;;) {
    const rows = read(
      cursor,
      end,
      Math.min(max - items.length - prefixes.length + 1, delimiter === '' ? PAGE_MAX + 1 : 200),
    );
    if (rows.length === 0) return { items, prefixes, more: null };
    for (const row of rows) {
      if (items.length + prefixes.length >= max && last !== null)
        return { items, prefixes, more: { last, next: cursor } };
      const at = delimiter === '' ? -1 : row.key.indexOf(delimiter, prefix.length);
      if (at < 0) {
        items.push(row);
        last = row;
        cursor = { key: row.key, below: row.id };
        continue;
      }
      const group = row.key.slice(0, at + delimiter.length);
      prefixes.push(group);
      last = group;
      const next = successorOf(group);
      if (next === null) return { items, prefixes, more: null };
      cursor = { key: next };
      break;
    }
  }
}

/** The first text behind all that begin so; null: there is none. Code points sort as their UTF-8 bytes do. */
export function successorOf(prefix: string): string | null {
  const points = [...prefix];
  while (points.length > 0) {
    const point = points.pop()?.codePointAt(0) ?? 0;
    if (point === 0x10ffff) continue;
    return points.join('') + String.fromCodePoint(point === 0xd7ff ? 0xe000 : point + 1);
  }
  return null;
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** The first key behind this one. */
function behind(key: string): string {
  return `${key}\u0000`;
}

/** Where a list goes on that was told a marker; of a group whose keys were told under one name, behind it. */
function afterMarker(marker: string, { prefix, delimiter }: Wish): Cursor {
  if (marker === '') return { key: '' };
  const at = delimiter === '' || !marker.startsWith(prefix) ? -1 : marker.indexOf(delimiter, prefix.length);
  return { key: at < 0 ? behind(marker) : (successorOf(marker.slice(0, at + delimiter.length)) ?? behind(marker)) };
}

function currentRows({ s3, bucket }: Call) {
  return (from: Cursor, end: string | null, count: number): readonly Row[] => {
    // A key has one current version, so what begins at a row goes on behind its key.
    const key = from.below === undefined ? from.key : behind(from.key);
    const values: SqlValue[] = [bucket, key, ...(end === null ? [] : [end]), count];
    return s3.cloud.state.db.all<Row>(
      `SELECT ${COLUMNS} FROM s3_versions INDEXED BY s3_versions_current
        WHERE bucket = ? AND current = 1 AND marker = 0 AND key >= ? ${end === null ? '' : 'AND key < ?'}
        ORDER BY key LIMIT ?`,
      ...values,
    );
  };
}

export function listObjects(call: Call): Answer {
  bucketOf(call);
  const { bucket, query } = call;
  const wish = readWish(call, 'max-keys');
  const { encode, delimiter } = wish;
  const marker = query.get('marker') ?? '';
  const page = paginate(wish, afterMarker(marker, wish), currentRows(call));
  const last = page.more?.last;
  return {
    body: toXml('ListBucketResult', [
      ['Name', bucket],
      ['Prefix', encode(wish.prefix)],
      ['Marker', encode(marker)],
      // Without a delimiter the client knows the last key itself.
      ['NextMarker', last === undefined || delimiter === '' ? undefined : encode(keyOf(last))],
      ['MaxKeys', wish.max],
      ['Delimiter', delimiter === '' ? undefined : encode(delimiter)],
      ['EncodingType', wish.encoding],
      ['IsTruncated', page.more !== null],
      ...page.items.map((row) => toContents(row, encode, true)),
      ...toPrefixNodes(page.prefixes, encode),
    ]),
  };
}

export function listObjectsV2(call: Call): Answer {
  bucketOf(call);
  const { bucket, query } = call;
  const wish = readWish(call, 'max-keys');
  const { encode, delimiter } = wish;
  const token = query.get('continuation-token');
  const startAfter = query.get('start-after');
  const first: Cursor = { key: startAfter ? behind(startAfter) : '' };
  const page = paginate(wish, token === undefined ? first : readToken(token), currentRows(call));
  const withOwner = query.get('fetch-owner') === 'true';
  return {
    body: toXml('ListBucketResult', [
      ['Name', bucket],
      ['Prefix', encode(wish.prefix)],
      ['StartAfter', startAfter === undefined ? undefined : encode(startAfter)],
      ['ContinuationToken', token],
      ['NextContinuationToken', page.more === null ? undefined : toToken(page.more.next)],
      ['KeyCount', page.items.length + page.prefixes.length],
      ['MaxKeys', wish.max],
      ['Delimiter', delimiter === '' ? undefined : encode(delimiter)],
      ['EncodingType', wish.encoding],
      ['IsTruncated', page.more !== null],
      ...page.items.map((row) => toContents(row, encode, withOwner)),
      ...toPrefixNodes(page.prefixes, encode),
    ]),
  };
}

export function listObjectVersions(call: Call): Answer {
  bucketOf(call);
  const { s3, bucket, query } = call;
  const { db } = s3.cloud.state;
  const wish = readWish(call, 'max-keys');
  const { encode, delimiter } = wish;
  const keyMarker = query.get('key-marker') ?? '';
  const versionMarker = query.get('version-id-marker') ?? '';
  if (versionMarker !== '' && keyMarker === '')
    throw invalidArgument(
      'version-id-marker',
      versionMarker,
      'A version-id marker cannot be specified without a key marker.',
    );
  const sql = 'SELECT id FROM s3_versions WHERE bucket = ? AND key = ? AND version = ?';
  const told = db.get<{ id: number }>(sql, bucket, keyMarker, versionMarker);
  const from = told === undefined ? afterMarker(keyMarker, wish) : { key: keyMarker, below: told.id };
  const page = paginate(wish, from, (cursor, end, count) => {
    const below = cursor.below ?? Number.MAX_SAFE_INTEGER;
    const rest = [bucket, behind(cursor.key), ...(end === null ? [] : [end])];
    return db.all<Row>(
      `SELECT * FROM (
        SELECT ${COLUMNS} FROM s3_versions WHERE bucket = ? AND key = ? AND id < ? ORDER BY id DESC LIMIT ?
      ) UNION ALL SELECT * FROM (
        SELECT ${COLUMNS} FROM s3_versions WHERE bucket = ? AND key >= ? ${end === null ? '' : 'AND key < ?'}
        ORDER BY key, id DESC LIMIT ?
      ) LIMIT ?`,
      bucket,
      cursor.key,
      below,
      count,
      ...rest,
      count,
      count,
    );
  });
  const last = page.more?.last;
  return {
    body: toXml('ListVersionsResult', [
      ['Name', bucket],
      ['Prefix', encode(wish.prefix)],
      ['KeyMarker', encode(keyMarker)],
      ['VersionIdMarker', versionMarker],
      ['NextKeyMarker', last === undefined ? undefined : encode(keyOf(last))],
      ['NextVersionIdMarker', typeof last === 'object' ? last.version : undefined],
      ['MaxKeys', wish.max],
      ['Delimiter', delimiter === '' ? undefined : encode(delimiter)],
      ['EncodingType', wish.encoding],
      ['IsTruncated', page.more !== null],
      ...page.items.map((row) => toVersionNode(row, encode)),
      ...toPrefixNodes(page.prefixes, encode),
    ]),
  };
}

interface UploadRow {
  readonly id: number;
  readonly uploadId: string;
  readonly key: string;
  readonly initiated: number;
  readonly algorithm: string | null;
  readonly type: string | null;
  readonly storageClass: string;
}

export function listMultipartUploads(call: Call): Answer {
  bucketOf(call);
  const { s3, bucket, query } = call;
  const wish = readWish(call, 'max-uploads');
  const { encode, delimiter } = wish;
  const keyMarker = query.get('key-marker') ?? '';
  const idMarker = query.get('upload-id-marker') ?? '';
  // Uploads of one key go by their ids; here an id is a place among them.
  const all = s3.cloud.state.db
    .all<Omit<UploadRow, 'id'>>(
      `SELECT id AS uploadId, key, initiated, algorithm, type, json_extract(properties, '$.storageClass') AS storageClass
        FROM s3_uploads WHERE bucket = ? ORDER BY key, id`,
      bucket,
    )
    .map((row, index, rows) => ({ ...row, id: rows.length - index }));
  const told = idMarker === '' ? undefined : all.find((row) => row.key === keyMarker && row.uploadId >= idMarker);
  const from =
    told === undefined
      ? afterMarker(keyMarker, wish)
      : { key: keyMarker, below: told.uploadId === idMarker ? told.id : told.id + 1 };
  const page = paginate(wish, from, (cursor, end, count) => {
    const below = cursor.below ?? Number.MAX_SAFE_INTEGER;
    const begins = (row: UploadRow) => (row.key === cursor.key ? row.id < below : compare(row.key, cursor.key) > 0);
    return all.filter((row) => begins(row) && (end === null || compare(row.key, end) < 0)).slice(0, count);
  });
  const last = page.more?.last;
  return {
    body: toXml('ListMultipartUploadsResult', [
      ['Bucket', bucket],
      ['KeyMarker', encode(keyMarker)],
      ['UploadIdMarker', idMarker],
      ['NextKeyMarker', last === undefined ? undefined : encode(keyOf(last))],
      ['NextUploadIdMarker', typeof last === 'object' ? last.uploadId : undefined],
      ['Prefix', encode(wish.prefix)],
      ['Delimiter', delimiter === '' ? undefined : encode(delimiter)],
      ['EncodingType', wish.encoding],
      ['MaxUploads', wish.max],
      ['IsTruncated', page.more !== null],
      ...page.items.map((row): Node => {
        const content: Node[] = [
          ['Key', encode(row.key)],
          ['UploadId', row.uploadId],
          ['Initiator', [['ID', ACCOUNT]]],
          OWNER,
          ['StorageClass', row.storageClass],
          ['Initiated', toIso(row.initiated)],
          ['ChecksumAlgorithm', row.algorithm ?? undefined],
          ['ChecksumType', row.type ?? undefined],
        ];
        return ['Upload', content];
      }),
      ...toPrefixNodes(page.prefixes, encode),
    ]),
  };
}

export function listParts(call: Call): Answer {
  const { s3, bucket, key, query } = call;
  const upload = findUpload(call);
  const { encode } = readWish(call, 'max-parts');
  const max = readMax(query, 'max-parts');
  const marker = readMarker(query.get('part-number-marker'));
  const left = partsOf(s3.cloud.state.db, upload.id).filter(({ number }) => number > marker);
  const page = left.slice(0, max);
  const { algorithm } = upload;
  return {
    body: toXml('ListPartsResult', [
      ['Bucket', bucket],
      ['Key', encode(key)],
      ['UploadId', upload.id],
      ['Initiator', [['ID', ACCOUNT]]],
      OWNER,
      ['StorageClass', upload.properties.storageClass],
      ['PartNumberMarker', marker],
      ['NextPartNumberMarker', page.at(-1)?.number ?? 0],
      ['MaxParts', max],
      ['IsTruncated', page.length < left.length && max > 0],
      ['ChecksumAlgorithm', algorithm ?? undefined],
      ['ChecksumType', upload.type ?? undefined],
      ...page.map((part): Node => {
        const content: Node[] = [
          ['PartNumber', part.number],
          ['LastModified', toIso(part.modified)],
          ['ETag', quoted(part.etag)],
          ['Size', part.size],
          ...(algorithm === null ? [] : [[`Checksum${algorithm}`, part.checksums[algorithm]] as const]),
        ];
        return ['Part', content];
      }),
    ]),
  };
}

function readMarker(text = '0'): number {
  if (!/^\d{1,10}$/.test(text))
    throw invalidArgument(
      'part-number-marker',
      text,
      'Provided part-number-marker not an integer or within integer range',
    );
  return Number(text);
}

function keyOf(last: string | { readonly key: string }): string {
  return typeof last === 'string' ? last : last.key;
}

function toContents(row: Row, encode: Wish['encode'], withOwner: boolean): Node {
  const { algorithm, type } = readChecksum(row.checksum);
  const content: Node[] = [
    ['Key', encode(row.key)],
    ['LastModified', toIso(row.modified)],
    ['ETag', quoted(row.etag)],
    ['ChecksumAlgorithm', algorithm],
    ['ChecksumType', type],
    ['Size', row.size],
    ...(withOwner ? [OWNER] : []),
    ['StorageClass', row.storageClass],
  ];
  return ['Contents', content];
}

function toVersionNode(row: Row, encode: Wish['encode']): Node {
  const base: Node[] = [
    ['Key', encode(row.key)],
    ['VersionId', row.version],
    ['IsLatest', row.current === 1],
    ['LastModified', toIso(row.modified)],
  ];
  if (row.marker === 1) return ['DeleteMarker', [...base, OWNER]];
  const { algorithm, type } = readChecksum(row.checksum);
  const content: Node[] = [
    ...base,
    ['ETag', quoted(row.etag)],
    ['ChecksumAlgorithm', algorithm],
    ['ChecksumType', type],
    ['Size', row.size],
    OWNER,
    ['StorageClass', row.storageClass],
  ];
  return ['Version', content];
}

function toPrefixNodes(prefixes: readonly string[], encode: Wish['encode']): readonly Node[] {
  return prefixes.map((prefix) => ['CommonPrefixes', [['Prefix', encode(prefix)]]]);
}

function toToken({ key, below }: Cursor): string {
  return Buffer.from(JSON.stringify([key, below ?? null])).toString('base64');
}

function readToken(token: string): Cursor {
  try {
    const [key, below] = JSON.parse(Buffer.from(token, 'base64').toString('utf8'));
    if (typeof key === 'string' && (below === null || Number.isSafeInteger(below)))
      return below === null ? { key } : { key, below };
  } catch {
    // Said below, for all that is no token.
  }
  throw invalidArgument('continuation-token', token, 'The continuation token provided is incorrect');
}

/** Of ListBuckets as well. */
export function readPageSize(call: Call, name: string): number {
  return readMax(call.query, name) || PAGE_MAX;
}
