/** Every cloud to every other one, in several sizes, and a mix of changes: Triplicate's own part, without a queue before it. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cloud } from '../../../shared/model/site.ts';
import { type Child, openChild } from '../child.ts';
import { callsOf } from '../counts.ts';
import { accessOf, type End, localAccess, localEnd, type Pair } from '../ends.ts';
import type { PairStart, Replicated, Shares } from '../processes/pair.ts';
import { rcloneBetween, rcloneVersion } from '../rclone.ts';
import { type Figure, NO_RCLONE, type SuiteResult } from '../result.ts';
import { said } from '../said.ts';
import type { Sample } from '../samples.ts';
import { type PairSize, PEERS } from '../scales.ts';
import { median } from '../statistics.ts';
import type { Context } from '../suites.ts';
import { inTurns, type Ratio, ratioOf } from '../turns.ts';
import { type BenchWorld, openBenchWorld } from '../world.ts';

interface Row {
  readonly pair: string;
  readonly what: string;
  readonly objects: number;
  readonly sizeBytes: number;
  /** Objects a second, one for each round. */
  readonly rates: readonly number[];
  readonly cpuMs: number;
  /** Null: these are not ours to count. */
  readonly calls: number | null;
  /** Null: it has not run. */
  readonly peer: Ratio | null;
  readonly peerRate: number | null;
}

/** What is measured with: a child that holds both buckets, and the world they are in if that is a local one. */
interface Bench {
  readonly name: string;
  readonly child: Child;
  readonly local: { readonly world: BenchWorld; readonly from: Cloud; readonly to: Cloud } | null;
  readonly hasRclone: boolean;
}

const MI = 2 ** 20;
const MIXED: Shares = { overwrite: 0.3, metadata: 0.15, delete: 0.15 };
const MIXED_BYTES = 4 * 1024;
const NAMES: Readonly<Record<Cloud, string>> = { aws: 'S3', gcp: 'Google', azure: 'Azure' };
const NOT_OURS = 'not run: rclone between these two, needs a configuration of its own for them';

export async function providers(context: Context): Promise<SuiteResult> {
  const { scale, pair } = context;
  const rclone = (await rcloneVersion()) !== null;
  const rows: Row[] = [];
  if (pair === undefined) {
    for (const [from, to] of scale.pairs)
      rows.push(...(await inLocalWorld(from, to, context, (bench) => measurePair(bench, context), rclone)));
    return toResult(context, rows, rclone ? [] : [NO_RCLONE]);
  }
  const given = await openPair(pair, accessOf(process.env), (child) =>
    measurePair({ name: `${nameOf(pair.from)} to ${nameOf(pair.to)}`, child, local: null, hasRclone: false }, context),
  );
  return toResult(context, given, [NOT_OURS]);
}

function nameOf({ cloud, bucket }: End): string {
  return `${NAMES[cloud]} ${bucket}`;
}

async function inLocalWorld<Answer>(
  from: Cloud,
  to: Cloud,
  { seed }: Context,
  run: (bench: Bench) => Promise<Answer>,
  hasRclone: boolean,
): Promise<Answer> {
  // In files: there may be large ones among them.
  const world = await openBenchWorld({ seed, durable: true });
  try {
    const ends = { from: localEnd(from, world.config), to: localEnd(to, world.config) };
    const name = `${NAMES[from]} to ${NAMES[to]}`;
    return await openPair(ends, localAccess(world.config), (child) =>
      run({ name, child, local: { world, from, to }, hasRclone }),
    );
  } finally {
    await world.close();
  }
}

async function openPair<Answer>(
  pair: Pair,
  access: PairStart['access'],
  run: (child: Child) => Promise<Answer>,
): Promise<Answer> {
  const folder = mkdtempSync(join(tmpdir(), 'triplicate-pair-'));
  const child = openChild('pair');
  try {
    await child.ask('start', { ...pair, access, folder } satisfies PairStart);
    return await run(child);
  } finally {
    await child.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measurePair(bench: Bench, context: Context): Promise<readonly Row[]> {
  const { scale, seed, say } = context;
  // Two runs at one time, and what a run that was cut off has left, do not meet.
  const prefix = `triplicate-bench-${process.pid}`;
  const rows: Row[] = [];
  try {
    for (const size of scale.pairSizes) {
      const row = await measureSize(bench, `${prefix}/${size.sizeBytes}`, size, seed);
      rows.push(row);
      const peer = row.peerRate === null ? '' : `, rclone ${row.peerRate.toFixed(1)}`;
      say(`providers: ${bench.name}: ${row.what}: ${median(row.rates).toFixed(1)} objects/s${peer}`);
    }
    rows.push(await measureMix(bench, `${prefix}/mixed`, context));
  } finally {
    await bench.child.ask('clear', prefix);
  }
  return rows;
}

interface Once extends Replicated {
  readonly calls: number | null;
}

async function measureSize(bench: Bench, prefix: string, size: PairSize, seed: number): Promise<Row> {
  const { sizeBytes, objects, rounds } = size;
  const runs = await inTurns(bench.hasRclone ? ['triplicate', 'rclone'] : ['triplicate'], rounds, (name, round) => {
    const sample = { prefix: `${prefix}-${name}-${round}`, seed: seed + round, objects, sizeBytes };
    return name === 'rclone' ? byRclone(bench, sample) : byTriplicate(bench, sample);
  });
  const { triplicate = [], rclone = [] } = Object.fromEntries(runs);
  const rates = triplicate.map(({ seconds }) => objects / seconds);
  const peers = rclone.map(({ seconds }) => objects / seconds);
  return {
    pair: bench.name,
    what: wordsOf(sizeBytes),
    objects,
    sizeBytes,
    rates,
    cpuMs: median(triplicate.map(({ cpuSeconds }) => (cpuSeconds / objects) * 1000)),
    calls: medianCalls(triplicate),
    peer: peers.length === 0 ? null : ratioOf(rates, peers),
    peerRate: peers.length === 0 ? null : median(peers),
  };
}

async function byTriplicate({ child, local }: Bench, sample: Sample): Promise<Once> {
  await child.ask('write', sample);
  await local?.world.takeCounts();
  const told = await child.ask<Replicated>('replicate');
  const counts = await local?.world.takeCounts();
  await child.ask('verify', sample.prefix, sample.prefix, true);
  return { ...told, calls: counts === undefined ? null : callsOf(counts) / told.changes };
}

async function byRclone({ child, local }: Bench, sample: Sample): Promise<Once> {
  if (local === null) throw new Error('rclone is only known to the local world');
  const { world, from, to } = local;
  const { prefix, objects } = sample;
  await child.ask('write', sample);
  await child.ask('forget');
  const target = `${prefix}-copy`;
  const { seconds, cpuSeconds } = await rcloneBetween(world.config, [from, prefix], [to, target], PEERS.rclone);
  await child.ask('verify', prefix, target, false);
  return { changes: objects, seconds, cpuSeconds, calls: null };
}

async function measureMix(bench: Bench, prefix: string, { scale, seed, say }: Context): Promise<Row> {
  const objects = scale.mixedChanges;
  const sample: Sample = { prefix, seed, objects, sizeBytes: MIXED_BYTES };
  const old = Math.round(objects * (MIXED.overwrite + MIXED.metadata + MIXED.delete));
  await bench.child.ask('write', { ...sample, objects: old });
  await bench.child.ask('replicate');
  await bench.child.ask('mix', sample, MIXED);
  await bench.local?.world.takeCounts();
  const told = await bench.child.ask<Replicated>('replicate');
  const counts = await bench.local?.world.takeCounts();
  await bench.child.ask('verify', prefix, prefix, true);
  const rate = told.changes / told.seconds;
  say(`providers: ${bench.name}: mixed: ${rate.toFixed(1)} changes/s`);
  return {
    pair: bench.name,
    what: 'mixed',
    objects: told.changes,
    sizeBytes: MIXED_BYTES,
    rates: [rate],
    cpuMs: (told.cpuSeconds / told.changes) * 1000,
    calls: counts === undefined ? null : callsOf(counts) / told.changes,
    peer: null,
    peerRate: null,
  };
}

function medianCalls(runs: readonly Once[]): number | null {
  const counted = runs.flatMap(({ calls }) => (calls === null ? [] : [calls]));
  return counted.length === 0 ? null : median(counted);
}

function wordsOf(sizeBytes: number): string {
  for (const [name, unit] of [['GiB', 2 ** 30] as const, ['MiB', MI] as const, ['KiB', 1024] as const])
    if (sizeBytes >= unit) return `${sizeBytes / unit} ${name}`;
  return `${sizeBytes} B`;
}

function toResult({ scale }: Context, rows: readonly Row[], notRun: readonly string[]): SuiteResult {
  const small = rows.filter(({ what }) => what === '4 KiB');
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  const rest = 1 - MIXED.overwrite - MIXED.metadata - MIXED.delete;
  return {
    name: 'providers',
    title: 'Each cloud to each other one',
    how: [
      said(
        'A user writes to one bucket, and then each change is handed to Triplicate at once, 64 at a time: no queue is',
        'before it, and nothing comes back of its own writes. So these figures tell providers and sizes apart; what',
        'queues add stands under delay and small objects. The ledger is SQLite. Bytes and metadata are compared afterwards.',
      ),
      said(
        `rclone copies as many other objects between the same buckets in turns, with ${PEERS.rclone.join(' ')}.`,
        `Rounds by size: ${scale.pairSizes.map(({ sizeBytes, rounds }) => `${wordsOf(sizeBytes)} ${rounds}`).join(', ')};`,
        'medians. The local clouds keep their state in files.',
      ),
      said(
        `Mixed: ${percent(rest)} new objects, ${percent(MIXED.overwrite)} overwrites, ${percent(MIXED.metadata)} the same`,
        `bytes with other metadata, ${percent(MIXED.delete)} deletes, of 4 KiB, in one round.`,
      ),
    ],
    figures: rows.flatMap(({ pair, what, rates, cpuMs, calls, peer }): Figure[] => {
      const id = `providers.${`${pair} ${what}`.replaceAll(/[^\w]+/g, '-').toLowerCase()}`;
      return [
        { name: `${id}.rate`, value: median(rates), unit: 'objects/s', better: 'more', of: rates },
        { name: `${id}.cpu`, value: cpuMs, unit: 'ms', better: 'less' },
        ...(calls === null ? [] : [{ name: `${id}.calls`, value: calls, unit: 'calls', better: 'less' as const }]),
        ...(peer === null
          ? []
          : [{ name: `${id}.ratio`, value: peer.ratio, unit: 'x', better: 'more' as const, of: peer.pairs }]),
      ];
    }),
    tables: [
      {
        title: 'By pair and size',
        columns: [
          'pair',
          'size',
          'objects',
          'objects/s',
          'MiB/s',
          'CPU ms per object',
          'calls per object',
          'rclone, objects/s',
          'Triplicate is faster by',
        ],
        rows: rows.map(({ pair, what, objects, sizeBytes, rates, cpuMs, calls, peer, peerRate }) => {
          const rate = median(rates);
          const speed = what === 'mixed' || sizeBytes === 0 ? null : (rate * sizeBytes) / MI;
          return [pair, what, objects, rate, speed, cpuMs, calls, peerRate, peer?.ratio ?? null];
        }),
      },
    ],
    charts: [
      {
        kind: 'bars',
        name: 'providers',
        title: 'Objects of 4 KiB',
        unit: 'objects/s',
        bars: small.flatMap(({ pair, rates, peerRate }) => [
          { label: `${pair}: triplicate`, value: median(rates) },
          ...(peerRate === null ? [] : [{ label: `${pair}: rclone`, value: peerRate, isMuted: true }]),
        ]),
      },
    ],
    targets: [],
    notRun,
  };
}
