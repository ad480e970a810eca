/** Three local clouds with Triplicate between them, and a program at work in each. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KeyItem } from '#shared/model/key-item.ts';
import type { LogEntry } from '#shared/model/log-entry.ts';
import { DEFAULT_LIMITS, type Limits, type Route, type Topology } from '#shared/model/topology.ts';
import { plantSentinel } from '#shared/replicate/sentinel.ts';
import { type OpenWorld, openWorld } from '#shared/world/open.ts';
import { openSystemTimer } from '#shared/world/system.ts';
import type { Notice, World } from '#shared/world/world.ts';
import { openSource } from '../../functions/replicator.ts';
import { startWorker } from '../../functions/runtime/worker.ts';
import { pass, startSweeper } from '../../functions/sweeper.ts';
import { ANY_PORTS, type LocalConfig } from '../../local/config.ts';
import { type LedgerKind, toLocalSettings } from '../../local/replication.ts';
import { type LocalWorld, startLocalWorld } from '../../local/world.ts';
import { type App, SITES, type SiteName } from './apps/app.ts';
import { type AwsApp, openAwsApp } from './apps/aws.ts';
import { openAzureApp } from './apps/azure.ts';
import { openGcpApp } from './apps/gcp.ts';
import { complaints, differences } from './compare.ts';
import { until } from './wait.ts';

export interface SceneOptions {
  readonly ledger?: LedgerKind;
  /** Left out: everything goes everywhere, and conflicts keep both. */
  readonly routes?: ReadonlyArray<Partial<Route>>;
  readonly limits?: Partial<Limits>;
  /** How long a message that a dead worker had taken is hidden from the others. */
  readonly visibilityMs?: number;
}

export interface Apps extends Readonly<Record<SiteName, App>> {
  readonly aws: AwsApp;
}

export interface Scene {
  readonly clouds: LocalWorld;
  readonly apps: Apps;
  readonly world: World;
  readonly notices: Notice[];
  item(key: string): Promise<KeyItem | null>;
  log(key: string): Promise<readonly LogEntry[]>;
  /** Compares everything, as happens once an hour. */
  pass(): Promise<void>;
  /** Nothing is heard of what happens from now on, until that is called. */
  holdBack(): () => void;
  /** Waits until the ledger has seen all that stands in the buckets, and has nothing left to do; then all buckets are the same. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

export interface Replication {
  readonly world: World;
  stop(): Promise<void>;
}

const SWEEP_EVERY_MS = 250;
const GRACE_MS = 2_000;

export async function openScene(options: SceneOptions = {}): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'triplicate-e2e-'));
  const clouds = await startLocalWorld({ ports: ANY_PORTS });
  const notices: Notice[] = [];
  const { world, stop } = await startReplication(clouds.config, folder, options, (notice) => notices.push(notice));
  const apps = openApps(clouds.config);
  const known = new Map<string, string>();
  return {
    clouds,
    apps,
    world,
    notices,
    item: async (key) => (await world.ledger.get(key)).item,
    log: (key) => world.ledger.readLog(key),
    pass: () => pass(world),
    holdBack() {
      const late = { kind: 'even', min: 3_600_000, max: 3_600_000 } as const;
      const { id } = clouds.faults.add({ effect: { kind: 'delivery', ms: late, twice: 0, never: 0 } });
      return () => void clouds.faults.remove(id);
    },
    async settled() {
      await until('everything is settled', () => complaints(apps, world));
      await until('all buckets hold the same', () => differences(apps, world, known), { waitMs: 0 });
    },
    async stop() {
      for (const site of SITES) apps[site].close();
      await stop();
      await clouds.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function openApps(config: LocalConfig): Apps {
  return { aws: openAwsApp(config), gcp: openGcpApp(config), azure: openAzureApp(config) };
}

/** As the local world has it, but with another topology, and in more of a hurry. */
export async function startReplication(
  config: LocalConfig,
  folder: string,
  options: SceneOptions,
  report: (notice: Notice) => void,
): Promise<Replication> {
  const { world, queues, close } = await openReplication(config, folder, options, report);
  const { topology } = world;
  const timer = openSystemTimer();
  for (const { id } of topology.sites) await plantSentinel(world, id);
  const sources = topology.sites.map(({ id, cloud }) => {
    const queue = queues[id];
    if (queue === undefined) throw new Error(`${id} has no queue`);
    return openSource(cloud, queue, topology);
  });
  const { visibilityMs = 30_000 } = options;
  const worker = startWorker(world, sources, { timer, waitMs: 500, visibilityMs });
  const sweeper = startSweeper(world, { timer, sweepEveryMs: SWEEP_EVERY_MS, passEveryMs: 0 });
  return {
    world,
    async stop() {
      await Promise.all([worker.stop(GRACE_MS), sweeper.stop()]);
      await close();
    },
  };
}

/** The same, and nobody who works in it. */
export function openReplication(
  config: LocalConfig,
  folder: string,
  { ledger = 'memory', routes = [{}], limits = {} }: SceneOptions,
  report: (notice: Notice) => void,
): Promise<OpenWorld> {
  const settings = toLocalSettings(config, { kind: ledger, folder });
  const [everywhere] = settings.topology.routes;
  const topology: Topology = {
    ...settings.topology,
    routes: routes.map((it) => ({ ...(everywhere as Route), ...it })),
    limits: { ...DEFAULT_LIMITS, ...limits },
  };
  return openWorld({ ...settings, topology, report });
}
