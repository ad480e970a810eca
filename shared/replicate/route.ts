/** Which route a key follows, and which of its sites can hold a key of that name at all. */

import type { KeyItem } from '../model/key-item.ts';
import { toNativeKey } from '../model/key-map.ts';
import { type Route, routeOf, siteOf } from '../model/topology.ts';
import type { World } from '../world/world.ts';

/** A conflict copy follows the route of the key it was copied from. Sites that cannot hold the key are left out. */
export function routeFor({ topology }: World, { key, copyOf }: Pick<KeyItem, 'key' | 'copyOf'>): Route | null {
  const route = routeOf(topology, copyOf?.key ?? key);
  if (route === null) return null;
  const sites = route.sites.filter((site) => toNativeKey(siteOf(topology, site).cloud, key).kind !== 'unrepresentable');
  return sites.length === route.sites.length ? route : { ...route, sites };
}

/** Tells people of the sites that were left out. */
export function reportLeftOut(world: World, key: string, reached: Route): void {
  for (const site of routeOf(world.topology, key)?.sites ?? []) {
    if (reached.sites.includes(site)) continue;
    const native = toNativeKey(siteOf(world.topology, site).cloud, key);
    if (native.kind === 'unrepresentable')
      world.report({ severity: 'alarm', what: 'cannot-hold', site, key, detail: native.reason });
  }
}
