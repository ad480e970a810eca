/** Shows that the trace of a delete comes back as it was left, and that nothing forged or foreign is taken for one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { version } from '../../test/samples/versions.ts';
import { Fault } from './fault.ts';
import { isReserved } from './key-map.ts';
import type { MacKeys } from './marker.ts';
import {
  readTombstone,
  TOMBSTONE_PREFIX,
  type Tombstone,
  tombstoneKey,
  tombstonesOf,
  toTombstoneText,
} from './tombstone.ts';

const macKeys: MacKeys = { newest: 'k2', keys: { k1: new Uint8Array(16).fill(1), k2: new Uint8Array(16).fill(2) } };
const deleted = version('a', 7, { kind: 'tombstone', vv: { a: 7, b: 3 }, holders: { a: { phys: 'v:1' } } });
const tombstone: Tombstone = { namespace: 'acme', key: 'docs/ä.txt', version: deleted };
const text = toTombstoneText(tombstone, macKeys);

/** The message of the Fault, which must be 'invalid'. */
function refusal(written: string, namespace = 'acme', keys = macKeys): string {
  try {
    readTombstone(written, namespace, keys);
  } catch (error) {
    if (error instanceof Fault && error.kind === 'invalid') return error.message;
    throw error;
  }
  return 'read';
}

/** Signed like any other, whatever it says of its version. */
function signed(changes: object): string {
  return toTombstoneText({ ...tombstone, version: { ...deleted, ...changes } }, macKeys);
}

describe('a tombstone in a bucket', () => {
  it('comes back as it was left, but for who held the bytes', () => {
    expect(readTombstone(text, 'acme', macKeys)).toEqual({ ...tombstone, version: { ...deleted, holders: {} } });
  });

  it('is read with any key that is still known', () => {
    const older = toTombstoneText(tombstone, { ...macKeys, newest: 'k1' });
    expect(readTombstone(older, 'acme', macKeys).version.vid).toBe('a:7');
    expect(refusal(older, 'acme', { newest: 'k2', keys: { k2: macKeys.keys.k2 as Uint8Array } })).toBe(
      'tombstone.k: expected a known MAC key, got "k1"',
    );
  });

  it('is refused when one character of it was changed', () => {
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom('0', 'x', '"', ' '), (at, character) => {
        fc.pre(text.charAt(at) !== character);
        const changed = text.slice(0, at) + character + text.slice(at + 1);
        expect(refusal(changed)).toMatch(/^tombstone[.:]/);
      }),
      { numRuns: 500 },
    );
  });

  const { body, k, mac } = JSON.parse(text) as Record<string, string>;
  it.each<[what: string, written: string, message: string | RegExp]>([
    ['text that is not JSON', '{', 'tombstone: expected JSON, got "{"'],
    ['JSON that is no object', '[]', 'tombstone: expected an object, got []'],
    ['a missing body', JSON.stringify({ k, mac }), 'tombstone.body: expected a string, got undefined'],
    ['a missing key id', JSON.stringify({ body, mac }), 'tombstone.k: expected a known MAC key, got undefined'],
    [
      'a key id that is no key of ours',
      JSON.stringify({ body, k: 'constructor', mac }),
      'tombstone.k: expected a known MAC key, got "constructor"',
    ],
    ['a missing MAC', JSON.stringify({ body, k }), 'tombstone.mac: expected the MAC of the body, got undefined'],
    ['the MAC of another key', JSON.stringify({ body, k: 'k1', mac }), /^tombstone\.mac: /],
    ['a version of another kind', signed({ kind: 'object' }), /^tombstone\.version\.kind: expected "tombstone"/],
    ['a version without its own dot', signed({ vv: { b: 3 } }), /^tombstone\.version\.vv: /],
    ['a version without a stamp', signed({ hlc: undefined }), /^tombstone\.version\.hlc: /],
  ])('is refused with the field named: %s', (_what, written, message) => {
    expect(refusal(written)).toEqual(typeof message === 'string' ? message : expect.stringMatching(message));
  });

  it('of another namespace is refused', () => {
    expect(refusal(text, 'other')).toBe('tombstone.namespace: expected "other", got "acme"');
  });
});

describe('where a tombstone stands', () => {
  it('is a key of our own, below the place of all tombstones of its key', () => {
    const name = tombstoneKey('docs/ä.txt', 'a:7');
    expect(isReserved(name)).toBe(true);
    expect(name.startsWith(TOMBSTONE_PREFIX)).toBe(true);
    expect(name.startsWith(tombstonesOf('docs/ä.txt'))).toBe(true);
  });

  it('is another place for every key and version', () => {
    const anyPlace = fc.record({ key: fc.string({ minLength: 1 }), s: fc.constantFrom('a', 'b', '~'), n: fc.nat(99) });
    fc.assert(
      fc.property(anyPlace, anyPlace, (one, two) => {
        const same = one.key === two.key && one.s === two.s && one.n === two.n;
        expect(tombstoneKey(one.key, `${one.s}:${one.n}`) === tombstoneKey(two.key, `${two.s}:${two.n}`)).toBe(same);
        expect(tombstonesOf(one.key) === tombstonesOf(two.key)).toBe(one.key === two.key);
      }),
    );
  });
});
