/** Uploads in parts, copies and checksums of the local S3 through the AWS SDK. */

import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crc32c, crc64nvme, toCrc32cText, toCrc64nvmeText } from '#shared/model/crc.ts';
import { openTestS3, refusalOf, type TestS3 } from '../../../test/local/s3.ts';

let world: TestS3;
let s3: S3Client;

beforeAll(async () => {
  world = await openTestS3();
  s3 = world.client;
  world.service.createBucket('bucket');
  world.service.createBucket('versioned', { versioning: true });
});

afterAll(async () => {
  await world.stop();
  expect(world.reports).toEqual([]);
});

const Bucket = 'bucket';
const MIB = 1024 * 1024;
const hex = (algorithm: string, bytes: Uint8Array) => createHash(algorithm).update(bytes).digest('hex');
const sum = (algorithm: string, bytes: Uint8Array) => createHash(algorithm).update(bytes).digest('base64');
const crc64 = (bytes: Uint8Array) => toCrc64nvmeText(crc64nvme(bytes));
const first = Buffer.alloc(5 * MIB, 'first part ');
const second = Buffer.from('and the last');
const whole = Buffer.concat([first, second]);

const create = async (Key: string, more: Partial<CreateMultipartUploadCommandInput> = {}) =>
  (await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }))).UploadId ?? '';
const upload = async (Key: string, UploadId: string, PartNumber: number, Body: Uint8Array, more = {}) => {
  const { $metadata: _, ...part } = await s3.send(
    new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ...more }),
  );
  return { ...part, PartNumber } as CompletedPart;
};
const complete = (Key: string, UploadId: string, Parts: CompletedPart[], more = {}) =>
  s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...more }));
const put = (Key: string, Body: Uint8Array | string, more: Partial<PutObjectCommandInput> = {}) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
const head = (Key: string, more = {}) =>
  s3.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED', ...more }));
const bytesOf = async (Key: string, more = {}) =>
  (await s3.send(new GetObjectCommand({ Bucket, Key, ...more }))).Body?.transformToByteArray();
const copy = (Key: string, CopySource: string, more = {}) =>
  s3.send(new CopyObjectCommand({ Bucket, Key, CopySource, ...more }));

async function twoParts(Key: string, more: Partial<CreateMultipartUploadCommandInput> = {}) {
  const UploadId = await create(Key, more);
  const wish = more.ChecksumAlgorithm === undefined ? {} : { ChecksumAlgorithm: more.ChecksumAlgorithm };
  const parts = [await upload(Key, UploadId, 2, first, wish), await upload(Key, UploadId, 7, second, wish)];
  return { UploadId, parts };
}

describe('an upload in parts', () => {
  it('becomes one object, whose tag tells of the parts', async () => {
    const { UploadId, parts } = await twoParts('parts', {
      ContentType: 'text/plain',
      Metadata: { a: 'b' },
      Tagging: 'x=y',
    });
    expect(await refusalOf(head('parts'))).toBe('404 NotFound');
    const done = await complete('parts', UploadId, parts);
    const tags = [first, second].map((bytes) => Buffer.from(hex('md5', bytes), 'hex'));
    const ETag = `"${hex('md5', Buffer.concat(tags))}-2"`;
    expect(done.ETag).toBe(ETag);
    expect(await head('parts')).toMatchObject({ ETag, ContentType: 'text/plain', Metadata: { a: 'b' }, TagCount: 1 });
    expect(Buffer.compare((await bytesOf('parts')) ?? Buffer.alloc(0), whole)).toBe(0);
    const part = await s3.send(new GetObjectCommand({ Bucket, Key: 'parts', PartNumber: 2 }));
    expect([await part.Body?.transformToString(), part.PartsCount]).toEqual(['and the last', 2]);
    expect(await refusalOf(complete('parts', UploadId, parts))).toBe('404 NoSuchUpload');
  });

  it('is refused with parts that are too small, wrong, missing or in no order, and stays as it is', async () => {
    const UploadId = await create('wrong');
    const small = await upload('wrong', UploadId, 1, second);
    const last = await upload('wrong', UploadId, 2, second);
    expect(await refusalOf(complete('wrong', UploadId, [small, last]))).toBe('400 EntityTooSmall');
    expect(await refusalOf(complete('wrong', UploadId, [last, small]))).toBe('400 InvalidPartOrder');
    expect(await refusalOf(complete('wrong', UploadId, [{ ...last, PartNumber: 3 }]))).toBe('400 InvalidPart');
    const forged = { ...last, ETag: `"${hex('md5', first)}"` };
    expect(await refusalOf(complete('wrong', UploadId, [forged]))).toBe('400 InvalidPart');
    expect(await refusalOf(complete('wrong', UploadId, []))).toBe('400 MalformedXML');
    expect(await refusalOf(upload('wrong', UploadId, 10_001, second))).toBe('400 InvalidArgument');
    expect(await refusalOf(head('wrong'))).toBe('404 NotFound');
    const told = await s3.send(new ListPartsCommand({ Bucket, Key: 'wrong', UploadId }));
    expect(told.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([
      [1, 12],
      [2, 12],
    ]);
    await complete('wrong', UploadId, [last]);
    expect(Buffer.from((await bytesOf('wrong')) ?? []).toString()).toBe('and the last');
  });

  it('can be listed and given up', async () => {
    const ids = [await create('up/a'), await create('up/a'), await create('up/b')];
    const told = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'up/', MaxUploads: 2 }));
    const { NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = told;
    const rest = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'up/', KeyMarker, UploadIdMarker }));
    const found = [...(told.Uploads ?? []), ...(rest.Uploads ?? [])];
    expect(told.IsTruncated).toBe(true);
    expect(found.map(({ UploadId }) => UploadId).sort()).toEqual([...ids].sort());
    for (const { Key, UploadId } of found) await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    const none = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'up/' }));
    expect(none.Uploads).toBeUndefined();
    expect(await refusalOf(upload('up/a', ids[0] ?? '', 1, second))).toBe('404 NoSuchUpload');
  });

  it('keeps its condition until the end', async () => {
    const { UploadId, parts } = await twoParts('late');
    await put('late', 'quicker');
    expect(await refusalOf(complete('late', UploadId, parts, { IfNoneMatch: '*' }))).toBe('412 PreconditionFailed');
    expect(await refusalOf(complete('late', UploadId, parts, { IfMatch: '"other"' }))).toBe('412 PreconditionFailed');
    const { ETag } = await head('late');
    // What was written after the upload began is a conflict, even if it is what the client expects.
    expect(await refusalOf(complete('late', UploadId, parts, { IfMatch: ETag }))).toBe(
      '409 ConditionalRequestConflict',
    );
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'late' }));
    expect(await refusalOf(complete('late', UploadId, parts, { IfMatch: ETag }))).toBe('404 NoSuchKey');
    await complete('late', UploadId, parts, { IfNoneMatch: '*' });

    const again = await twoParts('late');
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'late' }));
    const conflict = complete('late', again.UploadId, again.parts, { IfNoneMatch: '*' });
    expect(await refusalOf(conflict)).toBe('409 ConditionalRequestConflict');
  });

  it('lets one of 16 completers create', async () => {
    const uploads = await Promise.all(
      Array.from({ length: 16 }, async () => {
        const UploadId = await create('race');
        return { UploadId, parts: [await upload('race', UploadId, 1, second)] };
      }),
    );
    const calls = uploads.map(({ UploadId, parts }) => complete('race', UploadId, parts, { IfNoneMatch: '*' }));
    const answers = await Promise.all(calls.map(refusalOf));
    expect(answers.filter((answer) => answer === 'not refused')).toHaveLength(1);
    expect(answers.filter((answer) => answer === '412 PreconditionFailed')).toHaveLength(15);
  });
});

describe('checksums', () => {
  const crc32C = (bytes: Uint8Array) => toCrc32cText(crc32c(bytes));

  it('are computed when nobody asks', async () => {
    const quiet = world.connect({ requestChecksumCalculation: 'WHEN_REQUIRED' });
    await quiet.send(new PutObjectCommand({ Bucket, Key: 'quiet', Body: 'hello' }));
    const expected = { ChecksumCRC64NVME: crc64(Buffer.from('hello')), ChecksumType: 'FULL_OBJECT' };
    expect(await head('quiet')).toMatchObject(expected);
    expect((await head('quiet', { ChecksumMode: undefined })).ChecksumCRC64NVME).toBeUndefined();
  });

  const known = [
    ['ChecksumCRC32', 'DUoRhQ=='],
    ['ChecksumCRC32C', crc32C(Buffer.from('hello world'))],
    ['ChecksumCRC64NVME', crc64(Buffer.from('hello world'))],
    ['ChecksumSHA1', sum('sha1', Buffer.from('hello world'))],
    ['ChecksumSHA256', sum('sha256', Buffer.from('hello world'))],
  ] as const;
  it.each(known)('%s is checked and kept', async (name, value) => {
    await put(name, 'hello world', { [name]: value });
    expect(await head(name)).toMatchObject({ [name]: value, ChecksumType: 'FULL_OBJECT' });
    const wrong = Buffer.from(value, 'base64');
    wrong[0] = (wrong[0] ?? 0) ^ 1;
    expect(await refusalOf(put('never', 'hello world', { [name]: wrong.toString('base64') }))).toBe('400 BadDigest');
    expect(await refusalOf(put('never', 'hello world', { [name]: 'short' }))).toBe('400 InvalidRequest');
    expect(await refusalOf(head('never'))).toBe('404 NotFound');
  });

  it.each(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const)(
    '%s travels behind a streamed body',
    async (ChecksumAlgorithm) => {
      async function* pieces() {
        for (let at = 0; at < whole.length; at += 100_000) yield whole.subarray(at, at + 100_000);
      }
      const { Readable } = await import('node:stream');
      const Body = Readable.from(pieces());
      await s3.send(
        new PutObjectCommand({ Bucket, Key: 'streamed', Body, ContentLength: whole.length, ChecksumAlgorithm }),
      );
      expect((await head('streamed'))[`Checksum${ChecksumAlgorithm}`]).toBeDefined();
      expect(Buffer.compare((await bytesOf('streamed')) ?? Buffer.alloc(0), whole)).toBe(0);
    },
  );

  it('of MD5 are checked', async () => {
    await put('md5', 'hello', { ContentMD5: sum('md5', Buffer.from('hello')) });
    expect(await refusalOf(put('never', 'hello', { ContentMD5: sum('md5', second) }))).toBe('400 BadDigest');
    expect(await refusalOf(put('never', 'hello', { ContentMD5: 'rubbish' }))).toBe('400 InvalidDigest');
    expect(await refusalOf(head('never'))).toBe('404 NotFound');
  });

  it.each(['CRC32', 'CRC32C', 'CRC64NVME'] as const)(
    '%s of a whole object is joined from its parts',
    async (ChecksumAlgorithm) => {
      const name = `Checksum${ChecksumAlgorithm}` as const;
      const wish = { ChecksumAlgorithm, ChecksumType: 'FULL_OBJECT' } as const;
      await put('reference', whole, { ChecksumAlgorithm });
      const value = (await head('reference'))[name];
      const { UploadId, parts } = await twoParts('joined', wish);
      const wrong = complete('joined', UploadId, parts, { ...wish, [name]: parts[0]?.[name] });
      expect(await refusalOf(wrong)).toBe('400 BadDigest');
      const done = await complete('joined', UploadId, parts, { ChecksumType: 'FULL_OBJECT', [name]: value });
      expect(done).toMatchObject({ [name]: value, ChecksumType: 'FULL_OBJECT' });
      expect(await head('joined')).toMatchObject({ [name]: value, ChecksumType: 'FULL_OBJECT' });
    },
  );

  it('of the parts make up a composite one', async () => {
    const { UploadId, parts } = await twoParts('composite', { ChecksumAlgorithm: 'SHA256' });
    const bare = parts.map(({ ETag, PartNumber }) => ({ ETag, PartNumber }));
    expect(await refusalOf(complete('composite', UploadId, bare))).toBe('400 InvalidRequest');
    await complete('composite', UploadId, parts);
    const sums = [first, second].map((bytes) => Buffer.from(sum('sha256', bytes), 'base64'));
    const value = `${sum('sha256', Buffer.concat(sums))}-2`;
    expect(await head('composite')).toMatchObject({ ChecksumSHA256: value, ChecksumType: 'COMPOSITE' });
    const wrong = create('x', { ChecksumAlgorithm: 'SHA1', ChecksumType: 'FULL_OBJECT' });
    expect(await refusalOf(wrong)).toBe('400 InvalidRequest');
    const other = create('x', { ChecksumAlgorithm: 'CRC64NVME', ChecksumType: 'COMPOSITE' });
    expect(await refusalOf(other)).toBe('400 InvalidRequest');
  });
});

describe('a copy', () => {
  it('takes content and metadata along, or only content', async () => {
    const { ETag } = await put('source é+%', 'content', {
      Metadata: { a: '1' },
      ContentType: 'text/plain',
      Tagging: 't=1',
    });
    const CopySource = `bucket/${encodeURIComponent('source é+%')}`;
    expect((await copy('copied', CopySource)).CopyObjectResult?.ETag).toBe(ETag);
    expect(await head('copied')).toMatchObject({ ETag, Metadata: { a: '1' }, ContentType: 'text/plain', TagCount: 1 });
    const replace = { MetadataDirective: 'REPLACE', Metadata: { b: '2' }, TaggingDirective: 'REPLACE', Tagging: '' };
    await copy('copied', CopySource, replace);
    expect(await head('copied')).toMatchObject({ Metadata: { b: '2' }, ContentType: 'binary/octet-stream' });
    expect((await head('copied')).TagCount).toBeUndefined();
    expect(await refusalOf(copy('copied', 'bucket/copied'))).toBe('400 InvalidRequest');
    expect(await refusalOf(copy('copied', 'bucket/nothing'))).toBe('404 NoSuchKey');
    expect(await refusalOf(copy('copied', 'bucket/%zz'))).toBe('400 InvalidArgument');
    await copy('copied', 'bucket/copied', { MetadataDirective: 'REPLACE', Metadata: { c: '3' } });
    expect(await head('copied')).toMatchObject({ ETag, Metadata: { c: '3' } });
  });

  it('keeps to the conditions of both ends', async () => {
    const { ETag } = await put('s', 'source');
    const there = await put('t', 'target');
    const from = (more: object) => refusalOf(copy('t', 'bucket/s', more));
    expect(await from({ CopySourceIfMatch: '"other"' })).toBe('412 PreconditionFailed');
    expect(await from({ CopySourceIfNoneMatch: ETag })).toBe('412 PreconditionFailed');
    expect(await from({ CopySourceIfUnmodifiedSince: new Date(0) })).toBe('412 PreconditionFailed');
    expect(await from({ CopySourceIfMatch: ETag, CopySourceIfUnmodifiedSince: new Date(0), IfNoneMatch: '*' })).toBe(
      '412 PreconditionFailed',
    );
    expect(await from({ IfMatch: '"other"' })).toBe('412 PreconditionFailed');
    expect(Buffer.from((await bytesOf('t')) ?? []).toString()).toBe('target');
    expect(await from({ IfMatch: there.ETag, CopySourceIfMatch: ETag })).toBe('not refused');
    expect(await refusalOf(copy('nowhere', 'bucket/s', { IfMatch: ETag }))).toBe('404 NoSuchKey');
  });

  it('of a version copies that version, and never a delete marker', async () => {
    const at = { Bucket: 'versioned' };
    const old = await put('v', 'old', at);
    await put('v', 'new', at);
    const marker = await s3.send(new DeleteObjectCommand({ ...at, Key: 'v' }));
    const copied = await copy('from-version', `versioned/v?versionId=${old.VersionId}`);
    expect(copied.CopySourceVersionId).toBe(old.VersionId);
    expect(Buffer.from((await bytesOf('from-version')) ?? []).toString()).toBe('old');
    expect(await refusalOf(copy('x', 'versioned/v'))).toBe('404 NoSuchKey');
    expect(await refusalOf(copy('x', `versioned/v?versionId=${marker.VersionId}`))).toBe('400 InvalidRequest');
  });

  it('of an object in parts has the tag of its bytes', async () => {
    const { UploadId, parts } = await twoParts('in-parts', { ChecksumAlgorithm: 'SHA256' });
    await complete('in-parts', UploadId, parts);
    await copy('in-one', 'bucket/in-parts');
    const expected = {
      ETag: `"${hex('md5', whole)}"`,
      ChecksumSHA256: sum('sha256', whole),
      ChecksumType: 'FULL_OBJECT',
    };
    expect(await head('in-one')).toMatchObject(expected);
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'in-parts' }));
    expect(Buffer.compare((await bytesOf('in-one')) ?? Buffer.alloc(0), whole)).toBe(0);
  });

  it('of a range becomes a part', async () => {
    await put('long', whole);
    const UploadId = await create('from-ranges');
    const part = (PartNumber: number, CopySourceRange?: string, more = {}) =>
      s3.send(
        new UploadPartCopyCommand({
          Bucket,
          Key: 'from-ranges',
          UploadId,
          PartNumber,
          CopySource: 'bucket/long',
          CopySourceRange,
          ...more,
        }),
      );
    expect(await refusalOf(part(1, `bytes=0-${whole.length}`))).toBe('400 InvalidArgument');
    expect(await refusalOf(part(1, 'bytes=5'))).toBe('400 InvalidArgument');
    expect(await refusalOf(part(1, undefined, { CopySourceIfMatch: '"other"' }))).toBe('412 PreconditionFailed');
    const copied = [await part(1), await part(2, 'bytes=6-9')];
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'long' }));
    const parts = copied.map(({ CopyPartResult }, index) => ({ ETag: CopyPartResult?.ETag, PartNumber: index + 1 }));
    await complete('from-ranges', UploadId, parts);
    const expected = Buffer.concat([whole, whole.subarray(6, 10)]);
    expect(Buffer.compare((await bytesOf('from-ranges')) ?? Buffer.alloc(0), expected)).toBe(0);
    expect(await head('from-ranges')).toMatchObject({ ChecksumCRC64NVME: crc64(expected) });
  });
});

describe('the bytes', () => {
  it('of what went are gone, and of what stands are there once', async () => {
    const { db } = world.cloud.state;
    const stored = () => db.all<{ id: string; uses: number }>('SELECT id, uses FROM bodies');
    const used = new Set(
      [
        ...db.all<{ body: string }>('SELECT body FROM s3_versions'),
        ...db.all<{ body: string }>('SELECT body FROM s3_parts'),
      ]
        .flatMap(({ body }) => body.split(','))
        .map((segment) => segment.split(':')[0])
        .filter((id) => id !== ''),
    );
    expect(new Set(stored().map(({ id }) => id))).toEqual(used);
    expect(stored().every(({ uses }) => uses > 0)).toBe(true);
  });
});
