/** Runs its share of the seeds in a thread of its own. */

import { parentPort, workerData } from 'node:worker_threads';
import type { RuleName } from '#shared/decide/rules.ts';
import type { Violation } from './history.ts';
import { runSeed } from './run.ts';
import type { Wire } from './wire.ts';

export interface Batch {
  readonly first: number;
  readonly step: number;
  readonly last: number;
  readonly without: RuleName | undefined;
  readonly wire: Wire;
  /** Stop at the first failing seed. */
  readonly untilFailure?: boolean;
}

export interface BatchResult {
  readonly failures: ReadonlyArray<{ readonly seed: number; readonly violations: readonly Violation[] }>;
  readonly counts: {
    readonly versions: number;
    readonly writes: number;
    readonly crashes: number;
    readonly steps: number;
  };
}

// Faults are thrown by the million here; whoever replays a seed sees where they came from.
Error.stackTraceLimit = 0;

export async function runBatch({
  first,
  step,
  last,
  without,
  wire,
  untilFailure = false,
}: Batch): Promise<BatchResult> {
  const failures: Array<{ seed: number; violations: readonly Violation[] }> = [];
  const counts = { versions: 0, writes: 0, crashes: 0, steps: 0 };
  for (let seed = first; seed <= last; seed += step) {
    const { violations, history, steps } = await runSeed(seed, { wire, ...(without === undefined ? {} : { without }) });
    counts.versions += history.born.length;
    counts.writes += history.stood.filter(({ actor }) => actor === 'us').length;
    counts.crashes += history.crashes;
    counts.steps += steps;
    if (violations.length > 0) failures.push({ seed, violations });
    if (untilFailure && failures.length > 0) break;
  }
  return { failures, counts };
}

if (parentPort !== null && workerData !== null) parentPort.postMessage(await runBatch(workerData as Batch));
