/** Lists and awkward keys of the local S3 through the AWS SDK. */

import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestS3, refusalOf, type TestS3 } from '../../../test/local/s3.ts';
import { successorOf } from './list.ts';

let world: TestS3;
let s3: S3Client;

const tree = ['a', 'a/', 'a/1', 'a/2', 'a/b/1', 'a/b/2', 'a0', 'b', 'b/c/d', 'c d', 'z'];

const awkward = [
  'blank and%20percent%',
  'plus+and&amp;<tag>"quote\'',
  'caf\u00e9',
  'cafe\u0301',
  'a/../b',
  './dot',
  '..',
  'dir/.',
  'trailing.',
  'trailing/',
  '/leading',
  '//twice//',
  'emoji \u{1f600}\u{1f1e9}\u{1f1ea}',
  'last \uffff of plane \u{10ffff}',
  'control \u0001\u001f\u007f',
  'tab\tline\nreturn\r',
  'question?versionId=1#hash',
  'back\\slash:*|',
  Array.from({ length: 254 }, (_, index) => index % 10).join('/'),
  'x'.repeat(1024),
  '\u20ac'.repeat(341),
];

beforeAll(async () => {
  world = await openTestS3();
  s3 = world.client;
  for (const name of ['tree', 'awkward', 'empty']) world.service.createBucket(name);
  world.service.createBucket('versioned', { versioning: true });
  for (const Key of tree) await s3.send(new PutObjectCommand({ Bucket: 'tree', Key, Body: Key }));
});

afterAll(async () => {
  await world.stop();
  expect(world.reports).toEqual([]);
});

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** What all pages together tell: keys, and groups in brackets, in the order of the list. */
async function pages(input: { Bucket: string; [name: string]: unknown }): Promise<string[][]> {
  const found: string[][] = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await s3.send(new ListObjectsV2Command({ ...input, ContinuationToken }));
    const keys = (page.Contents ?? []).map(({ Key }) => Key ?? '');
    const groups = (page.CommonPrefixes ?? []).map(({ Prefix }) => `[${Prefix}]`);
    expect(page.KeyCount).toBe(keys.length + groups.length);
    found.push([...keys, ...groups].sort((a, b) => byBytes(a.replace('[', ''), b.replace('[', ''))));
    ContinuationToken = page.NextContinuationToken;
    expect(page.IsTruncated).toBe(ContinuationToken !== undefined);
  } while (ContinuationToken !== undefined);
  return found;
}

describe('a list', () => {
  const wishes: readonly (readonly [string, object, readonly string[]])[] = [
    ['of everything', {}, tree],
    ['of a prefix', { Prefix: 'a/' }, ['a/', 'a/1', 'a/2', 'a/b/1', 'a/b/2']],
    ['of groups', { Delimiter: '/' }, ['a', '[a/]', 'a0', 'b', '[b/]', 'c d', 'z']],
    ['of groups in a prefix', { Prefix: 'a/', Delimiter: '/' }, ['a/', 'a/1', 'a/2', '[a/b/]']],
    ['of groups in half a name', { Prefix: 'a', Delimiter: '/' }, ['a', '[a/]', 'a0']],
    [
      'of groups by a longer text',
      { Delimiter: '/b/' },
      ['a', 'a/', 'a/1', 'a/2', '[a/b/]', 'a0', 'b', 'b/c/d', 'c d', 'z'],
    ],
    ['behind a key', { StartAfter: 'a/b/1' }, ['a/b/2', 'a0', 'b', 'b/c/d', 'c d', 'z']],
    [
      'behind a key that is not there',
      { StartAfter: 'a/b/11', Delimiter: '/' },
      ['[a/]', 'a0', 'b', '[b/]', 'c d', 'z'],
    ],
    ['of nothing', { Prefix: 'nothing' }, []],
    ['encoded for XML', { EncodingType: 'url', Prefix: 'c' }, ['c+d']],
  ];
  it.each(wishes)('%s is the same in pages of any size', async (_what, wish, expected) => {
    for (const MaxKeys of [1, 2, 3, 1000]) {
      const found = await pages({ Bucket: 'tree', ...wish, MaxKeys });
      expect(found.flat()).toEqual(expected);
      expect(found.length).toBe(Math.max(1, Math.ceil(expected.length / MaxKeys)));
    }
  });

  it('of the first version goes on behind its marker', async () => {
    for (const MaxKeys of [1, 2, 5]) {
      const found: string[] = [];
      let Marker: string | undefined;
      do {
        const page = await s3.send(new ListObjectsCommand({ Bucket: 'tree', Delimiter: '/', MaxKeys, Marker }));
        found.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ''));
        found.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => `[${Prefix}]`));
        Marker = page.NextMarker;
      } while (Marker !== undefined);
      expect(found.sort()).toEqual(['[a/]', '[b/]', 'a', 'a0', 'b', 'c d', 'z']);
    }
  });

  it('is refused where the question makes no sense', async () => {
    const list = (more: object) => refusalOf(s3.send(new ListObjectsV2Command({ Bucket: 'tree', ...more })));
    expect(await list({ MaxKeys: -1 })).toBe('400 InvalidArgument');
    expect(await list({ ContinuationToken: 'rubbish' })).toBe('400 InvalidArgument');
    expect(await list({ EncodingType: 'xml' })).toBe('400 InvalidArgument');
    expect(await list({ Bucket: 'no-such-bucket' })).toBe('404 NoSuchBucket');
    expect(await pages({ Bucket: 'tree', MaxKeys: 0 })).toEqual([[]]);
    expect(await pages({ Bucket: 'empty', Delimiter: '/' })).toEqual([[]]);
  });

  it('of versions goes page by page, newest first', async () => {
    const Bucket = 'versioned';
    const expected: string[] = [];
    for (const Key of ['a', 'a/b', 'c']) {
      const ids: string[] = [];
      for (const Body of ['1', '2'])
        ids.unshift((await s3.send(new PutObjectCommand({ Bucket, Key, Body }))).VersionId ?? '');
      if (Key === 'a/b') ids.unshift((await s3.send(new DeleteObjectCommand({ Bucket, Key }))).VersionId ?? '');
      expected.push(...ids.map((id) => `${Key} ${id}`));
    }
    for (const MaxKeys of [1, 2, 3, 1000]) {
      const found: string[] = [];
      let marker: object | undefined = {};
      while (marker !== undefined) {
        const page: ListObjectVersionsCommandOutput = await s3.send(
          new ListObjectVersionsCommand({ Bucket, MaxKeys, ...marker }),
        );
        const all = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])];
        const names = all.map(({ Key, VersionId }) => `${Key} ${VersionId}`);
        found.push(...names.sort((a, b) => expected.indexOf(a) - expected.indexOf(b)));
        const { NextKeyMarker: KeyMarker, NextVersionIdMarker: VersionIdMarker } = page;
        marker = page.IsTruncated ? { KeyMarker, VersionIdMarker } : undefined;
      }
      expect(found).toEqual(expected);
    }
  });
});

describe('a key', () => {
  const Bucket = 'awkward';

  it.each(awkward.map((key) => [key.slice(0, 40), key]))('like %j is kept as it is', async (_short, Key) => {
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
    const read = await s3.send(new GetObjectCommand({ Bucket, Key }));
    expect(await read.Body?.transformToString()).toBe(Key);
  });

  it('is listed in the order of its bytes', async () => {
    const decoded: string[] = [];
    let ContinuationToken: string | undefined;
    do {
      const wish = { Bucket, EncodingType: 'url', MaxKeys: 4, ContinuationToken } as const;
      const page = await s3.send(new ListObjectsV2Command(wish));
      const keys = (page.Contents ?? []).map(({ Key }) => Key ?? '');
      decoded.push(...keys.map((key) => decodeURIComponent(key.replaceAll('+', ' '))));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    expect(decoded).toEqual([...awkward].sort(byBytes));
  });

  it('of more than 1,024 bytes is refused', async () => {
    for (const Key of ['x'.repeat(1025), '\u20ac'.repeat(342)])
      expect(await refusalOf(s3.send(new PutObjectCommand({ Bucket, Key, Body: '' })))).toBe('400 KeyTooLongError');
  });

  it('is deleted with many others, unless XML cannot name it', async () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML cannot hold
    const Objects = awkward.filter((Key) => !/[\u0000-\u0008\u000b-\u001f\uffff]/.test(Key)).map((Key) => ({ Key }));
    const told = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    expect(told.Deleted?.map(({ Key }) => Key)).toEqual(Objects.map(({ Key }) => Key));
    expect((await pages({ Bucket, EncodingType: 'url' })).flat()).toHaveLength(awkward.length - Objects.length);
  });
});

describe('the text after all that begin alike', () => {
  const samples = ['a', 'a/', '\u007f', '\ud7ff', '\uffff', '\u{1f600}', 'a\u{10ffff}', 'a\u{10ffff}\u{10ffff}'];
  it.each(samples)('%j lies behind them and before the rest', (prefix) => {
    const next = successorOf(prefix) ?? '';
    expect(byBytes(`${prefix}\u{10ffff}\u{10ffff}`, next)).toBeLessThan(0);
    expect(next.startsWith(prefix)).toBe(false);
  });

  it('is none behind the last of all', () => {
    expect([successorOf(''), successorOf('\u{10ffff}')]).toEqual([null, null]);
  });
});
