import { gzipSync } from 'node:zlib';
import { Storage } from '@google-cloud/storage';
import { afterAll, describe, expect, it } from 'vitest';
import { openCloud } from '../../local/cloud.ts';
import type { RequestEffect } from '../../local/faults.ts';
import { startGcs } from '../../local/google/gcs/gcs.ts';
import { openPatcher } from '../../test/conformance/gcs-bench.ts';
import { storeConformance } from '../../test/conformance/store.ts';
import { crc32c, crc64nvme, toCrc32cText, toCrc64nvmeText } from '../model/crc.ts';
import { isFault } from '../model/fault.ts';
import { openGcsStore } from './gcs.ts';
import type { PutOptions } from './store.ts';

const MI = 1024 * 1024;
const cloud = openCloud({ name: 'gcp', report: (line) => console.warn(line) });
const gcs = await startGcs(cloud, { port: 0 });
gcs.createBucket('kept', { versioning: true });
gcs.createBucket('plain');
const target = { apiEndpoint: gcs.endpoint, projectId: 'tests' };
const store = await openGcsStore({ ...target, site: 'g', bucket: 'plain' });
const kept = await openGcsStore({ ...target, site: 'g', bucket: 'kept' });
const box = new Storage(target).bucket('plain');

afterAll(async () => {
  store.close();
  kept.close();
  await gcs.stop();
  await cloud.close();
});

for (const [bucket, opened] of Object.entries({ plain: store, kept }))
  storeConformance({
    name: `GCS, ${bucket === 'kept' ? 'versioned' : 'not versioned'}`,
    open: async () => ({ store: opened, prefix: 'conformance/' }),
    client: () => openPatcher(target, bucket),
  });

function options(changes: Partial<PutOptions> = {}): PutOptions {
  return { condition: { kind: 'always' }, metadata: { headers: {}, user: {} }, ...changes };
}

/** In pieces that fit no chunk, and never the same twice. */
async function* pieces(sizeBytes: number, seen?: { bytes: number }): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < sizeBytes; ) {
    const piece = Buffer.alloc(Math.min(1_000_003, sizeBytes - at), `${at};`);
    at += piece.length;
    if (seen) seen.bytes = at;
    yield piece;
  }
}

async function drain(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of body) all.push(piece);
  return Buffer.concat(all);
}

function sumsOf(bytes: Uint8Array) {
  return { crc32c: toCrc32cText(crc32c(bytes)), crc64nvme: toCrc64nvmeText(crc64nvme(bytes)) };
}

/** The next request of this kind, once. */
function struck(effect: RequestEffect, operation?: string): void {
  cloud.faults.add({ effect, times: 1, scope: { service: 'gcs', ...(operation && { operation }) } });
}

describe('a body of many chunks', () => {
  const sizeBytes = 9 * MI + 5;

  it('is written whole, with its condition and checksums judged at the end', async () => {
    const bytes = await drain(pieces(sizeBytes));
    const checksums = sumsOf(bytes);
    const ifAbsent = options({ condition: { kind: 'if-absent' }, checksums, marker: 'bQ' });
    const written = await store.put('large', pieces(sizeBytes), ifAbsent);
    expect(written).toMatchObject({ sizeBytes, marker: 'bQ', checksums: { crc32c: checksums.crc32c } });
    const { body, version } = await store.get('large', written.phys);
    expect(version).toEqual(written);
    expect(bytes.equals(await drain(body))).toBe(true);
    await expect(store.put('large', pieces(sizeBytes), ifAbsent)).rejects.toMatchObject({ kind: 'precondition' });
    const range = { start: 8 * MI - 5, end: 8 * MI + 5 };
    const part = await drain((await store.get('large', written.phys, range)).body);
    expect(part.equals(bytes.subarray(range.start, range.end))).toBe(true);
  });

  it('that ends where a chunk ends is whole too', async () => {
    const written = await store.put('even', pieces(16 * MI), options());
    expect(written.sizeBytes).toBe(16 * MI);
    expect(written.checksums).toEqual({ crc32c: sumsOf(await drain(pieces(16 * MI))).crc32c });
  });

  it('is refused when its checksum does not fit, and so is a copy', async () => {
    const { crc32c: c32, crc64nvme: c64 } = sumsOf(Buffer.from('another'));
    for (const checksums of [{ crc32c: c32 }, { crc64nvme: c64 }])
      await expect(store.put('unfit', pieces(sizeBytes), options({ checksums }))).rejects.toMatchObject({
        kind: 'corrupt',
      });
    const source = await store.put('fits', Buffer.from('this'), options());
    const copying = store.copy(source, 'unfit', options({ checksums: { crc32c: c32 } }));
    await expect(copying).rejects.toMatchObject({ kind: 'corrupt', details: { key: 'unfit' } });
    expect(await store.head('unfit')).toBeNull();
  });

  it('is not read on once a chunk was refused, and leaves nothing', async () => {
    const seen = { bytes: 0 };
    cloud.faults.add({ effect: { kind: 'status', status: 503 }, times: 2, scope: { service: 'gcs' } });
    const writing = store.put('broken off', pieces(200 * MI, seen), options());
    await expect(writing).rejects.toMatchObject({ kind: 'unavailable', retry: 'later' });
    expect(seen.bytes).toBeLessThan(100 * MI);
    cloud.faults.clear();
    expect(await store.head('broken off')).toBeNull();
  });

  it('of many with one token exactly one replaces what stands, whether by one request or by chunks', async () => {
    const first = await store.put('raced', Buffer.from('first'), options());
    const condition = { kind: 'if-token', token: first.token! } as const;
    const writers = Array.from({ length: 8 }, (_, index) =>
      store.put('raced', index % 4 ? Buffer.from(`${index}`) : pieces(8 * MI + index + 1), options({ condition })),
    );
    const outcomes = await Promise.allSettled(writers);
    const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    expect(won).toHaveLength(1);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(isFault(outcome.reason, 'precondition', 'throttled')).toBe(true);
    expect(await store.head('raced')).toEqual(won[0]?.value);
  });
});

describe('a generation', () => {
  it('that a versioned bucket keeps is read and copied although it no longer stands', async () => {
    const first = await kept.put('past', Buffer.from('one'), options());
    await kept.put('past', Buffer.from('second'), options());
    expect((await drain((await kept.get('past', first.phys)).body)).toString()).toBe('one');
    const copied = await kept.copy(first, 'past copy', options());
    expect(copied.checksums).toEqual(first.checksums);
    await kept.delete('past', { kind: 'always' });
    expect((await drain((await kept.get('past', first.phys)).body)).toString()).toBe('one');
    expect(await kept.versions('past')).toEqual([]);
  });

  it('keeps its name when its metadata change, and has another identity all the same', async () => {
    const first = await store.put('patched', Buffer.from('one'), options());
    await box.file('patched').setMetadata({ metadata: { by: 'them' } });
    const patched = await store.head('patched');
    expect(patched).toMatchObject({ body: first.body, revision: 2, metadata: { user: { by: 'them' } } });
    expect(patched?.phys).toBe(`g:${first.body}.2`);
    const late = store.copy(first, 'patched copy', options());
    await expect(late).rejects.toMatchObject({ kind: 'not-found' });
    const deleting = store.delete('patched', { kind: 'if-token', token: first.token! });
    await expect(deleting).rejects.toMatchObject({ kind: 'precondition' });
  });
});

describe('a content type', () => {
  it('is none when none was sent, and else the very one', async () => {
    for (const headers of [{}, { contentType: 'application/octet-stream' }, { contentType: 'text/plain' }]) {
      const metadata = { headers, user: {} };
      const written = await store.put('typed.html', Buffer.from('x'), options({ metadata }));
      expect(written.metadata.headers).toEqual(headers);
      expect(await store.head('typed.html')).toEqual(written);
      const copied = await store.copy(written, 'typed copy', options({ metadata }));
      expect(copied.metadata.headers).toEqual(headers);
    }
  });

  it('is none after an upload by parts', async () => {
    const upload = await store.createUpload('joined');
    const part = await store.putPart('joined', upload, 1, Buffer.from('x'));
    expect((await store.completeUpload('joined', upload, [part])).metadata).toEqual({ headers: {}, user: {} });
  });
});

describe('a key', () => {
  const refused = ['', '.', '..', 'a\nb', 'a\rb', '\ud800', '.well-known/acme-challenge/x', 'é'.repeat(513)];

  it.each(refused)('that GCS refuses is invalid: %j', async (key) => {
    const fault = { kind: 'invalid', details: { field: 'key', value: key, site: 'g' } };
    await expect(store.put(key, Buffer.from('x'), options())).rejects.toMatchObject(fault);
    await expect(store.head(key)).rejects.toMatchObject(fault);
    await expect(store.createUpload(key)).rejects.toMatchObject(fault);
  });

  const awkward = [
    '/',
    '//a',
    'a/',
    'a//b',
    'a/../b',
    './a',
    'a\\b',
    '%',
    '%2F',
    'a%2Fb',
    '?x=y',
    '#',
    'a.',
    'k'.repeat(1024),
  ];

  it.each(awkward)('round-trips: %j', async (key) => {
    const written = await store.put(key, Buffer.from(key), options());
    expect(written.key).toBe(key);
    expect(await store.head(key)).toEqual(written);
    expect((await drain((await store.get(key, written.phys)).body)).toString()).toBe(key);
    expect((await store.list({ prefix: key, limit: 1 })).objects).toEqual([written]);
    expect(await store.copy(written, key, options())).toMatchObject({ key });
    const upload = await store.createUpload(key);
    const part = await store.putPart(key, upload, 1, Buffer.from('joined'));
    expect(await store.completeUpload(key, upload, [part])).toMatchObject({ key, sizeBytes: 6 });
    await store.delete(key, { kind: 'always' });
    expect(await store.head(key)).toBeNull();
  });
});

it('metadata are kept as they are, capitals and all that is not ASCII', async () => {
  const user = { Owner: 'Ä ö', owner: 'them', 'a b': ' x ', empty: '' };
  const written = await store.put('described', Buffer.from('x'), options({ metadata: { headers: {}, user } }));
  expect(written.metadata.user).toEqual(user);
  expect(await store.head('described')).toEqual(written);
  const tooLarge = options({ metadata: { headers: {}, user: { a: 'x'.repeat(4097) } } });
  await expect(store.put('described', Buffer.from('x'), tooLarge)).rejects.toMatchObject({ kind: 'too-large' });
});

it('a compressed body comes back as it was stored, whole and in parts', async () => {
  const bytes = gzipSync('x'.repeat(1000));
  const metadata = { headers: { contentEncoding: 'gzip', contentType: 'text/plain' }, user: {} };
  const { phys } = await store.put('zipped', bytes, options({ metadata }));
  expect(await drain((await store.get('zipped', phys)).body)).toEqual(bytes);
  const part = await store.get('zipped', phys, { start: 2, end: 9 });
  expect(await drain(part.body)).toEqual(bytes.subarray(2, 9));
});

it('a list of more than a page of the service is whole', async () => {
  const names = Array.from({ length: 1003 }, (_, index) => `many/${String(index).padStart(4, '0')}`);
  for (let at = 0; at < names.length; at += 100)
    await Promise.all(names.slice(at, at + 100).map((name) => store.put(name, Buffer.from('x'), options())));
  const page = await store.list({ prefix: 'many/', limit: 2000 });
  expect(page.next).toBeUndefined();
  expect(page.objects.map(({ key }) => key)).toEqual(names);
});

describe('a failure', () => {
  it('says whether a write may have happened', async () => {
    struck({ kind: 'lost-answer' });
    await expect(store.put('lost', Buffer.from('x'), options())).rejects.toMatchObject({ kind: 'timeout' });
    expect(await store.head('lost')).toMatchObject({ sizeBytes: 1 });
    struck({ kind: 'status', status: 500 });
    await expect(store.put('failed', Buffer.from('x'), options())).rejects.toMatchObject({ kind: 'timeout' });
    struck({ kind: 'status', status: 500 });
    await expect(store.head('failed')).rejects.toMatchObject({ kind: 'unavailable' });
    struck({ kind: 'status', status: 429 });
    await expect(store.put('failed', Buffer.from('x'), options())).rejects.toMatchObject({ kind: 'throttled' });
    struck({ kind: 'outage' });
    await expect(store.head('failed')).rejects.toMatchObject({ kind: 'unreachable' });
  });

  it('to connect is told as such, and tried once', async () => {
    const nobody = await openGcsStore({ site: 'g', bucket: 'plain', apiEndpoint: 'http://127.0.0.1:9' });
    const fault = { kind: 'unreachable', details: { site: 'g', op: 'put', key: 'k' } };
    await expect(nobody.put('k', Buffer.from('x'), options())).rejects.toMatchObject(fault);
  });

  it('to answer in time ends the wait', async () => {
    const hasty = await openGcsStore({ ...target, site: 'g', bucket: 'plain', requestTimeoutMs: 200 });
    struck({ kind: 'silence' });
    await expect(hasty.put('silent', Buffer.from('x'), options())).rejects.toMatchObject({ kind: 'timeout' });
    hasty.close();
  });

  it('in the middle of a body is a fault, never a short body', async () => {
    const { phys } = await store.put('cut', pieces(2 * MI), options());
    cloud.faults.add({ effect: { kind: 'cut', afterBytes: 1_500_000 }, times: 2, scope: { service: 'gcs' } });
    const { body } = await store.get('cut', phys);
    await expect(drain(body)).rejects.toSatisfy((error) => isFault(error, 'unreachable', 'corrupt'));
    cloud.faults.clear();
  });

  it('to find the bucket is no empty bucket', async () => {
    const none = await openGcsStore({ ...target, site: 'g', bucket: 'none' });
    await expect(none.head('k')).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(none.list({ prefix: '', limit: 1 })).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(none.delete('k', { kind: 'always' })).rejects.toMatchObject({ kind: 'unavailable' });
    none.close();
  });
});
