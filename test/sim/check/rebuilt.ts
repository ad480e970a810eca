/** I17: a lost ledger loses no object: what a client had written and nobody replaced is known again after the rebuild. */

import { at, type Ending, type History, type Violation } from '../history.ts';

export function rebuilt(history: History, ending: Ending): readonly Violation[] {
  if (history.drops.length === 0) return [];
  const violations: Violation[] = [];
  for (const key of history.scenario.keys) {
    if (ending.items.has(key)) continue;
    for (const { site } of history.scenario.sites) {
      const content = ending.contents.get(at(site.id, key)) ?? null;
      if (content !== null)
        violations.push({
          invariant: 'I17',
          step: history.drops.at(-1) ?? 0,
          text: `${site.id} ${key} shows ${content} and the ledger does not know the key`,
        });
    }
  }
  return violations;
}
