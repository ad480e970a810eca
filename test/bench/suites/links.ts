/** Longer ways to the clouds, lost packets, and a cloud that is away for a while. */

import type { LocalConfig } from '../../../local/config.ts';
import { type Child, openChild } from '../child.ts';
import { rcloneCopy, rcloneVersion } from '../rclone.ts';
import type { Figure, SuiteResult } from '../result.ts';
import { said } from '../said.ts';
import type { Sample } from '../samples.ts';
import { PEERS, WRITES_AT_ONCE } from '../scales.ts';
import { nowMs } from '../serve.ts';
import type { Context } from '../suites.ts';
import { type BenchWorld, openBenchWorld } from '../world.ts';

interface Measured {
  readonly name: string;
  readonly triplicate: number;
  readonly rclone: number | null;
}

interface Drain {
  readonly waiting: number;
  readonly outageSeconds: number;
  readonly drainSeconds: number;
}

const SIZE_BYTES = 4 * 1024;
const OBJECTS_MAX = 500;
const LOSS = 0.01;
const LOSS_MS = 30;
const OUTAGE_RATE = 30;
const TARGETS = ['gcp', 'azure'] as const;

export async function links(context: Context): Promise<SuiteResult> {
  const { scale, say } = context;
  const rclone = await rcloneVersion();
  const ways = [
    ...scale.linkMs.map((ms) => ({ name: `${ms} ms`, ms, loss: 0 })),
    { name: `${LOSS_MS} ms, ${LOSS * 100} % lost`, ms: LOSS_MS, loss: LOSS },
  ];
  const measured: Measured[] = [];
  for (const { name, ...way } of ways) {
    const triplicate = await through(way, context, byTriplicate);
    const peer = rclone === null ? null : await through(way, context, byRclone);
    measured.push({ name, triplicate, rclone: peer });
    say(`links: ${name}: ${triplicate.toFixed(0)} objects/s, rclone ${peer?.toFixed(0) ?? 'not run'}`);
  }
  const drain = await drainAfterOutage(context);
  say(`links: ${drain.waiting} changes waited, worked off in ${drain.drainSeconds.toFixed(1)} s`);
  return toResult(Math.min(OBJECTS_MAX, scale.objects), measured, drain, rclone);
}

type Way = { readonly ms: number; readonly loss: number };
type Runner = (world: BenchWorld, config: LocalConfig, sample: Sample) => Promise<number>;

/** Objects a second, to both targets. */
async function through(way: Way, { scale, seed }: Context, run: Runner): Promise<number> {
  const objects = Math.min(OBJECTS_MAX, scale.objects);
  const sample: Sample = { prefix: 'links', seed, objects, sizeBytes: SIZE_BYTES };
  const world = await openBenchWorld({ seed });
  const proxy = openChild('proxy');
  try {
    await world.write({ ...sample, atOnce: WRITES_AT_ONCE });
    const seconds = await run(world, await behind(proxy, world.config, way, seed), sample);
    await world.verify(sample);
    return objects / seconds;
  } finally {
    await proxy.stop();
    await world.close();
  }
}

async function byTriplicate(world: BenchWorld, config: LocalConfig, { objects }: Sample): Promise<number> {
  const worker = await world.openWorker({ config });
  const startedAt = nowMs();
  await worker.go();
  const { lastReplicaAt } = await worker.replicated(TARGETS, objects);
  return (lastReplicaAt - startedAt) / 1000;
}

async function byRclone(_world: BenchWorld, config: LocalConfig, { prefix }: Sample): Promise<number> {
  return (await rcloneCopy(config, prefix, TARGETS, PEERS.rclone)).seconds;
}

/** The same world, each of its endpoints behind a link. */
async function behind(proxy: Child, config: LocalConfig, { ms, loss }: Way, seed: number): Promise<LocalConfig> {
  let text = JSON.stringify(config);
  const ports = new Set([...text.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => port ?? ''));
  for (const port of ports) {
    const near = await proxy.ask<number>('open', { port: Number(port), ms, loss, seed });
    text = text.replaceAll(`127.0.0.1:${port}`, `127.0.0.1:${near}`);
  }
  return JSON.parse(text) as LocalConfig;
}

/** Azure is away while changes come; measured is how long after its return the last of them stands there. */
async function drainAfterOutage({ scale, seed }: Context): Promise<Drain> {
  const objects = Math.max(1, Math.round(scale.outageSeconds * OUTAGE_RATE));
  const sample: Sample = { prefix: 'outage', seed, objects, sizeBytes: SIZE_BYTES };
  const world = await openBenchWorld({ seed });
  try {
    const worker = await world.openWorker();
    await worker.go();
    await world.clouds.azure.ask('addFault', { kind: 'outage' });
    await world.write({ ...sample, atOnce: WRITES_AT_ONCE, rate: OUTAGE_RATE });
    await worker.replicated(['gcp'], objects);
    const { replicas } = await worker.progress();
    await world.clouds.azure.ask('clearFaults');
    const backAt = nowMs();
    const { lastReplicaAt } = await worker.replicated(TARGETS, objects);
    await world.verify(sample);
    return {
      waiting: objects - (replicas.azure ?? 0),
      outageSeconds: scale.outageSeconds,
      drainSeconds: (lastReplicaAt - backAt) / 1000,
    };
  } finally {
    await world.close();
  }
}

function toResult(objects: number, measured: readonly Measured[], drain: Drain, rclone: string | null): SuiteResult {
  return {
    name: 'links',
    title: 'Long links, lost packets, an outage',
    how: [
      said(
        `${objects} objects of 4 KiB from S3 to Google and Azure, one run each. A TCP proxy`,
        'stands before every endpoint and holds each piece back for half of the time there',
        'and back; a piece that is lost comes 200 ms later, and what is behind it waits.',
      ),
      `Triplicate works on 64 changes at once; rclone runs with ${PEERS.rclone.join(' ')}.`,
      said(
        `The outage: every connection to Azure is cut for at least ${drain.outageSeconds} s,`,
        `while ${OUTAGE_RATE} changes a second come at S3. What is measured begins when Azure`,
        'is back.',
      ),
    ],
    figures: [
      ...measured.flatMap(({ name, triplicate, rclone: peer }): Figure[] => {
        const id = name.replaceAll(/[^\w]+/g, '-');
        return [
          { name: `links.${id}.objects-per-second`, value: triplicate, unit: 'objects/s', better: 'more' },
          ...(peer === null
            ? []
            : [{ name: `links.${id}.ratio`, value: triplicate / peer, unit: 'x', better: 'more' as const }]),
        ];
      }),
      { name: 'links.drain', value: drain.drainSeconds, unit: 's', better: 'less' },
    ],
    tables: [
      {
        title: 'Objects per second',
        columns: ['there and back', 'Triplicate', 'rclone', 'Triplicate is faster by'],
        rows: measured.map(({ name, triplicate, rclone: peer }) => [
          name,
          triplicate,
          peer,
          peer === null ? null : triplicate / peer,
        ]),
      },
      {
        title: 'After an outage of Azure',
        columns: ['changes that waited', 'outage, s', 'until the last one stands, s'],
        rows: [[drain.waiting, drain.outageSeconds, drain.drainSeconds]],
      },
    ],
    charts: [
      {
        kind: 'bars',
        name: 'links',
        title: 'Objects per second by time there and back',
        unit: 'objects/s',
        bars: measured.flatMap(({ name, triplicate, rclone: peer }) => [
          { label: `${name}: triplicate`, value: triplicate },
          ...(peer === null ? [] : [{ label: `${name}: rclone`, value: peer }]),
        ]),
      },
    ],
    targets: [],
    notRun: rclone === null ? ['not run: rclone, needs rclone (apt-get install rclone)'] : [],
  };
}
