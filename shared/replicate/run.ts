/** What one run over one key has learned and not yet recorded. Gone when the run ends: the ledger remembers the rest. */

import type { CustomAnswer, Decision, Seen } from '../decide/decide.ts';
import type { Look } from '../decide/look.ts';
import type { Fault, Retry } from '../model/fault.ts';
import type { Intent } from '../model/key-item.ts';
import type { ObjectVersion } from '../model/object.ts';
import type { SiteId } from '../model/site.ts';
import type { Route } from '../model/topology.ts';
import type { World } from '../world/world.ts';
import type { Whole } from './read.ts';

export interface Answer {
  readonly site: SiteId;
  readonly intent: Intent;
  readonly version: ObjectVersion;
}

export interface Run {
  readonly worker: string;
  readonly key: string;
  readonly route: Route;
  /** Sites to look at in the next round. */
  readonly lookAt: Set<SiteId>;
  /** Answers to writes at sites whose token proves what they replaced. */
  readonly answers: Answer[];
  /** Writes answered at a site where only a look can tell over what. */
  readonly spent: Set<string>;
  /** Writes that have not happened and will not. */
  readonly refused: Set<string>;
  /** Writes that nobody answered. */
  readonly unsure: Set<string>;
  /** The bytes of what stood at a site, from the look that saw it. */
  held: { readonly site: SiteId; readonly whole: Whole } | null;
  readonly gone: Array<{ readonly vid: string; readonly site: SiteId; readonly phys: string }>;
  readonly spoiled: Array<{ readonly site: SiteId; readonly phys: string }>;
  readonly logged: Set<string>;
  readonly kept: Set<string>;
  customAnswer: CustomAnswer | null;
  /** Sites that failed us: looked at again only when told to, not written to in this run. */
  readonly down: Set<SiteId>;
  /** Those of them that may well answer a while later. */
  readonly backSoon: Set<SiteId>;
  /** The sites the change named. */
  readonly named: ReadonlySet<SiteId>;
  /** Those of them that could not be looked at: then the change is not recorded. */
  readonly unanswered: Map<SiteId, Fault>;
  lookedEverywhere: boolean;
  /** null: no message stands behind this run. */
  readonly acknowledge: (() => Promise<void>) | null;
  acknowledged: boolean;
  /** While its message is kept, that brings somebody back to what is left, and the index need not. */
  covered: boolean;
  /** How long a part of a large object has taken at most. */
  partMs: number;
  /** A copy was left unfinished, and whoever comes next goes on with it. */
  outOfTime: boolean;
  /** Only parts are copied, of copies that others have begun. */
  readonly helps?: true;
  /** How often keeping losers or asking a policy may still fail in this run. */
  patience: number;
}

export function openRun(
  world: World,
  key: string,
  route: Route,
  sites: readonly SiteId[],
  acknowledge: (() => Promise<void>) | null,
): Run {
  return {
    worker: world.random.id(),
    key,
    route,
    lookAt: new Set(sites),
    answers: [],
    spent: new Set(),
    refused: new Set(),
    unsure: new Set(),
    held: null,
    gone: [],
    spoiled: [],
    logged: new Set(),
    kept: new Set(),
    customAnswer: null,
    down: new Set(),
    backSoon: new Set(),
    named: new Set(sites),
    unanswered: new Map(),
    lookedEverywhere: false,
    acknowledge,
    acknowledged: false,
    covered: acknowledge !== null,
    partMs: 0,
    outOfTime: false,
    patience: 3,
  };
}

export function seenBy(world: World, run: Run, looks: readonly Look[]): Seen {
  return {
    now: world.clock.now(),
    rules: world.rules,
    topology: world.topology,
    route: run.route,
    worker: run.worker,
    nextWid: () => world.random.id(),
    down: run.down,
    backSoon: run.backSoon,
    looks,
    exactToken: (site) => isExact(world, site),
    spent: run.spent,
    refused: run.refused,
    unsure: run.unsure,
    gone: run.gone,
    spoiled: run.spoiled,
    logged: run.logged,
    kept: run.kept,
    answer: run.customAnswer,
    lookedEverywhere: run.lookedEverywhere,
    covered: run.covered && !run.acknowledged,
  };
}

/** Whether the token of a site proves what a write to it replaced. */
export function isExact(world: World, site: SiteId): boolean {
  return world.stores[site]?.capabilities.exactToken ?? false;
}

/** A site failed us, and may well answer a while later, unless trying again is of no use. */
export function setAside(run: Run, site: SiteId, retry: Retry = 'later'): void {
  run.down.add(site);
  if (retry !== 'never') run.backSoon.add(site);
}

export async function acknowledgeOnce(run: Run): Promise<void> {
  if (run.acknowledged) return;
  run.acknowledged = true;
  await run.acknowledge?.();
}

/**
 * Somebody else has stored the item. Absence may have come and gone since our create-only writes were answered, so their
 * answers no longer say what stands: those sites are looked at.
 */
export function lostRace(run: Run): void {
  const kept = run.answers.filter(({ intent }) => intent.baseToken !== null);
  for (const { site } of run.answers.filter(({ intent }) => intent.baseToken === null)) run.lookAt.add(site);
  run.answers.splice(0, run.answers.length, ...kept);
}

/** What was learned is in the ledger now. */
export function recorded(run: Run): void {
  run.lookAt.clear();
  run.answers.length = 0;
  run.gone.length = 0;
  run.spoiled.length = 0;
}

/** Where the decision wants to look before the next one. */
export function lookNext(run: Run, decision: Decision): void {
  for (const site of decision.look) run.lookAt.add(site);
  if (decision.lookEverywhere) {
    for (const site of run.route.sites) run.lookAt.add(site);
    run.lookedEverywhere = true;
  }
}
