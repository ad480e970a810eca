/** An object of our own in every bucket: while it can be read, the bucket is the right one and answers truthfully. */

import type { SiteId } from '../model/site.ts';
import type { ObjectStore } from '../store/store.ts';
import type { World } from '../world/world.ts';

export const SENTINEL_KEY = '.triplicate/sentinel';

export async function plantSentinel(world: World, site: SiteId): Promise<void> {
  const body = new TextEncoder().encode(sentinelText(world, site));
  await store(world, site).put(SENTINEL_KEY, body, {
    condition: { kind: 'always' },
    metadata: { headers: { contentType: 'application/json' }, user: sentinelFields(world, site) },
  });
}

export async function hasSentinel(world: World, site: SiteId): Promise<boolean> {
  const found = await store(world, site).head(SENTINEL_KEY);
  const fields = sentinelFields(world, site);
  return (
    found !== null && found.metadata.user.namespace === fields.namespace && found.metadata.user.site === fields.site
  );
}

function sentinelFields(world: World, site: SiteId): { readonly namespace: string; readonly site: string } {
  return { namespace: world.topology.namespace, site };
}

function sentinelText(world: World, site: SiteId): string {
  return JSON.stringify({
    purpose: 'Proves that this is the bucket Triplicate replicates. Do not delete.',
    ...sentinelFields(world, site),
  });
}

function store(world: World, site: SiteId): ObjectStore {
  return world.stores[site] as ObjectStore;
}
