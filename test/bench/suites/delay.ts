/** How long after the user's write was acknowledged its verified replicas stand, while changes come at an even rate. */

import { toNoticeTable } from '../notices.ts';
import type { Noticed, Times } from '../processes/worker.ts';
import type { SuiteResult } from '../result.ts';
import { said } from '../said.ts';
import { keyOf, type Sample } from '../samples.ts';
import { WRITES_AT_ONCE } from '../scales.ts';
import { percentile } from '../statistics.ts';
import type { Context } from '../suites.ts';
import { openBenchWorld } from '../world.ts';

const SIZE_BYTES = 4 * 1024;
const SHARES = { p50: 0.5, p99: 0.99, 'p99.9': 0.999 } as const;
/** Connections are open and code is compiled when it counts. */
const WARM_UP = 200;

export async function delay({ scale, seed, say, profiles }: Context): Promise<SuiteResult> {
  const { changes, changesPerSecond: rate } = scale;
  const world = await openBenchWorld({ seed });
  const sample: Sample = { prefix: 'delay', seed, objects: changes, sizeBytes: SIZE_BYTES };
  try {
    const worker = await world.openWorker({
      concurrency: scale.concurrency,
      ...(profiles !== undefined && { profiles }),
    });
    await worker.go();
    await world.write({ ...sample, prefix: 'warm', objects: WARM_UP, atOnce: WRITES_AT_ONCE, rate });
    await worker.replicated(['gcp', 'azure'], WARM_UP);
    await worker.quiet();
    const before = await worker.usage();
    const { ackAt, firstAt, lastAt } = await world.write({ ...sample, atOnce: WRITES_AT_ONCE, rate });
    const { noticed } = await worker.replicated(['gcp', 'azure'], WARM_UP + changes);
    const used = (await worker.usage()).cpuSeconds - before.cpuSeconds;
    await world.verify(sample);
    const times = new Map(await worker.ask<ReadonlyArray<readonly [string, Times]>>('times', `${sample.prefix}/`));
    const arrivals = new Map(
      await world.clouds.aws.ask<ReadonlyArray<readonly [string, number]>>('arrivals', `${sample.prefix}/`),
    );
    const delays = [...ackAt].map((at, index) => {
      const key = keyOf(sample, index);
      const { heardAt = Number.NaN, replicaAt = {} } = times.get(key) ?? {};
      const { gcp = Number.NaN, azure = Number.NaN } = replicaAt;
      const notified = arrivals.get(key) ?? Number.NaN;
      const both = Math.max(gcp, azure);
      return {
        notified: notified - at,
        heard: heardAt - notified,
        own: both - heardAt,
        added: both - notified,
        gcp: gcp - at,
        azure: azure - at,
        both: both - at,
      };
    });
    const reached = changes / ((lastAt - firstAt) / 1000);
    say(
      `delay: ${reached.toFixed(0)} changes/s, p50 ${percentile(
        delays.map(({ both }) => both),
        0.5,
      ).toFixed(0)} ms`,
    );
    return toResult(delays, { changes, rate, reached, cpu: used / (changes / 1000), noticed });
  } finally {
    await world.close();
  }
}

interface Delays {
  readonly notified: number;
  readonly heard: number;
  readonly own: number;
  readonly added: number;
  readonly gcp: number;
  readonly azure: number;
  readonly both: number;
}

const SPANS: ReadonlyArray<readonly [keyof Delays, string]> = [
  ['notified', "from the write's acknowledgement until S3's notification lies in the queue (the local world's own)"],
  ['heard', 'from then until Triplicate has read it'],
  ['own', 'from then until both replicas stand'],
  ['added', 'added by Triplicate: from the queue until both replicas stand'],
  ['gcp', 'all: from the acknowledgement until the replica at Google stands'],
  ['azure', 'all: until the replica at Azure stands'],
  ['both', 'all: until both replicas stand'],
];

function toResult(
  delays: readonly Delays[],
  {
    changes,
    rate,
    reached,
    cpu,
    noticed,
  }: {
    readonly changes: number;
    readonly rate: number;
    readonly reached: number;
    readonly cpu: number;
    readonly noticed: Noticed;
  },
): SuiteResult {
  const of = (span: keyof Delays, share: number) =>
    percentile(
      delays.map((it) => it[span]),
      share,
    );
  const points = Array.from({ length: 100 }, (_, index) => (index + 1) / 100);
  return {
    name: 'delay',
    title: `Added delay at ${rate} changes a second`,
    how: [
      said(
        `${changes.toLocaleString('en')} new objects of 4 KiB, written to S3 by the plain SDK`,
        `at an even rate; ${reached.toFixed(0)} a second were reached. Measured from the acknowledgement`,
        "of the user's write; the clocks are those of one machine.",
      ),
      said(
        'The local clouds deliver a notification as clouds do on a good day: a median of 8 ms after the write, 60 ms',
        'at p99, one in a hundred twice. That is the first row, and no part of what Triplicate adds. It is taken for',
        'each change by itself, and may be negative: a notification can be there before the answer to the write.',
        'A replica counts as standing when its cloud has acknowledged it with the checksum of the source.',
      ),
    ],
    figures: [
      ...SPANS.flatMap(([span]) =>
        Object.entries(SHARES).map(([name, share]) => ({
          name: `delay.${span}.${name}`,
          value: of(span, share),
          unit: 'ms',
          better: 'less' as const,
        })),
      ),
      { name: 'delay.cpu-per-1000', value: cpu, unit: 'CPU s', better: 'less' },
    ],
    tables: [
      {
        title: 'Milliseconds',
        columns: ['', ...Object.keys(SHARES), 'longest'],
        rows: SPANS.map(([span, text]) => [
          text,
          ...Object.values(SHARES).map((share) => of(span, share)),
          of(span, 1),
        ]),
      },
      {
        title: 'Rate and CPU',
        columns: ['changes a second, wanted', 'reached', 'CPU s of Triplicate per 1,000 changes'],
        rows: [[rate, reached, cpu]],
      },
      ...toNoticeTable([['all of it', noticed]]),
    ],
    charts: [
      {
        kind: 'lines',
        name: 'delay',
        title: `Delay at ${rate} changes a second`,
        x: 'share of the changes, %',
        y: 'ms',
        lines: [
          {
            label: 'notification in the queue',
            points: points.map((share) => [share * 100, Math.max(0, of('notified', share))]),
          },
          { label: 'added by Triplicate', points: points.map((share) => [share * 100, of('added', share)]) },
          { label: 'all', points: points.map((share) => [share * 100, of('both', share)]) },
        ],
      },
    ],
    targets: [
      {
        what: 'added delay until both replicas stand, p50',
        value: of('added', 0.5),
        kind: 'at most',
        bound: 50,
        unit: 'ms',
      },
      {
        what: 'added delay until both replicas stand, p99',
        value: of('added', 0.99),
        kind: 'at most',
        bound: 1000,
        unit: 'ms',
      },
    ],
    notRun: [],
  };
}
