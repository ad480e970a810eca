/** Looks at buckets: what stands there, whose write it may be, and whether an absence can be believed. */

import { standing } from '../decide/draft.ts';
import { absentVersion, hasChecksum, hasVanished, type Look, recognise, type SeenVersion } from '../decide/look.ts';
import type { LedgerRead } from '../ledger/ledger.ts';
import { type Fault, fault, isFault } from '../model/fault.ts';
import type { KeyItem, SiteState } from '../model/key-item.ts';
import type { ObjectVersion } from '../model/object.ts';
import type { SiteId } from '../model/site.ts';
import type { ObjectStore } from '../store/store.ts';
import type { World } from '../world/world.ts';
import { SMALL_BYTES } from './budget.ts';
import { readSums, toWhole } from './read.ts';
import { isExact, type Run, setAside } from './run.ts';
import { hasSentinel } from './sentinel.ts';

/**
 * Answers to our own writes first, then one look per site that answers. A site that does not is left as it was:
 * unreachable is not absent.
 */
export async function observe(
  world: World,
  run: Run,
  sites: ReadonlySet<SiteId>,
  { item }: LedgerRead,
): Promise<readonly Look[]> {
  const looks: Look[] = [];
  const open = new Set(sites);
  for (const { site, intent, version } of run.answers) {
    const state = item?.sites[site];
    const awaited =
      state?.phys === intent.basePhys &&
      state.intents.some(({ wid }) => wid === intent.wid) &&
      (isExact(world, site) || isFirstHere(state));
    if (awaited) looks.push({ kind: 'answer', site, intent, entry: seen(world, site, version) });
    if (awaited && !run.lookAt.has(site)) open.delete(site);
    else open.add(site);
  }
  const found = await Promise.all(
    [...open].filter((site) => world.stores[site]).map((site) => lookAt(world, run, site, item, open.size === 1)),
  );
  return [...looks, ...found.filter((look) => look !== null)];
}

/**
 * The one write we ever made there, and nobody has looked before: a look would take this write and what came after it,
 * and nothing from below (`firstLook`). What comes after it is seen by the next look, for the write stands in the chain.
 */
function isFirstHere({ lookedAt, intents }: SiteState): boolean {
  return lookedAt === 0 && intents.length === 1;
}

async function lookAt(
  world: World,
  run: Run,
  site: SiteId,
  item: KeyItem | null,
  alone: boolean,
): Promise<Look | null> {
  const store = world.stores[site] as ObjectStore;
  try {
    const versions = item === null ? await newest(run, store, alone) : await store.versions(run.key);
    const entries = await Promise.all(versions.map((version) => prove(world, store, item, seen(world, site, version))));
    if (world.rules['sentinel-proof'] && isMissing(store, item, versions) && !(await hasSentinel(world, site))) {
      world.report({
        severity: 'alarm',
        what: 'site-suspect',
        site,
        key: run.key,
        detail: 'an object is missing and so is the sentinel',
      });
      return failed(run, site, fault('unavailable', 'the sentinel is missing', { site, op: 'versions', key: run.key }));
    }
    run.unanswered.delete(site);
    return store.capabilities.history === 'chain'
      ? { kind: 'chain', site, entries }
      : { kind: 'current', site, entry: entries.at(-1) ?? null };
  } catch (error) {
    if (!isFault(error)) throw error;
    if (!world.rules['unreachable-is-not-absent']) return { kind: 'current', site, entry: null };
    world.report({ severity: 'warning', what: 'site-down', site, key: run.key, detail: error.message });
    return failed(run, site, error);
  }
}

/**
 * All that counts of a first look at a key nobody knows: what lies below is the bucket's own past. Where no other site
 * is looked at, its bytes will be wanted elsewhere, so that the look is the read as well.
 */
async function newest(run: Run, store: ObjectStore, alone: boolean): Promise<readonly ObjectVersion[]> {
  const stands = alone ? await readStanding(run, store) : await store.head(run.key);
  if (stands !== null) return [stands];
  // Nothing stands, but of a chain the ledger has to learn where it ends: all beyond what was seen counts as new later.
  return store.capabilities.history === 'chain' ? store.versions(run.key) : [];
}

async function readStanding(run: Run, store: ObjectStore): Promise<ObjectVersion | null> {
  const read = await store.get(run.key, null).catch((error: unknown) => {
    if (isFault(error, 'not-found')) return null;
    throw error;
  });
  if (read === null) return null;
  const { version, body } = read;
  // Larger ones are read when they are wanted.
  if (version.sizeBytes > SMALL_BYTES) {
    // Begun and left, it is ended: a body that nobody asks for keeps its connection.
    for await (const _ of body) break;
    return version;
  }
  try {
    run.held = { site: store.site, whole: await toWhole(version, body) };
  } catch (error) {
    // What stands is known; whoever wants its bytes asks again.
    if (!isFault(error)) throw error;
  }
  return version;
}

function failed(run: Run, site: SiteId, error: Fault): null {
  setAside(run, site, error.retry);
  if (run.named.has(site)) run.unanswered.set(site, error);
  return null;
}

function seen(world: World, site: SiteId, version: ObjectVersion): SeenVersion {
  return recognise(version, world.topology.namespace, site, world.macKeys, world.rules);
}

/** Where the service stores no checksum, only the bytes can say that a write we wait for is really ours. */
async function prove(world: World, store: ObjectStore, item: KeyItem | null, entry: SeenVersion): Promise<SeenVersion> {
  const { version, marker } = entry;
  if (marker === null || hasChecksum(version)) return entry;
  const awaited = item?.sites[store.site]?.intents.some(({ wid }) => wid === marker.wid) ?? false;
  if (!awaited) return entry;
  const checksums = await readSums(store, version.key, version.phys);
  return seen(world, store.site, { ...version, checksums });
}

/** The ledger says an object stands there and the bucket shows no trace of it. */
function isMissing(store: ObjectStore, item: KeyItem | null, versions: readonly ObjectVersion[]): boolean {
  const state = item?.sites[store.site];
  if (item === null || state === undefined || standing(item, state) === null) return false;
  return store.capabilities.history === 'chain' ? hasVanished(state, versions) : versions.length === 0;
}

/** What a delete leaves behind, where the store does not answer with it. */
export function leftByDelete(store: ObjectStore, key: string, basePhys: string, now: number): ObjectVersion {
  return absentVersion(key, now, store.capabilities.history === 'chain' ? basePhys : '');
}
