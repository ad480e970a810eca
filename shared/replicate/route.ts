/** Which route a key of the ledger follows: a conflict copy follows that of the key it was copied from. */

import type { KeyItem } from '../model/key-item.ts';
import { type Route, routeOf } from '../model/topology.ts';
import type { World } from '../world/world.ts';

export function routeFor(world: World, item: Pick<KeyItem, 'key' | 'copyOf'>): Route | null {
  return routeOf(world.topology, item.copyOf?.key ?? item.key);
}
