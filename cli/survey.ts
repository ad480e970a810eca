/** Asks everything outside how it is, all at once, and turns what fails into an answer of its own. */

import { type Fault, isFault } from '../shared/model/fault.ts';
import type { Unresolved } from '../shared/model/key-item.ts';
import type { Cloud, SiteId } from '../shared/model/site.ts';
import type { DeadLetter } from '../shared/queue/queue.ts';
import { hasSentinel } from '../shared/replicate/sentinel.ts';
import { inTime } from '../shared/world/in-time.ts';
import type { Timer, World } from '../shared/world/world.ts';
import { LOOK_MS, type Opened } from './world.ts';

/** An answer, or why there is none. */
export type Asked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly fault: Fault };

export interface SiteSurvey {
  readonly id: SiteId;
  readonly cloud: Cloud;
  readonly bucket: string;
  readonly region: string;
  readonly mode: string;
  readonly sentinel: Asked<boolean>;
  readonly tookMs: number;
}

export interface LedgerSurvey {
  readonly epoch: number;
  /** Not finished, whether or not it is time to look again; none above LISTED_MAX is counted. */
  readonly underWay: number;
  readonly overdue: number;
  readonly oldestDueAt: number | null;
}

export interface QueueSurvey {
  readonly site: SiteId;
  /** null: this service does not tell. */
  readonly waiting: number | null;
  readonly inFlight: number | null;
  readonly dead: number | null;
  readonly letters: readonly DeadLetter[];
}

export interface UnresolvedKey extends Unresolved {
  readonly key: string;
}

export const LISTED_MAX = 1_000;
const LETTERS_MAX = 100;
const PAGE = 200;
const FOREVER_MS = 8_640_000_000_000_000;

/** `within`: who takes longer than LOOK_MS does not answer. Stores have that bound themselves. */
export async function ask<T>(
  run: () => Promise<T>,
  within?: { readonly timer: Timer; readonly place: string },
): Promise<Asked<T>> {
  try {
    const { timer, place } = within ?? {};
    return { ok: true, value: await (timer && place ? inTime(timer, LOOK_MS, place, run) : run()) };
  } catch (error) {
    if (!isFault(error)) throw error;
    return { ok: false, fault: error };
  }
}

export async function surveySites({ world }: Opened, now: () => number): Promise<readonly SiteSurvey[]> {
  return Promise.all(
    world.topology.sites.map(async ({ id, cloud, bucket, region, mode }) => {
      const startedAt = now();
      const sentinel = await ask(() => hasSentinel(world, id));
      return { id, cloud, bucket, region, mode, sentinel, tookMs: now() - startedAt };
    }),
  );
}

export async function surveyLedger({ ledger, clock }: World): Promise<LedgerSurvey> {
  const now = clock.now();
  const [epoch, open, overdue] = await Promise.all([
    ledger.epoch(),
    ledger.listDue(FOREVER_MS, LISTED_MAX),
    ledger.listDue(now, LISTED_MAX),
  ]);
  const [oldest] = open;
  const item = oldest === undefined ? null : (await ledger.get(oldest)).item;
  return { epoch, underWay: open.length, overdue: overdue.length, oldestDueAt: item?.due ?? null };
}

export async function surveyQueue({ queues }: Opened, site: SiteId): Promise<QueueSurvey> {
  const queue = queues[site];
  if (queue === undefined) return { site, waiting: null, inFlight: null, dead: null, letters: [] };
  const depth = await orUnsupported(() => queue.depth());
  const letters =
    depth?.dead === 0 ? [] : ((await orUnsupported(() => queue.deadLetters({ limit: LETTERS_MAX }))) ?? []);
  const { waiting = null, inFlight = null, dead = null } = depth ?? {};
  return { site, waiting, inFlight, dead: dead ?? letters.length, letters };
}

async function orUnsupported<T>(run: () => Promise<T>): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    if (isFault(error, 'unsupported')) return null;
    throw error;
  }
}

/** Keys that nobody may decide about, among the first `keysMax`; `all` says whether those were all there are. */
export async function findUnresolved(
  { ledger }: World,
  keysMax: number,
  prefix = '',
): Promise<{ readonly found: readonly UnresolvedKey[]; readonly looked: number; readonly all: boolean }> {
  const found: UnresolvedKey[] = [];
  let looked = 0;
  let after: string | undefined;
  for (;;) {
    const limit = Math.min(PAGE, keysMax - looked + 1);
    const page = await ledger.listKeys({ limit, ...(after === undefined ? {} : { after }) });
    const keys = page.slice(0, keysMax - looked);
    const reads = await Promise.all(
      keys.filter((key) => key.startsWith(prefix)).map((key) => ask(() => ledger.get(key))),
    );
    for (const read of reads) {
      const item = read.ok ? read.value.item : null;
      if (item?.unresolved) found.push({ key: item.key, ...item.unresolved });
    }
    looked += keys.length;
    if (page.length > keys.length) return { found, looked, all: false };
    if (page.length < limit) return { found, looked, all: true };
    after = page.at(-1);
  }
}
