/** I9: a key that was deleted and forgotten does not come back unless a client writes it. */

import { at, type Ending, type History, physAt, type Violation } from '../history.ts';

export function noResurrection(history: History, ending: Ending): readonly Violation[] {
  const violations: Violation[] = [];
  for (const { step, key } of history.collected) {
    for (const { site } of history.scenario.sites) {
      const i = history.now.get(at(site.id, key));
      const stands = i === undefined ? undefined : history.stood[i];
      if (stands === undefined || stands.content === null) continue;
      // Written since, or written before and seen by nobody until then.
      const rewritten = history.stood.some(
        (it) =>
          it.key === key &&
          it.actor === 'client' &&
          it.content !== null &&
          (it.step > step || (history.bound.get(physAt(it.site, key, it.phys ?? ''))?.step ?? step + 1) > step),
      );
      if (!rewritten && ending.items.get(key)?.sites[site.id]?.quarantined !== true) {
        violations.push({
          invariant: 'I9',
          step: stands.step,
          text: `${site.id} ${key} came back by ${stands.op} after it was deleted and forgotten at step ${step}`,
        });
      }
    }
  }
  return violations;
}
