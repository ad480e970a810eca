/** Triplicate in a process of its own: the worker and sweeper of a deployment, with a clock at its buckets and queues. */

import { openSource } from '../../../functions/replicator.ts';
import { startWorker } from '../../../functions/runtime/worker.ts';
import { startSweeper } from '../../../functions/sweeper.ts';
import type { LocalConfig } from '../../../local/config.ts';
import { type LedgerChoice, toLocalSettings } from '../../../local/replication.ts';
import { antiEntropy } from '../../../shared/replicate/anti-entropy.ts';
import { plantSentinel } from '../../../shared/replicate/sentinel.ts';
import type { ObjectStore } from '../../../shared/store/store.ts';
import { openWorld } from '../../../shared/world/open.ts';
import { openSystemTimer } from '../../../shared/world/system.ts';
import { createTable } from '../clients.ts';
import { nowMs, serveParent } from '../serve.ts';

export interface WorkerStart {
  readonly config: LocalConfig;
  readonly ledger: LedgerChoice;
  readonly concurrency?: number;
  /** Left out: all three. */
  readonly sites?: readonly string[];
}

export type Noticed = Readonly<Record<string, number>>;

/** What has happened since `go`. */
export interface Progress {
  /** Whole replicas by site, each acknowledged by its cloud with the checksum of the source. */
  readonly replicas: Readonly<Record<string, number>>;
  readonly received: number;
  readonly underWay: number;
  readonly lastReplicaAt: number;
  /** When anything last happened. */
  readonly lastAt: number;
  readonly reports: readonly string[];
  /** How often Triplicate told people of what, such as `warning site-down azure`. */
  readonly noticed: Noticed;
}

/** Of one key: when its change was read from the queue, and when each site had it. */
export interface Times {
  heardAt: number;
  readonly replicaAt: Record<string, number>;
}

const REPORTS_MAX = 20;

const timer = openSystemTimer();
const times = new Map<string, Times>();
const replicas: Record<string, number> = {};
const reports: string[] = [];
const noticed: Record<string, number> = {};
let lastReplicaAt = 0;
let lastAt = 0;
let go = async () => {};
let progress = () => ({ received: 0, underWay: 0 });
let pass = async (): Promise<unknown> => null;
let stop = async () => {};

function watched(store: ObjectStore): ObjectStore {
  const note = (key: string) => {
    if (key.startsWith('.triplicate/')) return;
    lastReplicaAt = nowMs();
    replicas[store.site] = (replicas[store.site] ?? 0) + 1;
    const known = times.get(key) ?? { heardAt: 0, replicaAt: {} };
    known.replicaAt[store.site] = lastReplicaAt;
    times.set(key, known);
  };
  return {
    ...store,
    async put(key, body, options) {
      const version = await store.put(key, body, options);
      note(key);
      return version;
    },
    async completeUpload(key, upload, receipts) {
      const version = await store.completeUpload(key, upload, receipts);
      note(key);
      return version;
    },
    async copy(source, key, options, progress) {
      const version = await store.copy(source, key, options, progress);
      note(key);
      return version;
    },
  };
}

serveParent(
  {
    async start({ config, ledger, concurrency, sites = ['aws', 'gcp', 'azure'] }: WorkerStart): Promise<void> {
      const report = ({ severity, what, site, key, detail }: Readonly<Record<string, unknown>>) => {
        const kind = [severity, what, site].filter(Boolean).join(' ');
        noticed[kind] = (noticed[kind] ?? 0) + 1;
        if (reports.length < REPORTS_MAX) reports.push([severity, what, site, key, detail].filter(Boolean).join(' | '));
      };
      if (ledger.kind === 'dynamodb') await createTable(config);
      const { topology, queues: addresses, ...others } = toLocalSettings(config, ledger);
      const settings = {
        ...others,
        topology: {
          ...topology,
          sites: topology.sites.filter(({ id }) => sites.includes(id)),
          routes: topology.routes.map((route) => ({ ...route, sites: [...sites] })),
        },
        queues: Object.fromEntries(sites.map((id) => [id, addresses[id] ?? ''])),
        report: (notice: object) => report({ ...notice }),
      };
      const { world: bare, queues, close } = await openWorld(settings);
      for (const { id } of bare.topology.sites) await plantSentinel(bare, id);
      const stores = Object.fromEntries(Object.entries(bare.stores).map(([id, store]) => [id, watched(store)]));
      const world = { ...bare, stores };
      const sources = world.topology.sites.flatMap(({ id, cloud }) => {
        const queue = queues[id];
        if (queue === undefined) return [];
        const source = openSource(cloud, queue, world.topology);
        const read: typeof source.read = (delivery) => {
          const changes = source.read(delivery);
          lastAt = nowMs();
          for (const { key } of changes) if (!times.has(key)) times.set(key, { heardAt: lastAt, replicaAt: {} });
          return changes;
        };
        return [{ queue: source.queue, read }];
      });
      stop = close;
      go = async () => {
        const worker = startWorker(world, sources, { timer, ...(concurrency && { concurrency }) });
        const sweeper = startSweeper(world, { timer, passEveryMs: 0 });
        progress = () => ({ received: worker.state.received, underWay: worker.state.underWay });
        stop = async () => {
          await Promise.all([worker.stop(), sweeper.stop()]);
          await close();
        };
      };
      pass = () => antiEntropy(world);
    },
    go: () => go(),
    pass: () => pass(),
    progress(): Progress {
      const { received, underWay } = progress();
      if (underWay > 0) lastAt = nowMs();
      return { replicas, received, underWay, lastReplicaAt, lastAt: Math.max(lastAt, lastReplicaAt), reports, noticed };
    },
    /** By key, those that begin so. */
    times: (prefix: string): ReadonlyArray<readonly [string, Times]> =>
      [...times].filter(([key]) => key.startsWith(prefix)),
    /** Of the keys that begin so: how many have a replica there. */
    standing: (prefix: string, site: string): number =>
      [...times].filter(([key, { replicaAt }]) => key.startsWith(prefix) && replicaAt[site] !== undefined).length,
    forget: () => times.clear(),
  },
  () => stop(),
);
