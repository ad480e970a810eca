/** What turns measurements into a report, and one benchmark in small: enough to know that the others can run. */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { toSvg } from './charts.ts';
import { callsOf, isOfBucket } from './counts.ts';
import { keepRun } from './history.ts';
import { BILLED, PRICES, sumOf, toBill } from './prices.ts';
import { toMarkdown } from './report.ts';
import { isMet, passesGate, type Run, type SuiteResult } from './result.ts';
import { bytesOf, eachOf, keyOf, md5Of, piecesOf } from './samples.ts';
import { median, percentile, rounded } from './statistics.ts';
import { openBenchWorld } from './world.ts';

/** Five processes start, on a machine that may be busy. */
const WORLD_MS_MAX = 300_000;

const suite: SuiteResult = {
  name: 'small',
  title: 'Small ones',
  how: ['As told.'],
  figures: [{ name: 'small.rate', value: 150, unit: 'objects/s', better: 'more' }],
  tables: [
    {
      title: 'Speed',
      columns: ['who', 'rate'],
      rows: [
        ['<us>', 150],
        ['them', null],
      ],
    },
  ],
  charts: [{ kind: 'bars', name: 'rates', title: 'a < b & c', unit: '/s', bars: [{ label: '<us>', value: 150 }] }],
  targets: [{ what: 'rate', value: 1.2, kind: 'at least', bound: 1.5, unit: 'x' }],
  notRun: ['not run: rclone, needs rclone'],
};

function runOf(startedAt: string, changes: Partial<SuiteResult> = {}): Run {
  return {
    startedAt,
    scale: 'usual',
    seed: 1,
    machine: { cores: 2 },
    versions: { node: 'v24' },
    took: { small: 3 },
    suites: [{ ...suite, ...changes }],
  };
}

describe('numbers', () => {
  it('are the middle one, and the one that a share does not exceed', () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, Number.NaN]);
    const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
    expect([0.5, 0.99, 1].map((share) => percentile(hundred, share))).toEqual([50, 99, 100]);
    expect([1234.5, 12.345, 0.012_345, 0, Number.NaN].map(rounded)).toEqual(['1,235', '12.3', '0.0123', '0.00', '-']);
  });
});

describe('samples', () => {
  it('follow from the seed, in pieces or whole', () => {
    const sample = { seed: 3, sizeBytes: 2_500_000 };
    expect(Buffer.concat([...piecesOf(sample, 7)]).equals(bytesOf(sample, 7))).toBe(true);
    expect(bytesOf(sample, 7)).toHaveLength(sample.sizeBytes);
    expect(md5Of(sample, 7)).not.toBe(md5Of({ ...sample, seed: 4 }, 7));
    expect(bytesOf({ ...sample, sizeBytes: 0 }, 1)).toHaveLength(0);
    expect(keyOf({ prefix: 'p' }, 123)).toBe('p/23/00000123');
  });

  it('are worked on so many at once, and the first failure ends it', async () => {
    const open = { now: 0, most: 0 };
    await eachOf(20, 4, async () => {
      open.most = Math.max(open.most, ++open.now);
      await Promise.resolve();
      open.now -= 1;
    });
    expect(open).toEqual({ now: 0, most: 4 });
    await expect(eachOf(5, 2, async (index) => Promise.reject(new Error(`no ${index}`)))).rejects.toThrow('no 0');
  });
});

describe('a bill', () => {
  it('is calls times units times price, and tells what nobody can save', () => {
    const bill = toBill({ 's3 GetObject': 200, 's3 ListObjectVersions': 100, 'sqs PutToken': 9 }, 100, [
      { what: 'event', price: 'eventGrid', unitsPerChange: 2, why: '' },
    ]);
    expect(bill.map(({ what, dollarsPerMillion }) => [what, dollarsPerMillion])).toEqual([
      ['s3 ListObjectVersions', 5],
      ['event', 1.2],
      ['s3 GetObject', 0.8],
    ]);
    expect(sumOf(bill, ({ inevitable }) => inevitable)).toBe(0.8);
  });

  it('knows the source and the date of every price', () => {
    for (const { source, date } of Object.values(PRICES)) {
      expect(source).not.toBe('');
      expect(date).toMatch(/^20\d\d-\d\d(-\d\d)?$/);
    }
    for (const { price } of Object.values(BILLED)) expect(PRICES).toHaveProperty(price);
  });
});

describe('a report', () => {
  it('says what was aimed at, what was not run, and what has become better or worse', () => {
    const before = runOf('2026-01-01T00:00:00.000Z', {
      figures: [{ name: 'small.rate', value: 100, unit: 'objects/s', better: 'more' }],
    });
    const text = toMarkdown(runOf('2026-01-02T00:00:00.000Z'), new Map([['small', before]]));
    expect(text).toContain('| small | rate | 1.20 x | at least 1.50 x | **missed** |');
    expect(text).toContain('not run: rclone, needs rclone.');
    expect(text).toContain('| small.rate | 2026-01-01 00:00 | 100 objects/s | 150 objects/s | +50 % | better |');
    expect(text).toContain('![a < b & c](charts/rates.svg)');
    expect(isMet({ ...suite.targets[0]!, kind: 'at most' })).toBe(true);
  });

  it('fails a build beyond the bound of a build alone', () => {
    const target = suite.targets[0]!;
    expect(isMet(target)).toBe(false);
    expect([undefined, 1.1, 1.3].map((gate) => passesGate({ ...target, ...(gate && { gate }) }))).toEqual([
      true,
      true,
      false,
    ]);
  });

  it('has charts that are well formed whatever their words', () => {
    const line = {
      label: 'x',
      points: [
        [10, 1],
        [1000, 3],
      ] as const,
    };
    const lines = toSvg({ kind: 'lines', name: 'l', title: 't', x: 'x', y: 'y', logarithmicX: true, lines: [line] });
    expect(lines).toContain('<polyline points="64.0,269.3 696.0,56.0"');
    const bars = toSvg(suite.charts[0]!);
    expect(bars).toContain('a &lt; b &amp; c');
    expect(bars).not.toContain('<us>');
  });

  it('is kept beside every run before it, and each suite is held against the last comparable one', () => {
    const folder = mkdtempSync(join(tmpdir(), 'triplicate-history-'));
    const reportOf = (run: Run, isRecorded = false) => readFileSync(keepRun(folder, run, isRecorded), 'utf8');
    try {
      reportOf(runOf('2026-01-01T00:00:00.000Z', { figures: [] }), true);
      reportOf({ ...runOf('2026-01-02T00:00:00.000Z'), scale: 'short' });
      reportOf({ ...runOf('2026-01-03T00:00:00.000Z'), machine: { cores: 64 } });
      reportOf(runOf('2026-01-04T00:00:00.000Z', { name: 'large' }));
      rmSync(join(folder, '2026-01-01T000000-usual.json'));
      expect(reportOf(runOf('2026-01-05T00:00:00.000Z'))).toContain('## Against the last time (2026-01-01 00:00)');
      expect(readdirSync(join(folder, 'recorded', '2026-01-01T000000-usual'))).toEqual([
        'charts',
        'report.md',
        'run.json',
      ]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('shows words as they are', () => {
    const text = toMarkdown(
      runOf('2026-01-01T00:00:00.000Z', { tables: [{ ...suite.tables[0]!, rows: [['<a|b>', 7]] }] }),
    );
    expect(text).toContain('| &lt;a\\|b> | 7 |');
  });
});

describe('the world of a benchmark', () => {
  it('replicates between processes, counts what the clouds are asked, and finds what differs', {
    timeout: WORLD_MS_MAX,
  }, async () => {
    const world = await openBenchWorld({ seed: 1 });
    try {
      const sample = { prefix: 'few', seed: 1, objects: 5, sizeBytes: 4096 };
      const worker = await world.openWorker({ ledger: 'memory' });
      await world.write({ ...sample, atOnce: 5 });
      await world.takeCounts();
      await worker.go();
      await worker.replicated(['gcp', 'azure'], sample.objects);
      const counts = await world.takeCounts();
      await world.verify(sample);
      await expect(world.verify({ ...sample, objects: 6 })).rejects.toThrow('5 of 6 objects');
      // Each object is read once and written once at each target, whatever else is asked.
      expect(counts['s3 GetObject']).toBe(sample.objects);
      expect(counts['gcs storage.objects.insert']).toBe(sample.objects);
      expect(counts['blob PutBlob']).toBe(sample.objects);
      // Looks included; those of queues depend on how busy the machine is.
      expect(callsOf(counts, isOfBucket) / sample.objects).toBeLessThanOrEqual(7);
      expect((await worker.usage()).cpuSeconds).toBeGreaterThan(0);
    } finally {
      await world.close();
    }
  });
});
