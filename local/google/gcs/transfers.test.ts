/** Bytes in and out: checksums, resumable uploads, ranges, gzip, compose, rewrite. */

import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import type { FileMetadata } from '@google-cloud/storage';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crc32c, toCrc32cText } from '#shared/model/crc.ts';
import { type GcsBench, openGcs } from '../../../test/local/gcs.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

let bench: GcsBench;
beforeAll(async () => {
  bench = await openGcs();
  bench.gcs.createBucket('box');
});
afterAll(async () => {
  await bench.close();
  expect(bench.reports).toEqual([]);
});

const file = (name: string) => bench.storage.bucket('box').file(name);
const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('base64');
const crc = (bytes: Uint8Array) => toCrc32cText(crc32c(bytes));
const upload = (query: string) => `/upload/storage/v1/b/box/o?${query}`;
const exists = async (name: string) =>
  (await bench.ask('GET', `/storage/v1/b/box/o/${encodeURIComponent(name)}`)).status === 200;

describe('checksums', () => {
  const body = Buffer.from('some bytes');
  const wrong = Buffer.from('other bytes');

  it.each([
    ['X-Goog-Hash crc32c', { 'x-goog-hash': `crc32c=${crc(wrong)}` }],
    ['X-Goog-Hash md5', { 'x-goog-hash': `crc32c=${crc(body)},md5=${md5(wrong)}` }],
    ['Content-MD5', { 'content-md5': md5(wrong) }],
    ['no base64 at all', { 'x-goog-hash': 'crc32c=!!!!' }],
    ['an unknown sort', { 'x-goog-hash': 'sha1=AAAA' }],
  ])('that are wrong are refused and nothing is written: %s', async (_what, headers) => {
    for (const [method, path] of [
      ['POST', upload('uploadType=media&name=sum')],
      ['PUT', '/box/sum'],
    ] as const) {
      expect((await bench.ask(method, path, { headers, body })).status).toBe(400);
      expect(await exists('sum')).toBe(false);
    }
  });

  it('in the JSON of an upload are checked, and right ones pass', async () => {
    const save = (metadata: FileMetadata) =>
      file('json-sum').save(body, { resumable: false, validation: false, metadata });
    await expect(save({ md5Hash: md5(wrong) })).rejects.toMatchObject({ code: 400 });
    await expect(save({ crc32c: crc(wrong) })).rejects.toMatchObject({ code: 400 });
    expect(await exists('json-sum')).toBe(false);
    await save({ md5Hash: md5(body), crc32c: crc(body) });
    expect(await exists('json-sum')).toBe(true);
  });

  it('of a resumable upload are checked at its end', async () => {
    const start = await bench.ask('POST', upload('uploadType=resumable&name=late-sum'), {
      json: { md5Hash: md5(wrong) },
    });
    const session = new URL(start.headers.get('location')!);
    const answer = await bench.ask('PUT', session.pathname + session.search, { body });
    expect([answer.status, answer.json.error.message]).toEqual([400, expect.stringContaining('MD5')]);
    expect(await exists('late-sum')).toBe(false);
  });
});

describe('a resumable upload', () => {
  const start = async (name: string, query = '', headers: Record<string, string> = {}) => {
    const { status, headers: told } = await bench.ask('POST', upload(`uploadType=resumable&name=${name}${query}`), {
      headers,
    });
    expect(status).toBe(200);
    const { pathname, search } = new URL(told.get('location')!);
    return pathname + search;
  };
  const put = (session: string, range: string | null, body: Uint8Array = Buffer.alloc(0), more = {}) =>
    bench.ask('PUT', session, { headers: { ...(range === null ? {} : { 'content-range': range }), ...more }, body });

  it('by the SDK in chunks has the right bytes and checksums', async () => {
    const bytes = randomBytes(3 * MIB + 17);
    await file('chunks').save(bytes, { resumable: true, chunkSize: MIB, metadata: { contentType: 'x/y' } });
    const [told] = await file('chunks').getMetadata();
    expect(told).toMatchObject({
      size: String(bytes.length),
      md5Hash: md5(bytes),
      crc32c: crc(bytes),
      contentType: 'x/y',
    });
    expect((await file('chunks').download())[0].equals(bytes)).toBe(true);
  });

  it('by the SDK as one stream of unknown length works too', async () => {
    const bytes = randomBytes(MIB + 5);
    await new Promise<void>((resolve, reject) => {
      const into = file('stream').createWriteStream({ resumable: true });
      Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)])
        .pipe(into)
        .on('finish', resolve)
        .on('error', reject);
    });
    expect((await file('stream').download())[0].equals(bytes)).toBe(true);
  });

  it('tells how far it got, ignores what it has, and goes on', async () => {
    const bytes = randomBytes(MIB);
    const session = await start('asked');
    expect((await put(session, 'bytes */*')).headers.get('range')).toBeNull();
    const first = await put(session, `bytes 0-${512 * KIB - 1}/*`, bytes.subarray(0, 512 * KIB));
    expect([first.status, first.headers.get('range')]).toEqual([308, `bytes=0-${512 * KIB - 1}`]);
    // What comes from beyond the end is not taken.
    const gap = await put(session, `bytes ${768 * KIB}-${MIB - 1}/*`, bytes.subarray(768 * KIB));
    expect([gap.status, gap.headers.get('range')]).toEqual([308, `bytes=0-${512 * KIB - 1}`]);
    // Of a chunk that is no multiple of 256 KiB the rest is not kept.
    const odd = await put(
      session,
      `bytes ${512 * KIB}-${512 * KIB + 299_999}/*`,
      bytes.subarray(512 * KIB, 512 * KIB + 300_000),
    );
    expect(odd.headers.get('range')).toBe(`bytes=0-${768 * KIB - 1}`);
    const last = await put(session, `bytes ${256 * KIB}-${MIB - 1}/${MIB}`, bytes.subarray(256 * KIB));
    expect([last.status, last.json.md5Hash, last.json.size]).toEqual([200, md5(bytes), String(MIB)]);
    // Asked again, the answer is the object.
    expect((await put(session, `bytes */${MIB}`)).json.generation).toBe(last.json.generation);
  });

  it('without 308 for clients that cannot take it', async () => {
    const session = await start('no-308');
    const answer = await put(session, `bytes 0-${256 * KIB - 1}/*`, randomBytes(256 * KIB), {
      'x-guploader-no-308': 'yes',
    });
    expect([answer.status, answer.headers.get('x-http-status-code-override')]).toEqual([200, '308']);
    expect(answer.headers.get('range')).toBe(`bytes=0-${256 * KIB - 1}`);
  });

  it('keeps whole quanta of a request that was cut, and another request goes on', async () => {
    const bytes = randomBytes(2 * MIB);
    const session = await start('cut');
    const head = `PUT ${session} HTTP/1.1\r\nhost: x\r\ncontent-length: ${bytes.length}\r\n\r\n`;
    const half = Buffer.concat([Buffer.from(head), bytes.subarray(0, 700 * KIB)]);
    let range: string | null = null;
    // The question may come before the bytes have arrived, and takes the session from them: then they are sent again.
    for (let i = 0; i < 100 && range === null; i++) {
      const socket = connect(bench.gcs.port, '127.0.0.1');
      await new Promise<void>((resolve) => socket.write(half, () => resolve()));
      // Not closed yet: the connection just falls silent.
      range = (await put(session, 'bytes */*')).headers.get('range');
      socket.destroy();
    }
    const held = Number(range?.slice('bytes=0-'.length)) + 1;
    expect([256 * KIB, 512 * KIB]).toContain(held);
    const answer = await put(session, `bytes ${held}-${bytes.length - 1}/${bytes.length}`, bytes.subarray(held));
    expect([answer.status, answer.json.md5Hash, answer.json.crc32c]).toEqual([200, md5(bytes), crc(bytes)]);
  });

  it('survives a restart, and knows its MD5 and CRC32C all the same', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gcs-'));
    const bytes = randomBytes(MIB);
    let local = await openGcs({ folder });
    local.gcs.createBucket('box');
    const { headers } = await local.ask('POST', upload('uploadType=resumable&name=restart'));
    const { pathname, search } = new URL(headers.get('location')!);
    const half = { 'content-range': `bytes 0-${512 * KIB - 1}/${MIB}` };
    const first = await local.ask('PUT', pathname + search, { headers: half, body: bytes.subarray(0, 512 * KIB) });
    expect(first.status).toBe(308);
    await local.close();
    local = await openGcs({ folder });
    const rest = { 'content-range': `bytes ${512 * KIB}-${MIB - 1}/${MIB}` };
    const { json } = await local.ask('PUT', pathname + search, { headers: rest, body: bytes.subarray(512 * KIB) });
    expect([json.md5Hash, json.crc32c]).toEqual([md5(bytes), crc(bytes)]);
    const [read] = await local.storage.bucket('box').file('restart').download();
    expect(read.equals(bytes)).toBe(true);
    await local.close();
    await rm(folder, { recursive: true });
  });

  it('can be empty', async () => {
    const answer = await put(await start('empty'), 'bytes */0');
    expect([answer.status, answer.json.size, answer.json.contentType]).toEqual([200, '0', 'application/octet-stream']);
  });

  it('is cancelled by 499, and is gone then; an unknown one never was', async () => {
    const session = await start('cancelled');
    expect((await bench.ask('DELETE', session)).status).toBe(499);
    expect((await put(session, null, Buffer.from('x'))).status).toBe(499);
    expect((await put(upload('uploadType=resumable&upload_id=nope'), 'bytes */*')).status).toBe(404);
    expect(await exists('cancelled')).toBe(false);
  });

  it('is refused at once when its condition fails, and at the end when it fails by then', async () => {
    const session = await start('raced', '&ifGenerationMatch=0');
    await file('raced').save('somebody was faster', { resumable: false });
    expect((await put(session, null, Buffer.from('late'))).status).toBe(412);
    expect((await file('raced').download())[0].toString()).toBe('somebody was faster');
    const again = await bench.ask('POST', upload('uploadType=resumable&name=raced&ifGenerationMatch=0'));
    expect(again.status).toBe(412);
  });

  it('of no possible length is refused', async () => {
    for (const length of ['-1', 'x', String(6 * 2 ** 40)]) {
      const headers = { 'x-upload-content-length': length };
      expect((await bench.ask('POST', upload('uploadType=resumable&name=x'), { headers })).status).toBe(400);
    }
  });

  it('is refused when its ranges contradict each other', async () => {
    const session = await start('odd', '', { 'x-upload-content-length': '10' });
    for (const range of ['bytes 0-9/11', 'bytes 5-2/10', 'bytes 0-4/10', 'nonsense'])
      expect((await put(session, range, Buffer.alloc(10))).status).toBe(400);
    expect((await put(session, 'bytes 0-9/10', Buffer.alloc(10))).status).toBe(200);
  });
});

describe('ranges', () => {
  it.each([
    ['bytes=0-4', 206, '01234', 'bytes 0-4/10'],
    ['bytes=5-', 206, '56789', 'bytes 5-9/10'],
    ['bytes=-3', 206, '789', 'bytes 7-9/10'],
    ['bytes=-30', 206, '0123456789', 'bytes 0-9/10'],
    ['bytes=8-100', 206, '89', 'bytes 8-9/10'],
    ['bytes=10-', 416, null, 'bytes */10'],
    ['bytes=-0', 416, null, 'bytes */10'],
    ['bytes=5-2', 200, '0123456789', null],
    ['bytes=0-1,4-5', 200, '0123456789', null],
    ['lines=1-2', 200, '0123456789', null],
  ])('%s answers %i', async (range, status, text, contentRange) => {
    await file('ten').save('0123456789', { resumable: false });
    for (const path of [
      '/storage/v1/b/box/o/ten?alt=media',
      '/download/storage/v1/b/box/o/ten?alt=media',
      '/box/ten',
    ]) {
      const answer = await bench.ask('GET', path, { headers: { range } });
      expect([answer.status, answer.headers.get('content-range')]).toEqual([status, contentRange]);
      if (text !== null) expect(answer.text).toBe(text);
    }
  });

  it('by the SDK, across what was composed', async () => {
    await file('p1').save('0123456789', { resumable: false });
    await file('p2').save('abcdefghij', { resumable: false });
    await bench.storage.bucket('box').combine(['p1', 'p2'], 'p');
    expect((await file('p').download({ start: 8, end: 11 }))[0].toString()).toBe('89ab');
  });
});

describe('gzip', () => {
  const text = 'a text that repeats, repeats, repeats';
  const zipped = gzipSync(text);
  const media = '/storage/v1/b/box/o/zipped?alt=media';

  it('is served as stored to those who take it, and decompressed to others, without a length', async () => {
    await file('zipped').save(zipped, { resumable: false, metadata: { contentEncoding: 'gzip' } });
    const stored = await raw('GET', media, { 'accept-encoding': 'gzip' });
    expect(stored.head).toMatch(/content-encoding: gzip/i);
    expect(stored.body.equals(zipped)).toBe(true);
    const plain = await raw('GET', media, { range: 'bytes=0-3' });
    expect(plain.head).toMatch(/^HTTP\/1.1 200/);
    expect(plain.head).not.toMatch(/^content-(length|encoding):/im);
    expect(plain.body.toString()).toContain(text);
    expect((await file('zipped').download())[0].toString()).toBe(text);
  });

  it('is not decompressed where no-transform forbids it, or where it is none', async () => {
    const metadata = { contentEncoding: 'gzip', cacheControl: 'no-transform' };
    await file('zipped').save(zipped, { resumable: false, metadata });
    expect((await raw('GET', media, {})).body.equals(zipped)).toBe(true);
    await file('zipped').save('no gzip', { resumable: false, metadata: { contentEncoding: 'gzip' } });
    expect((await raw('GET', media, {})).body.toString()).toBe('no gzip');
  });

  it('of a whole upload request is taken off', async () => {
    const answer = await bench.ask('POST', upload('uploadType=media&name=on-the-way'), {
      headers: { 'content-encoding': 'gzip' },
      body: zipped,
    });
    expect([answer.json.size, answer.json.contentEncoding]).toEqual([String(text.length), undefined]);
    const broken = await bench.ask('POST', upload('uploadType=media&name=broken'), {
      headers: { 'content-encoding': 'gzip' },
      body: 'no gzip',
    });
    expect(broken.status).toBe(400);
  });

  /** Fetch would ask for gzip and take it off by itself. */
  function raw(method: string, path: string, headers: Record<string, string>): Promise<{ head: string; body: Buffer }> {
    return new Promise((resolve, reject) => {
      const lines = Object.entries({ host: 'x', connection: 'close', ...headers }).map(([k, v]) => `${k}: ${v}\r\n`);
      const socket = connect(bench.gcs.port, '127.0.0.1', () =>
        socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`),
      );
      const pieces: Buffer[] = [];
      socket.on('data', (piece) => pieces.push(piece)).on('error', reject);
      socket.on('end', () => {
        const all = Buffer.concat(pieces);
        const at = all.indexOf('\r\n\r\n');
        resolve({ head: all.subarray(0, at + 2).toString(), body: all.subarray(at + 4) });
      });
    });
  }
});

describe('compose', () => {
  const compose = (target: string, json: unknown, query = '') =>
    bench.ask('POST', `/storage/v1/b/box/o/${target}/compose${query}`, { json });

  it('joins up to 32 objects, counts components, has a CRC32C and no MD5', async () => {
    const parts = Array.from({ length: 32 }, () => randomBytes(100));
    await Promise.all(parts.map((bytes, i) => file(`c${i}`).save(bytes, { resumable: false })));
    const sourceObjects = parts.map((_, i) => ({ name: `c${i}` }));
    const { json } = await compose('composed', { sourceObjects, destination: { metadata: { of: 'many' } } });
    const whole = Buffer.concat(parts);
    expect(json).toMatchObject({ size: '3200', componentCount: 32, crc32c: crc(whole), metadata: { of: 'many' } });
    expect([json.md5Hash, json.contentType]).toEqual([undefined, undefined]);
    expect((await file('composed').download())[0].equals(whole)).toBe(true);
    // Appended to itself, as logs are.
    const again = await compose('composed', { sourceObjects: [{ name: 'composed' }, { name: 'c0' }], destination: {} });
    expect([again.json.componentCount, again.json.size]).toEqual([33, '3300']);
    expect((await file('composed').download())[0].equals(Buffer.concat([whole, parts[0]!]))).toBe(true);
    expect((await compose('more', { sourceObjects: [...sourceObjects, { name: 'c0' }] })).status).toBe(400);
  });

  it('checks conditions of its sources and its target', async () => {
    await file('s').save('s', { resumable: false });
    const generation = String(file('s').metadata.generation ?? (await file('s').getMetadata())[0].generation);
    const source = (match: string) => ({
      sourceObjects: [{ name: 's', objectPreconditions: { ifGenerationMatch: match } }],
    });
    expect((await compose('t', source('1'))).status).toBe(412);
    expect((await compose('t', source(generation), '?ifGenerationMatch=0')).status).toBe(200);
    expect((await compose('t', source(generation), '?ifGenerationMatch=0')).status).toBe(412);
    expect((await compose('t', { sourceObjects: [{ name: 'not there' }] })).status).toBe(404);
    expect((await compose('t', { sourceObjects: [] })).status).toBe(400);
    expect((await compose('t', {})).status).toBe(400);
    expect((await compose('t', { sourceObjects: [{ name: 's', generation: '5' }] })).status).toBe(404);
  });

  it('keeps the bytes of sources that are deleted afterwards', async () => {
    await file('gone').save('gone', { resumable: false });
    await compose('stays', { sourceObjects: [{ name: 'gone' }] }, '?deleteSourceObjects=true');
    expect(await exists('gone')).toBe(false);
    expect((await file('stays').download())[0].toString()).toBe('gone');
  });
});

describe('copy and rewrite', () => {
  const metadata = { contentType: 'x/y', cacheControl: 'no-store', metadata: { a: '1' } };

  it('by the SDK brings bytes and metadata along', async () => {
    await file('from').save('bytes', { resumable: false, metadata });
    await file('from').copy(file('to'));
    const [told] = await file('to').getMetadata();
    expect(told).toMatchObject({ ...metadata, size: '5', md5Hash: md5(Buffer.from('bytes')) });
    await file('from').delete();
    expect((await file('to').download())[0].toString()).toBe('bytes');
  });

  it('replaces all metadata by what is named, and keeps it for a mere storage class', async () => {
    await file('from').save('bytes', { resumable: false, metadata });
    const rewrite = (json: unknown) => bench.ask('POST', '/storage/v1/b/box/o/from/rewriteTo/b/box/o/to', { json });
    const named = (await rewrite({ metadata: { b: '2' } })).json.resource;
    expect([named.metadata, named.contentType, named.cacheControl]).toEqual([{ b: '2' }, undefined, undefined]);
    expect((await rewrite(null)).json.resource).toMatchObject(metadata);
    const classed = (await rewrite({ storageClass: 'NEARLINE' })).json.resource;
    expect(classed).toMatchObject({ ...metadata, storageClass: 'NEARLINE' });
  });

  it('checks conditions of the source and of the target', async () => {
    await file('from').save('bytes', { resumable: false });
    const [{ generation }] = await file('from').getMetadata();
    for (const verb of ['rewriteTo', 'copyTo']) {
      const path = `/storage/v1/b/box/o/from/${verb}/b/box/o/${verb}`;
      const status = async (query: string) => (await bench.ask('POST', `${path}?${query}`)).status;
      expect(await status('ifSourceGenerationMatch=1')).toBe(412);
      expect(await status(`ifSourceGenerationNotMatch=${generation}`)).toBe(304);
      expect(await status('ifSourceMetagenerationMatch=2')).toBe(412);
      expect(await status('sourceGeneration=1')).toBe(404);
      expect(await status(`sourceGeneration=${generation}&ifGenerationMatch=0`)).toBe(200);
      expect(await status('ifGenerationMatch=0')).toBe(412);
    }
  });

  it('of much goes on by tokens where bytes have to move and the client limits them', async () => {
    const bytes = randomBytes(5 * MIB);
    await file('big').save(bytes, { resumable: false });
    const path = '/storage/v1/b/box/o/big/rewriteTo/b/box/o/moved';
    const limit = `maxBytesRewrittenPerCall=${2 * MIB}`;
    const json = { storageClass: 'COLDLINE' };
    let { json: told } = await bench.ask('POST', `${path}?${limit}`, { json });
    let calls = 1;
    for (; !told.done && calls < 10; calls++) {
      expect(await exists('moved')).toBe(false);
      told = (await bench.ask('POST', `${path}?${limit}&rewriteToken=${told.rewriteToken}`, { json })).json;
    }
    expect([calls, told.totalBytesRewritten, told.resource.storageClass]).toEqual([3, String(5 * MIB), 'COLDLINE']);
    expect((await bench.ask('POST', `${path}?rewriteToken=nonsense`, { json })).status).toBe(400);
    expect((await bench.ask('POST', `${path}?maxBytesRewrittenPerCall=5`, { json })).status).toBe(400);
  });

  it('onto itself makes a new generation of the same bytes', async () => {
    await file('self').save('bytes', { resumable: false });
    const [before] = await file('self').getMetadata();
    const { json } = await bench.ask('POST', '/storage/v1/b/box/o/self/rewriteTo/b/box/o/self', {
      json: { contentType: 'n/w' },
    });
    expect(Number(json.resource.generation)).toBeGreaterThan(Number(before.generation));
    expect((await file('self').download())[0].toString()).toBe('bytes');
  });
});
