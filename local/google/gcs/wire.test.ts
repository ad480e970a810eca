/** What no SDK would send: awkward names, malformed requests, forged headers; and the XML API and batches, byte for byte. */

import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crc32c, toCrc32cText } from '#shared/model/crc.ts';
import { type GcsBench, openGcs } from '../../../test/local/gcs.ts';

const MIB = 1024 * 1024;

let bench: GcsBench;
beforeAll(async () => {
  bench = await openGcs();
  bench.gcs.createBucket('box');
  bench.gcs.createBucket('uniform', { uniformAccess: true });
});
afterAll(async () => {
  await bench.close();
  expect(bench.reports).toEqual([]);
});

const object = (name: string) => `/storage/v1/b/box/o/${encodeURIComponent(name)}`;
const upload = (query: string) => `/upload/storage/v1/b/box/o?${query}`;
const names = async () =>
  ((await bench.ask('GET', '/storage/v1/b/box/o')).json.items ?? []).map((it: { name: string }) => it.name);

describe('awkward names', () => {
  const composed = 'é';
  const AWKWARD = [
    'a space and 100%',
    '%41 is not A',
    'plus+and&and=and?and#',
    'a/../b',
    './a',
    '../../etc/passwd',
    'a//b',
    '/leading',
    'trailing/',
    'trailing.',
    '...',
    'back\\slash',
    `NFC ${composed}`,
    `NFD ${composed.normalize('NFD')}`,
    'emoji 🧊👩‍👩‍👧',
    '日本語/ключ',
    'control \u0001\u0007\t\u007f\u0085',
    'nul \u0000 inside',
    '"quotes" <xml> & \'more\'',
    "; DROP TABLE gcs_objects; --'",
    '\u{10ffff}',
    '\ufffe and \uffff',
    'x'.repeat(1024),
    'ü'.repeat(512),
    Array.from({ length: 254 }, () => 'd').join('/'),
  ];

  it.each(AWKWARD.map((name) => [name.length > 60 ? `${name.slice(0, 60)}...` : name, name] as const))(
    'come and go unchanged: %j',
    async (_short, name) => {
      const file = bench.storage.bucket('box').file(name);
      await file.save(`body of ${name}`, { resumable: false });
      expect((await file.getMetadata())[0].name).toBe(name);
      expect((await file.download())[0].toString()).toBe(`body of ${name}`);
      const [listed] = await bench.storage.bucket('box').getFiles({ prefix: name });
      expect(listed.map((it) => it.name)).toContain(name);
      const media = await bench.ask('POST', upload(`uploadType=media&name=${encodeURIComponent(name)}`), {
        body: 'again',
      });
      expect(media.json.name).toBe(name);
      const xml = await bench.ask('GET', `/box/${encodeURIComponent(name)}`);
      expect([xml.status, xml.text]).toEqual([200, 'again']);
      await file.delete();
      expect(await names()).not.toContain(name);
    },
  );

  it.each([
    ['empty', ''],
    ['too long', 'x'.repeat(1025)],
    ['too long in UTF-8', `${'ü'.repeat(512)}x`],
    ['a line feed', 'a\nb'],
    ['a carriage return', 'a\rb'],
    ['one dot', '.'],
    ['two dots', '..'],
    ['a challenge', '.well-known/acme-challenge/x'],
  ])('that are refused: %s', async (_what, name) => {
    const before = await names();
    const query = `uploadType=media&name=${encodeURIComponent(name)}`;
    expect((await bench.ask('POST', upload(query), { body: 'x' })).status).toBe(400);
    expect((await bench.ask('POST', upload('uploadType=resumable'), { json: { name } })).status).toBe(400);
    expect(await names()).toEqual(before);
  });

  it('that are no UTF-8 are refused', async () => {
    expect((await bench.ask('GET', '/storage/v1/b/box/o/%ff%fe')).status).toBe(400);
    expect((await bench.ask('PUT', '/box/%ff', { body: 'x' })).status).toBe(400);
    const json = Buffer.from('{"name":"\\ud800"}');
    const headers = { 'content-type': 'application/json' };
    expect((await bench.ask('POST', upload('uploadType=resumable'), { headers, body: json })).status).toBe(400);
  });

  it.each(['a', 'UPPER', '-a-', 'a..b', '1.2.3.4', 'goog-thing', 'x'.repeat(64), 'under score', '../up'])(
    'of buckets that are refused: %s',
    async (name) => {
      const { status, json } = await bench.ask('POST', '/storage/v1/b?project=local-project', { json: { name } });
      expect([status, json.error.errors[0].reason]).toEqual([400, 'invalid']);
    },
  );
});

describe('malformed requests', () => {
  it.each([
    ['GET', '/', 404],
    ['GET', '/storage/v1/', 404],
    ['GET', '/storage/v1/b/box/o/a/b/c', 404],
    ['TRACE', '/storage/v1/b/box', 404],
    ['POST', '/upload/storage/v1/b/box/o', 404],
    ['POST', '/upload/storage/v1/b/box/o?uploadType=magic&name=x', 404],
    ['GET', '/storage/v1/b', 400],
    ['GET', '/storage/v1/b/box/o?maxResults=x', 400],
    ['GET', '/storage/v1/b/box/o?maxResults=-1', 400],
    ['GET', '/storage/v1/b/box/o?pageToken=nonsense', 400],
    ['GET', '/storage/v1/b/box/o/x?generation=abc', 400],
    ['GET', '/storage/v1/b/%2e%2e%2fbox/o', 404],
    ['GET', '//////', 404],
    ['POST', '/batch/storage/v1', 400],
  ])('%s %s answers %i in JSON', async (method, path, status) => {
    const { text, head } = await raw(
      `${method} ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
    );
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(JSON.parse(text).error.code).toBe(status);
  });

  it.each([
    '{',
    '[]',
    '"x"',
    '\u0000',
    '{"metadata":5}',
    '{"metadata":{"a":{}}}',
    '{"contentType":7}',
    '{"customTime":"soon"}',
  ])('JSON such as %j leaves the object as it was', async (body) => {
    await bench.storage.bucket('box').file('json').save('x', { resumable: false });
    const headers = { 'content-type': 'application/json' };
    expect((await bench.ask('PATCH', object('json'), { headers, body })).status).toBe(400);
    expect((await bench.ask('GET', object('json'))).json.metageneration).toBe('1');
  });

  it.each([
    ['no boundary', 'multipart/related', '--x\r\n\r\n{}\r\n--x\r\n\r\nb\r\n--x--'],
    ['another boundary', 'multipart/related; boundary=y', '--x\r\n\r\n{"name":"m"}\r\n--x\r\n\r\nb\r\n--x--'],
    ['no end', 'multipart/related; boundary=x', '--x\r\n\r\n{"name":"m"}\r\n--x\r\n\r\nb'],
    ['one part', 'multipart/related; boundary=x', '--x\r\n\r\n{"name":"m"}\r\n--x--'],
    [
      'three parts',
      'multipart/related; boundary=x',
      '--x\r\n\r\n{"name":"m"}\r\n--x\r\n\r\nb\r\n--x\r\n\r\nc\r\n--x--',
    ],
    ['no JSON', 'multipart/related; boundary=x', '--x\r\n\r\nname\r\n--x\r\n\r\nb\r\n--x--'],
    ['no name', 'multipart/related; boundary=x', '--x\r\n\r\n{}\r\n--x\r\n\r\nb\r\n--x--'],
    ['endless headers', 'multipart/related; boundary=x', `--x\r\na: ${'a'.repeat(40_000)}`],
    ['nothing', 'multipart/related; boundary=x', ''],
    [
      'two types',
      'multipart/related; boundary=x',
      '--x\r\n\r\n{"name":"m","contentType":"a/b"}\r\n--x\r\ncontent-type: c/d\r\n\r\nb\r\n--x--',
    ],
  ])('multipart with %s writes nothing', async (_what, type, body) => {
    const before = await names();
    const answer = await bench.ask('POST', upload('uploadType=multipart'), { headers: { 'content-type': type }, body });
    expect(answer.status).toBe(400);
    expect(await names()).toEqual(before);
  });

  it('multipart keeps every byte, boundaries look-alikes as well, however it is cut', async () => {
    const body = Buffer.concat([randomBytes(1000), Buffer.from('\r\n--mark\r-\r\n--mar\r\n--'), randomBytes(1000)]);
    const text = Buffer.concat([
      Buffer.from(
        'preamble\r\n--marker\r\nContent-Type: application/json\r\n\r\n{"name":"look-alike"}\r\n--marker\r\n\r\n',
      ),
      body,
      Buffer.from('\r\n--marker--\r\nepilogue'),
    ]);
    const head = `POST ${upload('uploadType=multipart')} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${text.length}\r\n`;
    const sent = await raw(`${head}content-type: multipart/related; boundary="marker"\r\n\r\n`, text, 7);
    expect(sent.head).toMatch(/^HTTP\/1.1 200 /);
    expect((await bench.storage.bucket('box').file('look-alike').download())[0].equals(body)).toBe(true);
  });

  it('multipart with bare line feeds is read as Python clients write it', async () => {
    const body =
      '--=x==\nContent-Type: application/json\n\n{"name":"feeds"}\n--=x==\nContent-Type: a/b\n\n\r\nbody\r\n\n--=x==--\n';
    const headers = { 'content-type': "multipart/related; boundary='=x=='" };
    const { json } = await bench.ask('POST', upload('uploadType=multipart'), { headers, body });
    expect(json).toMatchObject({ name: 'feeds', contentType: 'a/b', size: '8' });
    expect((await bench.ask('GET', '/box/feeds')).text).toBe('\r\nbody\r\n');
  });

  it('an upload that breaks off leaves nothing', async () => {
    const { status } = await bench.ask('GET', object('broken-off'));
    const socket = connect(bench.gcs.port, '127.0.0.1');
    const path = upload('uploadType=media&name=broken-off');
    socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nonly this`);
    await new Promise<void>((resolve) => setImmediate(resolve));
    socket.destroy();
    expect(status).toBe(404);
    // The end of that connection may be noticed after a question or two.
    for (let i = 0; i < 20; i++) expect((await bench.ask('GET', object('broken-off'))).status).toBe(404);
  });

  it('metadata of more than 8 KiB is refused, just below it is not', async () => {
    const file = bench.storage.bucket('box').file('much');
    const save = (bytes: number) =>
      file.save('x', { resumable: false, metadata: { contentType: '', metadata: { k: 'v'.repeat(bytes) } } });
    await expect(save(8192)).rejects.toMatchObject({ code: 400 });
    await save(8000);
    expect((await file.getMetadata())[0].metadata).toEqual({ k: 'v'.repeat(8000) });
  });

  it('nothing can break into a header', async () => {
    const file = bench.storage.bucket('box').file('forged');
    for (const field of ['contentType', 'contentDisposition', 'cacheControl', 'contentLanguage', 'contentEncoding'])
      expect(
        (await bench.ask('POST', upload('uploadType=resumable&name=forged'), { json: { [field]: 'a\r\nx-forged: 1' } }))
          .status,
      ).toBe(400);
    await file.save('x', {
      resumable: false,
      metadata: { metadata: { ok: 'a\r\nx-forged: 1', 'bad name:': 'x', ünï: 'ü' } },
    });
    const { headers, status } = await bench.ask('GET', '/box/forged');
    expect([status, headers.get('x-forged'), headers.get('x-goog-meta-ok')]).toEqual([200, null, 'a%0D%0Ax-forged: 1']);
    const start = await raw(
      `POST ${upload('uploadType=resumable&name=x')} HTTP/1.1\r\nhost: evil"><host\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
    );
    expect(start.head).toMatch(new RegExp(`location: http://127.0.0.1:${bench.gcs.port}/upload`, 'i'));
  });

  it('what is not done here is refused, not ignored', async () => {
    const unsupported = [
      ['POST', '/storage/v1/b?project=p', { name: 'kept-long', retentionPolicy: { retentionPeriod: '5' } }],
      ['POST', upload('uploadType=resumable&name=x'), { kmsKeyName: 'projects/p/keys/k' }],
      ['GET', '/storage/v1/b/box/o?matchGlob=**', undefined],
    ] as const;
    for (const [method, path, json] of unsupported) expect((await bench.ask(method, path, { json })).status).toBe(501);
    const headers = { 'x-goog-encryption-key': 'AAAA' };
    expect((await bench.ask('PUT', '/box/secret', { headers, body: 'x' })).status).toBe(501);
    const acl = '/upload/storage/v1/b/uniform/o?uploadType=media&name=x&predefinedAcl=publicRead';
    expect((await bench.ask('POST', acl, { body: 'x' })).status).toBe(400);
  });
});

describe('the XML API', () => {
  it('writes with metadata in headers, and reads it back', async () => {
    const body = Buffer.from('<bytes>');
    const written = await bench.ask('PUT', '/box/by-xml', {
      headers: {
        'content-type': 'text/x',
        'cache-control': 'no-store',
        'x-goog-meta-a': '1',
        'x-goog-hash': `crc32c=${toCrc32cText(crc32c(body))}`,
        'x-goog-if-generation-match': '0',
      },
      body,
    });
    expect(written.status).toBe(200);
    const read = await bench.ask('HEAD', '/box/by-xml');
    expect(Object.fromEntries(read.headers)).toMatchObject({
      'content-type': 'text/x',
      'content-length': '7',
      'cache-control': 'no-store',
      'x-goog-meta-a': '1',
      'x-goog-generation': written.headers.get('x-goog-generation'),
      'x-goog-metageneration': '1',
      'x-goog-hash': expect.stringMatching(/^crc32c=.*,md5=/),
      etag: written.headers.get('etag'),
    });
    const { json } = await bench.ask('GET', object('by-xml'));
    expect(json).toMatchObject({ contentType: 'text/x', metadata: { a: '1' } });
    const again = await bench.ask('PUT', '/box/by-xml', { headers: { 'x-goog-if-generation-match': '0' }, body: 'x' });
    expect([again.status, again.text]).toEqual([412, expect.stringContaining('<Code>PreconditionFailed</Code>')]);
  });

  it('answers errors in XML', async () => {
    const missing = await bench.ask('GET', '/box/none%3C%00%3E');
    expect([missing.status, missing.headers.get('content-type')]).toEqual([404, 'application/xml; charset=UTF-8']);
    expect(missing.text).toContain('<Code>NoSuchKey</Code><Message>No such object: box/none&#60;\ufffd&#62;</Message>');
    expect((await bench.ask('GET', '/no-such-bucket/x')).text).toContain('<Code>NoSuchBucket</Code>');
    expect((await bench.ask('PUT', '/box/x', { headers: { 'content-md5': 'AAAA' }, body: 'x' })).text).toContain(
      'BadDigest',
    );
  });

  it('deletes, by generation too, and copies', async () => {
    await bench.ask('PUT', '/box/one', { headers: { 'x-goog-meta-a': '1' }, body: 'x' });
    const copied = await bench.ask('PUT', '/box/two', { headers: { 'x-goog-copy-source': 'box/one' } });
    expect([copied.status, copied.text]).toEqual([200, expect.stringContaining('<CopyObjectResult>')]);
    expect((await bench.ask('GET', object('two'))).json.metadata).toEqual({ a: '1' });
    expect((await bench.ask('DELETE', '/box/two?generation=1')).status).toBe(404);
    expect((await bench.ask('DELETE', '/box/two', { headers: { 'x-goog-if-generation-match': '1' } })).status).toBe(
      412,
    );
    expect((await bench.ask('DELETE', '/box/two')).status).toBe(204);
    expect((await bench.ask('DELETE', '/box/two')).status).toBe(404);
  });

  it('uploads in parts, in any order and at once', async () => {
    const started = await bench.ask('POST', '/box/in-parts?uploads', {
      headers: { 'content-type': 'x/y', 'x-goog-meta-a': '1' },
    });
    const id = /<UploadId>(.*)<\/UploadId>/.exec(started.text)?.[1];
    const parts = [randomBytes(5 * MIB), randomBytes(5 * MIB), randomBytes(10)];
    const put = async (index: number) => {
      const { headers } = await bench.ask('PUT', `/box/in-parts?partNumber=${index + 1}&uploadId=${id}`, {
        body: parts[index]!,
      });
      return String(headers.get('etag'));
    };
    const etags = (await Promise.all([2, 0, 1].map(put))).map((_, i, all) => all[[1, 2, 0][i]!]!);
    const listed = await bench.ask('GET', `/box/in-parts?uploadId=${id}&max-parts=2`);
    expect(listed.text.match(/<PartNumber>\d/g)).toEqual(['<PartNumber>1', '<PartNumber>2']);
    expect((await bench.ask('GET', '/box?uploads')).text).toContain(String(id));
    const complete = (numbers: number[], tags = etags) => {
      const inside = numbers.map(
        (n) => `<Part><PartNumber>${n}</PartNumber><ETag>${tags[n - 1]?.replaceAll('"', '&quot;')}</ETag></Part>`,
      );
      const body = `<CompleteMultipartUpload>${inside.join('')}</CompleteMultipartUpload>`;
      return bench.ask('POST', `/box/in-parts?uploadId=${id}`, { body });
    };
    expect((await complete([2, 1])).text).toContain('InvalidPartOrder');
    expect((await complete([1], ['"0"'])).text).toContain('InvalidPart');
    expect((await complete([1, 3, 4])).text).toContain('InvalidPart');
    for (const body of ['', '<a', '<x/>', '<CompleteMultipartUpload/>'])
      expect((await bench.ask('POST', `/box/in-parts?uploadId=${id}`, { body })).text).toContain('MalformedXML');
    expect((await bench.ask('GET', object('in-parts'))).status).toBe(404);
    const done = await complete([1, 2, 3]);
    expect([done.status, done.text]).toEqual([200, expect.stringContaining('<CompleteMultipartUploadResult>')]);
    const whole = Buffer.concat(parts);
    const { json } = await bench.ask('GET', object('in-parts'));
    expect(json).toMatchObject({ contentType: 'x/y', size: String(whole.length), crc32c: toCrc32cText(crc32c(whole)) });
    expect([json.md5Hash, json.metadata]).toEqual([undefined, { a: '1' }]);
    expect((await bench.storage.bucket('box').file('in-parts').download())[0].equals(whole)).toBe(true);
    expect((await complete([1, 2, 3])).status).toBe(404);
  });

  it('refuses small parts before the last one, and forgets what is aborted', async () => {
    const { text } = await bench.ask('POST', '/box/small-parts?uploads');
    const id = /<UploadId>(.*)<\/UploadId>/.exec(text)?.[1];
    const tags: (string | null)[] = [];
    for (const part of [1, 2]) {
      const { headers } = await bench.ask('PUT', `/box/small-parts?partNumber=${part}&uploadId=${id}`, {
        body: 'small',
      });
      tags.push(headers.get('etag'));
    }
    const inside = tags.map((tag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${tag}</ETag></Part>`).join('');
    const body = `<CompleteMultipartUpload>${inside}</CompleteMultipartUpload>`;
    expect((await bench.ask('POST', `/box/small-parts?uploadId=${id}`, { body })).text).toContain('EntityTooSmall');
    expect((await bench.ask('PUT', `/box/small-parts?partNumber=0&uploadId=${id}`, { body: 'x' })).status).toBe(400);
    expect((await bench.ask('DELETE', `/box/small-parts?uploadId=${id}`)).status).toBe(204);
    expect((await bench.ask('PUT', `/box/small-parts?partNumber=1&uploadId=${id}`, { body: 'x' })).text).toContain(
      'NoSuchUpload',
    );
  });
});

describe('a batch', () => {
  it('answers every call by its id, the failing ones too', async () => {
    await bench.storage.bucket('box').file('batched').save('x', { resumable: false });
    const inner = [
      `PATCH ${object('batched')} HTTP/1.1\r\ncontent-type: application/json\r\n\r\n{"contentType":"b/c"}`,
      `DELETE ${object('none')} HTTP/1.1\r\n\r\n`,
      `GET ${object('batched')}?fields=contentType HTTP/1.1\r\n\r\n`,
      'POST /batch/storage/v1 HTTP/1.1\r\n\r\n',
      `DELETE ${object('batched')} HTTP/1.1\r\n\r\n`,
    ];
    const parts = inner.map(
      (it, i) => `--mark\r\nContent-Type: application/http\r\nContent-ID: <it+${i}>\r\n\r\n${it}\r\n`,
    );
    const headers = { 'content-type': 'multipart/mixed; boundary=mark' };
    const { status, text } = await bench.ask('POST', '/batch/storage/v1', {
      headers,
      body: `${parts.join('')}--mark--`,
    });
    expect(status).toBe(200);
    const codes = [...text.matchAll(/Content-ID: <response-it\+(\d)>\r\n\r\nHTTP\/1.1 (\d+)/g)].map(
      ([, id, code]) => `${id}:${code}`,
    );
    expect(codes).toEqual(['0:200', '1:404', '2:200', '3:404', '4:204']);
    expect(text).toContain('{"contentType":"b/c"}');
  });

  it('with garbage inside is refused', async () => {
    const headers = { 'content-type': 'multipart/mixed; boundary=mark' };
    const one = '--mark\r\nContent-Type: application/http\r\n\r\nGET /storage/v1/b/box HTTP/1.1\r\n\r\n\r\n';
    for (const body of ['', '--mark\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\n--mark--', `${one.repeat(101)}--mark--`])
      expect((await bench.ask('POST', '/batch/storage/v1', { headers, body })).status).toBe(400);
  });
});

/** Exactly these bytes, in pieces of `size` when it is given. */
function raw(head: string, body: Uint8Array = Buffer.alloc(0), size = 0): Promise<{ head: string; text: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect(bench.gcs.port, '127.0.0.1');
    socket.setNoDelay(true);
    socket.write(head);
    const step = size || Math.max(1, body.length);
    for (let at = 0; at < body.length; at += step) socket.write(body.subarray(at, at + step));
    const pieces: Buffer[] = [];
    socket.on('data', (piece) => pieces.push(piece)).on('error', reject);
    socket.on('close', () => {
      const all = Buffer.concat(pieces).toString();
      const at = all.indexOf('\r\n\r\n');
      resolve({ head: all.slice(0, at), text: all.slice(at + 4) });
    });
  });
}
