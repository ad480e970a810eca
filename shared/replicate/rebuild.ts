/** Fills a ledger from the buckets: after its loss, or when buckets with objects in them are joined for the first time. */

import { assemble, type Standing } from '../decide/assemble.ts';
import { hasChecksum, recognise, type SeenVersion } from '../decide/look.ts';
import { sameContent } from '../decide/resolve.ts';
import { fault, isFault } from '../model/fault.ts';
import type { KeyItem, LogicalVersion } from '../model/key-item.ts';
import { isReserved } from '../model/key-map.ts';
import type { SiteId } from '../model/site.ts';
import { readTombstone, TOMBSTONE_PREFIX } from '../model/tombstone.ts';
import { type Route, siteOf } from '../model/topology.ts';
import type { ObjectStore } from '../store/store.ts';
import type { World } from '../world/world.ts';
import { matchesStored, readSums, readWhole } from './read.ts';
import { routeFor } from './route.ts';

const PAGE = 1000;

export interface FillReport {
  readonly keys: number;
  /** The same object at every site that has one. */
  readonly equal: number;
  /** Sites that will be given an object they lack. */
  readonly toCopy: number;
  /** Keys with different objects at different sites, resolved by policy once written. */
  readonly conflicts: ReadonlyArray<{ readonly key: string; readonly sites: Readonly<Record<SiteId, string>> }>;
  /** Keys somebody else was faster with; left as they are. */
  readonly raced: number;
}

/**
 * Consumers, sweeps and passes are stopped while this runs. The new ledger counts its epochs from one again, so the
 * clock lends a number that the lost one cannot have reached: it fences whoever still remembers that one.
 */
export async function rebuild(world: World): Promise<FillReport> {
  const epoch = await world.ledger.epoch();
  await world.ledger.advanceEpoch(epoch, Math.max(epoch + 1, Math.floor(world.clock.now() / 1000)));
  return fill(world, { write: true });
}

/** For sites that already hold objects when they are joined. A dry run writes nothing and tells what would happen. */
export function seed(world: World, { dryRun }: { readonly dryRun: boolean }): Promise<FillReport> {
  return fill(world, { write: !dryRun });
}

async function fill(world: World, { write }: { readonly write: boolean }): Promise<FillReport> {
  const tombstones = await readTombstones(world);
  const keys = [...new Set([...(await standingKeys(world)), ...tombstones.keys()])].sort();
  let equal = 0;
  let toCopy = 0;
  let raced = 0;
  const conflicts: Array<{ key: string; sites: Record<SiteId, string> }> = [];
  for (const key of keys) {
    const route = routeFor(world, { key, copyOf: null });
    if (route === null) continue;
    const { item: known, epoch } = await world.ledger.get(key);
    if (known !== null) continue;
    const item = await assembleKey(world, key, route, tombstones.get(key) ?? []);
    if (item === null) continue;
    const siblings = item.frontier.map((vid) => item.versions[vid] as LogicalVersion);
    const differ = siblings.some((version) => !sameContent(version, siblings[0] as LogicalVersion));
    if (differ)
      conflicts.push({ key, sites: Object.fromEntries(siblings.map(({ origin, vid }) => [origin.site, vid])) });
    else if (siblings[0]?.kind === 'object') {
      const lacking = route.sites.filter((site) => item.sites[site]?.vid == null).length;
      toCopy += lacking;
      equal += lacking === 0 ? 1 : 0;
    }
    if (write && !(await enter(world, item, epoch))) raced += 1;
  }
  return { keys: keys.length, equal, toCopy, conflicts, raced };
}

/** False: somebody else was faster with this key. A new epoch means that somebody else does all of this: then it is over here. */
async function enter(world: World, item: KeyItem, epoch: number): Promise<boolean> {
  const swap = await world.ledger.compareAndSet(item, { rev: 0, epoch });
  if (swap === 'fenced')
    throw fault('fenced', `the ledger has left epoch ${epoch} while it was being filled: start again`, {
      op: 'fill',
      key: item.key,
    });
  return swap === 'done';
}

async function assembleKey(
  world: World,
  key: string,
  route: Route,
  tombstones: readonly LogicalVersion[],
): Promise<KeyItem | null> {
  const { rules, topology } = world;
  const found = await comparable(world, await Promise.all(route.sites.map((site) => standingAt(world, key, site))));
  // Not before the looks, which may take long: what has expired by then was no delete.
  const now = world.clock.now();
  return assemble(key, found, tombstones, {
    now,
    rules,
    dotFloor: rules['clock-dots'] ? now + topology.limits.skewBoundMs : 0,
  });
}

async function standingAt(world: World, key: string, site: SiteId): Promise<Standing> {
  const store = storeOf(world, site);
  const versions = await store.versions(key);
  const entries: SeenVersion[] = [];
  for (const version of versions) {
    const proven = version.kind === 'object' && !hasChecksum(version) ? await withChecksums(store, version) : version;
    entries.push(recognise(proven, world.topology.namespace, site, world.macKeys, world.rules));
  }
  return { site: siteOf(world.topology, site), exactToken: store.capabilities.exactToken, entries };
}

/** S3 stores one checksum and GCS another: unmarked objects that may be equal are read, so that they can be compared. */
async function comparable(world: World, found: readonly Standing[]): Promise<readonly Standing[]> {
  const likeness = ({ entries }: Standing) => {
    const last = entries.at(-1);
    return last?.version.kind === 'object' && last.marker === null
      ? `${last.version.sizeBytes} ${last.metaDigest}`
      : null;
  };
  return Promise.all(
    found.map(async (standing) => {
      const like = likeness(standing);
      if (like === null || found.filter((other) => likeness(other) === like).length < 2) return standing;
      const { site, entries } = standing;
      const last = entries.at(-1) as SeenVersion;
      const version = await withChecksums(storeOf(world, site.id), last.version);
      return { ...standing, entries: [...entries.slice(0, -1), { ...last, version }] };
    }),
  );
}

/** A version that is gone by now, or was read wrongly, keeps what its service stores: then it is equal to less. */
async function withChecksums(store: ObjectStore, version: SeenVersion['version']): Promise<SeenVersion['version']> {
  try {
    const checksums = await readSums(store, version.key, version.phys);
    if (!matchesStored(version.checksums, checksums)) return version;
    return { ...version, checksums: { crc32c: checksums.crc32c, crc64nvme: checksums.crc64nvme } };
  } catch (error) {
    if (isFault(error, 'not-found')) return version;
    throw error;
  }
}

async function standingKeys(world: World): Promise<readonly string[]> {
  const keys = new Set<string>();
  for (const { id } of world.topology.sites)
    for (const { key } of await listAll(storeOf(world, id), '')) if (!isReserved(key)) keys.add(key);
  return [...keys];
}

async function readTombstones(world: World): Promise<ReadonlyMap<string, readonly LogicalVersion[]>> {
  const found = new Map<string, LogicalVersion[]>();
  for (const { id } of world.topology.sites) {
    const store = storeOf(world, id);
    for (const { key, phys } of await listAll(store, TOMBSTONE_PREFIX)) {
      const { bytes } = await readWhole(store, key, phys);
      try {
        const tombstone = readTombstone(new TextDecoder().decode(bytes), world.topology.namespace, world.macKeys);
        found.set(tombstone.key, [...(found.get(tombstone.key) ?? []), tombstone.version]);
      } catch (error) {
        if (!isFault(error, 'invalid')) throw error;
        world.report({ severity: 'warning', what: 'refused-row', site: id, key, detail: error.message });
      }
    }
  }
  return found;
}

async function listAll(
  store: ObjectStore,
  prefix: string,
): Promise<ReadonlyArray<{ readonly key: string; readonly phys: string }>> {
  const all: Array<{ key: string; phys: string }> = [];
  let after: string | undefined;
  do {
    const page = await store.list({ prefix, limit: PAGE, ...(after === undefined ? {} : { after }) });
    all.push(...page.objects);
    after = page.next;
  } while (after !== undefined);
  return all;
}

function storeOf(world: World, site: SiteId): ObjectStore {
  const store = world.stores[site];
  if (store === undefined) throw fault('invalid', `no store is open for site ${site}`, { site });
  return store;
}
