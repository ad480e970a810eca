/** For each safety rule: a seed under which its absence is noticed, and by which invariant. */

import { RULES, type RuleName } from '#shared/decide/rules.ts';

export interface Proof {
  readonly rule: RuleName;
  /** The first seed from 1 on that breaks this invariant. */
  readonly seed: number;
  readonly invariant: string;
}

export const PROOFS: readonly Proof[] = [
  { rule: 'ledger-first', seed: 24, invariant: 'I6' },
  { rule: 'whole-chain', seed: 7, invariant: 'I7' },
  { rule: 'rollback', seed: 102, invariant: 'I2' },
  { rule: 'echo-needs-intent', seed: 7, invariant: 'I1' },
  { rule: 'marker-content', seed: 24, invariant: 'I1' },
  { rule: 'inferred-delete', seed: 2113, invariant: 'I1' },
  { rule: 'delete-by-token', seed: 369, invariant: 'I6' },
  { rule: 'local-expiry', seed: 21, invariant: 'I20' },
  { rule: 'total-order', seed: 5, invariant: 'I8' },
  { rule: 'keep-losers', seed: 4, invariant: 'I1' },
  { rule: 'clock-dots', seed: 156, invariant: 'I1' },
  { rule: 'intent-first', seed: 2, invariant: 'I6' },
  { rule: 'fresh-wid', seed: 54, invariant: 'I6' },
  { rule: 'exact-precondition', seed: 4, invariant: 'I1' },
  { rule: 'pinned-read', seed: 98, invariant: 'I2' },
  { rule: 'checked-read', seed: 80, invariant: 'I2' },
  { rule: 'parts-complete', seed: 21, invariant: 'I6' },
  { rule: 'ack-when-durable', seed: 2, invariant: 'I15' },
  { rule: 'listed-before-ack', seed: 2, invariant: 'I21' },
  { rule: 'epoch-fence', seed: 54, invariant: 'I14' },
  { rule: 'sentinel-proof', seed: 59, invariant: 'I20' },
  { rule: 'unreachable-is-not-absent', seed: 4, invariant: 'I15' },
  { rule: 'deletion-cap', seed: 2701, invariant: 'I20' },
  { rule: 'outbox-kept', seed: 2, invariant: 'I16' },
  { rule: 'collect-when-seen', seed: 1460, invariant: 'I6' },
];

/** Rules that no simulated world needs, and the test that needs them. */
export const PROVED_ELSEWHERE: Readonly<Partial<Record<RuleName, string>>> = {
  'echo-after-base': 'shared/decide/without-rules.test.ts: it takes four mishaps in a row at one bucket',
  quarantine:
    'shared/decide/without-rules.test.ts: a bucket put back from a backup, identities and all, which no cloud does',
};

/** The rule's line in docs/PROTOCOL.md. */
export function toRow(proof: Proof | { readonly rule: RuleName; readonly where: string }): string {
  const { rule } = proof;
  const [breaks, seed] = 'seed' in proof ? [proof.invariant, String(proof.seed)] : ['', `by hand: ${proof.where}`];
  return `| \`${rule}\` | ${RULES[rule]} | ${breaks} | ${seed} |`;
}
