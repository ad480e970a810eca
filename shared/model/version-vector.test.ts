/** Shows that dots tell what came after what: in any version, and in any history of buckets that replicate. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compare,
  contains,
  type Dot,
  dotName,
  join,
  maximal,
  type Order,
  type Versioned,
  type VersionVector,
  withDot,
} from './version-vector.ts';

const SITES = ['a', 'b', 'c', 'd'] as const;

const anyDot: fc.Arbitrary<Dot> = fc.record({ s: fc.constantFrom(...SITES), n: fc.integer({ min: 1, max: 5 }) });
const anyVector: fc.Arbitrary<VersionVector> = fc.dictionary(
  fc.constantFrom(...SITES),
  fc.integer({ min: 1, max: 5 }),
  { noNullPrototype: true },
);
const anyVersion: fc.Arbitrary<Versioned> = fc
  .tuple(anyDot, anyVector)
  .map(([dot, past]) => ({ dot, vv: withDot(past, dot) }));

const MIRROR: Readonly<Record<Order, Order>> = {
  equal: 'equal',
  before: 'after',
  after: 'before',
  concurrent: 'concurrent',
};

interface Node {
  readonly dot: Dot;
  vv: VersionVector;
  /** What it was written over, and what lost to it: the true past, kept apart from the vector. */
  readonly over: Node[];
  seen: boolean;
}

/** Every bucket shows one version at a time. What a client wrote becomes known only when somebody looks. */
type Step =
  | { readonly kind: 'write'; readonly site: string; readonly skip: number }
  | { readonly kind: 'look'; readonly site: string }
  | { readonly kind: 'resolve'; readonly choice: number }
  | { readonly kind: 'copy'; readonly site: string };

const anySite = fc.constantFrom(...SITES);
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('write' as const), site: anySite, skip: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ kind: fc.constant('look' as const), site: anySite }),
  fc.record({ kind: fc.constant('resolve' as const), choice: fc.nat(9) }),
  fc.record({ kind: fc.constant('copy' as const), site: anySite }),
);
const anyHistory: fc.Arbitrary<readonly Node[]> = fc.array(anyStep, { minLength: 1, maxLength: 40 }).map(play);

/** The versions of a history, oldest first, as a ledger would have named them. */
function play(steps: readonly Step[]): readonly Node[] {
  const nodes: Node[] = [];
  const stands = new Map<string, Node>();
  const highest = new Map<string, number>();
  const look = (site: string) => {
    const unseen = nodes.filter((node) => node.dot.s === site && !node.seen);
    for (const node of unseen) {
      node.vv = withDot(node.over[0]?.vv ?? {}, node.dot);
      node.seen = true;
    }
  };
  for (const step of steps) {
    const known = nodes.filter(({ seen }) => seen);
    const frontier = known.filter((node) => !known.some((other) => other !== node && reaches(other, node)));
    if (step.kind === 'write') {
      const n = (highest.get(step.site) ?? 0) + step.skip;
      const past = stands.get(step.site);
      const node: Node = { dot: { s: step.site, n }, vv: {}, over: past ? [past] : [], seen: false };
      highest.set(step.site, n);
      stands.set(step.site, node);
      nodes.push(node);
    } else if (step.kind === 'look') look(step.site);
    else if (step.kind === 'resolve' && frontier.length > 0) {
      const winner = frontier[step.choice % frontier.length] as Node;
      winner.vv = frontier.reduce((sum, { vv }) => join(sum, vv), winner.vv);
      winner.over.push(...frontier.filter((node) => node !== winner));
    } else if (step.kind === 'copy' && frontier.length === 1) {
      // The write names the version it replaces, so it fails where a client wrote since the last look.
      if (stands.get(step.site)?.seen !== false) stands.set(step.site, frontier[0] as Node);
    }
  }
  for (const site of SITES) look(site);
  return nodes;
}

function reaches(from: Node, to: Node): boolean {
  return from.over.some((node) => node === to || reaches(node, to));
}

function trueOrder(u: Node, v: Node): Order {
  if (u === v) return 'equal';
  if (reaches(v, u)) return 'before';
  return reaches(u, v) ? 'after' : 'concurrent';
}

function names(versions: readonly Versioned[]): string[] {
  return versions.map(({ dot }) => dotName(dot)).sort();
}

/** Whole vector against whole vector, as many systems do it. */
function byVectors(u: VersionVector, v: VersionVector): Order {
  const within = (a: VersionVector, b: VersionVector) => Object.entries(a).every(([s, n]) => (b[s] ?? 0) >= n);
  if (within(u, v)) return within(v, u) ? 'equal' : 'before';
  return within(v, u) ? 'after' : 'concurrent';
}

describe('comparing two versions', () => {
  it('gives the mirrored answer the other way round', () => {
    fc.assert(
      fc.property(anyVersion, anyVersion, (u, v) => {
        expect(compare(v, u)).toBe(MIRROR[compare(u, v)]);
      }),
    );
  });

  it('knows a version again whatever its vector has learned since', () => {
    fc.assert(
      fc.property(anyVersion, anyVector, (u, learned) => {
        expect(compare(u, { ...u, vv: join(u.vv, learned) })).toBe('equal');
      }),
    );
  });

  it('answers what truly came after what, in any history of buckets', () => {
    fc.assert(
      fc.property(anyHistory, (nodes) => {
        for (const u of nodes) for (const v of nodes) expect(compare(u, v)).toBe(trueOrder(u, v));
      }),
      { numRuns: 400 },
    );
  });

  it('is a partial order over any history', () => {
    fc.assert(
      fc.property(anyHistory, (nodes) => {
        const upTo = (u: Node, v: Node) => ['before', 'equal'].includes(compare(u, v));
        for (const u of nodes) {
          expect(upTo(u, u)).toBe(true);
          for (const v of nodes) {
            if (u !== v) expect(upTo(u, v) && upTo(v, u)).toBe(false);
            if (!upTo(u, v)) continue;
            for (const w of nodes) if (upTo(v, w)) expect(upTo(u, w)).toBe(true);
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('sees that a write over the winner came after it, though the winner learned of a loser since', () => {
    const loser = { dot: { s: 'b', n: 7 }, vv: { b: 7 } };
    const winner = { dot: { s: 'a', n: 3 }, vv: { a: 3 } };
    const over = { dot: { s: 'c', n: 1 }, vv: withDot(winner.vv, { s: 'c', n: 1 }) };
    const joined = { ...winner, vv: join(winner.vv, loser.vv) };
    expect(compare(over, joined)).toBe('after');
    expect(maximal([loser, joined, over])).toEqual([over]);
    // That is why whole vectors will not do.
    expect(byVectors(over.vv, joined.vv)).toBe('concurrent');
  });
});

describe('joining vectors', () => {
  it('is commutative', () => {
    fc.assert(
      fc.property(anyVector, anyVector, (a, b) => {
        expect(join(a, b)).toEqual(join(b, a));
      }),
    );
  });

  it('is associative', () => {
    fc.assert(
      fc.property(anyVector, anyVector, anyVector, (a, b, c) => {
        expect(join(join(a, b), c)).toEqual(join(a, join(b, c)));
      }),
    );
  });

  it('is idempotent', () => {
    fc.assert(
      fc.property(anyVector, (a) => {
        expect(join(a, a)).toEqual(a);
      }),
    );
  });

  it('contains exactly the dots that one of them contains, and changes neither', () => {
    fc.assert(
      fc.property(anyVector, anyVector, anyDot, (a, b, dot) => {
        const both = join(Object.freeze(a), Object.freeze(b));
        expect(contains(both, dot)).toBe(contains(a, dot) || contains(b, dot));
      }),
    );
  });

  it('with a single dot adds that dot and what came before it at its site', () => {
    fc.assert(
      fc.property(anyVector, anyDot, anyDot, (vv, dot, asked) => {
        const past = contains(vv, asked) || (asked.s === dot.s && asked.n <= dot.n);
        expect(contains(withDot(Object.freeze(vv), dot), asked)).toBe(past);
      }),
    );
  });
});

describe('the maximal versions of a set', () => {
  const anyPart = anyHistory.chain((nodes) =>
    fc.tuple(fc.shuffledSubarray([...nodes]), fc.infiniteStream(fc.nat(99))).map(([part, order]) => ({ part, order })),
  );

  it('are those that nothing else in it truly came after', () => {
    fc.assert(
      fc.property(anyPart, ({ part }) => {
        const last = part.filter((u) => !part.some((v) => trueOrder(u, v) === 'before'));
        expect(names(maximal(part))).toEqual(names(last));
      }),
    );
  });

  it('do not hang on its order', () => {
    fc.assert(
      fc.property(anyPart, ({ part, order }) => {
        const other = part.map((node) => ({ node, at: order.next().value })).sort((a, b) => a.at - b.at);
        expect(names(maximal(other.map(({ node }) => node)))).toEqual(names(maximal(part)));
      }),
    );
  });

  it('are their own maximal versions', () => {
    fc.assert(
      fc.property(anyPart, ({ part }) => {
        expect(maximal(maximal(part))).toEqual(maximal(part));
      }),
    );
  });

  it('cover every version of it', () => {
    fc.assert(
      fc.property(anyPart, ({ part }) => {
        const kept = maximal(part);
        for (const u of part) expect(kept.some((v) => ['before', 'equal'].includes(compare(u, v)))).toBe(true);
      }),
    );
  });

  it('name a version once, however often it was given', () => {
    fc.assert(
      fc.property(anyPart, ({ part }) => {
        expect(names(maximal([...part, ...part.map((it) => ({ ...it }))]))).toEqual(names(maximal(part)));
      }),
    );
  });
});
