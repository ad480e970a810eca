/** Shows that parts fit every cloud, that jobs never share a name, and that a defective record says which field it is. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CopyJob,
  jobId,
  jobName,
  partBytesFor,
  partCount,
  partId,
  partsPrefix,
  readCopyJob,
  readCopyPart,
  stageKey,
} from './copy-job.ts';
import { Fault } from './fault.ts';
import { isReserved } from './key-map.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const TIB = 1024 ** 4;
const PARTS_MAX = 10_000; // S3 and GCS; Azure allows more

const anySize = fc.oneof(fc.integer({ min: 0, max: 5 * TIB }), fc.constantFrom(0, 1, 64 * MIB, 5 * TIB - 1, 5 * TIB));
const anyWish = fc.integer({ min: 5 * MIB, max: 5 * GIB });

const job: CopyJob = {
  key: 'k',
  vid: 'a:1',
  site: 'b',
  source: { site: 'a', key: 'k', phys: 'v:1' },
  metadata: { headers: {}, user: {} },
  stored: {},
  sizeBytes: 20,
  partBytes: 8,
  upload: 'u1',
  createdAt: 1,
  staged: null,
  publishing: null,
};

function refusal(read: (text: string) => unknown, text: string): string {
  try {
    read(text);
  } catch (error) {
    if (error instanceof Fault && error.kind === 'invalid') return error.message;
    throw error;
  }
  return 'read';
}

describe('the size of parts', () => {
  it('leaves 5 TiB in parts that one invocation copies many of, at 20 MB/s and in 15 minutes', () => {
    const partBytes = partBytesFor(5 * TIB, 8 * MIB);
    expect([partBytes / MIB, partCount(5 * TIB, partBytes)]).toEqual([656, 7993]);
    expect((15 * 60) / (partBytes / 20e6)).toBeGreaterThan(25);
  });

  it('lets any object up to 5 TiB go within the parts and part sizes that every cloud allows', () => {
    fc.assert(
      fc.property(anySize, anyWish, (sizeBytes, wished) => {
        const partBytes = partBytesFor(sizeBytes, wished);
        expect(partCount(sizeBytes, partBytes)).toBeLessThanOrEqual(PARTS_MAX);
        expect(partBytes).toBeGreaterThanOrEqual(5 * MIB);
        expect(partBytes).toBeLessThanOrEqual(5 * GIB);
      }),
      { numRuns: 1000 },
    );
  });

  it('is the one wished for wherever that is enough', () => {
    expect(partBytesFor(100 * GIB, 64 * MIB)).toBe(64 * MIB);
    expect(partBytesFor(5 * TIB, 64 * MIB)).toBe(656 * MIB);
    fc.assert(
      fc.property(anySize, anyWish, (sizeBytes, wished) => {
        expect(partBytesFor(sizeBytes, wished)).toBeGreaterThanOrEqual(wished);
        if (sizeBytes <= wished * 8_000) expect(partBytesFor(sizeBytes, wished)).toBe(wished);
      }),
    );
  });

  it('gives parts that cover the object exactly, the last one not empty', () => {
    fc.assert(
      fc.property(anySize, anyWish, (sizeBytes, wished) => {
        const partBytes = partBytesFor(sizeBytes, wished);
        const count = partCount(sizeBytes, partBytes);
        expect(count * partBytes).toBeGreaterThanOrEqual(sizeBytes);
        expect((count - 1) * partBytes).toBeLessThan(Math.max(sizeBytes, 1));
      }),
    );
  });
});

describe('the names of a job', () => {
  it('are equal only for the same key, version and site', () => {
    const anyJob = fc.record({
      key: fc.string({ minLength: 1 }),
      vid: fc.constantFrom('a:1', 'a:11', 'b:1', '~:1'),
      site: fc.constantFrom('a', 'b', '1'),
    });
    fc.assert(
      fc.property(anyJob, anyJob, (one, two) => {
        const same = one.key === two.key && one.vid === two.vid && one.site === two.site;
        const [first, second] = [jobName(one.key, one.vid, one.site), jobName(two.key, two.vid, two.site)];
        expect(first === second).toBe(same);
        expect(stageKey(first) === stageKey(second)).toBe(same);
        expect(jobId(first) === jobId(second)).toBe(same);
      }),
    );
  });

  it('put the stage object among our own', () => {
    expect(isReserved(stageKey(jobName('k', 'a:1', 'b')))).toBe(true);
  });

  it('list the parts of one upload in their order, and never those of another', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: PARTS_MAX }), fc.integer({ min: 1, max: PARTS_MAX }), (one, two) => {
        expect(partId('n', 'u1', one) < partId('n', 'u1', two)).toBe(one < two);
        expect(partId('n', 'u1', one)).not.toBe(partId('n', 'u2', one));
        expect(partId('n', 'u1', one).startsWith(partsPrefix('n'))).toBe(true);
      }),
    );
  });
});

describe('a stored job', () => {
  const staged: CopyJob = { ...job, staged: { phys: 'v:2', crc32c: 'mnG7TA==', crc64nvme: '' } };
  it.each([
    ['open', job],
    ['staged', staged],
    ['closed', { closedAt: 5 }],
  ])('comes back: %s', (_what, stored) => {
    expect(readCopyJob(JSON.stringify(stored))).toEqual(stored);
  });

  it.each<[field: string, changes: object]>([
    ['job.key', { key: 1 }],
    ['job.vid', { vid: null }],
    ['job.site', { site: undefined }],
    ['job.upload', { upload: undefined }],
    ['job.sizeBytes', { sizeBytes: '20' }],
    ['job.partBytes', { partBytes: 1.5 }],
    ['job.createdAt', { createdAt: undefined }],
    ['job.source', { source: {} }],
    ['job.metadata', { metadata: {} }],
    ['job.staged', { staged: {} }],
    ['job.staged', { staged: undefined }],
    ['job.closedAt', { closedAt: 'now' }],
  ])('is refused by the name of the field %s', (field, changes) => {
    const message = refusal(readCopyJob, JSON.stringify({ ...job, ...changes }));
    expect(message.startsWith(`${field}: expected `)).toBe(true);
  });

  it.each(['', '{', 'null', '"job"', '7'])('is refused when it is no JSON object: %s', (text) => {
    expect(refusal(readCopyJob, text)).toMatch(/^job: expected a JSON object/);
    expect(refusal(readCopyPart, text)).toMatch(/^part: expected a JSON object/);
  });
});

describe('a stored part', () => {
  const leased = { kind: 'leased', token: 't', until: 5 };
  const done = { kind: 'done', receipt: 'r', sizeBytes: 8, crc32c: '', crc64nvme: '' };

  it.each([leased, done])('comes back: $kind', (part) => {
    expect(readCopyPart(JSON.stringify(part))).toEqual(part);
  });

  it.each([
    { ...leased, until: undefined },
    { ...leased, token: 7 },
    { ...done, receipt: undefined },
    { ...done, sizeBytes: -0.5 },
    { ...done, kind: 'todo' },
    {},
  ])('is refused when it is neither: %j', (part) => {
    expect(refusal(readCopyPart, JSON.stringify(part))).toMatch(/^part: expected a leased or a done part/);
  });
});
