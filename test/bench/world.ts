/** What every suite stands on: three clouds in processes of their own, a user, and Triplicate or a peer beside them. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LocalConfig } from '../../local/config.ts';
import type { CloudName } from '../../local/faults.ts';
import type { LedgerKind } from '../../local/replication.ts';
import { type Child, openChild } from './child.ts';
import type { Counts } from './counts.ts';
import type { Verdict, Writing, Written } from './processes/load.ts';
import type { Progress } from './processes/worker.ts';
import type { Sample } from './samples.ts';
import { nowMs, type Usage } from './serve.ts';

export interface BenchWorld {
  readonly config: LocalConfig;
  readonly folder: string;
  readonly clouds: Readonly<Record<CloudName, Child>>;
  readonly user: Child;
  write(writing: Writing): Promise<Written>;
  /** Throws when anything is missing or differs in a target. */
  verify(sample: Sample): Promise<void>;
  /** What the clouds were asked since the last time. */
  takeCounts(): Promise<Counts>;
  cloudSeconds(): Promise<number>;
  openWorker(options?: WorkerOptions): Promise<BenchWorker>;
  close(): Promise<void>;
}

export interface WorkerOptions {
  readonly ledger?: LedgerKind;
  readonly concurrency?: number;
  /** Left out: all three. */
  readonly sites?: readonly CloudName[];
  /** Where a CPU profile is left. */
  readonly profiles?: string;
  /** Instead of the world's own, where the way to it is slow. */
  readonly config?: LocalConfig;
}

export interface BenchWorker extends Child {
  go(): Promise<void>;
  progress(): Promise<Progress>;
  /** Until so many whole replicas stand in each of these sites. */
  replicated(sites: readonly string[], objects: number): Promise<Progress>;
  /** How many of the keys that begin so have a replica there. */
  standing(prefix: string, site: string): Promise<number>;
  /** Until nothing has happened for a moment. */
  quiet(): Promise<Progress>;
}

const NAMES: readonly CloudName[] = ['aws', 'gcp', 'azure'];
const LOOK_MS = 20;
const QUIET_MS = 1_000;
const REPLICATED_MS_MAX = 15 * 60_000;

export interface WorldOptions {
  readonly seed: number;
  /** Kept in files: for what memory should not hold. */
  readonly durable?: boolean;
}

export async function openBenchWorld({ seed, durable = false }: WorldOptions): Promise<BenchWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'triplicate-bench-'));
  const children: Child[] = [];
  const open = (name: string, options = {}): Child => {
    const child = openChild(name, options);
    children.push(child);
    return child;
  };
  const close = async () => {
    for (const child of children.splice(0).reverse()) await child.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const clouds = Object.fromEntries(NAMES.map((name) => [name, open('cloud')])) as Record<CloudName, Child>;
    const configs = await Promise.all(
      NAMES.map((name) => clouds[name].ask('start', { name, seed, ...(durable && { folder: join(folder, name) }) })),
    );
    const config = {
      ...Object.fromEntries(NAMES.map((name, index) => [name, configs[index]])),
      control: '',
      dashboard: '',
    } as unknown as LocalConfig;
    const user = open('load');
    await user.ask('start', config);

    return {
      config,
      folder,
      clouds,
      user,
      write: (writing) => user.ask('write', writing),

      async verify(sample) {
        const told = await user.ask<Readonly<Record<string, Verdict>>>('verify', sample);
        for (const [site, { equal, wrong }] of Object.entries(told))
          if (equal !== sample.objects)
            throw new Error(
              `${site}: ${equal} of ${sample.objects} objects are as they should be: ${wrong.join('; ')}`,
            );
      },

      async takeCounts() {
        const all = await Promise.all(NAMES.map((name) => clouds[name].ask<Counts>('takeCounts')));
        return Object.assign({}, ...all) as Counts;
      },

      async cloudSeconds() {
        const all = await Promise.all(NAMES.map((name) => clouds[name].usage()));
        return all.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
      },

      async openWorker({ ledger = 'sqlite', concurrency, sites, profiles, config: way = config } = {}) {
        const execArgv = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}`];
        const child = open('worker', { execArgv });
        await child.ask('start', {
          config: way,
          ledger: { kind: ledger, folder },
          ...(concurrency && { concurrency }),
          ...(sites && { sites }),
        });
        return toWorker(child);
      },

      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function toWorker(child: Child): BenchWorker {
  const progress = () => child.ask<Progress>('progress');

  async function until(what: string, reached: (now: Progress) => boolean): Promise<Progress> {
    const endsAt = nowMs() + REPLICATED_MS_MAX;
    for (;;) {
      const now = await progress();
      if (reached(now)) return now;
      if (nowMs() > endsAt) throw new Error(`not ${what} after ${REPLICATED_MS_MAX} ms: ${JSON.stringify(now)}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  return {
    ...child,
    go: () => child.ask('go'),
    progress,
    standing: (prefix, site) => child.ask('standing', prefix, site),
    replicated: (sites, objects) =>
      until('replicated', ({ replicas }) => sites.every((site) => (replicas[site] ?? 0) >= objects)),
    quiet: () => until('quiet', ({ underWay, lastAt }) => underWay === 0 && nowMs() - lastAt > QUIET_MS),
  };
}

export function usedSince(before: Usage, after: Usage): number {
  return after.cpuSeconds - before.cpuSeconds;
}
