/** I14: nothing is written to the ledger under an epoch that had passed. */

import type { History, Violation } from '../history.ts';

export function epochSafety(history: History): readonly Violation[] {
  return history.ledgerWrites
    .filter(({ claimedEpoch, epochThen }) => claimedEpoch !== epochThen)
    .map(({ step, key, claimedEpoch, epochThen }) => ({
      invariant: 'I14',
      step,
      text: `${key} was written under epoch ${claimedEpoch} in epoch ${epochThen}`,
    }));
}
