/** Bytes as the memory driver holds them: never changed, shared by all copies, each digest computed once. */

import { createHash } from 'node:crypto';
import { crc32c, crc64nvme, toCrc32cText, toCrc64nvmeText } from '../model/crc.ts';
import { fault } from '../model/fault.ts';

export interface Content {
  readonly bytes: Uint8Array;
  md5: Buffer | null;
  crc32c: string | null;
  crc64nvme: string | null;
}

const CHUNK_BYTES = 64 * 1024;

// Simulations write the same few small bodies over and over: those are kept once, with their digests.
const SHARED_BYTES_MAX = 256;
const SHARED_COUNT_MAX = 4096;
const shared = new Map<string, Content>();

/** A copy: what the caller does with its array afterwards changes nothing. */
export function toContent(bytes: Uint8Array): Content {
  if (bytes.length > SHARED_BYTES_MAX) return newContent(new Uint8Array(bytes));
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  let content = shared.get(text);
  if (!content) {
    if (shared.size >= SHARED_COUNT_MAX) shared.clear();
    content = newContent(new Uint8Array(bytes));
    shared.set(text, content);
  }
  return content;
}

export function joinContents(parts: readonly Content[]): Content {
  const [first] = parts;
  if (first && parts.length === 1) return first;
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part.bytes, at);
    at += part.bytes.length;
  }
  return newContent(bytes);
}

/** Everything the body yields, copied piece by piece since a source may reuse its buffer. */
export async function drain(body: AsyncIterable<Uint8Array> | Uint8Array, bytesMax: number): Promise<Content> {
  let size = 0;
  const checked = (bytes: Uint8Array): Uint8Array => {
    size += bytes.length;
    if (size > bytesMax)
      throw fault('too-large', `more than ${bytesMax} bytes in one request`, { field: 'body', value: size });
    return bytes;
  };
  if (body instanceof Uint8Array) return toContent(checked(body));
  const pieces: Content[] = [];
  for await (const piece of body) pieces.push(newContent(new Uint8Array(checked(piece))));
  const whole = joinContents(pieces);
  return size > SHARED_BYTES_MAX ? whole : toContent(whole.bytes);
}

/** Copies again, so that a reader who works in place spoils only its own bytes. */
export async function* readContent(content: Content, start: number, end: number): AsyncGenerator<Uint8Array> {
  for (let at = start; at < end; at += CHUNK_BYTES) yield content.bytes.slice(at, Math.min(at + CHUNK_BYTES, end));
}

export function checkContent(
  content: Content,
  expected: { readonly crc32c?: string; readonly crc64nvme?: string },
): void {
  check('crc32c', expected.crc32c, crc32cOf);
  check('crc64nvme', expected.crc64nvme, crc64nvmeOf);

  function check(field: string, value: string | undefined, of: (content: Content) => string): void {
    if (value === undefined || value === of(content)) return;
    throw fault('corrupt', `${field}: ${value} was sent, ${of(content)} arrived`, { field, value });
  }
}

export function crc32cOf(content: Content): string {
  content.crc32c ??= toCrc32cText(crc32c(content.bytes));
  return content.crc32c;
}

export function crc64nvmeOf(content: Content): string {
  content.crc64nvme ??= toCrc64nvmeText(crc64nvme(content.bytes));
  return content.crc64nvme;
}

/** The ETag of an object written whole. */
export function etagOf(content: Content): string {
  return `"${md5Of(content).toString('hex')}"`;
}

/** The ETag of an object put together from parts. */
export function partsEtagOf(parts: readonly Content[]): string {
  const digest = createHash('md5');
  for (const part of parts) digest.update(md5Of(part));
  return `"${digest.digest('hex')}-${parts.length}"`;
}

function md5Of(content: Content): Buffer {
  content.md5 ??= createHash('md5').update(content.bytes).digest();
  return content.md5;
}

function newContent(bytes: Uint8Array): Content {
  return { bytes, md5: null, crc32c: null, crc64nvme: null };
}
