/** CRC-32C and CRC-64/NVME while bytes stream by, and how the values of parts join into the value of the whole. */

import { openKernel } from './crc-kernel.ts';
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
      kernel.register32[0] = ~c32;
      kernel.register64[0] = c64 ^ ONES_64;
      kernel.run('both', bytes);
      c32 = ~kernel.register32[0]! >>> 0;
      c64 = kernel.register64[0]! ^ ONES_64;
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
const POLY_64NVME = 0x9a6c9329ac4bc9b5n;
const ONES_64 = 0xffffffffffffffffn;

const kernel = openKernel(POLY_32C, POLY_64NVME);

/** `previous` is the CRC of the bytes before these. */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  kernel.register32[0] = ~previous;
  kernel.run('crc32c', bytes);
  return ~kernel.register32[0]! >>> 0;
}

/** `previous` is the CRC of the bytes before these. */
export function crc64nvme(bytes: Uint8Array, previous = 0n): bigint {
  kernel.register64[0] = previous ^ ONES_64;
  kernel.run('crc64nvme', bytes);
  return kernel.register64[0]! ^ ONES_64;
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
const FIELD_64NVME = openField(POLY_64NVME, 64n);

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
