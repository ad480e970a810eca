/** Writing to Google Cloud Storage: small bodies in one request, large ones in chunks of a session, copies by rewrite. */

import { randomBytes } from 'node:crypto';
import { fault, isFault } from '../../model/fault.ts';
import type { ObjectVersion } from '../../model/object.ts';
import { type Block, type CheckedMetadata, checkSums, openSums, toBlocks } from '../body.ts';
import type { CopyProgress, PutOptions, StoreCapabilities, WriteCondition } from '../store.ts';
import type { Bucket } from './bucket.ts';
import { conditionsOf, describe, nameOf, type Resource, readPhys, readVersion, toResource } from './describe.ts';
import { head, headPinned, readJson, readResource } from './read.ts';

/** A multiple of 256 KiB, as sessions want it. A body that fits into one chunk is written by one request. */
const CHUNK_BYTES = 8 * 1024 * 1024;
/** Within one location a rewrite ends with its first answer. Elsewhere each one moves a megabyte at the least. */
const REWRITES_MAX = 10_000_000;
/** What begins so is the progress of a copy, and no upload. */
export const REWRITE = 'rewrite ';
const REWRITE_TIMEOUT_MS = 5 * 60_000;
const BOUNDARY_BYTES = 16;
const JSON_TYPE = 'application/json; charset=UTF-8';

export async function put(
  bucket: Bucket,
  { putBytesMax }: StoreCapabilities,
  key: string,
  body: AsyncIterable<Uint8Array> | Uint8Array,
  options: PutOptions,
): Promise<ObjectVersion> {
  nameOf(key);
  const described = describe(options.metadata, options.marker);
  conditionsOf(options.condition);
  const chunks = toBlocks(body, CHUNK_BYTES, putBytesMax);
  try {
    const first = (await chunks.next()).value as Block;
    if (first.last) return await putWhole(bucket, key, first.bytes, described, options);
    return await putChunks(bucket, key, first, chunks, described, options);
  } finally {
    // Whatever went wrong, the source learns that nobody reads on.
    await chunks.return(undefined);
  }
}

async function putWhole(
  bucket: Bucket,
  key: string,
  bytes: Uint8Array,
  described: CheckedMetadata,
  { condition, checksums }: PutOptions,
): Promise<ObjectVersion> {
  const sums = openSums({ crc32c: true, crc64nvme: checksums?.crc64nvme !== undefined });
  sums.update(bytes);
  checkSums(checksums, sums.texts());
  const resource = toResource(described, key, sums.texts().crc32c);
  const boundary = `triplicate-${randomBytes(BOUNDARY_BYTES).toString('hex')}`;
  const opening = `--${boundary}\r\ncontent-type: ${JSON_TYPE}\r\n\r\n${JSON.stringify(resource)}\r\n`;
  const { body } = await bucket.send({
    method: 'POST',
    url: bucket.upload({ uploadType: 'multipart', ...conditionsOf(condition) }),
    headers: { 'content-type': `multipart/related; boundary=${boundary}` },
    body: [
      Buffer.from(`${opening}--${boundary}\r\ncontent-type: ${String(resource.contentType)}\r\n\r\n`),
      bytes,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ],
    expected: [200],
    writes: true,
  });
  return readResource(body);
}

/** Nothing is written before the last chunk, and the condition is judged there. */
async function putChunks(
  bucket: Bucket,
  key: string,
  first: Block,
  rest: AsyncIterable<Block>,
  described: CheckedMetadata,
  options: PutOptions,
): Promise<ObjectVersion> {
  const sums = openSums({ crc32c: true, crc64nvme: options.checksums?.crc64nvme !== undefined });
  const session = await openSession(bucket, toResource(described, key, options.checksums?.crc32c), options.condition);
  let offset = 0;
  try {
    for await (const { bytes, last } of chunks()) {
      sums.update(bytes);
      if (!last) await sendChunk(bucket, session, bytes, offset);
      offset += bytes.length;
      if (!last) continue;
      // While it can still be left unwritten.
      checkSums(options.checksums, sums.texts());
      return await sendLast(bucket, session, bytes, offset, sums.texts().crc32c!);
    }
    throw fault('internal', 'a body without a last block');
  } catch (error) {
    // After a timeout it may be written, and whoever asks the session again may learn of it.
    if (!isFault(error, 'timeout')) await closeSession(bucket, session);
    throw error;
  }

  async function* chunks(): AsyncGenerator<Block> {
    yield first;
    yield* rest;
  }
}

async function openSession(
  bucket: Bucket,
  resource: Readonly<Record<string, unknown>>,
  condition: WriteCondition,
): Promise<string> {
  const { headers } = await bucket.send({
    method: 'POST',
    url: bucket.upload({ uploadType: 'resumable', ...conditionsOf(condition) }),
    headers: { 'content-type': JSON_TYPE, 'x-upload-content-type': String(resource.contentType) },
    body: Buffer.from(JSON.stringify(resource)),
    expected: [200, 201],
    writes: false,
  });
  if (!headers.location) throw fault('internal', 'Google Cloud Storage opened an upload session without an address');
  return headers.location;
}

/** The service may keep less than it was sent; then the rest is sent again, as long as it keeps something. */
async function sendChunk(bucket: Bucket, session: string, bytes: Uint8Array, offset: number): Promise<void> {
  for (let kept = 0; kept < bytes.length; ) {
    const { headers } = await bucket.send({
      method: 'PUT',
      url: session,
      headers: { 'content-range': `bytes ${offset + kept}-${offset + bytes.length - 1}/*` },
      body: bytes.subarray(kept),
      expected: [308],
      writes: false,
    });
    const now = Number(/^bytes=0-(\d+)$/.exec(headers.range ?? '')?.[1] ?? -1) + 1 - offset;
    if (now <= kept || now > bytes.length)
      throw fault('unavailable', `an upload session keeps ${offset + now} bytes of ${offset + bytes.length}`);
    kept = now;
  }
}

async function sendLast(
  bucket: Bucket,
  session: string,
  bytes: Uint8Array,
  total: number,
  crc32c: string,
): Promise<ObjectVersion> {
  const { body } = await bucket.send({
    method: 'PUT',
    url: session,
    headers: {
      'content-range': `bytes ${total - bytes.length}-${total - 1}/${total}`,
      'x-goog-hash': `crc32c=${crc32c}`,
    },
    body: bytes,
    expected: [200, 201],
    writes: true,
  });
  const written = readResource(body);
  if (written.checksums.crc32c === undefined || written.checksums.crc32c === crc32c) return written;
  // Only a service that ignored the checksum sent with the last chunk gets here.
  await remove(bucket, written.key, { kind: 'if-token', token: written.token! }).catch(() => {});
  throw fault('corrupt', `crc32c: ${crc32c} was sent, ${written.checksums.crc32c} was stored`, { field: 'crc32c' });
}

/** What fails here the service forgets by itself within a week. */
async function closeSession(bucket: Bucket, session: string): Promise<void> {
  const closing = { method: 'DELETE', url: session, expected: [200, 204, 499], writes: false } as const;
  await bucket.send({ ...closing, headers: { 'content-length': '0' } }).catch(() => {});
}

interface RewriteAnswer {
  readonly done: boolean;
  readonly rewriteToken?: string;
  readonly resource?: Resource;
}

/** The stored CRC-32C is compared; a CRC-64 cannot be without reading the bytes, so it is left to who reads them. */
export async function copy(
  bucket: Bucket,
  source: { readonly key: string; readonly phys: string },
  key: string,
  { condition, metadata, marker, checksums }: PutOptions,
  progress?: CopyProgress,
): Promise<ObjectVersion> {
  nameOf(key);
  const described = describe(metadata, marker);
  const conditions = conditionsOf(condition);
  const { generation, metageneration } = readPhys(source.phys);
  const from = await headPinned(bucket, source.key, source.phys);
  checkSums(checksums, from.checksums);
  const query = {
    sourceGeneration: generation,
    ifSourceGenerationMatch: generation,
    ifSourceMetagenerationMatch: metageneration,
    ...conditions,
  };
  const call = `/rewriteTo/b/${encodeURIComponent(bucket.name)}/o/${encodeURIComponent(key)}`;
  const resource = Buffer.from(JSON.stringify(toResource(described, key, undefined)));
  let rewriteToken = progress?.from?.slice(REWRITE.length);
  for (let round = 0; round < REWRITES_MAX; round++) {
    if (progress?.isTimeUp()) throw fault('timeout', 'a rewrite goes on, and time is up');
    const url = bucket.object(source.key, { ...query, ...(rewriteToken && { rewriteToken }) }, call);
    const headers = { 'content-type': JSON_TYPE };
    try {
      const request = { method: 'POST', url, headers, body: resource, expected: [200], writes: true } as const;
      const { body } = await bucket.send({ ...request, limitMs: REWRITE_TIMEOUT_MS });
      const told = readJson<RewriteAnswer>(body);
      if (told.done && told.resource) return readVersion(told.resource);
      rewriteToken = told.rewriteToken;
      if (progress && rewriteToken !== undefined) await progress.save(REWRITE + rewriteToken);
    } catch (error) {
      // The answer is the same for a condition of the source: if it is gone, that is what has to be told.
      if (isFault(error, 'precondition')) await headPinned(bucket, source.key, source.phys);
      throw error;
    }
  }
  throw fault('unavailable', `a rewrite that does not end in ${REWRITES_MAX} calls`);
}

/** Never by naming the generation, which would remove it for good where generations are kept. */
export async function remove(bucket: Bucket, key: string, condition: WriteCondition): Promise<null> {
  nameOf(key);
  if (condition.kind === 'if-absent') {
    // No service knows that condition for a delete; it holds when there is nothing to do.
    const stands = await head(bucket, key);
    if (stands) throw fault('precondition', `${stands.phys} stands here`, { value: 412 });
    return null;
  }
  const url = bucket.object(key, conditionsOf(condition));
  try {
    await bucket.send({ method: 'DELETE', url, expected: [200, 204], writes: true });
  } catch (error) {
    if (!isFault(error, 'not-found')) throw error;
    if (condition.kind === 'if-token')
      throw fault('precondition', `nothing stands here, ${condition.token} was expected`, { value: 404, cause: error });
  }
  return null;
}
