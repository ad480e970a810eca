/** Checksums of bodies as Azurite takes them in, by our own arithmetic: its own, byte by byte, takes longer than all the rest. */

import { createHash } from 'node:crypto';
import { crc64nvme } from '#shared/model/crc.ts';

type Wanted = Readonly<Partial<Record<'md5' | 'crc64', unknown>>>;

export interface BodyChecksums {
  readonly md5: Uint8Array | undefined;
  /** Its lowest byte first. */
  readonly crc64: Uint8Array | undefined;
}

/** Those that are expected to have some value, and those that are wanted in any case. */
export async function computeChecksums(
  stream: AsyncIterable<Uint8Array>,
  expected: Wanted,
  force: Wanted = {},
): Promise<BodyChecksums> {
  const md5 = expected.md5 !== undefined || force.md5 ? createHash('md5') : null;
  const wantsCrc64 = expected.crc64 !== undefined || Boolean(force.crc64);
  let crc64 = 0n;
  for await (const piece of stream) {
    md5?.update(piece);
    if (wantsCrc64) crc64 = crc64nvme(piece, crc64);
  }
  return {
    md5: md5 === null ? undefined : new Uint8Array(md5.digest()),
    crc64: wantsCrc64 ? toWire(crc64) : undefined,
  };
}

/** The service tells CRC-64 with its lowest byte first. */
export function toWire(crc64: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(crc64);
  return new Uint8Array(bytes);
}

export function fromWire(bytes: Uint8Array): bigint {
  return Buffer.from(bytes).readBigUInt64LE();
}
