/** Records what an operator decided about an unresolved key, and carries it out. */

import { choose } from '../decide/choose.ts';
import { fault, invalid } from '../model/fault.ts';
import type { Outcome } from '../model/outcome.ts';
import type { World } from '../world/world.ts';
import { reconcile } from './replicate.ts';
import { routeFor } from './route.ts';

const TRIES_MAX = 8;

/** Every site is looked at afresh: what a client has written there meanwhile is a new sibling, and nothing is lost. */
export async function chooseWinner(world: World, key: string, vid: string): Promise<Outcome> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const { item, epoch } = await world.ledger.get(key);
    const route = item === null ? null : routeFor(world, item);
    if (item === null || route === null) throw invalid('key', key, 'a key that the ledger knows');
    const next = choose(item, vid, { now: world.clock.now(), rules: world.rules });
    const swap = await world.ledger.compareAndSet(next, { rev: item.rev, epoch });
    if (swap === 'done') return reconcile(world, key, route, route.sites);
    if (swap === 'fenced') throw fault('fenced', 'the ledger has moved to a newer epoch', { op: 'choose', key });
  }
  throw fault('conflict', 'others changed the key all the time', { op: 'choose', key });
}
