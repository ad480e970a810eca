/** Uploads by parts on Google Cloud Storage: those of its XML API, the only ones whose parts may come in any order. */

import { crc32c, toCrc32cText } from '../../model/crc.ts';
import { fault, isFault } from '../../model/fault.ts';
import type { ObjectVersion } from '../../model/object.ts';
import { checkPart, checkParts, checkSums, sizeOf, toContentType } from '../body.ts';
import type { PartReceipt, StoreCapabilities, StreamedPart, Sums } from '../store.ts';
import type { Bucket } from './bucket.ts';
import { head } from './read.ts';
import { REWRITE } from './write.ts';

const PART_ANSWER_MS = 60_000;
/** Slower than this is no connection. */
const BYTES_PER_MS_MIN = 64;

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
  body: Uint8Array | StreamedPart,
  known: Sums = {},
): Promise<PartReceipt> {
  checkPart(part, partsMax);
  const sizeBytes = sizeOf(body);
  if (sizeBytes > putBytesMax)
    throw fault('too-large', `part ${part}: more than ${putBytesMax} bytes`, { field: 'part', value: sizeBytes });
  const held = body instanceof Uint8Array ? (known.crc32c ?? toCrc32cText(crc32c(body))) : null;
  const { headers } = await bucket.send({
    method: 'PUT',
    url: bucket.xml(key, { partNumber: String(part), uploadId }),
    headers: held === null ? {} : { 'x-goog-hash': `crc32c=${held}` },
    body,
    expected: [200],
    writes: false,
    limitMs: PART_ANSWER_MS + Math.ceil(sizeBytes / BYTES_PER_MS_MIN),
  });
  if (!headers.etag) throw fault('internal', 'Google Cloud Storage took a part without telling its ETag');
  // A checksum cannot be sent behind the bytes here, so the one is compared that the service has computed of them.
  if (!(body instanceof Uint8Array)) checkSums(body.sums(), readHash(headers['x-goog-hash']));
  return { part, receipt: headers.etag, sizeBytes };
}

/** From `crc32c=...,md5=...`; what the service does not tell is found out when the whole object stands. */
function readHash(header: string | string[] | undefined): Sums {
  const found = /(?:^|[,\s])crc32c=([^,\s]+)/.exec(String(header ?? ''))?.[1];
  return found === undefined ? {} : { crc32c: found };
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
  // The service forgets by itself how far a rewrite was.
  if (uploadId.startsWith(REWRITE)) return;
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
