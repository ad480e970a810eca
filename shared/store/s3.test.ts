import {
  CopyObjectCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, describe, expect, it } from 'vitest';
import { REGION } from '../../local/aws/account.ts';
import { startS3 } from '../../local/aws/s3/s3.ts';
import { openCloud } from '../../local/cloud.ts';
import { openPatcher } from '../../test/conformance/s3-bench.ts';
import { storeConformance } from '../../test/conformance/store.ts';
import {
  ALWAYS,
  content,
  copyOnto,
  encode,
  IF_ABSENT,
  ifToken,
  options,
  put,
  refused,
  sumsOf,
  text,
} from '../../test/conformance/store-bench.ts';
import { isFault } from '../model/fault.ts';
import type { ObjectVersion } from '../model/object.ts';
import { withCanonicalNames } from './layers/canonical.ts';
import { openS3Store, type S3StoreOptions } from './s3.ts';

const WRITERS = 64;
const cloud = openCloud({ name: 'aws', report: (line) => console.warn(line) });
const service = await startS3(cloud, { port: 0 });
const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
const target = { endpoint: `http://127.0.0.1:${service.port}`, region: REGION, credentials };
for (const name of ['kept', 'kept-conformance', 'turned'])
  service.createBucket(name, { versioning: name !== 'turned' });
for (const name of ['plain', 'plain-conformance']) service.createBucket(name);

const kept = await open('kept');
const plain = await open('plain');
const both = { versioned: kept, 'not versioned': plain };
const app = new S3Client({ ...target, forcePathStyle: true });

afterAll(async () => {
  kept.close();
  plain.close();
  app.destroy();
  await service.stop();
  await cloud.close();
});

function open(bucket: string, changes: Partial<S3StoreOptions> = {}) {
  return openS3Store({ ...target, site: 's', bucket, forcePathStyle: true, ...changes });
}

for (const [name, bucket] of [
  ['versioned', 'kept-conformance'],
  ['not versioned', 'plain-conformance'],
] as const)
  storeConformance({
    name: `S3, ${name}`,
    async open() {
      const store = await open(bucket);
      return { store, close: async () => store.close() };
    },
    client: () => openPatcher(target, bucket),
  });

async function winnerOf(writes: readonly Promise<ObjectVersion | null>[]): Promise<ObjectVersion | null> {
  const outcomes = await Promise.allSettled(writes);
  const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
  for (const outcome of outcomes)
    if (outcome.status === 'rejected') expect(isFault(outcome.reason, 'precondition', 'conflict')).toBe(true);
  expect(won).toHaveLength(1);
  return won[0]!.value;
}

describe.each(Object.entries(both))('of 64 writers at once, %s, exactly one wins', (_name, store) => {
  it('who put if absent', async () => {
    const winner = await winnerOf(
      Array.from({ length: WRITERS }, (_, index) => put(store, 'race/put', `${index}`, { condition: IF_ABSENT })),
    );
    expect(await store.versions('race/put')).toEqual([winner]);
  });

  it('who put with one token', async () => {
    const first = await put(store, 'race/token', 'first');
    const winner = await winnerOf(
      Array.from({ length: WRITERS }, (_, index) =>
        put(store, 'race/token', `${index}`, { condition: ifToken(first) }),
      ),
    );
    expect(await store.head('race/token')).toEqual(winner);
  });

  it('who copy with one token', async () => {
    const source = await put(store, 'race/source', 'source');
    const first = await put(store, 'race/copy', 'first');
    const winner = await winnerOf(
      Array.from({ length: WRITERS }, (_, index) =>
        copyOnto(store, source, 'race/copy', { condition: ifToken(first), marker: `${index}` }),
      ),
    );
    expect(await store.head('race/copy')).toEqual(winner);
  });

  it('who delete with one token', async () => {
    const first = await put(store, 'race/delete', 'first');
    await winnerOf(Array.from({ length: WRITERS }, () => store.delete('race/delete', ifToken(first))));
    expect(await store.head('race/delete')).toBeNull();
  });
});

describe('a copy', () => {
  it('of bytes whose expected checksum is not stored reads them', async () => {
    const source = await put(kept, 'unstored', 'hello');
    const { crc32c } = sumsOf(encode('hello'));
    expect(await content(kept, 'c32', await copyOnto(kept, source, 'c32', { checksums: { crc32c } }))).toBe('hello');
    const other = { checksums: { crc32c: sumsOf(encode('other')).crc32c } };
    await refused(copyOnto(kept, source, 'c32', other), 'corrupt');
  });

  it('from a source that was replaced is not found, whatever stands at its target', async () => {
    const source = await put(plain, 'replaced', 'one');
    const there = await put(plain, 'there', 'x');
    await put(plain, 'replaced', 'two');
    for (const condition of [ALWAYS, IF_ABSENT, ifToken(there)])
      await refused(copyOnto(plain, source, 'there', { condition }), 'not-found');
    expect(await plain.head('there')).toEqual(there);
  });
});

describe('the chain of a key', () => {
  it('tells writes and deletes of one second in the order in which they happened', async () => {
    const written: ObjectVersion[] = [];
    for (let round = 0; round < 5; round++) {
      written.push(await put(kept, 'mixed', `${round}`));
      written.push((await kept.delete('mixed', ALWAYS))!);
      if (round % 2 === 0) written.push((await kept.delete('mixed', ALWAYS))!);
    }
    expect(await kept.versions('mixed')).toEqual(written);
    // Whoever has not seen them being written sees the same.
    const fresh = await open('kept');
    expect(await fresh.versions('mixed')).toEqual(written);
    fresh.close();
  });

  it('may be longer than a page of the listing', async () => {
    const written: ObjectVersion[] = [];
    for (let round = 0; round < 60; round++) written.push(await put(kept, 'long', `${round}`));
    await put(kept, 'long/neighbour', 'x');
    expect(await kept.versions('long')).toEqual(written);
  });

  it('begins with what stood before versions were switched on, under a name of its own', async () => {
    const before = await open('turned');
    const first = await put(before, 'k', 'before');
    before.close();
    await app.send(
      new PutBucketVersioningCommand({ Bucket: 'turned', VersioningConfiguration: { Status: 'Enabled' } }),
    );
    const after = await open('turned');
    const second = await put(after, 'k', 'after');
    const [oldest, newest] = await after.versions('k');
    expect(newest).toEqual(second);
    expect(oldest?.phys).toBe(`v:null:${first.token}:${first.modifiedAt / 1000}`);
    expect(await content(after, 'k', oldest!)).toBe('before');
    await refused(after.get('k', `v:null:${first.token}:1`), 'not-found');
    await refused(after.get('k', `v:null:"other":${first.modifiedAt / 1000}`), 'not-found');
    after.close();
    await app.send(
      new PutBucketVersioningCommand({ Bucket: 'turned', VersioningConfiguration: { Status: 'Suspended' } }),
    );
    await expect(open('turned')).rejects.toMatchObject({ kind: 'unsupported', details: { field: 'bucket' } });
  });
});

describe('a list', () => {
  it('of a chain goes past old versions and deleted keys, however many there are', async () => {
    await Promise.all(Array.from({ length: 120 }, (_, index) => put(kept, 'list/a', `${index}`)));
    await put(kept, 'list/b', 'x');
    await kept.delete('list/b', ALWAYS);
    await put(kept, 'list/c', 'x');
    const page = await kept.list({ prefix: 'list/', limit: 1 });
    expect(page.objects.map(({ key }) => key)).toEqual(['list/a']);
    const rest = await kept.list({ prefix: 'list/', after: page.next!, limit: 10 });
    expect(rest.objects.map(({ key }) => key)).toEqual(['list/c']);
  });

  it('where versions are not kept tells apart what was written twice in one second', async () => {
    const first = await put(plain, 'twice', 'same', { marker: 'b25l' });
    const second = await put(plain, 'twice', 'same', { marker: 'dHdv' });
    expect(second.phys).not.toBe(first.phys);
    const { objects } = await plain.list({ prefix: 'twice', limit: 10 });
    expect(objects).toEqual([second]);
  });
});

describe('metadata', () => {
  it('of any letters comes back through canonical names, and so does that of other applications', async () => {
    const store = withCanonicalNames(kept);
    const user = { plain: 'x', umlaut: 'ä ö', empty: '', spaces: '  x  ', word: '=?UTF-8?Q?a?=' };
    const written = await store.put('letters', encode('x'), options({ metadata: { headers: {}, user } }));
    expect((await store.head('letters'))?.metadata.user).toEqual(user);
    expect(written.metadata.user).toEqual(user);
    const Metadata = { word: '=?UTF-8?B?w6TDtg==?=' };
    await app.send(new PutObjectCommand({ Bucket: 'kept', Key: 'words', Body: 'x', Metadata }));
    expect((await store.head('words'))?.metadata.user).toEqual({ word: 'äö' });
  });

  it('knows no content type where none was given, and the type S3 would invent where it was', async () => {
    for (const headers of [{}, { contentType: 'binary/octet-stream' }, { contentType: 'application/octet-stream' }]) {
      const metadata = { headers, user: {} };
      const written = await kept.put('type', encode('x'), options({ metadata }));
      expect(written.metadata).toEqual(metadata);
      expect((await copyOnto(kept, written, 'type copy', { metadata })).metadata).toEqual(metadata);
    }
    const { ContentType } = await app.send(new HeadObjectCommand({ Bucket: 'kept', Key: 'type' }));
    expect(ContentType).toBe('application/octet-stream');
  });

  it('that S3 has no room for is too large', async () => {
    const user = { a: 'x'.repeat(2048) };
    await refused(put(kept, 'full', 'x', { metadata: { headers: {}, user } }), 'too-large');
  });
});

describe('a read', () => {
  it('of a part tells what is stored of the whole', async () => {
    for (const store of Object.values(both)) {
      const written = await put(store, 'part', '0123456789');
      const { version, body } = await store.get('part', written.phys, { start: 2, end: 5 });
      expect(version).toEqual(written);
      expect(await text(body)).toBe('234');
    }
  });

  it('where versions are not kept is of that object, even if the next has the same bytes', async () => {
    const first = await put(plain, 'pinned', 'same', { marker: 'b25l' });
    const second = await put(plain, 'pinned', 'same', { marker: 'dHdv' });
    await refused(plain.get('pinned', first.phys), 'not-found');
    await refused(plain.get('pinned', first.phys, { start: 0, end: 1 }), 'not-found');
    expect(await content(plain, 'pinned', second)).toBe('same');
  });

  it('of a version that was purged is not found, though it was known before', async () => {
    const first = await put(kept, 'purged', 'one');
    await put(kept, 'purged', 'two');
    await app.send(new DeleteObjectCommand({ Bucket: 'kept', Key: 'purged', VersionId: first.phys.slice(2) }));
    await refused(kept.get('purged', first.phys), 'not-found');
    await refused(kept.get('purged', first.phys, { start: 0, end: 1 }), 'not-found');
    await refused(copyOnto(kept, first, 'purged copy'), 'not-found');
    expect(await kept.versions('purged')).toHaveLength(1);
  });
});

describe('a key', () => {
  it.each(['a/../b', './a', '../a', '/', '//', 'a//b', 'a/', '.', '\u0001', 'a\nb', '\u007f', 'x'.repeat(1024)])(
    '%j stays what it is',
    async (name) => {
      for (const store of Object.values(both)) {
        const key = name.length === 1024 ? name : `odd/${name}`;
        const written = await put(store, key, name);
        expect(await content(store, key, written)).toBe(name);
        const { objects } = await store.list({ prefix: key, limit: 10 });
        expect(objects.map((object) => object.key)).toContain(key);
        expect((await copyOnto(store, written, key)).key).toBe(key);
      }
    },
  );

  it.each(['', 'x'.repeat(1025), 'ä'.repeat(513), '\ud800'])('that no bucket takes is refused', async (key) => {
    await expect(put(kept, key, 'x')).rejects.toMatchObject({
      kind: 'invalid',
      details: { site: 's', field: 'key', key },
    });
  });
});

it('an application that copies an object with its marker makes a version of its own', async () => {
  const first = await put(kept, 'own', 'x', { marker: 'bQ' });
  await app.send(new CopyObjectCommand({ Bucket: 'kept', Key: 'own copy', CopySource: 'kept/own' }));
  const copy = await kept.head('own copy');
  expect(copy).toMatchObject({ marker: 'bQ', token: first.token });
  expect(copy?.phys).not.toBe(first.phys);
});
