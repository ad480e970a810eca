/** One key in a few memory buckets, looked at, decided about and written to by hand: nothing happens unasked. */

import type { Standing } from '#shared/decide/assemble.ts';
import { type Classifying, classify } from '#shared/decide/classify.ts';
import { type Decision, decide, type Seen } from '#shared/decide/decide.ts';
import { copyItem, emptyItem } from '#shared/decide/draft.ts';
import { hasChecksum, type Look, recognise, type SeenVersion } from '#shared/decide/look.ts';
import { everyRule, type Rules } from '#shared/decide/rules.ts';
import { crc32c, crc64nvme, toCrc32cText, toCrc64nvmeText } from '#shared/model/crc.ts';
import { isFault } from '#shared/model/fault.ts';
import type { KeyItem, LogicalVersion, SiteState } from '#shared/model/key-item.ts';
import type { LogEntry } from '#shared/model/log-entry.ts';
import { type MacKeys, writeMarker } from '#shared/model/marker.ts';
import { metaDigest } from '#shared/model/metadata.ts';
import { ABSENT, type ObjectMetadata, type ObjectVersion } from '#shared/model/object.ts';
import type { Site, SiteId } from '#shared/model/site.ts';
import type { ConflictPolicy, DeletePolicy, Limits, Route, Topology } from '#shared/model/topology.ts';
import { DEFAULT_LIMITS, siteOf } from '#shared/model/topology.ts';
import { type MemoryFlavour, type MemoryStore, openMemoryStore } from '#shared/store/memory.ts';
import type { WriteCondition } from '#shared/store/store.ts';

export const KEY = 'docs/a.txt';
export const NAMESPACE = 'bench';
export const MAC_KEYS: MacKeys = { newest: 'k', keys: { k: new Uint8Array(16).fill(7) } };
export const START_MS = 1_750_000_000_000;
export const DAY_MS = 24 * 3_600_000;

/** Enough for every site to surprise us a few times. */
const ROUNDS_MAX = 20;

export interface BenchSite {
  readonly flavour: MemoryFlavour;
  readonly mode?: Site['mode'];
  readonly expiresAfterMs?: number;
}

export interface BenchOptions {
  readonly sites: Readonly<Record<SiteId, MemoryFlavour | BenchSite>>;
  readonly policy?: ConflictPolicy;
  readonly deletes?: DeletePolicy;
  readonly limits?: Partial<Limits>;
  readonly nextId?: (site: SiteId, count: number) => string;
}

export interface Bench {
  now: number;
  /** What the ledger would hold, deep-frozen; null: nothing yet. */
  item: KeyItem | null;
  readonly buckets: Readonly<Record<SiteId, MemoryStore>>;
  readonly topology: Topology;
  readonly route: Route;
  /** Everything ever remembered, in order; what stands here is in the log. */
  readonly log: Map<string, LogEntry>;
  /** The traces of deletes that were left in the buckets. */
  readonly tombstones: Map<string, LogicalVersion>;
  /** Writes that cannot happen any more, as a run would know it. */
  readonly spent: Set<string>;
  readonly refused: Set<string>;
  /** Which version each write of ours brought, by site and physical version. */
  readonly ours: Map<string, string>;

  put(site: SiteId, text: string, note?: string): ObjectVersion;
  delete(site: SiteId): void;
  patch(site: SiteId, note: string): ObjectVersion;
  /** A client copies a kept version, marker and all, over what stands. */
  restore(site: SiteId, phys: string): ObjectVersion;
  look(site: SiteId): Promise<Look>;
  /** What a rebuild finds there; where the service stores no checksum the bytes were read. */
  standing(site: SiteId): Promise<Standing>;
  /** Decides on a look at each of these sites; the item becomes what was decided. */
  decide(sites: readonly SiteId[], changes?: Partial<Seen>): Promise<Decision>;
  decideOn(looks: readonly Look[], changes?: Partial<Seen>): Decision;
  /** Only the first step of a decision, on a copy of the item. */
  classify(site: SiteId, rules?: Rules): Promise<KeyItem>;
  /** Makes the writes of a decision, at some sites only when asked so, each once. */
  carryOut(decision: Decision, sites?: readonly SiteId[]): Promise<void>;
  /** Looks, decides and writes until nothing is left to do, if that takes until the writes of others can no longer land. */
  settle(changes?: Partial<Seen>): Promise<KeyItem>;
}

export function openBench(options: BenchOptions): Bench {
  const ids = Object.keys(options.sites);
  const sites = ids.map((id) => siteFor(id, options.sites[id] as MemoryFlavour | BenchSite));
  const { policy = { kind: 'lww' }, deletes = 'write-wins' } = options;
  const route: Route = { prefix: '', sites: ids, policy, deletes, copiesBeforeSupersede: 1 };
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const topology: Topology = { namespace: NAMESPACE, sites, routes: [route], limits };
  const tried = new Set<string>();
  let wids = 0;

  const bench: Bench = {
    now: START_MS,
    item: null,
    buckets: Object.fromEntries(ids.map((id) => [id, openBucket(id)])),
    topology,
    route,
    log: new Map(),
    tombstones: new Map(),
    spent: new Set(),
    refused: new Set(),
    ours: new Map(),

    put: (site, text, note = 'plain') => bucket(site).clientPut(KEY, bytesOf(text), { metadata: noted(note) }),
    delete: (site) => void bucket(site).clientDelete(KEY),
    patch: (site, note) => bucket(site).clientPatchMetadata(KEY, noted(note)),
    restore: (site, phys) => bucket(site).clientCopy(KEY, phys, KEY),

    async look(site) {
      const store = bucket(site);
      const versions = await store.versions(KEY);
      const entries = await Promise.all(versions.map((version) => prove(store, version, isAwaited)));
      if (store.capabilities.history === 'chain') return { kind: 'chain', site, entries };
      return { kind: 'current', site, entry: entries.at(-1) ?? null };
    },

    async standing(site) {
      const store = bucket(site);
      const versions = await store.versions(KEY);
      const entries = await Promise.all(
        versions.map((version) => prove(store, version, () => version.kind === 'object')),
      );
      return { site: siteOf(topology, site), exactToken: store.capabilities.exactToken, entries };
    },

    async decide(at, changes) {
      return bench.decideOn(await Promise.all(at.map((site) => bench.look(site))), changes);
    },

    decideOn(looks, changes) {
      const decision = decide(deepFreeze(bench.item), KEY, deepFreeze(seen(looks, changes)));
      const rev = (bench.item?.rev ?? 0) + Number(decision.changed);
      if (rev > 0) bench.item = deepFreeze({ ...copyItem(decision.item), rev });
      for (const entry of decision.item.outbox) {
        bench.log.set(entry.id, bench.log.get(entry.id) ?? entry);
        const told = decision.item.versions[entry.by ?? entry.vid ?? ''];
        if (told?.kind === 'tombstone') bench.tombstones.set(told.vid, { ...told, holders: {} });
      }
      return decision;
    },

    async classify(site, rules = everyRule) {
      const item = bench.item === null ? emptyItem(KEY) : copyItem(bench.item);
      const { exactToken } = bucket(site).capabilities;
      const { tombstoneGraceMs } = limits;
      const on: Classifying = { now: bench.now, rules, site: siteOf(topology, site), exactToken, tombstoneGraceMs };
      classify(item, deepFreeze(await bench.look(site)), on);
      return item;
    },

    async carryOut({ winner, writes }, only = ids) {
      for (const { site, intent } of writes) {
        if (winner === null || !only.includes(site) || tried.has(intent.wid)) continue;
        tried.add(intent.wid);
        const condition: WriteCondition =
          intent.baseToken === null ? { kind: 'if-absent' } : { kind: 'if-token', token: intent.baseToken };
        try {
          if (winner.kind === 'tombstone') await bucket(site).delete(KEY, condition);
          else await copyTo(site, winner, intent.wid, condition);
          bench.ours.set(`${site} ${await physAt(bench, site)}`, intent.vid);
          // Where the token covers bytes alone an answer proves nothing: the next look tells what the write replaced.
          if (!bucket(site).capabilities.exactToken) bench.spent.add(intent.wid);
        } catch (error) {
          if (!isFault(error, 'precondition', 'not-found')) throw error;
          bench.refused.add(intent.wid);
        }
      }
    },

    async settle(changes) {
      for (let round = 0; round < ROUNDS_MAX; round++) {
        const decision = await bench.decide(ids, { lookedEverywhere: true, ...changes });
        if (!decision.changed && bench.item?.due == null) break;
        if (!decision.changed) bench.now += DAY_MS / 2;
        await bench.carryOut(decision);
      }
      return bench.item as KeyItem;
    },
  };

  function openBucket(site: SiteId): MemoryStore {
    const { flavour } = siteOption(options.sites[site] as MemoryFlavour | BenchSite);
    let count = 0;
    const nextId = () => options.nextId?.(site, ++count) ?? `${site}${++count}`;
    return openMemoryStore({ site, flavour, versioned: true, now: () => bench.now, nextId });
  }

  function bucket(site: SiteId): MemoryStore {
    return bench.buckets[site] as MemoryStore;
  }

  function seen(looks: readonly Look[], changes: Partial<Seen> = {}): Seen {
    return {
      now: bench.now,
      rules: everyRule,
      topology,
      route,
      worker: 'worker',
      spoiled: [],
      nextWid: () => `w${++wids}`,
      down: new Set(),
      backSoon: new Set(),
      looks,
      exactToken: (site) => bucket(site).capabilities.exactToken,
      spent: new Set(bench.spent),
      refused: new Set(bench.refused),
      unsure: new Set(),
      gone: [],
      logged: new Set(bench.log.keys()),
      kept: new Set(),
      answer: null,
      lookedEverywhere: false,
      covered: false,
      ...changes,
    };
  }

  /** Where the service stores no checksum, only the bytes can tell. */
  async function prove(
    store: MemoryStore,
    version: ObjectVersion,
    asked: (entry: SeenVersion, site: SiteId) => boolean,
  ): Promise<SeenVersion> {
    const entry = recognise(version, NAMESPACE, store.site, MAC_KEYS, everyRule);
    if (hasChecksum(version) || !asked(entry, store.site)) return entry;
    const { checksums } = await readAll(store, version.phys);
    return recognise({ ...version, checksums }, NAMESPACE, store.site, MAC_KEYS, everyRule);
  }

  function isAwaited({ marker }: SeenVersion, site: SiteId): boolean {
    return bench.item?.sites[site]?.intents.some(({ wid }) => wid === marker?.wid) ?? false;
  }

  async function copyTo(site: SiteId, winner: LogicalVersion, wid: string, condition: WriteCondition): Promise<void> {
    const [from, holder] = Object.entries(winner.holders)[0] ?? [];
    if (from === undefined || holder === undefined) return;
    const { bytes, version, checksums } = await readAll(bucket(from), holder.phys);
    const { dot, vv, hlc, origin, sizeBytes } = winner;
    const digest = metaDigest(version.metadata);
    const said = { site, wid, dot, vv, hlc, origin, ...checksums, sizeBytes, metaDigest: digest };
    const marker = writeMarker(said, { namespace: NAMESPACE, key: KEY }, MAC_KEYS);
    await bucket(site).put(KEY, bytes, { condition, metadata: version.metadata, marker, checksums });
  }

  return bench;
}

/** Two sites: a, where nothing is odd, and b, which is looked at. */
export function openPair(b: MemoryFlavour | BenchSite): Bench {
  return openBench({ sites: { a: 'gcs', b } });
}

/** What a client wrote at a stands at b too, as our replica, and all is known. */
export async function replicated(b: MemoryFlavour | BenchSite): Promise<Bench> {
  const bench = openPair(b);
  bench.put('a', 'one');
  await bench.settle();
  bench.now += 10_000;
  return bench;
}

/** What the ledger says stands there. */
export function knownAt(bench: Bench, site: SiteId): LogicalVersion {
  return bench.item?.versions[stateAt(bench.item, site).vid ?? ''] as LogicalVersion;
}

/** What the bucket shows last: what stands there, or its deletion. */
export async function physAt(bench: Bench, site: SiteId): Promise<string> {
  return (await (bench.buckets[site] as MemoryStore).versions(KEY)).at(-1)?.phys ?? ABSENT;
}

/** The state of a site that must be known. */
export function stateAt(item: KeyItem | null, site: SiteId): SiteState {
  const state = item?.sites[site];
  if (state === undefined) throw new Error(`nothing is known of site ${site}`);
  return state;
}

/** The versions an item has beyond those of another, in the order in which they were added. */
export function newVersions(before: KeyItem | null, after: KeyItem): LogicalVersion[] {
  return Object.values(after.versions).filter(({ vid }) => before?.versions[vid] === undefined);
}

export function causes(bench: Bench, after: KeyItem): string[] {
  return newVersions(bench.item, after).map(({ origin, kind }) => `${origin.cause} of ${kind}`);
}

/** The one version an item has beyond the bench's. */
export function added(bench: Bench, after: KeyItem): LogicalVersion {
  const [version, ...others] = newVersions(bench.item, after);
  if (version === undefined || others.length > 0)
    throw new Error(`expected one new version, got: ${causes(bench, after).join(', ')}`);
  return version;
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function noted(note: string): ObjectMetadata {
  return { headers: { contentType: 'text/plain' }, user: { note } };
}

/** Whoever changes any part of it, now or later, throws. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  if (!(value instanceof Set) && !ArrayBuffer.isView(value)) Object.values(value).forEach(deepFreeze);
  return ArrayBuffer.isView(value) ? value : Object.freeze(value);
}

async function readAll(store: MemoryStore, phys: string) {
  const { version, body } = await store.get(KEY, phys);
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const checksums = { crc32c: toCrc32cText(crc32c(bytes)), crc64nvme: toCrc64nvmeText(crc64nvme(bytes)) };
  return { version, bytes, checksums };
}

function siteFor(id: SiteId, option: MemoryFlavour | BenchSite): Site {
  const { flavour, mode = 'active', expiresAfterMs } = siteOption(option);
  const cloud = { s3: 'aws', gcs: 'gcp', azure: 'azure' } as const;
  const site = { id, cloud: cloud[flavour], region: 'here', bucket: `bucket-${id}`, mode };
  return expiresAfterMs === undefined ? site : { ...site, expiresAfterMs };
}

function siteOption(option: MemoryFlavour | BenchSite): BenchSite {
  return typeof option === 'string' ? { flavour: option } : option;
}
