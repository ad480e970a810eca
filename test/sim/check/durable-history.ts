/** I16: every supersede and every delete is in the log exactly once when the outboxes are empty. */

import type { Ending, History, Violation } from '../history.ts';

export function durableHistory(history: History, ending: Ending): readonly Violation[] {
  const violations: Violation[] = [];
  for (const [key, item] of ending.items) {
    if (item.outbox.length > 0)
      violations.push({ invariant: 'I16', step: 0, text: `${key}: ${item.outbox.length} entries never left the item` });
  }
  const since = history.drops.at(-1) ?? 0;
  const expected = new Set<string>();
  for (const { step, key, version } of history.born)
    if (step > since && version.kind === 'tombstone') expected.add(`${key}\nversion/${version.vid}`);
  for (const { step, key, loser } of history.superseded)
    if (step > since) expected.add(`${key}\nsuperseded/${loser.vid}`);
  for (const name of expected) {
    const [key, id] = name.split('\n') as [string, string];
    const count = ending.log.get(key)?.filter((entry) => entry.id === id).length ?? 0;
    if (count !== 1) violations.push({ invariant: 'I16', step: 0, text: `${key}: ${id} is in the log ${count} times` });
  }
  return violations;
}
