/** I4: telling every event again, twice and shuffled, changes neither ledger nor buckets. */

import type { History, Violation } from '../history.ts';

export function idempotence(history: History): readonly Violation[] {
  if (!history.settled) return [];
  return history.replayChanged.map((text) => ({ invariant: 'I4', step: 0, text }));
}
