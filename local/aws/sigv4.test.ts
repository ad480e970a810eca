/** Signatures as the AWS SDK makes them are taken, and every way of getting one wrong is told apart. */

import { createHash, createHmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import { describe, expect, it } from 'vitest';
import {
  type Credentials,
  LOCAL_CREDENTIALS,
  openChunkSignatures,
  SignatureError,
  type SignedRequest,
  verifySignature,
} from './sigv4.ts';

const now = Date.parse('2026-11-21T12:00:00Z');

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

class Sha256 {
  readonly hash: ReturnType<typeof createHash>;
  constructor(secret?: string | Uint8Array) {
    this.hash = (secret === undefined ? createHash('sha256') : createHmac('sha256', secret)) as never;
  }
  update(bytes: string | Uint8Array) {
    this.hash.update(bytes);
  }
  async digest() {
    return new Uint8Array(this.hash.digest());
  }
  reset() {}
}

const signerOf = (service: string, secretAccessKey = 'local-secret', accessKeyId = 'local') =>
  new SignatureV4({
    service,
    region: 'us-east-1',
    credentials: { accessKeyId, secretAccessKey },
    sha256: Sha256 as never,
    uriEscapePath: service !== 's3',
  });

interface Draft {
  readonly method?: string;
  readonly path?: string;
  readonly query?: Record<string, string>;
  readonly headers?: Record<string, string>;
}

const toRequest = ({ method = 'GET', path = '/', query = {}, headers = {} }: Draft) => ({
  method,
  protocol: 'http:',
  hostname: '127.0.0.1',
  port: 9000,
  path,
  query,
  headers: { host: '127.0.0.1:9000', ...headers },
});

function received({ method, path, query, headers }: ReturnType<typeof toRequest>): SignedRequest {
  const pairs = Object.entries(query).map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`,
  );
  const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  return {
    method,
    url: pairs.length > 0 ? `${path}?${pairs.join('&')}` : path,
    headers: lower,
    headersDistinct: Object.fromEntries(Object.entries(lower).map(([name, value]) => [name, [value]])),
  };
}

async function signed(draft: Draft, service = 's3', signer = signerOf(service)): Promise<SignedRequest> {
  const headers = { 'x-amz-content-sha256': sha256(''), ...draft.headers };
  const request = await signer.sign(toRequest({ ...draft, headers }) as never, { signingDate: new Date(now) });
  return received(request as never);
}

async function presigned(draft: Draft, expiresIn: number): Promise<SignedRequest> {
  const request = await signerOf('s3').presign(
    toRequest({ ...draft, headers: { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } }) as never,
    { signingDate: new Date(now), expiresIn },
  );
  return received(request as never);
}

const rules = { service: 's3', now, region: 'us-east-1' };

function problemOf(check: () => unknown): string {
  try {
    check();
  } catch (error) {
    if (error instanceof SignatureError) return error.problem;
    throw error;
  }
  return 'none';
}

describe('a signature', () => {
  const drafts: readonly (readonly [string, Draft])[] = [
    ['of a plain request', { path: '/bucket/key' }],
    ['of a key full of odd characters', { path: '/b/a%20b/%2B%25/..%2F/%21%27%28%29%2A/%E2%82%AC/caf%C3%A9' }],
    ['of a query', { query: { prefix: 'a b+c/é', delimiter: '/', 'list-type': '2', empty: '' } }],
    ['of headers with blanks', { headers: { 'x-amz-meta-note': '  two   blanks  ' } }],
    [
      'of a streamed body',
      { method: 'PUT', headers: { 'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' } },
    ],
  ];
  it.each(drafts)('%s is taken', async (_what, draft) => {
    const verified = verifySignature(await signed(draft), LOCAL_CREDENTIALS, rules);
    expect(verified).toMatchObject({ accessKeyId: 'local', region: 'us-east-1', presigned: false });
  });

  it('of another service is taken by that service, with the hash of the body that came', async () => {
    const request = await signed({ method: 'POST', path: '/000000000000/a%20queue' }, 'sqs');
    const sqs = { service: 'sqs', now, payloadHash: sha256('') };
    expect(verifySignature(request, LOCAL_CREDENTIALS, sqs).accessKeyId).toBe('local');
    const other = { ...sqs, payloadHash: sha256('another body') };
    expect(problemOf(() => verifySignature(request, LOCAL_CREDENTIALS, other))).toBe('mismatch');
  });

  it('of a secret that is not the right one is refused', async () => {
    const request = await signed({}, 's3', signerOf('s3', 'guessed'));
    expect(problemOf(() => verifySignature(request, LOCAL_CREDENTIALS, rules))).toBe('mismatch');
  });

  it('of an unknown key is refused', async () => {
    const request = await signed({}, 's3', signerOf('s3', 'local-secret', 'nobody'));
    expect(problemOf(() => verifySignature(request, LOCAL_CREDENTIALS, rules))).toBe('unknown-key');
  });

  const changes: readonly (readonly [string, string, (request: SignedRequest) => SignedRequest])[] = [
    ['another path', 'mismatch', (it) => ({ ...it, url: '/bucket/other' })],
    ['another method', 'mismatch', (it) => ({ ...it, method: 'DELETE' })],
    ['another query', 'mismatch', (it) => ({ ...it, url: `${it.url}?versionId=1` })],
    ['another hash', 'mismatch', (it) => ({ ...it, headers: { ...it.headers, 'x-amz-content-sha256': sha256('x') } })],
    ['a header more', 'unsigned-header', (it) => ({ ...it, headers: { ...it.headers, 'x-amz-acl': 'private' } })],
    ['no signature', 'missing', ({ headers: { authorization: _, ...headers }, ...it }) => ({ ...it, headers })],
    [
      'an old signature',
      'unsupported',
      (it) => ({ ...it, headers: { ...it.headers, authorization: 'AWS local:abc=' } }),
    ],
    [
      'half a header',
      'malformed',
      (it) => ({ ...it, headers: { ...it.headers, authorization: 'AWS4-HMAC-SHA256 Credential=local' } }),
    ],
    [
      'a signature that is no hex',
      'mismatch',
      (it) => ({ ...it, headers: { ...it.headers, authorization: `${it.headers.authorization?.slice(0, -1)}é` } }),
    ],
  ];
  it.each(changes)('on a request with %s is refused as %s', async (_what, problem, change) => {
    const request = change(await signed({ path: '/bucket/key' }));
    expect(problemOf(() => verifySignature(request, LOCAL_CREDENTIALS, rules))).toBe(problem);
  });

  it('for another service or region is refused', async () => {
    const request = await signed({});
    expect(problemOf(() => verifySignature(request, LOCAL_CREDENTIALS, { ...rules, service: 'sqs' }))).toBe(
      'wrong-scope',
    );
    expect(problemOf(() => verifySignature(request, LOCAL_CREDENTIALS, { ...rules, region: 'eu-west-1' }))).toBe(
      'wrong-scope',
    );
  });

  it('is good for a quarter of an hour before and after its time', async () => {
    const request = await signed({});
    const at = (ms: number) =>
      problemOf(() => verifySignature(request, LOCAL_CREDENTIALS, { ...rules, now: now + ms }));
    expect([-900_000, 900_000].map(at)).toEqual(['none', 'none']);
    expect([-901_000, 901_000].map(at)).toEqual(['skewed', 'skewed']);
  });
});

describe('a presigned URL', () => {
  it('is good until it expires', async () => {
    const request = await presigned({ path: '/bucket/key' }, 60);
    const at = (ms: number) =>
      problemOf(() => verifySignature(request, LOCAL_CREDENTIALS, { ...rules, now: now + ms }));
    expect([0, 60_000].map(at)).toEqual(['none', 'none']);
    expect([60_001, -901_000].map(at)).toEqual(['expired', 'expired']);
  });

  it('is refused when it was changed', async () => {
    const request = await presigned({ path: '/bucket/key' }, 60);
    const check = (url: string) => problemOf(() => verifySignature({ ...request, url }, LOCAL_CREDENTIALS, rules));
    expect(check(request.url!.replace('/key', '/other'))).toBe('mismatch');
    expect(check(request.url!.replace('X-Amz-Expires=60', 'X-Amz-Expires=604800'))).toBe('mismatch');
    expect(check(request.url!.replace('X-Amz-Expires=60', 'X-Amz-Expires=604801'))).toBe('malformed');
    expect(check(request.url!.replace('X-Amz-Expires=60', 'X-Amz-Expires=-1'))).toBe('malformed');
    expect(check(request.url!.replace('X-Amz-Date', 'X-Amz-Then'))).toBe('malformed');
  });
});

describe('the chunks of a streamed body', () => {
  // The example of the documentation of Amazon S3: 66,560 times "a" in chunks of 64 KiB.
  const secrets: Credentials = new Map([['AKIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY']]);
  const headers = {
    host: 's3.amazonaws.com',
    'x-amz-date': '20130524T000000Z',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'content-encoding': 'aws-chunked',
    'x-amz-decoded-content-length': '66560',
    'content-length': '66824',
    authorization:
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,' +
      'SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;' +
      'x-amz-decoded-content-length;x-amz-storage-class,' +
      'Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
  };
  const request: SignedRequest = {
    method: 'PUT',
    url: '/examplebucket/chunkObject.txt',
    headers,
    headersDistinct: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
  };
  const verified = verifySignature(request, secrets, { service: 's3', now: Date.parse('2013-05-24T00:00:00Z') });
  const chunks = [
    ['ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648', 'a'.repeat(65_536)],
    ['0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497', 'a'.repeat(1024)],
    ['b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9', ''],
  ] as const;

  it('are taken in their order', () => {
    const signatures = openChunkSignatures(verified);
    expect(chunks.map(([signature, bytes]) => signatures.chunk(signature, sha256(bytes)))).toEqual([true, true, true]);
  });

  it('are refused when one was changed or left out', () => {
    expect(openChunkSignatures(verified).chunk(chunks[0][0], sha256('b'))).toBe(false);
    expect(openChunkSignatures(verified).chunk(chunks[1][0], sha256(chunks[1][1]))).toBe(false);
  });
});
