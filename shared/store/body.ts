/** What drivers of a cloud do alike with bytes and texts on their way: cut, sum, verify, check, and tell what broke. */

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { crc32c, crc64nvme, toCrc32cText, toCrc64nvmeText } from '../model/crc.ts';
import { Fault, type FaultDetails, type FaultKind, fault, invalid } from '../model/fault.ts';
import { MARKER_NAME } from '../model/metadata.ts';
import type { ObjectHeaders, ObjectMetadata } from '../model/object.ts';
import type { ByteRange, StreamedPart, Sums } from './store.ts';

export type { Sums } from './store.ts';

export interface Block {
  readonly bytes: Uint8Array;
  readonly last: boolean;
}

/**
 * Blocks of exactly `blockBytes`, of which only the last may be shorter; an empty body is one empty block. Nothing is
 * read ahead but the one block that tells whether another follows, and what a source does with its buffer afterwards
 * changes nothing. A body of more than `bytesMax` is Fault 'too-large'.
 */
export async function* toBlocks(
  body: AsyncIterable<Uint8Array> | Uint8Array,
  blockBytes: number,
  bytesMax: number,
): AsyncGenerator<Block> {
  let total = 0;
  let size = 0;
  let block = new Uint8Array(0);
  let filled = false;
  for await (const piece of body instanceof Uint8Array ? [body] : body) {
    total += piece.length;
    if (total > bytesMax)
      throw fault('too-large', `more than ${bytesMax} bytes in one request`, { field: 'body', value: total });
    for (let at = 0; at < piece.length; ) {
      if (size === blockBytes) {
        yield { bytes: block, last: false };
        filled = true;
        block = new Uint8Array(0);
        size = 0;
      }
      const taken = Math.min(piece.length - at, blockBytes - size);
      // After a full block another one is likely; before it, most bodies are small.
      if (size + taken > block.length) block = grown(block, size, filled ? blockBytes : size + taken, blockBytes);
      block.set(piece.subarray(at, at + taken), size);
      size += taken;
      at += taken;
    }
  }
  yield { bytes: block.subarray(0, size), last: true };
}

/** Twice as large at the least, so that many small pieces are not copied over and over. */
function grown(block: Uint8Array, size: number, needed: number, blockBytes: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(blockBytes, Math.max(needed, 2 * block.length)));
  larger.set(block.subarray(0, size));
  return larger;
}

export function sizeOf(body: Uint8Array | StreamedPart): number {
  return body instanceof Uint8Array ? body.length : body.sizeBytes;
}

/** The bytes of a part, of which there must be as many as it says. */
export async function* bytesOf({ bytes, sizeBytes }: StreamedPart): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const piece of bytes) {
    size += piece.length;
    if (size > sizeBytes) break;
    yield piece;
  }
  if (size !== sizeBytes)
    throw fault('corrupt', `a part of ${sizeBytes} bytes, but ${size} came`, { field: 'sizeBytes', value: size });
}

/**
 * For clients that take a stream and do not look after it: what breaks the source ends the call, and is told; and the
 * source ends with the call.
 */
export async function sendStream<Answer>(
  pieces: AsyncIterable<Uint8Array>,
  send: (body: Readable, signal: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  const body = Readable.from(pieces, { objectMode: false });
  const broken = new AbortController();
  body.on('error', (error) => broken.abort(error));
  try {
    return await send(body, broken.signal);
  } catch (error) {
    throw broken.signal.aborted ? broken.signal.reason : error;
  } finally {
    body.destroy();
  }
}

export interface OpenSums {
  update(bytes: Uint8Array): void;
  texts(): Sums;
}

/** Only the sums that are wanted. */
export function openSums(wanted: { readonly crc32c: boolean; readonly crc64nvme: boolean }): OpenSums {
  let c32 = 0;
  let c64 = 0n;
  return {
    update(bytes) {
      if (wanted.crc32c) c32 = crc32c(bytes, c32);
      if (wanted.crc64nvme) c64 = crc64nvme(bytes, c64);
    },
    texts: () => ({
      ...(wanted.crc32c && { crc32c: toCrc32cText(c32) }),
      ...(wanted.crc64nvme && { crc64nvme: toCrc64nvmeText(c64) }),
    }),
  };
}

/** What was asked for and is known must agree; what is not known is not judged. */
export function checkSums(expected: Sums | undefined, actual: Sums): void {
  for (const field of ['crc32c', 'crc64nvme'] as const) {
    const [sent, found] = [expected?.[field], actual[field]];
    if (sent === undefined || found === undefined || sent === found) continue;
    throw fault('corrupt', `${field}: ${sent} was announced, the bytes have ${found}`, { field, value: sent });
  }
}

/** The bytes as they pass; at their end a Fault 'corrupt' if they are not all, or not those the service stored. */
export async function* verified(
  body: AsyncIterable<Uint8Array>,
  stored: { readonly sizeBytes: number; readonly crc32c?: string; readonly md5?: string },
  place: FaultDetails,
): AsyncGenerator<Uint8Array> {
  const sums = openSums({ crc32c: stored.crc32c !== undefined, crc64nvme: false });
  const md5 = stored.md5 === undefined ? null : createHash('md5');
  let size = 0;
  for await (const bytes of body) {
    // Before it is handed on: a reader may work in place.
    sums.update(bytes);
    md5?.update(bytes);
    size += bytes.length;
    yield bytes;
  }
  const found = { sizeBytes: size, ...sums.texts(), md5: md5?.digest('base64') };
  for (const field of ['sizeBytes', 'crc32c', 'md5'] as const)
    if (stored[field] !== undefined && stored[field] !== found[field])
      throw fault('corrupt', `read ${field} ${found[field]}, stored is ${stored[field]}`, {
        ...place,
        field,
        value: found[field],
      });
}

/** What can be said of a range before the size is known. */
export function checkRange({ start, end }: ByteRange): void {
  const whole = Number.isSafeInteger(start) && Number.isSafeInteger(end);
  if (!whole || start < 0 || start >= end)
    throw invalid('range', { start, end }, 'whole numbers with 0 <= start < end');
}

export function checkRangeWithin(range: ByteRange, sizeBytes: number): void {
  if (range.end > sizeBytes) throw invalid('range', range, `a part of ${sizeBytes} bytes`);
}

export function checkPart(part: number, partsMax: number): void {
  if (Number.isInteger(part) && part >= 1 && part <= partsMax) return;
  throw invalid('part', part, `a whole number from 1 to ${partsMax}`);
}

/** Parts as `completeUpload` takes them: at least one, none unknown, in order. */
export function checkParts(parts: readonly { readonly part: number }[], partsMax: number): void {
  if (parts.length === 0) throw invalid('parts', parts, 'at least one part');
  let previous = 0;
  for (const { part } of parts) {
    checkPart(part, partsMax);
    if (part <= previous) throw invalid('parts', part, `a number above ${previous}: parts come in order`);
    previous = part;
  }
}

export function checkLimit(limit: number): void {
  if (!Number.isSafeInteger(limit) || limit < 1) throw invalid('limit', limit, 'a whole number from 1');
}

/**
 * Some services invent a content type where none was sent, and afterwards nobody can tell. So this one is sent instead
 * of none, and means none when it is read; applications that read the object see plain bytes, as they would have.
 */
const UNTYPED = 'application/octet-stream; triplicate=untyped';

export function toContentType(type: string | undefined): string {
  return type ?? UNTYPED;
}

const HEADER_NAMES = [
  'contentType',
  'contentEncoding',
  'contentLanguage',
  'contentDisposition',
  'cacheControl',
] as const;

/** The headers a service showed, without those it does not have. */
export function readHeaders(told: { readonly [Name in keyof ObjectHeaders]?: string | undefined }): ObjectHeaders {
  const headers: Partial<Record<keyof ObjectHeaders, string>> = {};
  for (const name of HEADER_NAMES) {
    const value = told[name];
    if (value !== undefined && value !== '' && value !== UNTYPED) headers[name] = value;
  }
  return headers;
}

export interface MetadataRules {
  /** All names and values together, the marker entry included. */
  readonly bytesMax: number;
  readonly nameBytesMax: number;
  readonly valueBytesMax: number;
  readonly name: RegExp;
  readonly value: RegExp;
  readonly lowerCasesNames: boolean;
}

/** Text that arrives in a header as it was sent. */
export const PRINTABLE: RegExp = /^(?:[!-~](?:[ -~\t]*[!-~])?)?$/;

export interface ToldMetadata {
  readonly metadata: ObjectMetadata;
  readonly marker?: string;
}

export interface CheckedMetadata extends ToldMetadata {
  /** With the marker's. */
  readonly entries: Readonly<Record<string, string>>;
}

/** What the service will say of the object, or the Fault 'invalid' or 'too-large' that names the entry. */
export function checkMetadata(
  rules: MetadataRules,
  given: ObjectMetadata,
  marker: string | undefined,
): CheckedMetadata {
  const headers = readHeaders(given.headers);
  for (const [name, value] of Object.entries(headers))
    if (!PRINTABLE.test(value)) throw invalid(`headers.${name}`, value, 'printable ASCII');
  const user = new Map<string, string>();
  for (const [asked, value] of Object.entries(given.user)) {
    const name = rules.lowerCasesNames ? asked.toLowerCase() : asked;
    const field = `metadata ${asked}`;
    if (!rules.name.test(name)) throw invalid(field, asked, 'a name this service takes');
    if (name === MARKER_NAME || user.has(name)) throw invalid(field, asked, 'a name that is not taken');
    user.set(name, value);
  }
  const entries = new Map(user);
  if (marker !== undefined) entries.set(MARKER_NAME, marker);
  let total = 0;
  for (const [name, value] of entries) {
    const field = `metadata ${name}`;
    if (!rules.value.test(value)) throw invalid(field, value, 'text that arrives as it was sent');
    const sizes = [Buffer.byteLength(name), Buffer.byteLength(value)] as const;
    if (sizes[0] > rules.nameBytesMax || sizes[1] > rules.valueBytesMax)
      throw fault('too-large', `${field}: ${sizes[0]} + ${sizes[1]} bytes`, { field, value: sizes[0] + sizes[1] });
    total += sizes[0] + sizes[1];
  }
  if (total > rules.bytesMax)
    throw fault('too-large', `metadata: ${total} bytes, ${rules.bytesMax} are allowed`, {
      field: 'metadata',
      value: total,
    });
  return {
    metadata: { headers, user: Object.fromEntries(user) },
    ...(marker !== undefined && { marker }),
    entries: Object.fromEntries(entries),
  };
}

/** Tells the marker entry from those of the user. */
export function splitMetadata(headers: ObjectHeaders, entries: Readonly<Record<string, string>>): ToldMetadata {
  const { [MARKER_NAME]: marker, ...user } = entries;
  return { metadata: { headers, user }, ...(marker !== undefined && { marker }) };
}

const NEVER_SENT = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL'];

/** The kind of a failure below HTTP: before a connection stood nothing can have happened, later a write may have. */
export function connectionFailure(error: unknown, writes: boolean): FaultKind {
  const { name, code = '' } = error as { name?: string; code?: unknown };
  if (name === 'AbortError') return 'timeout';
  const neverSent = NEVER_SENT.includes(String(code)) || /CERT|SELF_SIGNED|ERR_TLS/.test(String(code));
  return writes && !neverSent ? 'timeout' : 'unreachable';
}

/** Every fault leaves with the site, the operation and the key in it; an error that is no Fault is not ours. */
export function placed(error: unknown, place: FaultDetails): unknown {
  return error instanceof Fault ? fault(error.kind, error.message, { ...error.details, ...place }) : error;
}
