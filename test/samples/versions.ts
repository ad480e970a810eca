/** Versions to compare and to resolve, made of few different parts, so that ties and equal contents are common. */

import fc from 'fast-check';
import type { LogicalVersion } from '#shared/model/key-item.ts';
import { dotName } from '#shared/model/version-vector.ts';

/** Complete but for what `changes` says; a tombstone when its kind says so. */
export function version(s: string, n: number, changes: Partial<LogicalVersion> = {}): LogicalVersion {
  const dot = { s, n };
  const made: LogicalVersion = {
    vid: dotName(dot),
    dot,
    vv: { [s]: n },
    kind: 'object',
    hlc: { ms: 1_000, c: 0 },
    sizeBytes: 5,
    crc32c: 'mnG7TA==',
    crc64nvme: 'M3eFcAZSQlc=',
    metaDigest: 'plain',
    origin: { site: s, phys: `v:${n}`, cause: 'put' },
    holders: {},
    ...changes,
  };
  if (made.kind === 'object') return made;
  return { ...made, sizeBytes: 0, crc32c: '', crc64nvme: '', metaDigest: '' };
}

type Content = Pick<LogicalVersion, 'sizeBytes' | 'crc32c' | 'crc64nvme' | 'metaDigest'>;

const known: readonly Content[] = [
  { sizeBytes: 5, crc32c: 'mnG7TA==', crc64nvme: 'M3eFcAZSQlc=', metaDigest: 'plain' },
  { sizeBytes: 5, crc32c: 'mnG7TA==', crc64nvme: 'M3eFcAZSQlc=', metaDigest: 'other' },
  { sizeBytes: 5, crc32c: 'AAAAAA==', crc64nvme: 'AAAAAAAAAAA=', metaDigest: 'plain' },
  { sizeBytes: 6, crc32c: 'AAAAAA==', crc64nvme: 'AAAAAAAAAAA=', metaDigest: 'plain' },
];

/** Both checksums known, so that two contents are equal or differ, and never remain in doubt. */
export const anyKnownContent: fc.Arbitrary<Content> = fc.constantFrom(...known);

/** As different services tell of it: one checksum, the other, both or none. */
export const anyContent: fc.Arbitrary<Content> = fc
  .tuple(anyKnownContent, fc.boolean(), fc.boolean())
  .map(([content, first, second]) => ({
    ...content,
    ...(first ? {} : { crc32c: '' }),
    ...(second ? {} : { crc64nvme: '' }),
  }));

export function versionsOf(content: fc.Arbitrary<Content>): fc.Arbitrary<LogicalVersion> {
  return fc
    .record({
      s: fc.constantFrom('a', 'b', 'c', '~'),
      n: fc.integer({ min: 1, max: 4 }),
      born: fc.constantFrom('a', 'b', 'c', '~'),
      kind: fc.constantFrom<LogicalVersion['kind'][]>('object', 'object', 'object', 'tombstone'),
      hlc: fc.record({ ms: fc.integer({ min: 1_000, max: 1_008 }), c: fc.integer({ min: 0, max: 2 }) }),
      content,
    })
    .map(({ s, n, born, kind, hlc, content }) =>
      version(s, n, { kind, hlc, ...content, origin: { site: born, phys: `v:${n}`, cause: 'put' } }),
    );
}

/** Each with a vid of its own. */
export function siblingsOf(
  content: fc.Arbitrary<Content>,
  bounds: { readonly minLength: number; readonly maxLength: number },
): fc.Arbitrary<LogicalVersion[]> {
  return fc.uniqueArray(versionsOf(content), { ...bounds, selector: ({ vid }) => vid });
}
