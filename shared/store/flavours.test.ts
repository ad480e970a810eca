import { describe, expect, it } from 'vitest';
import { isFault } from '../model/fault.ts';
import { ABSENT, type ObjectMetadata, type ObjectVersion } from '../model/object.ts';
import { compareNames } from './flavours.ts';
import {
  type MemoryFlavour,
  type MemoryStore,
  type MemoryStoreOptions,
  openMemoryStore,
  type StoreEvent,
} from './memory.ts';
import type { PutOptions, WriteCondition } from './store.ts';

const ALWAYS: WriteCondition = { kind: 'always' };
const META: ObjectMetadata = { headers: { contentType: 'text/plain' }, user: { owner: 'tests' } };
const OTHER: ObjectMetadata = { headers: {}, user: { owner: 'others' } };
const flavours: readonly MemoryFlavour[] = ['s3', 'gcs', 'azure'];

/** A clock that stands still unless moved, and all that the bucket told. */
function bucket(flavour: MemoryFlavour, versioned = true, limits: Partial<MemoryStoreOptions> = {}) {
  const clock = { now: 1_700_000_000_500 };
  const store = openMemoryStore({ site: 'm', flavour, versioned, now: () => clock.now, ...limits });
  const events: StoreEvent[] = [];
  store.onEvent((event) => events.push(event));
  const told = () => events.splice(0).map(({ kind, cause, phys }) => [kind, cause, phys]);
  return { store, clock, told };
}

function put(store: MemoryStore, key: string, body: string, changes: Partial<PutOptions> = {}): Promise<ObjectVersion> {
  return store.put(key, bytes(body), { condition: ALWAYS, metadata: META, ...changes });
}

function bytes(body: string): Uint8Array {
  return new TextEncoder().encode(body);
}

function ifToken(token: string | null): WriteCondition {
  return { kind: 'if-token', token: token! };
}

async function text(store: MemoryStore, { key, phys }: ObjectVersion): Promise<string> {
  let body = '';
  for await (const piece of (await store.get(key, phys)).body) body += Buffer.from(piece).toString();
  return body;
}

const faultOf = async (run: () => unknown): Promise<unknown> => {
  try {
    return await run();
  } catch (error) {
    return isFault(error) ? error.kind : error;
  }
};

describe('a bucket like S3', () => {
  it('has the MD5 as its token, and the MD5 of MD5s after an upload by parts', async () => {
    const { store } = bucket('s3', true, { partBytesMin: 1 });
    expect((await put(store, 'k', 'hello')).token).toBe('"5d41402abc4b2a76b9719d911017c592"');
    const upload = await store.createUpload('k');
    const first = await store.putPart('k', upload, 1, bytes('hel'));
    const second = await store.putPart('k', upload, 2, bytes('lo'));
    const whole = await store.completeUpload('k', upload, [first, second]);
    expect(whole.token).toMatch(/^"[0-9a-f]{32}-2"$/);
    expect(whole.checksums).toEqual({ crc64nvme: (await put(store, 'k', 'hello')).checksums.crc64nvme });
  });

  it('lets a token hold although the same bytes were written again in between', async () => {
    const { store } = bucket('s3');
    const first = await put(store, 'k', 'same', { marker: 'ours' });
    store.clientPut('k', bytes('other'));
    store.clientPut('k', bytes('same'), { metadata: OTHER });
    const late = await put(store, 'k', 'late', { condition: ifToken(first.token) });
    // Only the chain shows what slipped in: what lies below is not what was replaced.
    expect((await store.versions('k')).at(-2)?.phys).not.toBe(first.phys);
    expect(await store.head('k')).toEqual(late);
  });

  it('puts a delete marker over anything, even over nothing or another marker', async () => {
    const { store, told } = bucket('s3');
    const one = await store.delete('k', ALWAYS);
    const two = await store.delete('k', ALWAYS);
    expect(await store.versions('k')).toEqual([one, two]);
    expect(one).toMatchObject({ kind: 'delete-marker', token: null, body: one?.phys });
    expect(await store.head('k')).toBeNull();
    expect(told()).toEqual([
      ['delete', 'delete', one?.phys],
      ['delete', 'delete', two?.phys],
    ]);
  });

  it('answers 404 to a token where nothing stands or a delete marker, and lets if absent pass there', async () => {
    const { store } = bucket('s3');
    const first = await put(store, 'k', 'one');
    await store.delete('k', ALWAYS);
    const late = put(store, 'k', 'two', { condition: ifToken(first.token) });
    await expect(late).rejects.toMatchObject({ kind: 'precondition', details: { value: 404, op: 'put', key: 'k' } });
    await put(store, 'k', 'two', { condition: { kind: 'if-absent' } });
    const later = put(store, 'k', 'three', { condition: ifToken(first.token) });
    await expect(later).rejects.toMatchObject({ kind: 'precondition', details: { value: 412 } });
  });

  it('shows the version below again when a delete marker or the newest version is purged', async () => {
    const { store, told } = bucket('s3');
    const first = await put(store, 'k', 'one');
    const second = await put(store, 'k', 'two');
    const marker = await store.delete('k', ALWAYS);
    told();
    store.purge('k', marker!.phys);
    expect(await store.head('k')).toEqual(second);
    store.purge('k', second.phys);
    expect(await store.head('k')).toEqual(first);
    store.purge('k', first.phys);
    expect(await store.versions('k')).toEqual([]);
    expect(told()).toEqual([marker, second, first].map((version) => ['delete', 'purge', version?.phys]));
  });

  it('changes metadata by a copy onto itself: a new version, the same token, the marker kept', async () => {
    const { store, told } = bucket('s3');
    const first = await put(store, 'k', 'one', { marker: 'ours' });
    told();
    const patched = store.clientPatchMetadata('k', OTHER);
    expect(patched).toMatchObject({ token: first.token, revision: 1, marker: 'ours', metadata: OTHER });
    expect(await store.versions('k')).toEqual([first, patched]);
    expect(told()).toEqual([['put', 'copy', patched.phys]]);
    store.touch('k');
    expect(told()).toEqual([]);
  });

  it('tells time in whole seconds', async () => {
    const { store, clock } = bucket('s3');
    expect((await put(store, 'k', 'one')).modifiedAt).toBe(1_700_000_000_000);
    clock.now += 500;
    expect((await put(store, 'k', 'one')).modifiedAt).toBe(1_700_000_001_000);
  });

  it('without versions tells two writes of one second apart only by their bytes, metadata or marker', async () => {
    const { store, clock } = bucket('s3', false);
    const first = await put(store, 'k', 'one');
    expect(first.phys.startsWith(`e:${first.token}:1700000000:3:`)).toBe(true);
    expect((await put(store, 'k', 'one')).phys).toBe(first.phys);
    expect((await put(store, 'k', 'one', { metadata: OTHER })).phys).not.toBe(first.phys);
    clock.now += 1000;
    expect((await put(store, 'k', 'one')).phys).not.toBe(first.phys);
    await expect(store.get('k', first.phys)).rejects.toMatchObject({ kind: 'not-found' });
    expect(await store.delete('k', ALWAYS)).toBeNull();
    expect(await store.versions('k')).toEqual([]);
  });

  it('lower-cases names of metadata and takes 2048 bytes of it, the marker entry included', async () => {
    const { store } = bucket('s3');
    const user = { Owner: 'tests' };
    expect((await put(store, 'k', 'x', { metadata: { headers: {}, user } })).metadata.user).toEqual({ owner: 'tests' });
    const fits = { headers: {}, user: { a: 'x'.repeat(2048 - 1 - 'triplicate'.length - 4) } };
    await put(store, 'k', 'x', { metadata: fits, marker: 'ours' });
    const over = put(store, 'k', 'x', { metadata: fits, marker: 'ours!' });
    await expect(over).rejects.toMatchObject({ kind: 'too-large', details: { field: 'metadata', value: 2049 } });
    const wide = put(store, 'k', 'x', { metadata: { headers: {}, user: { a: 'ä' } } });
    await expect(wide).rejects.toMatchObject({ kind: 'invalid', details: { field: 'metadata a' } });
  });

  it('takes keys of 1024 bytes of UTF-8', async () => {
    const { store } = bucket('s3');
    await put(store, 'ä'.repeat(512), 'x');
    expect(await faultOf(() => put(store, `${'ä'.repeat(512)}a`, 'x'))).toBe('invalid');
    expect(await faultOf(() => put(store, '', 'x'))).toBe('invalid');
  });

  it('refuses an upload whose parts are too small, out of order, replaced or unknown', async () => {
    const { store } = bucket('s3', true, { partBytesMin: 3, partsMax: 5 });
    const upload = await store.createUpload('k');
    const small = await store.putPart('k', upload, 1, bytes('xx'));
    const large = await store.putPart('k', upload, 2, bytes('xxxx'));
    const complete = (...parts: (typeof small)[]) => faultOf(() => store.completeUpload('k', upload, parts));
    expect(await complete(small, large)).toBe('invalid');
    expect(await complete(large, small)).toBe('invalid');
    expect(await complete()).toBe('invalid');
    expect(await complete({ ...small, sizeBytes: 9 })).toBe('invalid');
    expect(await complete({ ...small, part: 3 })).toBe('not-found');
    await store.putPart('k', upload, 1, bytes('yyyy'));
    expect(await complete(small, large)).toBe('not-found');
    expect(await faultOf(() => store.putPart('k', upload, 6, bytes('x')))).toBe('invalid');
    expect(await faultOf(() => store.putPart('k', 'no upload', 1, bytes('x')))).toBe('not-found');
    expect(await faultOf(() => store.putPart('other', upload, 1, bytes('x')))).toBe('not-found');
    expect(await store.head('k')).toBeNull();
  });
});

describe('a bucket like GCS', () => {
  it('names each version by generation and metageneration', async () => {
    const { store, clock } = bucket('gcs');
    const first = await put(store, 'k', 'one');
    const generation = clock.now * 1000;
    expect(first).toMatchObject({ phys: `g:${generation}.1`, token: `${generation}.1`, body: `${generation}` });
    clock.now -= 60_000;
    expect((await put(store, 'k', 'two')).body).toBe(`${generation + 1}`);
  });

  it('patches metadata in place: same body, next metageneration, old pins and tokens are void', async () => {
    const { store, told } = bucket('gcs', false);
    const first = await put(store, 'k', 'one', { marker: 'ours' });
    told();
    const patched = store.clientPatchMetadata('k', OTHER);
    expect(patched).toMatchObject({ body: first.body, revision: 2, marker: 'ours', metadata: OTHER });
    expect(patched.phys).toBe(`g:${first.body}.2`);
    expect(await store.versions('k')).toEqual([patched]);
    expect(told()).toEqual([['metadata', 'patch', patched.phys]]);
    await expect(store.get('k', first.phys)).rejects.toMatchObject({ kind: 'not-found' });
    await expect(store.delete('k', ifToken(first.token))).rejects.toMatchObject({ kind: 'precondition' });
    expect(await text(store, patched)).toBe('one');
  });

  it('drops or changes the marker entry only when told to', async () => {
    const { store } = bucket('gcs');
    await put(store, 'k', 'one', { marker: 'ours' });
    expect(store.clientPatchMetadata('k', OTHER, { marker: 'forged' }).marker).toBe('forged');
    expect(store.clientPatchMetadata('k', OTHER, { marker: null })).not.toHaveProperty('marker');
  });

  it('shows a hold or a storage class as a metageneration with equal metadata', async () => {
    const { store, told } = bucket('gcs');
    const first = await put(store, 'k', 'one', { marker: 'ours' });
    told();
    store.touch('k');
    const touched = (await store.head('k'))!;
    expect(touched).toEqual({ ...first, phys: touched.phys, token: touched.token, revision: 2 });
    expect(told()).toEqual([['metadata', 'patch', touched.phys]]);
  });

  it('tells a replacement in two events, and shows only what stands', async () => {
    const { store, told } = bucket('gcs');
    const first = await put(store, 'k', 'one');
    const second = await put(store, 'k', 'two');
    expect(told()).toEqual([
      ['put', 'put', first.phys],
      ['put', 'put', second.phys],
      ['delete', 'put', first.phys],
    ]);
    expect(await store.versions('k')).toEqual([second]);
  });

  it('keeps old generations when versioned: readable, restorable, and not coming back by themselves', async () => {
    const { store, told } = bucket('gcs');
    const first = await put(store, 'k', 'one', { marker: 'ours' });
    const second = await put(store, 'k', 'two');
    expect(await text(store, first)).toBe('one');
    told();
    store.purge('k', second.phys);
    expect(await store.head('k')).toBeNull();
    expect(await store.versions('k')).toEqual([]);
    const restored = store.clientCopy('k', first.phys, 'k');
    expect(restored).toMatchObject({ marker: 'ours', metadata: META, revision: 1 });
    expect(told()).toEqual([
      ['delete', 'purge', second.phys],
      ['put', 'copy', restored.phys],
    ]);
    expect(await store.head('k')).toEqual(restored);
  });

  it('keeps nothing when not versioned', async () => {
    const { store } = bucket('gcs', false);
    const first = await put(store, 'k', 'one');
    await put(store, 'k', 'two');
    expect(await faultOf(() => store.get('k', first.phys))).toBe('not-found');
    expect(await faultOf(() => store.clientCopy('k', first.phys, 'k'))).toBe('not-found');
  });

  it('refuses names with line breaks, dots alone and certificate challenges', async () => {
    const { store } = bucket('gcs');
    for (const key of ['a\nb', 'a\r', '.', '..', '.well-known/acme-challenge/x', '\ud800'])
      expect(await faultOf(() => put(store, key, 'x'))).toBe('invalid');
  });

  it('takes 8192 bytes of metadata and 4096 in one value', async () => {
    const { store } = bucket('gcs');
    const value = (length: number) =>
      put(store, 'k', 'x', { metadata: { headers: {}, user: { a: 'x'.repeat(length) } } });
    expect((await value(4096)).metadata.user.a).toHaveLength(4096);
    expect(await faultOf(() => value(4097))).toBe('too-large');
  });
});

describe('a bucket like Azure', () => {
  it('changes the entity tag with every change, and tells no one of a patch', async () => {
    const { store, told } = bucket('azure');
    const first = await put(store, 'k', 'same', { marker: 'ours' });
    told();
    const patched = store.clientPatchMetadata('k', OTHER);
    expect(patched.token).not.toBe(first.token);
    expect(patched).toMatchObject({ marker: 'ours', metadata: OTHER, revision: 1 });
    expect(await store.versions('k')).toEqual([first, patched]);
    expect(told()).toEqual([]);
  });

  it('patches in place when not versioned', async () => {
    const { store } = bucket('azure', false);
    const first = await put(store, 'k', 'same');
    const patched = store.clientPatchMetadata('k', OTHER);
    expect(patched.phys).toBe(patched.token);
    expect(await store.versions('k')).toEqual([patched]);
    expect(await faultOf(() => store.get('k', first.phys))).toBe('not-found');
  });

  it('keeps no delete marker: what stood is named by the absence, and a later write hides that it was gone', async () => {
    const { store, told } = bucket('azure');
    const first = await put(store, 'k', 'one');
    expect(await store.delete('k', ALWAYS)).toBeNull();
    expect(await store.delete('k', ALWAYS)).toBeNull();
    const [, deletion] = await store.versions('k');
    expect(deletion).toMatchObject({ kind: 'delete-marker', phys: ABSENT + first.phys, token: null });
    const second = await put(store, 'k', 'two');
    expect(await store.versions('k')).toEqual([first, second]);
    expect(told()).toEqual([
      ['put', 'put', first.phys],
      ['delete', 'delete', undefined],
      ['put', 'put', second.phys],
    ]);
  });

  it('removes old versions for good, never the one that stands', async () => {
    const { store } = bucket('azure');
    const first = await put(store, 'k', 'one');
    const second = await put(store, 'k', 'two');
    expect(await faultOf(() => store.purge('k', second.phys))).toBe('forbidden');
    store.purge('k', first.phys);
    expect(await store.versions('k')).toEqual([second]);
    await store.delete('k', ALWAYS);
    store.purge('k', second.phys);
    expect(await store.versions('k')).toEqual([]);
  });

  it.each([
    ['a.', 'a'],
    ['a/', 'a'],
    ['a./', 'a'],
    ['a./b', 'a/b'],
    ['a../b.', 'a/b'],
    ['a\\b', 'a/b'],
  ])('stores %j under %j', async (asked, stored) => {
    const { store } = bucket('azure');
    expect((await put(store, asked, 'x')).key).toBe(stored);
    expect((await store.head(stored))?.key).toBe(stored);
    expect((await store.list({ prefix: '', limit: 9 })).objects.map(({ key }) => key)).toEqual([stored]);
  });

  it('refuses control characters, 255 path segments and names of dots and slashes alone', async () => {
    const { store } = bucket('azure');
    await put(store, Array(254).fill('a').join('/'), 'x');
    for (const key of ['a\nb', Array(255).fill('a').join('/'), './.', 'a'.repeat(1025)])
      expect(await faultOf(() => put(store, key, 'x'))).toBe('invalid');
  });

  it('takes C# identifiers as names of metadata', async () => {
    const { store } = bucket('azure');
    await put(store, 'k', 'x', { metadata: { headers: {}, user: { _a1: 'x' } } });
    for (const name of ['a-b', '1a', 'a b', ''])
      expect(await faultOf(() => put(store, 'k', 'x', { metadata: { headers: {}, user: { [name]: 'x' } } }))).toBe(
        'invalid',
      );
  });

  it('throws waiting blocks away at a whole write under their name, whoever sent them', async () => {
    const { store } = bucket('azure');
    const upload = await store.createUpload('k');
    const part = await store.putPart('k', upload, 1, bytes('ours'));
    const standing = store.clientPut('k', bytes('a client'));
    expect(await faultOf(() => store.completeUpload('k', upload, [part]))).toBe('not-found');
    expect(await store.head('k')).toEqual(standing);
    const again = await store.putPart('k', upload, 1, bytes('ours'));
    store.clientPatchMetadata('k', OTHER);
    expect(await store.completeUpload('k', upload, [again])).toMatchObject({ sizeBytes: 4 });
  });

  it('throws the blocks of one upload away when another is completed under the same name', async () => {
    const { store } = bucket('azure');
    const [one, two] = [await store.createUpload('k'), await store.createUpload('k')];
    const part = await store.putPart('k', one, 1, bytes('one'));
    const other = await store.putPart('k', two, 1, bytes('other'));
    await store.completeUpload('k', one, [part]);
    expect(await faultOf(() => store.completeUpload('k', two, [other]))).toBe('not-found');
  });
});

describe.each(flavours)('the clients of a bucket like %s', (flavour) => {
  it('restore an old version with the marker entry it had', async () => {
    const { store, told } = bucket(flavour);
    const first = await put(store, 'k', 'one', { marker: 'ours' });
    await put(store, 'k', 'two');
    told();
    const restored = store.clientCopy('k', first.phys, 'k');
    expect(restored).toMatchObject({ marker: 'ours', metadata: META, sizeBytes: 3 });
    expect(restored.phys).not.toBe(first.phys);
    expect(told()[0]).toEqual(['put', 'copy', restored.phys]);
  });

  it('rename with the marker entry', async () => {
    const { store } = bucket(flavour, false);
    const first = await put(store, 'k', 'one', { marker: 'ours' });
    expect(store.clientCopy('k', first.phys, 'new')).toMatchObject({ key: 'new', marker: 'ours' });
    store.clientDelete('k');
    expect(await store.head('k')).toBeNull();
  });

  it('are told when they delete or patch nothing, if the service tells', async () => {
    const { store } = bucket(flavour);
    expect(await faultOf(() => store.clientPatchMetadata('k', OTHER))).toBe('not-found');
    expect(await faultOf(() => store.purge('k', 'none'))).toBe('not-found');
    if (flavour === 's3') expect(store.clientDelete('k')).toMatchObject({ kind: 'delete-marker' });
    else expect(await faultOf(() => store.clientDelete('k'))).toBe('not-found');
  });

  it.each([true, false])(
    'see the lifecycle delete what stands, and nothing twice (versioned: %s)',
    async (versioned) => {
      const { store, told } = bucket(flavour, versioned);
      await put(store, 'k', 'one');
      told();
      store.expire('k');
      store.expire('k');
      store.expire('other');
      expect(await store.head('k')).toBeNull();
      expect(told()).toMatchObject([['delete', 'lifecycle', flavour === 'azure' ? undefined : expect.any(String)]]);
    },
  );

  it('may keep conditions too', async () => {
    const { store } = bucket(flavour);
    const first = store.clientPut('k', bytes('one'), { condition: { kind: 'if-absent' } });
    expect(await faultOf(() => store.clientPut('k', bytes('two'), { condition: { kind: 'if-absent' } }))).toBe(
      'precondition',
    );
    expect(store.clientPut('k', bytes('two'), { condition: ifToken(first.token) }).sizeBytes).toBe(3);
  });

  it('bring a whole bucket back from a backup, again and again, with identities that stay new', async () => {
    const { store, told } = bucket(flavour);
    await put(store, 'k', 'one');
    await put(store, 'k', 'two');
    await put(store, 'gone', 'x');
    const before = await store.versions('k');
    const backup = store.snapshot();
    await store.delete('gone', ALWAYS);
    const lost = await put(store, 'k', 'three');
    told();
    for (let round = 0; round < 2; round++) {
      store.restore(backup);
      expect(await store.versions('k')).toEqual(before);
      expect((await store.list({ prefix: '', limit: 9 })).objects.map(({ key }) => key)).toEqual(['gone', 'k']);
      expect(told()).toEqual([]);
      expect((await put(store, 'k', 'three')).phys).not.toBe(lost.phys);
      told();
    }
  });

  it('can lose everything at once', async () => {
    const { store, told } = bucket(flavour);
    const first = await put(store, 'k', 'one');
    told();
    store.empty();
    expect(await store.versions('k')).toEqual([]);
    expect(await faultOf(() => store.get('k', first.phys))).toBe('not-found');
    expect((await store.list({ prefix: '', limit: 9 })).objects).toEqual([]);
    expect(told()).toEqual([]);
  });

  it('hear nothing any more once they stop listening', () => {
    const { store } = bucket(flavour);
    const stop = store.onEvent(() => expect.unreachable());
    stop();
    store.clientPut('k', bytes('two'));
  });

  it('cannot pass a body above the limit, nor a user entry of the name kept for the marker', async () => {
    const { store } = bucket(flavour, true, { putBytesMax: 4 });
    expect(await faultOf(() => put(store, 'k', 'hello'))).toBe('too-large');
    const user = { triplicate: 'forged' };
    expect(await faultOf(() => put(store, 'k', 'x', { metadata: { headers: {}, user } }))).toBe('invalid');
    expect(await store.head('k')).toBeNull();
  });

  it('cannot change what the store holds through what it answered', async () => {
    const { store } = bucket(flavour);
    const version = await put(store, 'k', 'one');
    expect(() => Object.assign(version, { phys: 'x' })).toThrow(TypeError);
    expect(() => Object.assign(version.metadata.user, { owner: 'x' })).toThrow(TypeError);
    ((await store.versions('k')) as ObjectVersion[]).length = 0;
    expect(await store.versions('k')).toEqual([version]);
  });
});

describe('a list', () => {
  it('is in the order of UTF-8 bytes, not of UTF-16 units', async () => {
    const { store } = bucket('s3');
    const keys = ['a', 'a/', 'a0', 'é', '日', '\uff00', '🐘'];
    for (const key of [...keys].reverse()) await put(store, key, 'x');
    expect((await store.list({ prefix: '', limit: 9 })).objects.map(({ key }) => key)).toEqual(keys);
    expect([...keys].sort()).not.toEqual(keys);
    const inBytes = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect([...keys].sort(compareNames)).toEqual(inBytes);
  });
});
