/** Opens a world as a running program has it: buckets, ledger and queues of real services, the real clock and chance. */

import { everyRule } from '../decide/rules.ts';
import { type LedgerAccess, openLedger } from '../ledger/open.ts';
import { type Fault, isFault } from '../model/fault.ts';
import type { Publish } from '../model/happening.ts';
import type { MacKeys } from '../model/marker.ts';
import { type ObjectChange, toObjectChangeText } from '../model/object-change.ts';
import type { Site, SiteId } from '../model/site.ts';
import type { Topology } from '../model/topology.ts';
import { openMemoryQueue } from '../queue/memory.ts';
import { openQueue, type QueueAccess } from '../queue/open.ts';
import type { Queue } from '../queue/queue.ts';
import { openDownStore } from '../store/down.ts';
import { type DeadlineLimits, withDeadline } from '../store/layers/deadline.ts';
import { openStore, type StoreAccess } from '../store/open.ts';
import { checkStores } from './check.ts';
import { inTime } from './in-time.ts';
import { openCollector, openSystemClock, openSystemRandom, openSystemTimer, soon } from './system.ts';
import type { CustomResolver, Notice, World } from './world.ts';

/** How to reach the clouds, where that is not what their SDKs find by themselves. */
export type Access = StoreAccess & LedgerAccess & QueueAccess;

export interface Settings {
  readonly topology: Topology;
  readonly access: Access;
  /** As shared/ledger/open.ts reads it. */
  readonly ledger: string;
  /** Where each site's notifications arrive, as shared/queue/open.ts reads it. */
  readonly queues: Readonly<Record<SiteId, string>>;
  readonly macKeys: MacKeys;
  readonly resolvers?: Readonly<Record<string, CustomResolver>>;
  readonly report: (notice: Notice) => void;
  /** Told of everything that happens, notices included; left out: nobody listens. */
  readonly publish?: Publish;
  /** Told of a site that cannot be opened, which then answers nothing; left out: then nothing is opened. */
  readonly onSiteDown?: (site: SiteId, fault: Fault) => void;
  /** For who only looks, and in a hurry: a site that takes longer for one call does not answer. Left out: all is waited for. */
  readonly lookMs?: number;
}

export interface OpenWorld {
  readonly world: World;
  readonly queues: Readonly<Record<SiteId, Queue>>;
  close(): Promise<void>;
}

/** Every bucket is asked for its properties. What has been opened is closed again when something could not be. */
export async function openWorld(settings: Settings): Promise<OpenWorld> {
  const { topology, access, macKeys, resolvers = {}, publish, lookMs } = settings;
  const clock = openSystemClock();
  const random = openSystemRandom();
  const timer = openSystemTimer();
  const arrived = openCollector();
  const open: Array<() => unknown> = [];
  const close = async () => {
    const closed = await Promise.allSettled(open.splice(0).map(async (each) => each()));
    for (const it of closed) if (it.status === 'rejected') throw it.reason;
  };
  try {
    const stores = await all(
      topology.sites.map(({ id }) => id),
      async (id, index) => {
        const site = topology.sites[index] as Site;
        try {
          // Who only looks writes no replicas, and of its probes people want to hear.
          const writer = lookMs === undefined ? topology.namespace : undefined;
          const opening = openStore(site, access, { clock, random, timer, arrived }, writer).then((opened) => {
            open.push(opened.close);
            return opened.store;
          });
          if (lookMs === undefined) return await opening;
          return withDeadline(await inTime(timer, lookMs, `site ${id}`, () => opening), {
            timer,
            limitsMs: eachAt(lookMs),
          });
        } catch (error) {
          if (settings.onSiteDown === undefined || !isFault(error)) throw error;
          settings.onSiteDown(id, error);
          return openDownStore(id, site.cloud, error);
        }
      },
    );
    checkStores(topology, stores);
    const ledger = await openLedger(settings.ledger, access, soon);
    open.push(() => ledger.close());
    const queues = await all(Object.keys(settings.queues), async (site) => {
      const queue = await openQueue(settings.queues[site] as string, access, () => clock.now());
      open.push(() => queue.close());
      return queue;
    });
    const queue = openMemoryQueue({ now: () => clock.now() });
    const ask = async (change: ObjectChange) => queues[change.site]?.send(toObjectChangeText(change));
    const world: World = {
      topology,
      stores,
      ledger,
      queue,
      clock,
      random,
      macKeys,
      resolvers,
      rules: everyRule,
      report: (notice) => {
        settings.report(notice);
        publish?.({ kind: 'noticed', at: clock.now(), notice });
      },
      ask,
      ...(publish === undefined ? {} : { publish }),
    };
    return { world, queues, close };
  } catch (error) {
    await close().catch(() => {});
    throw error;
  }
}

function eachAt(ms: number): Partial<DeadlineLimits> {
  return { head: ms, versions: ms, get: ms, stall: ms, list: ms, put: ms, delete: ms };
}

async function all<T>(
  names: readonly string[],
  make: (name: string, index: number) => Promise<T>,
): Promise<Readonly<Record<string, T>>> {
  const made = await Promise.allSettled(names.map(make));
  return Object.fromEntries(
    made.map((it, index) => {
      if (it.status === 'rejected') throw it.reason;
      return [names[index] as string, it.value];
    }),
  );
}
