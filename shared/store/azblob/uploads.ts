/** Uploads by parts on Azure Blob: blocks that wait under the name itself, told apart by the upload in their ids. */

import { crc64nvme, readCrc64nvme } from '../../model/crc.ts';
import { fault, invalid, isFault } from '../../model/fault.ts';
import type { ObjectVersion } from '../../model/object.ts';
import { checkPart, checkParts, sizeOf } from '../body.ts';
import type { PartReceipt, StoreCapabilities, StreamedPart, Sums } from '../store.ts';
import type { Container } from './container.ts';
import { describe, nameOf } from './describe.ts';
import { blockId, commit, newUpload, stage, stageStreamed } from './write.ts';

const UPLOAD = /^[0-9a-f]{32}$/;

/** Nothing is sent: an upload exists by its first part. */
export function createUpload(key: string): string {
  nameOf(key);
  return newUpload();
}

export async function putPart(
  container: Container,
  { partsMax, putBytesMax }: StoreCapabilities,
  key: string,
  upload: string,
  part: number,
  body: Uint8Array | StreamedPart,
  known: Sums = {},
): Promise<PartReceipt> {
  checkUpload(upload);
  checkPart(part, partsMax);
  const sizeBytes = sizeOf(body);
  if (sizeBytes > putBytesMax)
    throw fault('too-large', `part ${part}: more than ${putBytesMax} bytes`, { field: 'part', value: sizeBytes });
  const id = blockId(upload, part);
  // The service takes no empty block, and needs none.
  if (sizeBytes > 0 && !(body instanceof Uint8Array)) await stageStreamed(container, key, id, body);
  else if (body instanceof Uint8Array && sizeBytes > 0) {
    const sum = known.crc64nvme === undefined ? crc64nvme(body) : readCrc64nvme(known.crc64nvme);
    await stage(container, key, id, body, sum);
  }
  return { part, receipt: receiptOf(upload, part), sizeBytes };
}

export async function completeUpload(
  container: Container,
  { partsMax }: StoreCapabilities,
  key: string,
  upload: string,
  parts: readonly PartReceipt[],
): Promise<ObjectVersion> {
  checkUpload(upload);
  checkParts(parts, partsMax);
  const waiting = await sizesWaiting(container, key);
  for (const { part, receipt, sizeBytes } of parts) {
    const actual = sizeBytes === 0 ? 0 : waiting.get(blockId(upload, part));
    if (actual === undefined || receipt !== receiptOf(upload, part))
      throw fault('not-found', `part ${part} is not there`, { field: 'parts', value: part });
    if (actual !== sizeBytes) throw invalid('parts', sizeBytes, `the ${actual} bytes that part ${part} has`);
  }
  const ids = parts.filter(({ sizeBytes }) => sizeBytes > 0).map(({ part }) => blockId(upload, part));
  const total = parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const described = describe({ headers: {}, user: {} }, undefined);
  try {
    return await commit(container, key, ids, total, described, { condition: { kind: 'always' } });
  } catch (error) {
    // Between our look and the commit a whole write there has discarded what waited.
    if (!isFault(error, 'conflict')) throw error;
    throw fault('not-found', `the parts of upload ${upload} are gone`, {
      field: 'upload',
      value: upload,
      cause: error,
    });
  }
}

/** Azure has no way to take blocks back: they wait for a whole write there, or for a week. */
export function abortUpload(key: string): void {
  nameOf(key);
}

async function sizesWaiting(container: Container, key: string): Promise<ReadonlyMap<string, number>> {
  try {
    const { uncommittedBlocks = [] } = await container.call('read', (abortSignal) =>
      container.blob(key).getBlockList('uncommitted', { abortSignal }),
    );
    return new Map(uncommittedBlocks.map(({ name, size }) => [name, size]));
  } catch (error) {
    if (isFault(error, 'not-found')) return new Map();
    throw error;
  }
}

function receiptOf(upload: string, part: number): string {
  return `${upload}-${part}`;
}

function checkUpload(upload: string): void {
  if (!UPLOAD.test(upload)) throw fault('not-found', `no upload ${upload}`, { field: 'upload', value: upload });
}
