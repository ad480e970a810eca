/** What a newly seen physical version is: our own write come back, or something a client did. Rules R0 to R7. */

import type { Cause, Intent, KeyItem, LogicalVersion, SiteState } from '../model/key-item.ts';
import { isAbsent } from '../model/object.ts';
import type { Site } from '../model/site.ts';
import { addVersion, type Moment, nextDot, remember, stand, standing, stateOf } from './draft.ts';
import { absence, hasChecksum, type Look, lastStood, type SeenVersion } from './look.ts';

const SEEN_MAX = 32;
/** A write may still land this long after its lease ended: a paused worker, a request on its way. */
const LATE_WRITE_MS = 24 * 3_600_000;

export interface Classifying extends Moment {
  readonly site: Site;
  readonly exactToken: boolean;
  readonly tombstoneGraceMs: number;
}

type Verdict =
  | { readonly kind: 'echo'; readonly intent: Intent }
  /** Ours landed and was changed or copied over since: bind it, then what stands here is a client's. */
  | { readonly kind: 'landed'; readonly intent: Intent }
  | { readonly kind: 'rebind' }
  | { readonly kind: 'still-absent' }
  | { readonly kind: 'evicted' }
  | { readonly kind: 'quarantined' }
  | { readonly kind: 'foreign' };

/** Brings the item up to what was seen at one site. */
export function classify(item: KeyItem, look: Look, on: Classifying): void {
  const state = stateOf(item, look.site);
  if (look.kind === 'answer') bind(item, state, look.intent, look.entry, on);
  else for (const entry of newEntries(item, state, look, on)) take(item, state, entry, look.kind === 'chain', on);
  if (state.lookedAt === 0) state.lookedAt = Math.max(1, on.now);
  forgetHolders(item, look);
  dropDeadIntents(state, on);
}

/** R0 and R1: what is new in this look, after what was lost is accounted for. */
function newEntries(
  item: KeyItem,
  state: SiteState,
  look: Exclude<Look, { kind: 'answer' }>,
  on: Classifying,
): readonly SeenVersion[] {
  if (look.kind === 'current') {
    const entry = look.entry ?? absence(item.key, on.now);
    return entry.version.phys === state.phys ? [] : [entry];
  }
  const { entries } = look;
  const known = lastStood(state.phys);
  const at = entries.findIndex(({ version }) => version.phys === known);
  let fresh: readonly SeenVersion[];
  if (at >= 0) fresh = entries.slice(at + 1).filter(({ version }) => version.phys !== state.phys);
  else if (known === '') fresh = state.lookedAt === 0 ? firstLook(state, entries) : entries;
  else if (isAbsent(state.phys))
    fresh = entries.slice(lastSeen(state, entries) + 1); // nothing stood, so nothing came back
  else fresh = entries.slice(rollBack(item, state, entries, on) + 1);
  if (entries.length === 0 && !isAbsent(state.phys)) fresh = [absence(item.key, on.now)];
  return on.rules['whole-chain'] ? fresh.slice(-SEEN_MAX) : fresh.slice(-1);
}

/** What a bucket remembers from before we first looked is its own past: only what stands now, and writes of ours, count. */
function firstLook(state: SiteState, entries: readonly SeenVersion[]): readonly SeenVersion[] {
  const ours = entries.findIndex(
    ({ marker }) => marker !== null && state.intents.some(({ wid }) => wid === marker.wid),
  );
  const from = ours < 0 ? Math.max(0, entries.length - 1) : ours;
  state.seen = entries
    .slice(0, from)
    .map(({ version }) => version.phys)
    .slice(-SEEN_MAX);
  return entries.slice(from);
}

function lastSeen(state: SiteState, entries: readonly SeenVersion[]): number {
  return entries.findLastIndex(({ version }) => state.seen.includes(version.phys));
}

/** R1: what we last saw was purged. First the older version that came back is recorded; answers where it stands. */
function rollBack(item: KeyItem, state: SiteState, entries: readonly SeenVersion[], on: Classifying): number {
  const at = lastSeen(state, entries);
  const back = at < 0 ? absence(item.key, on.now) : (entries[at] as SeenVersion);
  if (on.rules.rollback) {
    if (back.version.kind === 'object' || standing(item, state) !== null) addForeign(item, state, back, 'rollback', on);
    move(state, back, null);
  }
  return at;
}

function take(item: KeyItem, state: SiteState, entry: SeenVersion, chain: boolean, on: Classifying): void {
  const verdict = judge(item, state, entry, chain, on);
  switch (verdict.kind) {
    case 'echo':
      inferDelete(item, state, verdict.intent, entry, on);
      bind(item, state, verdict.intent, entry, on);
      return;
    case 'landed':
      inferDelete(item, state, verdict.intent, entry, on);
      bind(item, state, verdict.intent, null, on);
      addForeign(item, state, entry, 'put', on);
      break;
    case 'foreign':
      addForeign(item, state, entry, entry.version.kind === 'object' ? 'put' : 'delete', on);
      break;
    case 'evicted':
      state.evicted = true;
      remember(item, on, {
        id: `evicted/${on.site.id}/${state.phys}`,
        kind: 'evicted',
        site: on.site.id,
        ...(state.vid === null ? {} : { vid: state.vid }),
        note: `older than this site keeps: ${state.phys}`,
      });
      break;
    case 'quarantined':
      state.quarantined = true;
      remember(item, on, {
        id: `quarantined/${on.site.id}/${entry.version.phys}`,
        kind: 'quarantined',
        site: on.site.id,
        note: `an old replica of a forgotten key: ${entry.version.phys}`,
      });
      break;
    case 'rebind':
    case 'still-absent':
      break;
  }
  move(state, entry, verdict.kind === 'rebind' && entry.marker?.wid === state.wid ? state.wid : null);
  const here = standing(item, state);
  if (verdict.kind === 'rebind' && here !== null) here.holders[on.site.id] = { phys: entry.version.phys };
}

function judge(item: KeyItem, state: SiteState, entry: SeenVersion, chain: boolean, on: Classifying): Verdict {
  return entry.version.kind === 'object'
    ? judgeObject(item, state, entry, chain, on)
    : judgeDeletion(item, state, entry, on);
}

function judgeObject(item: KeyItem, state: SiteState, entry: SeenVersion, chain: boolean, on: Classifying): Verdict {
  const { version, marker, intact } = entry;
  const here = standing(item, state);

  // R4: the same bytes in place, patched in a way that changes nothing we carry (storage class, holds).
  if (here !== null && version.body === state.body && entry.metaDigest === here.metaDigest) return { kind: 'rebind' };

  // R3: a copy onto itself of our write that stood here just before, or its duplicate. Only if the bytes can prove it.
  if (here !== null && marker !== null && intact && hasChecksum(version) && marker.wid === state.wid)
    return { kind: 'rebind' };

  // R2: the ledger waits for this very write, and it stands where it was planned to stand.
  const intent = marker === null ? undefined : state.intents.find((it) => it.kind === 'copy' && it.wid === marker.wid);
  if (intent !== undefined) {
    const inPlace = chain || followsBase(intent, state, on) || !on.rules['echo-after-base'];
    const untouched = version.revision === 1 || !on.rules['echo-after-base'];
    if (inPlace && intact && untouched) return { kind: 'echo', intent };
    if (inPlace) return { kind: 'landed', intent };
  }
  if (!on.rules['echo-needs-intent'] && marker !== null && intact) {
    const vid = `${marker.dot.s}:${marker.dot.n}`;
    if (item.versions[vid] !== undefined) return { kind: 'echo', intent: trusting(vid, marker.wid, state) };
  }

  // A key that was collected: an old replica that turns up again (a bucket restored from backup) is not a new write.
  const forgotten = item.frontier.length === 0;
  if (on.rules.quarantine && forgotten && intact && version.modifiedAt < on.now - on.tombstoneGraceMs)
    return { kind: 'quarantined' };

  return { kind: 'foreign' }; // R7
}

function judgeDeletion(item: KeyItem, state: SiteState, entry: SeenVersion, on: Classifying): Verdict {
  const here = standing(item, state);
  if (here === null) return { kind: 'still-absent' };

  // R5: a client's delete of the version we meant to delete has the same effect, so the two need not be told apart.
  const byToken = !on.exactToken && on.rules['delete-by-token'];
  const intent = state.intents.find(
    (it) => it.kind === 'delete' && (it.basePhys === state.phys || (byToken && it.baseToken === state.token)),
  );
  if (intent !== undefined) return { kind: 'echo', intent };

  // R6: this site's own lifecycle removes what is older than it says.
  const { expiresAfterMs } = on.site;
  const deletedAt = isAbsent(entry.version.phys) ? on.now : entry.version.modifiedAt;
  if (on.rules['local-expiry'] && expiresAfterMs !== undefined && deletedAt >= state.modifiedAt + expiresAfterMs) {
    return { kind: 'evicted' };
  }
  return { kind: 'foreign' };
}

/** Where only the present can be seen: nothing but the base, or nothing at all, can have stood before this write. */
function followsBase(intent: Intent, state: SiteState, { site }: Classifying): boolean {
  return intent.basePhys === state.phys || intent.baseToken === null || site.mode === 'passive';
}

/** R2a: a create-only write landed although something stood here, so that was deleted in between. */
function inferDelete(item: KeyItem, state: SiteState, intent: Intent, { version }: SeenVersion, on: Classifying): void {
  if (!on.rules['inferred-delete'] || intent.baseToken !== null || standing(item, state) === null) return;
  addForeign(item, state, absence(item.key, version.modifiedAt), 'inferred-delete', on);
}

function addForeign(
  item: KeyItem,
  state: SiteState,
  entry: SeenVersion,
  cause: Cause,
  on: Classifying,
): LogicalVersion {
  const kind = entry.version.kind === 'object' ? 'object' : 'tombstone';
  const past = state.vid === null ? undefined : item.versions[state.vid];
  const holders = kind === 'object' ? { [on.site.id]: { phys: entry.version.phys } } : {};
  const version = addVersion(item, on, {
    dot: nextDot(item, on.site.id, on),
    past: past ? [past] : [],
    after: state.past,
    cause,
    site: on.site.id,
    kind,
    seen: entry,
    holders,
  });
  stand(state, version);
  return version;
}

/** The write an intent announced has happened; `entry` is what it made, null when that stands no more. */
function bind(item: KeyItem, state: SiteState, intent: Intent, entry: SeenVersion | null, on: Classifying): void {
  // A deletion carries no marker: where the token does not prove it ours, our own may still be to come.
  const proven = intent.kind === 'copy' || on.exactToken;
  if (proven) state.intents = state.intents.filter((it) => it.wid !== intent.wid);
  const version = item.versions[intent.vid] as LogicalVersion;
  stand(state, version);
  if (entry === null) return;
  if (entry.marker !== null && version.crc32c === '') version.crc32c = entry.marker.crc32c;
  if (entry.marker !== null && version.crc64nvme === '') version.crc64nvme = entry.marker.crc64nvme;
  if (entry.version.kind === 'object') version.holders[on.site.id] = { phys: entry.version.phys };
  move(state, entry, intent.wid);
}

function move(state: SiteState, { version }: SeenVersion, wid: string | null): void {
  state.phys = version.phys;
  state.token = version.token;
  state.body = version.body;
  state.modifiedAt = version.modifiedAt;
  state.wid = wid;
  if (!isAbsent(version.phys))
    state.seen = [...state.seen.filter((phys) => phys !== version.phys), version.phys].slice(-SEEN_MAX);
}

/** Bytes can be read here only if the bucket still shows them. */
function forgetHolders(item: KeyItem, look: Look): void {
  const readable =
    look.kind === 'chain'
      ? new Set(look.entries.map(({ version }) => version.phys))
      : new Set([stateOf(item, look.site).phys]);
  if (look.kind === 'answer') return;
  for (const version of Object.values(item.versions)) {
    const holder = version.holders[look.site];
    if (holder !== undefined && holder.key === undefined && !readable.has(holder.phys))
      delete version.holders[look.site];
  }
}

/** An exact token never returns, so a write planned over a version that was replaced can no longer land. */
function dropDeadIntents(state: SiteState, on: Classifying): void {
  state.intents = state.intents.filter((intent) => {
    const baseGone =
      on.rules['echo-after-base'] && on.exactToken && intent.baseToken !== null && intent.basePhys !== state.phys;
    return !baseGone && on.now <= intent.leaseUntil + LATE_WRITE_MS;
  });
}

function trusting(vid: string, wid: string, state: SiteState): Intent {
  return { wid, vid, kind: 'copy', basePhys: state.phys, baseToken: state.token, worker: '', leaseUntil: 0 };
}
