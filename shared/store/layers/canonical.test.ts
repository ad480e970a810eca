import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { storeConformance } from '../../../test/conformance/store.ts';
import type { ObjectMetadata } from '../../model/object.ts';
import { type MemoryFlavour, openMemoryStore } from '../memory.ts';
import type { ObjectStore, PutOptions } from '../store.ts';
import { KEY_NAME, withCanonicalNames } from './canonical.ts';

const flavours: readonly MemoryFlavour[] = ['s3', 'gcs', 'azure'];

for (const flavour of flavours)
  for (const versioned of [true, false]) {
    const { below, store } = open(flavour, versioned);
    storeConformance({
      name: `memory ${flavour} with canonical names, ${versioned ? 'versioned' : 'not versioned'}`,
      open: async () => ({ store }),
      client: () => ({ patchMetadata: async (key, metadata) => below.clientPatchMetadata(key, metadata) }),
    });
  }

const AWKWARD = [
  ...['a', 'a.', 'a/', 'a./b', 'a/b', 'a..', 'a../b', '.', '..', './', '/', 'a//b', '~x', '~2F', 'a~2F', 'a~2E/b'],
  ...['a\\b', 'a~5Cb', `~h/${'0'.repeat(64)}`, '~h/x', 'ä', 'a\u0308', '🐘', Array(300).fill('s').join('/')],
];
const USER = { owner: 'tests', 'x-colour': 'blau, grün', n: '', odd: '  spaces  ', tr_x: 'x', "utf-8''": "UTF-8''%41" };

function open(flavour: MemoryFlavour, versioned = true) {
  const below = openMemoryStore({ site: 'm', flavour, versioned, now: () => 1_700_000_000_000 });
  return { below, store: withCanonicalNames(below) };
}

function put(store: ObjectStore, key: string, user: ObjectMetadata['user'] = {}, changes: Partial<PutOptions> = {}) {
  const metadata = { headers: { contentType: 'text/plain' }, user };
  return store.put(key, new TextEncoder().encode(key), { condition: { kind: 'always' }, metadata, ...changes });
}

async function walk(store: ObjectStore, prefix: string, limit: number): Promise<string[]> {
  const keys: string[] = [];
  let after: string | undefined;
  do {
    const page = await store.list({ prefix, limit, ...(after !== undefined && { after }) });
    expect(page.objects.length).toBeLessThanOrEqual(limit);
    keys.push(...page.objects.map(({ key }) => key));
    after = page.next;
  } while (after !== undefined && keys.length < 1000);
  return keys;
}

describe.each(flavours)('canonical names over memory %s', (flavour) => {
  const held = AWKWARD.filter((key) => flavour !== 'gcs' || (key !== '.' && key !== '..'));

  it('keep awkward keys as they are and apart from each other', async () => {
    const { store } = open(flavour);
    for (const key of held) await put(store, key, USER, { condition: { kind: 'if-absent' } });
    for (const key of held) {
      const version = (await store.head(key))!;
      expect(version).toMatchObject({ key, sizeBytes: Buffer.byteLength(key) });
      expect(version.metadata.user).toEqual(USER);
      expect(await store.versions(key)).toEqual([version]);
      expect((await store.get(key, version.phys)).version).toEqual(version);
    }
    for (const limit of [1, 3, 100]) expect((await walk(store, '', limit)).sort()).toEqual([...held].sort());
  });

  it('list below any prefix what begins with it, each key once', async () => {
    const { store } = open(flavour);
    for (const key of held) await put(store, key);
    for (const prefix of ['a', 'a.', 'a/', 'a./', '.', '/', '~', '~h/', 'a~', 's', 's/s', 's/s/', '\u00e4', 'none'])
      for (const limit of [1, 2, 100])
        expect((await walk(store, prefix, limit)).sort()).toEqual(held.filter((key) => key.startsWith(prefix)).sort());
  });

  it('list whatever keys there are', async () => {
    const part = fc.constantFrom('a', 'b', '.', '/', '~', '\\', '2E', '2F', '7E', '5C', 'h/', 'x', 'ö', '🐘', '\u0001');
    const key = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''));
    const dotsAlone = (it: string) => flavour === 'gcs' && (it === '.' || it === '..');
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(key, { maxLength: 12 }),
        key,
        fc.integer({ min: 1, max: 4 }),
        async (all, prefix, limit) => {
          const { store } = open(flavour);
          const keys = all.filter((it) => !dotsAlone(it));
          for (const it of keys) await put(store, it, {}, { condition: { kind: 'if-absent' } });
          expect((await walk(store, prefix, limit)).sort()).toEqual(keys.filter((it) => it.startsWith(prefix)).sort());
        },
      ),
      { numRuns: 300, seed: 1 },
    );
  });

  it('copy, delete and upload under the names they give', async () => {
    const { store } = open(flavour);
    for (const key of ['a/', Array(300).fill('s').join('/')]) {
      const source = await put(store, 'source', { owner: 'tests' });
      const options: PutOptions = {
        condition: { kind: 'if-absent' },
        metadata: { headers: {}, user: USER },
        marker: 'bQ',
      };
      const copied = await store.copy({ key: 'source', phys: source.phys }, key, options);
      expect(copied).toMatchObject({ key, marker: 'bQ', metadata: { user: USER } });
      await store.copy({ key, phys: copied.phys }, 'back', { ...options, condition: { kind: 'always' } });
      await store.delete(key, { kind: 'if-token', token: copied.token! });
      expect(await store.head(key)).toBeNull();
      for (const version of await store.versions(key)) expect(version.key).toBe(key);
      const upload = await store.createUpload(key);
      const receipt = await store.putPart(key, upload, 1, new Uint8Array(3));
      const whole = await store.completeUpload(key, upload, [receipt]);
      expect(whole).toMatchObject({ key, sizeBytes: 3 });
      await store.abortUpload(key, upload);
      await store.delete(key, { kind: 'always' });
    }
  });

  it('say the canonical key in every fault', async () => {
    const { store } = open(flavour);
    await put(store, 'a/');
    const again = put(store, 'a/', {}, { condition: { kind: 'if-absent' } });
    await expect(again).rejects.toMatchObject({ kind: 'precondition', details: { site: 'm', op: 'put', key: 'a/' } });
    await expect(store.get('a/', 'none')).rejects.toMatchObject({ kind: 'not-found', details: { key: 'a/' } });
    const odd = put(store, 'a/', { Upper: 'x' });
    await expect(odd).rejects.toMatchObject({ kind: 'invalid', details: { site: 'm', op: 'put', key: 'a/' } });
  });

  it('refuse keys this cloud cannot hold', async () => {
    const { store } = open(flavour);
    const keys = ['', '\ud800', ...{ s3: ['ä'.repeat(513)], gcs: ['a\nb', '.', '..'], azure: [] }[flavour]];
    for (const key of keys) {
      const fails = { kind: 'unsupported', details: { site: 'm', key, field: 'key' } };
      await expect(store.head(key)).rejects.toMatchObject(fails);
      await expect(put(store, key)).rejects.toMatchObject(fails);
      await expect(store.delete(key, { kind: 'always' })).rejects.toMatchObject(fails);
    }
  });

  it('refuse metadata that leaves no room for the marker', async () => {
    const { store } = open(flavour);
    const values = Array.from({ length: 9 }, (_, index) => [`n${index}`, 'x'.repeat(1000)]);
    const large = put(store, 'k', Object.fromEntries(values));
    await expect(large).rejects.toMatchObject({ kind: 'too-large', details: { field: 'metadata', key: 'k' } });
    expect(await store.head('k')).toBeNull();
  });
});

describe('a hashed name', () => {
  const key = Array(300).fill('s').join('/');

  it('keeps the key in an entry that is no user metadata', async () => {
    const { below, store } = open('azure');
    await put(store, key, { owner: 'tests' });
    const [native] = (await below.list({ prefix: '', limit: 9 })).objects;
    expect(native?.key).toMatch(/^~h\/[0-9a-f]{64}$/);
    expect(Buffer.from(native?.metadata.user[KEY_NAME] ?? '', 'base64url').toString()).toBe(key);
    expect((await store.head(key))?.metadata.user).toEqual({ owner: 'tests' });
  });

  it('is still found by its key, though not listed, when a client took the entry away or forged it', async () => {
    const { below, store } = open('azure');
    await put(store, key);
    const [native] = (await below.list({ prefix: '', limit: 9 })).objects;
    for (const user of [{}, { [KEY_NAME]: Buffer.from('other').toString('base64url') }]) {
      below.clientPatchMetadata(native!.key, { headers: {}, user });
      expect(await store.head(key)).toMatchObject({ key });
      expect(await walk(store, '', 9)).toEqual([]);
    }
  });

  it('leaves no room for a user entry of that name, which is free at any other key', async () => {
    const { store } = open('azure');
    await expect(put(store, key, { [KEY_NAME]: 'mine' })).rejects.toMatchObject({ kind: 'unsupported' });
    expect((await put(store, 'k', { [KEY_NAME]: 'mine' })).metadata.user).toEqual({ [KEY_NAME]: 'mine' });
  });
});
