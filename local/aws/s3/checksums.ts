/** The checksums S3 knows: computed while bytes stream by, and joined for objects of several parts. */

import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import {
  combineCrc32c,
  combineCrc64nvme,
  crc32c,
  crc64nvme,
  readCrc32c,
  readCrc64nvme,
  toCrc32cText,
  toCrc64nvmeText,
} from '#shared/model/crc.ts';
import { invalidRequest, notImplemented } from './refusal.ts';

export type Algorithm = 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256' | 'SHA512' | 'MD5';

/** FULL_OBJECT: of all bytes. COMPOSITE: of the checksums of the parts. */
export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE';

export interface Checksum {
  readonly algorithm: Algorithm;
  readonly type: ChecksumType;
  /** Base64; a composite one ends in `-` and the number of parts. */
  readonly value: string;
}

/** What S3 computes when the client asks for nothing. */
export const DEFAULT_ALGORITHM: Algorithm = 'CRC64NVME';

export interface Hash {
  update(bytes: Uint8Array): void;
  result(): string;
}

interface Kind {
  readonly sizeBytes: number;
  open(): Hash;
  /** The checksum of A then B, of those that can be joined so. */
  readonly combine?: (a: string, b: string, lengthB: number) => string;
}

const KINDS: Readonly<Record<Algorithm, Kind>> = {
  CRC32: { sizeBytes: 4, open: openCrc32, combine: combineCrc32 },
  CRC32C: {
    sizeBytes: 4,
    open() {
      let crc = 0;
      return {
        update(bytes) {
          crc = crc32c(bytes, crc);
        },
        result: () => toCrc32cText(crc),
      };
    },
    combine: (a, b, length) => toCrc32cText(combineCrc32c(readCrc32c(a), readCrc32c(b), length)),
  },
  CRC64NVME: {
    sizeBytes: 8,
    open() {
      let crc = 0n;
      return {
        update(bytes) {
          crc = crc64nvme(bytes, crc);
        },
        result: () => toCrc64nvmeText(crc),
      };
    },
    combine: (a, b, length) => toCrc64nvmeText(combineCrc64nvme(readCrc64nvme(a), readCrc64nvme(b), length)),
  },
  SHA1: { sizeBytes: 20, open: () => openDigest('sha1') },
  SHA256: { sizeBytes: 32, open: () => openDigest('sha256') },
  SHA512: { sizeBytes: 64, open: () => openDigest('sha512') },
  MD5: { sizeBytes: 16, open: () => openDigest('md5') },
};

export const ALGORITHMS = Object.keys(KINDS) as readonly Algorithm[];

export function openChecksum(algorithm: Algorithm): Hash {
  return KINDS[algorithm].open();
}

export function canBeFullObject(algorithm: Algorithm): boolean {
  return KINDS[algorithm].combine !== undefined;
}

/** The header that carries it. */
export function headerOf(algorithm: Algorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

/** Of a name in any case; what AWS has and this endpoint has not is refused as such. */
export function readAlgorithm(name: string): Algorithm {
  const upper = name.toUpperCase();
  const found = ALGORITHMS.find((it) => it === upper);
  if (found !== undefined) return found;
  if (upper.startsWith('XXHASH')) throw notImplemented(`x-amz-checksum-${name.toLowerCase()}`);
  throw invalidRequest(
    `Checksum algorithm provided is unsupported. Please try again with any of the valid types: [${ALGORITHMS.join(', ')}]`,
  );
}

/** Whether the text could be a checksum of this kind at all. */
export function isWellFormed(algorithm: Algorithm, value: string): boolean {
  const bytes = Buffer.from(value, 'base64');
  return bytes.length === KINDS[algorithm].sizeBytes && bytes.toString('base64') === value;
}

export interface PartChecksum {
  readonly value: string;
  readonly sizeBytes: number;
}

/** The checksum of an object from those of its parts, without reading a byte again. */
export function joinChecksums(algorithm: Algorithm, type: ChecksumType, parts: readonly PartChecksum[]): Checksum {
  const { combine, open } = KINDS[algorithm];
  if (type === 'COMPOSITE' || combine === undefined) {
    const hash = open();
    for (const { value } of parts) hash.update(Buffer.from(value, 'base64'));
    return { algorithm, type: 'COMPOSITE', value: `${hash.result()}-${parts.length}` };
  }
  const value = parts.reduce((sum, part) => combine(sum, part.value, part.sizeBytes), open().result());
  return { algorithm, type, value };
}

function openDigest(name: string): Hash {
  const hash = createHash(name);
  return {
    update(bytes) {
      hash.update(bytes);
    },
    result: () => hash.digest('base64'),
  };
}

function openCrc32(): Hash {
  let crc = 0;
  return {
    update(bytes) {
      crc = crc32(bytes, crc);
    },
    result: () => toCrc32Text(crc),
  };
}

const toCrc32Text = toCrc32cText;
const POLYNOMIAL = 0xedb88320;
/** x^0: bits are reversed, so the top bit is the lowest power. */
const ONE = 0x80000000;

/** A CRC-32 shifted by the bytes of B, which is a multiplication by x^(8 * length) modulo the polynomial. */
function combineCrc32(a: string, b: string, lengthB: number): string {
  let shifted = readCrc32c(a);
  let power = ONE >>> 8;
  for (let rest = lengthB; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) shifted = multiply(shifted, power);
    power = multiply(power, power);
  }
  return toCrc32Text((shifted ^ readCrc32c(b)) >>> 0);
}

function multiply(a: number, b: number): number {
  let product = 0;
  let term = b;
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= term;
    term = (term & 1) === 0 ? term >>> 1 : (term >>> 1) ^ POLYNOMIAL;
  }
  return product >>> 0;
}
