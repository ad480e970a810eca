/** Which sites must be brought to the winner, by which write. */

import type { Intent, KeyItem, LogicalVersion, SiteState } from '../model/key-item.ts';
import { isAbsent } from '../model/object.ts';
import type { SiteId } from '../model/site.ts';
import type { Route, Topology } from '../model/topology.ts';
import { type Moment, stand, standing, stateOf } from './draft.ts';
import { sameContent } from './resolve.ts';

/** A site takes this many unsettled writes; then it waits until one is bound or can no longer land. */
export const INTENTS_MAX = 8;

export interface Planning extends Moment {
  readonly topology: Topology;
  readonly route: Route;
  readonly worker: string;
  readonly nextWid: () => string;
  /** Sites that were looked at for this decision. */
  readonly justLooked: ReadonlySet<SiteId>;
  /** Sites that did not answer in this run. */
  readonly down: ReadonlySet<SiteId>;
}

export interface Plan {
  /** Writes of this worker, now in the item. */
  readonly intents: ReadonlyArray<{ readonly site: SiteId; readonly intent: Intent }>;
  /** Sites nobody has looked at, where a guess would not do. */
  readonly look: readonly SiteId[];
  /** Sites that are not at the winner and cannot be brought there now. */
  readonly behind: readonly SiteId[];
}

export function plan(item: KeyItem, winner: LogicalVersion, on: Planning): Plan {
  const intents: Array<{ site: SiteId; intent: Intent }> = [];
  const look: SiteId[] = [];
  const behind: SiteId[] = [];
  for (const site of on.route.sites) {
    const state = stateOf(item, site);
    if (state.quarantined || state.vid === winner.vid) continue;
    if (equals(item, state, winner)) {
      // Equal content counts as the winner only if it stands there now: who writes over it then has seen it.
      if (on.justLooked.has(site)) {
        adopt(state, site, winner);
        continue;
      }
      if (!on.down.has(site)) look.push(site);
    }
    behind.push(site);
    if (look.includes(site)) continue;
    if (on.down.has(site) || state.intents.length >= INTENTS_MAX) continue;
    if (winner.kind === 'tombstone' && state.lookedAt === 0) look.push(site);
    else if (!underWay(state, winner, on)) intents.push({ site, intent: announce(state, winner, on) });
  }
  return { intents, look, behind };
}

function equals(item: KeyItem, state: SiteState, winner: LogicalVersion): boolean {
  const here = standing(item, state);
  return here === null ? winner.kind === 'tombstone' && state.lookedAt > 0 : sameContent(here, winner);
}

function adopt(state: SiteState, site: SiteId, winner: LogicalVersion): void {
  stand(state, winner);
  if (winner.kind === 'object') winner.holders[site] = { phys: state.phys };
}

function underWay(state: SiteState, winner: LogicalVersion, { worker, now }: Planning): boolean {
  return state.intents.some(
    (it) => it.vid === winner.vid && it.basePhys === state.phys && it.worker !== worker && it.leaseUntil > now,
  );
}

function announce(state: SiteState, winner: LogicalVersion, on: Planning): Intent {
  const again = on.rules['fresh-wid'] ? undefined : state.intents.find((it) => it.vid === winner.vid);
  const intent: Intent = {
    wid: again?.wid ?? on.nextWid(),
    vid: winner.vid,
    kind: winner.kind === 'object' ? 'copy' : 'delete',
    basePhys: state.phys,
    baseToken: isAbsent(state.phys) ? null : state.token,
    worker: on.worker,
    leaseUntil: on.now + on.topology.limits.leaseMs,
  };
  state.intents = [...state.intents.filter((it) => it.wid !== intent.wid), intent];
  return intent;
}
