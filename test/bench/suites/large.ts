/** One large object from S3 to Google and Azure: bytes per second and memory, beside rclone. */

import { rcloneEach, rcloneVersion } from '../rclone.ts';
import { type Figure, NO_RCLONE, type SuiteResult } from '../result.ts';
import { said } from '../said.ts';
import type { Sample } from '../samples.ts';
import { PEERS } from '../scales.ts';
import { nowMs } from '../serve.ts';
import { median } from '../statistics.ts';
import type { Context } from '../suites.ts';
import { inTurns, ratioOf } from '../turns.ts';
import { type BenchWorld, openBenchWorld } from '../world.ts';

interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakRssBytes: number | null;
}

const MI = 2 ** 20;
const TARGETS = ['gcp', 'azure'] as const;
const RCLONE = [...PEERS.rclone, '--s3-upload-concurrency', '8', '--azureblob-upload-concurrency', '8'];

export async function large(context: Context): Promise<SuiteResult> {
  const { scale, seed, say } = context;
  const rclone = await rcloneVersion();
  const names = rclone === null ? ['triplicate'] : ['triplicate', 'rclone'];
  const measured = await inTurns(names, scale.rounds, async (name, round) => {
    const one = await measure(name, { ...context, seed: seed + round });
    say(`large, round ${round + 1}: ${name}: ${(scale.largeBytes / MI / one.seconds).toFixed(1)} MiB/s`);
    return one;
  });
  return toResult(context, measured, rclone);
}

async function measure(name: string, { scale, seed, profiles }: Context): Promise<Measured> {
  const sample: Sample = { prefix: 'large', seed, objects: 1, sizeBytes: scale.largeBytes };
  const world = await openBenchWorld({ seed, durable: true });
  try {
    await world.write({ ...sample, atOnce: 1 });
    const told =
      name === 'rclone'
        ? await rcloneEach(world.config, 'copy', sample.prefix, TARGETS, RCLONE)
        : await triplicate(world, profiles);
    await world.verify(sample);
    return told;
  } finally {
    await world.close();
  }
}

async function triplicate(world: BenchWorld, profiles: string | undefined): Promise<Measured> {
  const worker = await world.openWorker(profiles === undefined ? {} : { profiles });
  const before = await worker.usage();
  const startedAt = nowMs();
  await worker.go();
  const { lastReplicaAt } = await worker.replicated(TARGETS, 1);
  const { cpuSeconds, peakRssBytes } = await worker.usage();
  await worker.quiet();
  return {
    seconds: (lastReplicaAt - startedAt) / 1000,
    cpuSeconds: cpuSeconds - before.cpuSeconds,
    peakRssBytes,
  };
}

function toResult(
  { scale }: Context,
  measured: ReadonlyMap<string, readonly Measured[]>,
  rclone: string | null,
): SuiteResult {
  const mebibytes = scale.largeBytes / MI;
  const all = [...measured].map(([name, runs]) => ({
    name,
    rates: runs.map(({ seconds }) => mebibytes / seconds),
    cpu: median(runs.map(({ cpuSeconds }) => cpuSeconds)) / (scale.largeBytes / 1e9),
    rss: median(runs.map(({ peakRssBytes }) => peakRssBytes ?? Number.NaN)) / MI,
  }));
  const own = all.find(({ name }) => name === 'triplicate');
  const peer = all.find(({ name }) => name === 'rclone');
  const { pairs, ratio: value } = ratioOf(own?.rates ?? [], peer?.rates ?? []);
  const ratio: Figure = { name: 'large.ratio.rclone', value, unit: 'x', better: 'more', of: pairs };
  const ratioTarget = {
    what: 'MB/s over those of rclone',
    value,
    kind: 'at least',
    bound: 1,
    unit: 'x',
  } as const;
  return {
    name: 'large',
    title: `One object of ${mebibytes.toLocaleString('en')} MiB from S3 to Google Cloud and Azure`,
    how: [
      said(
        'MiB/s are those of the object, which goes to two targets. rclone runs once per target,',
        `both at the same time, with ${RCLONE.join(' ')}. The clouds keep their state in files.`,
      ),
      said(
        "Triplicate's clock stops when both clouds have acknowledged the whole object under",
        'its own name; afterwards its MD5 is compared, by reading it where the cloud keeps',
        `none. ${scale.rounds} rounds, medians.`,
      ),
    ],
    figures: [
      ...all.flatMap(({ name, rates, cpu, rss }): Figure[] => [
        { name: `large.${name}.rate`, value: median(rates), unit: 'MiB/s', better: 'more', of: rates },
        { name: `large.${name}.cpu-per-gb`, value: cpu, unit: 'CPU s', better: 'less' },
        { name: `large.${name}.peak-rss`, value: rss, unit: 'MiB', better: 'less' },
      ]),
      ...(peer === undefined ? [] : [ratio]),
    ],
    tables: [
      {
        title: 'Speed and what it takes',
        columns: ['', 'MiB/s', 'CPU s per GB', 'peak RSS, MiB'],
        rows: all.map(({ name, rates, cpu, rss }) => [name, median(rates), cpu, rss]),
      },
    ],
    charts: [
      {
        kind: 'bars',
        name: 'large-rate',
        title: `One object of ${mebibytes} MiB`,
        unit: 'MiB/s',
        bars: all.map(({ name, rates }) => ({ label: name, value: median(rates), isMuted: name === 'rclone' })),
      },
    ],
    targets: [
      ...(peer === undefined ? [] : [ratioTarget]),
      {
        what: 'peak RSS of the worker',
        value: own?.rss ?? Number.NaN,
        kind: 'at most',
        bound: 256,
        unit: 'MiB',
      },
    ],
    notRun: rclone === null ? [NO_RCLONE] : [],
  };
}
