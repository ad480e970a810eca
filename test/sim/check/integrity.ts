/** I10: where the ledger says a site is in sync, the bytes and metadata there are the version's. */

import { at, type Ending, type History, type Violation } from '../history.ts';

export function integrity(history: History, ending: Ending): readonly Violation[] {
  const violations: Violation[] = [];
  for (const [key, item] of ending.items) {
    for (const [site, state] of Object.entries(item.sites)) {
      const version = state.vid === null || state.evicted ? undefined : item.versions[state.vid];
      if (version === undefined) continue;
      const born = history.born.findLast((it) => it.key === key && it.version.vid === version.vid);
      const there = ending.contents.get(at(site, key)) ?? null;
      if (born?.content !== undefined && there !== born.content)
        violations.push({
          invariant: 'I10',
          step: 0,
          text: `${site} ${key} is said to hold ${version.vid} (${born.content}) and shows ${there}`,
        });
    }
  }
  return violations;
}
