/** Uploads by parts: every part with its own checksum, the whole with that of all parts joined. */

import { combineCrc64nvme, crc64nvme, readCrc64nvme, toCrc64nvmeText } from '../../model/crc.ts';
import { fault, invalid, isFault } from '../../model/fault.ts';
import { bytesOf, sendStream, toBlocks } from '../body.ts';
import type { Described } from '../flavours.ts';
import type { PartReceipt, StreamedPart, Sums, WriteCondition } from '../store.ts';
import type { Connection } from './client.ts';
import { nameOf, toFields } from './identity.ts';
import { conditioned, toConditions, type Written } from './write.ts';

export const PARTS_MAX = 10_000;

/** One part as S3 acknowledged it; the checksum is null where the service told none. */
export interface Part {
  readonly part: number;
  readonly etag: string;
  readonly crc64nvme: string | null;
  readonly sizeBytes: number;
}

export async function beginUpload(
  { sdk, bucket, send }: Connection,
  op: string,
  key: string,
  described?: Described,
): Promise<string> {
  const input = {
    Bucket: bucket,
    Key: nameOf(key),
    ChecksumAlgorithm: 'CRC64NVME' as const,
    ChecksumType: 'FULL_OBJECT' as const,
    ...(described && toFields(described)),
  };
  const answer = await send({ op, key, writes: true }, ({ client, abortSignal }) =>
    client.send(new sdk.CreateMultipartUploadCommand(input), { abortSignal }),
  );
  if (answer.UploadId) return answer.UploadId;
  throw fault('unavailable', 'an upload without an id', { op, key });
}

export async function sendPart(
  { sdk, bucket, send }: Connection,
  op: string,
  key: string,
  upload: string,
  part: number,
  bytes: Uint8Array,
  known: Sums = {},
): Promise<Part> {
  checkPart(part);
  const sum = known.crc64nvme ?? toCrc64nvmeText(crc64nvme(bytes));
  const input = {
    Bucket: bucket,
    Key: nameOf(key),
    UploadId: upload,
    PartNumber: part,
    Body: bytes,
    ContentLength: bytes.length,
    ChecksumCRC64NVME: sum,
  };
  const answer = await send(
    { op, key, writes: true },
    ({ client, abortSignal }) => client.send(new sdk.UploadPartCommand(input), { abortSignal }),
    { bodyBytes: bytes.length },
  );
  return { part, etag: answer.ETag ?? '', crc64nvme: sum, sizeBytes: bytes.length };
}

/** As it comes, in chunks that S3 takes apart again, with the checksum behind them. */
export async function sendStreamedPart(
  { sdk, bucket, send }: Connection,
  op: string,
  key: string,
  upload: string,
  part: number,
  streamed: StreamedPart,
): Promise<Part> {
  checkPart(part);
  const { sizeBytes } = streamed;
  const answer = await sendStream(toChunks(streamed), (body, broken) => {
    const command = new sdk.UploadPartCommand({
      Bucket: bucket,
      Key: nameOf(key),
      UploadId: upload,
      PartNumber: part,
      Body: body,
      ContentLength: chunkedBytes(sizeBytes),
    });
    // The SDK would do the same with a checksum of its own, computed once more.
    command.middlewareStack.add(
      (next) => (args) => {
        Object.assign((args.request as { headers: Record<string, string> }).headers, {
          'content-encoding': 'aws-chunked',
          'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
          'x-amz-decoded-content-length': String(sizeBytes),
          'x-amz-trailer': SUM_HEADER,
        });
        return next(args);
      },
      { step: 'build', name: 'sendInChunks' },
    );
    return send(
      { op, key, writes: true },
      ({ client, abortSignal }) => client.send(command, { abortSignal: AbortSignal.any([abortSignal, broken]) }),
      { bodyBytes: sizeBytes },
    );
  });
  return { part, etag: answer.ETag ?? '', crc64nvme: streamed.sums().crc64nvme ?? null, sizeBytes };
}

const SUM_HEADER = 'x-amz-checksum-crc64nvme';
const SUM_LETTERS = 12;
/** S3 wants 8 KiB at the least. */
const CHUNK_BYTES = 256 * 1024;
const LINE_END = '\r\n';

async function* toChunks(streamed: StreamedPart): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of toBlocks(bytesOf(streamed), CHUNK_BYTES, streamed.sizeBytes)) {
    yield Buffer.from(`${bytes.length.toString(16)}${LINE_END}`);
    yield bytes;
    yield Buffer.from(LINE_END);
  }
  yield Buffer.from(`0${LINE_END}${SUM_HEADER}:${streamed.sums().crc64nvme}${LINE_END}${LINE_END}`);
}

function chunkedBytes(sizeBytes: number): number {
  const of = (bytes: number) => bytes.toString(16).length + bytes + 2 * LINE_END.length;
  const rest = sizeBytes % CHUNK_BYTES;
  const chunks = Math.floor(sizeBytes / CHUNK_BYTES) * of(CHUNK_BYTES) + (rest > 0 ? of(rest) : 0);
  return chunks + '0'.length + SUM_HEADER.length + ':'.length + SUM_LETTERS + 3 * LINE_END.length;
}

/** Joins the parts; S3 looks at the condition only now. */
export async function joinParts(
  { sdk, bucket, send, copyMs }: Connection,
  op: string,
  key: string,
  upload: string,
  parts: readonly Part[],
  condition: WriteCondition,
): Promise<Written> {
  const sum = joinedSum(parts);
  const input = {
    Bucket: bucket,
    Key: nameOf(key),
    UploadId: upload,
    MultipartUpload: {
      Parts: parts.map((it) => ({
        PartNumber: it.part,
        ETag: it.etag,
        ...(it.crc64nvme !== null && { ChecksumCRC64NVME: it.crc64nvme }),
      })),
    },
    MpuObjectSize: parts.reduce((all, { sizeBytes }) => all + sizeBytes, 0),
    ...(sum !== null && { ChecksumCRC64NVME: sum, ChecksumType: 'FULL_OBJECT' as const }),
    ...toConditions(condition),
  };
  const answer = await conditioned(condition, () =>
    send(
      { op, key, writes: true },
      ({ client, abortSignal }) => client.send(new sdk.CompleteMultipartUploadCommand(input), { abortSignal }),
      { ms: copyMs },
    ),
  );
  return { etag: answer.ETag, versionId: answer.VersionId };
}

/** What S3 has of an upload. */
export async function listParts(
  { sdk, bucket, send }: Connection,
  op: string,
  key: string,
  upload: string,
): Promise<Map<number, Part>> {
  const parts = new Map<number, Part>();
  let after: string | undefined;
  do {
    const input = { Bucket: bucket, Key: nameOf(key), UploadId: upload, ...(after && { PartNumberMarker: after }) };
    const page = await send({ op, key, writes: false }, ({ client, abortSignal }) =>
      client.send(new sdk.ListPartsCommand(input), { abortSignal }),
    );
    for (const { PartNumber: part = 0, ETag: etag = '', Size: sizeBytes = 0, ChecksumCRC64NVME } of page.Parts ?? [])
      parts.set(part, { part, etag, crc64nvme: ChecksumCRC64NVME ?? null, sizeBytes });
    after = page.IsTruncated ? page.NextPartNumberMarker : undefined;
  } while (after !== undefined);
  return parts;
}

export async function dropUpload({ sdk, bucket, send }: Connection, key: string, upload: string): Promise<void> {
  const input = { Bucket: bucket, Key: nameOf(key), UploadId: upload };
  try {
    await send({ op: 'abortUpload', key, writes: true }, ({ client, abortSignal }) =>
      client.send(new sdk.AbortMultipartUploadCommand(input), { abortSignal }),
    );
  } catch (error) {
    if (!isFault(error, 'not-found')) throw error;
  }
}

/**
 * An object in parts that `fill` sends. Until they are joined nothing has happened at the key, whatever became of them,
 * and nothing of them is left behind; unless nobody knows whether they were joined.
 */
export async function writeInParts(
  connection: Connection,
  op: string,
  key: string,
  described: Described,
  condition: WriteCondition,
  fill: (upload: string) => Promise<readonly Part[]>,
): Promise<Written> {
  const upload = await notYet(() => beginUpload(connection, op, key, described));
  // What cannot be dropped now costs storage until the bucket's own rule for unfinished uploads ends it.
  const drop = () => dropUpload(connection, key, upload).catch(() => {});
  let parts: readonly Part[];
  try {
    parts = await notYet(() => fill(upload));
  } catch (error) {
    await drop();
    throw error;
  }
  try {
    return await joinParts(connection, op, key, upload, parts, condition);
  } catch (error) {
    if (!isFault(error, 'timeout')) await drop();
    throw error;
  }
}

export async function notYet<Answer>(run: () => Promise<Answer>): Promise<Answer> {
  try {
    return await run();
  } catch (error) {
    if (!isFault(error, 'timeout')) throw error;
    throw fault('unavailable', `given up before anything was written: ${error.message}`, error.details);
  }
}

export function toReceipt({ part, etag, crc64nvme: sum, sizeBytes }: Part): PartReceipt {
  return { part, receipt: `${etag} ${sum ?? ''}`, sizeBytes };
}

export function readReceipts(receipts: readonly PartReceipt[]): readonly Part[] {
  if (receipts.length === 0) throw invalid('parts', receipts, 'at least one part');
  return receipts.map(({ part, receipt, sizeBytes }) => {
    checkPart(part);
    const space = receipt.lastIndexOf(' ');
    if (space < 0) throw invalid('parts', receipt, 'a receipt of this driver');
    const sum = receipt.slice(space + 1);
    if (sum !== '') readCrc64nvme(sum);
    return { part, etag: receipt.slice(0, space), crc64nvme: sum === '' ? null : sum, sizeBytes };
  });
}

/** null when a part has none. */
export function joinedSum(parts: readonly Part[]): string | null {
  let joined = 0n;
  for (const { crc64nvme: sum, sizeBytes } of parts) {
    if (sum === null) return null;
    joined = combineCrc64nvme(joined, readCrc64nvme(sum), sizeBytes);
  }
  return toCrc64nvmeText(joined);
}

function checkPart(part: number): void {
  if (Number.isInteger(part) && part >= 1 && part <= PARTS_MAX) return;
  throw invalid('part', part, `a whole number from 1 to ${PARTS_MAX}`);
}
