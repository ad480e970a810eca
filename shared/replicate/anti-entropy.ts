/** One pass that compares what buckets list with what the ledger says, and reconciles the keys that differ. Brakes first. */

import { standing } from '../decide/draft.ts';
import { isFault } from '../model/fault.ts';
import type { KeyItem } from '../model/key-item.ts';
import { isReserved } from '../model/key-map.ts';
import { isAbsent } from '../model/object.ts';
import type { SiteId } from '../model/site.ts';
import type { ObjectStore } from '../store/store.ts';
import type { World } from '../world/world.ts';
import { reconcile } from './replicate.ts';
import { routeFor } from './route.ts';
import { readReported, reportMalformed } from './row.ts';
import { hasSentinel } from './sentinel.ts';
import { isTimeUp } from './time.ts';

const PAGE = 1000;

export interface PassOptions extends CompareOptions {
  /** An operator has looked at the deletions and lets them happen. */
  readonly confirmDeletions?: boolean;
}

export interface CompareOptions {
  /** Only keys that begin so. The share of deletions that is let through is a share of these. */
  readonly prefix?: string;
  /** Take every key for differing, whatever the listings say. */
  readonly everyKey?: boolean;
}

/** What a bucket lists is not what the ledger says of it. */
export interface Difference {
  readonly site: SiteId;
  readonly kind:
    | 'unknown' // the ledger has never heard of the key
    | 'under-way' // the ledger knows that it is not finished
    | 'not-looked-at' // nobody has looked there for this key
    | 'missing' // the ledger says that an object stands there
    | 'changed' // another version stands there
    | 'none'; // looked at all the same
}

export interface Comparison {
  readonly startedAt: number;
  readonly keys: number;
  /** In key order. */
  readonly differing: ReadonlyMap<string, readonly Difference[]>;
  /** Keys that are missing where the ledger says they stand, and how many of those are believed unasked. */
  readonly vanished: number;
  readonly cap: number;
  /** Rows of the ledger that cannot be read. */
  readonly failed: number;
  readonly skippedSites: readonly SiteId[];
}

export type PassReport =
  | {
      readonly kind: 'finished';
      readonly startedAt: number;
      readonly keys: number;
      readonly differing: number;
      readonly failed: number;
      /** Keys that differ and were not reconciled for want of time. */
      readonly left: number;
      readonly skippedSites: readonly SiteId[];
    }
  /** Nothing was changed. */
  | { readonly kind: 'stopped'; readonly reason: string; readonly vanished: number; readonly cap: number };

export async function antiEntropy(world: World, options: PassOptions = {}): Promise<PassReport> {
  const compared = await compare(world, options);
  if (compared === null) return outOfTime(world);
  const { startedAt, keys, differing, vanished, cap, skippedSites } = compared;
  if (world.rules['deletion-cap'] && vanished > cap && options.confirmDeletions !== true) {
    const reason = `${vanished} of ${keys} keys have vanished from a site, more than the ${cap} that may be believed unasked`;
    world.report({ severity: 'alarm', what: 'brake', detail: reason });
    return { kind: 'stopped', reason, vanished, cap };
  }
  let { failed } = compared;
  let left = 0;
  for (const [key, found] of differing) {
    const sites = found.map(({ site }) => site);
    if (isTimeUp(world)) left += 1;
    else failed += (await repair(world, key, sites)) ? 0 : 1;
  }
  return { kind: 'finished', startedAt, keys, differing: differing.size, failed, left, skippedSites };
}

/** Half a comparison says nothing of how much has vanished, so nothing is done about it. */
function outOfTime(world: World): PassReport {
  const reason = 'the time was up before everything was compared: let a worker do this, which has no such limit';
  world.report({ severity: 'warning', what: 'out-of-time', detail: reason });
  return { kind: 'stopped', reason, vanished: 0, cap: 0 };
}

/** What a pass would look into; null when the time was up before everything was compared. Changes nothing. */
export async function compare(
  world: World,
  { prefix = '', everyKey = false }: CompareOptions = {},
): Promise<Comparison | null> {
  const startedAt = world.clock.now();
  const listings = new Map<SiteId, ReadonlyMap<string, string>>();
  const skippedSites: SiteId[] = [];
  for (const { id } of world.topology.sites) {
    const listing = await listSite(world, id, prefix);
    if (listing === null) skippedSites.push(id);
    else listings.set(id, listing);
  }

  if (isTimeUp(world)) return null;
  const keys = await allKeys(world, listings, prefix);
  const differing = new Map<string, readonly Difference[]>();
  let vanished = 0;
  let failed = 0;
  for (const key of keys) {
    if (isTimeUp(world)) return null;
    const read = await readReported(world, key);
    if (read === null) {
      failed += 1;
      continue;
    }
    const { item } = read;
    const found = differences(world, key, item, listings, everyKey);
    if (found.length > 0) differing.set(key, found);
    const gone = found.some(({ site }) => item !== null && hasVanished(item, site, listings.get(site)?.get(key)));
    vanished += gone ? 1 : 0;
  }
  const { deletionCap, deletionShare } = world.topology.limits;
  const cap = Math.max(deletionCap, Math.floor(keys.length * deletionShare));
  return { startedAt, keys: keys.length, differing, vanished, cap, failed, skippedSites };
}

async function repair(world: World, key: string, sites: readonly SiteId[]): Promise<boolean> {
  try {
    const read = await world.ledger.get(key);
    const route = routeFor(world, read.item ?? { key, copyOf: null });
    if (route === null) return true;
    const outcome = await reconcile(world, key, route, sites, undefined, read);
    return outcome.kind === 'done';
  } catch (error) {
    if (!isFault(error)) throw error;
    reportMalformed(world, key, error);
    return false;
  }
}

/** Key to physical version, of what stands now; null when the site cannot be listed or its sentinel is missing. */
async function listSite(world: World, site: SiteId, prefix: string): Promise<ReadonlyMap<string, string> | null> {
  const store = world.stores[site] as ObjectStore;
  const listing = new Map<string, string>();
  try {
    if (world.rules['sentinel-proof'] && !(await hasSentinel(world, site))) {
      world.report({
        severity: 'alarm',
        what: 'site-suspect',
        site,
        detail: 'the sentinel is missing: is this the right bucket?',
      });
      return null;
    }
    let after: string | undefined;
    do {
      const page = await store.list({ prefix, limit: PAGE, ...(after === undefined ? {} : { after }) });
      for (const { key, phys } of page.objects) if (!isReserved(key)) listing.set(key, phys);
      after = page.next;
    } while (after !== undefined && !isTimeUp(world));
    return listing;
  } catch (error) {
    if (!isFault(error)) throw error;
    world.report({ severity: 'warning', what: 'site-down', site, detail: error.message });
    return world.rules['unreachable-is-not-absent'] ? null : new Map();
  }
}

async function allKeys(
  world: World,
  listings: ReadonlyMap<SiteId, ReadonlyMap<string, string>>,
  prefix: string,
): Promise<readonly string[]> {
  const keys = new Set<string>();
  for (const listing of listings.values()) for (const key of listing.keys()) keys.add(key);
  let after: string | undefined;
  for (;;) {
    const page = await world.ledger.listKeys({ limit: PAGE, ...(after === undefined ? {} : { after }) });
    for (const key of page) if (key.startsWith(prefix)) keys.add(key);
    if (page.length < PAGE) return [...keys].sort();
    after = page.at(-1);
  }
}

/** Sites whose listing is not what the ledger says; all listed ones where the key is due or has no item. */
function differences(
  world: World,
  key: string,
  item: KeyItem | null,
  listings: ReadonlyMap<SiteId, ReadonlyMap<string, string>>,
  everyKey: boolean,
): readonly Difference[] {
  const route = routeFor(world, item ?? { key, copyOf: null });
  return (route?.sites ?? []).flatMap((site) => {
    const listing = listings.get(site);
    const kind = listing === undefined ? null : kindOf(item, site, listing.get(key));
    if (kind !== null) return [{ site, kind }];
    return everyKey && listing !== undefined ? [{ site, kind: 'none' }] : [];
  });
}

function kindOf(item: KeyItem | null, site: SiteId, listed: string | undefined): Difference['kind'] | null {
  if (item === null) return 'unknown';
  if (item.due !== null) return 'under-way';
  const state = item.sites[site];
  if (state === undefined || state.lookedAt === 0) return 'not-looked-at';
  if (listed === undefined) return !isAbsent(state.phys) && standing(item, state) !== null ? 'missing' : null;
  return listed === state.phys ? null : 'changed';
}

function hasVanished(item: KeyItem, site: SiteId, listed: string | undefined): boolean {
  const state = item.sites[site];
  return listed === undefined && state !== undefined && standing(item, state) !== null;
}
