/** The working copy of a key's item while one decision is made, and the few ways it may change. */

import { stampAfter } from '../model/hybrid-clock.ts';
import type { Cause, KeyItem, LogicalVersion, SiteState } from '../model/key-item.ts';
import type { LogEntry } from '../model/log-entry.ts';
import { ABSENT, isAbsent } from '../model/object.ts';
import { RESOLVER, type SiteId } from '../model/site.ts';
import { type Dot, dotName, join, maximal, type VersionVector } from '../model/version-vector.ts';
import type { SeenVersion } from './look.ts';
import type { Rules } from './rules.ts';

/** What every decision may know besides the item: nothing else is read from the world. */
export interface Moment {
  readonly now: number;
  readonly rules: Rules;
}

export function emptyItem(key: string): KeyItem {
  return {
    schema: 1,
    key,
    rev: 0,
    epoch: 0,
    dots: {},
    frontier: [],
    versions: {},
    sites: {},
    outbox: [],
    due: null,
    unresolved: null,
    copyOf: null,
    tombstoneAt: null,
  };
}

export function copyItem(item: KeyItem): KeyItem {
  return JSON.parse(JSON.stringify(item)) as KeyItem;
}

export function stateOf(item: KeyItem, site: SiteId): SiteState {
  item.sites[site] ??= {
    phys: ABSENT,
    token: null,
    body: '',
    modifiedAt: 0,
    vid: null,
    past: {},
    wid: null,
    lookedAt: 0,
    evicted: false,
    quarantined: false,
    intents: [],
    seen: [],
  };
  return item.sites[site];
}

/** The live object that stands at the site as far as the ledger knows; null: nothing does. */
export function standing(item: KeyItem, state: SiteState): LogicalVersion | null {
  const version = state.vid === null || state.evicted ? null : (item.versions[state.vid] ?? null);
  return version?.kind === 'object' ? version : null;
}

export function nextDot(item: KeyItem, site: SiteId, { now, rules }: Moment): Dot {
  const n = Math.max((item.dots[site] ?? 0) + 1, rules['clock-dots'] ? now : 1);
  item.dots[site] = n;
  return { s: site, n };
}

/** A new version over `past`: it gets a dot, a stamp, a place in the frontier and a line in the log. */
export function addVersion(
  item: KeyItem,
  moment: Moment,
  made: {
    readonly dot: Dot;
    readonly past: readonly LogicalVersion[];
    /** What else the version is known to come after. */
    readonly after?: VersionVector;
    readonly cause: Cause;
    readonly site: SiteId;
    readonly kind: 'object' | 'tombstone';
    readonly seen: Pick<SeenVersion, 'metaDigest'> & {
      readonly version: Pick<SeenVersion['version'], 'phys' | 'modifiedAt' | 'sizeBytes' | 'checksums'>;
    };
    readonly holders: LogicalVersion['holders'];
  },
): LogicalVersion {
  const { dot, past, cause, site, kind, seen } = made;
  const vv: VersionVector = past.reduce<VersionVector>((sum, version) => join(sum, version.vv), made.after ?? {});
  const latest = past.reduce<LogicalVersion['hlc'] | null>(
    (max, { hlc }) => (max === null || hlc.ms > max.ms || (hlc.ms === max.ms && hlc.c > max.c) ? hlc : max),
    null,
  );
  const version: LogicalVersion = {
    vid: dotName(dot),
    dot,
    vv: { ...vv, [dot.s]: dot.n },
    kind,
    hlc: stampAfter(seen.version.modifiedAt, latest),
    sizeBytes: kind === 'object' ? seen.version.sizeBytes : 0,
    crc32c: kind === 'object' ? (seen.version.checksums.crc32c ?? '') : '',
    crc64nvme: kind === 'object' ? (seen.version.checksums.crc64nvme ?? '') : '',
    metaDigest: kind === 'object' ? seen.metaDigest : '',
    origin: { site, phys: seen.version.phys, cause },
    holders: made.holders,
  };
  item.versions[version.vid] = version;
  item.frontier.push(version.vid);
  remember(item, moment, {
    id: `version/${version.vid}`,
    kind: 'version',
    vid: version.vid,
    site,
    // Of an absence nobody tells when it began.
    ...(site === RESOLVER || isAbsent(seen.version.phys) ? {} : { writtenAt: seen.version.modifiedAt }),
    note: `${cause} of ${seen.version.phys}`,
  });
  return version;
}

export function remember(item: KeyItem, { now }: Moment, entry: Omit<LogEntry, 'key' | 'at'>): void {
  item.outbox.push({ key: item.key, at: now, ...entry });
}

/** From now on this version stands at the site. */
export function stand(state: SiteState, version: LogicalVersion): void {
  state.vid = version.vid;
  state.past = join(state.past, version.vv);
  state.evicted = false;
  state.quarantined = false;
}

/** Keeps the maximal versions, in one order whoever computes it. */
export function settleFrontier(item: KeyItem): void {
  const versions = [...new Set(item.frontier)].sort().map((vid) => item.versions[vid] as LogicalVersion);
  item.frontier = maximal(versions).map((version) => version.vid);
}

const VERSIONS_KEPT = 8;

/** Forgets versions that nothing refers to any more, but for the newest few that `explain` likes to show. */
export function prune(item: KeyItem): void {
  const needed = new Set(item.frontier);
  for (const state of Object.values(item.sites)) {
    if (state.vid !== null) needed.add(state.vid);
    for (const intent of state.intents) needed.add(intent.vid);
  }
  const idle = Object.values(item.versions).filter((version) => !needed.has(version.vid));
  if (idle.length <= VERSIONS_KEPT) return;
  idle.sort((a, b) => a.hlc.ms - b.hlc.ms || a.hlc.c - b.hlc.c || (a.vid < b.vid ? -1 : 1));
  for (const version of idle.slice(0, idle.length - VERSIONS_KEPT)) delete item.versions[version.vid];
}
