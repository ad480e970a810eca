/** Copies within the service: in one call where it takes the size, else by parts, pinned to one version of the source. */

import { crc32c, crc64nvme, toCrc32cText, toCrc64nvmeText } from '../../model/crc.ts';
import { fault, isFault } from '../../model/fault.ts';
import type { ObjectVersion } from '../../model/object.ts';
import { mapBounded } from '../parallel.ts';
import type { CopyProgress, PutOptions } from '../store.ts';
import type { Connection } from './client.ts';
import { nameOf, type Pin, readPhys, toDescribed, toFields } from './identity.ts';
import type { Looks } from './look.ts';
import { beginUpload, joinParts, listParts, notYet, PARTS_MAX, type Part, writeInParts } from './multipart.ts';
import type { Reads } from './read.ts';
import { afterWrite, conditioned, expectSum, toConditions, type Written } from './write.ts';

export interface CopyLimits {
  /** What the service copies in one call. */
  readonly copyBytesMax: number;
  readonly copyPartBytes: number;
}

export interface Pinned {
  readonly key: string;
  readonly phys: string;
}

const PARTS_AT_ONCE = 16;

export async function copyObject(
  connection: Connection,
  looks: Looks,
  read: Reads,
  versioned: boolean,
  source: Pinned,
  key: string,
  options: PutOptions,
  limits: CopyLimits,
  progress?: CopyProgress,
): Promise<ObjectVersion> {
  const { site } = connection;
  const described = toDescribed(options.metadata, options.marker);
  const pin = readPhys(versioned, source.phys);
  const from = pin && (await looks.pinned(source.key, source.phys, pin, 'copy'));
  if (!pin || !from) throw gone();
  await proveSums(read, from, options.checksums);
  const pinned = { CopySource: toSource(connection.bucket, source.key, pin), ...ifSame(pin) };
  const copy = from.sizeBytes > limits.copyBytesMax ? copyByParts : copyAtOnce;
  try {
    const written = await copy();
    return await afterWrite(connection, looks, 'copy', key, described, written);
  } catch (error) {
    // One status for both ends: it was the source if that is no longer what it was.
    const unclear = isFault(error, 'precondition', 'not-found');
    if (unclear && (await looks.pinned(source.key, source.phys, pin, 'copy', true)) === null) throw gone();
    throw error;
  }

  async function copyAtOnce(): Promise<Written> {
    const { sdk, bucket, send, copyMs } = connection;
    const input = {
      ...pinned,
      Bucket: bucket,
      Key: nameOf(key),
      MetadataDirective: 'REPLACE' as const,
      ChecksumAlgorithm: 'CRC64NVME' as const,
      ...toFields(described),
      ...toConditions(options.condition),
    };
    const answer = await conditioned(options.condition, () =>
      send(
        { op: 'copy', key, writes: true },
        ({ client, abortSignal }) => client.send(new sdk.CopyObjectCommand(input), { abortSignal }),
        { ms: copyMs },
      ),
    );
    return { etag: answer.CopyObjectResult?.ETag, versionId: answer.VersionId };
  }

  async function copyByParts(): Promise<Written> {
    const sizeBytes = from?.sizeBytes ?? 0;
    const partBytes = Math.max(limits.copyPartBytes, Math.ceil(sizeBytes / PARTS_MAX));
    const count = Math.ceil(sizeBytes / partBytes);
    if (progress === undefined)
      return writeInParts(connection, 'copy', key, described, options.condition, (upload) =>
        mapBounded(numbers(1, count), PARTS_AT_ONCE, (part) => copyPart(upload, part)),
      );
    // The upload is all there is to remember: its parts are with the service.
    const upload = progress.from ?? (await notYet(() => beginUpload(connection, 'copy', key, described)));
    if (progress.from === null) await progress.save(upload);
    const done = await notYet(() => listParts(connection, 'copy', key, upload));
    const missing = numbers(1, count).filter((part) => !done.has(part));
    await notYet(() =>
      mapBounded(missing, PARTS_AT_ONCE, async (part) => {
        if (!progress.isTimeUp()) done.set(part, await copyPart(upload, part));
      }),
    );
    if (done.size < count)
      throw fault('timeout', `${done.size} of ${count} parts are copied, and time is up`, { site, op: 'copy', key });
    const parts = numbers(1, count).map((part) => done.get(part) as Part);
    return joinParts(connection, 'copy', key, upload, parts, options.condition);

    async function copyPart(to: string, part: number): Promise<Part> {
      const { sdk, bucket, send, copyMs } = connection;
      const [start, end] = [(part - 1) * partBytes, Math.min(part * partBytes, sizeBytes)];
      const input = {
        ...pinned,
        Bucket: bucket,
        Key: nameOf(key),
        UploadId: to,
        PartNumber: part,
        CopySourceRange: `bytes=${start}-${end - 1}`,
      };
      const answer = await send(
        { op: 'copy', key, writes: true },
        ({ client, abortSignal }) => client.send(new sdk.UploadPartCopyCommand(input), { abortSignal }),
        { ms: copyMs },
      );
      const { ETag = '', ChecksumCRC64NVME = null } = answer.CopyPartResult ?? {};
      return { part, etag: ETag, crc64nvme: ChecksumCRC64NVME, sizeBytes: end - start };
    }
  }

  function gone() {
    const text = `no version ${source.phys} of ${source.key}`;
    return fault('not-found', text, { site, op: 'copy', key, field: 'phys', value: source.phys });
  }
}

/** By what the service keeps of the source; by its bytes where that is nothing, as for objects of former years. */
async function proveSums(read: Reads, from: ObjectVersion, expected: PutOptions['checksums']): Promise<void> {
  const { crc32c: known32, crc64nvme: known64 } = expected ?? {};
  const stored = from.checksums;
  if (known64 !== undefined && stored.crc64nvme !== undefined) return expectSum('crc64nvme', stored.crc64nvme, known64);
  if (known32 !== undefined && stored.crc32c !== undefined) return expectSum('crc32c', stored.crc32c, known32);
  if (known32 === undefined && known64 === undefined) return;
  let c32 = 0;
  let c64 = 0n;
  for await (const piece of (await read(from.key, from.phys)).body) {
    if (known32 !== undefined) c32 = crc32c(piece, c32);
    if (known64 !== undefined) c64 = crc64nvme(piece, c64);
  }
  if (known32 !== undefined) expectSum('crc32c', toCrc32cText(c32), known32);
  if (known64 !== undefined) expectSum('crc64nvme', toCrc64nvmeText(c64), known64);
}

function toSource(bucket: string, key: string, pin: Pin): string {
  const path = `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
  return pin.versionId === undefined ? path : `${path}?versionId=${encodeURIComponent(pin.versionId)}`;
}

function ifSame(pin: Pin): { readonly CopySourceIfMatch?: string } {
  return pin.kind === 'etag' ? { CopySourceIfMatch: pin.etag } : {};
}

function numbers(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
