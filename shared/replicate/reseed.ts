/** An operator's answer to a bucket that lost its objects: they are to come back from the other sites, not to be deleted there. */

import { copyItem, stateOf } from '../decide/draft.ts';
import { hasVanished } from '../decide/look.ts';
import { ABSENT } from '../model/object.ts';
import type { SiteId } from '../model/site.ts';
import type { ObjectStore } from '../store/store.ts';
import type { World } from '../world/world.ts';
import { readReported } from './row.ts';
import { plantSentinel } from './sentinel.ts';

const PAGE = 1000;

/** Forgets what was said to stand at the site where nothing of it is left, then trusts the site again; answers how many keys. */
export async function reseed(world: World, site: SiteId): Promise<number> {
  let forgotten = 0;
  let after: string | undefined;
  for (;;) {
    const keys = await world.ledger.listKeys({ limit: PAGE, ...(after === undefined ? {} : { after }) });
    for (const key of keys) forgotten += (await forget(world, site, key)) ? 1 : 0;
    after = keys.at(-1);
    if (keys.length < PAGE) break;
  }
  await plantSentinel(world, site);
  return forgotten;
}

async function forget(world: World, site: SiteId, key: string): Promise<boolean> {
  const store = world.stores[site] as ObjectStore;
  const read = await readReported(world, key);
  if (read === null) return false;
  const { item, epoch } = read;
  const known = item?.sites[site];
  if (item === null || known === undefined) return false;
  const versions = await store.versions(key);
  // Where older versions are left, what is missing was purged, which is for the next look to say.
  const emptied = hasVanished(known, versions) && !versions.some(({ phys }) => known.seen.includes(phys));
  if (!(store.capabilities.history === 'chain' ? emptied : versions.length === 0)) return false;
  const next = copyItem(item);
  const state = stateOf(next, site);
  Object.assign(state, {
    phys: ABSENT,
    token: null,
    body: '',
    vid: null,
    wid: null,
    seen: [],
    evicted: false,
  });
  for (const version of Object.values(next.versions))
    if (version.holders[site]?.key === undefined) delete version.holders[site];
  next.due = world.clock.now();
  delete next.unlisted;
  return (await world.ledger.compareAndSet(next, { rev: next.rev, epoch })) === 'done';
}
