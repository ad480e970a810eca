/** An object store in a folder of one machine, which several of its processes may open at the same time. */

import { createReadStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openChecksums } from '../model/crc.ts';
import { type Fault, fault, invalid } from '../model/fault.ts';
import type { ObjectVersion } from '../model/object.ts';
import type { SiteId } from '../model/site.ts';
import {
  type Chain,
  check,
  deletionOf,
  type Entry,
  type Kept,
  type NewKept,
  openChain,
  standing,
} from './file/chain.ts';
import { duplicateFile, gone, ifThere, makeFolder, toFault, writeFile } from './file/disk.ts';
import { keysBelow } from './file/list.ts';
import { openUploads, PARTS_MAX } from './file/uploads.ts';
import { describe, FLAVOURS, NO_METADATA } from './flavours.ts';
import { mapBounded } from './parallel.ts';
import type { ObjectStore, PutOptions, StoreCapabilities, WriteCondition } from './store.ts';

export { type TidyOptions, tidyFileStore } from './file/tidy.ts';

export interface FileStoreOptions {
  readonly site: SiteId;
  /** Made when it is not there. Its file system must know hard links. */
  readonly directory: string;
  readonly now: () => number;
  /** Letters, digits, `-` and `_`; never the same answer twice, in no process. */
  readonly nextId: () => string;
  readonly putBytesMax?: number;
}

const TI = 1024 ** 4;
const HEADS_AT_ONCE = 16;
const ALWAYS: WriteCondition = { kind: 'always' };

/**
 * Every version is kept for good, as files that never change: its bytes as `<id>.body`, and beside them a numbered
 * record. Whoever makes the next record has won, which is all that a condition needs, so there is no lock that a crash
 * could leave behind. What it does leave, `tidyFileStore` removes. Names and metadata are those of S3.
 */
export async function openFileStore(options: FileStoreOptions): Promise<ObjectStore> {
  const { site, directory, now, nextId, putBytesMax = 5 * TI } = options;
  const objects = join(directory, 'objects');
  const temp = join(directory, 'temp');
  const capabilities: StoreCapabilities = {
    cloud: 'aws',
    history: 'chain',
    exactToken: true,
    checksums: ['crc32c', 'crc64nvme'],
    putBytesMax,
    partBytesMin: 1,
    partsMax: PARTS_MAX,
    objectBytesMax: PARTS_MAX * TI,
  };
  const uploads = openUploads(join(directory, 'uploads'), temp, nextId);
  await at('open', directory, () => Promise.all([makeFolder(objects), makeFolder(temp)]));

  async function at<Answer>(op: string, key: string, run: () => Promise<Answer>): Promise<Answer> {
    try {
      return await run();
    } catch (error) {
      throw toFault(error, { site, op, key });
    }
  }

  function chainOf(key: string): Chain {
    return openChain({ objects, temp, now }, FLAVOURS.s3.nameOf(key));
  }

  async function find(key: string, phys: string | null): Promise<Entry> {
    const chain = chainOf(key);
    const entry = standing(phys === null ? await chain.newest() : await chain.find(phys));
    if (entry) return entry;
    throw gone('phys', phys ?? 'that stands');
  }

  /** The bytes are there and durable before the record is; they go again when it is not to be. */
  async function write(
    key: string,
    { condition, metadata, marker, checksums }: PutOptions,
    fill: (path: string) => Promise<Pick<Kept, 'sizeBytes' | 'checksums'>>,
  ): Promise<ObjectVersion> {
    const described = describe(FLAVOURS.s3, metadata, marker);
    const chain = chainOf(key);
    const id = nextId();
    const path = chain.bodyOf(id);
    await chain.prepare();
    try {
      const filled = await fill(path);
      expectSums(filled.checksums, checksums);
      const kept: NewKept = {
        key,
        kind: 'object',
        id,
        ...filled,
        metadata: described.metadata,
        ...(described.marker !== undefined && { marker: described.marker }),
      };
      return await chain.publish(kept, condition);
    } catch (error) {
      if ((error as Partial<Fault>).kind !== 'timeout') await rm(path, { force: true });
      throw error;
    }
  }

  return {
    site,
    capabilities,

    head: (key) => at('head', key, async () => standing(await chainOf(key).newest())?.version ?? null),

    versions: (key) => at('versions', key, async () => (await chainOf(key).all()).map(({ version }) => version)),

    get: (key, phys, range) =>
      at('get', key, async () => {
        const { version, kept } = await find(key, phys);
        const { start, end } = range ?? { start: 0, end: version.sizeBytes };
        const inside = Number.isInteger(start) && Number.isInteger(end) && start >= 0 && end <= version.sizeBytes;
        if (range && !(inside && start < end)) throw invalid('range', range, `a part of ${version.sizeBytes} bytes`);
        const path = chainOf(key).bodyOf(kept.id);
        const found = await ifThere(() => stat(path));
        if (found?.size !== version.sizeBytes)
          throw fault('corrupt', `${found?.size ?? 'no'} bytes are there`, { field: 'sizeBytes', value: found?.size });
        return { version, body: readBody(path, version, start, end, { site, op: 'get', key }) };
      }),

    put: (key, body, put) =>
      at('put', key, () =>
        write(key, put, async (path) => {
          const sums = openChecksums();
          await writeFile(path, passing(body instanceof Uint8Array ? [body] : body, putBytesMax, sums.update));
          const { sizeBytes, ...checksums } = sums.result();
          return { sizeBytes, checksums };
        }),
      ),

    delete: (key, condition) =>
      at('delete', key, async () => {
        const chain = chainOf(key);
        if (condition.kind !== 'if-absent') {
          await chain.prepare();
          return chain.publish(deletionOf(key, nextId()), condition);
        }
        const newest = await chain.newest();
        check(condition, newest);
        return newest?.version ?? null;
      }),

    list: ({ prefix, after, limit }) =>
      at('list', prefix, async () => {
        if (!Number.isInteger(limit) || limit < 1) throw invalid('limit', limit, 'a whole number from 1');
        const keys = await keysBelow(objects, prefix, after);
        const found: ObjectVersion[] = [];
        for (let from = 0; from < keys.length && found.length <= limit; from += limit + 1) {
          const heads = await mapBounded(keys.slice(from, from + limit + 1), HEADS_AT_ONCE, (key) =>
            chainOf(key).newest(),
          );
          found.push(...heads.flatMap((entry) => standing(entry)?.version ?? []));
        }
        const page = found.slice(0, limit);
        return found.length > limit ? { objects: page, next: page[limit - 1]!.key } : { objects: page };
      }),

    copy: (source, key, put) =>
      at('copy', key, async () => {
        const { version, kept } = await find(source.key, source.phys);
        const from = chainOf(source.key).bodyOf(kept.id);
        return write(key, put, async (path) => {
          await duplicateFile(from, path);
          return { sizeBytes: version.sizeBytes, checksums: version.checksums };
        });
      }),

    createUpload: (key) => at('createUpload', key, () => uploads.begin(FLAVOURS.s3.nameOf(key))),

    putPart: (key, upload, part, body, sums) => at('putPart', key, () => uploads.keep(key, upload, part, body, sums)),

    completeUpload: (key, upload, receipts) =>
      at('completeUpload', key, async () => {
        let taken = false;
        try {
          const version = await write(key, { condition: ALWAYS, metadata: NO_METADATA }, async (path) => {
            const { sizeBytes, ...checksums } = await uploads.join(key, upload, receipts, path);
            taken = await uploads.take(upload);
            if (!taken) throw gone('upload', upload);
            return { sizeBytes, checksums };
          });
          await uploads.end(upload);
          return version;
        } catch (error) {
          if (taken) await uploads.giveBack(upload).catch(() => {});
          throw error;
        }
      }),

    abortUpload: (key, upload) => at('abortUpload', key, () => uploads.end(upload)),
  };
}

async function* readBody(
  path: string,
  version: ObjectVersion,
  start: number,
  end: number,
  place: { readonly site: string; readonly op: string; readonly key: string },
): AsyncGenerator<Uint8Array> {
  if (start === end) return;
  const sums = openChecksums();
  try {
    for await (const piece of createReadStream(path, { start, end: end - 1 })) {
      sums.update(piece);
      yield piece;
    }
    const whole = end - start === version.sizeBytes;
    if (whole) expectSums(sums.result(), version.checksums);
  } catch (error) {
    throw toFault(error, place);
  }
}

async function* passing(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  bytesMax: number,
  see: (piece: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  let sizeBytes = 0;
  for await (const piece of body) {
    sizeBytes += piece.length;
    if (sizeBytes > bytesMax)
      throw fault('too-large', `more than ${bytesMax} bytes in one put`, { field: 'body', value: sizeBytes });
    see(piece);
    yield piece;
  }
}

function expectSums(actual: Kept['checksums'], expected: Kept['checksums'] = {}): void {
  for (const field of ['crc32c', 'crc64nvme'] as const)
    if (expected[field] !== undefined && expected[field] !== actual[field])
      throw fault('corrupt', `${field}: ${expected[field]} was expected, the bytes have ${actual[field]}`, {
        field,
        value: expected[field],
      });
}
