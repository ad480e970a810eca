/** The same change with more and more keys in the buckets and the ledger, and a pass over all of them. */

import type { PassReport } from '../../../shared/replicate/anti-entropy.ts';
import type { Counts } from '../processes/cloud.ts';
import type { Figure, SuiteResult } from '../result.ts';
import { said } from '../said.ts';
import type { Sample } from '../samples.ts';
import { WRITES_AT_ONCE } from '../scales.ts';
import { nowMs } from '../serve.ts';
import type { Context } from '../suites.ts';
import { openBenchWorld } from '../world.ts';

interface Pass {
  readonly differences: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly calls: number;
}

interface Measured {
  readonly keys: number;
  readonly cpuPerChange: number;
  readonly secondsPerChange: number;
  readonly callsPerChange: number;
  readonly rss: number;
  readonly passes: readonly Pass[];
}

const CHANGES = 500;
/** Each change is measured over what is still cold in none of the runs. */
const WARM_UP = 500;
const SIZE_BYTES = 64;

export async function keys(context: Context): Promise<SuiteResult> {
  const measured: Measured[] = [];
  for (const count of context.scale.keys) measured.push(await measure(count, context));
  return toResult(measured);
}

async function measure(count: number, { scale, seed, say }: Context): Promise<Measured> {
  const world = await openBenchWorld({ seed });
  try {
    const changes = Math.min(CHANGES, scale.objects);
    const sample: Sample = { prefix: 'new', seed, objects: changes, sizeBytes: SIZE_BYTES };
    const worker = await world.openWorker();
    await worker.go();
    let there = 0;
    const replicate = async (prefix: string, objects: number) => {
      await world.write({ ...sample, prefix, objects, atOnce: WRITES_AT_ONCE });
      there += objects;
      await worker.replicated(['gcp', 'azure'], there);
      return worker.quiet();
    };
    await replicate('old', count);
    say(`keys: ${count.toLocaleString('en')} keys stand everywhere`);
    await replicate('warm', Math.min(WARM_UP, changes));
    await world.takeCounts();
    const before = await worker.usage();
    const startedAt = nowMs();
    const { lastReplicaAt } = await replicate(sample.prefix, changes);
    const seconds = (lastReplicaAt - startedAt) / 1000;
    const { cpuSeconds, peakRssBytes } = await worker.usage();
    const calls = callsOf(await world.takeCounts()) - changes;
    await worker.stop();

    const passes: Pass[] = [];
    for (const differences of scale.differences) {
      if (differences > count) continue;
      // Nobody takes notifications any more, so only the pass can find these.
      if (differences > 0)
        await world.write({ ...sample, prefix: `missed-${differences}`, objects: differences, atOnce: WRITES_AT_ONCE });
      const passer = await world.openWorker();
      await world.takeCounts();
      const start = await passer.usage();
      const at = nowMs();
      const told = await passer.ask<PassReport>('pass');
      const took = (nowMs() - at) / 1000;
      if (told.kind !== 'finished' || told.differing !== differences)
        throw new Error(`the pass should find ${differences} differences: ${JSON.stringify(told)}`);
      const end = await passer.usage();
      passes.push({
        differences,
        seconds: took,
        cpuSeconds: end.cpuSeconds - start.cpuSeconds,
        calls: callsOf(await world.takeCounts()),
      });
      await passer.stop();
      say(`keys: a pass over ${told.keys} keys with ${differences} differences took ${took.toFixed(1)} s`);
    }
    return {
      keys: count,
      cpuPerChange: ((cpuSeconds - before.cpuSeconds) / changes) * 1000,
      secondsPerChange: (seconds / changes) * 1000,
      callsPerChange: calls / changes,
      rss: peakRssBytes / 2 ** 20,
      passes,
    };
  } finally {
    await world.close();
  }
}

function callsOf(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function toResult(measured: readonly Measured[]): SuiteResult {
  const [first, last] = [measured[0], measured.at(-1)];
  const growth = (pick: (one: Measured) => number) =>
    first === undefined || last === undefined ? Number.NaN : pick(last) / pick(first);
  return {
    name: 'keys',
    title: 'More keys',
    how: [
      said(
        `So many objects of ${SIZE_BYTES} bytes are written to S3 and replicated; then ${CHANGES}`,
        `more are measured, after ${WARM_UP} that are not. The ledger is SQLite.`,
      ),
      said(
        'For the passes the worker is stopped and objects are written that nobody hears of:',
        'those are the differences. The pass lists all three buckets, compares them with the',
        'ledger and replicates what is missing.',
      ),
    ],
    figures: measured.flatMap(({ keys: count, cpuPerChange, callsPerChange, passes }): Figure[] => [
      { name: `keys.${count}.cpu-per-change`, value: cpuPerChange, unit: 'ms', better: 'less' },
      { name: `keys.${count}.calls-per-change`, value: callsPerChange, unit: 'calls', better: 'less' },
      ...passes.map(
        ({ differences, seconds }): Figure => ({
          name: `keys.${count}.pass-${differences}`,
          value: seconds,
          unit: 's',
          better: 'less',
        }),
      ),
    ]),
    tables: [
      {
        title: 'A change, by how many keys there are',
        columns: ['keys', 'CPU ms per change', 'ms per change', 'calls per change', 'peak RSS, MiB'],
        rows: measured.map((it) => [it.keys, it.cpuPerChange, it.secondsPerChange, it.callsPerChange, it.rss]),
      },
      {
        title: 'A pass over all keys',
        columns: ['keys', 'differences', 'seconds', 'CPU s', 'calls'],
        rows: measured.flatMap(({ keys: count, passes }) =>
          passes.map((it) => [count, it.differences, it.seconds, it.cpuSeconds, it.calls]),
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
        what: `calls per change at ${last?.keys} keys over ${first?.keys}`,
        value: growth(({ callsPerChange }) => callsPerChange),
        kind: 'at most',
        bound: 1.1,
        unit: 'x',
        isRatio: true,
      },
      {
        what: `CPU per change at ${last?.keys} keys over ${first?.keys}`,
        value: growth(({ cpuPerChange }) => cpuPerChange),
        kind: 'at most',
        bound: 1.1,
        unit: 'x',
        isRatio: false,
      },
    ],
    notRun: [],
  };
}
