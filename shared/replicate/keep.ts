/** Under keep-both a loser lives on under a name of its own, before its site is written over. */

import type { Decision } from '../decide/decide.ts';
import { emptyItem } from '../decide/draft.ts';
import { SIBLINGS_KEPT_MAX } from '../decide/resolve.ts';
import { type KeyItem, type LogicalVersion, withListing } from '../model/key-item.ts';
import { RESOLVER, type SiteId } from '../model/site.ts';
import type { Route } from '../model/topology.ts';
import { contains, type Dot, dotName } from '../model/version-vector.ts';
import type { World } from '../world/world.ts';
import { routeFor } from './route.ts';
import type { Run } from './run.ts';

const NAMES_TRIED = 4;

type Reconcile = (world: World, key: string, route: Route, sites: readonly SiteId[]) => Promise<unknown>;

export async function keepLosers(
  world: World,
  run: Run,
  { siblings, keep }: Decision,
  reconcile: Reconcile,
): Promise<void> {
  if (siblings > SIBLINGS_KEPT_MAX && run.route.policy.kind !== 'custom') {
    const detail = `${siblings} concurrent versions: resolved by clock, the losers stay in the buckets' histories`;
    world.report({ severity: 'alarm', what: 'siblings', key: run.key, detail });
  }
  for (const loser of keep) {
    if (await keepLoser(world, run, loser, reconcile)) run.kept.add(loser.vid);
    else run.patience -= 1;
  }
}

/** True when the copy stands at enough sites, or did and has been changed or deleted by somebody since. */
async function keepLoser(world: World, run: Run, loser: LogicalVersion, reconcile: Reconcile): Promise<boolean> {
  if (Object.keys(loser.holders).length === 0) return isGone(run);
  const dot: Dot = { s: RESOLVER, n: loser.dot.n };
  const wanted = Math.min(run.route.copiesBeforeSupersede, run.route.sites.length);
  for (let attempt = 1; attempt <= NAMES_TRIED; attempt++) {
    const name = conflictName(run.key, loser, attempt);
    const read = await world.ledger.get(name);
    if (read.item !== null && !knows(read.item, dot)) continue;
    const next =
      read.item === null ? copyItemFor(world, run, name, loser, dot) : withHolders(read.item, run, loser, dot);
    if (next !== null && (await world.ledger.compareAndSet(next, { rev: next.rev, epoch: read.epoch })) !== 'done')
      return false;
    const route = routeFor(world, { key: name, copyOf: { key: run.key, vid: loser.vid } }) ?? run.route;
    await reconcile(world, name, route, route.sites);
    const { item } = await world.ledger.get(name);
    return item !== null && copiesOf(item, dot, run) >= wanted;
  }
  return false;
}

/** Nothing is left to keep once every site was asked: its own bucket's clients or lifecycle destroyed it. */
function isGone(run: Run): boolean {
  if (run.lookedEverywhere) return run.down.size === 0;
  for (const site of run.route.sites) run.lookAt.add(site);
  run.lookedEverywhere = true;
  return false;
}

/** The same name whoever makes it, so that two workers make one copy. */
export function conflictName(key: string, { origin, dot }: LogicalVersion, attempt = 1): string {
  const slash = key.lastIndexOf('/');
  const point = key.lastIndexOf('.');
  const stem = point > slash + 1 ? key.slice(0, point) : key;
  const from = origin.site === RESOLVER ? 'merge' : origin.site;
  const again = attempt > 1 ? `-${attempt}` : '';
  return `${stem}~conflict-${from}-${dot.n}${again}${key.slice(stem.length)}`;
}

function copyItemFor(world: World, run: Run, name: string, loser: LogicalVersion, dot: Dot): KeyItem {
  const vid = dotName(dot);
  const holders = holdersUnder(run, loser);
  const origin = { site: RESOLVER, phys: `copy:${loser.vid}`, cause: 'conflict-copy' } as const;
  const version: LogicalVersion = { ...loser, vid, dot, vv: { [dot.s]: dot.n }, origin, holders };
  const now = world.clock.now();
  return {
    ...emptyItem(name),
    dots: { [dot.s]: dot.n },
    frontier: [vid],
    versions: { [vid]: version },
    copyOf: { key: run.key, vid: loser.vid },
    due: now,
    outbox: [
      {
        key: name,
        id: `version/${vid}`,
        kind: 'resolved',
        at: now,
        vid,
        note: `conflict copy of ${loser.vid} of ${JSON.stringify(run.key)}`,
      },
    ],
  };
}

/** The bytes may have moved since the copy's item was made; null: nothing to add. */
function withHolders(item: KeyItem, run: Run, loser: LogicalVersion, dot: Dot): KeyItem | null {
  const version = item.versions[dotName(dot)];
  if (
    version === undefined ||
    !item.frontier.includes(version.vid) ||
    Object.values(version.holders).some(({ key }) => key === undefined)
  )
    return null;
  const holders = { ...holdersUnder(run, loser), ...version.holders, ...holdersUnder(run, loser) };
  if (JSON.stringify(holders) === JSON.stringify(version.holders)) return null;
  return {
    ...withListing(item),
    versions: { ...item.versions, [version.vid]: { ...version, holders } },
    unresolved: null,
  };
}

function holdersUnder(run: Run, loser: LogicalVersion): LogicalVersion['holders'] {
  return Object.fromEntries(
    Object.entries(loser.holders).map(([site, { phys, key }]) => [site, { phys, key: key ?? run.key }]),
  );
}

function knows(item: KeyItem, dot: Dot): boolean {
  return item.frontier.some((vid) => contains(item.versions[vid]?.vv ?? {}, dot));
}

function copiesOf(item: KeyItem, dot: Dot, run: Run): number {
  const vid = dotName(dot);
  if (!item.frontier.includes(vid)) return Number.POSITIVE_INFINITY;
  return run.route.sites.filter((site) => item.sites[site]?.vid === vid).length;
}
