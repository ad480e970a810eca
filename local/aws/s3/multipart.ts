/** Uploads in parts: create, parts, complete, abort. */

import { createHash, randomBytes } from 'node:crypto';
import type { Body } from '../../state/bodies.ts';
import type { Database } from '../../state/sqlite.ts';
import { type Answer, bucketOf, type Call, header, quoted, stamp } from './call.ts';
import {
  ALGORITHMS,
  type Algorithm,
  type ChecksumType,
  canBeFullObject,
  DEFAULT_ALGORITHM,
  headerOf,
  joinChecksums,
  readAlgorithm,
} from './checksums.ts';
import { checkWrite, readWriteCondition } from './conditions.ts';
import { createdOf, orDrop, randomTag, tell, toChecksumNodes, toVersionHeaders } from './objects.ts';
import { hidesMd5, readProperties, readTagHeader, toEncryptionHeaders } from './properties.ts';
import { receive, receiveText } from './receive.ts';
import { invalidArgument, invalidRequest, refusal } from './refusal.ts';
import { addVersion, type Draft, findLive, type PartInfo, type Properties, type Tags } from './tables.ts';
import { checkKey } from './target.ts';
import { children, type Element, readXml, text, toXml } from './xml.ts';

export interface Upload {
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  readonly initiated: number;
  /** The id of what stood at the key when the upload began. */
  readonly standing: number | null;
  readonly properties: Properties;
  readonly tags: Tags;
  /** Null: the client asked for none. */
  readonly algorithm: Algorithm | null;
  readonly type: ChecksumType | null;
}

export interface Part {
  readonly number: number;
  readonly size: number;
  readonly etag: string;
  readonly body: Body;
  readonly modified: number;
  readonly checksums: Readonly<Partial<Record<Algorithm, string>>>;
}

const PART_BYTES_MIN = 5 * 1024 * 1024;
const PARTS_MAX = 10_000;

export function createMultipartUpload(call: Call): Answer {
  const { s3, bucket, key } = call;
  const { db } = s3.cloud.state;
  checkKey(key);
  bucketOf(call);
  const { algorithm, type } = readChecksumWish(call);
  const properties = readProperties(call);
  const id = randomBytes(48).toString('base64url');
  db.run(
    `INSERT INTO s3_uploads (id, bucket, key, initiated, standing, properties, tags, algorithm, type)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    id,
    bucket,
    key,
    stamp(s3),
    findLive(db, bucket, key)?.id ?? null,
    JSON.stringify(properties),
    JSON.stringify(readTagHeader(call)),
    algorithm,
    type,
  );
  return {
    headers: {
      ...toEncryptionHeaders(properties),
      'x-amz-checksum-algorithm': algorithm ?? undefined,
      'x-amz-checksum-type': type ?? undefined,
    },
    body: toXml('InitiateMultipartUploadResult', [
      ['Bucket', bucket],
      ['Key', key],
      ['UploadId', id],
    ]),
  };
}

function readChecksumWish(call: Call): Pick<Upload, 'algorithm' | 'type'> {
  const name = header(call, 'x-amz-checksum-algorithm');
  const type = header(call, 'x-amz-checksum-type')?.toUpperCase();
  if (type !== undefined && type !== 'COMPOSITE' && type !== 'FULL_OBJECT')
    throw invalidRequest('Value for x-amz-checksum-type header is invalid.');
  if (name === undefined) {
    if (type !== undefined)
      throw invalidRequest('The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.');
    return { algorithm: null, type: null };
  }
  const algorithm = readAlgorithm(name);
  const cannot = (kind: ChecksumType) =>
    invalidRequest(`The ${kind} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`);
  if (type === 'FULL_OBJECT' && !canBeFullObject(algorithm)) throw cannot(type);
  if (type === 'COMPOSITE' && algorithm === 'CRC64NVME') throw cannot(type);
  return { algorithm, type: type ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE') };
}

export async function uploadPart(call: Call): Promise<Answer> {
  const { s3 } = call;
  const number = readPartNumber(call);
  const upload = findUpload(call);
  const received = await receive(call, (given) => wantedOf(upload, given));
  const { body, size, md5, given, checksums } = received;
  const etag = hidesMd5(upload.properties) ? randomTag() : md5;
  orDrop(s3, body, () =>
    s3.cloud.state.db.transaction(() => {
      s3.cloud.state.bodies.keep(body);
      savePart(call, { number, size, etag, body, modified: stamp(s3), checksums: Object.fromEntries(checksums) });
    }),
  );
  const shown = given ?? upload.algorithm;
  return {
    headers: {
      etag: quoted(etag),
      ...(shown === null ? {} : { [headerOf(shown)]: checksums.get(shown) }),
      ...toEncryptionHeaders(upload.properties),
    },
  };
}

/** What has to be computed of a part, given what the client sends with it; throws where that does not fit the upload. */
export function wantedOf({ algorithm, type }: Upload, given: Algorithm | null): readonly Algorithm[] {
  if (algorithm === null) return [DEFAULT_ALGORITHM];
  if (given !== algorithm && (given !== null || type === 'COMPOSITE'))
    throw invalidRequest(
      `Checksum Type mismatch occurred, expected checksum Type: ${algorithm.toLowerCase()}, ` +
        `actual checksum Type: ${given?.toLowerCase() ?? 'null'}`,
    );
  return [algorithm];
}

/** In a transaction, when the body is kept: an earlier part of the same number goes. */
export function savePart(call: Call, part: Part): void {
  const { db, bodies } = call.s3.cloud.state;
  const upload = findUpload(call);
  const sql = 'SELECT body FROM s3_parts WHERE upload = ? AND number = ?';
  const old = db.get<{ body: Body }>(sql, upload.id, part.number);
  if (old !== undefined) bodies.drop(old.body);
  db.run(
    'INSERT OR REPLACE INTO s3_parts (upload, number, size, etag, body, modified, checksums) VALUES (?, ?, ?, ?, ?, ?, ?)',
    upload.id,
    part.number,
    part.size,
    part.etag,
    part.body,
    part.modified,
    JSON.stringify(part.checksums),
  );
}

export async function completeMultipartUpload(call: Call): Promise<Answer> {
  const { s3, bucket, key } = call;
  const { state } = s3.cloud;
  const { db } = state;
  findUpload(call);
  const condition = readWriteCondition(call);
  const wanted = readParts(await receiveText(call, { ofObject: true }));
  return db.transaction(() => {
    const place = bucketOf(call);
    const upload = findUpload(call);
    checkWrite(condition, key, upload.standing, findLive(db, bucket, key));
    const draft = toDraft(call, upload, pickParts(db, upload, wanted));
    const added = addVersion(state, place, key, stamp(s3), draft);
    removeUpload(call, upload);
    tell(call, place, { name: 'ObjectCreated:CompleteMultipartUpload', ...createdOf(added) });
    return {
      headers: { ...toVersionHeaders(place, added), ...toEncryptionHeaders(upload.properties) },
      body: toXml('CompleteMultipartUploadResult', [
        ['Location', `http://${call.request.headers.host}/${bucket}/${encodeURIComponent(key)}`],
        ['Bucket', bucket],
        ['Key', key],
        ['ETag', quoted(added.etag)],
        ...toChecksumNodes(added.checksum),
      ]),
    };
  });
}

export function abortMultipartUpload(call: Call): Answer {
  call.s3.cloud.state.db.transaction(() => removeUpload(call, findUpload(call)));
  return { status: 204 };
}

/** In a transaction: the upload and its parts, whose bodies go unless an object uses them. */
export function removeUpload({ s3 }: Call, { id }: Pick<Upload, 'id'>): void {
  const { db, bodies } = s3.cloud.state;
  for (const { body } of partsOf(db, id)) bodies.drop(body);
  db.run('DELETE FROM s3_parts WHERE upload = ?', id);
  db.run('DELETE FROM s3_uploads WHERE id = ?', id);
}

interface UploadRow extends Omit<Upload, 'properties' | 'tags'> {
  readonly properties: string;
  readonly tags: string;
}

export function findUpload({ s3, bucket, key, query }: Call): Upload {
  const id = query.get('uploadId') ?? '';
  const sql = 'SELECT * FROM s3_uploads WHERE id = ? AND bucket = ? AND key = ?';
  const row = s3.cloud.state.db.get<UploadRow>(sql, id, bucket, key);
  if (row === undefined) throw refusal('NoSuchUpload', { details: { UploadId: id } });
  return { ...row, properties: JSON.parse(row.properties), tags: JSON.parse(row.tags) };
}

export function partsOf(db: Database, upload: string): readonly Part[] {
  const sql = 'SELECT * FROM s3_parts WHERE upload = ? ORDER BY number';
  const rows = db.all<Omit<Part, 'checksums'> & { readonly checksums: string }>(sql, upload);
  return rows.map((row) => ({ ...row, checksums: JSON.parse(row.checksums) }));
}

export function readPartNumber({ query }: Call): number {
  const value = query.get('partNumber') ?? '';
  const number = Number(value);
  if (!/^\d{1,5}$/.test(value) || number < 1 || number > PARTS_MAX)
    throw invalidArgument('partNumber', value, `Part number must be an integer between 1 and ${PARTS_MAX}, inclusive`);
  return number;
}

/** A part as the client names it when it completes the upload. */
interface WantedPart {
  readonly number: number;
  readonly etag: string;
  readonly checksums: readonly (readonly [Algorithm, string])[];
}

function readParts(source: string): readonly WantedPart[] {
  const parts = children(readXml(source, 'CompleteMultipartUpload'), 'Part').map(readPart);
  if (parts.length === 0) throw refusal('MalformedXML');
  if (parts.length > PARTS_MAX) throw refusal('MalformedXML');
  for (const [index, { number }] of parts.entries())
    if (index > 0 && number <= (parts[index - 1]?.number ?? 0)) throw refusal('InvalidPartOrder');
  return parts;
}

function readPart(element: Element): WantedPart {
  const number = text(element, 'PartNumber')?.trim() ?? '';
  const etag = text(element, 'ETag')?.trim().replaceAll('"', '');
  if (!/^\d{1,5}$/.test(number) || etag === undefined) throw refusal('MalformedXML');
  const checksums = ALGORITHMS.flatMap((algorithm) => {
    const value = text(element, `Checksum${algorithm}`);
    return value === undefined ? [] : [[algorithm, value] as const];
  });
  return { number: Number(number), etag, checksums };
}

function pickParts(db: Database, upload: Upload, wanted: readonly WantedPart[]): readonly Part[] {
  const stored = new Map(partsOf(db, upload.id).map((part) => [part.number, part]));
  return wanted.map(({ number, etag, checksums }, index) => {
    const details = { UploadId: upload.id, PartNumber: number, ETag: etag };
    const part = stored.get(number);
    if (part === undefined || part.etag !== etag) throw refusal('InvalidPart', { details });
    if (checksums.some(([algorithm, value]) => part.checksums[algorithm] !== value))
      throw refusal('InvalidPart', { details });
    const { algorithm, type } = upload;
    if (algorithm !== null && type === 'COMPOSITE' && checksums.length === 0)
      throw invalidRequest(
        `The upload was created using a ${algorithm.toLowerCase()} checksum. The complete request must include the ` +
          `checksum for each part. It was missing for part ${number} in the request.`,
      );
    if (index < wanted.length - 1 && part.size < PART_BYTES_MIN)
      throw refusal('EntityTooSmall', {
        details: { ProposedSize: part.size, MinSizeAllowed: PART_BYTES_MIN, PartNumber: number, ETag: etag },
      });
    return part;
  });
}

function toDraft(call: Call, upload: Upload, parts: readonly Part[]): Draft {
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  const algorithm = upload.algorithm ?? DEFAULT_ALGORITHM;
  const type = upload.type ?? 'FULL_OBJECT';
  const checksumOf = ({ checksums }: Part) => checksums[algorithm] ?? '';
  const checksum = joinChecksums(
    algorithm,
    type,
    parts.map((part) => ({ value: checksumOf(part), sizeBytes: part.size })),
  );
  checkWish(call, { size, algorithm, type, value: checksum.value });
  const md5 = createHash('md5');
  for (const { etag } of parts) md5.update(Buffer.from(etag, 'hex'));
  const infos = parts.map((part): PartInfo => {
    const info = { number: part.number, size: part.size };
    return type === 'COMPOSITE' ? { ...info, checksum: checksumOf(part) } : info;
  });
  return {
    size,
    etag: `${md5.digest('hex')}-${parts.length}`,
    body: call.s3.cloud.state.bodies.join(parts.map(({ body }) => body)),
    properties: upload.properties,
    tags: upload.tags,
    checksum,
    parts: infos,
  };
}

interface Computed {
  readonly size: number;
  readonly algorithm: Algorithm;
  readonly type: ChecksumType;
  readonly value: string;
}

/** Throws unless the object is what the client says it must become. */
function checkWish(call: Call, { size, algorithm, type, value }: Computed): void {
  const saidSize = header(call, 'x-amz-mp-object-size');
  if (saidSize !== undefined && saidSize !== String(size))
    throw invalidRequest(
      `The provided 'x-amz-mp-object-size' header value ${saidSize} does not match what was computed: ${size}`,
    );
  const saidType = header(call, 'x-amz-checksum-type');
  if (saidType !== undefined && saidType.toUpperCase() !== type)
    throw invalidRequest(
      `The upload was created using the ${type} checksum mode. The complete request must use the same checksum mode.`,
    );
  for (const each of ALGORITHMS) {
    const said = header(call, headerOf(each));
    if (said === undefined) continue;
    // A composite one may be given with or without the number of parts.
    if (each !== algorithm || (said !== value && said !== value.replace(/-\d+$/, '')))
      throw refusal('BadDigest', {
        message: `The ${each.toLowerCase()} you specified did not match the calculated checksum.`,
      });
  }
}
