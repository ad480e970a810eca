/** Goes on with what was left: keys that are due, copies that were abandoned, tombstones that may be forgotten. */

import { isFault } from '../model/fault.ts';
import type { World } from '../world/world.ts';
import { reapJobs } from './parts.ts';
import { reconcile } from './replicate.ts';
import { routeFor } from './route.ts';
import { reportMalformed } from './row.ts';
import { isTimeUp } from './time.ts';

const JOB_KEPT_MS = 48 * 3_600_000;

export interface Swept {
  readonly done: number;
  readonly later: number;
  readonly failed: number;
}

/** Every key that is due now, at most `limit` of them and as long as there is time. One key's failure does not stop the others. */
export async function sweep(world: World, limit: number): Promise<Swept> {
  let done = 0;
  let later = 0;
  let failed = 0;
  for (const key of await world.ledger.listDue(world.clock.now(), limit)) {
    if (isTimeUp(world)) break;
    try {
      const read = await world.ledger.get(key);
      const route = read.item === null ? null : routeFor(world, read.item);
      if (read.item === null || route === null) continue;
      const behind = route.sites.filter((site) => read.item?.sites[site]?.vid !== read.item?.frontier[0]);
      const outcome = await reconcile(world, key, route, behind, undefined, read);
      if (outcome.kind === 'done') done += 1;
      else later += 1;
    } catch (error) {
      if (!isFault(error)) throw error;
      failed += 1;
      reportMalformed(world, key, error);
    }
  }
  if (!isTimeUp(world)) await reapJobs(world, JOB_KEPT_MS);
  return { done, later, failed };
}
