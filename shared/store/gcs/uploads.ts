/** Uploads by parts on Google Cloud Storage: those of its XML API, the only ones whose parts may come in any order. */

import { crc32c, toCrc32cText } from '../../model/crc.ts';
import { fault, isFault } from '../../model/fault.ts';
import type { ObjectVersion } from '../../model/object.ts';
import { checkPart, checkParts, toContentType } from '../body.ts';
import type { PartReceipt, StoreCapabilities } from '../store.ts';
import type { Bucket } from './bucket.ts';
import { head } from './read.ts';

export async function createUpload(bucket: Bucket, key: string): Promise<string> {
  const { body } = await bucket.send({
    method: 'POST',
    url: `${bucket.xml(key, {})}?uploads`,
    headers: { 'content-type': toContentType(undefined) },
    body: new Uint8Array(0),
    expected: [200],
    writes: false,
  });
  const upload = /<UploadId>([^<]+)<\/UploadId>/.exec(body.toString())?.[1];
  if (upload === undefined) throw fault('internal', 'Google Cloud Storage began an upload without telling its id');
  return fromXml(upload);
}

export async function putPart(
  bucket: Bucket,
  { partsMax, putBytesMax }: StoreCapabilities,
  key: string,
  uploadId: string,
  part: number,
  bytes: Uint8Array,
): Promise<PartReceipt> {
  checkPart(part, partsMax);
  if (bytes.length > putBytesMax)
    throw fault('too-large', `part ${part}: more than ${putBytesMax} bytes`, { field: 'part', value: bytes.length });
  const { headers } = await bucket.send({
    method: 'PUT',
    url: bucket.xml(key, { partNumber: String(part), uploadId }),
    headers: { 'x-goog-hash': `crc32c=${toCrc32cText(crc32c(bytes))}` },
    body: bytes,
    expected: [200],
    writes: false,
  });
  if (!headers.etag) throw fault('internal', 'Google Cloud Storage took a part without telling its ETag');
  return { part, receipt: headers.etag, sizeBytes: bytes.length };
}

export async function completeUpload(
  bucket: Bucket,
  { partsMax }: StoreCapabilities,
  key: string,
  uploadId: string,
  parts: readonly PartReceipt[],
): Promise<ObjectVersion> {
  checkParts(parts, partsMax);
  const lines = parts.map(
    ({ part, receipt }) => `<Part><PartNumber>${part}</PartNumber><ETag>${toXml(receipt)}</ETag></Part>`,
  );
  const body = Buffer.from(`<CompleteMultipartUpload>${lines.join('')}</CompleteMultipartUpload>`);
  const headers = { 'content-type': 'application/xml' };
  const request = { method: 'POST', url: bucket.xml(key, { uploadId }), headers, body } as const;
  await bucket.send({ ...request, expected: [200], writes: true });
  // The answer tells no generation. Uploads go to keys that nobody else writes, so what stands now is what was joined.
  const written = await head(bucket, key);
  const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
  if (written?.sizeBytes === sizeBytes) return written;
  const found = written ? `${written.sizeBytes} bytes stand` : 'nothing stands';
  throw fault('timeout', `${sizeBytes} bytes were joined, but ${found} there: somebody else writes this key`);
}

export async function abortUpload(bucket: Bucket, key: string, uploadId: string): Promise<void> {
  try {
    await bucket.send({ method: 'DELETE', url: bucket.xml(key, { uploadId }), expected: [200, 204], writes: false });
  } catch (error) {
    if (!isFault(error, 'not-found')) throw error;
  }
}

const ENTITIES = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&apos;': "'", '&amp;': '&' } as const;

function fromXml(text: string): string {
  return text.replace(/&(?:lt|gt|quot|apos|amp);/g, (entity) => ENTITIES[entity as keyof typeof ENTITIES]);
}

function toXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
