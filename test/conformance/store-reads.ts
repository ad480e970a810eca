/** Conformance of an object store: what was put is what is read, listed and remembered. */

import { expect } from 'vitest';
import { isAbsent, type ObjectVersion } from '#shared/model/object.ts';
import type { ObjectStore } from '#shared/store/store.ts';
import { ALWAYS, type Case, content, encode, options, PLAIN, put, RICH, refused, text } from './store-bench.ts';

/** Names that are plain ASCII letters, dots and signs that no cloud alters. */
const AWKWARD = [
  ' a',
  'a b',
  'a+b',
  'a%20b',
  'a%2Fb',
  '~x',
  '~2F',
  'ä/ö',
  'a\u0308',
  'é',
  '日本',
  '🐘',
  'a&b=c',
  "a'b",
  'a"b',
  'a?b#c',
];

export const READS: readonly Case[] = [
  {
    test: 'an object is read back as it was put',
    async run({ store, key }) {
      const written = await put(store, key(), 'hello', { metadata: RICH, marker: 'bWFya2Vy' });
      const read = await store.get(key(), written.phys);
      expect(await text(read.body)).toBe('hello');
      expect(read.version).toEqual(written);
      expect(written).toMatchObject({ kind: 'object', sizeBytes: 5, revision: 1, metadata: RICH, marker: 'bWFya2Vy' });
      expect(await store.head(key())).toEqual(written);
    },
  },
  {
    test: 'an object without a marker has none',
    async run({ store, key }) {
      expect(await put(store, key(), 'x')).not.toHaveProperty('marker');
      expect(await store.head(key())).not.toHaveProperty('marker');
    },
  },
  {
    test: 'the marker entry is no user metadata',
    async run({ store, key }) {
      await put(store, key(), 'x', { metadata: PLAIN, marker: 'bQ' });
      expect((await store.head(key()))?.metadata.user).toEqual(PLAIN.user);
    },
  },
  {
    test: 'an empty object has no bytes and all the rest',
    async run({ store, key }) {
      const written = await put(store, key(), '', { marker: 'bQ' });
      expect(written).toMatchObject({ sizeBytes: 0, marker: 'bQ', metadata: PLAIN });
      expect(await text((await store.get(key(), written.phys)).body)).toBe('');
    },
  },
  {
    test: 'a body may come in pieces, in a buffer that is used again',
    async run({ store, key }) {
      const written = await store.put(key(), reusingOneBuffer(['one,', 'two,', 'six.']), options());
      expect(await content(store, key(), written)).toBe('one,two,six.');
    },
  },
  {
    test: 'a body that fails writes nothing',
    async run({ store, key }) {
      await expect(store.put(key(), failing(), options())).rejects.toThrow();
      expect(await store.head(key())).toBeNull();
    },
  },
  {
    test: 'what the caller does with its array later changes nothing',
    async run({ store, key }) {
      const bytes = encode('before');
      const written = await store.put(key(), bytes, options());
      bytes.fill(0);
      expect(await content(store, key(), written)).toBe('before');
    },
  },
  {
    test: 'what a reader does with its bytes changes nothing',
    async run({ store, key }) {
      const written = await put(store, key(), 'before');
      for await (const piece of (await store.get(key(), written.phys)).body) piece.fill(0);
      expect(await content(store, key(), written)).toBe('before');
    },
  },
  {
    test: 'what stands is read without its name, bytes and description of one version',
    async run({ store, key }) {
      await put(store, key(), 'one', { metadata: RICH, marker: 'bQ' });
      const second = await put(store, key(), 'second', { marker: 'bWFya2Vy' });
      const read = await store.get(key(), null);
      expect(read.version).toEqual(second);
      expect(await text(read.body)).toBe('second');
      await refused(store.get(key('nothing'), null), 'not-found');
      await store.delete(key(), ALWAYS);
      await refused(store.get(key(), null), 'not-found');
    },
  },
  {
    test: 'an overwrite is a new physical version with its own metadata',
    async run({ store, key }) {
      const first = await put(store, key(), 'one', { metadata: RICH, marker: 'bQ' });
      const second = await put(store, key(), 'second');
      expect(second.phys).not.toBe(first.phys);
      expect(second.body).not.toBe(first.body);
      expect(second.token).not.toBe(first.token);
      expect(await store.head(key())).toEqual(second);
      expect(second.metadata).toEqual(PLAIN);
      expect(second).not.toHaveProperty('marker');
    },
  },
  {
    test: 'the clock of the bucket never runs backwards from one version to the next',
    async run({ store, key }) {
      const first = await put(store, key(), 'one');
      const second = await put(store, key(), 'second');
      expect(second.modifiedAt).toBeGreaterThanOrEqual(first.modifiedAt);
    },
  },
  {
    test: 'nothing stands where nothing was put',
    async run({ store, key }) {
      expect(await store.head(key())).toBeNull();
      expect(await store.versions(key())).toEqual([]);
      await refused(store.get(key(), 'no-such-version'), 'not-found');
    },
  },
  {
    test: 'an overwritten version stays readable in a chain, and is gone elsewhere',
    async run({ store, can, key }) {
      const first = await put(store, key(), 'one', { metadata: RICH, marker: 'bQ' });
      await put(store, key(), 'second');
      if (can.history === 'chain') {
        const read = await store.get(key(), first.phys);
        expect(await text(read.body)).toBe('one');
        expect(read.version).toEqual(first);
      } else if (can.cloud !== 'gcp') {
        // A versioned GCS bucket shows no history but still answers for a generation it keeps.
        await refused(store.get(key(), first.phys), 'not-found');
      }
    },
  },
  {
    test: 'a read that has begun ends with the bytes it began with, or fails',
    async run({ store, key }) {
      const first = await put(store, key(), 'one');
      const { body } = await store.get(key(), first.phys);
      await put(store, key(), 'second');
      expect(await text(body).catch((error: unknown) => String(error))).not.toBe('second');
    },
  },
  {
    test: 'a range is the bytes from its start up to its end',
    async run({ store, key }) {
      const { phys } = await put(store, key(), '0123456789');
      const range = async (start: number, end: number) => text((await store.get(key(), phys, { start, end })).body);
      expect(await range(0, 1)).toBe('0');
      expect(await range(3, 7)).toBe('3456');
      expect(await range(9, 10)).toBe('9');
      expect(await range(0, 10)).toBe('0123456789');
      expect((await store.get(key(), phys, { start: 3, end: 7 })).version.sizeBytes).toBe(10);
    },
  },
  {
    test: 'a range outside the object is invalid',
    async run({ store, key }) {
      const { phys } = await put(store, key(), '0123456789');
      for (const [start, end] of [
        [0, 11],
        [10, 11],
        [-1, 3],
        [5, 5],
        [7, 3],
      ] as const)
        await refused(store.get(key(), phys, { start, end }), 'invalid');
    },
  },
  {
    test: 'versions end with what stands, and a chain shows all before it, oldest first',
    async run({ store, can, key }) {
      const written: ObjectVersion[] = [];
      for (const [body, marker] of [
        ['one', 'bQ'],
        ['second', 'bg'],
        ['third one', 'bw'],
      ] as const)
        written.push(await put(store, key(), body, { marker, metadata: RICH }));
      expect(await store.versions(key())).toEqual(can.history === 'chain' ? written : written.slice(-1));
    },
  },
  {
    test: 'a chain shows a deletion as its last entry until something stands again',
    async run({ store, can, key }) {
      const first = await put(store, key(), 'one');
      await store.delete(key(), ALWAYS);
      const deleted = await store.versions(key());
      if (can.history === 'current') return expect(deleted).toEqual([]);
      expect(deleted).toHaveLength(2);
      const [before, deletion] = deleted;
      expect(before).toEqual(first);
      expect(deletion).toMatchObject({ key: key(), kind: 'delete-marker', token: null });
      if (isAbsent(deletion!.phys)) expect(deletion?.phys).toBe(`absent:${first.phys}`);
      await refused(store.get(key(), deletion!.phys), 'not-found');
      const again = await put(store, key(), 'again');
      expect((await store.versions(key())).at(-1)).toEqual(again);
    },
  },
  {
    test: 'looking twice at a deletion shows the same',
    async run({ store, key }) {
      await put(store, key(), 'one');
      await store.delete(key(), ALWAYS);
      expect(await store.versions(key())).toEqual(await store.versions(key()));
    },
  },
  {
    test: 'versions are those of the key alone, not of longer keys',
    async run({ store, key }) {
      const written = await put(store, key('a'), 'one');
      await put(store, key('a/b'), 'two');
      await put(store, key('ab'), 'two');
      expect(await store.versions(key('a'))).toEqual([written]);
    },
  },
  {
    test: 'a list shows what stands below a prefix, in order',
    async run({ store, key }) {
      for (const name of ['b', 'a/2', 'c', 'a/1', 'a']) await put(store, key(name), name);
      await put(store, key('a/3'), 'gone');
      await store.delete(key('a/3'), ALWAYS);
      expect(await keysBelow(store, key(''))).toEqual(['a', 'a/1', 'a/2', 'b', 'c'].map(key));
      expect(await keysBelow(store, key('a/'))).toEqual(['a/1', 'a/2'].map(key));
      expect(await keysBelow(store, key('none'))).toEqual([]);
    },
  },
  {
    test: 'pages follow each other without gap or repetition',
    async run({ store, key }) {
      const names = Array.from({ length: 7 }, (_, index) => key(`k${index}`));
      for (const name of names) await put(store, name, 'x');
      for (const limit of [1, 2, 3, 7, 8]) expect(await keysBelow(store, key(''), limit)).toEqual(names);
      const page = await store.list({ prefix: key(''), limit: 3 });
      expect(page.objects).toHaveLength(3);
    },
  },
  {
    test: 'a list begins after any key, standing or not',
    async run({ store, key }) {
      for (const name of ['a', 'c', 'e']) await put(store, key(name), name);
      const after = async (name: string) => {
        const { objects } = await store.list({ prefix: key(''), after: key(name), limit: 10 });
        return objects.map((object) => object.key);
      };
      expect(await after('a')).toEqual([key('c'), key('e')]);
      expect(await after('b')).toEqual([key('c'), key('e')]);
      expect(await after('e')).toEqual([]);
      expect(await after('Z')).toEqual([key('a'), key('c'), key('e')]);
    },
  },
  {
    test: 'a listed object is told with its identity, token and size',
    async run({ store, key }) {
      const { phys, token, sizeBytes } = await put(store, key(), 'hello');
      const { objects } = await store.list({ prefix: key(''), limit: 10 });
      expect(objects).toMatchObject([{ key: key(), kind: 'object', phys, token, sizeBytes }]);
    },
  },
  {
    test: 'awkward keys stay as they are and apart from each other',
    async run({ store, key }) {
      for (const name of AWKWARD) await put(store, key(name), name);
      for (const name of AWKWARD) {
        const version = await store.head(key(name));
        expect(version?.key).toBe(key(name));
        expect(await content(store, key(name), version!)).toBe(name);
      }
      expect((await keysBelow(store, key(''))).sort()).toEqual(AWKWARD.map(key).sort());
    },
  },
];

async function keysBelow(store: ObjectStore, prefix: string, limit = 100): Promise<string[]> {
  const keys: string[] = [];
  let after: string | undefined;
  const pagesMax = 100;
  for (let page = 0; page < pagesMax; page++) {
    const { objects, next } = await store.list({ prefix, limit, ...(after !== undefined && { after }) });
    keys.push(...objects.map((object) => object.key));
    if (next === undefined) return keys;
    after = next;
  }
  throw new Error(`more than ${pagesMax} pages below ${prefix}`);
}

/** As a file reader does: every piece has the same length here, in the same memory. */
async function* reusingOneBuffer(pieces: readonly string[]): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(pieces[0]?.length ?? 0);
  for (const piece of pieces) {
    buffer.set(encode(piece));
    yield buffer;
  }
}

async function* failing(): AsyncGenerator<Uint8Array> {
  yield encode('some bytes');
  throw new Error('the source broke off');
}
