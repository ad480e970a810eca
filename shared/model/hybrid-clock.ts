/** Stamps that grow along causality and stay near bucket time; they break ties between concurrent versions, no more. */

export interface HybridStamp {
  readonly ms: number;
  readonly c: number;
}

/** The stamp of a version made at bucket time `ms` over a version stamped `past`. */
export function stampAfter(ms: number, past: HybridStamp | null): HybridStamp {
  if (past === null || ms > past.ms) return { ms, c: 0 };
  return { ms: past.ms, c: past.c + 1 };
}

export function compareStamps(a: HybridStamp, b: HybridStamp): number {
  return a.ms - b.ms || a.c - b.c;
}
