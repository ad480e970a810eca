/** Takes the bytes of a request into the bodies of the cloud, and knows their size and checksums afterwards. */

import { createHash, type Hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { crc32c, toCrc32cText } from '#shared/model/crc.ts';
import type { Cloud } from '../../service.ts';
import type { Body } from '../../state/bodies.ts';
import { headerOf, type Json } from './call.ts';
import { badDigest, invalidValue } from './errors.ts';

/** Bytes that nobody uses yet. `md5` null: unknown, as of composed objects. */
export interface Bytes {
  readonly body: Body;
  readonly size: number;
  readonly md5: string | null;
  readonly crc32c: string;
}

/** What the client says the checksums are, in base64. */
export interface Expected {
  readonly md5?: string;
  readonly crc32c?: string;
}

/** A running checksum of bytes that come in pieces. */
export interface Running {
  readonly md5: Hash;
  crc: number;
  size: number;
}

export const startRunning = (): Running => ({ md5: createHash('md5'), crc: 0, size: 0 });

export async function* counted(source: AsyncIterable<Uint8Array>, running: Running): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    running.md5.update(piece);
    running.crc = crc32c(piece, running.crc);
    running.size += piece.length;
    yield piece;
  }
}

export async function ingest({ state: { bodies } }: Cloud, source: AsyncIterable<Uint8Array>): Promise<Bytes> {
  const running = startRunning();
  const body = await bodies.write(counted(source, running));
  return { body, size: running.size, md5: running.md5.digest('base64'), crc32c: toCrc32cText(running.crc) };
}

/** Runs `use`, which may keep the bytes; if it fails they are let go. */
export function withBytes<T>({ state: { bodies } }: Cloud, bytes: Bytes, use: () => T): T {
  try {
    return use();
  } catch (error) {
    bodies.drop(bytes.body);
    throw error;
  }
}

export function checkBytes(bytes: Bytes, expected: Expected): void {
  if (expected.md5 !== undefined && bytes.md5 !== null && expected.md5 !== bytes.md5)
    throw badDigest(`Provided MD5 hash "${expected.md5}" doesn't match calculated MD5 hash "${bytes.md5}".`);
  if (expected.crc32c !== undefined && expected.crc32c !== bytes.crc32c)
    throw badDigest(`Provided CRC32C "${expected.crc32c}" doesn't match calculated CRC32C "${bytes.crc32c}".`);
}

/** From the object in a request; what stands in a later header must agree with it, see `mergeExpected`. */
export function expectedOf(json: Json): Expected {
  const { md5Hash, crc32c } = json;
  return {
    ...(md5Hash === undefined || md5Hash === null ? {} : { md5: readDigest('md5Hash', md5Hash, 16) }),
    ...(crc32c === undefined || crc32c === null ? {} : { crc32c: readDigest('crc32c', crc32c, 4) }),
  };
}

/** `X-Goog-Hash: crc32c=...,md5=...`, and `Content-MD5`. */
export function expectedIn(headers: IncomingHttpHeaders): Expected {
  let expected: Expected = {};
  const md5 = headerOf(headers, 'content-md5');
  if (md5 !== undefined) expected = { md5: readDigest('Content-MD5', md5, 16) };
  for (const text of headerOf(headers, 'x-goog-hash')?.split(',') ?? []) {
    const [name, value] = splitOnce(text.trim(), '=');
    if (name === 'md5') expected = mergeExpected(expected, { md5: readDigest('X-Goog-Hash', value, 16) });
    else if (name === 'crc32c') expected = mergeExpected(expected, { crc32c: readDigest('X-Goog-Hash', value, 4) });
    else throw invalidValue(`Invalid X-Goog-Hash header: '${text.slice(0, 80)}'.`);
  }
  return expected;
}

export function mergeExpected(one: Expected, other: Expected): Expected {
  for (const name of ['md5', 'crc32c'] as const)
    if (one[name] !== undefined && other[name] !== undefined && one[name] !== other[name])
      throw badDigest(`The request names two different values for ${name}.`);
  return { ...one, ...other };
}

function readDigest(where: string, text: unknown, bytes: number): string {
  const read = typeof text === 'string' ? Buffer.from(text, 'base64') : Buffer.alloc(0);
  // Buffer skips what it cannot read, so only an exact round trip proves the text.
  if (read.length !== bytes || read.toString('base64') !== text)
    throw badDigest(`Invalid value for ${where}: expected base64 of ${bytes} bytes.`);
  return text;
}

function splitOnce(text: string, sign: string): readonly [string, string] {
  const at = text.indexOf(sign);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
