/** Goes on with what was left: keys that are due, copies that were abandoned, tombstones that may be forgotten. */

import { isFault } from '../model/fault.ts';
import { mapBounded } from '../store/parallel.ts';
import type { World } from '../world/world.ts';
import { reapJobs } from './jobs.ts';
import { reconcile } from './replicate.ts';
import { routeFor } from './route.ts';
import { reportMalformed } from './row.ts';
import { isTimeUp } from './time.ts';

const JOB_KEPT_MS = 48 * 3_600_000;
const KEYS_AT_ONCE = 8;

export interface Swept {
  readonly done: number;
  readonly later: number;
  /** Those of the later ones that only wait for a site. */
  readonly waiting: number;
  readonly failed: number;
}

/**
 * Every key that is due by now, or so much ahead of it, at most `limit` of them and as long as there is time. One key's
 * failure does not stop the others.
 */
export async function sweep(world: World, limit: number, aheadMs = 0): Promise<Swept> {
  const swept = { done: 0, later: 0, waiting: 0, failed: 0 };
  const keys = await world.ledger.listDue(world.clock.now() + aheadMs, limit);
  await mapBounded(keys, KEYS_AT_ONCE, async (key) => {
    if (isTimeUp(world)) return;
    try {
      const read = await world.ledger.get(key);
      const route = read.item === null ? null : routeFor(world, read.item);
      if (read.item === null || route === null) return;
      const behind = route.sites.filter((site) => read.item?.sites[site]?.vid !== read.item?.frontier[0]);
      const outcome = await reconcile(world, key, route, behind, undefined, read);
      swept[outcome.kind === 'done' ? 'done' : 'later'] += 1;
      if (outcome.kind === 'retry' || (outcome.kind === 'later' && outcome.reason === 'site-down')) swept.waiting += 1;
    } catch (error) {
      if (!isFault(error)) throw error;
      swept.failed += 1;
      reportMalformed(world, key, error);
    }
  });
  if (!isTimeUp(world)) await reapJobs(world, JOB_KEPT_MS);
  return swept;
}
