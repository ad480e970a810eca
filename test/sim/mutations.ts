/** For each safety rule: a seed under which its absence is noticed, and by which invariant. */

import type { RuleName } from '#shared/decide/rules.ts';

export interface Proof {
  readonly rule: RuleName;
  /** The first seed from 1 on that notices. */
  readonly seed: number;
  readonly invariant: string;
}

export const PROOFS: readonly Proof[] = [];

/** Rules that no simulated world needs, and the test that needs them. */
export const PROVED_ELSEWHERE: Readonly<Partial<Record<RuleName, string>>> = {
  quarantine: 'test/scenario: a bucket put back from a backup, which no cloud does with its own identities',
};
