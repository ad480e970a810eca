/** Objects: put, get, head, delete, many at once, attributes and tags. */

import { randomBytes } from 'node:crypto';
import type { Body } from '../../state/bodies.ts';
import { ACCOUNT } from '../account.ts';
import { type Answer, bucketOf, type Call, header, quoted, type S3, stamp, toHttpDate } from './call.ts';
import { type Checksum, DEFAULT_ALGORITHM, headerOf } from './checksums.ts';
import { checkDelete, checkRead, checkWrite, failed, readWriteCondition } from './conditions.ts';
import type { Happening } from './notify.ts';
import {
  ARCHIVES,
  checkTags,
  hidesMd5,
  readProperties,
  readTagHeader,
  toEncryptionHeaders,
  toPropertyHeaders,
} from './properties.ts';
import { type Range, readRange } from './range.ts';
import { isProven, receive, receiveText } from './receive.ts';
import { invalidArgument, invalidRequest, notImplemented, Refusal, refusal } from './refusal.ts';
import {
  addMarker,
  addVersion,
  type Bucket,
  findCurrent,
  findLive,
  findVersion,
  NULL_VERSION,
  type Properties,
  removeVersion,
  saveTags,
  type Version,
} from './tables.ts';
import { checkKey } from './target.ts';
import { children, type Element, type Node, readXml, text, toXml } from './xml.ts';

export async function putObject(call: Call): Promise<Answer> {
  const { s3, key, bucket } = call;
  const { state } = s3.cloud;
  checkKey(key);
  bucketOf(call);
  const condition = readWriteCondition(call);
  const properties = readProperties(call);
  const tags = readTagHeader(call);
  const began = findLive(state.db, bucket, key)?.id ?? null;
  const received = await receive(call, (given) => (given === null ? [DEFAULT_ALGORITHM] : []));
  const { body, size, given, checksums } = received;
  const algorithm = given ?? DEFAULT_ALGORITHM;
  const checksum: Checksum = { algorithm, type: 'FULL_OBJECT', value: checksums.get(algorithm) ?? '' };
  const etag = hidesMd5(properties) ? randomTag() : received.md5;
  const draft = { size, etag, body, properties, tags, checksum, parts: null };
  return orDrop(s3, body, () =>
    state.db.transaction(() => {
      const place = bucketOf(call);
      checkWrite(condition, key, began, findLive(state.db, bucket, key));
      const added = addVersion(state, place, key, stamp(s3), draft);
      tell(call, place, { name: 'ObjectCreated:Put', ...createdOf(added) });
      return { headers: toWrittenHeaders(place, added) };
    }),
  );
}

export function getObject(call: Call): Answer {
  const { s3, query, operation } = call;
  const bucket = bucketOf(call);
  const version = readable(s3, bucket, call.key, query.get('versionId'));
  const { size, etag, modified, properties, tags, parts, body, checksum } = version;
  const base = {
    etag: quoted(etag),
    'last-modified': toHttpDate(modified),
    ...toVersionHeaders(bucket, version),
  };
  const verdict = checkRead(call, version);
  if (verdict === 'not-modified')
    return { status: 304, headers: { ...base, 'cache-control': properties.headers['cache-control'] } };
  if (verdict !== 'fine') throw failed(verdict.failed);
  if (operation === 'GetObject' && ARCHIVES.includes(properties.storageClass))
    throw refusal('InvalidObjectState', { details: { StorageClass: properties.storageClass } });
  const overrides = readOverrides(query);
  const range = rangeOf(call, version);
  const [start, end] = range === null ? [0, size] : [range.start, range.end];
  const count = Object.keys(tags).length;
  const headers = {
    ...base,
    'accept-ranges': 'bytes',
    ...toPropertyHeaders(properties),
    ...overrides,
    'x-amz-tagging-count': count > 0 ? count : undefined,
    'x-amz-mp-parts-count': query.has('partNumber') && parts !== null ? parts.length : undefined,
    'content-range': range === null ? undefined : `bytes ${start}-${end - 1}/${size}`,
    'content-length': end - start,
    // The checksum is one of the whole object.
    ...(range === null && header(call, 'x-amz-checksum-mode')?.toUpperCase() === 'ENABLED'
      ? toChecksumHeaders(checksum)
      : {}),
  };
  const status = range === null ? 200 : 206;
  if (operation === 'HeadObject' || start === end) return { status, headers };
  return { status, headers, body: s3.cloud.state.bodies.read(body, start, end) };
}

export function deleteObject(call: Call): Answer {
  const { s3, key, query } = call;
  const version = query.get('versionId');
  const ifMatch = header(call, 'if-match');
  if (header(call, 'if-none-match') !== undefined) throw notImplemented('If-None-Match');
  return s3.cloud.state.db.transaction(() => {
    const bucket = bucketOf(call);
    const gone = remove(call, bucket, { key, version, ifMatch });
    return {
      status: 204,
      headers: {
        'x-amz-version-id': gone.version,
        'x-amz-delete-marker': gone.marker ? 'true' : undefined,
      },
    };
  });
}

const KEYS_MAX = 1000;

export async function deleteObjects(call: Call): Promise<Answer> {
  bucketOf(call);
  if (!isProven(call)) throw invalidRequest('Missing required header for this request: Content-MD5');
  const document = readXml(await receiveText(call), 'Delete');
  const objects = children(document, 'Object');
  if (objects.length === 0 || objects.length > KEYS_MAX) throw refusal('MalformedXML');
  const wishes = objects.map(readWish);
  const quiet = text(document, 'Quiet')?.trim() === 'true';
  const result = call.s3.cloud.state.db.transaction(() => {
    const bucket = bucketOf(call);
    return wishes.map((wish): Node | undefined => {
      try {
        const { marker, version } = remove(call, bucket, wish);
        if (quiet) return undefined;
        const content: Node[] = [
          ['Key', wish.key],
          ['VersionId', wish.version],
          ['DeleteMarker', marker ? true : undefined],
          ['DeleteMarkerVersionId', marker ? version : undefined],
        ];
        return ['Deleted', content];
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        return [
          'Error',
          [
            ['Key', wish.key],
            ['VersionId', wish.version],
            ['Code', error.code],
            ['Message', error.message],
          ],
        ];
      }
    });
  });
  return {
    body: toXml(
      'DeleteResult',
      result.filter((node) => node !== undefined),
    ),
  };
}

interface Wish {
  readonly key: string;
  readonly version: string | undefined;
  readonly ifMatch: string | undefined;
}

function readWish(element: Element): Wish {
  const key = text(element, 'Key');
  if (key === undefined || key === '') throw refusal('MalformedXML');
  if (text(element, 'Size') !== undefined || text(element, 'LastModifiedTime') !== undefined)
    throw notImplemented('Size,LastModifiedTime');
  return { key, version: text(element, 'VersionId'), ifMatch: text(element, 'ETag') };
}

/** Everything is checked before anything is written, so that a refusal leaves no trace. */
function remove(call: Call, bucket: Bucket, wish: Wish): { readonly marker: boolean; readonly version?: string } {
  const { key, version, ifMatch } = wish;
  const { s3 } = call;
  const { state } = s3.cloud;
  checkKey(key);
  if (version !== undefined) checkVersionId(version);
  checkDelete(ifMatch, key, findLive(state.db, bucket.name, key));
  if (version !== undefined) {
    const old = findVersion(state.db, bucket.name, key, version);
    if (old === undefined) return { marker: false, version };
    removeVersion(state, bucket, old);
    tell(call, bucket, { name: 'ObjectRemoved:Delete', key, version: shown(bucket, old) });
    return { marker: old.marker, version };
  }
  if (bucket.versioning === 'Off') {
    const old = findCurrent(state.db, bucket.name, key);
    if (old === undefined) return { marker: false };
    removeVersion(state, bucket, old);
    tell(call, bucket, { name: 'ObjectRemoved:Delete', key });
    return { marker: false };
  }
  const marker = addMarker(state, bucket, key, stamp(s3));
  const event = { name: 'ObjectRemoved:DeleteMarkerCreated', key, version: shown(bucket, marker) };
  tell(call, bucket, event);
  return { marker: true, version: marker.version };
}

/** The version that a reader gets; throws what S3 answers when there is none, or only a delete marker. */
export function readable(s3: S3, bucket: Bucket, key: string, id: string | undefined): Version {
  const { db } = s3.cloud.state;
  checkKey(key);
  if (id !== undefined) checkVersionId(id);
  const found = id === undefined ? findCurrent(db, bucket.name, key) : findVersion(db, bucket.name, key, id);
  if (found === undefined) {
    if (id === undefined) throw refusal('NoSuchKey', { details: { Key: key } });
    throw refusal('NoSuchVersion', { details: { Key: key, VersionId: id } });
  }
  if (!found.marker) return found;
  const headers = { 'x-amz-delete-marker': 'true', 'x-amz-version-id': found.version };
  if (id === undefined) throw refusal('NoSuchKey', { details: { Key: key }, headers });
  throw refusal('MethodNotAllowed', {
    details: { Method: 'GET', ResourceType: 'DeleteMarker' },
    headers: { ...headers, allow: 'DELETE', 'last-modified': toHttpDate(found.modified) },
  });
}

export function checkVersionId(id: string): void {
  if (id !== NULL_VERSION && !/^[A-Za-z0-9._]{32}$/.test(id))
    throw invalidArgument('versionId', id, 'Invalid version id specified');
}

const ATTRIBUTES = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'];

export function getObjectAttributes(call: Call): Answer {
  const { s3, query } = call;
  const asked = (header(call, 'x-amz-object-attributes') ?? '').split(',').map((name) => name.trim());
  if (asked.some((name) => !ATTRIBUTES.includes(name)))
    throw invalidArgument('x-amz-object-attributes', asked.join(','), 'Invalid attribute name specified.');
  const bucket = bucketOf(call);
  const version = readable(s3, bucket, call.key, query.get('versionId'));
  const { etag, checksum, parts, size, modified, properties } = version;
  const on = <T>(name: string, value: T): T | undefined => (asked.includes(name) ? value : undefined);
  const nodes: Node[] = [
    ['ETag', on('ETag', etag)],
    ['Checksum', on('Checksum', toChecksumNodes(checksum))],
    ['ObjectParts', parts === null ? undefined : on('ObjectParts', toPartNodes(version, call))],
    ['StorageClass', on('StorageClass', properties.storageClass)],
    ['ObjectSize', on('ObjectSize', size)],
  ];
  return {
    headers: { 'last-modified': toHttpDate(modified), ...toVersionHeaders(bucket, version) },
    body: toXml('GetObjectAttributesResponse', nodes),
  };
}

/** The single parts are told only where each has its own checksum. */
function toPartNodes({ parts, checksum }: Version, call: Call): readonly Node[] {
  const all = parts ?? [];
  if (checksum.type === 'FULL_OBJECT') return [['PartsCount', all.length]];
  const after = Number(header(call, 'x-amz-part-number-marker') ?? 0);
  const max = Math.min(Number(header(call, 'x-amz-max-parts') ?? 1000) || 1000, 1000);
  const left = all.filter(({ number }) => number > after);
  const page = left.slice(0, max);
  return [
    ['PartsCount', all.length],
    ['PartNumberMarker', after],
    ['NextPartNumberMarker', page.at(-1)?.number ?? 0],
    ['MaxParts', max],
    ['IsTruncated', page.length < left.length],
    ...page.map(({ number, size, checksum: value }): Node => {
      return [
        'Part',
        [
          [`Checksum${checksum.algorithm}`, value],
          ['PartNumber', number],
          ['Size', size],
        ],
      ];
    }),
  ];
}

export function getObjectTagging(call: Call): Answer {
  const bucket = bucketOf(call);
  const version = readable(call.s3, bucket, call.key, call.query.get('versionId'));
  return { headers: toVersionHeaders(bucket, version), body: toTagXml(version.tags) };
}

export async function putObjectTagging(call: Call): Promise<Answer> {
  const tags = readTagXml(await receiveText(call));
  return changeTags(call, tags, 'ObjectTagging:Put', 200);
}

export function deleteObjectTagging(call: Call): Answer {
  return changeTags(call, {}, 'ObjectTagging:Delete', 204);
}

function changeTags(call: Call, tags: Version['tags'], name: string, status: number): Answer {
  const { s3, key, query } = call;
  return s3.cloud.state.db.transaction(() => {
    const bucket = bucketOf(call);
    const version = readable(s3, bucket, key, query.get('versionId'));
    saveTags(s3.cloud.state.db, version, tags);
    tell(call, bucket, { name, key, etag: version.etag, version: shown(bucket, version) });
    return { status, headers: toVersionHeaders(bucket, version) };
  });
}

export function readTagXml(source: string, max?: number): Version['tags'] {
  const set = children(readXml(source, 'Tagging'), 'TagSet')[0];
  if (set === undefined) throw refusal('MalformedXML');
  const pairs = children(set, 'Tag').map((tag) => [text(tag, 'Key') ?? '', text(tag, 'Value') ?? ''] as const);
  return checkTags(pairs, max);
}

export function toTagXml(tags: Version['tags']): string {
  const nodes = Object.entries(tags).map(
    ([name, value]): Node => [
      'Tag',
      [
        ['Key', name],
        ['Value', value],
      ],
    ],
  );
  return toXml('Tagging', [['TagSet', nodes]]);
}

export function getObjectAcl(call: Call): Answer {
  readable(call.s3, bucketOf(call), call.key, call.query.get('versionId'));
  return { body: toAclXml() };
}

/** The owner may do everything and nobody else anything: ACLs are switched off, as they are in every new bucket. */
export function toAclXml(): string {
  const owner: Node[] = [['ID', ACCOUNT]];
  const grantee = 'Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"';
  const grant: Node = [
    'Grant',
    [
      [grantee, owner],
      ['Permission', 'FULL_CONTROL'],
    ],
  ];
  return toXml('AccessControlPolicy', [
    ['Owner', owner],
    ['AccessControlList', [grant]],
  ]);
}

/** What a condition, a full disk or a bucket that went meanwhile refuses leaves no bytes behind. */
export function orDrop<T>(s3: S3, body: Body, write: () => T): T {
  try {
    return write();
  } catch (error) {
    const { db, bodies } = s3.cloud.state;
    db.transaction(() => bodies.drop(body));
    throw error;
  }
}

export function tell({ s3, requestId, hostId, signature, request }: Call, bucket: Bucket, it: Happening): void {
  const address = request.socket.remoteAddress ?? '127.0.0.1';
  s3.notifier.tell(bucket, it, { requestId, hostId, principal: signature.accessKeyId, address });
}

export function createdOf({ key, size, etag, version }: Version): Omit<Happening, 'name'> {
  return { key, size, etag, version: version === NULL_VERSION ? undefined : version };
}

function shown({ versioning }: Bucket, { version }: Version): string | undefined {
  return versioning === 'Off' || version === NULL_VERSION ? undefined : version;
}

export function toVersionHeaders({ versioning }: Bucket, { version }: Version): { 'x-amz-version-id'?: string } {
  return versioning === 'Off' ? {} : { 'x-amz-version-id': version };
}

function toWrittenHeaders(bucket: Bucket, version: Version): Record<string, string | undefined> {
  return {
    etag: quoted(version.etag),
    ...toChecksumHeaders(version.checksum),
    ...toVersionHeaders(bucket, version),
    ...toEncryptionHeaders(version.properties),
  };
}

export function toChecksumHeaders({ algorithm, type, value }: Checksum): Record<string, string> {
  return { [headerOf(algorithm)]: value, 'x-amz-checksum-type': type };
}

export function toChecksumNodes({ algorithm, type, value }: Checksum): readonly Node[] {
  return [
    [`Checksum${algorithm}`, value],
    ['ChecksumType', type],
  ];
}

export function randomTag(): string {
  return randomBytes(16).toString('hex');
}

/** Whether the copy of this object can have the tag that it has. */
export function isMd5({ etag, properties }: { readonly etag: string; readonly properties: Properties }): boolean {
  return !hidesMd5(properties) && /^[0-9a-f]{32}$/.test(etag);
}

function rangeOf(call: Call, { size, parts }: Version): Range | null {
  const wanted = call.query.get('partNumber');
  const range = header(call, 'range');
  if (wanted === undefined) return range === undefined ? null : readRange(range, size);
  if (range !== undefined) throw invalidRequest('Cannot specify both Range header and partNumber query parameter');
  const number = Number(wanted);
  if (!Number.isInteger(number) || number < 1 || number > 10_000)
    throw invalidArgument('partNumber', wanted, 'Part number must be an integer between 1 and 10000, inclusive');
  const sizes = (parts ?? [{ size }]).map((part) => part.size);
  if (number > sizes.length)
    throw refusal('InvalidPartNumber', { details: { PartNumberRequested: number, ActualPartCount: sizes.length } });
  const start = sizes.slice(0, number - 1).reduce((sum, each) => sum + each, 0);
  const end = start + (sizes[number - 1] ?? 0);
  return end > start ? { start, end } : null;
}

const OVERRIDES: Readonly<Record<string, string>> = {
  'response-content-type': 'content-type',
  'response-content-language': 'content-language',
  'response-expires': 'expires',
  'response-cache-control': 'cache-control',
  'response-content-disposition': 'content-disposition',
  'response-content-encoding': 'content-encoding',
};

function readOverrides(query: ReadonlyMap<string, string>): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [parameter, name] of Object.entries(OVERRIDES)) {
    const value = query.get(parameter);
    if (value === undefined) continue;
    // Nobody writes headers of their own into an answer.
    if (!/^[\t -~]*$/.test(value))
      throw invalidArgument(parameter, value, 'Header value cannot be represented using ISO-8859-1.');
    headers[name] = value;
  }
  return headers;
}
