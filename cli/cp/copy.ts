/** One copy: by the service itself where it can, else streamed through here; both checksums are compared on the way. */

import { type Checksums, openChecksums } from '../../shared/model/crc.ts';
import { fault } from '../../shared/model/fault.ts';
import type { ObjectVersion } from '../../shared/model/object.ts';
import type { ObjectStore, PartReceipt, WriteCondition } from '../../shared/store/store.ts';
import { type Source, writeFile } from './ends.ts';

export type Target =
  | { readonly kind: 'object'; readonly store: ObjectStore; readonly key: string }
  | { readonly kind: 'file'; readonly path: string };

export interface Copied {
  readonly sizeBytes: number;
  /** server-side: no byte came through here. */
  readonly how: 'server-side' | 'streamed' | 'in parts';
  /** What the bytes were found to be, or what the service says where they did not come through here. */
  readonly crc32c: string | null;
  readonly crc64nvme: string | null;
}

export interface CopyOptions {
  readonly condition: WriteCondition;
  /** A name that nobody else uses, for the parts of what is too large for one request. */
  readonly nextId: () => string;
  readonly onBytes: (bytes: number) => void;
}

const PART_BYTES = 64 * 1024 ** 2;
const PARTS_AT_ONCE = 4;

/** Fault 'corrupt' when what was read is not what its service says, and then nothing is written. */
export async function copy(source: Source, target: Target, options: CopyOptions): Promise<Copied> {
  const { sizeBytes } = source;
  if (target.kind === 'file') {
    const { body, sums } = checked(source, await source.body(), options.onBytes);
    await writeFile(target.path, body, options.condition.kind === 'always');
    return { sizeBytes, how: 'streamed', ...textsOf(sums()) };
  }
  const { store, key } = target;
  if (sizeBytes > store.capabilities.objectBytesMax)
    throw fault('too-large', `it has ${sizeBytes} bytes, more than an object may have there`, { key });
  if (source.stored?.store === store) return copyInside(source.stored, key, source, options);
  if (sizeBytes > store.capabilities.putBytesMax) return copyByParts(source, store, key, options);
  const { body, sums } = checked(source, await source.body(), options.onBytes);
  const { condition } = options;
  const { metadata, checksums } = source;
  const written = await store.put(key, body, { condition, metadata, checksums });
  compare(written, sums(), store);
  return { sizeBytes, how: 'streamed', ...textsOf(sums()) };
}

async function copyInside(
  { store, key: from, phys }: NonNullable<Source['stored']>,
  key: string,
  { metadata, checksums, sizeBytes }: Source,
  { condition, onBytes }: CopyOptions,
): Promise<Copied> {
  const written = await store.copy({ key: from, phys }, key, { condition, metadata, checksums });
  onBytes(sizeBytes);
  const { crc32c = checksums.crc32c ?? null, crc64nvme = checksums.crc64nvme ?? null } = written.checksums;
  return { sizeBytes, how: 'server-side', crc32c, crc64nvme };
}

/** Beside the key, several parts at a time, then put in place by one conditional step. */
async function copyByParts(
  source: Source,
  store: ObjectStore,
  key: string,
  { condition, nextId, onBytes }: CopyOptions,
): Promise<Copied> {
  const { sizeBytes, metadata, checksums } = source;
  const { partsMax, partBytesMin, putBytesMax } = store.capabilities;
  const wanted = Math.max(PART_BYTES, Math.ceil(sizeBytes / partsMax), partBytesMin);
  const partBytes = Math.min(wanted, putBytesMax);
  const count = Math.ceil(sizeBytes / partBytes);
  const stage = `.triplicate/stage/cp-${nextId()}`;
  const upload = await store.createUpload(stage);
  const receipts: PartReceipt[] = [];
  let next = 1;
  const work = async () => {
    for (let part = next++; part <= count; part = next++) {
      const range = await source.range((part - 1) * partBytes, Math.min(part * partBytes, sizeBytes));
      const chunks: Uint8Array[] = [];
      for await (const chunk of range) {
        chunks.push(chunk);
        onBytes(chunk.length);
      }
      receipts[part - 1] = await store.putPart(stage, upload, part, Buffer.concat(chunks));
    }
  };
  try {
    await Promise.all(Array.from({ length: PARTS_AT_ONCE }, work));
    const { phys } = await store.completeUpload(stage, upload, receipts);
    const written = await store.copy({ key: stage, phys }, key, { condition, metadata, checksums });
    const { crc32c = null, crc64nvme = null } = written.checksums;
    return { sizeBytes, how: 'in parts', crc32c, crc64nvme };
  } finally {
    await store.abortUpload(stage, upload);
    await store.delete(stage, { kind: 'always' });
  }
}

/** Fails before its end when the bytes are not those that the source's service tells of. */
function checked(
  { name, sizeBytes, checksums }: Source,
  body: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): { readonly body: AsyncIterable<Uint8Array>; readonly sums: () => Checksums } {
  const open = openChecksums();
  let found: Checksums | null = null;
  async function* passing(): AsyncIterable<Uint8Array> {
    let size = 0;
    for await (const chunk of body) {
      open.update(chunk);
      size += chunk.length;
      onBytes(chunk.length);
      yield chunk;
    }
    found = open.result();
    const differs = differing(checksums, found);
    if (size !== sizeBytes) throw fault('corrupt', `${size} bytes came of ${sizeBytes}`, { key: name });
    if (differs !== null) throw fault('corrupt', `the bytes that came are not those of its ${differs}`, { key: name });
  }
  return { body: passing(), sums: () => found ?? open.result() };
}

function compare(written: ObjectVersion, sums: Checksums, store: ObjectStore): void {
  const differs = differing(written.checksums, sums);
  if (differs === null && written.sizeBytes === sums.sizeBytes) return;
  throw fault('corrupt', `what stands there now is not what was sent: another ${differs ?? 'size'}`, {
    site: store.site,
    key: written.key,
  });
}

function differing(stored: ObjectVersion['checksums'], found: Checksums): 'CRC-32C' | 'CRC-64/NVME' | null {
  if (stored.crc32c !== undefined && stored.crc32c !== found.crc32c) return 'CRC-32C';
  return stored.crc64nvme !== undefined && stored.crc64nvme !== found.crc64nvme ? 'CRC-64/NVME' : null;
}

function textsOf({ crc32c, crc64nvme }: Checksums): Pick<Copied, 'crc32c' | 'crc64nvme'> {
  return { crc32c, crc64nvme };
}
