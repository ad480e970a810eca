/** The same change with more and more keys in the buckets and the ledger, and a pass over all of them. */

import { join } from 'node:path';
import type { PassReport } from '../../../shared/replicate/anti-entropy.ts';
import { openChild } from '../child.ts';
import { callsOf, isOfBucket } from '../counts.ts';
import type { ThinLedger } from '../processes/ledger.ts';
import type { Figure, SuiteResult } from '../result.ts';
import { said } from '../said.ts';
import { WRITES_AT_ONCE } from '../scales.ts';
import { nowMs } from '../serve.ts';
import { median } from '../statistics.ts';
import type { Context } from '../suites.ts';
import type { Multiplying } from '../thin.ts';
import { type BenchWorld, openBenchWorld } from '../world.ts';

interface Pass {
  readonly differences: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly calls: number;
  readonly rss: number;
}

interface Batch {
  readonly cpuMs: number;
  readonly ms: number;
  /** Of buckets. */
  readonly calls: number;
  /** Those of queues too. */
  readonly allCalls: number;
}

interface Measured {
  readonly keys: number;
  readonly cpuPerChange: number;
  readonly msPerChange: number;
  readonly callsPerChange: number;
  readonly allCallsPerChange: number;
  readonly rss: number;
  readonly passes: readonly Pass[];
}

const MI = 2 ** 20;
const SITES = ['aws', 'gcp'] as const;
const OLD = 'old';
/** What is measured is the median of so many batches. */
const BATCHES = 5;
/** Connections are open and code is compiled when it counts: without these the first ones would look dear. */
const WARM_UP = 500;
const SIZE_BYTES = 64;

export async function keys(context: Context): Promise<SuiteResult> {
  const measured: Measured[] = [];
  for (const count of context.scale.keys) measured.push(await measure(count, context));
  return toResult(measured, context);
}

async function measure(count: number, context: Context): Promise<Measured> {
  const { scale, seed, say, isGate = false } = context;
  const world = await openBenchWorld({ seed });
  try {
    const startedAt = nowMs();
    await multiply(world, count, seed);
    say(`keys: ${count.toLocaleString('en')} keys stand after ${((nowMs() - startedAt) / 1000).toFixed(0)} s`);
    const change = await measureChanges(world, context);
    const passes: Pass[] = [];
    // No build is held to what a pass takes.
    for (const differences of isGate ? [] : scale.differences.filter((it) => it <= count)) {
      const pass = await measurePass(world, differences, seed);
      passes.push(pass);
      say(`keys: a pass with ${differences} differences took ${pass.seconds.toFixed(1)} s`);
    }
    return { keys: count, ...change, passes };
  } finally {
    await world.close();
  }
}

/** One object is written and replicated; the others are its likes, in both buckets and in the ledger. */
async function multiply(world: BenchWorld, count: number, seed: number): Promise<void> {
  const worker = await world.openWorker({ sites: SITES });
  await worker.go();
  await world.write({ prefix: OLD, seed, objects: 1, sizeBytes: SIZE_BYTES, atOnce: 1 });
  await worker.replicated(['gcp'], 1);
  await worker.quiet();
  await worker.stop();
  const { aws, gcp } = world.config;
  const wish = { prefix: OLD, count };
  const [s3Version, generation] = await Promise.all([
    world.clouds.aws.ask<string>('multiply', 's3', { ...wish, bucket: aws.bucket } satisfies Multiplying),
    world.clouds.gcp.ask<string>('multiply', 'gcs', { ...wish, bucket: gcp.bucket } satisfies Multiplying),
  ]);
  const child = openChild('ledger');
  try {
    const path = join(world.folder, 'ledger.sqlite');
    await child.ask('multiply', { ...wish, path, s3Version, generation } satisfies ThinLedger);
  } finally {
    await child.stop();
  }
}

async function measureChanges(world: BenchWorld, { scale, seed }: Context) {
  const objects = Math.ceil(scale.keyChanges / BATCHES);
  const worker = await world.openWorker({ sites: SITES });
  await worker.go();
  let there = 0;
  const replicate = async (prefix: string, changes: number) => {
    await world.write({ prefix, seed, objects: changes, sizeBytes: SIZE_BYTES, atOnce: WRITES_AT_ONCE });
    there += changes;
    await worker.replicated(['gcp'], there);
    return worker.quiet();
  };
  await replicate('warm', WARM_UP);
  const batches: Batch[] = [];
  for (let batch = 0; batch < BATCHES; batch++) {
    await world.takeCounts();
    const before = await worker.usage();
    const startedAt = nowMs();
    const { lastReplicaAt } = await replicate(`new-${batch}`, objects);
    const { cpuSeconds } = await worker.usage();
    const counts = await world.takeCounts();
    batches.push({
      cpuMs: ((cpuSeconds - before.cpuSeconds) / objects) * 1000,
      ms: (lastReplicaAt - startedAt) / objects,
      // The user's own are not ours.
      calls: (callsOf(counts, isOfBucket) - objects) / objects,
      allCalls: (callsOf(counts) - objects) / objects,
    });
  }
  const { peakRssBytes } = await worker.usage();
  await worker.stop();
  const of = (pick: (batch: Batch) => number) => median(batches.map(pick));
  return {
    cpuPerChange: of(({ cpuMs }) => cpuMs),
    msPerChange: of(({ ms }) => ms),
    callsPerChange: of(({ calls }) => calls),
    allCallsPerChange: of(({ allCalls }) => allCalls),
    rss: peakRssBytes / MI,
  };
}

/** Nobody takes notifications meanwhile, so only the pass can find what was written. */
async function measurePass(world: BenchWorld, differences: number, seed: number): Promise<Pass> {
  const prefix = `missed-${differences}`;
  if (differences > 0)
    await world.write({ prefix, seed, objects: differences, sizeBytes: SIZE_BYTES, atOnce: WRITES_AT_ONCE });
  const worker = await world.openWorker({ sites: SITES });
  await world.takeCounts();
  const before = await worker.usage();
  const startedAt = nowMs();
  const told = await worker.ask<PassReport>('pass');
  const seconds = (nowMs() - startedAt) / 1000;
  const { cpuSeconds, peakRssBytes } = await worker.usage();
  if (told.kind !== 'finished' || told.differing !== differences || told.failed > 0)
    throw new Error(`the pass should find ${differences} differences: ${JSON.stringify(told)}`);
  const calls = callsOf(await world.takeCounts());
  await worker.stop();
  return { differences, seconds, cpuSeconds: cpuSeconds - before.cpuSeconds, calls, rss: peakRssBytes / MI };
}

function toResult(measured: readonly Measured[], { scale }: Context): SuiteResult {
  const [first, last] = [measured[0], measured.at(-1)];
  const growth = (pick: (one: Measured) => number) =>
    first === undefined || last === undefined ? Number.NaN : pick(last) / pick(first);
  const over = `at ${last?.keys.toLocaleString('en')} keys over ${first?.keys.toLocaleString('en')}`;
  return {
    name: 'keys',
    title: 'More keys',
    how: [
      said(
        `One object of ${SIZE_BYTES} bytes is written to S3 and replicated to Google; then rows like it are laid`,
        'into the databases of both local clouds and of the ledger, which is SQLite, until so many keys stand. All of',
        'them share their bytes. Azure has no part in this: its local endpoint sorts the names of a whole container',
        'for every page of a listing.',
      ),
      said(
        `Then ${scale.keyChanges} new objects are replicated in ${BATCHES} batches, after ${WARM_UP} that do not`,
        "count: medians of the batches. Calls are what buckets were asked, but for the user's own; those of queues are",
        'told beside them, since their number depends on how long a queue is empty.',
      ),
      said(
        'For the passes the worker is stopped and objects are written that nobody hears of: those are the',
        'differences. A new process lists both buckets, compares them with the ledger and replicates what is missing.',
      ),
    ],
    figures: measured.flatMap(({ keys: count, cpuPerChange, callsPerChange, passes }): Figure[] => [
      { name: `keys.${count}.cpu-per-change`, value: cpuPerChange, unit: 'ms', better: 'less' },
      { name: `keys.${count}.calls-per-change`, value: callsPerChange, unit: 'calls', better: 'less' },
      ...passes.flatMap(({ differences, seconds, calls }): Figure[] => [
        { name: `keys.${count}.pass-${differences}`, value: seconds, unit: 's', better: 'less' },
        { name: `keys.${count}.pass-${differences}.calls`, value: calls, unit: 'calls', better: 'less' },
      ]),
    ]),
    tables: [
      {
        title: 'A change, by how many keys there are',
        columns: [
          'keys',
          'calls per change',
          'with those of queues',
          'CPU ms per change',
          'ms per change',
          'peak RSS, MiB',
        ],
        rows: measured.map((it) => [
          it.keys,
          it.callsPerChange,
          it.allCallsPerChange,
          it.cpuPerChange,
          it.msPerChange,
          it.rss,
        ]),
      },
      {
        title: 'A pass over all keys',
        columns: ['keys', 'differences', 'seconds', 'CPU s', 'calls', 'peak RSS, MiB'],
        rows: measured.flatMap(({ keys: count, passes }) =>
          passes.map((it) => [count, it.differences, it.seconds, it.cpuSeconds, it.calls, it.rss]),
        ),
      },
    ],
    charts: [
      {
        kind: 'lines',
        name: 'keys',
        title: 'CPU time per change',
        x: 'keys in buckets and ledger',
        y: 'ms',
        logarithmicX: true,
        lines: [{ label: 'CPU ms per change', points: measured.map((it) => [it.keys, it.cpuPerChange] as const) }],
      },
    ],
    targets: [
      {
        what: `calls per change ${over}`,
        value: growth(({ callsPerChange }) => callsPerChange),
        kind: 'at most',
        bound: 1.1,
        unit: 'x',
        gate: 1.1,
      },
      {
        what: `CPU per change ${over}`,
        value: growth(({ cpuPerChange }) => cpuPerChange),
        kind: 'at most',
        bound: 1.1,
        unit: 'x',
        gate: 1.8,
      },
    ],
    notRun: [],
  };
}
