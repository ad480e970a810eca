/** The life of one change: look at the ledger, look at the buckets, decide, record, write, until nothing is left to do. */

import { type Decision, decide } from '../decide/decide.ts';
import { type Look, sitesToLookAt } from '../decide/look.ts';
import type { LedgerRead, Swap } from '../ledger/ledger.ts';
import { isFault } from '../model/fault.ts';
import { type KeyItem, withListing } from '../model/key-item.ts';
import { isReserved } from '../model/key-map.ts';
import { isToldBy, type ObjectChange } from '../model/object-change.ts';
import type { Outcome } from '../model/outcome.ts';
import type { SiteId } from '../model/site.ts';
import type { Route } from '../model/topology.ts';
import type { World } from '../world/world.ts';
import { askPolicy } from './ask.ts';
import { help } from './help.ts';
import { keepLosers } from './keep.ts';
import { observe } from './observe.ts';
import { flushLog } from './outbox.ts';
import { reportLeftOut, routeFor } from './route.ts';
import { acknowledgeOnce, lookNext, lostRace, openRun, type Run, recorded, seenBy } from './run.ts';
import { write } from './write.ts';

/** Enough for every site to surprise us twice; what is still open then is due in the ledger. */
const ROUNDS_MAX = 12;

/**
 * One notification. `acknowledge` is called once what it told is durable and the message is not needed any more to bring
 * somebody back to the key; the work may go on after that.
 */
export async function replicate(
  world: World,
  change: ObjectChange,
  acknowledge: () => Promise<void>,
): Promise<Outcome> {
  if (isReserved(change.key)) return skip('reserved', acknowledge);
  const read = await world.ledger.get(change.key);
  const route = routeFor(world, read.item ?? { key: change.key, copyOf: null });
  if (route === null || !route.sites.includes(change.site)) return skip('not-routed', acknowledge);
  const state = read.item?.sites[change.site];
  const { kind, phys: told } = change;
  const known = kind === 'put' && told !== undefined && state?.seen.some((phys) => isToldBy(told, phys));
  if (known && read.item?.due === null) return skip('already-known', acknowledge);
  reportLeftOut(world, change.key, route);
  const outcome = await reconcile(world, change.key, route, [change.site], acknowledge, read).catch(async (error) => {
    if (isFault(error) && error.retry === 'never') await listLeft(world, change.key);
    throw error;
  });
  return outcome.kind === 'later' && outcome.reason === 'under-way'
    ? helped(world, change.key, route, outcome)
    : outcome;
}

/** The message is about to be put aside: the sweep must find what it leaves. */
async function listLeft({ ledger }: World, key: string): Promise<void> {
  try {
    const { item, epoch } = await ledger.get(key);
    if (!item?.unlisted) return;
    await ledger.compareAndSet(withListing(item), { rev: item.rev, epoch });
  } catch (error) {
    // A pass finds it.
    if (!isFault(error)) throw error;
  }
}

/** Others are writing it: of a large object parts can be copied meanwhile. */
async function helped(world: World, key: string, route: Route, outcome: Outcome): Promise<Outcome> {
  const came = await help(world, key, route);
  if (came === 'out-of-time') return { kind: 'later', reason: 'out-of-time' };
  // Who began it may have left the rest to us.
  return came === 'filled' ? reconcile(world, key, route, []) : outcome;
}

/** Safe to call at any time, for any reason, by any number of workers at once. */
export async function reconcile(
  world: World,
  key: string,
  route: Route,
  sites: readonly SiteId[],
  acknowledge: (() => Promise<void>) | null = null,
  first?: LedgerRead,
  spoiled: Run['spoiled'] = [],
): Promise<Outcome> {
  const run = openRun(world, key, route, sites, acknowledge);
  run.spoiled.push(...spoiled);
  if (!world.rules['ack-when-durable']) await acknowledgeOnce(run);
  let read = first ?? (await world.ledger.get(key));
  let looks: readonly Look[] | null = null;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    // What the last one leaves must be found by others.
    if (round === ROUNDS_MAX - 1) run.covered = false;
    const now = world.clock.now();
    if (looks === null || world.rules['ledger-first'])
      looks = await observe(world, run, sitesToLookAt(read.item, run.lookAt, run.worker, now), read);
    const decision = decide(read.item, key, seenBy(world, run, looks));
    const stored = decision.changed ? await store(world, decision, read) : 'done';
    if (stored !== 'done') {
      lostRace(run);
      read = await world.ledger.get(key);
      continue;
    }
    recorded(run);
    if (decision.changed) publishReplicated(world, run, read.item, decision);
    // Copies wait for neither. Deletes do: their traces stand before anything is gone.
    const copies = decision.winner?.kind === 'object' && decision.writes.length > 0;
    await allDone([
      mayAcknowledge(world, run, decision) ? acknowledgeOnce(run) : null,
      flushLog(world, run, decision.item),
      copies ? write(world, run, decision) : null,
    ]);
    if (isIdle(run, decision)) {
      if (!decision.item.unlisted) return ending(run, decision);
      // One more round: it ends without being done, so the index has to know of it.
      run.covered = false;
    } else {
      await keepLosers(world, run, decision, reconcile);
      await askPolicy(world, run, decision);
      if (!copies) await write(world, run, decision);
    }
    lookNext(run, decision);
    if (decision.changed) read = { item: { ...decision.item, rev: decision.item.rev + 1 }, epoch: read.epoch };
    looks = null;
  }
  return unanswered(run) ?? { kind: 'later', reason: 'contended' };
}

/** What the message told is in the ledger, and nobody needs the message to be brought back to the key. */
function mayAcknowledge({ rules }: World, { unanswered: faults }: Run, { item }: Decision): boolean {
  return faults.size === 0 && (!item.unlisted || !rules['listed-before-ack']);
}

/** What fails is told when nothing of it is under way any more. */
async function allDone(tasks: readonly (Promise<void> | null)[]): Promise<void> {
  for (const end of await Promise.allSettled(tasks)) if (end.status === 'rejected') throw end.reason;
}

async function skip(
  reason: Extract<Outcome, { kind: 'skipped' }>['reason'],
  acknowledge: () => Promise<void>,
): Promise<Outcome> {
  await acknowledge();
  return { kind: 'skipped', reason };
}

function store(world: World, { item }: Decision, { epoch }: LedgerRead): Promise<Swap> {
  return world.ledger.compareAndSet(world.rules['intent-first'] ? item : withoutIntents(item), {
    rev: item.rev,
    epoch,
  });
}

/** Once for each version that comes to stand everywhere: the decision that leaves nothing due. */
function publishReplicated(world: World, run: Run, before: KeyItem | null, { item, winner }: Decision): void {
  if (world.publish === undefined || winner === null || item.due !== null) return;
  if (before !== null && before.due === null && before.frontier.join() === item.frontier.join()) return;
  const sites = run.route.sites.filter((site) => item.sites[site]?.vid === winner.vid && !item.sites[site]?.evicted);
  world.publish({ kind: 'replicated', at: world.clock.now(), key: run.key, version: winner, sites });
}

function isIdle(run: Run, { writes, look, lookEverywhere, keep, ask, item }: Decision): boolean {
  const asked = (keep.length > 0 || ask !== null) && run.patience > 0;
  const unlogged = item.outbox.some((entry) => run.logged.has(entry.id));
  return writes.length === 0 && look.length === 0 && !lookEverywhere && !asked && !unlogged;
}

function ending(run: Run, { settled, item }: Decision): Outcome {
  const missing = unanswered(run);
  if (missing !== null) return missing;
  if (settled && item.outbox.length === 0) return { kind: 'done' };
  if (run.outOfTime) return { kind: 'later', reason: 'out-of-time' };
  return { kind: 'later', reason: run.down.size > 0 ? 'site-down' : 'under-way' };
}

/** A site the change named could not be looked at: whatever else was done, the change must come again. */
function unanswered({ unanswered: faults }: Run): Outcome | null {
  for (const fault of faults.values()) return { kind: 'retry', fault };
  return null;
}

/** What the rule intent-first forbids. */
function withoutIntents(item: KeyItem): KeyItem {
  return {
    ...item,
    sites: Object.fromEntries(Object.entries(item.sites).map(([site, state]) => [site, { ...state, intents: [] }])),
  };
}
