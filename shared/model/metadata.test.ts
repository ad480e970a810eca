import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromNativeMetadata, MARKER_NAME, metaDigest, toNativeMetadata } from './metadata.ts';
import type { ObjectMetadata } from './object.ts';
import type { Cloud } from './site.ts';

const CLOUDS: readonly Cloud[] = ['aws', 'gcp', 'azure'];

const NAME_SIGNS = [..."!#$%&'*+-.^_`|~0189aeorstvz"];
// What the codes are made of, so that names and values may look like them by accident.
const NAME_PIECES = ['tr_', 'c5hmm', 'd9n6uq', 'a', 'A', '-', '_', '0', 'triplicate', '__proto__'];
const VALUE_PIECES = ["UTF-8''", '%', '%25', '%C3%A9', '%27', 'é', ' ', 'a', "'", '=?UTF-8?Q?', '?=', '\n', '😀', '+'];

const anyName = fc
  .oneof(
    fc.string({ unit: fc.constantFrom(...NAME_SIGNS), minLength: 1 }),
    fc.string({ unit: fc.constantFrom(...NAME_PIECES), minLength: 1, maxLength: 3 }).map((name) => name.toLowerCase()),
  )
  .filter((name) => name !== MARKER_NAME);
const anyValue = fc.oneof(
  fc.string({ unit: fc.constantFrom(...VALUE_PIECES) }),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme-ascii' }),
);
const anyUser = fc.dictionary(anyName, anyValue, { maxKeys: 6, noNullPrototype: true });
const anyHeaders = fc.record(
  {
    contentType: anyValue,
    contentEncoding: anyValue,
    contentLanguage: anyValue,
    contentDisposition: anyValue,
    cacheControl: anyValue,
  },
  { requiredKeys: [], noNullPrototype: true },
);
const anyMeta: fc.Arbitrary<ObjectMetadata> = fc.record({ headers: anyHeaders, user: anyUser });

/** What a client may have written there by its own means. */
const anyNative: Readonly<Record<Cloud, fc.Arbitrary<Record<string, string>>>> = {
  aws: fc.dictionary(anyName, fc.string({ unit: 'grapheme-ascii' }), { noNullPrototype: true }),
  gcp: fc.dictionary(
    fc.oneof(fc.string({ unit: fc.constantFrom(...NAME_PIECES) }), fc.string({ unit: 'binary' })),
    anyValue,
    { maxKeys: 8, noNullPrototype: true },
  ),
  azure: fc.dictionary(
    fc.string({ unit: fc.constantFrom('tr_', 'c5hmm', 'd9n6uq', 'a', '_', 'Z'), minLength: 1, maxLength: 3 }),
    fc.oneof(
      fc.string({ unit: 'grapheme-ascii' }),
      fc.string({ unit: fc.constantFrom("UTF-8''", '%C3%A9', '%', 'a') }),
    ),
    { noNullPrototype: true },
  ),
};

function entriesOf(cloud: Cloud, user: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const native = toNativeMetadata(cloud, user);
  fc.pre(native.kind === 'fits');
  return native.entries;
}

/** Entries compare better than objects, where a name like `__proto__` hides. */
function listed(named: object): readonly (readonly [string, string])[] {
  return Object.entries(named).sort(([a], [b]) => (a < b ? -1 : 1));
}

function parts({ headers, user }: ObjectMetadata): readonly unknown[] {
  return [listed(headers), listed(user)];
}

describe.each(CLOUDS)('user metadata on %s', (cloud) => {
  test('reads back exactly as it was meant', () => {
    fc.assert(
      fc.property(anyUser, (user) => {
        expect(listed(fromNativeMetadata(cloud, entriesOf(cloud, user)))).toEqual(listed(user));
      }),
      { numRuns: 1000 },
    );
  });

  test('means the same in every cloud it is copied to, and back', () => {
    fc.assert(
      fc.property(anyNative[cloud], fc.shuffledSubarray([...CLOUDS], { minLength: 1 }), (native, path) => {
        const user = fromNativeMetadata(cloud, native);
        for (const next of path) {
          expect(listed(fromNativeMetadata(next, entriesOf(next, user)))).toEqual(listed(user));
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('loses no entry, whatever a client wrote', () => {
    fc.assert(
      fc.property(anyNative[cloud], (native) => {
        const names = new Set(Object.keys(native).map((name) => (cloud === 'gcp' ? name : name.toLowerCase())));
        names.delete(MARKER_NAME);
        expect(Object.keys(fromNativeMetadata(cloud, native)).length).toBeGreaterThanOrEqual(names.size);
      }),
    );
  });

  test('does not hang on the order of the entries', () => {
    fc.assert(
      fc.property(anyNative[cloud], (native) => {
        const reversed = Object.fromEntries(Object.entries(native).reverse());
        expect(listed(fromNativeMetadata(cloud, reversed))).toEqual(listed(fromNativeMetadata(cloud, native)));
      }),
    );
  });

  test('never shows the marker entry', () => {
    expect(fromNativeMetadata(cloud, { [MARKER_NAME]: 'x', a: '1' })).toEqual({ a: '1' });
    expect(toNativeMetadata(cloud, { [MARKER_NAME]: 'x', a: '1' })).toEqual({ kind: 'fits', entries: { a: '1' } });
  });

  test('is refused when a name is not canonical or a value is no Unicode', () => {
    for (const name of ['', 'A', 'a b', 'é', 'a:b']) {
      expect(() => toNativeMetadata(cloud, { [name]: '' })).toThrow('metadata name');
    }
    expect(() => toNativeMetadata(cloud, { a: '\ud800' })).toThrow('well-formed');
  });
});

describe('values in headers', () => {
  test('are plain where they can be, a literal % included', () => {
    for (const value of ['plain', '100%', '%25', '%C3%A9', 'a b', "it's", "UTF-8''a", "UTF-8''%c3%a9", 'a=?b']) {
      expect(entriesOf('aws', { a: value })).toEqual({ a: value });
      expect(entriesOf('azure', { a: value })).toEqual({ a: value });
    }
  });

  test('that a client wrote plain are written back unchanged', () => {
    const plain = fc.stringMatching(/^[!-~]([ -~]*[!-~])?$/).filter((text) => !text.includes('=?'));
    const lookalike = fc.string({ unit: fc.constantFrom("UTF-8''", '%25', '%27', '%C3%A9', 'a'), minLength: 1 });
    fc.assert(
      fc.property(fc.oneof(plain, lookalike), (value) => {
        for (const cloud of ['aws', 'azure'] as const) {
          expect(entriesOf(cloud, fromNativeMetadata(cloud, { a: value }))).toEqual({ a: value });
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('are coded when a header would lose something', () => {
    const coded = {
      naïve: "UTF-8''na%C3%AFve",
      '': "UTF-8''",
      ' a': "UTF-8''%20a",
      'a\n': "UTF-8''a%0A",
      "UTF-8''%20a": "UTF-8''UTF-8%27%27%2520a",
      '=?UTF-8?Q?a?=': "UTF-8''%3D%3FUTF-8%3FQ%3Fa%3F%3D",
    };
    for (const [value, native] of Object.entries(coded)) {
      expect(entriesOf('aws', { a: value })).toEqual({ a: native });
      expect(entriesOf('azure', { a: value })).toEqual({ a: native });
      expect(entriesOf('gcp', { a: value })).toEqual({ a: value });
    }
  });
});

describe('names', () => {
  test('are C# identifiers on Azure', () => {
    fc.assert(
      fc.property(anyUser, (user) => {
        for (const name of Object.keys(entriesOf('azure', user))) expect(name).toMatch(/^[a-z_][a-z0-9_]*$/);
      }),
    );
    expect(entriesOf('azure', { 'a-b': '1', a_b: '2', tr_foo: '3', tr_c4mm4: '4' })).toEqual({
      tr_c4mm4: '1',
      a_b: '2',
      tr_foo: '3',
      tr_ehp5uopkdlmj8: '4',
    });
  });

  test('are folded to lower case, and spelled out when two would be one or none is left', () => {
    expect(fromNativeMetadata('azure', { Owner: 'x' })).toEqual({ owner: 'x' });
    expect(fromNativeMetadata('gcp', { Owner: 'x' })).toEqual({ owner: 'x' });
    expect(fromNativeMetadata('gcp', { A: '1', a: '2', é: '3', Triplicate: '4' })).toEqual({
      tr_84: '1',
      a: '2',
      tr_oekg: '3',
      tr_ahp6is3cd5hm2t35: '4',
    });
  });
});

describe('limits', () => {
  test('leave room for the marker', () => {
    const limits = { aws: 2048 - 640, gcp: 8192 - 640, azure: 8192 - 640 };
    for (const cloud of CLOUDS) {
      const filled = (sizeBytes: number) => {
        const half = (sizeBytes - 2) / 2;
        return toNativeMetadata(cloud, { a: 'x'.repeat(Math.ceil(half)), b: 'x'.repeat(Math.floor(half)) });
      };
      expect(filled(limits[cloud]).kind).toBe('fits');
      expect(filled(limits[cloud] + 1)).toEqual({
        kind: 'too-large',
        sizeBytes: limits[cloud] + 1,
        limitBytes: limits[cloud],
      });
    }
  });

  test('count what is written, not what is meant', () => {
    const user = { a: 'é'.repeat(300) };
    expect(toNativeMetadata('aws', user)).toEqual({ kind: 'too-large', sizeBytes: 1808, limitBytes: 1408 });
    expect(toNativeMetadata('gcp', user).kind).toBe('fits');
  });

  test('hold for single entries on GCS', () => {
    const long = toNativeMetadata('gcp', { a: 'x'.repeat(4097) });
    expect(long).toEqual({ kind: 'too-large', sizeBytes: 4097, limitBytes: 4096 });
    expect(toNativeMetadata('gcp', { ['a'.repeat(1025)]: '' }).kind).toBe('too-large');
  });
});

describe('the digest', () => {
  test('is 16 bytes as base64url', () => {
    expect(metaDigest({ headers: {}, user: {} })).toMatch(/^[\w-]{22}$/);
  });

  test('does not depend on the order of names, nor on the marker', () => {
    fc.assert(
      fc.property(anyMeta, ({ headers, user }) => {
        const reversed = {
          headers: Object.fromEntries(Object.entries(headers).reverse()),
          user: Object.fromEntries([[MARKER_NAME, 'x'], ...Object.entries(user).reverse()]),
        };
        expect(metaDigest(reversed)).toBe(metaDigest({ headers, user }));
      }),
    );
  });

  test('differs when anything differs', () => {
    fc.assert(
      fc.property(anyMeta, anyMeta, (a, b) => {
        expect(metaDigest(a) === metaDigest(b)).toBe(isDeepStrictEqual(parts(a), parts(b)));
      }),
    );
    const alike: readonly ObjectMetadata[] = [
      { headers: {}, user: {} },
      { headers: { contentType: '' }, user: {} },
      { headers: {}, user: { contenttype: '' } },
      { headers: {}, user: { a: '1:b1:c' } },
      { headers: {}, user: { a: '1', b: 'c' } },
      { headers: {}, user: { a: '', b: '1c' } },
      { headers: {}, user: { ab: '1', c: '' } },
      { headers: {}, user: { a: 'é' } },
      { headers: {}, user: { a: 'e\u0301' } },
    ];
    expect(new Set(alike.map(metaDigest)).size).toBe(alike.length);
  });

  test('changes with every single field', () => {
    const names = ['contentType', 'contentEncoding', 'contentLanguage', 'contentDisposition', 'cacheControl'] as const;
    fc.assert(
      fc.property(anyMeta, fc.constantFrom(...names), anyName, anyValue, (meta, header, name, value) => {
        const before = metaDigest(meta);
        const headers = { ...meta.headers, [header]: `${meta.headers[header] ?? ''}${value}.` };
        expect(metaDigest({ ...meta, headers })).not.toBe(before);
        const user = Object.fromEntries([...Object.entries(meta.user), [name, `${value}.`]]);
        if (meta.user[name] !== user[name]) expect(metaDigest({ ...meta, user })).not.toBe(before);
      }),
    );
  });
});
