/** Put Block From URL within Azurite: no byte moves, the new block names the same places in the same extents. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { combineCrc64nvme, crc64nvme } from '#shared/model/crc.ts';
import { fromWire, toWire } from './checksums.ts';

/** So many bytes in an extent, and their CRC-64/NVME where it is known, as hexadecimal digits. */
interface Chunk {
  readonly id: string;
  readonly offset: number;
  readonly count: number;
  readonly crc64?: string;
}

interface Block {
  readonly size: number;
  readonly persistency: Chunk;
  /** What was staged says what it adds up to. */
  crc64?: string;
  /** A block from a URL: all its chunks. Azurite knows of blocks with one. */
  shared?: readonly Chunk[];
}

interface StoredBlob {
  committedBlocksInOrder?: readonly Block[];
  readonly persistency?: Chunk;
}

interface MetadataStore {
  readonly db: { getCollection(name: string): { readonly data: readonly Block[] } };
  downloadBlob(
    context: unknown,
    account: string,
    container: string,
    blob: string,
    snapshot: string,
  ): Promise<StoredBlob>;
  stageBlock(context: unknown, block: Block, ...rest: unknown[]): Promise<void>;
  listUncommittedBlockPersistencyChunks(
    ...page: unknown[]
  ): Promise<readonly [chunks: readonly Chunk[], next: string | undefined]>;
}

interface Staged {
  readonly contentMD5?: Uint8Array | undefined;
  readonly xMsContentCrc64?: Uint8Array | undefined;
}

interface CopyOptions {
  readonly sourceRange?: string;
  readonly sourceContentMD5?: unknown;
  readonly sourceContentcrc64?: unknown;
  readonly leaseAccessConditions?: unknown;
}

interface Handler {
  readonly metadataStore: MetadataStore;
  readonly extentStore: { readExtent(chunk: Chunk): Promise<AsyncIterable<Uint8Array>> };
  stageBlock(...args: unknown[]): Promise<Staged>;
  stageBlockFromURL(
    blockId: string,
    contentLength: number,
    sourceUrl: string,
    options: CopyOptions,
    context: { readonly context: { readonly account: string; readonly container: string; readonly blob: string } },
  ): Promise<Staged>;
}

export interface Parts {
  readonly handler: Handler;
  readonly metadataStore: MetadataStore;
  readonly readPath: (host: string, path: string) => readonly string[];
}

const BLOCKS = '$BLOCKS_COLLECTION$';

/**
 * Azurite asks itself for the range through a socket, stores it again and reads it back to sum it, at 130 MB/s while
 * everybody waits. Here it does so for the first byte only, which says whether the copy may be made. What is asked for
 * otherwise (no range, or sums to be compared) is left as it is. The prototypes are changed, once for a process.
 */
export function shareCopies({ handler, metadataStore, readPath }: Parts): void {
  const slow = { ...pick(handler, 'stageBlock', 'stageBlockFromURL') };
  const store = { ...pick(metadataStore, 'stageBlock', 'listUncommittedBlockPersistencyChunks') };
  const staging = new AsyncLocalStorage<{ block: Block | null }>();

  metadataStore.stageBlock = function (context, block, ...rest) {
    const staged = staging.getStore();
    if (staged !== undefined) staged.block = block;
    return store.stageBlock.call(this, context, block, ...rest);
  };

  // What nobody names here is thrown away.
  metadataStore.listUncommittedBlockPersistencyChunks = async function (...page) {
    const [chunks, next] = await store.listUncommittedBlockPersistencyChunks.call(this, ...page);
    const shared = this.db.getCollection(BLOCKS).data.flatMap((block) => block.shared ?? []);
    return [[...chunks, ...shared], next];
  };

  handler.stageBlock = function (...args) {
    const staged = { block: null as Block | null };
    return staging.run(staged, async () => {
      const answer = await slow.stageBlock.apply(this, args);
      if (staged.block !== null && answer.xMsContentCrc64 !== undefined)
        staged.block.crc64 = fromWire(answer.xMsContentCrc64).toString(16);
      return answer;
    });
  };

  handler.stageBlockFromURL = async function (blockId, contentLength, sourceUrl, options, context) {
    const range = /^bytes=(\d+)-(\d+)$/.exec(options.sourceRange ?? '');
    if (range === null || options.sourceContentMD5 !== undefined || options.sourceContentcrc64 !== undefined)
      return slow.stageBlockFromURL.call(this, blockId, contentLength, sourceUrl, options, context);
    const [start, end] = [Number(range[1]), Number(range[2]) + 1];
    const first = { ...options, sourceRange: `bytes=${start}-${start}` };
    const answer = await slow.stageBlockFromURL.call(this, blockId, contentLength, sourceUrl, first, context);

    const url = new URL(sourceUrl);
    const [account = '', container = '', blob = ''] = readPath(url.hostname, url.pathname);
    const snapshot = url.searchParams.get('snapshot') ?? '';
    const stored = await this.metadataStore.downloadBlob(context, account, container, blob, snapshot);
    const shared = cut(chunksOf(stored), start, end);
    let sum = 0n;
    for (const chunk of shared) sum = combineCrc64nvme(sum, await sumOf(this, chunk), chunk.count);
    const block = {
      ...{ accountName: context.context.account, containerName: context.context.container },
      ...{ blobName: context.context.blob, isCommitted: false, name: blockId },
      size: shared.reduce((bytes, { count }) => bytes + count, 0),
      persistency: shared[0] as Chunk,
      shared,
    };
    await this.metadataStore.stageBlock(context, block, options.leaseAccessConditions);
    return { ...answer, contentMD5: undefined, xMsContentCrc64: toWire(sum) };
  };
}

/** A blob that was committed has blocks of one chunk again. To be done in the same turn as the change. */
export function flatten(blob: object): void {
  const stored = blob as StoredBlob;
  if (!stored.committedBlocksInOrder?.some(({ shared }) => shared)) return;
  stored.committedBlocksInOrder = stored.committedBlocksInOrder.flatMap(({ shared, ...block }) =>
    shared === undefined
      ? [block]
      : shared.map(({ crc64, ...persistency }) => ({
          ...block,
          size: persistency.count,
          persistency,
          ...(crc64 !== undefined && { crc64 }),
        })),
  );
}

function chunksOf({ committedBlocksInOrder = [], persistency }: StoredBlob): readonly Chunk[] {
  if (committedBlocksInOrder.length === 0) return persistency === undefined ? [] : [persistency];
  return committedBlocksInOrder.map((block) => ({
    ...block.persistency,
    ...(block.crc64 !== undefined && { crc64: block.crc64 }),
  }));
}

/** The bytes from `start` to before `end`. A chunk that is cut has to be summed anew. */
function cut(chunks: readonly Chunk[], start: number, end: number): readonly Chunk[] {
  let at = 0;
  return chunks.flatMap((chunk) => {
    const [from, to] = [Math.max(start - at, 0), Math.min(end - at, chunk.count)];
    at += chunk.count;
    if (from >= to) return [];
    return from === 0 && to === chunk.count
      ? [chunk]
      : [{ id: chunk.id, offset: chunk.offset + from, count: to - from }];
  });
}

async function sumOf({ extentStore }: Handler, chunk: Chunk): Promise<bigint> {
  if (chunk.crc64 !== undefined) return BigInt(`0x${chunk.crc64}`);
  let sum = 0n;
  for await (const piece of await extentStore.readExtent(chunk)) sum = crc64nvme(piece, sum);
  return sum;
}

function pick<It, Name extends keyof It>(it: It, ...names: readonly Name[]): Pick<It, Name> {
  return Object.fromEntries(names.map((name) => [name, it[name]])) as Pick<It, Name>;
}
