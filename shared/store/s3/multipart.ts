/** Uploads by parts: every part with its own checksum, the whole with that of all parts joined. */

import { combineCrc64nvme, crc64nvme, readCrc64nvme, toCrc64nvmeText } from '../../model/crc.ts';
import { fault, invalid, isFault } from '../../model/fault.ts';
import type { Described } from '../flavours.ts';
import type { PartReceipt, WriteCondition } from '../store.ts';
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
): Promise<Part> {
  checkPart(part);
  const sum = toCrc64nvmeText(crc64nvme(bytes));
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

async function notYet<Answer>(run: () => Promise<Answer>): Promise<Answer> {
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
