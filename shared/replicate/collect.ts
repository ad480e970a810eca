/** Forgets tombstones that every site has seen and that nothing late can still contradict. */

import type { KeyItem } from '../model/key-item.ts';
import type { LogEntry } from '../model/log-entry.ts';
import { tombstonesOf } from '../model/tombstone.ts';
import type { Route } from '../model/topology.ts';
import type { ObjectStore } from '../store/store.ts';
import type { World } from '../world/world.ts';
import { routeFor } from './route.ts';
import { readReported } from './row.ts';

/** `passStartedAt`: an anti-entropy pass over all sites began then and has ended since. */
export async function collect(world: World, keys: readonly string[], passStartedAt: number): Promise<number> {
  let collected = 0;
  for (const key of keys) {
    const read = await readReported(world, key);
    if (read === null) continue;
    const { item, epoch } = read;
    const route = item === null ? null : routeFor(world, item);
    if (item === null || route === null || !mayForget(world, item, route, passStartedAt)) continue;
    // Traces first: one that outlived its item could be taken for a fresh delete by a later rebuild.
    for (const site of route.sites) await removeTraces(world.stores[site] as ObjectStore, key);
    const vid = item.frontier[0] as string;
    const entry: LogEntry = {
      key,
      id: `collected/${vid}`,
      kind: 'collected',
      at: world.clock.now(),
      vid,
      note: 'deleted everywhere, and long ago',
    };
    await world.ledger.appendLog(entry);
    world.publish?.({ kind: 'logged', entry });
    if ((await world.ledger.remove(key, { rev: item.rev, epoch })) === 'done') collected += 1;
  }
  return collected;
}

function mayForget({ rules, topology, clock }: World, item: KeyItem, route: Route, passStartedAt: number): boolean {
  const vid = item.frontier[0];
  if (
    item.frontier.length !== 1 ||
    item.due !== null ||
    item.tombstoneAt === null ||
    item.versions[vid as string]?.kind !== 'tombstone'
  )
    return false;
  if (!rules['collect-when-seen']) return true;
  const old = item.tombstoneAt < Math.min(passStartedAt, clock.now() - topology.limits.tombstoneGraceMs);
  return old && route.sites.every((site) => item.sites[site]?.vid === vid && item.sites[site]?.intents.length === 0);
}

async function removeTraces(store: ObjectStore, key: string): Promise<void> {
  const page = await store.list({ prefix: tombstonesOf(key), limit: 1000 });
  for (const trace of page.objects) await store.delete(trace.key, { kind: 'always' });
}
