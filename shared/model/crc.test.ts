import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Checksums,
  combineChecksums,
  combineCrc32c,
  combineCrc64nvme,
  crc32c,
  crc64nvme,
  openChecksums,
  readCrc32c,
  readCrc64nvme,
  toCrc32cText,
  toCrc64nvmeText,
} from './crc.ts';
import { isFault } from './fault.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const anyBytes = fc.uint8Array({ maxLength: 100 });
const anyCrc32 = fc.nat(0xffffffff);
const anyCrc64 = fc.bigInt(0n, 2n ** 64n - 1n);
const anyLength = fc.nat(2 ** 52 - 1);

const NO_BYTES: Checksums = { sizeBytes: 0, crc32c: 'AAAAAA==', crc64nvme: 'AAAAAAAAAAA=' };

/** The definition, bit by bit, to hold the tables against. */
function slowCrc(bytes: Uint8Array, poly: bigint, width: bigint): bigint {
  const ones = (1n << width) - 1n;
  let crc = ones;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ poly : crc >> 1n;
  }
  return crc ^ ones;
}

function checksumsOf(...pieces: readonly Uint8Array[]): Checksums {
  const open = openChecksums();
  for (const piece of pieces) open.update(piece);
  return open.result();
}

describe('the two CRCs', () => {
  test('agree with published values', () => {
    expect(crc32c(bytesOf('123456789'))).toBe(0xe3069283);
    expect(crc64nvme(bytesOf('123456789'))).toBe(0xae8b14860a799888n);
    expect(crc64nvme(bytesOf('Hello World!'))).toBe(208604604655264165n);
  });

  test('agree with their definition for any bytes at any offset', () => {
    fc.assert(
      fc.property(anyBytes, fc.nat(9), (bytes, offset) => {
        const view = new Uint8Array([...new Uint8Array(offset), ...bytes]).subarray(offset);
        expect(BigInt(crc32c(view))).toBe(slowCrc(bytes, 0x82f63b78n, 32n));
        expect(crc64nvme(view)).toBe(slowCrc(bytes, 0x9a6c9329ac4bc9b5n, 64n));
      }),
    );
  });

  test('go on where an earlier piece stopped', () => {
    fc.assert(
      fc.property(anyBytes, anyBytes, (a, b) => {
        const whole = Buffer.concat([a, b]);
        expect(crc32c(b, crc32c(a))).toBe(crc32c(whole));
        expect(crc64nvme(b, crc64nvme(a))).toBe(crc64nvme(whole));
      }),
    );
  });
});

describe('combining CRCs', () => {
  test('gives the CRC of the joined bytes', () => {
    fc.assert(
      fc.property(anyBytes, anyBytes, (a, b) => {
        const whole = Buffer.concat([a, b]);
        expect(combineCrc32c(crc32c(a), crc32c(b), b.length)).toBe(crc32c(whole));
        expect(combineCrc64nvme(crc64nvme(a), crc64nvme(b), b.length)).toBe(crc64nvme(whole));
      }),
    );
  });

  test('does not depend on which neighbours are joined first, up to the largest objects', () => {
    fc.assert(
      fc.property(fc.tuple(anyCrc32, anyCrc32, anyCrc32), anyLength, anyLength, ([a, b, c], m, n) => {
        expect(combineCrc32c(combineCrc32c(a, b, m), c, n)).toBe(combineCrc32c(a, combineCrc32c(b, c, n), m + n));
      }),
    );
    fc.assert(
      fc.property(fc.tuple(anyCrc64, anyCrc64, anyCrc64), anyLength, anyLength, ([a, b, c], m, n) => {
        expect(combineCrc64nvme(combineCrc64nvme(a, b, m), c, n)).toBe(
          combineCrc64nvme(a, combineCrc64nvme(b, c, n), m + n),
        );
      }),
    );
  });

  test('agrees with reading many megabytes', () => {
    const zeros = new Uint8Array(5 * 2 ** 20 + 3);
    const head = bytesOf('head');
    expect(combineCrc32c(crc32c(head), crc32c(zeros), zeros.length)).toBe(crc32c(zeros, crc32c(head)));
    expect(combineCrc64nvme(crc64nvme(head), crc64nvme(zeros), zeros.length)).toBe(crc64nvme(zeros, crc64nvme(head)));
  });

  test('refuses a length that is no number of bytes', () => {
    for (const length of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => combineCrc32c(1, 2, length)).toThrow('length');
      expect(() => combineCrc64nvme(1n, 2n, length)).toThrow('length');
    }
  });
});

describe('the text of a CRC', () => {
  test('is base64 of the big-endian bytes, as S3 and GCS write it', () => {
    expect(toCrc32cText(0xe3069283)).toBe('4waSgw==');
    expect(toCrc64nvmeText(0xae8b14860a799888n)).toBe('rosUhgp5mIg=');
  });

  test('reads back as the same number', () => {
    fc.assert(
      fc.property(anyCrc32, anyCrc64, (c32, c64) => {
        expect(readCrc32c(toCrc32cText(c32))).toBe(c32);
        expect(readCrc64nvme(toCrc64nvmeText(c64))).toBe(c64);
      }),
    );
  });

  test('is refused with its value when it is anything else', () => {
    for (const text of ['', '4waSgw', '4waSgw==\n', '4waSg===', 'rosUhgp5mIg', '4waSgwAA', 'not base64']) {
      for (const read of [readCrc32c, readCrc64nvme]) {
        let thrown: unknown;
        try {
          read(text);
        } catch (error) {
          thrown = error;
        }
        expect(isFault(thrown, 'invalid') && thrown.details.value).toBe(text);
      }
    }
  });
});

describe('checksums of a stream', () => {
  test('do not depend on how the stream is cut into pieces', () => {
    fc.assert(
      fc.property(fc.array(anyBytes, { maxLength: 6 }), (pieces) => {
        const whole = Buffer.concat(pieces);
        expect(checksumsOf(...pieces)).toEqual({
          sizeBytes: whole.length,
          crc32c: toCrc32cText(crc32c(whole)),
          crc64nvme: toCrc64nvmeText(crc64nvme(whole)),
        });
      }),
    );
  });

  test('of parts join into those of the whole', () => {
    fc.assert(
      fc.property(fc.array(anyBytes, { maxLength: 6 }), (pieces) => {
        expect(combineChecksums(pieces.map((piece) => checksumsOf(piece)))).toEqual(checksumsOf(...pieces));
      }),
    );
  });

  test('of no bytes change nothing they are joined with', () => {
    const some = checksumsOf(bytesOf('some'));
    expect(checksumsOf()).toEqual(NO_BYTES);
    expect(combineChecksums([])).toEqual(NO_BYTES);
    expect(combineChecksums([NO_BYTES, some, NO_BYTES])).toEqual(some);
  });
});
