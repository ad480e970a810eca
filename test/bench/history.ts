/** Runs on disk: each as JSON of its own, and the report and charts of the last one beside them. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toSvg } from './charts.ts';
import { fileOf, toMarkdown } from './report.ts';
import type { Run } from './result.ts';

/** Answers where the report is. */
export function keepRun(folder: string, run: Run): string {
  const before = lastRun(folder, run);
  mkdirSync(join(folder, 'charts'), { recursive: true });
  writeFileSync(join(folder, nameOf(run)), `${JSON.stringify(run, null, 1)}\n`);
  for (const chart of run.suites.flatMap(({ charts }) => charts))
    writeFileSync(join(folder, fileOf(chart)), toSvg(chart));
  const report = join(folder, 'report.md');
  writeFileSync(report, toMarkdown(run, before));
  return report;
}

/** The last one of the same scale that ran any of the same suites. */
export function lastRun(folder: string, { scale, suites }: Pick<Run, 'scale' | 'suites'>): Run | null {
  let names: readonly string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch {
    return null;
  }
  const wanted = new Set(suites.map(({ name }) => name));
  for (const name of names.toSorted().toReversed()) {
    const run = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Run;
    if (run.scale === scale && run.suites.some((suite) => wanted.has(suite.name))) return run;
  }
  return null;
}

function nameOf({ startedAt, scale }: Run): string {
  return `${startedAt.slice(0, 19).replaceAll(':', '')}-${scale}.json`;
}
