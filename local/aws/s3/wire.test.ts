/** The local S3 against what no SDK would send: forged, malformed, hostile and cut short. */

import { connect } from 'node:net';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ask, ask, hmac, openTestS3, prepare, sha256, signingKey, type TestS3 } from '../../../test/local/s3.ts';

let world: TestS3;
let port: number;

beforeAll(async () => {
  world = await openTestS3();
  port = world.service.port;
  world.service.createBucket('bucket');
});

afterAll(async () => {
  await world.stop();
  expect(world.reports).toEqual([]);
});

const send = (method: string, target: string, wish?: Ask) => ask(port, method, target, wish);
const answer = async (method: string, target: string, wish?: Ask) => {
  const { status, code } = await send(method, target, wish);
  return code === '' ? `${status}` : `${status} ${code}`;
};
const keys = async () => (await send('GET', '/bucket?list-type=2')).text.match(/<Key>[^<]*<\/Key>/g) ?? [];

describe('an error', () => {
  it('is told in the form of S3', async () => {
    const told = await send('GET', '/bucket/no%20such%3Ckey%3E');
    expect(told.headers['content-type']).toBe('application/xml');
    expect(told.headers['x-amz-request-id']).toMatch(/^[0-9A-F]{16}$/);
    expect(told.headers['x-amz-id-2']).toBeDefined();
    const id = told.headers['x-amz-request-id'];
    expect(told.text).toContain('<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>');
    expect(told.text).toContain('<Key>no such&lt;key&gt;</Key><Resource>/bucket/no%20such%3Ckey%3E</Resource>');
    expect(told.text).toContain(`<RequestId>${id}</RequestId>`);
  });
});

describe('refused is', () => {
  const refused: readonly (readonly [string, string, method: string, target: string, wish?: Ask])[] = [
    ['a wrong secret', '403 SignatureDoesNotMatch', 'PUT', '/bucket/x', { body: 'x', secret: 'guessed' }],
    [
      'another body than the signed one',
      '400 XAmzContentSHA256Mismatch',
      'PUT',
      '/bucket/x',
      { body: 'x', payloadHash: sha256('y') },
    ],
    ['a hash that is none', '400 InvalidArgument', 'PUT', '/bucket/x', { body: 'x', payloadHash: 'rubbish' }],
    [
      'an unknown way of streaming',
      '501 NotImplemented',
      'PUT',
      '/bucket/x',
      { payloadHash: 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD' },
    ],
    [
      'a header that was not signed',
      '403 AccessDenied',
      'PUT',
      '/bucket/x',
      { body: 'x', unsigned: { 'x-amz-meta-a': '1' } },
    ],
    [
      'a sub-resource of a bucket that is not here',
      '501 NotImplemented',
      'PUT',
      '/bucket?replication',
      { body: '<a/>' },
    ],
    ['a sub-resource nobody knows', '501 NotImplemented', 'GET', '/bucket?surprise'],
    [
      'a sub-resource of an object that is not here',
      '501 NotImplemented',
      'PUT',
      '/bucket/x?retention',
      { body: '<a/>' },
    ],
    ['a method nobody knows', '405 MethodNotAllowed', 'PATCH', '/bucket/x'],
    ['a form', '405 MethodNotAllowed', 'POST', '/bucket'],
    ['a path that is no UTF-8', '400 InvalidURI', 'PUT', '/bucket/%ff', { body: 'x' }],
    ['an ACL', '400 AccessControlListNotSupported', 'PUT', '/bucket/x', { headers: { 'x-amz-acl': 'public-read' } }],
    [
      'a key of the client',
      '400 InvalidRequest',
      'PUT',
      '/bucket/x',
      { headers: { 'x-amz-server-side-encryption-customer-algorithm': 'AES256' } },
    ],
    [
      'an encryption nobody knows',
      '400 InvalidArgument',
      'PUT',
      '/bucket/x',
      { headers: { 'x-amz-server-side-encryption': 'rot13' } },
    ],
    [
      'somebody else as the owner',
      '403 AccessDenied',
      'PUT',
      '/bucket/x',
      { headers: { 'x-amz-expected-bucket-owner': '111111111111' } },
    ],
    [
      'a condition of a directory bucket',
      '501 NotImplemented',
      'DELETE',
      '/bucket/x',
      { headers: { 'x-amz-if-match-size': '1' } },
    ],
    [
      'two checksums',
      '400 InvalidRequest',
      'PUT',
      '/bucket/x',
      { headers: { 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-crc32c': 'AAAAAA==' } },
    ],
    [
      'a checksum that is not here',
      '501 NotImplemented',
      'PUT',
      '/bucket/x',
      { headers: { 'x-amz-checksum-xxhash64': 'AAAAAAAAAAA=' } },
    ],
    [
      'an algorithm without its checksum',
      '400 InvalidRequest',
      'PUT',
      '/bucket/x',
      { headers: { 'x-amz-sdk-checksum-algorithm': 'CRC32' } },
    ],
    ['a tag twice', '400 InvalidTag', 'PUT', '/bucket/x', { headers: { 'x-amz-tagging': 'a=1&a=2' } }],
    ['a copy of nothing', '400 InvalidArgument', 'PUT', '/bucket/x', { headers: { 'x-amz-copy-source': 'bucket' } }],
    [
      'headers of nine kilobytes',
      '400 RequestHeaderSectionTooLarge',
      'PUT',
      '/bucket/x',
      { headers: { 'x-note': 'n'.repeat(9000) } },
    ],
    [
      'a list of deletes without a checksum',
      '400 InvalidRequest',
      'POST',
      '/bucket?delete',
      { body: '<Delete><Object><Key>a</Key></Object></Delete>' },
    ],
  ];
  for (const [what, expected, method, target, wish] of refused)
    it(what, async () => {
      expect(await answer(method, target, wish)).toBe(expected);
      expect(await keys()).toEqual([]);
    });

  it('whoever does not sign', async () => {
    const told = await fetch(`${world.endpoint}/bucket/x`, { method: 'PUT', body: 'x' });
    expect([told.status, await told.text()]).toEqual([403, expect.stringContaining('<Code>AccessDenied</Code>')]);
  });

  it('a signature of another time', async () => {
    const old = prepare(port, 'GET', '/bucket', {}, new Date(Date.now() - 16 * 60_000));
    const told = await fetch(`${world.endpoint}/bucket`, { headers: old.prepared });
    expect([told.status, await told.text()]).toEqual([403, expect.stringContaining('RequestTimeTooSkewed')]);
    world.cloud.faults.add({ effect: { kind: 'clock', aheadMs: 16 * 60_000 } });
    expect(await answer('GET', '/bucket')).toBe('403 RequestTimeTooSkewed');
    world.cloud.faults.clear();
    expect(await answer('GET', '/bucket')).toBe('200');
  });
});

describe('XML', () => {
  const bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>';
  const malformed = [
    'rubbish',
    '<Tagging>',
    '<Tagging><TagSet></Tagging></TagSet>',
    '<Other/>',
    `${bomb}<Tagging><TagSet><Tag><Key>&b;</Key><Value/></Tag></TagSet></Tagging>`,
    '<!DOCTYPE x SYSTEM "file:///etc/passwd"><Tagging><TagSet/></Tagging>',
    '<Tagging><TagSet><Tag><Key>&nobody;</Key><Value/></Tag></TagSet></Tagging>',
    '<Tagging><TagSet><Tag><Key>&#xd800;</Key><Value/></Tag></TagSet></Tagging>',
    '<Tagging><TagSet><Tag><Key>\u0001</Key><Value/></Tag></TagSet></Tagging>',
    `<Tagging>${'<a>'.repeat(10_000)}</Tagging>`,
  ];
  it.each(malformed)('that is no XML, or not this one, is refused: %.60s', async (body) => {
    expect(await answer('PUT', '/bucket?tagging', { body })).toBe('400 MalformedXML');
    expect(await answer('GET', '/bucket?tagging')).toBe('404 NoSuchTagSet');
  });

  it('of many megabytes is refused', async () => {
    const body = `<Tagging>${' '.repeat(5 * 1024 * 1024)}</Tagging>`;
    expect(await answer('PUT', '/bucket?tagging', { body })).toBe('400 MaxMessageLengthExceeded');
  });

  it('with references and CDATA is read', async () => {
    const tag = '<Tag><Key>a&#x2d;<![CDATA[b]]></Key><Value/></Tag>';
    const plain = '<Tag><Key>&#x41;&#66;</Key><Value><![CDATA[C]]></Value></Tag>';
    const mixed = { body: `<Tagging><TagSet>${tag}</TagSet></Tagging>` };
    expect(await answer('PUT', '/bucket?tagging', mixed)).toBe('400 MalformedXML');
    await send('PUT', '/bucket?tagging', { body: `<x:Tagging xmlns:x="y"><TagSet>${plain}</TagSet></x:Tagging>` });
    expect((await send('GET', '/bucket?tagging')).text).toContain('<Key>AB</Key><Value>C</Value>');
    await send('DELETE', '/bucket?tagging');
  });
});

describe('a header of an answer', () => {
  it('is never one that the client made up', async () => {
    await send('PUT', '/bucket/x', { body: 'x' });
    const target = '/bucket/x?response-content-type=text%2Fplain%0D%0AX-Evil%3A%20yes';
    expect(await answer('GET', target)).toBe('400 InvalidArgument');
    const fine = await send('GET', '/bucket/x?response-content-type=text%2Fplain');
    expect([fine.headers['content-type'], fine.text]).toEqual(['text/plain', 'x']);
    await send('DELETE', '/bucket/x');
  });

  it('brings metadata of any letters back in ASCII', async () => {
    const latin = { 'x-amz-meta-name': Buffer.from('caf\u00e9 \u20ac').toString('latin1') };
    const words = { 'x-amz-meta-name': `=?UTF-8?B?${Buffer.from('caf\u00e9 \u20ac').toString('base64')}?=` };
    await send('PUT', '/bucket/x', { headers: words });
    const { headers } = await send('HEAD', '/bucket/x');
    expect(headers['x-amz-meta-name']).toBe(words['x-amz-meta-name']);
    expect(Buffer.from(latin['x-amz-meta-name'], 'latin1').toString()).toBe('caf\u00e9 \u20ac');
    await send('DELETE', '/bucket/x');
  });
});

describe('a streamed body', () => {
  const pieces = ['a'.repeat(70_000), 'b'.repeat(10), ''];
  const whole = pieces.join('');

  /** Signed chunks; `forge` may change the text of one. */
  function chunksOf(seed: string, date: string, forge = (_index: number, piece: string) => piece): string {
    const key = signingKey(date.slice(0, 8));
    const scope = `${date.slice(0, 8)}/us-east-1/s3/aws4_request`;
    let previous = seed;
    return pieces
      .map((piece, index) => {
        const text = ['AWS4-HMAC-SHA256-PAYLOAD', date, scope, previous, sha256(''), sha256(piece)].join('\n');
        previous = hmac(key, text).toString('hex');
        return `${piece.length.toString(16)};chunk-signature=${previous}\r\n${forge(index, piece)}\r\n`;
      })
      .join('');
  }

  async function putChunks(forge?: (index: number, piece: string) => string): Promise<string> {
    const payloadHash = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
    const headers = { 'x-amz-decoded-content-length': String(whole.length), 'content-encoding': 'aws-chunked' };
    const { prepared, signature, date } = prepare(port, 'PUT', '/bucket/streamed', { headers, payloadHash });
    const body = chunksOf(signature, date, forge);
    const { host: _, 'content-length': __, ...rest } = prepared;
    const told = await fetch(`${world.endpoint}/bucket/streamed`, { method: 'PUT', headers: rest, body });
    return `${told.status} ${/<Code>(\w+)/.exec(await told.text())?.[1] ?? ''}`.trim();
  }

  it('is taken when every chunk is signed', async () => {
    expect(await putChunks()).toBe('200');
    const told = await send('GET', '/bucket/streamed');
    expect(told.text).toBe(whole);
    expect(told.headers['content-encoding']).toBeUndefined();
    await send('DELETE', '/bucket/streamed');
  });

  it('is refused when one chunk was changed', async () => {
    const forge = (index: number, piece: string) => (index === 1 ? 'c'.repeat(10) : piece);
    expect(await putChunks(forge)).toBe('403 SignatureDoesNotMatch');
    expect(await keys()).toEqual([]);
  });

  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32('hello'));
  const sum = crc.toString('base64');
  const trailed: readonly (readonly [what: string, body: string, expected: string])[] = [
    ['the promised checksum', `5\r\nhello\r\n0\r\nx-amz-checksum-crc32:${sum}\r\n\r\n`, '200'],
    ['another checksum', '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n', '400 BadDigest'],
    ['no checksum', '5\r\nhello\r\n0\r\n\r\n', '400 MalformedTrailerError'],
    ['something else', '5\r\nhello\r\n0\r\nx-amz-meta-a:b\r\n\r\n', '400 MalformedTrailerError'],
    ['a length that is none', 'zz\r\nhello\r\n0\r\n\r\n', '400 IncompleteBody'],
    ['fewer bytes', `4\r\nhell\r\n0\r\nx-amz-checksum-crc32:${sum}\r\n\r\n`, '400 IncompleteBody'],
    ['more bytes', `6\r\nhello!\r\n0\r\nx-amz-checksum-crc32:${sum}\r\n\r\n`, '400 IncompleteBody'],
    ['an end in the middle', '5\r\nhel', '400 IncompleteBody'],
    ['a line without end', 'f'.repeat(20_000), '400 IncompleteBody'],
  ];
  it.each(trailed)('with %s behind it is answered as S3 does', async (_what, body, expected) => {
    const headers = { 'x-amz-decoded-content-length': '5', 'x-amz-trailer': 'x-amz-checksum-crc32' };
    const wish = { headers, body, payloadHash: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' };
    expect(await answer('PUT', '/bucket/trailed', wish)).toBe(expected);
    expect(await keys()).toEqual(expected === '200' ? ['<Key>trailed</Key>'] : []);
    await send('DELETE', '/bucket/trailed');
  });
});

describe('a connection', () => {
  const talk = (text: string, until: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(text));
      let heard = '';
      socket.on('data', (piece) => {
        heard += piece;
        if (until.test(heard)) socket.destroy();
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(heard));
    });
  const headOf = (prepared: Record<string, string>) =>
    Object.entries(prepared)
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('');

  it('that asks whether to send its body is told to go on, or why not', async () => {
    const right = prepare(port, 'PUT', '/bucket/asked', { body: 'hello' });
    const head = `PUT /bucket/asked HTTP/1.1\r\nexpect: 100-continue\r\n${headOf(right.prepared)}\r\n`;
    expect(await talk(head, /\r\n\r\n/)).toMatch(/^HTTP\/1.1 100 Continue/);
    const wrong = prepare(port, 'PUT', '/bucket/asked', { body: 'hello', secret: 'guessed' });
    const refused = `PUT /bucket/asked HTTP/1.1\r\nexpect: 100-continue\r\n${headOf(wrong.prepared)}\r\n`;
    const heard = await talk(refused, /<\/Error>/);
    expect(heard).toMatch(/^HTTP\/1.1 403 Forbidden/);
    expect(heard).toMatch(/connection: close/i);
    expect(await keys()).toEqual([]);
  });

  it('that creates what was deleted while its body travelled is told of the conflict', async () => {
    await send('PUT', '/bucket/raced', { body: 'before' });
    const wish = { body: 'hello', headers: { 'if-none-match': '*' } };
    const { prepared } = prepare(port, 'PUT', '/bucket/raced', wish);
    const socket = connect(port, '127.0.0.1');
    let heard = '';
    let deleted = false;
    const done = new Promise((resolve) => socket.once('close', resolve));
    socket.on('data', async (piece) => {
      heard += piece;
      if (heard.includes('</Error>')) socket.destroy();
      if (deleted) return;
      // Asked for its body, the write has begun.
      deleted = true;
      await send('DELETE', '/bucket/raced');
      socket.write('hello');
    });
    socket.write(`PUT /bucket/raced HTTP/1.1\r\nexpect: 100-continue\r\n${headOf(prepared)}\r\n`);
    await done;
    expect(heard).toMatch(/HTTP\/1.1 409 Conflict[\s\S]*<Code>ConditionalRequestConflict<\/Code>/);
    expect(await keys()).toEqual([]);
  });

  it('that breaks off in the middle of a body leaves nothing', async () => {
    const { prepared } = prepare(port, 'PUT', '/bucket/cut', { body: 'x'.repeat(200_000) });
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const part = `PUT /bucket/cut HTTP/1.1\r\n${headOf(prepared)}\r\n${'x'.repeat(150_000)}`;
    await new Promise((resolve) => socket.write(part, resolve));
    socket.destroy();
    // Whatever the endpoint still had to do with it is done when it has stopped waiting for the rest.
    await expect.poll(() => world.cloud.state.db.all('SELECT 1 FROM bodies').length).toBe(0);
    expect(await keys()).toEqual([]);
  });

  it('to the name of a bucket is about that bucket', async () => {
    const headers = { host: `bucket.s3.localhost:${port}` };
    await send('PUT', '/by-host', { headers, body: 'x' });
    expect(await keys()).toEqual(['<Key>by-host</Key>']);
    expect((await send('GET', '/by-host', { headers: { host: 'bucket.s3.us-east-1.amazonaws.com' } })).text).toBe('x');
    expect(await answer('DELETE', '/by-host', { headers: { host: 'bucket.localhost' } })).toBe('204');
    expect(await keys()).toEqual([]);
  });
});
