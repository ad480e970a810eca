/** Makes a key's item from the buckets alone: for a ledger that was lost, and for buckets that were never replicated. */

import type { KeyItem, LogicalVersion, SiteState } from '../model/key-item.ts';
import { type Marker, sameOrigin } from '../model/marker.ts';
import { ABSENT, isAbsent } from '../model/object.ts';
import { RESOLVER, type Site, type SiteId } from '../model/site.ts';
import { contains, dotName, join } from '../model/version-vector.ts';
import { addVersion, emptyItem, type Moment, nextDot, settleFrontier, stateOf } from './draft.ts';
import type { SeenVersion } from './look.ts';
import { sameContent } from './resolve.ts';

export interface Standing {
  readonly site: Site;
  readonly exactToken: boolean;
  /** The chain where the bucket keeps one, else what stands now; oldest first. */
  readonly entries: readonly SeenVersion[];
}

const SEEN_MAX = 32;

/** Null when nothing is known of the key anywhere. */
export function assemble(
  key: string,
  found: readonly Standing[],
  tombstones: readonly LogicalVersion[],
  on: Moment & { readonly dotFloor: number },
): KeyItem | null {
  const item = emptyItem(key);
  for (const { entries } of found)
    for (const { marker } of entries) if (marker !== null) learn(item, versionOf(marker));
  for (const tombstone of tombstones) learn(item, { ...tombstone, holders: {} });
  for (const version of Object.values(item.versions))
    item.dots[version.dot.s] = Math.max(item.dots[version.dot.s] ?? 0, version.dot.n);
  for (const actor of [...found.map(({ site }) => site.id), RESOLVER])
    item.dots[actor] = Math.max(item.dots[actor] ?? 0, on.dotFloor);

  const fresh: LogicalVersion[] = [];
  for (const standing of found) walk(item, standing, fresh, on);
  const vids = Object.values(item.sites)
    .map(({ vid }) => vid)
    .filter((vid) => vid !== null);
  item.frontier = [...vids, ...tombstones.map(({ vid }) => vid), ...item.frontier].filter(
    (vid) => vid in item.versions,
  );
  if (item.frontier.length === 0) return null;
  settleFrontier(item);
  const needed = new Set([...vids, ...item.frontier]);
  for (const vid of Object.keys(item.versions)) if (!needed.has(vid)) delete item.versions[vid];
  item.outbox = item.outbox.filter(({ vid }) => vid === undefined || needed.has(vid));
  item.due = on.now;
  return item;
}

function walk(item: KeyItem, { site, exactToken, entries }: Standing, fresh: LogicalVersion[], on: Moment): void {
  const state = stateOf(item, site.id);
  state.lookedAt = Math.max(1, on.now);
  const wids = new Set<string>();
  const tokens = new Set<string>();
  const hasTombstone = Object.values(item.versions).some(({ kind }) => kind === 'tombstone');
  let past: LogicalVersion | null = null;
  let before: SeenVersion | null = null;
  let strange = false;
  let shadowed: SeenVersion | null = null;
  let hiddenBelowOurs: Array<{ readonly entry: SeenVersion; readonly over: LogicalVersion | null }> = [];
  for (const [i, entry] of entries.entries()) {
    const last = i === entries.length - 1;
    const again = entry.marker !== null && entry.intact && wids.has(entry.marker.wid);
    const evicted = isExpiry(site, before, entry, on.now);
    const known: LogicalVersion | null = evicted
      ? past
      : entry.version.kind === 'object'
        ? recognised(item, site, entry, strange ? null : past, wids)
        : deletedBy(item, site, entry, past);
    const byClient = known === null ? entry.version.kind === 'object' : !evicted && isBornHere(known, site, entry);
    // Written twice by us, or put back by a client: then nobody knows who had the last word over what lies between.
    const doubtful = known === null && again && shadowed !== null;
    if (doubtful) hiddenBelowOurs.push({ entry: shadowed as SeenVersion, over: past });
    // A client's later write at the same bucket has the last word over all that lies below it.
    else if (byClient) hiddenBelowOurs = [];
    // A delete of what nobody can name any more, while a tombstone of this key exists: it may have been ours.
    const maybeOurs = known === null && entry.version.kind === 'delete-marker' && hasTombstone;
    if (maybeOurs && shadowed !== null) hiddenBelowOurs.push({ entry: shadowed, over: past });
    if (known !== null) {
      // Ours was written over a token. Where that covers bytes alone, a client's write of the same bytes may lie between.
      if (shadowed !== null && !byClient) hiddenBelowOurs.push({ entry: shadowed, over: past });
      past = known;
    } else if (last && (entry.version.kind === 'object' || past !== null))
      past = foreign(item, site, entry, past, fresh, on);
    if (last) settle(state, entry, past, evicted, entries);
    if (past !== null) state.past = join(state.past, past.vv);
    if (past !== null && entry.intact && past.vid === vidOf(entry))
      past.holders[site.id] = { phys: entry.version.phys };
    const { kind, token } = entry.version;
    const repeated = token !== null && tokens.has(token);
    shadowed = known === null && !last && !exactToken && kind === 'object' && repeated ? entry : null;
    if (token !== null) tokens.add(token);
    if (kind === 'object') strange = known === null;
    before = entry;
  }
  // Named by the resolver: a dot of this site would claim to come after what this site's clients wrote later.
  for (const { entry, over } of hiddenBelowOurs) foreign(item, site, entry, over, fresh, on, RESOLVER);
}

function isBornHere({ origin }: LogicalVersion, site: Site, { version }: SeenVersion): boolean {
  return origin.site === site.id && sameOrigin(origin.phys, version.phys);
}

/** A version that is known by name: born here, or written here by us and untouched since. */
function recognised(
  item: KeyItem,
  site: Site,
  entry: SeenVersion,
  past: LogicalVersion | null,
  wids: Set<string>,
): LogicalVersion | null {
  const { marker, version, intact } = entry;
  const born = Object.values(item.versions).find((it) => isBornHere(it, site, entry));
  if (born !== undefined) {
    born.holders[site.id] = { phys: version.phys };
    return born;
  }
  if (marker === null || !intact) return null;
  const again = wids.has(marker.wid);
  wids.add(marker.wid);
  const named = item.versions[vidOf(entry) ?? ''] ?? null;
  // The second time a write id appears it is a client's copy, unless it lies directly on the first.
  return again && past !== named ? null : named;
}

function deletedBy(item: KeyItem, site: Site, entry: SeenVersion, past: LogicalVersion | null): LogicalVersion | null {
  const tombstones = Object.values(item.versions).filter(({ kind }) => kind === 'tombstone');
  const born = tombstones.find(
    ({ origin }) => origin.site === site.id && origin.phys === entry.version.phys && !isAbsent(origin.phys),
  );
  return born ?? tombstones.find(({ vv }) => past !== null && contains(vv, past.dot)) ?? null;
}

function foreign(
  item: KeyItem,
  site: Site,
  entry: SeenVersion,
  past: LogicalVersion | null,
  fresh: LogicalVersion[],
  on: Moment,
  actor: SiteId = site.id,
): LogicalVersion {
  const kind = entry.version.kind === 'object' ? 'object' : 'tombstone';
  const holders = kind === 'object' ? { [site.id]: { phys: entry.version.phys } } : {};
  // A marker that no longer fits still tells over what the client wrote.
  const carried = item.versions[vidOf(entry) ?? ''];
  const pasts = [past, carried].filter((version) => version !== null && version !== undefined);
  const dot = nextDot(item, actor, on);
  const made = addVersion(item, on, {
    dot,
    past: pasts,
    cause: kind === 'object' ? 'put' : 'delete',
    site: site.id,
    kind,
    seen: entry,
    holders,
  });
  const twin = pasts.length === 0 ? fresh.find((other) => sameContent(other, made)) : undefined;
  if (twin === undefined) {
    if (pasts.length === 0) fresh.push(made);
    return made;
  }
  delete item.versions[made.vid];
  item.outbox = item.outbox.filter(({ vid }) => vid !== made.vid);
  twin.holders[site.id] = { phys: entry.version.phys };
  return twin;
}

function settle(
  state: SiteState,
  { version, marker, intact }: SeenVersion,
  past: LogicalVersion | null,
  evicted: boolean,
  entries: readonly SeenVersion[],
): void {
  state.phys = version.phys;
  state.token = version.token;
  state.body = version.body;
  state.modifiedAt = version.modifiedAt;
  state.vid = past?.vid ?? null;
  state.evicted = evicted && past?.kind === 'object';
  state.wid = intact && marker !== null && past?.vid === dotName(marker.dot) ? marker.wid : null;
  state.seen = entries
    .map((entry) => entry.version.phys)
    .filter((phys) => phys !== ABSENT && !isAbsent(phys))
    .slice(-SEEN_MAX);
}

function isExpiry(site: Site, before: SeenVersion | null, entry: SeenVersion, now: number): boolean {
  if (
    site.expiresAfterMs === undefined ||
    before === null ||
    entry.version.kind === 'object' ||
    before.version.kind !== 'object'
  )
    return false;
  const deletedAt = isAbsent(entry.version.phys) ? now : entry.version.modifiedAt;
  return deletedAt >= before.version.modifiedAt + site.expiresAfterMs;
}

function learn(item: KeyItem, version: LogicalVersion): void {
  const known = item.versions[version.vid];
  if (known === undefined) item.versions[version.vid] = version;
  else known.vv = join(known.vv, version.vv);
}

function versionOf({ dot, vv, hlc, sizeBytes, crc32c, crc64nvme, metaDigest, origin }: Marker): LogicalVersion {
  return {
    vid: dotName(dot),
    dot,
    vv,
    kind: 'object',
    hlc,
    sizeBytes,
    crc32c,
    crc64nvme,
    metaDigest,
    origin,
    holders: {},
  };
}

function vidOf({ marker }: SeenVersion): string | null {
  return marker === null ? null : dotName(marker.dot);
}
