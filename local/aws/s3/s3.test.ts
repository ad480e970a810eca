/** Objects of the local S3 through the AWS SDK: what is written, under which condition, and what comes back. */

import { createHash } from 'node:crypto';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketVersioningCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestS3, refusalOf, type TestS3 } from '../../../test/local/s3.ts';

let world: TestS3;
let s3: S3Client;

beforeAll(async () => {
  world = await openTestS3();
  s3 = world.client;
  world.service.createBucket('plain');
  world.service.createBucket('versioned', { versioning: true });
});

afterAll(async () => {
  await world.stop();
  expect(world.reports).toEqual([]);
});

const md5 = (text: string) => createHash('md5').update(text).digest('hex');
const put = (Key: string, Body: string, more = {}) =>
  s3.send(new PutObjectCommand({ Bucket: 'plain', Key, Body, ...more }));
const get = (Key: string, more = {}) => s3.send(new GetObjectCommand({ Bucket: 'plain', Key, ...more }));
const textOf = async (call: ReturnType<typeof get>) => (await call).Body?.transformToString();
const head = (Key: string, more = {}) => s3.send(new HeadObjectCommand({ Bucket: 'plain', Key, ...more }));
const remove = (Key: string, more = {}) => s3.send(new DeleteObjectCommand({ Bucket: 'plain', Key, ...more }));

describe('an object', () => {
  it('comes back as it was written', async () => {
    const written = await put('a', 'hello', {
      ContentType: 'text/plain',
      CacheControl: 'no-cache',
      ContentDisposition: 'attachment; filename="a.txt"',
      ContentEncoding: 'identity',
      ContentLanguage: 'en',
      Metadata: { Owner: 'somebody', empty: '' },
      StorageClass: 'STANDARD_IA',
      Tagging: 'color=red&shape=round%20one',
    });
    expect(written).toMatchObject({ ETag: `"${md5('hello')}"`, ServerSideEncryption: 'AES256' });
    expect(written.VersionId).toBeUndefined();
    const read = await get('a');
    expect(await read.Body?.transformToString()).toBe('hello');
    expect(read).toMatchObject({
      ETag: `"${md5('hello')}"`,
      ContentLength: 5,
      ContentType: 'text/plain',
      CacheControl: 'no-cache',
      ContentDisposition: 'attachment; filename="a.txt"',
      ContentEncoding: 'identity',
      ContentLanguage: 'en',
      Metadata: { owner: 'somebody', empty: '' },
      StorageClass: 'STANDARD_IA',
      TagCount: 2,
      AcceptRanges: 'bytes',
    });
    expect(read.LastModified?.getMilliseconds()).toBe(0);
    expect(await head('a')).toMatchObject({ ContentLength: 5, ETag: `"${md5('hello')}"` });
  });

  it('that is not there is told from a bucket that is not there', async () => {
    expect(await refusalOf(get('nothing'))).toBe('404 NoSuchKey');
    expect(await refusalOf(head('nothing'))).toBe('404 NotFound');
    expect(await refusalOf(get('a', { Bucket: 'no-such-bucket' }))).toBe('404 NoSuchBucket');
    expect(await remove('nothing')).toMatchObject({ $metadata: { httpStatusCode: 204 } });
  });

  it('without bytes is an object', async () => {
    expect(await put('empty', '')).toMatchObject({ ETag: `"${md5('')}"` });
    expect(await textOf(get('empty'))).toBe('');
    expect(await refusalOf(get('empty', { Range: 'bytes=0-' }))).toBe('416 InvalidRange');
  });

  it('of many megabytes comes back whole', async () => {
    const body = Buffer.alloc(20 * 1024 * 1024, 'abcdefghijk');
    await s3.send(new PutObjectCommand({ Bucket: 'plain', Key: 'large', Body: body }));
    const read = await (await get('large')).Body?.transformToByteArray();
    expect(Buffer.compare(body, read ?? Buffer.alloc(0))).toBe(0);
    const tail = await (await get('large', { Range: 'bytes=20971000-' })).Body?.transformToByteArray();
    expect(Buffer.compare(body.subarray(20971000), tail ?? Buffer.alloc(0))).toBe(0);
  });

  const ranges: readonly (readonly [range: string, text: string | null, contentRange?: string])[] = [
    ['bytes=0-0', '0', 'bytes 0-0/10'],
    ['bytes=2-5', '2345', 'bytes 2-5/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=-3', '789', 'bytes 7-9/10'],
    ['bytes=-100', '0123456789', 'bytes 0-9/10'],
    ['bytes=5-100', '56789', 'bytes 5-9/10'],
    ['bytes=5-2', '0123456789'],
    ['bytes=0-1,4-5', '0123456789'],
    ['bytes=10-', null],
    ['bytes=-0', null],
  ];
  it.each(ranges)('read with %s is %s', async (Range, text, contentRange) => {
    await put('digits', '0123456789');
    if (text === null) {
      expect(await refusalOf(get('digits', { Range }))).toBe('416 InvalidRange');
      return;
    }
    const read = await get('digits', { Range });
    expect([await read.Body?.transformToString(), read.ContentRange]).toEqual([text, contentRange]);
    expect(read.$metadata.httpStatusCode).toBe(contentRange === undefined ? 200 : 206);
  });

  it('tells its attributes', async () => {
    await put('attributes', 'hello');
    const ObjectAttributes = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'] as const;
    const command = { Bucket: 'plain', Key: 'attributes', ObjectAttributes: [...ObjectAttributes] };
    const told = await s3.send(new GetObjectAttributesCommand(command));
    expect(told).toMatchObject({ ETag: md5('hello'), StorageClass: 'STANDARD', ObjectSize: 5 });
    expect(told.Checksum).toMatchObject({ ChecksumCRC32: 'NhCmhg==', ChecksumType: 'FULL_OBJECT' });
    expect(told.ObjectParts).toBeUndefined();
  });

  it('has tags that can be changed without changing it', async () => {
    const { ETag } = await put('tagged', 'x');
    const TagSet = [
      { Key: 'a&b', Value: '1 < 2' },
      { Key: 'é', Value: '' },
    ];
    await s3.send(
      new PutObjectTaggingCommand({ Bucket: 'plain', Key: 'tagged', Tagging: { TagSet: TagSet.slice(1) } }),
    );
    const told = await s3.send(new GetObjectTaggingCommand({ Bucket: 'plain', Key: 'tagged' }));
    expect(told.TagSet).toEqual(TagSet.slice(1));
    expect((await head('tagged')).ETag).toBe(ETag);
    const wrong = { Bucket: 'plain', Key: 'tagged', Tagging: { TagSet } };
    expect(await refusalOf(s3.send(new PutObjectTaggingCommand(wrong)))).toBe('400 InvalidTag');
    const many = { TagSet: Array.from({ length: 11 }, (_, index) => ({ Key: `k${index}`, Value: 'v' })) };
    expect(await refusalOf(s3.send(new PutObjectTaggingCommand({ ...wrong, Tagging: many })))).toBe('400 BadRequest');
  });

  it('encrypted with a key of the user has no MD5 for a tag', async () => {
    const written = await put('secret', 'hello', { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'my-key' });
    expect(written.ETag).not.toBe(`"${md5('hello')}"`);
    expect(await head('secret')).toMatchObject({
      ETag: written.ETag,
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: 'arn:aws:kms:us-east-1:000000000000:key/my-key',
    });
  });

  it('has two kilobytes of metadata at most', async () => {
    await put('meta', 'x', { Metadata: { name: 'v'.repeat(2044) } });
    expect((await head('meta')).Metadata).toEqual({ name: 'v'.repeat(2044) });
    expect(await refusalOf(put('meta', 'x', { Metadata: { name: 'v'.repeat(2045) } }))).toBe('400 MetadataTooLarge');
  });

  it('can be put away where it cannot be read', async () => {
    await put('cold', 'x', { StorageClass: 'GLACIER' });
    expect((await head('cold')).StorageClass).toBe('GLACIER');
    expect(await refusalOf(get('cold'))).toBe('403 InvalidObjectState');
    expect(await refusalOf(put('cold', 'x', { StorageClass: 'ATTIC' }))).toBe('400 InvalidStorageClass');
  });
});

describe('a condition of a read', () => {
  const early = new Date(0);
  const late = new Date(Date.now() + 3_600_000);
  const tag = `"${md5('x')}"`;
  const conditions: readonly (readonly [object, string])[] = [
    [{ IfMatch: tag }, 'fine'],
    [{ IfMatch: md5('x') }, 'fine'],
    [{ IfMatch: '*' }, 'fine'],
    [{ IfMatch: '"other"' }, '412 PreconditionFailed'],
    [{ IfMatch: tag, IfUnmodifiedSince: early }, 'fine'],
    [{ IfUnmodifiedSince: early }, '412 PreconditionFailed'],
    [{ IfUnmodifiedSince: late }, 'fine'],
    [{ IfNoneMatch: tag }, '304 304'],
    [{ IfNoneMatch: '"other"' }, 'fine'],
    [{ IfNoneMatch: '"other"', IfModifiedSince: new Date(Date.now() - 1000) }, 'fine'],
    [{ IfNoneMatch: tag, IfModifiedSince: early }, '304 304'],
    [{ IfModifiedSince: early }, 'fine'],
    [{ IfModifiedSince: late }, 'fine'],
  ];
  it.each(conditions)('%o is %s', async (condition, expected) => {
    await put('conditions', 'x');
    const answer = await refusalOf(get('conditions', condition));
    expect(answer.replace('not refused', 'fine').replace(/^304 .*/, '304 304')).toBe(expected);
  });
});

describe('a condition of a write', () => {
  it('that nothing stands there holds once', async () => {
    await put('once', 'first', { IfNoneMatch: '*' });
    expect(await refusalOf(put('once', 'second', { IfNoneMatch: '*' }))).toBe('412 PreconditionFailed');
    expect(await textOf(get('once'))).toBe('first');
  });

  it('that this stands there holds until something else does', async () => {
    const { ETag } = await put('exact', 'first');
    await put('exact', 'second', { IfMatch: ETag });
    expect(await refusalOf(put('exact', 'third', { IfMatch: ETag }))).toBe('412 PreconditionFailed');
    expect(await textOf(get('exact'))).toBe('second');
    expect(await refusalOf(put('nowhere', 'x', { IfMatch: ETag }))).toBe('404 NoSuchKey');
    expect(await refusalOf(get('nowhere'))).toBe('404 NoSuchKey');
  });

  it('that S3 does not know is refused', async () => {
    expect(await refusalOf(put('once', 'x', { IfNoneMatch: '"tag"' }))).toBe('501 NotImplemented');
    expect(await refusalOf(put('once', 'x', { IfMatch: '*' }))).toBe('501 NotImplemented');
    expect(await refusalOf(put('once', 'x', { IfMatch: '"tag"', IfNoneMatch: '*' }))).toBe('501 NotImplemented');
  });

  it.each(['plain', 'versioned'])('lets one of 64 creators win in a bucket that is %s', async (Bucket) => {
    const create = (index: number) => refusalOf(put('race', `creator ${index}`, { Bucket, IfNoneMatch: '*' }));
    const answers = await Promise.all(Array.from({ length: 64 }, (_, index) => create(index)));
    expect(answers.filter((answer) => answer === 'not refused')).toHaveLength(1);
    expect(answers.filter((answer) => answer === '412 PreconditionFailed')).toHaveLength(63);
    const winner = answers.indexOf('not refused');
    expect(await textOf(get('race', { Bucket }))).toBe(`creator ${winner}`);
    const { Versions } = await s3.send(new ListObjectVersionsCommand({ Bucket, Prefix: 'race' }));
    expect(Versions).toHaveLength(1);
  });

  it('lets one of many replacers win each time', async () => {
    const { ETag } = await put('replaced', 'start');
    const replace = (index: number) => refusalOf(put('replaced', `r${index}`, { IfMatch: ETag }));
    const answers = await Promise.all(Array.from({ length: 32 }, (_, index) => replace(index)));
    expect(answers.filter((answer) => answer === 'not refused')).toHaveLength(1);
  });
});

describe('a delete', () => {
  it('with a condition deletes what it names and nothing else', async () => {
    const { ETag } = await put('deleted', 'x');
    expect(await refusalOf(remove('deleted', { IfMatch: '"other"' }))).toBe('412 PreconditionFailed');
    await remove('deleted', { IfMatch: ETag });
    expect(await refusalOf(remove('deleted', { IfMatch: ETag }))).toBe('404 NoSuchKey');
    await put('deleted', 'y');
    await remove('deleted', { IfMatch: '*' });
    expect(await refusalOf(remove('deleted', { IfMatch: '*' }))).toBe('404 NoSuchKey');
  });

  it('of many keys tells of each', async () => {
    const { ETag } = await put('m1', 'x');
    await put('m2', 'x');
    await put(' blank <&> "key" ', 'x');
    const Objects = [
      { Key: 'm1', ETag },
      { Key: 'm2', ETag: '"other"' },
      { Key: 'm3' },
      { Key: ' blank <&> "key" ' },
      { Key: 'm4', ETag },
    ];
    const told = await s3.send(new DeleteObjectsCommand({ Bucket: 'plain', Delete: { Objects } }));
    expect(told.Deleted?.map(({ Key }) => Key)).toEqual(['m1', 'm3', ' blank <&> "key" ']);
    expect(told.Errors?.map(({ Key, Code }) => `${Key} ${Code}`)).toEqual(['m2 PreconditionFailed', 'm4 NoSuchKey']);
    expect(await refusalOf(get(' blank <&> "key" '))).toBe('404 NoSuchKey');
    const quiet = { Objects: [{ Key: 'm2' }], Quiet: true };
    const silent = await s3.send(new DeleteObjectsCommand({ Bucket: 'plain', Delete: quiet }));
    expect(silent.Deleted).toBeUndefined();
    const many = { Objects: Array.from({ length: 1001 }, (_, index) => ({ Key: `k${index}` })) };
    const call = s3.send(new DeleteObjectsCommand({ Bucket: 'plain', Delete: many }));
    expect(await refusalOf(call)).toBe('400 MalformedXML');
  });
});

describe('versions', () => {
  const at = { Bucket: 'versioned' };
  const versions = async (Prefix: string) => {
    const told = await s3.send(new ListObjectVersionsCommand({ Bucket: 'versioned', Prefix }));
    return [
      ...(told.Versions ?? []).map((it) => `${it.VersionId} ${it.IsLatest}`),
      ...(told.DeleteMarkers ?? []).map((it) => `marker ${it.VersionId} ${it.IsLatest}`),
    ];
  };

  it('stay when they are written over and when they are deleted', async () => {
    const first = await put('v', 'first', at);
    const second = await put('v', 'second', at);
    expect(first.VersionId).not.toBe(second.VersionId);
    expect(await textOf(get('v', { ...at, VersionId: first.VersionId }))).toBe('first');
    const marker = await remove('v', at);
    expect(marker).toMatchObject({ DeleteMarker: true, $metadata: { httpStatusCode: 204 } });
    expect(await refusalOf(get('v', at))).toBe('404 NoSuchKey');
    expect(await refusalOf(get('v', { ...at, VersionId: marker.VersionId }))).toBe('405 MethodNotAllowed');
    expect(await textOf(get('v', { ...at, VersionId: second.VersionId }))).toBe('second');
    expect(await versions('v')).toEqual([
      `${second.VersionId} false`,
      `${first.VersionId} false`,
      `marker ${marker.VersionId} true`,
    ]);
    expect(await refusalOf(put('v', 'x', { ...at, IfMatch: second.ETag }))).toBe('404 NoSuchKey');
    expect(await refusalOf(put('v', 'third', { ...at, IfNoneMatch: '*' }))).toBe('not refused');
  });

  it('go for good one by one, and the newest that is left is the current one', async () => {
    const first = await put('g', 'first', at);
    const second = await put('g', 'second', at);
    const marker = await remove('g', at);
    const undone = await remove('g', { ...at, VersionId: marker.VersionId });
    expect(undone).toMatchObject({ DeleteMarker: true, VersionId: marker.VersionId });
    expect(await textOf(get('g', at))).toBe('second');
    await remove('g', { ...at, VersionId: second.VersionId });
    expect(await textOf(get('g', at))).toBe('first');
    await remove('g', { ...at, VersionId: first.VersionId });
    expect(await versions('g')).toEqual([]);
    expect(await refusalOf(get('g', { ...at, VersionId: first.VersionId }))).toBe('404 NoSuchVersion');
    expect(await refusalOf(get('g', { ...at, VersionId: 'no version' }))).toBe('400 InvalidArgument');
    expect(await refusalOf(remove('g', { ...at, VersionId: first.VersionId }))).toBe('not refused');
  });

  it('are replaced under the name null while they are suspended', async () => {
    world.service.createBucket('changing');
    const there = { Bucket: 'changing' };
    const set = (Status: 'Enabled' | 'Suspended') =>
      s3.send(new PutBucketVersioningCommand({ ...there, VersioningConfiguration: { Status } }));
    expect((await put('n', 'before', there)).VersionId).toBeUndefined();
    await set('Enabled');
    expect((await head('n', there)).VersionId).toBe('null');
    const kept = await put('n', 'enabled', there);
    await set('Suspended');
    expect((await s3.send(new GetBucketVersioningCommand(there))).Status).toBe('Suspended');
    expect((await put('n', 'suspended', there)).VersionId).toBe('null');
    expect(await textOf(get('n', { ...there, VersionId: 'null' }))).toBe('suspended');
    expect(await textOf(get('n', { ...there, VersionId: kept.VersionId }))).toBe('enabled');
    expect(await remove('n', there)).toMatchObject({ DeleteMarker: true, VersionId: 'null' });
    expect(await refusalOf(get('n', { ...there, VersionId: 'null' }))).toBe('405 MethodNotAllowed');
    const told = await s3.send(new ListObjectVersionsCommand(there));
    expect(told.Versions?.map(({ VersionId }) => VersionId)).toEqual([kept.VersionId]);
    expect(told.DeleteMarkers?.map(({ VersionId }) => VersionId)).toEqual(['null']);
  });
});

describe('a bucket', () => {
  it('is created, found, listed and deleted when it is empty', async () => {
    const Bucket = 'short-lived';
    await s3.send(new CreateBucketCommand({ Bucket }));
    await s3.send(new HeadBucketCommand({ Bucket }));
    const { Buckets } = await s3.send(new ListBucketsCommand({ Prefix: 'short' }));
    expect(Buckets?.map(({ Name }) => Name)).toEqual([Bucket]);
    await put('k', 'x', { Bucket });
    expect(await refusalOf(s3.send(new DeleteBucketCommand({ Bucket })))).toBe('409 BucketNotEmpty');
    await remove('k', { Bucket });
    await s3.send(new DeleteBucketCommand({ Bucket }));
    expect(await refusalOf(s3.send(new HeadBucketCommand({ Bucket })))).toBe('404 NotFound');
  });

  it.each(['ab', 'Upper', 'under_score', '-dash', 'a..b', '192.168.0.1', 'a'.repeat(64)])(
    'cannot be called %s',
    async (Bucket) => {
      expect(await refusalOf(s3.send(new CreateBucketCommand({ Bucket })))).toBe('400 InvalidBucketName');
    },
  );
});
