/** I21: a key that is due is in the ledger's index of such keys, or a message about it is still kept. */

import type { History, Violation } from '../history.ts';

export function dueFound({ uncovered }: History): readonly Violation[] {
  return uncovered.map(({ step, key, text }) => ({ invariant: 'I21', step, text: `${key}: ${text}` }));
}
