/** Put Block From URL within Azurite: the bytes go from extent to extent instead of through its own port. */

import { Readable } from 'node:stream';
import { crc64nvme } from '#shared/model/crc.ts';

interface Chunk {
  readonly id: string;
  readonly offset: number;
  readonly count: number;
}

interface StoredBlob {
  readonly committedBlocksInOrder?: readonly { readonly persistency: Chunk }[];
  readonly persistency?: Chunk;
}

interface Handler {
  readonly metadataStore: {
    downloadBlob(
      context: unknown,
      account: string,
      container: string,
      blob: string,
      snapshot: string,
    ): Promise<StoredBlob>;
    stageBlock(context: unknown, block: object, lease: unknown): Promise<void>;
  };
  readonly extentStore: {
    readExtents(chunks: readonly Chunk[], start: number, count: number): Promise<AsyncIterable<Uint8Array>>;
    appendExtent(bytes: Readable): Promise<Chunk>;
  };
}

interface CopyOptions {
  readonly sourceRange?: string;
  readonly sourceContentMD5?: unknown;
  readonly sourceContentcrc64?: unknown;
  readonly leaseAccessConditions?: unknown;
}

interface Context {
  readonly context: { readonly account: string; readonly container: string; readonly blob: string };
}

type StageBlockFromURL = (
  this: Handler,
  blockId: string,
  contentLength: number,
  sourceUrl: string,
  options: CopyOptions,
  context: Context,
) => Promise<{ readonly contentMD5?: Uint8Array | undefined; readonly xMsContentCrc64?: Uint8Array | undefined }>;

type ReadPath = (host: string, path: string) => readonly string[];

/**
 * Azurite asks itself for the range, stores it, and reads it once more to sum it. Here it does so for the first byte only,
 * which says whether the copy may be made; the rest comes by no socket and is summed on its way. What is asked for
 * otherwise (no range, or sums to be compared) is left as it is.
 */
export function withDirectCopies(slow: StageBlockFromURL, readPath: ReadPath): StageBlockFromURL {
  return async function stageBlockFromURL(blockId, contentLength, sourceUrl, options, context) {
    const range = /^bytes=(\d+)-(\d+)$/.exec(options.sourceRange ?? '');
    if (range === null || options.sourceContentMD5 !== undefined || options.sourceContentcrc64 !== undefined)
      return slow.call(this, blockId, contentLength, sourceUrl, options, context);
    const [start, end] = [Number(range[1]), Number(range[2])];
    const probe = { ...options, sourceRange: `bytes=${start}-${start}` };
    const answer = await slow.call(this, blockId, contentLength, sourceUrl, probe, context);

    const url = new URL(sourceUrl);
    const [account = '', container = '', blob = ''] = readPath(url.hostname, url.pathname);
    const snapshot = url.searchParams.get('snapshot') ?? '';
    const stored = await this.metadataStore.downloadBlob(context, account, container, blob, snapshot);
    const blocks = stored.committedBlocksInOrder?.map(({ persistency }) => persistency) ?? [];
    const chunks = blocks.length > 0 ? blocks : [stored.persistency].filter((chunk) => chunk !== undefined);
    const held = chunks.reduce((sum, { count }) => sum + count, 0);
    const bytes = await this.extentStore.readExtents(chunks, start, Math.min(end + 1, held) - start);
    let sum = 0n;
    async function* summed(): AsyncGenerator<Uint8Array> {
      for await (const piece of bytes) {
        sum = crc64nvme(piece, sum);
        yield piece;
      }
    }
    const persistency = await this.extentStore.appendExtent(Readable.from(summed(), { objectMode: false }));
    const { account: accountName, container: containerName, blob: blobName } = context.context;
    const block = { accountName, containerName, blobName, isCommitted: false, name: blockId };
    const size = persistency.count;
    await this.metadataStore.stageBlock(context, { ...block, size, persistency }, options.leaseAccessConditions);
    const crc64 = Buffer.alloc(8);
    crc64.writeBigUInt64LE(sum);
    return { ...answer, contentMD5: undefined, xMsContentCrc64: new Uint8Array(crc64) };
  };
}
