import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ALWAYS, encode, IF_ABSENT, options, put, sumsOf, text } from '../../../test/conformance/store-bench.ts';
import { isFault } from '../../model/fault.ts';
import { openS3Store, type S3Store, type S3StoreOptions } from '../s3.ts';
import type { ObjectStore, WriteCondition } from '../store.ts';

/** What the service answers to a call, or does instead of answering. */
type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

const VERSIONING =
  '<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">%</VersioningConfiguration>';
const DATE = 'Wed, 21 Oct 2026 07:28:00 GMT';
const OBJECT = { etag: '"5d41402abc4b2a76b9719d911017c592"', 'last-modified': DATE, 'x-amz-version-id': 'one' };
const opened: (() => void)[] = [];

afterEach(() => {
  for (const close of opened.splice(0)) close();
});

/** A service that answers as S3 would in the worst of its moments. */
async function serve(answer: Answer, changes: Partial<S3StoreOptions> & { status?: string } = {}): Promise<S3Store> {
  const { status = 'Enabled', ...more } = changes;
  const server = createServer((request, response) => {
    if (!request.url?.includes('?versioning')) return answer(request, response);
    response.end(VERSIONING.replace('%', status && `<Status>${status}</Status>`));
  });
  await listen(server);
  const { port } = server.address() as AddressInfo;
  opened.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const store = await openS3Store({
    site: 's',
    bucket: 'b',
    region: 'eu-west-1',
    endpoint: `http://127.0.0.1:${port}`,
    forcePathStyle: true,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    ...more,
  });
  opened.push(() => store.close());
  return store;
}

async function listen(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
}

function refusal(status: number, code: string): Answer {
  return (request, response) => {
    request.resume();
    response.writeHead(status, { 'content-type': 'application/xml' });
    response.end(request.method === 'HEAD' ? '' : `<Error><Code>${code}</Code><Message>no</Message></Error>`);
  };
}

async function kindOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'an answer',
    (error: unknown) => (isFault(error) ? error.kind : error),
  );
}

const READ = (store: ObjectStore) => store.get('k', 'v:one');
const WRITE = (store: ObjectStore) => put(store, 'k', 'x');

describe('what S3 refuses', () => {
  it.each([
    [503, 'SlowDown', 'throttled', 'throttled'],
    [503, 'ServiceUnavailable', 'unavailable', 'unavailable'],
    [500, 'InternalError', 'unavailable', 'timeout'],
    [502, 'BadGateway', 'unavailable', 'timeout'],
    [400, 'RequestTimeout', 'unavailable', 'unavailable'],
    [403, 'AccessDenied', 'forbidden', 'forbidden'],
    [403, 'SignatureDoesNotMatch', 'forbidden', 'forbidden'],
    [403, 'RequestTimeTooSkewed', 'unavailable', 'unavailable'],
    [404, 'NoSuchBucket', 'invalid', 'invalid'],
    [404, 'NoSuchKey', 'not-found', 'not-found'],
    [409, 'ConditionalRequestConflict', 'conflict', 'conflict'],
    [409, 'OperationAborted', 'conflict', 'conflict'],
    [400, 'BadDigest', 'corrupt', 'corrupt'],
    [400, 'EntityTooLarge', 'too-large', 'too-large'],
    [400, 'KeyTooLongError', 'invalid', 'invalid'],
    [501, 'NotImplemented', 'unsupported', 'unsupported'],
    [418, 'SomethingNew', 'invalid', 'invalid'],
  ])('%s %s is %s for a read and %s for a write', async (status, code, read, write) => {
    const store = await serve(refusal(status, code));
    expect(await kindOf(READ(store))).toBe(read);
    expect(await kindOf(WRITE(store))).toBe(write);
  });

  it('is a fault that says where, what and the status', async () => {
    const store = await serve(refusal(403, 'AccessDenied'));
    await expect(WRITE(store)).rejects.toMatchObject({
      kind: 'forbidden',
      retry: 'never',
      message: expect.stringMatching(/^put "k": AccessDenied: no$/),
      details: { site: 's', op: 'put', key: 'k', value: 403 },
    });
  });

  it('as a precondition is one, and so is 404 for a token', async () => {
    const token: WriteCondition = { kind: 'if-token', token: '"x"' };
    const late = await serve(refusal(412, 'PreconditionFailed'));
    expect(await kindOf(put(late, 'k', 'x', { condition: IF_ABSENT }))).toBe('precondition');
    const gone = await serve(refusal(404, 'NoSuchKey'));
    expect(await kindOf(put(gone, 'k', 'x', { condition: token }))).toBe('precondition');
    expect(await kindOf(gone.delete('k', token))).toBe('precondition');
  });
});

describe('a bucket', () => {
  it('that is missing is never taken for an empty one', async () => {
    const store = await serve(refusal(404, 'NoSuchBucket'));
    for (const look of [() => store.head('k'), () => store.versions('k'), () => store.list({ prefix: '', limit: 1 })])
      await expect(look()).rejects.toMatchObject({ kind: 'invalid', details: { field: 'bucket', site: 's' } });
    const plain = await serve(refusal(404, 'NoSuchBucket'), { status: '' });
    await expect(plain.versions('k')).rejects.toMatchObject({ kind: 'invalid', details: { field: 'bucket' } });
  });

  it('whose versions are suspended is refused', async () => {
    const opening = serve(refusal(500, 'InternalError'), { status: 'Suspended' });
    await expect(opening).rejects.toMatchObject({ kind: 'unsupported', details: { field: 'bucket', value: 'b' } });
  });

  it('that nobody answers for is unreachable, and nothing was written', async () => {
    const server = createServer();
    await listen(server);
    const { port } = server.address() as AddressInfo;
    server.close();
    const opening = openS3Store({
      site: 's',
      bucket: 'b',
      region: 'eu-west-1',
      endpoint: `http://127.0.0.1:${port}`,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      forcePathStyle: true,
    });
    await expect(opening).rejects.toMatchObject({ kind: 'unreachable', retry: 'later', details: { op: 'open' } });
  });
});

describe('a connection', () => {
  const lost: Answer = (request) => void request.on('data', () => {}).on('end', () => request.socket.destroy());
  const silent: Answer = (request) => void request.resume();

  it('that is lost after a write was sent leaves it unknown; a read has only failed', async () => {
    const store = await serve(lost);
    for (const write of [WRITE, () => store.delete('k', ALWAYS), () => store.createUpload('k')])
      expect(await kindOf(write(store))).toBe('timeout');
    expect(await kindOf(READ(store))).toBe('unavailable');
    expect(await kindOf(store.head('k'))).toBe('unavailable');
  });

  it('on which no answer comes ends in time', async () => {
    const store = await serve(silent, { answerMs: 50 });
    expect(await kindOf(WRITE(store))).toBe('timeout');
    expect(await kindOf(READ(store))).toBe('timeout');
  });

  it('that is lost before the parts of a stream were joined has written nothing', async () => {
    const store = await serve(
      (request, response) => {
        if (request.method !== 'POST') return lost(request, response);
        response.end('<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>');
      },
      { streamPartBytes: 4 },
    );
    async function* body(): AsyncGenerator<Uint8Array> {
      yield encode('more than four');
    }
    expect(await kindOf(store.put('k', body(), options()))).toBe('unavailable');
  });
});

describe('a body that comes as a stream', () => {
  it('is taken no faster than it is sent: two parts on their way, and one that fills', async () => {
    const held: ServerResponse[] = [];
    const full = Promise.withResolvers<void>();
    const store = await serve(
      (request, response) => {
        request.resume();
        if (request.method === 'POST')
          return response.end('<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>');
        if (request.method === 'DELETE') return response.writeHead(204).end();
        if (held.push(response) === 2) full.resolve();
      },
      { streamPartBytes: 1000 },
    );
    let taken = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        taken += 100;
        yield new Uint8Array(100);
      }
    }
    const outcome = kindOf(store.put('k', endless(), options()));
    await full.promise;
    // Time enough to take thousands of pieces more.
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(taken).toBeLessThanOrEqual(3 * 1000);
    for (const response of held) refusal(503, 'SlowDown')(response.req, response);
    expect(await outcome).toBe('throttled');
  });
});

describe('a write that was carried out', () => {
  it('and cannot be seen afterwards may have happened', async () => {
    const store = await serve((request, response) => {
      if (request.method !== 'PUT') return refusal(503, 'SlowDown')(request, response);
      request.resume();
      response.writeHead(200, { etag: OBJECT.etag, 'x-amz-version-id': 'one' });
      response.end();
    });
    await expect(WRITE(store)).rejects.toMatchObject({ kind: 'timeout', details: { op: 'put', key: 'k' } });
  });

  it('and was replaced at once, where versions are not kept, may have happened', async () => {
    const store = await serve(
      (request, response) => {
        request.resume();
        const etag = request.method === 'PUT' ? OBJECT.etag : '"another"';
        response.writeHead(200, { etag, 'last-modified': DATE, 'content-length': 0 });
        response.end();
      },
      { status: '' },
    );
    expect(await kindOf(WRITE(store))).toBe('timeout');
  });
});

describe('a body', () => {
  const body = (headers: Record<string, string>, end: (response: ServerResponse) => void): Answer => {
    return (_request, response) => {
      response.writeHead(200, { ...OBJECT, 'content-length': '5', ...headers });
      end(response);
    };
  };

  it('with the stored checksum is given as it is', async () => {
    const sum = { 'x-amz-checksum-crc64nvme': sumsOf(encode('hello')).crc64nvme };
    const { body: bytes } = await READ(await serve(body(sum, (response) => response.end('hello'))));
    expect(await text(bytes)).toBe('hello');
  });

  it.each([
    ['crc64nvme', sumsOf(encode('other')).crc64nvme],
    ['crc32c', sumsOf(encode('other')).crc32c],
  ])('whose %s is not the stored one is corrupt', async (name, sum) => {
    const store = await serve(body({ [`x-amz-checksum-${name}`]: sum }, (response) => response.end('hello')));
    const reading = text((await READ(store)).body);
    await expect(reading).rejects.toMatchObject({ kind: 'corrupt', details: { field: name, op: 'get', key: 'k' } });
  });

  it('is not held against a checksum of checksums', async () => {
    const sums = { 'x-amz-checksum-crc32c': 'AAAAAA==-2', 'x-amz-checksum-type': 'COMPOSITE' };
    const { version, body: bytes } = await READ(await serve(body(sums, (response) => response.end('hello'))));
    expect(version.checksums).toEqual({});
    expect(await text(bytes)).toBe('hello');
  });

  it('that breaks off is a fault', async () => {
    const store = await serve(body({}, (response) => void response.write('hel', () => response.socket?.destroy())));
    const { body: bytes } = await READ(store);
    expect(await kindOf(text(bytes))).toBe('unavailable');
  });

  it('that stalls ends in time', async () => {
    const store = await serve(
      body({}, (response) => void response.write('hel')),
      { stallMs: 50 },
    );
    expect(await kindOf(text((await READ(store)).body))).toBe('timeout');
  });

  it('that nobody reads does not hold its connection', async () => {
    const closed = Promise.withResolvers<void>();
    const store = await serve(
      (request, response) => {
        request.socket.on('close', () => closed.resolve());
        response.writeHead(200, { ...OBJECT, 'content-length': String(2 ** 30) });
        response.write(new Uint8Array(2 ** 20));
      },
      { stallMs: 50 },
    );
    await READ(store);
    await closed.promise;
  });

  it('that is given up in the middle ends its connection', async () => {
    const closed = Promise.withResolvers<void>();
    const store = await serve((request, response) => {
      request.socket.on('close', () => closed.resolve());
      response.writeHead(200, { ...OBJECT, 'content-length': String(2 ** 30) });
      response.write(new Uint8Array(2 ** 20));
    });
    for await (const _piece of (await READ(store)).body) break;
    await closed.promise;
  });

  it('of a version by another name is not found', async () => {
    const store = await serve(body({ 'x-amz-version-id': 'two' }, (response) => response.end('hello')));
    expect(await kindOf(READ(store))).toBe('not-found');
  });
});
