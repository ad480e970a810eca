/** Shows that a marker comes back as it was written, here and nowhere else, and that nothing forged or copied passes. */
import { encode } from 'cborg';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from './fault.ts';
import type { Cause } from './key-item.ts';
import {
  MARKER_CHARS_MAX,
  type MacKeys,
  type Marker,
  physDigest,
  readMarker,
  sameOrigin,
  writeMarker,
} from './marker.ts';
import type { VersionVector } from './version-vector.ts';

const keyOne = Uint8Array.from({ length: 32 }, (_, i) => i);
const keyTwo = Uint8Array.from({ length: 16 }, (_, i) => 255 - i);
const macKeys: MacKeys = { newest: 'k1', keys: { k1: keyOne } };

const marker: Marker = {
  site: 'gcp',
  wid: 'AAECAwQFBgcICQoLDA0ODw',
  dot: { s: 'aws', n: 1754200000001 },
  vv: { aws: 1754200000001, gcp: 1754200000000 },
  hlc: { ms: 1754200000001, c: 2 },
  origin: { site: 'aws', phys: 'v:3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH', cause: 'put' },
  crc32c: 'mnG7TA==',
  crc64nvme: 'M3eFcAZSQlc=',
  sizeBytes: 12345,
  metaDigest: 'AAECAwQFBgcICQoLDA0ODw',
};
const here = { namespace: 'acme', key: 'docs/a.txt', site: 'gcp' };

const anyCharacter = fc.oneof(
  fc.constantFrom('a', '0', '~', ' ', 'é', '\u0000', '\ud800', '\u{1f600}'),
  fc.string({ maxLength: 1 }),
);
const anyContextText = fc.string({ unit: anyCharacter, maxLength: 30 });
const printable = (minLength: number, maxLength: number) =>
  fc.string({ unit: fc.integer({ min: 32, max: 126 }).map((code) => String.fromCharCode(code)), minLength, maxLength });
const anySite = fc.string({ unit: fc.constantFrom(...'abz09'), minLength: 1, maxLength: 8 });
const anyActor = fc.oneof(anySite, fc.constant('~'));
const anyCount = fc.oneof(
  fc.integer({ min: 1, max: 9_999_999_999_999 }),
  fc.maxSafeInteger().map((n) => Math.abs(n) || 1),
);
const anyCause = fc.constantFrom<Cause[]>('put', 'delete', 'rollback', 'inferred-delete', 'conflict-copy', 'merge');
const anyBytes = (length: number, encoding: 'base64' | 'base64url') =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes).toString(encoding));

const anyMarker: fc.Arbitrary<Marker> = fc
  .record({
    site: anySite,
    wid: fc.oneof(anyBytes(16, 'base64url'), printable(1, 32)),
    dot: fc.record({ s: anyActor, n: anyCount }),
    past: fc.dictionary(anyActor, anyCount, { maxKeys: 8, noNullPrototype: true }),
    hlc: fc.record({ ms: fc.nat(9_999_999_999_999), c: fc.maxSafeInteger().map(Math.abs) }),
    origin: fc.record({
      site: anyActor,
      phys: fc.oneof(printable(0, 48), fc.string({ maxLength: 200 })),
      cause: anyCause,
    }),
    crc32c: fc.oneof(anyBytes(4, 'base64'), fc.constant('')),
    crc64nvme: fc.oneof(anyBytes(8, 'base64'), fc.constant('')),
    sizeBytes: fc.maxSafeInteger().map(Math.abs),
    metaDigest: fc.oneof(anyBytes(16, 'base64url'), anyBytes(32, 'base64url'), printable(0, 64)),
  })
  .map(({ past, ...rest }) => {
    const others = Object.entries(past)
      .filter(([site]) => site !== rest.dot.s)
      .slice(0, 7);
    return { ...rest, vv: { ...Object.fromEntries(others), [rest.dot.s]: rest.dot.n } };
  });
const anyContext = fc.record({ namespace: anyContextText, key: anyContextText });

function asRead(written: Marker): Marker {
  return { ...written, origin: { ...written.origin, phys: physDigest(written.origin.phys) } };
}

function reasonOf(text: string, context = here, keys = macKeys): string {
  const reading = readMarker(text, context, keys);
  return reading.kind === 'foreign' ? reading.reason : 'authentic';
}

/** A marker of the right shape around any content, as somebody without the secret can make it. */
function forged(fields: unknown): string {
  return Buffer.concat([Buffer.from([0x82, 0x50]), Buffer.alloc(16), encode(fields)]).toString('base64url');
}

/** The encoded fields of `marker`, to be made wrong. */
const fields = {
  ...{
    f: 1,
    k: 'k1',
    s: 'gcp',
    w: new Uint8Array(16),
    d: ['aws', 5],
    v: { aws: 5 },
    h: [7, 0],
    o: ['aws', 'v:1', 'p'],
  },
  ...{ c: new Uint8Array(4), n: new Uint8Array(8), z: 3, m: new Uint8Array(16) },
};

describe('a marker', () => {
  it('comes back as it was written', () => {
    const text = writeMarker(marker, here, macKeys);
    expect(readMarker(text, here, macKeys)).toEqual({ kind: 'authentic', marker });
    expect(text).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(text.length).toBeLessThan(280);
  });

  it('is the same text whatever the order of its sites', () => {
    const vv = { gcp: 1754200000000, aws: 1754200000001 };
    expect(writeMarker({ ...marker, vv }, here, macKeys)).toBe(writeMarker(marker, here, macKeys));
  });

  it('comes back whatever its values', () => {
    fc.assert(
      fc.property(anyMarker, anyContext, (written, context) => {
        const text = writeMarker(written, context, macKeys);
        expect(text.length).toBeLessThanOrEqual(MARKER_CHARS_MAX);
        const reading = readMarker(text, { ...context, site: written.site }, macKeys);
        expect(reading).toEqual({ kind: 'authentic', marker: asRead(written) });
        expect(writeMarker(asRead(written), context, macKeys)).toBe(text);
      }),
      { numRuns: 2000 },
    );
  });

  it('stays short for eight sites and the resolver, and everything as long as it may be', () => {
    const n = Number.MAX_SAFE_INTEGER;
    const eight = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`longsit${i}`, n]));
    const long: Marker = {
      ...{
        site: 'longsit7',
        wid: '!'.repeat(32),
        dot: { s: 'longsit0', n },
        vv: { ...eight, '~': n },
        hlc: { ms: n, c: n },
      },
      ...{ origin: { site: 'longsit3', phys: '!'.repeat(48), cause: 'inferred-delete' }, sizeBytes: n },
      ...{ crc32c: 'mnG7TA==', crc64nvme: 'M3eFcAZSQlc=', metaDigest: '!'.repeat(64) },
    };
    const keys = { newest: 'eightlng', keys: { eightlng: keyOne } };
    const text = writeMarker(long, here, keys);
    expect(text.length).toBeLessThanOrEqual(MARKER_CHARS_MAX);
    expect(readMarker(text, { ...here, site: 'longsit7' }, keys)).toEqual({ kind: 'authentic', marker: long });
  });

  it('is refused when too long, so that it can never crowd out what the user stores', () => {
    const vv: VersionVector = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`site${i}`, 1754200000001]));
    expect(() => writeMarker({ ...marker, dot: { s: 'site1', n: 4 }, vv }, here, macKeys)).toThrow(
      expect.objectContaining({
        kind: 'internal',
        message: expect.stringContaining('expected at most 600 characters, got '),
      }),
    );
  });

  it.each<[string, Partial<Record<keyof Marker, unknown>>]>([
    ['site: expected a site id', { site: '~' }],
    ['wid: expected a string that is not empty', { wid: '' }],
    ['wid: expected at most 32 characters', { wid: 'w'.repeat(33) }],
    ['wid: expected a string that matches', { wid: 'é' }],
    ['vv.aws: expected an integer >= 1, got "x"', { vv: { aws: 'x' } }],
    ['vv: expected its own dot aws:1754200000001 inside', { vv: { aws: 7 } }],
    ['hlc.ms: expected an integer >= 0', { hlc: { ms: Number.NaN, c: 0 } }],
    ['crc32c: expected an empty string or base64 of 4 bytes', { crc32c: 'AAAA' }],
    ['sizeBytes: expected an integer >= 0', { sizeBytes: -1 }],
    ['metaDigest: expected at most 64', { metaDigest: 'd'.repeat(65) }],
  ])('that could not be read back is not written: %s', (message, wrong) => {
    const write = () => writeMarker({ ...marker, ...wrong } as Marker, here, macKeys);
    expect(write).toThrow(expect.objectContaining({ kind: 'invalid', message: expect.stringContaining(message) }));
  });
});

describe('a marker is foreign', () => {
  const text = writeMarker(marker, here, macKeys);

  it('at another key, site or namespace', () => {
    expect(reasonOf(text, { ...here, key: 'docs/b.txt' })).toContain('the MAC is not the one for');
    expect(reasonOf(text, { ...here, namespace: 'other' })).toContain('the MAC is not the one for');
    expect(reasonOf(text, { ...here, site: 'aws' })).toBe('site: expected "aws", got "gcp"');
  });

  it('anywhere else', () => {
    fc.assert(
      fc.property(anyMarker, anyContext, anyContext, anySite, (written, mine, other, site) => {
        const moved = writeMarker(written, mine, macKeys);
        const same = mine.namespace === other.namespace && mine.key === other.key;
        expect(readMarker(moved, { ...other, site: written.site }, macKeys).kind).toBe(same ? 'authentic' : 'foreign');
        if (site !== written.site) expect(readMarker(moved, { ...mine, site }, macKeys).kind).toBe('foreign');
      }),
      { numRuns: 1000 },
    );
  });

  it('where letters have moved from one name into the next', () => {
    const names = 'aa1:bb2:cc3:gcp';
    const cut = (at: number) => ({ namespace: names.slice(0, at), key: names.slice(at), site: 'gcp' });
    for (let i = 0; i <= names.length; i++) {
      const moved = writeMarker(marker, cut(i), macKeys);
      for (let j = 0; j <= names.length; j++) {
        expect(readMarker(moved, cut(j), macKeys).kind).toBe(i === j ? 'authentic' : 'foreign');
      }
    }
  });

  it('when any character is changed, removed or added', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    for (let i = 0; i <= text.length; i++) {
      for (const character of [...alphabet, '=', '+', '/', ' ', 'é', '']) {
        const changed = text.slice(0, i) + character + text.slice(i + 1);
        if (changed !== text) expect(readMarker(changed, here, macKeys).kind).toBe('foreign');
        if (character !== '')
          expect(readMarker(text.slice(0, i) + character + text.slice(i), here, macKeys).kind).toBe('foreign');
      }
    }
  });

  it('when its fields are said in other bytes', () => {
    const bytes = Buffer.from(text, 'base64url');
    const longer = Buffer.concat([bytes, Buffer.from([0])]);
    expect(reasonOf(longer.toString('base64url'))).toContain('expected CBOR');
    expect(reasonOf(bytes.toString('base64'))).not.toBe('authentic');
    expect(reasonOf(` ${text}`)).toBe('expected base64url');
    expect(reasonOf(`${text}\n`)).toBe('expected base64url');
  });

  it.each<[string, unknown]>([
    ['vv.a: expected an integer >= 1, got "x"', { ...fields, v: { a: 'x' } }],
    ['vv.a: expected an integer >= 1, got 1.5', { ...fields, v: { a: 1.5 } }],
    ['vv: expected only keys that are a site id', { ...fields, v: JSON.parse('{"aws": 5, "__proto__": 5}') }],
    ['vv: expected only keys that are a site id', { ...fields, v: { aws: 5, constructor: 5 } }],
    ['vv: expected its own dot aws:5 inside, got {"aws":4}', { ...fields, v: { aws: 4 } }],
    ['vv: expected an object, got [5]', { ...fields, v: [5] }],
    ['marker.__proto__: expected no such key here', new Map([...Object.entries(fields), ['__proto__', 1]])],
    ['marker.x: expected no such key here', { ...fields, x: 1 }],
    ['marker: expected an object, got 4', 4],
    ['marker: expected an object, got [[]]', [[]]],
    ['f: expected 1, got 2', { ...fields, f: 2 }],
    ['k: expected a string, got 1', { ...fields, k: 1 }],
    ['k: expected at most 8 characters', { ...fields, k: '__proto__' }],
    ['k: expected the id of a known MAC key, got "toString"', { ...fields, k: 'toString' }],
    ['k: expected the id of a known MAC key, got "k2"', { ...fields, k: 'k2' }],
    ['site: expected a site id, one to eight of a-z and 0-9, got "__proto__"', { ...fields, s: '__proto__' }],
    ['site: expected "gcp", got "aws"', { ...fields, s: 'aws' }],
    ['wid: expected a string, got 4', { ...fields, w: 4 }],
    ['wid: expected at most 32 characters', { ...fields, w: new Uint8Array(40) }],
    ['dot: expected an array of 2, got null', { ...fields, d: null }],
    ['dot.s: expected a site id', { ...fields, d: ['__proto__', 5] }],
    ['dot.n: expected an integer >= 1, got 0', { ...fields, d: ['aws', 0] }],
    ['hlc.c: expected an integer >= 0, got -1', { ...fields, h: [1, -1] }],
    ['origin: expected an array of 3, got ["aws"]', { ...fields, o: ['aws'] }],
    ['origin.cause: expected one of put, delete, rollback', { ...fields, o: ['aws', 'v:1', 'x'] }],
    ['origin.phys: expected at most 48 characters', { ...fields, o: ['aws', 'v'.repeat(49), 'p'] }],
    ['crc32c: expected an empty string or base64 of 4 bytes, got "AAAA"', { ...fields, c: new Uint8Array(3) }],
    ['crc64nvme: expected an empty string or base64 of 8 bytes, got 7', { ...fields, n: 7 }],
    ['sizeBytes: expected an integer >= 0, got undefined', { ...fields, z: undefined }],
    ['metaDigest: expected a string, got true', { ...fields, m: true }],
    ['the MAC is not the one for this namespace, site, key and content', fields],
  ])('and says why: %s', (reason, content) => {
    const ignoreUndefinedProperties = true;
    const bytes = Buffer.concat([
      Buffer.from([0x82, 0x50]),
      Buffer.alloc(16),
      encode(content, { ignoreUndefinedProperties }),
    ]);
    expect(reasonOf(bytes.toString('base64url'))).toContain(reason);
  });

  it('when hostile, at little cost', () => {
    const raw = (...bytes: number[]) =>
      Buffer.concat([Buffer.from([0x82, 0x50]), Buffer.alloc(16), Buffer.from(bytes)]).toString('base64url');
    expect(reasonOf('A'.repeat(2001))).toBe('expected at most 2000 characters, got 2001');
    expect(reasonOf('A'.repeat(50_000_000))).toContain('expected at most 2000');
    expect(reasonOf('')).toContain('expected a CBOR array of a MAC');
    expect(reasonOf('AAAA')).toContain('expected a CBOR array of a MAC');
    expect(reasonOf(raw(...Array(1400).fill(0x81)))).toContain('expected CBOR');
    expect(reasonOf(raw(...Array(1400).fill(0x81), 0))).toContain('marker: expected an object');
    expect(reasonOf(raw(...Array.from({ length: 1200 }, (_, at) => [0xa1, 0x61, 0x61][at % 3] as number)))).toContain(
      'expected CBOR',
    );
    expect(reasonOf(raw(0x9b, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))).toContain('expected CBOR');
    expect(reasonOf(raw(0x5b, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1))).toContain('expected CBOR');
    expect(reasonOf(raw(0xbf, 0xff))).toContain('indefinite');
    expect(reasonOf(raw(0xa2, 0x61, 0x61, 1, 0x61, 0x61, 2))).toContain('repeat map key');
    expect(reasonOf(raw(0xa1, 0x61, 0x61, 0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))).toContain(
      'expected CBOR',
    );
    expect(reasonOf(raw(0xc0, 0x01))).toContain('tag not supported');
    expect(reasonOf(forged({ ...fields, [`x${'y'.repeat(1000)}`]: 1 })).length).toBeLessThanOrEqual(300);
  });

  it('whatever the bytes, and never throws', () => {
    const head = Buffer.from([0x82, 0x50]);
    const anyContent = fc.oneof(
      fc.string({ maxLength: 100 }),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
      fc
        .uint8Array({ maxLength: 200 })
        .map((bytes) => Buffer.concat([head, Buffer.alloc(16), bytes]).toString('base64url')),
      fc.jsonValue({ depthSize: 'small' }).map((value) => forged(value)),
      fc
        .tuple(fc.constantFrom(...Object.keys(fields)), fc.jsonValue())
        .map(([name, value]) => forged({ ...fields, [name]: value })),
    );
    fc.assert(
      fc.property(anyContent, (content) => {
        expect(readMarker(content, here, macKeys).kind).toBe('foreign');
      }),
      { numRuns: 5000 },
    );
  });
});

describe('rotation of the MAC key', () => {
  const both: MacKeys = { newest: 'k2', keys: { k1: keyOne, k2: keyTwo } };

  it('reads markers of any known key and writes with the newest', () => {
    expect(readMarker(writeMarker(marker, here, macKeys), here, both)).toEqual({ kind: 'authentic', marker });
    const rotated = writeMarker(marker, here, both);
    expect(readMarker(rotated, here, both)).toEqual({ kind: 'authentic', marker });
    expect(reasonOf(rotated)).toBe('k: expected the id of a known MAC key, got "k2"');
  });

  it('makes markers of a removed key foreign', () => {
    const left: MacKeys = { newest: 'k2', keys: { k2: keyTwo } };
    expect(reasonOf(writeMarker(marker, here, macKeys), here, left)).toBe(
      'k: expected the id of a known MAC key, got "k1"',
    );
  });

  it('cannot be used to pass one key off as another', () => {
    const swapped: MacKeys = { newest: 'k1', keys: { k1: keyTwo } };
    expect(reasonOf(writeMarker(marker, here, macKeys), here, swapped)).toContain('the MAC is not the one for');
  });

  it.each<[string, MacKeys]>([
    ['macKeys.newest: expected the id of one of the keys, got "k9"', { newest: 'k9', keys: { k1: keyOne } }],
    [
      'macKeys.newest: expected the id of one of the keys, got "__proto__"',
      { newest: '__proto__', keys: { k1: keyOne } },
    ],
    ['macKeys.keys.k1: expected at least 16 bytes, got 15', { newest: 'k1', keys: { k1: new Uint8Array(15) } }],
    [
      'expected at most 8 characters, got "ninechars"',
      { newest: 'ninechars', keys: { ninechars: new Uint8Array(16) } },
    ],
  ])('refuses keys that cannot be used: %s', (message, keys) => {
    expect(() => writeMarker(marker, here, keys)).toThrow(
      expect.objectContaining({ kind: 'invalid', message: expect.stringContaining(message) }),
    );
  });

  it('never shows a secret', () => {
    try {
      writeMarker(marker, here, { newest: 'k1', keys: { k1: Uint8Array.from([77, 78, 79]) } });
    } catch (error) {
      expect(error).toBeInstanceOf(Fault);
      expect(JSON.stringify(error)).not.toContain('77');
    }
    expect.assertions(2);
  });
});

describe('the origin', () => {
  it('is told as it is when short, by its digest otherwise', () => {
    const long = 'e:"0123456789abcdef0123456789abcdef-1000":1754200000001:5368709120';
    expect(physDigest('1754200000000001.1')).toBe('1754200000000001.1');
    expect(physDigest(long)).toMatch(/^#[A-Za-z0-9_-]{22}$/);
    expect(physDigest(physDigest(long))).toBe(physDigest(long));
    expect(sameOrigin(physDigest(long), long)).toBe(true);
    expect(sameOrigin(long, long)).toBe(true);
    expect(sameOrigin(physDigest(long), `${long}1`)).toBe(false);
    expect(sameOrigin('v:1', 'v:2')).toBe(false);
  });
});
