/** Lists: order, prefixes, offsets, pages, versions; and buckets, which hold them. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type GcsBench, openGcs } from '../../../test/local/gcs.ts';

let bench: GcsBench;
beforeAll(async () => {
  bench = await openGcs();
});
afterAll(async () => {
  await bench.close();
  expect(bench.reports).toEqual([]);
});

async function fill(bucket: string, names: readonly string[], versioning = false): Promise<void> {
  bench.gcs.createBucket(bucket, { versioning });
  for (const name of names) await bench.storage.bucket(bucket).file(name).save(name, { resumable: false });
}

interface Page {
  readonly items: readonly string[];
  readonly prefixes: readonly string[];
}

/** All pages, each of at most `max` entries. */
async function pages(bucket: string, query: Record<string, string>, max: number): Promise<readonly Page[]> {
  const read: Page[] = [];
  let token: string | undefined;
  do {
    const all = new URLSearchParams({ ...query, maxResults: String(max), ...(token ? { pageToken: token } : {}) });
    const { json } = await bench.ask('GET', `/storage/v1/b/${bucket}/o?${all}`);
    const items = (json.items ?? []).map((it: { name: string }) => it.name);
    read.push({ items, prefixes: json.prefixes ?? [] });
    token = json.nextPageToken;
  } while (token !== undefined && read.length < 100);
  return read;
}

const NAMES = ['a', 'a/', 'a/1', 'a/2', 'a/b/1', 'a0', 'b/1', 'c', 'd//x', 'é', '\uffee', '🧊', '𐀀'];

describe('a list', () => {
  beforeAll(() => fill('names', NAMES));

  it('is in the order of UTF-8 bytes, which is not that of UTF-16', async () => {
    const sorted = [...NAMES].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(sorted.indexOf('\uffee')).toBeLessThan(sorted.indexOf('𐀀'));
    expect(await pages('names', {}, 1000)).toEqual([{ items: sorted, prefixes: [] }]);
  });

  const asked: readonly (readonly [Record<string, string>, readonly string[], readonly string[]])[] = [
    [{ delimiter: '/' }, ['a', 'a0', 'c', 'é', '\uffee', '𐀀', '🧊'], ['a/', 'b/', 'd/']],
    [{ delimiter: '/', prefix: 'a/' }, ['a/', 'a/1', 'a/2'], ['a/b/']],
    [{ delimiter: '/', prefix: 'a' }, ['a', 'a0'], ['a/']],
    [{ delimiter: '/', prefix: 'd/' }, [], ['d//']],
    [{ delimiter: '/', includeTrailingDelimiter: 'true', prefix: 'a' }, ['a', 'a/', 'a0'], ['a/']],
    [{ prefix: 'a/' }, ['a/', 'a/1', 'a/2', 'a/b/1'], []],
    [{ prefix: 'zzz' }, [], []],
    [{ startOffset: 'a/2', endOffset: 'c' }, ['a/2', 'a/b/1', 'a0', 'b/1'], []],
    [{ startOffset: 'a/2', prefix: 'a/' }, ['a/2', 'a/b/1'], []],
    [{ endOffset: 'a/1', prefix: 'a/' }, ['a/'], []],
    [{ delimiter: '1' }, ['a', 'a/', 'a/2', 'a0', 'c', 'd//x', 'é', '\uffee', '𐀀', '🧊'], ['a/1', 'a/b/1', 'b/1']],
    [{ delimiter: '/b/' }, ['a', 'a/', 'a/1', 'a/2', 'a0', 'b/1', 'c', 'd//x', 'é', '\uffee', '𐀀', '🧊'], ['a/b/']],
  ];

  it.each(asked)('%j is the same in pages of any size', async (query, items, prefixes) => {
    for (const max of [1000, 5, 2, 1]) {
      const read = await pages('names', query, max);
      expect(read.flatMap((page) => page.items)).toEqual(items);
      expect(read.flatMap((page) => page.prefixes)).toEqual(prefixes);
      for (const page of read) expect(page.items.length + page.prefixes.length).toBeLessThanOrEqual(max);
    }
  });

  it('of versions pages through one name as well', async () => {
    await fill('versions', ['x', 'x', 'x', 'y', 'x'], true);
    const read = await pages('versions', { versions: 'true' }, 2);
    expect(read.map((page) => page.items)).toEqual([['x', 'x'], ['x', 'x'], ['y']]);
    // Python clients write their booleans so.
    expect((await pages('versions', { versions: 'True' }, 10))[0]?.items).toHaveLength(5);
    expect(await pages('versions', {}, 10)).toEqual([{ items: ['x', 'y'], prefixes: [] }]);
  });

  it('by the SDK reads all pages, one after the other', async () => {
    const found: string[] = [];
    let query: object | null = { maxResults: 3, autoPaginate: false };
    while (query !== null && found.length < 100) {
      const [files, next]: [{ name: string }[], object | null, ...unknown[]] = await bench.storage
        .bucket('names')
        .getFiles(query);
      found.push(...files.map(({ name }) => name));
      query = next;
    }
    expect(found.sort()).toEqual([...NAMES].sort());
    const [, , told] = await bench.storage.bucket('names').getFiles({ delimiter: '/', autoPaginate: false });
    expect(told).toMatchObject({ prefixes: ['a/', 'b/', 'd/'] });
  });

  it('of a bucket that is not there is a 404', async () => {
    expect((await bench.ask('GET', '/storage/v1/b/no-such-bucket/o')).status).toBe(404);
  });
});

describe('a bucket', () => {
  it('by the SDK is made, shown, changed and removed', async () => {
    const [bucket] = await bench.storage.createBucket('made', {
      versioning: { enabled: true },
      location: 'europe-west3',
    });
    const [told] = await bucket.getMetadata();
    expect(told).toMatchObject({
      kind: 'storage#bucket',
      name: 'made',
      location: 'EUROPE-WEST3',
      locationType: 'region',
      storageClass: 'STANDARD',
      versioning: { enabled: true },
      metageneration: '1',
    });
    expect(told.softDeletePolicy).toBeUndefined();
    await bucket.setLabels({ a: '1', b: '2' });
    await bucket.deleteLabels('a');
    expect((await bucket.getMetadata())[0]).toMatchObject({ labels: { b: '2' }, metageneration: '3' });
    await bucket.file('x').save('x', { resumable: false });
    await expect(bucket.delete()).rejects.toMatchObject({ code: 409 });
    await bucket.deleteFiles({ versions: true });
    await bucket.delete();
    expect((await bucket.exists())[0]).toBe(false);
  });

  it('of a name that is taken is a 409', async () => {
    bench.gcs.createBucket('taken');
    await expect(bench.storage.createBucket('taken')).rejects.toMatchObject({ code: 409 });
    expect(() => bench.gcs.createBucket('taken')).toThrow(/already own it/);
  });

  it('is changed under conditions only when they hold', async () => {
    bench.gcs.createBucket('conditional');
    const patch = async (query: string) =>
      (await bench.ask('PATCH', `/storage/v1/b/conditional?${query}`, { json: { labels: { a: '1' } } })).status;
    expect(await patch('ifMetagenerationMatch=9')).toBe(412);
    expect(await patch('ifMetagenerationMatch=1')).toBe(200);
    expect((await bench.ask('GET', '/storage/v1/b/conditional?ifMetagenerationNotMatch=2')).status).toBe(304);
    expect((await bench.ask('DELETE', '/storage/v1/b/conditional?ifMetagenerationMatch=1')).status).toBe(412);
  });

  it('is listed by project, in pages, by prefix', async () => {
    for (const n of [1, 2, 3]) bench.gcs.createBucket(`listed-${n}`, { project: 'other-project' });
    const ask = async (query: string) => (await bench.ask('GET', `/storage/v1/b?project=other-project&${query}`)).json;
    const first = await ask('maxResults=2&prefix=listed');
    expect(first.items.map((it: { name: string }) => it.name)).toEqual(['listed-1', 'listed-2']);
    const rest = await ask(`maxResults=2&prefix=listed&pageToken=${first.nextPageToken}`);
    expect([rest.items.length, rest.nextPageToken]).toEqual([1, undefined]);
    expect((await ask('prefix=none')).items).toBeUndefined();
  });

  it('answers questions about permissions', async () => {
    bench.gcs.createBucket('permitted');
    const bucket = bench.storage.bucket('permitted');
    const [permissions] = await bucket.iam.testPermissions(['storage.objects.get', 'storage.objects.create']);
    expect(permissions).toEqual({ 'storage.objects.get': true, 'storage.objects.create': true });
    const [policy] = await bucket.iam.getPolicy();
    policy.bindings.push({ role: 'roles/storage.objectViewer', members: ['allUsers'] });
    await bucket.iam.setPolicy(policy);
    expect((await bucket.iam.getPolicy())[0].bindings).toHaveLength(2);
    const [account] = await bench.storage.getServiceAccount();
    expect(account.emailAddress).toMatch(/gserviceaccount\.com$/);
  });
});
