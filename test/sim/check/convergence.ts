/** I2: at rest every site shows the winner, or the ledger says why not. */

import { at, type Ending, type History, type Violation } from '../history.ts';

export function convergence(history: History, ending: Ending): readonly Violation[] {
  const violations: Violation[] = [];
  const last = history.stood.length === 0 ? 0 : (history.stood.at(-1)?.step ?? 0);
  if (!history.settled) violations.push({ invariant: 'I2', step: last, text: 'the world does not come to rest' });
  const keys = new Set([...ending.items.keys(), ...history.scenario.keys]);
  for (const key of keys) {
    const item = ending.items.get(key);
    if (item?.unresolved != null) continue;
    const sites = history.scenario.sites
      .map(({ site }) => site.id)
      .filter((site) => ending.representable(site, key))
      .filter((site) => !item?.sites[site]?.evicted && !item?.sites[site]?.quarantined);
    const shown = new Map(sites.map((site) => [site, ending.contents.get(at(site, key)) ?? null]));
    if (new Set(shown.values()).size > 1)
      violations.push({
        invariant: 'I2',
        step: last,
        text: `${key} differs: ${list(shown)} (frontier ${item?.frontier.join() ?? 'none'})`,
      });
  }
  return violations;
}

function list(shown: ReadonlyMap<string, string | null>): string {
  return [...shown].map(([site, content]) => `${site}=${content}`).join(' ');
}
