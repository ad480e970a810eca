/** Three local clouds with Triplicate between them and a folder that tells where, as `triplicate local` leaves it. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { ANY_PORTS } from '../../local/config.ts';
import { startReplication, toLocalSettings } from '../../local/replication.ts';
import { type LocalWorld, startLocalWorld } from '../../local/world.ts';
import type { SiteId } from '../../shared/model/site.ts';
import { plantSentinel } from '../../shared/replicate/sentinel.ts';
import type { ObjectStore } from '../../shared/store/store.ts';
import { openWorld } from '../../shared/world/open.ts';
import { type Ran, run } from './cli.ts';

export interface CliWorld {
  readonly folder: string;
  readonly clouds: LocalWorld;
  /** What a client sees of the buckets. */
  readonly stores: Readonly<Record<SiteId, ObjectStore>>;
  run(...args: readonly string[]): Promise<Ran>;
  json<T>(...args: readonly string[]): Promise<T>;
  /** A client's write, as any other program would make it. */
  put(site: SiteId, key: string, text: string): Promise<void>;
  remove(site: SiteId, key: string): Promise<void>;
  read(site: SiteId, key: string): Promise<string | null>;
  /** Waits until the ledger has settled the key. */
  settled(key: string): Promise<void>;
  /** Replication goes on by itself until this is called. */
  pause(): Promise<void>;
  stop(): Promise<void>;
}

// Three clouds start in a second or two; on a machine that has much else to do it takes its time.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const TRIES_MAX = 400;
const TRY_MS = 25;

export async function startCliWorld(options: { readonly replicates?: boolean } = {}): Promise<CliWorld> {
  const { replicates = true } = options;
  const folder = mkdtempSync(join(tmpdir(), 'triplicate-cli-'));
  const state = join(folder, '.triplicate');
  mkdirSync(state);
  const clouds = await startLocalWorld({ ports: ANY_PORTS });
  const ledger = { kind: 'sqlite', folder: state } as const;
  const settings = toLocalSettings(clouds.config, ledger);
  let running: { stop(): Promise<void> } = await (replicates
    ? startReplication(clouds.config, ledger, () => {})
    : joinOnly(settings));
  const config = { ...clouds.config, ledger: settings.ledger };
  writeFileSync(join(state, 'local.json'), JSON.stringify(config));
  const { openStore } = await import('../../shared/store/open.ts');
  const { openSystemClock, openSystemRandom, openSystemTimer } = await import('../../shared/world/system.ts');
  const how = { clock: openSystemClock(), random: openSystemRandom(), timer: openSystemTimer() };
  const opened = await Promise.all(settings.topology.sites.map((site) => openStore(site, settings.access, how)));
  const stores: Record<SiteId, ObjectStore> = Object.fromEntries(opened.map(({ store }) => [store.site, store]));

  async function pause(): Promise<void> {
    await running.stop();
    running = { stop: async () => {} };
  }

  const it: CliWorld = {
    folder,
    clouds,
    stores,
    run: (...args) => run({ folder }, ...args),
    json: async (...args) => JSON.parse((await run({ folder }, ...args, '--json')).stdout),
    async put(site, key, text) {
      const metadata = { headers: { contentType: 'text/plain' }, user: {} };
      await stores[site]?.put(key, new TextEncoder().encode(text), { condition: { kind: 'always' }, metadata });
    },
    async remove(site, key) {
      await stores[site]?.delete(key, { kind: 'always' });
    },
    async read(site, key) {
      const store = stores[site] as ObjectStore;
      const head = await store.head(key);
      if (head === null) return null;
      const chunks: Uint8Array[] = [];
      for await (const chunk of (await store.get(key, head.phys)).body) chunks.push(chunk);
      return Buffer.concat(chunks).toString();
    },
    async settled(key) {
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const { status } = await run({ folder }, 'explain', key);
        if (status === 0) return;
        await new Promise<void>((resolve) => how.timer.after(TRY_MS, resolve));
      }
      throw new Error(`${key} was never settled`);
    },
    pause,
    async stop() {
      await pause();
      for (const { close } of opened) close();
      await clouds.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return it;
}

/** The buckets belong together, and nobody replicates between them. */
async function joinOnly(settings: ReturnType<typeof toLocalSettings>): Promise<{ stop(): Promise<void> }> {
  const { world, close } = await openWorld({ ...settings, queues: {}, report: () => {} });
  for (const { id } of world.topology.sites) await plantSentinel(world, id);
  return { stop: close };
}
