/** Dots name versions; vectors say which dots are in a version's past. Compared by dot, never vector against vector. */

import type { SiteId } from './site.ts';

/** The n-th version born at site s, per key. n is unique and grows, also across a collected or lost ledger. */
export interface Dot {
  readonly s: SiteId;
  readonly n: number;
}

/** Everything up to n from s is in my past. */
export type VersionVector = Readonly<Record<SiteId, number>>;

export type Order = 'equal' | 'before' | 'after' | 'concurrent';

export interface Versioned {
  readonly dot: Dot;
  readonly vv: VersionVector;
}

export function dotName(dot: Dot): string {
  return `${dot.s}:${dot.n}`;
}

export function contains(vv: VersionVector, dot: Dot): boolean {
  return (vv[dot.s] ?? 0) >= dot.n;
}

export function withDot(vv: VersionVector, dot: Dot): VersionVector {
  return contains(vv, dot) ? vv : { ...vv, [dot.s]: dot.n };
}

export function join(a: VersionVector, b: VersionVector): VersionVector {
  const joined: Record<SiteId, number> = { ...a };
  for (const site in b) joined[site] = Math.max(joined[site] ?? 0, b[site] as number);
  return joined;
}

/**
 * A winner's vector is joined with its losers', so a client's write over the winner from before that join has a
 * smaller vector and still came after it: only dots tell.
 */
export function compare(u: Versioned, v: Versioned): Order {
  if (u.dot.s === v.dot.s && u.dot.n === v.dot.n) return 'equal';
  const before = contains(v.vv, u.dot);
  const after = contains(u.vv, v.dot);
  if (before && after) return 'equal';
  if (before) return 'before';
  return after ? 'after' : 'concurrent';
}

/** Those that no other one has in its past; equal ones once, in the order given. */
export function maximal<T extends Versioned>(versions: readonly T[]): readonly T[] {
  return versions.filter((u, i) =>
    versions.every((v, j) => {
      if (i === j) return true;
      const order = compare(u, v);
      return order === 'after' || order === 'concurrent' || (order === 'equal' && i < j);
    }),
  );
}
