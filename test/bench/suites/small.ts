/** Small objects from S3 to Google and Azure: Triplicate, rclone and a loop over the SDKs, one after the other in turn. */

import { openChild } from '../child.ts';
import { type Counts, callsOf, isOfBucket } from '../counts.ts';
import { toNoticeTable } from '../notices.ts';
import type { Noticed } from '../processes/worker.ts';
import { type RcloneCommand, type RcloneRun, rcloneEach, rcloneVersion } from '../rclone.ts';
import { type Figure, NO_RCLONE, type SuiteResult, type Target } from '../result.ts';
import { said } from '../said.ts';
import type { Sample } from '../samples.ts';
import { PEERS, WRITES_AT_ONCE } from '../scales.ts';
import { nowMs } from '../serve.ts';
import { median } from '../statistics.ts';
import type { Context } from '../suites.ts';
import { inTurns, ratioOf } from '../turns.ts';
import { type BenchWorld, openBenchWorld } from '../world.ts';

interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly cloudSeconds: number;
  readonly peakRssBytes: number | null;
  readonly counts: Counts;
  /** Until it had nothing left to do; of a command the same. */
  readonly quietSeconds: number;
  /** By Triplicate. */
  readonly noticed?: Noticed;
}

type Contender = (
  world: BenchWorld,
  sample: Sample,
  context: Context,
) => Promise<Omit<Measured, 'cloudSeconds' | 'counts'>>;

const SIZE_BYTES = 4 * 1024;
const TARGETS = ['gcp', 'azure'] as const;

const CONTENDERS: Readonly<Record<string, Contender>> = {
  triplicate,
  'rclone copy': (world, { prefix }) => byRclone(world, ['copy'], prefix),
  'rclone sync': (world, { prefix }) => byRclone(world, ['sync'], prefix),
  'rclone copy, then check': (world, { prefix }) => byRclone(world, ['copy', 'check'], prefix),
  'SDK loop': loop,
};
/** A build has no time for all of them. */
const GATED = ['triplicate', 'SDK loop'];

export async function small(context: Context): Promise<SuiteResult> {
  const { scale, seed, say } = context;
  const rclone = await rcloneVersion();
  const all = context.isGate ? GATED : Object.keys(CONTENDERS);
  const names = all.filter((name) => rclone !== null || !name.startsWith('rclone'));
  const measured = await inTurns(names, scale.rounds, async (name, round) => {
    const one = await measure(name, { ...context, seed: seed + round });
    say(`small, round ${round + 1}: ${name}: ${(scale.objects / one.seconds).toFixed(0)} objects/s`);
    return one;
  });
  return toResult(context, measured, rclone);
}

async function measure(name: string, context: Context): Promise<Measured> {
  const { scale, seed } = context;
  const sample: Sample = { prefix: 'small', seed, objects: scale.objects, sizeBytes: SIZE_BYTES };
  const world = await openBenchWorld({ seed });
  try {
    await world.write({ ...sample, atOnce: WRITES_AT_ONCE });
    await world.takeCounts();
    const before = await world.cloudSeconds();
    const told = await (CONTENDERS[name] as Contender)(world, sample, context);
    const cloudSeconds = (await world.cloudSeconds()) - before;
    const counts = await world.takeCounts();
    await world.verify(sample);
    return { ...told, cloudSeconds, counts };
  } finally {
    await world.close();
  }
}

/** The clock starts when the worker, open and idle, may take its first message; it has a change of each object to take. */
async function triplicate(world: BenchWorld, { objects }: Sample, { scale: { concurrency }, profiles }: Context) {
  const worker = await world.openWorker({ concurrency, ...(profiles !== undefined && { profiles }) });
  await world.takeCounts();
  const before = await worker.usage();
  const startedAt = nowMs();
  await worker.go();
  const { lastReplicaAt } = await worker.replicated(TARGETS, objects);
  const { lastAt, noticed } = await worker.quiet();
  const { cpuSeconds, peakRssBytes } = await worker.usage();
  return {
    seconds: (lastReplicaAt - startedAt) / 1000,
    quietSeconds: (lastAt - startedAt) / 1000,
    cpuSeconds: cpuSeconds - before.cpuSeconds,
    peakRssBytes,
    noticed,
  };
}

/** One command after the other, as a script would. */
async function byRclone(world: BenchWorld, commands: readonly RcloneCommand[], prefix: string) {
  const runs: RcloneRun[] = [];
  for (const command of commands) runs.push(await rcloneEach(world.config, command, prefix, TARGETS, PEERS.rclone));
  const seconds = runs.reduce((sum, it) => sum + it.seconds, 0);
  return {
    seconds,
    quietSeconds: seconds,
    cpuSeconds: runs.reduce((sum, it) => sum + it.cpuSeconds, 0),
    peakRssBytes: Math.max(...runs.map(({ peakRssBytes }) => peakRssBytes ?? Number.NaN)),
  };
}

async function loop(world: BenchWorld, { prefix, objects }: Sample) {
  const child = openChild('loop');
  try {
    const before = await child.usage();
    const startedAt = nowMs();
    const copied = await child.ask<number>('copy', world.config, prefix, PEERS.loopAtOnce);
    if (copied !== objects) throw new Error(`the loop copied ${copied} of ${objects} objects`);
    const seconds = (nowMs() - startedAt) / 1000;
    const { cpuSeconds, peakRssBytes } = await child.usage();
    return { seconds, quietSeconds: seconds, cpuSeconds: cpuSeconds - before.cpuSeconds, peakRssBytes };
  } finally {
    await child.stop();
  }
}

function toResult(
  { scale }: Context,
  measured: ReadonlyMap<string, readonly Measured[]>,
  rclone: string | null,
): SuiteResult {
  const { objects, rounds } = scale;
  const all = [...measured].map(([name, runs]) => {
    const rates = runs.map(({ seconds }) => objects / seconds);
    const of = (pick: (one: Measured) => number) => median(runs.map(pick));
    return {
      name,
      id: name.replaceAll(/[^\w]+/g, '-').toLowerCase(),
      rates,
      rate: median(rates),
      quietRate: objects / of(({ quietSeconds }) => quietSeconds),
      cpus: runs.map(({ cpuSeconds }) => cpuSeconds),
      cpu: of(({ cpuSeconds }) => cpuSeconds) / (objects / 1000),
      clouds: of(({ cloudSeconds }) => cloudSeconds) / (objects / 1000),
      rss: of(({ peakRssBytes }) => peakRssBytes ?? Number.NaN) / 2 ** 20,
      counts: runs[0]?.counts ?? {},
    };
  });
  const figures = all.flatMap(({ id, rates, rate, cpu, rss }): Figure[] => [
    { name: `small.${id}.objects-per-second`, value: rate, unit: 'objects/s', better: 'more', of: rates },
    { name: `small.${id}.cpu-per-1000`, value: cpu, unit: 'CPU s', better: 'less' },
    { name: `small.${id}.peak-rss`, value: rss, unit: 'MiB', better: 'less' },
  ]);
  const own = all.find(({ name }) => name === 'triplicate');
  const loops = all.find(({ name }) => name === 'SDK loop');
  const peers = all.filter(({ name }) => name !== 'triplicate');
  // Pairs of one round, so that what else the machine does strikes both.
  const ratios = peers.map(({ name, id, rates }) => ({ name, id, ...ratioOf(own?.rates ?? [], rates) }));
  const kinds = [...new Set(all.flatMap(({ counts }) => Object.keys(counts)))].sort();
  return {
    name: 'small',
    title: `${objects.toLocaleString('en')} objects of 4 KiB from S3 to Google Cloud and Azure`,
    how: [
      said(
        'The objects stand in S3 before the clock starts. Triplicate has one notification of',
        'each waiting in its queue; its worker process is open and idle. rclone and the loop',
        'begin with a listing.',
      ),
      said(
        `rclone runs once per target, both at the same time, with ${PEERS.rclone.join(' ')};`,
        `the loop has ${PEERS.loopAtOnce} objects under way and reads each once for both targets.`,
      ),
      said(
        'Who checks what: Triplicate sums the bytes on their way (CRC-32C and CRC-64/NVME), holds them against what S3',
        'keeps, and both targets are given a checksum that they refuse to contradict. rclone copy and sync do the like:',
        'after each object they compare size and MD5 with what the target answered, and that is what the aim is held',
        'against. rclone check then lists both sides again and compares all MD5 once more, which Triplicate has no',
        'pendant of here; it is what a careful script does. The loop trusts its SDKs: Google is given a CRC-32C,',
        'Azure nothing.',
      ),
      said(
        `Triplicate works on ${scale.concurrency} changes at once. It keeps its ledger in SQLite, synced to disk at every`,
        'write, and hears of its own writes, which is part of its work; the clock stops when the last replica is',
        'acknowledged with the checksum of the source. "Until quiet" is when it has also worked off what it heard of',
        'its own writes.',
      ),
      said(
        'Afterwards sizes and MD5 of all objects at both targets are compared with what was',
        `written. ${rounds} rounds; medians; a ratio is the median of the ratios of each round.`,
        'Every process of the clouds keeps its state in memory.',
      ),
    ],
    figures: [
      ...figures,
      ...ratios.map(
        ({ id, ratio, pairs }): Figure => ({
          name: `small.ratio.${id}`,
          value: ratio,
          unit: 'x',
          better: 'more',
          of: pairs,
        }),
      ),
    ],
    tables: [
      {
        title: 'Speed and what it takes',
        columns: [
          '',
          'objects/s',
          'until quiet',
          'CPU s per 1,000',
          'CPU s of the clouds per 1,000',
          'peak RSS, MiB',
          'Triplicate is faster by',
        ],
        rows: all.map(({ name, rate, quietRate, cpu, clouds, rss }) => [
          name,
          rate,
          quietRate,
          cpu,
          clouds,
          rss,
          ratios.find((it) => it.name === name)?.ratio ?? null,
        ]),
      },
      {
        title: 'Requests per object, by kind',
        columns: ['request', ...all.map(({ name }) => name)],
        rows: kinds.map((kind) => [kind, ...all.map(({ counts }) => (counts[kind] ?? 0) / objects)]),
      },
      ...toNoticeTable(
        (measured.get('triplicate') ?? []).map(({ noticed = {} }, round) => [`round ${round + 1}`, noticed]),
      ),
    ],
    charts: [
      {
        kind: 'bars',
        name: 'small-objects-per-second',
        title: 'Objects of 4 KiB, S3 to Google Cloud and Azure',
        unit: 'objects/s',
        bars: all.map(({ name, rate }) => ({ label: name, value: rate, isMuted: name !== 'triplicate' })),
      },
    ],
    targets: [
      ...ratios
        .filter(({ name }) => name === 'rclone copy')
        .map(({ ratio }): Target => {
          const what = 'objects per second over those of rclone copy';
          return { what, value: ratio, kind: 'at least', bound: 1.5, unit: 'x' };
        }),
      {
        what: 'requests to buckets per object',
        value: callsOf(own?.counts ?? {}, isOfBucket) / objects,
        kind: 'at most',
        bound: 4,
        unit: 'requests',
        gate: 3.5,
      },
      {
        what: 'CPU per object over that of the SDK loop',
        value: median((own?.cpus ?? []).map((cpu, round) => cpu / (loops?.cpus[round] ?? Number.NaN))),
        kind: 'at most',
        bound: 1.5,
        unit: 'x',
        gate: 5,
      },
    ],
    notRun: rclone === null ? [NO_RCLONE] : [],
  };
}
