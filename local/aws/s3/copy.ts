/** Copies within the service: whole objects, and parts of uploads. Bytes move only where a part of an object is wanted. */

import { createHash } from 'node:crypto';
import type { Body } from '../../state/bodies.ts';
import { type Answer, bucketOf, type Call, existing, header, quoted, stamp, toIso } from './call.ts';
import { type Algorithm, type Checksum, openChecksum, readAlgorithm } from './checksums.ts';
import { checkSource, checkWrite, readWriteCondition } from './conditions.ts';
import { findUpload, type Part, readPartNumber, savePart, wantedOf } from './multipart.ts';
import { createdOf, isMd5, orDrop, randomTag, readable, tell, toChecksumNodes, toVersionHeaders } from './objects.ts';
import {
  ARCHIVES,
  hidesMd5,
  readEncryption,
  readProperties,
  readStorage,
  readTagHeader,
  toEncryptionHeaders,
} from './properties.ts';
import { readSourceRange } from './range.ts';
import { GIB } from './receive.ts';
import { invalidArgument, invalidRequest, Refusal, refusal } from './refusal.ts';
import { addVersion, type Bucket, findLive, type Properties, type Version } from './tables.ts';
import { checkKey } from './target.ts';
import { toXml } from './xml.ts';

const COPY_BYTES_MAX = 5 * GIB;

interface Source {
  readonly bucket: Bucket;
  readonly version: Version;
}

export async function copyObject(call: Call): Promise<Answer> {
  const { s3, bucket, key } = call;
  const { state } = s3.cloud;
  checkKey(key);
  const condition = readWriteCondition(call);
  const began = findLive(state.db, bucket, key)?.id ?? null;
  const place = bucketOf(call);
  const source = findSource(call);
  checkSource(call, source.version);
  const { size, body } = source.version;
  if (size > COPY_BYTES_MAX)
    throw invalidRequest(
      `The specified copy source is larger than the maximum allowable size for a copy source: ${COPY_BYTES_MAX}`,
    );
  const properties = propertiesOf(call, source);
  const tags = readDirective(call, 'x-amz-tagging-directive') === 'REPLACE' ? readTagHeader(call) : source.version.tags;

  const hold = holdOf(call, body);
  try {
    const { md5, checksum } = await digestOf(call, source.version);
    const etag = hidesMd5(properties) ? randomTag() : md5;
    const draft = { size, etag, body, properties, tags, checksum, parts: null };
    return state.db.transaction(() => {
      checkWrite(condition, key, began, findLive(state.db, bucket, key));
      const added = addVersion(state, bucketOf(call), key, stamp(s3), draft);
      tell(call, place, { name: 'ObjectCreated:Copy', ...createdOf(added) });
      return {
        headers: {
          ...toVersionHeaders(place, added),
          ...toSourceHeaders(source),
          ...toEncryptionHeaders(properties),
        },
        body: toXml('CopyObjectResult', [
          ['LastModified', toIso(added.modified)],
          ['ETag', quoted(added.etag)],
          ...toChecksumNodes(checksum),
        ]),
      };
    });
  } finally {
    hold.release();
  }
}

export async function uploadPartCopy(call: Call): Promise<Answer> {
  const { s3 } = call;
  const { bodies, db } = s3.cloud.state;
  const number = readPartNumber(call);
  const upload = findUpload(call);
  const source = findSource(call);
  checkSource(call, source.version);
  const { size, body } = source.version;
  const wish = header(call, 'x-amz-copy-source-range');
  const { start, end } = wish === undefined ? { start: 0, end: size } : readSourceRange(wish, size);
  if (end - start > COPY_BYTES_MAX)
    throw invalidRequest(
      `The specified copy source is larger than the maximum allowable size for a copy source: ${COPY_BYTES_MAX}`,
    );
  const wanted = wantedOf(upload, upload.algorithm);
  const hold = holdOf(call, body);
  try {
    const seen = openDigest(wanted);
    const whole = start === 0 && end === size;
    const bytes = seen.through(bodies.read(body, start, end));
    let own = body;
    if (whole) for await (const _ of bytes);
    else own = await bodies.write(bytes);
    const etag = hidesMd5(upload.properties) ? randomTag() : seen.md5();
    const part: Part = { number, size: end - start, etag, body: own, modified: stamp(s3), checksums: seen.checksums() };
    const save = () =>
      db.transaction(() => {
        bodies.keep(own);
        savePart(call, part);
      });
    if (whole) save();
    else orDrop(s3, own, save);
    const shown = upload.algorithm;
    return {
      headers: { ...toSourceHeaders(source), ...toEncryptionHeaders(upload.properties) },
      body: toXml('CopyPartResult', [
        ['LastModified', toIso(part.modified)],
        ['ETag', quoted(etag)],
        ...(shown === null ? [] : [[`Checksum${shown}`, part.checksums[shown]] as const]),
      ]),
    };
  } finally {
    hold.release();
  }
}

function findSource(call: Call): Source {
  const text = Buffer.from(header(call, 'x-amz-copy-source') ?? '', 'latin1').toString('utf8');
  const invalid = (message: string) => invalidArgument('x-amz-copy-source', text, message);
  const [, path = '', id] = /^(.*?)(?:\?versionId=([^?&]*))?$/s.exec(text) ?? [];
  let name: string;
  try {
    name = decodeURIComponent(path).replace(/^\//, '');
  } catch {
    throw invalid('Invalid copy source encoding.');
  }
  const slash = name.indexOf('/');
  if (slash < 1 || slash === name.length - 1) throw invalid('Invalid copy source object key');
  const bucket = existing(call.s3, name.slice(0, slash));
  const version = findReadable(call, bucket, name.slice(slash + 1), id);
  if (ARCHIVES.includes(version.properties.storageClass))
    throw refusal('InvalidObjectState', {
      message: "Operation is not valid for the source object's storage class",
      details: { StorageClass: version.properties.storageClass },
    });
  return { bucket, version };
}

function findReadable(call: Call, bucket: Bucket, key: string, id: string | undefined): Version {
  try {
    return readable(call.s3, bucket, key, id);
  } catch (error) {
    if (error instanceof Refusal && error.code === 'MethodNotAllowed')
      throw invalidRequest('The source of a copy request may not specifically refer to a delete marker by version id.');
    throw error;
  }
}

type Directive = 'COPY' | 'REPLACE';

function readDirective(call: Call, name: string): Directive {
  const value = header(call, name) ?? 'COPY';
  if (value !== 'COPY' && value !== 'REPLACE') throw invalidArgument(name, value, 'Unknown metadata directive.');
  return value;
}

/** Storage class and encryption are those the request asks for, whatever the source has. */
function propertiesOf(call: Call, { bucket, version }: Source): Properties {
  if (readDirective(call, 'x-amz-metadata-directive') === 'REPLACE') return readProperties(call);
  const { headers } = call.request;
  const asks = (name: string) => headers[name] !== undefined;
  const changes = ['x-amz-storage-class', 'x-amz-server-side-encryption', 'x-amz-website-redirect-location'].some(asks);
  if (bucket.name === call.bucket && version.key === call.key && version.current && !changes)
    throw invalidRequest(
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's " +
        'metadata, storage class, website redirect location or encryption attributes.',
    );
  const redirect = header(call, 'x-amz-website-redirect-location');
  const { 'x-amz-website-redirect-location': _, ...kept } = version.properties.headers;
  return {
    headers: redirect === undefined ? kept : { ...kept, 'x-amz-website-redirect-location': redirect },
    metadata: version.properties.metadata,
    ...readStorage(call),
    ...readEncryption(call),
  };
}

interface Hold {
  release(): void;
}

/** The bytes stay while they are being read, even if the object goes. */
function holdOf({ s3 }: Call, body: Body): Hold {
  const { db, bodies } = s3.cloud.state;
  db.transaction(() => bodies.keep(body));
  return { release: () => db.transaction(() => bodies.drop(body)) };
}

/** MD5 and checksum of a copy. An object of several parts has neither of its bytes, so they are read. */
async function digestOf(call: Call, version: Version): Promise<{ readonly md5: string; readonly checksum: Checksum }> {
  const name = header(call, 'x-amz-checksum-algorithm');
  const algorithm = name === undefined ? version.checksum.algorithm : readAlgorithm(name);
  const known = version.checksum.algorithm === algorithm && version.checksum.type === 'FULL_OBJECT';
  if (known && isMd5(version)) return { md5: version.etag, checksum: version.checksum };
  const seen = openDigest([algorithm]);
  for await (const _ of seen.through(call.s3.cloud.state.bodies.read(version.body)));
  return { md5: seen.md5(), checksum: { algorithm, type: 'FULL_OBJECT', value: seen.checksums()[algorithm] ?? '' } };
}

function openDigest(algorithms: readonly Algorithm[]) {
  const md5 = createHash('md5');
  const hashes = algorithms.map((algorithm) => [algorithm, openChecksum(algorithm)] as const);
  return {
    async *through(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const piece of source) {
        md5.update(piece);
        for (const [, hash] of hashes) hash.update(piece);
        yield piece;
      }
    },
    md5: () => md5.digest('hex'),
    checksums: (): Partial<Record<Algorithm, string>> =>
      Object.fromEntries(hashes.map(([algorithm, hash]) => [algorithm, hash.result()])),
  };
}

function toSourceHeaders({ bucket, version }: Source): Record<string, string | undefined> {
  return { 'x-amz-copy-source-version-id': bucket.versioning === 'Off' ? undefined : version.version };
}
