/** One decision about one key: what was seen, what it means, who wins, what to write. Pure, and the only way an item changes. */

import { type Intent, type KeyItem, type LogicalVersion, listedAt } from '../model/key-item.ts';
import { RESOLVER, type SiteId } from '../model/site.ts';
import { siteOf } from '../model/topology.ts';
import { dotName, join, type VersionVector } from '../model/version-vector.ts';
import { classify } from './classify.ts';
import { addVersion, copyItem, emptyItem, nextDot, prune, remember, settleFrontier, stateOf } from './draft.ts';
import type { Look } from './look.ts';
import { type Plan, type Planning, plan } from './plan.ts';
import { type Resolution, resolve } from './resolve.ts';

/** What a custom policy said about these siblings. Merged bytes already stand where `holders` says. */
export type CustomAnswer = { readonly siblings: readonly string[] } & (
  | { readonly kind: 'pick'; readonly vid: string }
  | {
      readonly kind: 'merge';
      readonly content: Pick<LogicalVersion, 'sizeBytes' | 'crc32c' | 'crc64nvme' | 'metaDigest' | 'holders'>;
    }
  | { readonly kind: 'defer'; readonly reason: string }
);

const RETRY_FIRST_MS = 5_000;
const UNANSWERED_MAX = 3;

export interface Seen extends Omit<Planning, 'justLooked'> {
  readonly looks: readonly Look[];
  readonly exactToken: (site: SiteId) => boolean;
  /** Writes of ours that cannot happen any more, whether they did or not. */
  readonly spent: ReadonlySet<string>;
  /** Writes of ours that were refused, or never made: they did not happen and will not. */
  readonly refused: ReadonlySet<string>;
  /** Sites that failed in this run, and may well answer a while later. */
  readonly backSoon: ReadonlySet<SiteId>;
  /** Writes of ours that nobody answered and nobody waits for any more: they may have happened, or still may. */
  readonly unsure: ReadonlySet<string>;
  /** Holders that turned out not to have the bytes. */
  readonly gone: ReadonlyArray<{ readonly vid: string; readonly site: SiteId; readonly phys: string }>;
  /** What stands at these sites is not what it should be: unreadable, cut short or tampered with. */
  readonly spoiled: ReadonlyArray<{ readonly site: SiteId; readonly phys: string }>;
  /** Log entries that are in the log by now. */
  readonly logged: ReadonlySet<string>;
  /** Losers whose bytes stand under a name of their own at enough sites. */
  readonly kept: ReadonlySet<string>;
  readonly answer: CustomAnswer | null;
  readonly lookedEverywhere: boolean;
  /** Should this worker die, a message that it still keeps brings another one to the key. */
  readonly covered: boolean;
}

export interface Decision {
  readonly item: KeyItem;
  readonly changed: boolean;
  readonly winner: LogicalVersion | null;
  /** Concurrent versions before the policy had its say. */
  readonly siblings: number;
  /** Writes to make now. */
  readonly writes: Plan['intents'];
  /** Sites to look at before deciding again. */
  readonly look: readonly SiteId[];
  readonly lookEverywhere: boolean;
  /** Losers to keep under a name of their own before deciding again. */
  readonly keep: readonly LogicalVersion[];
  /** A custom policy to ask before deciding again. */
  readonly ask: Extract<Resolution, { kind: 'ask' }> | null;
  readonly settled: boolean;
}

export function decide(before: KeyItem | null, key: string, seen: Seen): Decision {
  const item = before === null ? emptyItem(key) : copyItem(before);
  if (seen.rules['outbox-kept']) item.outbox = item.outbox.filter((entry) => !seen.logged.has(entry.id));
  const logBefore = item.outbox.length;
  observe(item, seen);
  settleFrontier(item);
  const siblings = item.frontier.length;
  const resolution = settle(item, seen);
  const winner = resolution?.kind === 'winner' ? resolution.winner : null;
  const planned = winner === null ? NOTHING : planFor(item, winner, seen);
  prune(item);
  if (!seen.rules['outbox-kept']) item.outbox = item.outbox.slice(0, logBefore);

  const keep = resolution?.kind === 'winner-in-waiting' ? resolution.keep : [];
  const ask = resolution?.kind === 'ask' ? resolution : null;
  const settled = planned.behind.length === 0 && keep.length === 0 && ask === null;
  item.due = settled && item.outbox.length === 0 ? null : dueAt(item, planned, seen);
  // Settled and due: nothing but the log is waited for.
  const goesOn =
    settled || planned.intents.length + planned.look.length + keep.length > 0 || planned.lookEverywhere || ask !== null;
  const unlisted = item.due !== null && seen.covered && goesOn && !isListed(before);
  if (unlisted && isQuick(winner, keep, seen)) item.unlisted = true;
  else delete item.unlisted;
  noteTombstone(item, settled, winner, seen.now);
  return {
    item,
    changed:
      before === null
        ? item.frontier.length > 0 || item.outbox.length > 0
        : JSON.stringify(item) !== JSON.stringify(before),
    winner,
    siblings,
    writes: planned.intents,
    look: planned.look,
    lookEverywhere: planned.lookEverywhere,
    keep,
    ask,
    settled,
  };
}

/** Once it is in the index it stays there until it is done: to take it out and put it back would cost two writes more. */
function isListed(before: KeyItem | null): boolean {
  return before !== null && listedAt(before) !== null;
}

/** Large objects take long, and others help with them: no message is kept for all that time. */
function isQuick(winner: LogicalVersion | null, keep: readonly LogicalVersion[], { topology }: Seen): boolean {
  const copied = winner === null ? keep : [winner, ...keep];
  return copied.every(({ sizeBytes }) => sizeBytes <= topology.limits.stageOverBytes);
}

const NOTHING: Plan & { readonly lookEverywhere: boolean } = {
  intents: [],
  look: [],
  behind: [],
  lookEverywhere: false,
};

function observe(item: KeyItem, seen: Seen): void {
  for (const { vid, site, phys } of seen.gone) {
    const holder = item.versions[vid]?.holders[site];
    if (holder?.phys === phys) delete item.versions[vid]?.holders[site];
  }
  for (const { site, phys } of seen.spoiled) spoil(item, site, phys);
  for (const look of seen.looks) {
    const site = siteOf(seen.topology, look.site);
    const { now, rules, topology } = seen;
    classify(item, look, {
      now,
      rules,
      site,
      exactToken: seen.exactToken(look.site),
      tombstoneGraceMs: topology.limits.tombstoneGraceMs,
    });
    // Only now: what such a write did before it was spent has just been seen.
    const state = stateOf(item, look.site);
    state.intents = state.intents.filter((intent) => !seen.spent.has(intent.wid));
  }
  for (const state of Object.values(item.sites)) {
    state.intents = state.intents
      .filter(({ wid }) => !seen.refused.has(wid))
      .map((intent) => (seen.unsure.has(intent.wid) ? handedBack(intent, seen.now) : intent));
  }
}

/** Whoever comes next need not wait for the end of the lease; it looks first whether the write has happened. */
function handedBack(intent: Intent, now: number): Intent {
  return intent.leaseUntil <= now ? intent : { ...intent, leaseUntil: now };
}

/** As if nothing we know of stood there; whatever is written over it still names what does. */
function spoil(item: KeyItem, site: SiteId, phys: string): void {
  const state = stateOf(item, site);
  if (state.phys !== phys) return;
  for (const version of Object.values(item.versions)) {
    const holder = version.holders[site];
    if (holder?.phys === phys && holder.key === undefined) delete version.holders[site];
  }
  state.vid = null;
  state.wid = null;
}

type Settled = Resolution | { readonly kind: 'winner-in-waiting'; readonly keep: readonly LogicalVersion[] } | null;

/** Brings the frontier down to one version where the policy allows; null: nothing is known, or nobody may decide. */
function settle(item: KeyItem, seen: Seen): Settled {
  if (item.unresolved?.siblings.join() !== item.frontier.join()) item.unresolved = null;
  if (item.frontier.length === 0) return null;
  const siblings = item.frontier.map((vid) => item.versions[vid] as LogicalVersion);
  if (siblings.length === 1)
    return { kind: 'winner', winner: siblings[0] as LogicalVersion, keep: [], uncertain: false };
  if (item.unresolved !== null) return null;

  const { policy, deletes } = seen.route;
  const policies = {
    policy: item.copyOf === null ? policy : ({ kind: 'lww' } as const),
    deletes,
    skewBoundMs: seen.topology.limits.skewBoundMs,
  };
  const resolution = resolve(siblings, policies, seen.rules);
  if (resolution.kind === 'ask') return answered(item, resolution, siblings, seen);
  const waiting = resolution.keep.filter((loser) => seen.rules['keep-losers'] && !seen.kept.has(loser.vid));
  if (waiting.length > 0) return { kind: 'winner-in-waiting', keep: waiting };
  supersede(
    item,
    siblings,
    resolution.winner,
    `${policies.policy.kind}, ${deletes}${resolution.uncertain ? ', uncertain' : ''}`,
    seen,
  );
  return resolution;
}

function answered(
  item: KeyItem,
  ask: Extract<Resolution, { kind: 'ask' }>,
  siblings: readonly LogicalVersion[],
  seen: Seen,
): Settled {
  const { answer } = seen;
  if (answer === null || answer.siblings.join() !== ask.siblings.map(({ vid }) => vid).join()) return ask;
  if (answer.kind === 'defer') {
    leaveUnresolved(item, answer.reason, seen);
    return null;
  }
  const winner =
    answer.kind === 'pick'
      ? siblings.find(({ vid }) => vid === answer.vid)
      : merged(item, answer.content, siblings, seen);
  if (winner === undefined) return ask;
  supersede(item, siblings, winner, `custom ${ask.name}: ${answer.kind}`, seen);
  return { kind: 'winner', winner, keep: [], uncertain: false };
}

function merged(
  item: KeyItem,
  content: Extract<CustomAnswer, { kind: 'merge' }>['content'],
  siblings: readonly LogicalVersion[],
  seen: Seen,
): LogicalVersion {
  const dot = nextDot(item, RESOLVER, seen);
  const { sizeBytes, crc32c, crc64nvme, metaDigest, holders } = content;
  const newest = Math.max(...siblings.map(({ hlc }) => hlc.ms));
  const version = { phys: `merge:${dotName(dot)}`, modifiedAt: newest, sizeBytes, checksums: { crc32c, crc64nvme } };
  return addVersion(item, seen, {
    dot,
    past: siblings,
    cause: 'merge',
    site: RESOLVER,
    kind: 'object',
    seen: { metaDigest, version },
    holders: { ...holders },
  });
}

/** The losers enter the winner's past, each with one line in the log. */
function supersede(
  item: KeyItem,
  siblings: readonly LogicalVersion[],
  winner: LogicalVersion,
  how: string,
  seen: Seen,
): void {
  winner.vv = siblings.reduce<VersionVector>((sum, { vv }) => join(sum, vv), winner.vv);
  for (const loser of siblings) {
    if (loser.vid !== winner.vid)
      remember(item, seen, {
        id: `superseded/${loser.vid}`,
        kind: 'superseded',
        vid: loser.vid,
        by: winner.vid,
        note: how,
      });
  }
  item.frontier = [winner.vid];
}

function planFor(item: KeyItem, winner: LogicalVersion, seen: Seen): Plan & { readonly lookEverywhere: boolean } {
  const unreadable = winner.kind === 'object' && Object.keys(winner.holders).length === 0;
  if (!unreadable) {
    item.unresolved = null;
    const justLooked = new Set(seen.looks.map(({ site }) => site));
    return { ...plan(item, winner, { ...seen, justLooked }), lookEverywhere: false };
  }
  if (!seen.lookedEverywhere) return { ...NOTHING, behind: [...seen.route.sites], lookEverywhere: true };
  if (item.unresolved === null) leaveUnresolved(item, `no site has the bytes of ${winner.vid} any more`, seen);
  return NOTHING;
}

function leaveUnresolved(item: KeyItem, reason: string, seen: Seen): void {
  item.unresolved = { reason, since: seen.now, siblings: [...item.frontier] };
  remember(item, seen, { id: `unresolved/${item.frontier.join()}`, kind: 'unresolved', note: reason });
}

/**
 * A worker at work is given its lease. What only waits for a site is tried again: soon while it is new, then ever less
 * often; but not where writes go unanswered time and again, since a site takes only so many of them.
 */
function dueAt(item: KeyItem, { intents, behind }: Plan, { now, topology, backSoon }: Seen): number {
  const { leaseMs } = topology.limits;
  const known = item.due !== null && item.due > now ? item.due : now + leaseMs;
  const waiting = behind.some((site) => backSoon.has(site) && stateOf(item, site).intents.length < UNANSWERED_MAX);
  if (intents.length > 0 || !waiting) return known;
  const newest = Math.max(...item.frontier.map((vid) => item.versions[vid]?.hlc.ms ?? 0));
  return Math.min(known, now + Math.min(leaseMs, Math.max(RETRY_FIRST_MS, Math.floor((now - newest) / 2))));
}

function noteTombstone(item: KeyItem, settled: boolean, winner: LogicalVersion | null, now: number): void {
  const gone = settled && winner?.kind === 'tombstone';
  if (!gone) item.tombstoneAt = null;
  else item.tombstoneAt ??= now;
}
