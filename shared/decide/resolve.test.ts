/** Shows that the winner hangs on the versions and the policy alone, and that losers are kept where the policy says so. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyContent, anyKnownContent, siblingsOf, version, versionsOf } from '../../test/samples/versions.ts';
import type { LogicalVersion } from '../model/key-item.ts';
import type { ConflictPolicy, DeletePolicy } from '../model/topology.ts';
import { type Policies, type Resolution, resolve, SIBLINGS_KEPT_MAX, sameContent, stronger } from './resolve.ts';
import { everyRule } from './rules.ts';

const SKEW_MS = 3;

const anyDeletes = fc.constantFrom<DeletePolicy[]>('write-wins', 'delete-wins', 'by-clock');
const anyAutomatic: fc.Arbitrary<ConflictPolicy> = fc.oneof(
  fc.constantFrom<ConflictPolicy[]>({ kind: 'lww' }, { kind: 'lww-safe' }, { kind: 'keep-both' }),
  fc.shuffledSubarray(['a', 'b', 'c']).map((order) => ({ kind: 'prefer-site' as const, order })),
);
const anyPolicy = fc.oneof({ weight: 4, arbitrary: anyAutomatic }, fc.constant({ kind: 'custom' as const, name: 'f' }));
const policiesOf = (policy: fc.Arbitrary<ConflictPolicy>): fc.Arbitrary<Policies> =>
  fc.record({ policy, deletes: anyDeletes, skewBoundMs: fc.constant(SKEW_MS) });
const anyPolicies = policiesOf(anyPolicy);
const anySiblings = siblingsOf(anyContent, { minLength: 1, maxLength: 8 });
const anyVersion = versionsOf(anyContent);

const lww: Policies = { policy: { kind: 'lww' }, deletes: 'by-clock', skewBoundMs: SKEW_MS };
const keepBoth: Policies = { ...lww, policy: { kind: 'keep-both' } };
const safe: Policies = { ...lww, policy: { kind: 'lww-safe' } };
const custom: Policies = { ...lww, policy: { kind: 'custom', name: 'f' } };

function outcome(siblings: readonly LogicalVersion[], policies: Policies): Resolution {
  return resolve(siblings, policies, everyRule);
}

/** Whoever leads: the winner, or the first of those a function is asked about. */
function winnerOf(siblings: readonly LogicalVersion[], policies: Policies): LogicalVersion {
  const resolution = outcome(siblings, policies);
  return resolution.kind === 'winner' ? resolution.winner : (resolution.siblings[0] as LogicalVersion);
}

function keptOf(siblings: readonly LogicalVersion[], policies: Policies): readonly LogicalVersion[] {
  const resolution = outcome(siblings, policies);
  return resolution.kind === 'winner' ? resolution.keep : [];
}

describe('the outcome under every policy', () => {
  it('is the same whatever the order of the siblings', () => {
    const anyTwoOrders = anySiblings.chain((siblings) =>
      fc.tuple(fc.constant(siblings), fc.shuffledSubarray(siblings, { minLength: siblings.length })),
    );
    fc.assert(
      fc.property(anyTwoOrders, anyPolicies, ([siblings, shuffled], policies) => {
        expect(outcome(shuffled, policies)).toEqual(outcome(siblings, policies));
      }),
      { numRuns: 500 },
    );
  });

  it('is the same whether groups of siblings were resolved before or all at once', () => {
    const anyGroups = anySiblings.chain((siblings) =>
      fc.tuple(fc.constant(siblings), fc.integer({ min: 1, max: siblings.length }), fc.nat(siblings.length)),
    );
    fc.assert(
      fc.property(anyGroups, anyPolicies, ([siblings, to, from], policies) => {
        // Overlapping too: the same version may reach a resolution twice.
        const groups = [siblings.slice(0, to), siblings.slice(Math.min(from, to))].filter(({ length }) => length > 0);
        const winners = [...new Set(groups.map((group) => winnerOf(group, policies)))];
        expect(winnerOf(winners, policies).vid).toBe(winnerOf(siblings, policies).vid);
      }),
      { numRuns: 500 },
    );
  });

  it('is the version itself when there is only one', () => {
    fc.assert(
      fc.property(anyVersion, anyPolicies, (one, policies) => {
        expect(outcome([one], policies)).toEqual({ kind: 'winner', winner: one, keep: [], uncertain: false });
      }),
    );
  });

  it('is found without touching what it was found among', () => {
    fc.assert(
      fc.property(anySiblings, anyPolicies, (siblings, policies) => {
        const before = JSON.stringify(siblings);
        outcome(Object.freeze(siblings), policies);
        expect(JSON.stringify(siblings)).toBe(before);
      }),
    );
  });
});

describe('being stronger', () => {
  it('is antisymmetric, and undecided only between a version and itself', () => {
    fc.assert(
      fc.property(anyVersion, anyVersion, anyPolicies, (a, b, policies) => {
        expect(Math.sign(stronger(a, b, policies)) + Math.sign(stronger(b, a, policies))).toBe(0);
        if (a.vid !== b.vid) expect(stronger(a, b, policies)).not.toBe(0);
        expect(stronger(a, a, policies)).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });

  it('is transitive', () => {
    fc.assert(
      fc.property(siblingsOf(anyContent, { minLength: 3, maxLength: 3 }), anyPolicies, (three, policies) => {
        const [a, b, c] = three as [LogicalVersion, LogicalVersion, LogicalVersion];
        if (stronger(a, b, policies) > 0 && stronger(b, c, policies) > 0) {
          expect(stronger(a, c, policies)).toBeGreaterThan(0);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it.each<[what: string, policies: Partial<Policies>, winner: LogicalVersion, loser: LogicalVersion]>([
    ['a later clock', {}, at('b', 1, 2_000), at('a', 9, 1_999)],
    ['a higher count at the same time', {}, at('b', 1, 5, 1), at('a', 9, 5, 0)],
    ['the first site by name at the same stamp', {}, at('a', 1, 5), at('b', 9, 5)],
    ['the later dot of one site at the same stamp', {}, at('a', 2, 5), at('a', 1, 5)],
    ['a write over a later delete', { deletes: 'write-wins' }, at('a', 1, 5), gone('b', 1, 9)],
    ['a delete over a later write', { deletes: 'delete-wins' }, gone('b', 1, 5), at('a', 1, 9)],
    ['whichever is later of write and delete', { deletes: 'by-clock' }, gone('b', 1, 9), at('a', 1, 5)],
    ['the preferred site over a later clock', { policy: prefer('b', 'a') }, at('b', 1, 5), at('a', 1, 9)],
    ['a named site over one not named', { policy: prefer('b') }, at('b', 1, 5), at('a', 1, 9)],
    ['the clock among sites not named', { policy: prefer('c') }, at('b', 1, 9), at('a', 1, 5)],
    [
      'a write over a delete at the preferred site',
      { policy: prefer('b'), deletes: 'write-wins' },
      at('a', 1, 5),
      gone('b', 1, 9),
    ],
  ])('lies with %s', (_what, changes, winner, loser) => {
    const policies = { ...lww, ...changes };
    expect(stronger(winner, loser, policies)).toBeGreaterThan(0);
    expect(winnerOf([loser, winner], policies)).toBe(winner);
  });

  it('asks where a version was born, not who named its dot', () => {
    const copy = version('~', 1, { origin: { site: 'b', phys: 'v:1', cause: 'put' } });
    expect(winnerOf([version('a', 9), copy], { ...lww, policy: prefer('b', 'a') })).toBe(copy);
  });
});

describe('equal content', () => {
  it('is the same question both ways', () => {
    fc.assert(
      fc.property(anyVersion, anyVersion, (a, b) => {
        expect(sameContent(a, b)).toBe(sameContent(b, a));
      }),
      { numRuns: 1000 },
    );
  });

  it('is never claimed of an object without a checksum known on both sides', () => {
    fc.assert(
      fc.property(anyVersion, anyVersion, (a, b) => {
        fc.pre(a.kind === 'object' && sameContent(a, b));
        expect((a.crc32c !== '' && b.crc32c !== '') || (a.crc64nvme !== '' && b.crc64nvme !== '')).toBe(true);
      }),
    );
    const unknown = version('a', 1, { crc32c: '', crc64nvme: '' });
    expect(sameContent(unknown, { ...unknown })).toBe(false);
    expect(sameContent({ ...unknown, crc32c: 'AAAAAA==' }, { ...unknown, crc64nvme: 'AAAAAAAAAAA=' })).toBe(false);
  });

  it('is denied by any difference', () => {
    const one = version('a', 1);
    const different: readonly Partial<LogicalVersion>[] = [
      { sizeBytes: 6 },
      { metaDigest: 'other' },
      { crc32c: 'AAAAAA==' },
      { crc64nvme: 'AAAAAAAAAAA=' },
    ];
    expect(sameContent(one, version('b', 1))).toBe(true);
    for (const changes of different) expect(sameContent(one, version('b', 1, changes))).toBe(false);
    expect(sameContent(one, gone('b', 1, 5))).toBe(false);
  });

  it('is shared by all deletes', () => {
    expect(sameContent(gone('a', 1, 5), gone('b', 2, 9))).toBe(true);
  });
});

describe('keep-both', () => {
  it('keeps every losing content once, and none that the winner has', () => {
    const contentOf = ({ sizeBytes, crc32c, metaDigest }: LogicalVersion) => `${sizeBytes} ${crc32c} ${metaDigest}`;
    const anyKnown = siblingsOf(anyKnownContent, { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(anyKnown, anyDeletes, (siblings, deletes) => {
        const winner = winnerOf(siblings, { ...keepBoth, deletes });
        const lost = new Set(siblings.filter(({ kind }) => kind === 'object').map(contentOf));
        if (winner.kind === 'object') lost.delete(contentOf(winner));
        expect(
          keptOf(siblings, { ...keepBoth, deletes })
            .map(contentOf)
            .sort(),
        ).toEqual([...lost].sort());
      }),
      { numRuns: 500 },
    );
  });

  it('keeps what may be different, too, where services tell too little', () => {
    fc.assert(
      fc.property(anySiblings, (siblings) => {
        const winner = winnerOf(siblings, keepBoth);
        const kept = keptOf(siblings, keepBoth);
        for (const one of kept)
          expect([winner, ...kept].filter((it) => it !== one && sameContent(it, one))).toEqual([]);
        for (const one of siblings.filter(({ kind }) => kind === 'object')) {
          expect([winner, ...kept].some((it) => it === one || sameContent(it, one))).toBe(true);
        }
      }),
    );
  });

  it('keeps nothing one by one when there are more than eight', () => {
    const many = Array.from({ length: SIBLINGS_KEPT_MAX + 1 }, (_, i) => version('a', i + 1, { sizeBytes: i }));
    expect(keptOf(many, keepBoth)).toEqual([]);
    expect(keptOf(many.slice(1), keepBoth)).toHaveLength(SIBLINGS_KEPT_MAX - 1);
    expect(winnerOf(many, keepBoth)).toBe(many.at(-1));
  });
});

describe('lww-safe', () => {
  it('keeps what keep-both keeps exactly when another clock is too near to be trusted, and says so', () => {
    fc.assert(
      fc.property(anySiblings, anyDeletes, (siblings, deletes) => {
        const winner = winnerOf(siblings, { ...safe, deletes });
        const near = siblings.some((it) => it !== winner && Math.abs(it.hlc.ms - winner.hlc.ms) <= SKEW_MS);
        const expected = near ? keptOf(siblings, { ...keepBoth, deletes }) : [];
        expect(outcome(siblings, { ...safe, deletes })).toEqual({
          kind: 'winner',
          winner,
          keep: expected,
          uncertain: near,
        });
      }),
      { numRuns: 500 },
    );
  });

  it('trusts clocks that are further apart than the bound', () => {
    const old = at('a', 1, 1_000, 0, { sizeBytes: 6 });
    expect(keptOf([old, at('b', 1, 1_000 + SKEW_MS)], safe)).toEqual([old]);
    expect(keptOf([old, at('b', 1, 1_001 + SKEW_MS)], safe)).toEqual([]);
  });
});

describe('a policy of the user', () => {
  it('is asked exactly when objects that differ would have to be decided between', () => {
    fc.assert(
      fc.property(anySiblings, anyDeletes, (siblings, deletes) => {
        const winner = winnerOf(siblings, { ...lww, deletes });
        const objects = siblings.filter(({ kind }) => kind === 'object');
        const differ = winner.kind === 'object' && objects.some((it) => it !== winner && !sameContent(it, winner));
        expect(outcome(siblings, { ...custom, deletes }).kind).toBe(differ ? 'ask' : 'winner');
      }),
    );
  });

  it('is shown the objects, the strongest first, and no deletes', () => {
    const [old, young] = [at('a', 1, 5, 0, { sizeBytes: 6 }), at('b', 1, 9)];
    const policies = { ...custom, deletes: 'write-wins' as const };
    expect(outcome([old, gone('c', 1, 7), young], policies)).toEqual({
      kind: 'ask',
      name: 'f',
      siblings: [young, old],
    });
  });
});

function at(s: string, n: number, ms: number, c = 0, changes: Partial<LogicalVersion> = {}): LogicalVersion {
  return version(s, n, { hlc: { ms, c }, ...changes });
}

function gone(s: string, n: number, ms: number): LogicalVersion {
  return at(s, n, ms, 0, { kind: 'tombstone' });
}

function prefer(...order: readonly string[]): ConflictPolicy {
  return { kind: 'prefer-site', order };
}
