import { BlobServiceClient } from '@azure/storage-blob';
import { afterAll, describe, expect, it } from 'vitest';
import { startBlob } from '../../local/azure/blob/blob.ts';
import { openCloud } from '../../local/cloud.ts';
import type { RequestEffect } from '../../local/faults.ts';
import { storeConformance } from '../../test/conformance/store.ts';
import { crc32c, crc64nvme, toCrc32cText, toCrc64nvmeText } from '../model/crc.ts';
import { isFault } from '../model/fault.ts';
import { openAzureBlobStore } from './azblob.ts';
import type { PutOptions } from './store.ts';

const MI = 1024 * 1024;
const cloud = openCloud({ name: 'azure', report: (line) => console.warn(line) });
const blob = await startBlob(cloud, { port: 0 });
await blob.createContainer('box');
const { connectionString } = blob;
const box = BlobServiceClient.fromConnectionString(connectionString).getContainerClient('box');
const store = await openAzureBlobStore({ site: 'z', container: 'box', connectionString });

afterAll(async () => {
  await blob.stop();
  await cloud.close();
});

storeConformance({
  name: 'Azure Blob',
  open: async () => ({ store }),
  client: () => ({
    async patchMetadata(key, { headers, user }) {
      const target = box.getBlobClient(key);
      const { metadata } = await target.getProperties();
      const { contentType = '', contentEncoding = '', contentLanguage = '' } = headers;
      const { contentDisposition = '', cacheControl = '' } = headers;
      await target.setHTTPHeaders({
        blobContentType: contentType,
        blobContentEncoding: contentEncoding,
        blobContentLanguage: contentLanguage,
        blobContentDisposition: contentDisposition,
        blobCacheControl: cacheControl,
      });
      await target.setMetadata({ ...user, ...(metadata?.triplicate && { triplicate: metadata.triplicate }) });
    },
  }),
});

function options(changes: Partial<PutOptions> = {}): PutOptions {
  return { condition: { kind: 'always' }, metadata: { headers: {}, user: {} }, ...changes };
}

/** In pieces that fit no block, and never the same twice. */
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

describe('a body of many blocks', () => {
  const sizeBytes = 5 * MI + 5;

  it('is written whole, with its condition and checksums judged at the end', async () => {
    const bytes = await drain(pieces(sizeBytes));
    const checksums = sumsOf(bytes);
    const ifAbsent = options({ condition: { kind: 'if-absent' }, checksums, marker: 'bQ' });
    const written = await store.put('large', pieces(sizeBytes), ifAbsent);
    expect(written).toMatchObject({ sizeBytes, marker: 'bQ' });
    const { body, version } = await store.get('large', written.phys);
    expect(version).toEqual(written);
    expect(bytes.equals(await drain(body))).toBe(true);
    await expect(store.put('large', pieces(sizeBytes), ifAbsent)).rejects.toMatchObject({ kind: 'precondition' });
    const range = { start: 4 * MI - 5, end: 4 * MI + 5 };
    const part = await drain((await store.get('large', written.phys, range)).body);
    expect(part.equals(bytes.subarray(range.start, range.end))).toBe(true);
    const copied = await store.copy(written, 'large copy', options({ checksums }));
    expect(bytes.equals(await drain((await store.get('large copy', copied.phys)).body))).toBe(true);
  });

  it('is refused when its checksum does not fit, and so is a copy', async () => {
    const { crc32c: c32, crc64nvme: c64 } = sumsOf(Buffer.from('another'));
    for (const checksums of [{ crc32c: c32 }, { crc64nvme: c64 }])
      await expect(store.put('unfit', pieces(sizeBytes), options({ checksums }))).rejects.toMatchObject({
        kind: 'corrupt',
      });
    const source = await store.put('fits', Buffer.from('this'), options());
    const copying = store.copy(source, 'unfit', options({ checksums: { crc64nvme: c64 } }));
    await expect(copying).rejects.toMatchObject({ kind: 'corrupt', details: { key: 'unfit' } });
    expect(await store.head('unfit')).toBeNull();
  });

  it('is not read on once a block was refused, and leaves nothing', async () => {
    const seen = { bytes: 0 };
    struck({ kind: 'status', status: 503 }, 'PutBlock');
    const writing = store.put('broken off', pieces(200 * MI, seen), options());
    await expect(writing).rejects.toMatchObject({ kind: 'throttled', retry: 'later' });
    expect(seen.bytes).toBeLessThan(100 * MI);
    expect(await store.head('broken off')).toBeNull();
  });

  it('loses a race for its blocks without harm', async () => {
    const ends = Promise.withResolvers<void>();
    async function* slow() {
      yield* pieces(5 * MI);
      await ends.promise;
      yield Buffer.from('end');
    }
    const writing = store.put('contested', slow(), options({ condition: { kind: 'if-absent' } }));
    const first = await store.put('contested', Buffer.from('first'), options());
    ends.resolve();
    await expect(writing).rejects.toSatisfy((error) => isFault(error, 'precondition', 'conflict'));
    expect(await store.head('contested')).toEqual(first);
  });

  it('of many with one token exactly one replaces what stands, whether by one request or by blocks', async () => {
    const first = await store.put('raced', Buffer.from('first'), options());
    const condition = { kind: 'if-token', token: first.token! } as const;
    const writers = Array.from({ length: 8 }, (_, index) =>
      store.put('raced', index % 4 ? Buffer.from(`${index}`) : pieces(4 * MI + index + 1), options({ condition })),
    );
    const outcomes = await Promise.allSettled(writers);
    const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    expect(won).toHaveLength(1);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(isFault(outcome.reason, 'precondition', 'conflict')).toBe(true);
    expect(await store.head('raced')).toEqual(won[0]?.value);
  });
});

describe('a content type', () => {
  it('is none when none was sent, and else the very one', async () => {
    for (const headers of [{}, { contentType: 'application/octet-stream' }, { contentType: 'text/plain' }]) {
      const written = await store.put('typed', Buffer.from('x'), options({ metadata: { headers, user: {} } }));
      expect(written.metadata.headers).toEqual(headers);
      expect(await store.head('typed')).toEqual(written);
      expect((await store.list({ prefix: 'typed', limit: 1 })).objects).toEqual([written]);
    }
  });

  it('is the one the service invents for what another wrote without', async () => {
    await box.getBlockBlobClient('theirs').upload('x', 1);
    expect((await store.head('theirs'))?.metadata.headers).toEqual({ contentType: 'application/octet-stream' });
  });
});

describe('a key', () => {
  const refused = [
    '',
    'a/',
    'a.',
    'a./b',
    '.',
    '..',
    'a/../b',
    './a',
    'a\\b',
    'a\nb',
    'a\u0000',
    '\ud800',
    `${'a/'.repeat(254)}a`,
    'k'.repeat(1025),
  ];

  it.each(refused)('that Azure would alter or refuse is invalid: %j', async (key) => {
    const fault = { kind: 'invalid', details: { field: 'key', value: key, site: 'z' } };
    await expect(store.put(key, Buffer.from('x'), options())).rejects.toMatchObject(fault);
    await expect(store.head(key)).rejects.toMatchObject(fault);
    await expect(store.createUpload(key)).rejects.toMatchObject(fault);
  });

  it.each([
    '//a',
    '/a',
    'a//b',
    '%',
    '%2F',
    'a%2Fb',
    '.a',
    '..a',
    'a.b',
    '~h',
    'k'.repeat(1024),
    `${'a/'.repeat(253)}a`,
  ])('round-trips: %j', async (key) => {
    const written = await store.put(key, Buffer.from(key), options());
    expect(await store.head(key)).toEqual(written);
    expect((await store.list({ prefix: key, limit: 1 })).objects).toEqual([written]);
    await store.delete(key, { kind: 'if-token', token: written.token! });
    expect(await store.head(key)).toBeNull();
  });
});

describe('metadata', () => {
  it.each([
    [{ 'with-hyphen': 'x' }, 'invalid'],
    [{ a: 'ä' }, 'invalid'],
    [{ a: ' x' }, 'invalid'],
    [{ triplicate: 'x' }, 'invalid'],
    [{ a: 'x', A: 'y' }, 'invalid'],
    [{ a: 'x'.repeat(8200) }, 'too-large'],
  ])('that Azure cannot hold is refused before anything is sent: %j', async (user, kind) => {
    const writing = store.put('described', Buffer.from('x'), options({ metadata: { headers: {}, user } as never }));
    await expect(writing).rejects.toMatchObject({ kind, details: { key: 'described' } });
  });

  it('that others wrote in capitals reads the same everywhere', async () => {
    await box.getBlockBlobClient('capitals').upload('x', 1, { metadata: { Owner: 'Them' } });
    const stands = await store.head('capitals');
    expect(stands?.metadata.user).toEqual({ owner: 'Them' });
    expect((await store.list({ prefix: 'capitals', limit: 1 })).objects).toEqual([stands]);
  });
});

describe('a failure', () => {
  it('says whether a write may have happened', async () => {
    struck({ kind: 'lost-answer' }, 'PutBlob');
    await expect(store.put('lost', Buffer.from('x'), options())).rejects.toMatchObject({ kind: 'timeout' });
    expect(await store.head('lost')).toMatchObject({ sizeBytes: 1 });
    struck({ kind: 'status', status: 500 }, 'PutBlob');
    await expect(store.put('failed', Buffer.from('x'), options())).rejects.toMatchObject({ kind: 'timeout' });
    struck({ kind: 'status', status: 500 });
    await expect(store.head('failed')).rejects.toMatchObject({ kind: 'unavailable' });
    struck({ kind: 'outage' });
    await expect(store.head('failed')).rejects.toMatchObject({ kind: 'unreachable' });
  });

  it('to connect is told as such, and tried once', async () => {
    const nobody = connectionString.replace(/:\d+\//, ':9/');
    const opening = openAzureBlobStore({ site: 'z', container: 'box', connectionString: nobody });
    await expect(opening).rejects.toMatchObject({ kind: 'unreachable', details: { site: 'z', op: 'open' } });
  });

  it('to answer in time ends the wait', async () => {
    const hasty = await openAzureBlobStore({ site: 'z', container: 'box', connectionString, requestTimeoutMs: 200 });
    struck({ kind: 'silence' });
    await expect(hasty.put('silent', Buffer.from('x'), options())).rejects.toMatchObject({ kind: 'timeout' });
  });

  it('in the middle of a body is a fault, never a short body', async () => {
    const { phys } = await store.put('cut', pieces(2 * MI), options());
    struck({ kind: 'cut', afterBytes: 1_500_000 }, 'GetBlob');
    const { body } = await store.get('cut', phys);
    await expect(drain(body)).rejects.toSatisfy((error) => isFault(error, 'unreachable', 'corrupt'));
  });

  it('to find the container is no empty container', async () => {
    const other = await openAzureBlobStore({
      site: 'z',
      container: 'none',
      connectionString,
      history: 'current',
    }).catch((error: unknown) => error);
    if (isFault(other)) return expect(other.kind).toBe('unavailable');
    const lost = other as typeof store;
    await expect(lost.head('k')).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(lost.list({ prefix: '', limit: 1 })).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('because of a lease is somebody else at work, not a condition that did not hold', async () => {
    const { token } = await store.put('leased', Buffer.from('x'), options());
    const lease = box.getBlobClient('leased').getBlobLeaseClient();
    await lease.acquireLease(-1);
    const writing = store.put('leased', Buffer.from('y'), options({ condition: { kind: 'if-token', token: token! } }));
    await expect(writing).rejects.toMatchObject({ kind: 'conflict', retry: 'later' });
    await lease.releaseLease();
  });
});

it('bytes that are not those that were stored are never handed on as a whole', async () => {
  const target = box.getBlockBlobClient('spoiled');
  await target.upload('good', 4);
  await target.setHTTPHeaders({ blobContentMD5: Buffer.alloc(16) });
  const stands = await store.head('spoiled');
  const { body } = await store.get('spoiled', stands!.phys);
  await expect(drain(body)).rejects.toMatchObject({ kind: 'corrupt', details: { key: 'spoiled', field: 'md5' } });
});

it('a compressed body comes back as it was stored', async () => {
  const bytes = Buffer.from('1f8b080000000000000303000000000000000000', 'hex');
  const metadata = { headers: { contentEncoding: 'gzip' }, user: {} };
  const { phys } = await store.put('zipped', bytes, options({ metadata }));
  expect(await drain((await store.get('zipped', phys)).body)).toEqual(bytes);
});

/** The next request of this kind, once. */
function struck(effect: RequestEffect, operation?: string): void {
  cloud.faults.add({ effect, times: 1, scope: { service: 'blob', ...(operation && { operation }) } });
}
