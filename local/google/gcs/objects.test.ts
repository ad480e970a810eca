/** Objects by the real SDK: write, read, metadata, conditions, versions. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type GcsBench, openGcs } from '../../../test/local/gcs.ts';

let bench: GcsBench;
beforeAll(async () => {
  bench = await openGcs();
  bench.gcs.createBucket('plain');
  bench.gcs.createBucket('kept', { versioning: true });
});
afterAll(async () => {
  await bench.close();
  expect(bench.reports).toEqual([]);
});

const plain = () => bench.storage.bucket('plain');
const kept = () => bench.storage.bucket('kept');
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'fine',
    (error: { code: unknown }) => error.code,
  );

describe('an object', () => {
  it('comes back as it was written, with everything that was said of it', async () => {
    const file = plain().file('a/b c.txt');
    const metadata = {
      contentType: 'text/plain; charset=utf-8',
      contentLanguage: 'de',
      contentDisposition: 'attachment; filename="ü.txt"',
      cacheControl: 'private, max-age=1',
      customTime: '2026-01-02T03:04:05.000Z',
      storageClass: 'NEARLINE',
      metadata: { mixedCase: 'Wert ü', other: '2' },
    };
    await file.save('hello', { resumable: false, metadata });
    const [told] = await file.getMetadata();
    expect(told).toMatchObject({
      ...metadata,
      kind: 'storage#object',
      name: 'a/b c.txt',
      bucket: 'plain',
      size: '5',
      md5Hash: 'XUFAKrxLKna5cZ2REBfFkg==',
      crc32c: 'mnG7TA==',
      metageneration: '1',
    });
    expect(told.id).toBe(`plain/a/b c.txt/${told.generation}`);
    expect(told.timeDeleted).toBeUndefined();
    expect((await file.download())[0].toString()).toBe('hello');
    expect((await bench.ask('GET', '/plain/a/b%20c.txt')).headers.get('content-disposition')).toContain('filename');
  });

  it('has generations of microseconds that only grow', async () => {
    const seen: number[] = [];
    for (let i = 0; i < 5; i++) {
      const file = plain().file('grows');
      await file.save(String(i), { resumable: false });
      seen.push(Number(file.metadata.generation));
    }
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
    expect(Math.abs(seen[0]! / 1000 - Date.now())).toBeLessThan(60_000);
  });

  it('is patched field by field, and null removes', async () => {
    const file = plain().file('patched');
    await file.save('x', { resumable: false, metadata: { contentType: 'a/b', metadata: { one: '1', two: '2' } } });
    const { generation } = file.metadata;
    await file.setMetadata({ contentLanguage: 'fr', metadata: { two: null, three: '3' } });
    const [told] = await file.getMetadata();
    expect(told).toMatchObject({ generation, metageneration: '2', contentType: 'a/b', contentLanguage: 'fr' });
    expect(told.metadata).toEqual({ one: '1', three: '3' });
    const answer = await bench.ask('PATCH', '/storage/v1/b/plain/o/patched', {
      json: { metadata: null, contentType: null },
    });
    expect(answer.json.metadata).toBeUndefined();
    expect(answer.json.contentType).toBeUndefined();
    expect(answer.json.metageneration).toBe('3');
  });

  it('is updated as a whole: what is not named is gone', async () => {
    await plain()
      .file('updated')
      .save('x', { resumable: false, metadata: { contentType: 'a/b', metadata: { one: '1' } } });
    const { json } = await bench.ask('PUT', '/storage/v1/b/plain/o/updated', { json: { cacheControl: 'no-store' } });
    expect(json).toMatchObject({ cacheControl: 'no-store', metageneration: '2' });
    expect([json.contentType, json.metadata]).toEqual([undefined, undefined]);
  });

  it("that is not there is a 404 in Google's form", async () => {
    const { status, json } = await bench.ask('GET', '/storage/v1/b/plain/o/none');
    expect(status).toBe(404);
    const message = 'No such object: plain/none';
    expect(json).toEqual({
      error: { code: 404, message, errors: [{ message, domain: 'global', reason: 'notFound' }] },
    });
    expect(await codeOf(plain().file('none').delete())).toBe(404);
    expect(await codeOf(plain().file('none').setMetadata({ contentType: 'x/y' }))).toBe(404);
    expect(await codeOf(bench.storage.bucket('no-such-bucket').file('x').save('x', { resumable: false }))).toBe(404);
  });

  it('keeps no content type that nobody named, and is served as octets', async () => {
    const path = '/upload/storage/v1/b/plain/o?uploadType=media&name=untyped';
    const { json } = await bench.ask('POST', path, { body: new Uint8Array([1]) });
    expect(json.contentType).toBeUndefined();
    const { headers } = await bench.ask('GET', '/storage/v1/b/plain/o/untyped?alt=media');
    expect(headers.get('content-type')).toBe('application/octet-stream');
  });

  it('under a hold cannot be deleted or replaced until it is released', async () => {
    const file = plain().file('held');
    await file.save('x', { resumable: false, metadata: { temporaryHold: true } });
    expect(await codeOf(file.delete())).toBe(403);
    expect(await codeOf(file.save('y', { resumable: false }))).toBe(403);
    await file.setMetadata({ temporaryHold: false });
    expect(await codeOf(file.delete())).toBe('fine');
  });

  it('shows only the fields that were asked for', async () => {
    await plain()
      .file('some')
      .save('x', { resumable: false, metadata: { metadata: { a: '1', b: '2' } } });
    const one = await bench.ask('GET', '/storage/v1/b/plain/o/some?fields=name,metadata/a');
    expect(one.json).toEqual({ name: 'some', metadata: { a: '1' } });
    const list = await bench.ask('GET', '/storage/v1/b/plain/o?prefix=some&fields=items(name,size),nextPageToken');
    expect(list.json).toEqual({ items: [{ name: 'some', size: '1' }] });
    expect((await bench.ask('GET', '/storage/v1/b/plain/o?fields=items(name')).status).toBe(400);
  });
});

describe('a condition', () => {
  it('lets one of 64 racing creators win', async () => {
    const tries = Array.from({ length: 64 }, (_, i) =>
      codeOf(
        plain()
          .file('race')
          .save(`writer ${i}`, { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } }),
      ),
    );
    const codes = await Promise.all(tries);
    expect(codes.filter((code) => code === 'fine')).toHaveLength(1);
    expect(codes.filter((code) => code === 412)).toHaveLength(63);
    const won = codes.indexOf('fine');
    expect((await plain().file('race').download())[0].toString()).toBe(`writer ${won}`);
  });

  const generation = async (name: string) => {
    const file = plain().file(name);
    await file.save('x', { resumable: false });
    return String(file.metadata.generation);
  };

  it.each([
    ['GET', 'ifGenerationMatch', (g: string) => g, 200],
    ['GET', 'ifGenerationMatch', () => '1', 412],
    ['GET', 'ifGenerationMatch', () => '0', 412],
    ['GET', 'ifGenerationNotMatch', (g: string) => g, 304],
    ['GET', 'ifGenerationNotMatch', () => '1', 200],
    ['GET', 'ifMetagenerationMatch', () => '1', 200],
    ['GET', 'ifMetagenerationMatch', () => '2', 412],
    ['GET', 'ifMetagenerationNotMatch', () => '1', 304],
    ['GET', 'ifMetagenerationNotMatch', () => '2', 200],
    ['PATCH', 'ifGenerationMatch', () => '7', 412],
    ['PATCH', 'ifMetagenerationMatch', () => '7', 412],
    ['PATCH', 'ifMetagenerationMatch', () => '1', 200],
    ['PATCH', 'ifMetagenerationNotMatch', () => '1', 304],
    ['DELETE', 'ifGenerationMatch', () => '7', 412],
    ['DELETE', 'ifGenerationNotMatch', (g: string) => g, 304],
    ['DELETE', 'ifGenerationMatch', (g: string) => g, 204],
    ['GET', 'ifGenerationMatch', () => 'x', 400],
    ['GET', 'ifGenerationMatch', () => '99999999999999999999', 400],
  ] as const)('%s with %s of %s answers %i', async (method, name, value, status) => {
    const path = `/storage/v1/b/plain/o/conditional?${name}=${value(await generation('conditional'))}`;
    const answer = await bench.ask(method, path, method === 'PATCH' ? { json: { contentType: 'x/y' } } : {});
    expect(answer.status).toBe(status);
    if (status === 304) expect(answer.text).toBe('');
    if (status === 412) expect(answer.json.error.errors[0].reason).toBe('conditionNotMet');
    // Refused means untouched.
    const after = await bench.ask('GET', '/storage/v1/b/plain/o/conditional');
    if (status === 412 || status === 304) expect(after.json.metageneration).toBe('1');
  });

  it.each([
    ['ifGenerationMatch=5', 412],
    ['ifMetagenerationMatch=1', 412],
    ['ifGenerationNotMatch=0', 304],
    ['ifGenerationMatch=0', 200],
  ])('for a write where nothing stands, %s answers %i', async (condition, status) => {
    const name = encodeURIComponent(`nothing ${condition}`);
    const path = `/upload/storage/v1/b/plain/o?uploadType=media&name=${name}&${condition}`;
    expect((await bench.ask('POST', path, { body: 'x' })).status).toBe(status);
    expect((await bench.ask('GET', `/storage/v1/b/plain/o/${name}`)).status).toBe(status === 200 ? 200 : 404);
  });

  it('asked of what is missing is a 404 for all that do not create', async () => {
    for (const method of ['GET', 'PATCH', 'DELETE'])
      expect((await bench.ask(method, '/storage/v1/b/plain/o/none?ifGenerationMatch=5')).status).toBe(404);
  });

  it('by ETag works too', async () => {
    await generation('tagged');
    const path = '/storage/v1/b/plain/o/tagged';
    const { json } = await bench.ask('GET', path);
    expect((await bench.ask('GET', path, { headers: { 'if-none-match': json.etag } })).status).toBe(304);
    expect((await bench.ask('GET', path, { headers: { 'if-match': '"other"' } })).status).toBe(412);
  });
});

describe('a versioned bucket', () => {
  it('keeps what was replaced and deleted, by generation', async () => {
    const file = kept().file('doc');
    await file.save('one', { resumable: false });
    const first = String(file.metadata.generation);
    await file.save('two', { resumable: false });
    const second = String(file.metadata.generation);
    await file.delete();
    expect((await file.exists())[0]).toBe(false);
    const [all] = await kept().getFiles({ versions: true, prefix: 'doc' });
    expect(all.map((it) => String(it.metadata.generation))).toEqual([first, second]);
    expect(all.every((it) => it.metadata.timeDeleted)).toBe(true);
    expect((await kept().getFiles({ prefix: 'doc' }))[0]).toEqual([]);
    const old = kept().file('doc', { generation: Number(first) });
    expect((await old.download())[0].toString()).toBe('one');
    expect(await codeOf(kept().file('doc', { generation: 12345 }).download())).toBe(404);
  });

  it('purges a generation for good, the live one as well', async () => {
    const file = kept().file('purged');
    await file.save('one', { resumable: false });
    const first = Number(file.metadata.generation);
    await file.save('two', { resumable: false });
    await kept().file('purged', { generation: first }).delete();
    expect((await kept().getFiles({ versions: true, prefix: 'purged' }))[0]).toHaveLength(1);
    await kept()
      .file('purged', { generation: Number(file.metadata.generation) })
      .delete();
    expect((await kept().getFiles({ versions: true, prefix: 'purged' }))[0]).toEqual([]);
  });

  it('takes a create-only write where only noncurrent ones are', async () => {
    const file = kept().file('again');
    await file.save('one', { resumable: false });
    await file.delete();
    const only = { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } };
    expect(await codeOf(file.save('two', only))).toBe('fine');
    expect(await codeOf(file.save('three', only))).toBe(412);
  });

  it('that stops versioning keeps what it has, and deletes from then on', async () => {
    const [bucket] = await bench.storage.createBucket('was-kept', { versioning: { enabled: true } });
    const file = bucket.file('x');
    await file.save('one', { resumable: false });
    await file.save('two', { resumable: false });
    await bucket.setMetadata({ versioning: { enabled: false } });
    await file.delete();
    expect((await bucket.getFiles({ versions: true }))[0]).toHaveLength(1);
  });
});
