/** An operator's choice ends a conflict as a policy would have: one winner, and the others in its past and in the log. */
import { describe, expect, it } from 'vitest';
import { version } from '../../test/samples/versions.ts';
import type { KeyItem, LogicalVersion } from '../model/key-item.ts';
import { compare } from '../model/version-vector.ts';
import { choices, choose } from './choose.ts';
import { emptyItem } from './draft.ts';
import { everyRule } from './rules.ts';

const moment = { now: 1_750_000_000_000, rules: everyRule };
const held = { a: { phys: 'v1' } };

function itemOf(siblings: readonly LogicalVersion[], older: readonly LogicalVersion[] = []): KeyItem {
  const frontier = siblings.map(({ vid }) => vid);
  return {
    ...emptyItem('k'),
    rev: 3,
    frontier,
    versions: Object.fromEntries([...siblings, ...older].map((it) => [it.vid, it])),
    unresolved: { reason: 'ask the author', since: 1, siblings: frontier },
  };
}

describe('a choice among siblings', () => {
  const mine = version('a', 1, { holders: held });
  const yours = version('b', 1, { holders: { b: { phys: 'v2' } } });
  const before = itemOf([mine, yours]);

  it('is found by the sweep, whatever message was kept for the key', () => {
    const after = choose({ ...before, due: 1, unlisted: true }, yours.vid, moment);
    expect(after.due).toBe(moment.now);
    expect(after).not.toHaveProperty('unlisted');
  });

  it('makes one the winner, and the other one is in its past and in the log', () => {
    const after = choose(before, yours.vid, moment);
    expect(after).toMatchObject({ frontier: [yours.vid], unresolved: null, due: moment.now, rev: 3 });
    expect(compare(after.versions[yours.vid] as LogicalVersion, mine)).toBe('after');
    expect(after.outbox).toEqual([
      {
        key: 'k',
        id: `superseded/${mine.vid}`,
        kind: 'superseded',
        at: moment.now,
        vid: mine.vid,
        by: yours.vid,
        note: 'operator',
      },
    ]);
  });

  it('changes nothing but its answer', () => {
    const text = JSON.stringify(before);
    choose(before, mine.vid, moment);
    expect(JSON.stringify(before)).toBe(text);
  });

  it('offers the siblings alone, as long as one can be read or is a delete', () => {
    const older = version('a', 0, { holders: held });
    expect(choices(itemOf([mine, yours], [older])).map(({ vid }) => vid)).toEqual([mine.vid, yours.vid]);
    const gone = version('c', 1, { kind: 'tombstone', holders: {} });
    expect(choices(itemOf([gone], [older])).map(({ vid }) => vid)).toEqual([gone.vid]);
  });

  it.each([
    ['a settled key', { ...before, unresolved: null }, mine.vid, /^key: expected a key that is unresolved/],
    ['a version nobody knows', before, 'c:9', /^version: expected one of a:1, b:1, got "c:9"/],
  ])('refuses %s', (_what, item, vid, message) => {
    expect(() => choose(item, vid, moment)).toThrow(message);
  });
});

describe('a choice where the only version is lost', () => {
  const lost = version('a', 2, { holders: {}, vv: { a: 2 } });
  const older = version('a', 1, { holders: held });

  it('may bring an older one back, as a version born after both', () => {
    const before = itemOf([lost], [older]);
    expect(choices(before).map(({ vid }) => vid)).toEqual([lost.vid, older.vid]);
    const after = choose(before, older.vid, moment);
    const [vid = ''] = after.frontier;
    const winner = after.versions[vid] as LogicalVersion;
    expect(winner).toMatchObject({
      dot: { s: '~', n: moment.now },
      holders: held,
      sizeBytes: older.sizeBytes,
      crc32c: older.crc32c,
      metaDigest: older.metaDigest,
    });
    for (const before of [lost, older]) expect(compare(winner, before)).toBe('after');
    expect(after.outbox.map(({ kind, by = vid }) => [kind, by])).toEqual([
      ['version', vid],
      ['superseded', vid],
    ]);
  });
});
