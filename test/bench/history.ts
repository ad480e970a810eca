/** Runs on disk: each as JSON of its own, and the report and charts of the last one beside them. */

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toSvg } from './charts.ts';
import { fileOf, toMarkdown } from './report.ts';
import type { Run } from './result.ts';

/** Below the folder of results: runs that are kept with the sources, each with its report. */
export const RECORDED = 'recorded';

/** Answers where the report is. `isRecorded`: another one is laid beside the sources. */
export function keepRun(folder: string, run: Run, isRecorded = false): string {
  const before = lastRuns(folder, run);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${nameOf(run)}.json`), toJson(run));
  if (!isRecorded) return writeReport(folder, run, before);
  writeReport(folder, run, before);
  const own = join(folder, RECORDED, nameOf(run));
  mkdirSync(own, { recursive: true });
  writeFileSync(join(own, 'run.json'), toJson(run));
  return writeReport(own, run, before);
}

function writeReport(folder: string, run: Run, before: ReadonlyMap<string, Run>): string {
  mkdirSync(join(folder, 'charts'), { recursive: true });
  for (const chart of run.suites.flatMap(({ charts }) => charts))
    writeFileSync(join(folder, fileOf(chart)), toSvg(chart));
  const report = join(folder, 'report.md');
  writeFileSync(report, toMarkdown(run, before));
  return report;
}

/** By suite: the last run before this one that had it, at the same scale and on the same machine. */
export function lastRuns(
  folder: string,
  { scale, machine, suites }: Pick<Run, 'scale' | 'machine' | 'suites'>,
): ReadonlyMap<string, Run> {
  const comparable = readRuns(folder).filter(
    (run) => run.scale === scale && ['processor', 'cores'].every((it) => run.machine[it] === machine[it]),
  );
  return new Map(
    suites.flatMap(({ name }) => {
      const last = comparable.findLast((run) => run.suites.some((suite) => suite.name === name));
      return last === undefined ? [] : [[name, last]];
    }),
  );
}

/** The oldest first. */
function readRuns(folder: string): readonly Run[] {
  const files = [
    ...namesIn(folder).filter((name) => name.endsWith('.json')),
    ...namesIn(join(folder, RECORDED)).map((name) => join(RECORDED, name, 'run.json')),
  ];
  return files
    .map((name) => join(folder, name))
    .filter((path) => existsSync(path))
    .map((path) => JSON.parse(readFileSync(path, 'utf8')) as Run)
    .toSorted((a, b) => (a.startedAt < b.startedAt ? -1 : 1));
}

function namesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function toJson(run: Run): string {
  return `${JSON.stringify(run, null, 1)}\n`;
}

function nameOf({ startedAt, scale }: Run): string {
  return `${startedAt.slice(0, 19).replaceAll(':', '')}-${scale}`;
}
