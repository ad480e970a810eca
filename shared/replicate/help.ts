/** Many workers on one large object: whoever begins it asks others, and they copy parts without writing anything themselves. */

import { partCount } from '../model/copy-job.ts';
import { isFault } from '../model/fault.ts';
import type { KeyItem, LogicalVersion } from '../model/key-item.ts';
import type { Route } from '../model/topology.ts';
import type { World } from '../world/world.ts';
import { fillStages } from './fill.ts';
import { findJob, type OpenJob } from './jobs.ts';
import { openRun } from './run.ts';

/** For so many parts one more worker is asked. */
const PARTS_PER_HELPER = 32;
const HELPERS_MAX = 15;

/** How many more workers an object is worth. */
export function helpersFor(parts: number): number {
  return Math.min(HELPERS_MAX, Math.floor(parts / PARTS_PER_HELPER));
}

/** By the way all changes come, as one more hint at the source: whoever gets it finds the copy under way. */
export async function askForHelp(world: World, { job }: OpenJob): Promise<void> {
  const { site, phys } = job.source;
  const count = helpersFor(partCount(job.sizeBytes, job.partBytes));
  try {
    for (let n = 0; n < count; n++) await world.ask?.({ site, key: job.key, kind: 'put', phys });
  } catch (error) {
    // It only takes longer without them.
    if (!isFault(error)) throw error;
  }
}

/**
 * filled: nothing is missing any more, and somebody has to publish it. out-of-time: another invocation should go on.
 * none: there is nothing to help with, or others are at what is left.
 */
export async function help(world: World, key: string, route: Route): Promise<'filled' | 'out-of-time' | 'none'> {
  const { item } = await world.ledger.get(key);
  const winner = item === null ? null : winnerOf(item);
  if (item === null || winner === null || winner.sizeBytes <= world.topology.limits.stageOverBytes) return 'none';
  const now = world.clock.now();
  const written = route.sites.filter((site) =>
    item.sites[site]?.intents.some(({ vid, leaseUntil }) => vid === winner.vid && leaseUntil > now),
  );
  const found = await Promise.all(written.map((site) => findJob(world, key, winner.vid, site)));
  const jobs = found.filter((open) => open !== null && open.job.staged === null) as OpenJob[];
  if (jobs.length === 0) return 'none';
  const run = { ...openRun(world, key, route, [], null), helps: true as const };
  const kinds = [...(await fillStages(world, run, winner, jobs)).values()].map(({ kind }) => kind);
  if (kinds.includes('out-of-time')) return 'out-of-time';
  return kinds.includes('done') ? 'filled' : 'none';
}

function winnerOf({ frontier, versions }: KeyItem): LogicalVersion | null {
  const winner = frontier.length === 1 ? versions[frontier[0] as string] : undefined;
  return winner?.kind === 'object' ? winner : null;
}
