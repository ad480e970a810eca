/** What every Queue driver must prove, in memory and against the real clouds alike. */

import fc from 'fast-check';
import type { Queue } from '#shared/queue/queue.ts';
import { runCases, type Skip } from './cases.ts';
import type { Bench, QueueCase } from './queue-bench.ts';
import { CASES } from './queue-cases.ts';
import { anyCalls, runLikeModel } from './queue-model.ts';

export interface QueueHarness {
  readonly name: string;
  /** A queue with nothing in it. Called anew for every test. */
  open(): Promise<Queue>;
  /** Lets the clock of every queue opened here go on; nothing else may. */
  advance(ms: number): Promise<void>;
  /** The same queue again, after it was closed. Tests that need it do not run without, and say so. */
  reopen?(queue: Queue): Promise<Queue>;
  /** How many random sequences are compared with the model. */
  readonly modelRuns?: number;
  readonly skip?: readonly Skip[];
}

const MODEL_RUNS = 100;

export function queueConformance(harness: QueueHarness): void {
  const model: QueueCase = {
    test: 'in any sequence of calls no message is lost, and a receipt is worth what it should be',
    async run() {
      const likeModel = fc.asyncProperty(anyCalls, (calls) =>
        withBench(harness, (bench) => runLikeModel(bench, calls)),
      );
      await fc.assert(likeModel, { numRuns: harness.modelRuns ?? MODEL_RUNS });
    },
  };
  runCases({
    driver: harness.name,
    contract: 'queue',
    cases: [...CASES, model],
    skip: harness.skip,
    offers: () => harness.reopen !== undefined,
    around: (run) => withBench(harness, run),
  });
}

async function withBench(harness: QueueHarness, run: (bench: Bench) => Promise<void>): Promise<void> {
  let queue = await harness.open();
  const reopen = async () => {
    await queue.close();
    queue = await harness.reopen!(queue);
    return queue;
  };
  try {
    await run({ queue, advance: (ms) => harness.advance(ms), reopen });
  } finally {
    await queue.close();
  }
}
