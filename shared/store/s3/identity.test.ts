import { describe, expect, it } from 'vitest';
import {
  isLasting,
  readPhys,
  type S3Description,
  toDeleteMarker,
  toDescribed,
  toFields,
  toVersion,
} from './identity.ts';

const AT = new Date('2026-10-21T07:28:00.999Z');
const ANSWER: S3Description = { ETag: '"e"', VersionId: 'one', LastModified: AT };
const versionOf = (changes: Partial<S3Description> = {}, versioned = true) =>
  toVersion('k', versioned, { ...ANSWER, ...changes }, 5);
const user = (Metadata: Record<string, string>) => versionOf({ Metadata }).metadata.user;

describe('the identity', () => {
  it('of a kept version is its id, and can be read back', () => {
    expect(versionOf().phys).toBe('v:one');
    expect(readPhys(true, 'v:one')).toEqual({ kind: 'version', versionId: 'one' });
    expect(isLasting('v:one')).toBe(true);
  });

  it('of an object from before versions tells its bytes and its second, since the id comes again', () => {
    const { phys } = versionOf({ VersionId: 'null' });
    expect(phys).toBe('v:null:"e":1792567680');
    expect(readPhys(true, phys)).toEqual({ kind: 'etag', etag: '"e"', versionId: 'null' });
    expect(isLasting(phys)).toBe(false);
    expect(toDeleteMarker('k', 'null', AT).phys).toBe('v:null:"deleted":1792567680');
  });

  it('where versions are not kept hangs on bytes, second, size, metadata and marker', () => {
    const { phys } = versionOf({}, false);
    expect(phys).toMatch(/^e:"e":1792567680:5:[\w-]{12}$/);
    expect(readPhys(false, phys)).toEqual({ kind: 'etag', etag: '"e"' });
    const others: readonly Partial<S3Description>[] = [
      { ETag: '"f"' },
      { LastModified: new Date('2026-10-21T07:28:01Z') },
      { ContentType: 'text/plain' },
      { Metadata: { a: 'b' } },
      { Metadata: { triplicate: 'bQ' } },
    ];
    expect(new Set([phys, ...others.map((it) => versionOf(it, false).phys)]).size).toBe(others.length + 1);
    expect(toVersion('k', false, ANSWER, 6).phys).not.toBe(phys);
  });

  it.each(['', 'v:', 'v:null', 'absent:v:one', 'e:"e":1:1:abc', 'x'])('is never called %j in a chain', (phys) => {
    expect(readPhys(true, phys)).toBeNull();
  });
});

describe('a content type', () => {
  it('that S3 invented is none', () => {
    expect(versionOf({ ContentType: 'binary/octet-stream' }).metadata.headers).toEqual({});
  });

  it.each([undefined, 'binary/octet-stream', 'application/octet-stream', 'text/plain'])(
    '%j is read as written',
    (type) => {
      const headers = type === undefined ? {} : { contentType: type };
      const { ContentType = 'binary/octet-stream' } = toFields(toDescribed({ headers, user: {} }, undefined));
      expect(versionOf({ ContentType }).metadata.headers).toEqual(headers);
    },
  );
});

describe('a content encoding', () => {
  it.each([
    ['gzip', { contentEncoding: 'gzip' }],
    ['aws-chunked', {}],
    ['gzip,aws-chunked', { contentEncoding: 'gzip' }],
    ['aws-chunked, gzip', { contentEncoding: 'gzip' }],
  ])('%s is told without the coding of the way', (ContentEncoding, headers) => {
    expect(versionOf({ ContentEncoding }).metadata.headers).toEqual(headers);
  });
});

describe('user metadata', () => {
  it.each([
    ['plain text', 'plain text'],
    ['=?UTF-8?B?w6TDtg==?=', 'äö'],
    ['=?UTF-8?Q?=C3=A4_=C3=B6?=', 'ä ö'],
    ['=?utf-8?q?a?= =?utf-8?q?b?=', 'ab'],
    ['before =?UTF-8?B?w6Q=?= after', 'before ä after'],
    ['=?UTF-8?B?/w==?=', '=?UTF-8?B?/w==?='],
    ['=?none?Q?a?=', '=?none?Q?a?='],
    ['a?= =?b', 'a?= =?b'],
  ])('%j means %j', (stored, text) => {
    expect(user({ a: stored })).toEqual({ a: text });
  });

  it('is refused where S3 would decode it, or could not keep it', () => {
    for (const value of ['=?UTF-8?Q?a?=', 'ä', 'line\nbreak'])
      expect(() => toDescribed({ headers: {}, user: { a: value } }, undefined)).toThrow(/^metadata a: /);
  });

  it('holds the marker as an entry of its own, which is no metadata', () => {
    const { Metadata } = toFields(toDescribed({ headers: {}, user: { a: 'b' } }, 'bQ'));
    expect(Metadata).toEqual({ a: 'b', triplicate: 'bQ' });
    expect(versionOf({ Metadata })).toMatchObject({ marker: 'bQ', metadata: { user: { a: 'b' } } });
  });
});

describe('checksums', () => {
  it('are those of the whole object alone', () => {
    expect(versionOf({ ChecksumCRC64NVME: 'x', ChecksumCRC32C: 'y' }).checksums).toEqual({
      crc64nvme: 'x',
      crc32c: 'y',
    });
    expect(versionOf({ ChecksumCRC32C: 'y-3' }).checksums).toEqual({});
    expect(versionOf({ ChecksumCRC32C: 'y', ChecksumType: 'COMPOSITE' }).checksums).toEqual({});
  });
});
