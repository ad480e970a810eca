/** Writes of whole objects and deletes: conditional, with the checksum of their bytes, described after they stand. */

import { crc32c, crc64nvme, toCrc32cText, toCrc64nvmeText } from '../../model/crc.ts';
import { type Fault, fault, isFault } from '../../model/fault.ts';
import type { ObjectVersion } from '../../model/object.ts';
import type { Described } from '../flavours.ts';
import type { PutOptions, WriteCondition } from '../store.ts';
import type { Connection } from './client.ts';
import { statusOf } from './faults.ts';
import { isSame, nameOf, toDescribed, toFields } from './identity.ts';
import type { Looks } from './look.ts';

/** What S3 answers to a write: enough to find what was written, not enough to describe it. */
export interface Written {
  readonly etag: string | undefined;
  readonly versionId: string | undefined;
}

export interface Conditions {
  readonly IfMatch?: string;
  readonly IfNoneMatch?: '*';
}

export function toConditions(condition: WriteCondition): Conditions {
  if (condition.kind === 'always') return {};
  return condition.kind === 'if-absent' ? { IfNoneMatch: '*' } : { IfMatch: condition.token };
}

/** One request with all the bytes. */
export async function putBytes(
  connection: Connection,
  looks: Looks,
  key: string,
  bytes: Uint8Array,
  { condition, metadata, marker, checksums }: PutOptions,
): Promise<ObjectVersion> {
  const { sdk, bucket } = connection;
  const described = toDescribed(metadata, marker);
  const sum = checkedSum(bytes, checksums);
  const input = {
    Bucket: bucket,
    Key: nameOf(key),
    Body: bytes,
    ContentLength: bytes.length,
    ChecksumCRC64NVME: sum,
    ...toFields(described),
    ...toConditions(condition),
  };
  const answer = await conditioned(condition, () =>
    connection.send(
      { op: 'put', key, writes: true },
      ({ client, abortSignal }) => client.send(new sdk.PutObjectCommand(input), { abortSignal }),
      { bodyBytes: bytes.length },
    ),
  );
  return afterWrite(connection, looks, 'put', key, described, { etag: answer.ETag, versionId: answer.VersionId });
}

export async function removeObject(
  connection: Connection,
  looks: Looks,
  versioned: boolean,
  key: string,
  condition: WriteCondition,
): Promise<ObjectVersion | null> {
  const { sdk, bucket, site } = connection;
  if (condition.kind === 'if-absent') {
    const last = (await looks.versions(key)).at(-1);
    if (last?.kind === 'object') throw fault('precondition', `${last.phys} stands here`, { site, op: 'delete', key });
    return last ?? null;
  }
  const input = { Bucket: bucket, Key: nameOf(key), ...toConditions(condition) };
  const answer = await conditioned(condition, () =>
    connection.send({ op: 'delete', key, writes: true }, ({ client, abortSignal }) =>
      client.send(new sdk.DeleteObjectCommand(input), { abortSignal }),
    ),
  );
  if (!versioned) return null;
  return described(site, 'delete', key, () => looks.deleted(key, answer.VersionId));
}

/** S3 answers 404 to a token where nothing stands; the contract knows only that the condition did not hold. */
export async function conditioned<Answer>(condition: WriteCondition, run: () => Promise<Answer>): Promise<Answer> {
  try {
    return await run();
  } catch (error) {
    const missed = condition.kind === 'if-token' && isFault(error, 'not-found') && statusOf(error.cause) === 404;
    if (!missed || !isFault(error)) throw error;
    throw fault('precondition', `nothing stands here: ${error.message}`, error.details);
  }
}

/**
 * What was written, as a look tells it: no answer to a write says when the bucket took it. Nothing can say so any more
 * when a later write has replaced it already, or when the look fails; then the write has happened all the same.
 */
export async function afterWrite(
  connection: Connection,
  looks: Looks,
  op: string,
  key: string,
  sent: Described,
  { etag, versionId }: Written,
): Promise<ObjectVersion> {
  return described(connection.site, op, key, async () => {
    // A bucket without versions may name one nevertheless, which says nothing there.
    const named = looks.versioned ? versionId : undefined;
    const version = await looks.look(key, op, named);
    const ours = version !== null && (named !== undefined || (version.token === etag && isSame(sent, version)));
    if (!ours) throw fault('conflict', 'another write has replaced it');
    return version;
  });
}

async function described<Answer>(site: string, op: string, key: string, look: () => Promise<Answer>): Promise<Answer> {
  try {
    return await look();
  } catch (error) {
    if (!isFault(error)) throw error;
    const text = `${op} was carried out, and then could not be seen: ${error.message}`;
    throw fault('timeout', text, { site, op, key, cause: error });
  }
}

/** The CRC-64/NVME to send along, after the expected ones were found to be those of the bytes. */
export function checkedSum(bytes: Uint8Array, expected: PutOptions['checksums']): string {
  const sum = toCrc64nvmeText(crc64nvme(bytes));
  if (expected?.crc64nvme !== undefined) expectSum('crc64nvme', sum, expected.crc64nvme);
  if (expected?.crc32c !== undefined) expectSum('crc32c', toCrc32cText(crc32c(bytes)), expected.crc32c);
  return sum;
}

export function expectSum(field: string, actual: string, expected: string): void {
  if (actual !== expected) throw mismatch(field, actual, expected);
}

function mismatch(field: string, actual: string, expected: string): Fault {
  return fault('corrupt', `${field}: ${expected} was sent, ${actual} arrived`, { field, value: expected });
}
