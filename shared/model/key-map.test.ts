import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkKey, fromNativeKey, isReserved, KEY_UNITS_MAX, toNativeKey } from './key-map.ts';
import type { Cloud } from './site.ts';

const CLOUDS: readonly Cloud[] = ['aws', 'gcp', 'azure'];
const HEX64 = '0123456789abcdef'.repeat(4);

// Everything the escapes look for, whole and in halves, so that neighbours may form a code by accident.
const PIECES = [
  '~',
  '7E',
  '2E',
  '2F',
  '5C',
  'x',
  '0A',
  '7F',
  '.',
  '/',
  '\\',
  '\n',
  '\u0085',
  'é',
  'e\u0301',
  'a',
  'h/',
];
const anyPieces = fc.string({ unit: fc.constantFrom(...PIECES), minLength: 1, maxLength: 12 });
const anyHashLike = fc.tuple(
  fc.constantFrom('~h/', '~7Eh/', '~7E7Eh/', 'a~h/', '~2Eh/'),
  fc.constantFrom('', '/', '.', 'a'),
);
const anyKey = fc.oneof(
  { arbitrary: anyPieces, weight: 4 },
  fc.string({ unit: 'binary', minLength: 1 }),
  fc.string({ unit: 'grapheme', minLength: 1 }),
  fc.tuple(anyPieces, fc.integer({ min: 1, max: 300 })).map(([key, times]) => key.repeat(times)),
  anyHashLike.map(([before, after]) => `${before}${HEX64}${after}`),
);

/** What the service makes of a name that a client sends. */
function azureStores(name: string): string {
  const dotless = name.replaceAll('\\', '/').replace(/\.+(?=\/|$)/g, '');
  const stored = dotless.replace(/\/+$/, '');
  return stored === name ? stored : azureStores(stored);
}

function nameOf(cloud: Cloud, key: string): string | null {
  const native = toNativeKey(cloud, key);
  return native.kind === 'unrepresentable' ? null : native.name;
}

describe.each(CLOUDS)('a key on %s', (cloud) => {
  test('reads back exactly, or is openly hashed or refused', () => {
    fc.assert(
      fc.property(anyKey, (key) => {
        const native = toNativeKey(cloud, key);
        if (native.kind === 'name') expect(fromNativeKey(cloud, native.name)).toBe(key);
        if (native.kind === 'hashed') expect(fromNativeKey(cloud, native.name)).toBeNull();
      }),
      { numRuns: 2000 },
    );
  });

  test('never shares its name with another key', () => {
    fc.assert(
      fc.property(fc.uniqueArray(anyKey, { minLength: 2, maxLength: 20 }), (keys) => {
        const names = keys.map((key) => nameOf(cloud, key)).filter((name) => name !== null);
        expect(new Set(names).size).toBe(names.length);
      }),
    );
  });

  test('is the only key of a name that a client chose', () => {
    fc.assert(
      fc.property(anyKey, (name) => {
        const key = fromNativeKey(cloud, name);
        if (key !== null) expect(toNativeKey(cloud, key)).toEqual({ kind: 'name', name });
      }),
      { numRuns: 2000 },
    );
  });

  test('keeps composed and decomposed letters apart', () => {
    expect(nameOf(cloud, '\u00e9')).toBe('\u00e9');
    expect(nameOf(cloud, 'e\u0301')).toBe('e\u0301');
  });

  test('is refused when empty or holding half a surrogate pair', () => {
    for (const key of ['', '\ud800', 'a\udc00b']) expect(toNativeKey(cloud, key).kind).toBe('unrepresentable');
  });
});

describe('S3 and GCS names', () => {
  test('are the key itself up to 1024 bytes', () => {
    for (const cloud of ['aws', 'gcp'] as const) {
      for (const key of ['a'.repeat(1024), 'é'.repeat(512), 'a/', './..', 'a~7E.', 'a\\b']) {
        expect(toNativeKey(cloud, key)).toEqual({ kind: 'name', name: key });
      }
      expect(toNativeKey(cloud, 'é'.repeat(513))).toMatchObject({
        kind: 'unrepresentable',
        reason: /1026 UTF-8 bytes/,
      });
    }
  });

  test('exclude on GCS what GCS refuses', () => {
    for (const key of ['.', '..', 'a\rb', 'a\nb', '.well-known/acme-challenge/token']) {
      expect(toNativeKey('gcp', key).kind).toBe('unrepresentable');
      expect(fromNativeKey('gcp', key)).toBeNull();
      expect(toNativeKey('aws', key).kind).toBe('name');
    }
  });
});

describe('Azure names', () => {
  test('differ from the key only where Azure would alter, refuse or mistake it', () => {
    const same = ['a', 'a~b', '~', 'a~7E', 'a~2Eb', '.a', 'a..b', '//a', 'FILE~10.TXT', '~h/short', `a~h/${HEX64}`];
    for (const key of same) expect(toNativeKey('azure', key)).toEqual({ kind: 'name', name: key });
    const escaped = {
      'a.': 'a~2E',
      'a/': 'a~2F',
      '/': '~2F',
      'a./b': 'a~2E/b',
      'a/../b': 'a/.~2E/b',
      './': '.~2F',
      'a//': 'a/~2F',
      'a\\b': 'a~5Cb',
      'a\nb': 'a~x0Ab',
      'a~2E': 'a~7E2E',
      'a~7E2E': 'a~7E7E2E',
      [`~h/${HEX64}`]: `~7Eh/${HEX64}`,
    };
    for (const [key, name] of Object.entries(escaped))
      expect(toNativeKey('azure', key)).toEqual({ kind: 'name', name });
  });

  test('are all different, and read back, for every key of up to five pieces', () => {
    const pieces = ['~', '7E', '2E', '2F', '5C', 'x0A', '.', '/', '\\', '\n'];
    let keys = [''];
    const all = new Set<string>();
    for (let length = 1; length <= 5; length++) {
      keys = keys.flatMap((key) => pieces.map((piece) => key + piece));
      for (const key of keys) all.add(key);
    }
    const names = new Set<string | null>();
    for (const key of all) {
      const name = nameOf('azure', key);
      names.add(name);
      if (name === null || fromNativeKey('azure', name) !== key) expect.fail(`${key} became ${name}`);
    }
    expect(names.size).toBe(all.size);
  });

  test('that we write are stored as they are', () => {
    fc.assert(
      fc.property(anyKey, (key) => {
        const name = nameOf('azure', key) ?? '';
        expect(azureStores(name)).toBe(name);
        expect(name).not.toMatch(/\p{Cc}/u);
      }),
      { numRuns: 2000 },
    );
  });

  test('that a client can create all have a key, except hash forms', () => {
    fc.assert(
      fc.property(anyKey, (sent) => {
        const name = azureStores(sent);
        fc.pre(name !== '' && name.length <= 1024 && name.split('/').length <= 254 && !/\p{Cc}/u.test(name));
        expect(fromNativeKey('azure', name) === null).toBe(/^~h\/[0-9a-f]{64}$/.test(name));
      }),
      { numRuns: 2000 },
    );
  });

  test('that no client can create have none', () => {
    for (const name of ['a.', 'a/', 'a./b', 'a\\b', 'a\u0007', 'a'.repeat(1025)]) {
      expect(fromNativeKey('azure', name)).toBeNull();
    }
  });

  test('count UTF-16 code units and segments, and hash the key beyond', () => {
    expect(toNativeKey('azure', '😀'.repeat(512)).kind).toBe('name');
    expect(toNativeKey('azure', `${'a'.repeat(1021)}/b`).kind).toBe('name');
    expect(toNativeKey('azure', `${'a/'.repeat(253)}a`).kind).toBe('name');
    for (const key of ['😀'.repeat(513), `${'a'.repeat(1022)}/.`, `${'a/'.repeat(254)}a`]) {
      expect(toNativeKey('azure', key)).toMatchObject({
        kind: 'hashed',
        name: expect.stringMatching(/^~h\/[0-9a-f]{64}$/),
      });
    }
  });
});

describe('checking a key', () => {
  test('answers the key, or names what is wrong', () => {
    expect(checkKey('a/../b\n')).toBe('a/../b\n');
    expect(() => checkKey('')).toThrow('at least one character');
    expect(() => checkKey('\udfff')).toThrow('well-formed');
    expect(() => checkKey('a'.repeat(KEY_UNITS_MAX + 1))).toThrow('at most 1024');
  });

  test('accepts every key that some cloud lets a client write', () => {
    fc.assert(
      fc.property(anyKey, (name) => {
        for (const cloud of CLOUDS) {
          const key = fromNativeKey(cloud, name);
          if (key !== null) expect(checkKey(key)).toBe(key);
        }
      }),
    );
  });

  test('tells our own keys by their prefix', () => {
    expect(['.triplicate/', '.triplicate/sentinel'].every(isReserved)).toBe(true);
    expect(['.triplicate', '.triplicates/a', 'a/.triplicate/b', '.Triplicate/a'].some(isReserved)).toBe(false);
  });
});
