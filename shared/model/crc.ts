/** CRC-32C and CRC-64/NVME while bytes stream by, and how the values of parts join into the value of the whole. */

import { invalid } from './fault.ts';

/** What is known of some bytes without reading them again; texts are those S3 and GCS use (base64, big-endian). */
export interface Checksums {
  readonly sizeBytes: number;
  readonly crc32c: string;
  readonly crc64nvme: string;
}

/** Takes the bytes of one stream, in order and in pieces of any size; `result` may be asked at any time. */
export interface OpenChecksums {
  update(bytes: Uint8Array): void;
  result(): Checksums;
}

export function openChecksums(): OpenChecksums {
  let size = 0;
  let c32 = 0;
  let c64 = 0n;
  return {
    update(bytes) {
      size += bytes.length;
      c32 = crc32c(bytes, c32);
      c64 = crc64nvme(bytes, c64);
    },
    result: () => ({ sizeBytes: size, crc32c: toCrc32cText(c32), crc64nvme: toCrc64nvmeText(c64) }),
  };
}

/** The checksums of all parts laid end to end; of no bytes at all when there are no parts. */
export function combineChecksums(parts: readonly Checksums[]): Checksums {
  let size = 0;
  let c32 = 0;
  let c64 = 0n;
  for (const part of parts) {
    c32 = combineCrc32c(c32, readCrc32c(part.crc32c), part.sizeBytes);
    c64 = combineCrc64nvme(c64, readCrc64nvme(part.crc64nvme), part.sizeBytes);
    size += part.sizeBytes;
  }
  return { sizeBytes: size, crc32c: toCrc32cText(c32), crc64nvme: toCrc64nvmeText(c64) };
}

// Both polynomials are bit-reversed: the lowest bit is the highest power of x, and x^0 is the top bit.
const POLY_32C = 0x82f63b78;
const POLY_64_LOW = 0xac4bc9b5;
const POLY_64_HIGH = 0x9a6c9329;

// Row k of a table answers for a byte with k more bytes behind it, so eight bytes cost eight independent look-ups.
const TABLE_32C = new Uint32Array(8 * 256);
const TABLE_64_LOW = new Uint32Array(8 * 256);
const TABLE_64_HIGH = new Uint32Array(8 * 256);
fillTables();

/** `previous` is the CRC of the bytes before these. */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  const table = TABLE_32C;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const whole = bytes.length - (bytes.length % 8);
  let crc = ~previous;
  for (let at = 0; at < whole; at += 8) {
    const first = crc ^ view.getUint32(at, true);
    const second = view.getUint32(at + 4, true);
    crc =
      table[0x700 + (first & 0xff)]! ^
      table[0x600 + ((first >>> 8) & 0xff)]! ^
      table[0x500 + ((first >>> 16) & 0xff)]! ^
      table[0x400 + (first >>> 24)]! ^
      table[0x300 + (second & 0xff)]! ^
      table[0x200 + ((second >>> 8) & 0xff)]! ^
      table[0x100 + ((second >>> 16) & 0xff)]! ^
      table[second >>> 24]!;
  }
  for (let at = whole; at < bytes.length; at++) crc = (crc >>> 8) ^ table[(crc ^ bytes[at]!) & 0xff]!;
  return ~crc >>> 0;
}

/** `previous` is the CRC of the bytes before these. The register is two halves, since BigInt is far too slow per byte. */
export function crc64nvme(bytes: Uint8Array, previous = 0n): bigint {
  const lows = TABLE_64_LOW;
  const highs = TABLE_64_HIGH;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const whole = bytes.length - (bytes.length % 8);
  let low = ~Number(previous & 0xffffffffn);
  let high = ~Number(previous >> 32n);
  for (let at = 0; at < whole; at += 8) {
    const first = low ^ view.getUint32(at, true);
    const second = high ^ view.getUint32(at + 4, true);
    const a = 0x700 + (first & 0xff);
    const b = 0x600 + ((first >>> 8) & 0xff);
    const c = 0x500 + ((first >>> 16) & 0xff);
    const d = 0x400 + (first >>> 24);
    const e = 0x300 + (second & 0xff);
    const f = 0x200 + ((second >>> 8) & 0xff);
    const g = 0x100 + ((second >>> 16) & 0xff);
    const h = second >>> 24;
    low = lows[a]! ^ lows[b]! ^ lows[c]! ^ lows[d]! ^ lows[e]! ^ lows[f]! ^ lows[g]! ^ lows[h]!;
    high = highs[a]! ^ highs[b]! ^ highs[c]! ^ highs[d]! ^ highs[e]! ^ highs[f]! ^ highs[g]! ^ highs[h]!;
  }
  for (let at = whole; at < bytes.length; at++) {
    const index = (low ^ bytes[at]!) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ lows[index]!;
    high = (high >>> 8) ^ highs[index]!;
  }
  return (BigInt(~high >>> 0) << 32n) | BigInt(~low >>> 0);
}

function fillTables(): void {
  for (let byte = 0; byte < 256; byte++) {
    let c32 = byte;
    let low = byte;
    let high = 0;
    for (let bit = 0; bit < 8; bit++) {
      c32 = (c32 >>> 1) ^ (c32 & 1 ? POLY_32C : 0);
      const odd = low & 1;
      low = ((low >>> 1) | (high << 31)) ^ (odd ? POLY_64_LOW : 0);
      high = (high >>> 1) ^ (odd ? POLY_64_HIGH : 0);
    }
    TABLE_32C[byte] = c32;
    TABLE_64_LOW[byte] = low;
    TABLE_64_HIGH[byte] = high;
  }
  for (let at = 256; at < 8 * 256; at++) {
    const c32 = TABLE_32C[at - 256]!;
    TABLE_32C[at] = (c32 >>> 8) ^ TABLE_32C[c32 & 0xff]!;
    const low = TABLE_64_LOW[at - 256]!;
    const high = TABLE_64_HIGH[at - 256]!;
    TABLE_64_LOW[at] = ((low >>> 8) | (high << 24)) ^ TABLE_64_LOW[low & 0xff]!;
    TABLE_64_HIGH[at] = (high >>> 8) ^ TABLE_64_HIGH[low & 0xff]!;
  }
}

/** The CRC of A then B, from the CRCs of A and B and the length of B in bytes. */
export function combineCrc32c(a: number, b: number, lengthB: number): number {
  return Number(shift(FIELD_32C, BigInt(a), lengthB) ^ BigInt(b));
}

/** The CRC of A then B, from the CRCs of A and B and the length of B in bytes. */
export function combineCrc64nvme(a: bigint, b: bigint, lengthB: number): bigint {
  return shift(FIELD_64NVME, a, lengthB) ^ b;
}

/** Polynomials over GF(2) modulo the CRC's own. */
interface Field {
  readonly poly: bigint;
  readonly one: bigint;
  /** Entry k is x^(8 * 2^k): what 2^k more bytes do to a CRC. */
  readonly powers: readonly bigint[];
}

const FIELD_32C = openField(BigInt(POLY_32C), 32n);
const FIELD_64NVME = openField((BigInt(POLY_64_HIGH) << 32n) | BigInt(POLY_64_LOW), 64n);

function openField(poly: bigint, width: bigint): Field {
  const one = 1n << (width - 1n);
  const powers = [one >> 8n];
  // 53 of them, one for each bit of the largest safe length.
  while (powers.length < 53) powers.push(multiply(poly, one, powers.at(-1)!, powers.at(-1)!));
  return { poly, one, powers };
}

/** `crc` times x^(8 * length): log(length) steps, whatever the length. */
function shift(field: Field, crc: bigint, length: number): bigint {
  if (!Number.isSafeInteger(length) || length < 0) throw invalid('length', length, 'a whole number of bytes');
  let shifted = crc;
  let rest = length;
  for (let k = 0; rest > 0; k++) {
    if (rest % 2 === 1) shifted = multiply(field.poly, field.one, shifted, field.powers[k]!);
    rest = Math.floor(rest / 2);
  }
  return shifted;
}

function multiply(poly: bigint, one: bigint, a: bigint, b: bigint): bigint {
  let product = 0n;
  let term = b;
  for (let bit = one; bit !== 0n; bit >>= 1n) {
    if ((a & bit) !== 0n) product ^= term;
    term = (term & 1n) === 0n ? term >> 1n : (term >> 1n) ^ poly;
  }
  return product;
}

export function toCrc32cText(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString('base64');
}

export function toCrc64nvmeText(crc: bigint): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(crc);
  return bytes.toString('base64');
}

export function readCrc32c(text: string): number {
  return readBase64('crc32c', text, 4).readUInt32BE();
}

export function readCrc64nvme(text: string): bigint {
  return readBase64('crc64nvme', text, 8).readBigUInt64BE();
}

function readBase64(field: string, text: string, length: number): Buffer {
  const bytes = Buffer.from(text, 'base64');
  // Buffer skips what it cannot read, so only an exact round trip proves the text.
  if (bytes.length !== length || bytes.toString('base64') !== text)
    throw invalid(field, text, `base64 of ${length} bytes`);
  return bytes;
}
