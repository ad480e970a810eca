/** All that can be known about one key: what the ledger says, what its log says, and what stands in the buckets now. */

import { recognise, type SeenVersion } from '../../shared/decide/look.ts';
import type { Fault } from '../../shared/model/fault.ts';
import type { KeyItem } from '../../shared/model/key-item.ts';
import { type NativeKey, toNativeKey } from '../../shared/model/key-map.ts';
import type { LogEntry } from '../../shared/model/log-entry.ts';
import type { Site } from '../../shared/model/site.ts';
import { type Route, routeOf } from '../../shared/model/topology.ts';
import { conflictName } from '../../shared/replicate/keep.ts';
import type { ObjectStore } from '../../shared/store/store.ts';
import type { World } from '../../shared/world/world.ts';
import { ask } from '../survey.ts';

export interface SiteFacts {
  readonly site: Site;
  readonly native: NativeKey;
  /** What stands there now, or why that is not known. Not asked where the key does not belong. */
  readonly stands:
    | { readonly kind: 'object'; readonly entry: SeenVersion }
    | { readonly kind: 'nothing' }
    | { readonly kind: 'unknown'; readonly fault: Fault }
    | { readonly kind: 'not-here' };
  /** How many versions the bucket still shows; null: this one shows none but the current. */
  readonly versionsKept: number | null;
}

export interface Facts {
  readonly key: string;
  readonly route: Route | null;
  readonly item: KeyItem | null;
  readonly log: readonly LogEntry[];
  readonly sites: readonly SiteFacts[];
  /** Conflict copies that stand, by the version they hold. */
  readonly copies: Readonly<Record<string, string>>;
  readonly now: number;
}

export async function gather(world: World, key: string): Promise<Facts> {
  const { topology, ledger, clock } = world;
  const [{ item }, log] = await Promise.all([ledger.get(key), ledger.readLog(key)]);
  const route = routeOf(topology, item?.copyOf?.key ?? key);
  const sites = await Promise.all(
    topology.sites.map((site) => lookAt(world, key, site, route?.sites.includes(site.id) ?? false)),
  );
  return { key, route, item, log, sites, copies: await findCopies(world, key, item, log), now: clock.now() };
}

async function lookAt(world: World, key: string, site: Site, belongs: boolean): Promise<SiteFacts> {
  const native = toNativeKey(site.cloud, key);
  if (!belongs || native.kind === 'unrepresentable')
    return { site, native, stands: { kind: 'not-here' }, versionsKept: null };
  const store = world.stores[site.id] as ObjectStore;
  const asked = await ask(() => store.versions(key));
  if (!asked.ok) return { site, native, stands: { kind: 'unknown', fault: asked.fault }, versionsKept: null };
  const last = asked.value.at(-1);
  const versionsKept = store.capabilities.history === 'chain' ? asked.value.length : null;
  if (last?.kind !== 'object') return { site, native, stands: { kind: 'nothing' }, versionsKept };
  const entry = recognise(last, world.topology.namespace, site.id, world.macKeys, world.rules);
  return { site, native, stands: { kind: 'object', entry }, versionsKept };
}

/** The ledger forgets superseded versions in the end, and the log does not: it still says where they were born. */
async function findCopies(
  { ledger }: World,
  key: string,
  item: KeyItem | null,
  log: readonly LogEntry[],
): Promise<Readonly<Record<string, string>>> {
  const copies: Record<string, string> = {};
  for (const { kind, vid } of log) {
    if (kind !== 'superseded' || vid === undefined) continue;
    const version = item?.versions[vid];
    const [site = '', n = '0'] = vid.split(':');
    const born = version ?? { origin: { site }, dot: { s: site, n: Number(n) } };
    const name = conflictName(key, born as Parameters<typeof conflictName>[1]);
    const found = await ask(() => ledger.get(name));
    if (found.ok && found.value.item?.copyOf?.vid === vid) copies[vid] = name;
  }
  return copies;
}
