/** Writing to Azure Blob: small bodies in one request, large ones as blocks, copies as blocks the service fetches itself. */

import { createHash, randomBytes } from 'node:crypto';
import type { BlobHTTPHeaders } from '@azure/storage-blob';
import { combineCrc64nvme, crc64nvme, readCrc64nvme, toCrc64nvmeText } from '../../model/crc.ts';
import { Fault, fault } from '../../model/fault.ts';
import type { ObjectVersion } from '../../model/object.ts';
import {
  type Block,
  bytesOf,
  type CheckedMetadata,
  checkSums,
  openSums,
  sendStream,
  toBlocks,
  toContentType,
} from '../body.ts';
import type { CopyProgress, PutOptions, StoreCapabilities, StreamedPart, WriteCondition } from '../store.ts';
import type { Container } from './container.ts';
import { conditionsOf, describe, idsOf, readPhys, toVersion } from './describe.ts';
import { head, headPinned } from './read.ts';

const MI = 1024 * 1024;
/** A body that fits into one block is written by one request. */
const BLOCK_BYTES = 4 * MI;
const BLOCKS_AT_ONCE = 3;
const COPY_BYTES = 256 * MI;
const COPIES_AT_ONCE = 8;
/** After so many it is said how far a copy is. */
const COPIES_KEPT = 64;
const UPLOAD_BYTES = 16;

export async function put(
  container: Container,
  { putBytesMax }: StoreCapabilities,
  key: string,
  body: AsyncIterable<Uint8Array> | Uint8Array,
  options: PutOptions,
): Promise<ObjectVersion> {
  const described = describe(options.metadata, options.marker);
  conditionsOf(options.condition);
  container.blob(key);
  const blocks = toBlocks(body, BLOCK_BYTES, putBytesMax);
  try {
    const first = (await blocks.next()).value as Block;
    if (first.last) return await putWhole(container, key, first.bytes, described, options);
    return await putBlocks(container, key, first, blocks, described, options);
  } finally {
    // Whatever went wrong, the source learns that nobody reads on.
    await blocks.return(undefined);
  }
}

async function putWhole(
  container: Container,
  key: string,
  bytes: Uint8Array,
  described: CheckedMetadata,
  { condition, checksums }: PutOptions,
): Promise<ObjectVersion> {
  const sums = openSums({ crc32c: checksums?.crc32c !== undefined, crc64nvme: checksums?.crc64nvme !== undefined });
  sums.update(bytes);
  checkSums(checksums, sums.texts());
  const md5 = createHash('md5').update(bytes).digest();
  const told = await container.call('write', (abortSignal) =>
    container.blob(key).upload(bytes, bytes.length, {
      abortSignal,
      conditions: conditionsOf(condition),
      // Checked and kept by the service, which takes no CRC-64 beside it.
      transactionalContentMD5: md5,
      ...toProperties(described),
    }),
  );
  return toVersion(key, idsOf(container, told), bytes.length, described);
}

/** Blocks are nobody's until the list of them is committed, and the condition is judged there. */
async function putBlocks(
  container: Container,
  key: string,
  first: Block,
  rest: AsyncIterable<Block>,
  described: CheckedMetadata,
  options: PutOptions,
): Promise<ObjectVersion> {
  const upload = newUpload();
  const sums = openSums({ crc32c: options.checksums?.crc32c !== undefined, crc64nvme: false });
  const md5 = createHash('md5');
  const ids: string[] = [];
  let whole = 0n;
  let sizeBytes = 0;
  await sendAll(all(), BLOCKS_AT_ONCE, async ({ id, bytes, sum }) => {
    await stage(container, key, id, bytes, sum);
  });
  checkSums(options.checksums, { ...sums.texts(), crc64nvme: toCrc64nvmeText(whole) });
  return commit(container, key, ids, sizeBytes, described, { condition: options.condition, md5: md5.digest() });

  async function* all(): AsyncGenerator<{ id: string; bytes: Uint8Array; sum: bigint }> {
    yield take(first.bytes);
    for await (const { bytes } of rest) yield take(bytes);
  }

  function take(bytes: Uint8Array): { id: string; bytes: Uint8Array; sum: bigint } {
    const id = blockId(upload, ids.length + 1);
    const sum = crc64nvme(bytes);
    ids.push(id);
    sums.update(bytes);
    md5.update(bytes);
    whole = combineCrc64nvme(whole, sum, bytes.length);
    sizeBytes += bytes.length;
    return { id, bytes, sum };
  }
}

export async function stage(container: Container, key: string, id: string, bytes: Uint8Array, sum: bigint) {
  await container.call(
    'stage',
    (abortSignal) =>
      container.blob(key).stageBlock(id, bytes, bytes.length, { abortSignal, transactionalContentCrc64: toWire(sum) }),
    bytes.length,
  );
}

/** No checksum can be sent behind the bytes, so the one is compared that the service has computed of them. */
export async function stageStreamed(container: Container, key: string, id: string, part: StreamedPart) {
  const { sizeBytes } = part;
  const told = await sendStream(bytesOf(part), (body, broken) =>
    container.call(
      'stage',
      (signal) =>
        container.blob(key).stageBlock(id, body, sizeBytes, { abortSignal: AbortSignal.any([signal, broken]) }),
      sizeBytes,
    ),
  );
  const kept = told.xMsContentCrc64;
  if (kept) checkSums(part.sums(), { crc64nvme: toCrc64nvmeText(fromWire(kept)) });
}

export async function commit(
  container: Container,
  key: string,
  ids: readonly string[],
  sizeBytes: number,
  described: CheckedMetadata,
  { condition, md5 }: { readonly condition: WriteCondition; readonly md5?: Uint8Array | undefined },
): Promise<ObjectVersion> {
  const told = await container.call('write', (abortSignal) =>
    container
      .blob(key)
      .commitBlockList([...ids], { abortSignal, conditions: conditionsOf(condition), ...toProperties(described, md5) }),
  );
  return toVersion(key, idsOf(container, told), sizeBytes, described);
}

/**
 * By blocks too, because no other copy takes headers, metadata and a condition at any size. The service says the
 * CRC-64 of every block it fetched, so the bytes are checked although none of them came by here.
 */
export async function copy(
  container: Container,
  source: { readonly key: string; readonly phys: string },
  key: string,
  options: PutOptions,
  progress?: CopyProgress,
): Promise<ObjectVersion> {
  const described = describe(options.metadata, options.marker);
  conditionsOf(options.condition);
  container.blob(key);
  const { version, md5 } = await headPinned(container, source.key, source.phys);
  const { sizeBytes } = version;
  if (sizeBytes === 0) return putWhole(container, key, new Uint8Array(0), described, options);
  const { versionId } = readPhys(source.phys);
  const count = Math.ceil(sizeBytes / COPY_BYTES);
  let done: CopiedBlocks = progress?.from ? readCopied(progress.from) : { upload: newUpload(), blocks: 0, sum: '' };
  const ids = Array.from({ length: count }, (_, index) => blockId(done.upload, index + 1));
  const sizeOf = (index: number) => Math.min(COPY_BYTES, sizeBytes - index * COPY_BYTES);
  // Some at a time, so that it can be told how many there are and what they add up to.
  while (done.blocks < count) {
    if (progress?.isTimeUp()) throw fault('timeout', `${done.blocks} of ${count} blocks are copied, and time is up`);
    const { url, authorization } = await container.sourceOf(source.key, versionId);
    const next = ids.slice(done.blocks, done.blocks + (progress ? COPIES_KEPT : count));
    const sums: (bigint | undefined)[] = [];
    await sendAll(next.entries(), COPIES_AT_ONCE, async ([at, id]) => {
      const index = done.blocks + at;
      const told = await container.call('copy', (abortSignal) =>
        container.blob(key).stageBlockFromURL(id, url, index * COPY_BYTES, sizeOf(index), {
          abortSignal,
          ...(authorization && { sourceAuthorization: authorization }),
        }),
      );
      sums[at] = told.xMsContentCrc64 && fromWire(told.xMsContentCrc64);
    });
    done = { ...done, blocks: done.blocks + next.length, sum: joined(done, sums, sizeOf) };
    if (done.blocks < count) await progress?.save(JSON.stringify(done));
  }
  // Without a version id the address means whatever stands there. Entity tags never come back: if the one pinned
  // stands afterwards, it stood all the while.
  if (versionId === undefined) await headPinned(container, source.key, source.phys);
  checkSums(options.checksums, done.sum === null ? {} : { crc64nvme: toCrc64nvmeText(sumOf(done)) });
  return commit(container, key, ids, sizeBytes, described, { condition: options.condition, md5 });
}

/** The first blocks of a copy under way, and their CRC-64/NVME; null where the service told none of some of them. */
interface CopiedBlocks {
  readonly upload: string;
  readonly blocks: number;
  readonly sum: string | null;
}

function readCopied(text: string): CopiedBlocks {
  const told = JSON.parse(text) as Partial<CopiedBlocks>;
  const { upload = '', blocks = -1, sum = null } = told;
  if (upload === '' || !Number.isSafeInteger(blocks) || blocks < 0)
    throw fault('invalid', 'no progress of a copy of this driver', { field: 'progress', value: text });
  return { upload, blocks, sum };
}

function sumOf({ sum }: CopiedBlocks): bigint {
  return sum === null || sum === '' ? 0n : readCrc64nvme(sum);
}

function joined(
  done: CopiedBlocks,
  sums: readonly (bigint | undefined)[],
  sizeOf: (index: number) => number,
): string | null {
  if (done.sum === null) return null;
  let whole = sumOf(done);
  for (const [at, sum] of sums.entries()) {
    if (sum === undefined) return null;
    whole = combineCrc64nvme(whole, sum, sizeOf(done.blocks + at));
  }
  return toCrc64nvmeText(whole);
}

/** Nothing remembers a deletion but the versions that are left without a current one. */
export async function remove(container: Container, key: string, condition: WriteCondition): Promise<null> {
  if (condition.kind === 'if-absent') {
    // No service knows that condition for a delete; it holds when there is nothing to do.
    const stands = await head(container, key);
    if (stands) throw fault('precondition', `${stands.phys} stands here`, { value: 412 });
    return null;
  }
  const blob = container.blob(key);
  try {
    await container.call('write', (abortSignal) => blob.delete({ abortSignal, conditions: conditionsOf(condition) }));
  } catch (error) {
    if (!(error instanceof Fault) || error.kind !== 'not-found') throw error;
    if (condition.kind === 'if-token')
      throw fault('precondition', `nothing stands here, ${condition.token} was expected`, {
        value: 404,
        cause: error,
      });
  }
  return null;
}

function toProperties(
  { metadata, entries }: CheckedMetadata,
  md5?: Uint8Array,
): { blobHTTPHeaders: BlobHTTPHeaders; metadata: Record<string, string> } {
  const { contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl } = metadata.headers;
  return {
    blobHTTPHeaders: {
      blobContentType: toContentType(contentType),
      ...(contentEncoding !== undefined && { blobContentEncoding: contentEncoding }),
      ...(contentLanguage !== undefined && { blobContentLanguage: contentLanguage }),
      ...(contentDisposition !== undefined && { blobContentDisposition: contentDisposition }),
      ...(cacheControl !== undefined && { blobCacheControl: cacheControl }),
      ...(md5 && { blobContentMD5: md5 }),
    },
    metadata: { ...entries },
  };
}

export function newUpload(): string {
  return randomBytes(UPLOAD_BYTES).toString('hex');
}

/** All blocks that wait under one name must have ids of one length; the upload keeps those of two writers apart. */
export function blockId(upload: string, part: number): string {
  return Buffer.from(`${upload}-${String(part).padStart(5, '0')}`).toString('base64');
}

/** The service sends and takes CRC-64 with its lowest byte first. */
export function toWire(sum: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(sum);
  return bytes;
}

function fromWire(bytes: Uint8Array): bigint {
  return Buffer.from(bytes).readBigUInt64LE();
}

/** A bounded number at once; when one fails no more are begun, and all have ended before the failure is told. */
async function sendAll<Item>(
  items: AsyncIterable<Item> | Iterable<Item>,
  atOnce: number,
  send: (item: Item) => Promise<void>,
): Promise<void> {
  const open = new Set<Promise<void>>();
  const failures: unknown[] = [];
  try {
    for await (const item of items) {
      const sending = send(item)
        .catch((error: unknown) => void failures.push(error))
        .finally(() => open.delete(sending));
      open.add(sending);
      if (open.size >= atOnce) await Promise.race(open);
      if (failures.length > 0) break;
    }
  } finally {
    await Promise.all(open);
  }
  if (failures.length > 0) throw failures[0];
}
