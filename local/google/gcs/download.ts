/** The bytes of an object and its headers: whole, a range of it, or decompressed on the way. */

import type { IncomingHttpHeaders } from 'node:http';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Cloud } from '../../service.ts';
import { type Answer, headerOf } from './call.ts';
import { Refusal } from './errors.ts';
import type { ObjectFields } from './fields.ts';
import { etagOf } from './resource.ts';
import type { ObjectRow } from './tables.ts';

export interface DownloadOptions {
  readonly headers: IncomingHttpHeaders;
  /** HEAD: the headers alone. */
  readonly headOnly?: boolean;
  /** The XML API shows custom metadata as headers; the JSON API does not. */
  readonly metadata?: boolean;
}

export async function download(cloud: Cloud, row: ObjectRow, options: DownloadOptions): Promise<Answer> {
  const { bodies } = cloud.state;
  const fields = JSON.parse(row.fields) as ObjectFields;
  const common = headersOf(row, fields, options.metadata ?? false);
  if (await isDecompressed(cloud, row, fields, options.headers)) {
    // https://cloud.google.com/storage/docs/transcoding: neither encoding nor length are told, and ranges are ignored.
    const { 'accept-ranges': _, ...headers } = common;
    const told = { ...headers, warning: '214 UploadServer gunzipped' };
    const stored = { ...told, 'x-guploader-response-body-transformations': 'gunzipped', vary: 'Accept-Encoding' };
    if (options.headOnly) return { status: 200, headers: stored };
    return { status: 200, headers: stored, bytes: () => gunzipped(bodies.read(row.body)) };
  }
  const headers = fields.contentEncoding
    ? { ...common, 'content-encoding': headerText(fields.contentEncoding) }
    : common;
  const range = readRange(headerOf(options.headers, 'range'), row.size);
  const { start, end } = range ?? { start: 0, end: row.size };
  const all = {
    ...headers,
    'content-length': String(end - start),
    ...(range ? { 'content-range': `bytes ${start}-${end - 1}/${row.size}` } : {}),
  };
  const status = range ? 206 : 200;
  if (options.headOnly || start === end) return { status, headers: all };
  return { status, headers: all, bytes: () => bodies.read(row.body, start, end) };
}

/** Quoted by whoever writes it: the MD5 of the bytes where it is known, as the XML API has it. */
export function xmlEtag(row: ObjectRow): string {
  return row.md5 === null ? etagOf(row) : Buffer.from(row.md5, 'base64').toString('hex');
}

export function hashHeader({ md5, crc32c }: { readonly md5: string | null; readonly crc32c: string }): string {
  return md5 === null ? `crc32c=${crc32c}` : `crc32c=${crc32c},md5=${md5}`;
}

function headersOf(row: ObjectRow, fields: ObjectFields, metadata: boolean): Record<string, string> {
  const headers: Record<string, string> = {
    // "If an object is stored without a Content-Type, it is served as application/octet-stream", says the Objects resource.
    'content-type': headerText(fields.contentType || 'application/octet-stream'),
    etag: metadata ? `"${xmlEtag(row)}"` : etagOf(row),
    'last-modified': new Date(row.updated).toUTCString(),
    'accept-ranges': 'bytes',
    'x-goog-generation': String(row.generation),
    'x-goog-metageneration': String(row.metageneration),
    'x-goog-hash': hashHeader(row),
    'x-goog-storage-class': row.storage_class,
    'x-goog-stored-content-encoding': headerText(fields.contentEncoding || 'identity'),
    'x-goog-stored-content-length': String(row.size),
  };
  if (row.components !== null) headers['x-goog-component-count'] = String(row.components);
  if (fields.contentLanguage) headers['content-language'] = headerText(fields.contentLanguage);
  if (fields.contentDisposition) headers['content-disposition'] = headerText(fields.contentDisposition);
  if (fields.cacheControl) headers['cache-control'] = headerText(fields.cacheControl);
  if (metadata) {
    if (fields.customTime) headers['x-goog-custom-time'] = fields.customTime;
    for (const [name, value] of Object.entries(fields.metadata ?? {}))
      if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) headers[`x-goog-meta-${name}`] = headerText(value);
  }
  return headers;
}

/** As UTF-8 bytes, and never anything that would begin a header of its own. */
function headerText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these must not get into a header
  const safe = text.replace(/[\u0000-\u0008\u000a-\u001f\u007f]/g, (sign) => encodeURIComponent(sign));
  return Buffer.from(safe).toString('latin1');
}

async function isDecompressed(
  { state: { bodies } }: Cloud,
  row: ObjectRow,
  fields: ObjectFields,
  headers: IncomingHttpHeaders,
): Promise<boolean> {
  if (fields.contentEncoding?.toLowerCase() !== 'gzip') return false;
  if (/(^|[\s,])gzip\b/i.test(headerOf(headers, 'accept-encoding') ?? '')) return false;
  if (/no-transform/i.test(fields.cacheControl ?? '')) return false;
  // Named gzip without being it: served as it is.
  const start: number[] = [];
  for await (const piece of bodies.read(row.body, 0, 2)) start.push(...piece);
  return start[0] === 0x1f && start[1] === 0x8b;
}

function gunzipped(stored: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  // Whoever reads hears of an error by the gunzip stream itself.
  return pipeline(Readable.from(stored), createGunzip(), () => {});
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Null: everything. A header that makes no sense, or asks for several ranges, is ignored, as HTTP has it. */
function readRange(header: string | undefined, size: number): Range | null {
  const read = /^bytes=(\d*)-(\d*)$/i.exec(header?.trim() ?? '');
  if (read === null || (read[1] === '' && read[2] === '')) return null;
  const [, from = '', to = ''] = read;
  const start = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === '' || to === '' ? size : Math.min(Number(to) + 1, size);
  if (from !== '' && to !== '' && Number(to) < Number(from)) return null;
  if (start >= size || start >= end)
    throw new Refusal(416, 'requestedRangeNotSatisfiable', 'The requested range cannot be satisfied.', {
      xmlCode: 'InvalidRange',
      headers: { 'content-range': `bytes */${size}` },
    });
  return { start, end };
}
