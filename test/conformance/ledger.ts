/** What every Ledger driver must prove, in memory and against the real clouds alike. */

import fc from 'fast-check';
import type { Ledger } from '#shared/ledger/ledger.ts';
import { runCases, type Skip } from './cases.ts';
import type { Bench, LedgerCase } from './ledger-bench.ts';
import { ITEMS } from './ledger-items.ts';
import { LISTS } from './ledger-lists.ts';
import { LOG } from './ledger-log.ts';
import { anyCalls, runLikeModel } from './ledger-model.ts';

export interface LedgerHarness {
  readonly name: string;
  /** A ledger with nothing in it, at any epoch. Called anew for every test. */
  open(): Promise<Ledger>;
  /** The same ledger again, after it was closed. Tests that need it do not run without, and say so. */
  reopen?(ledger: Ledger): Promise<Ledger>;
  /** Puts a text where the first revision of an item would be stored, as a defective program might. As for reopen. */
  plantRow?(ledger: Ledger, key: string, text: string): Promise<void>;
  /** Present: listDue lags behind, and is asked so often at most, with such a pause between. */
  readonly dueLag?: { readonly attempts: number; pause(): Promise<void> };
  /** How many random sequences are compared with the model. */
  readonly modelRuns?: number;
  readonly skip?: readonly Skip[];
}

const MODEL_RUNS = 100;

export function ledgerConformance(harness: LedgerHarness): void {
  const model: LedgerCase = {
    test: 'any sequence of calls is answered as by a Map',
    async run() {
      const numRuns = harness.modelRuns ?? MODEL_RUNS;
      const likeModel = fc.asyncProperty(anyCalls, (calls) =>
        runOnNew(harness, (ledger) => runLikeModel(ledger, calls, harness.dueLag !== undefined)),
      );
      await fc.assert(likeModel, { numRuns });
    },
  };
  runCases({
    driver: harness.name,
    contract: 'ledger',
    cases: [...ITEMS, ...LISTS, ...LOG, model],
    skip: harness.skip,
    offers: (need) => (need === 'reopen' ? harness.reopen !== undefined : harness.plantRow !== undefined),
    around: async (run) => {
      const bench = await openBench(harness);
      try {
        await run(bench);
      } finally {
        await bench.close();
      }
    },
  });
}

async function openBench(harness: LedgerHarness): Promise<Bench & { close(): Promise<void> }> {
  const first = await harness.open();
  let ledger = first;
  return {
    ledger,
    epoch: await ledger.epoch(),
    async reopen() {
      await ledger.close();
      ledger = await harness.reopen!(ledger);
      return ledger;
    },
    plantRow: (key, text) => harness.plantRow!(first, key, text),
    async eventually(check) {
      const { attempts, pause } = harness.dueLag ?? { attempts: 1, pause: async () => {} };
      for (let attempt = 1; attempt < attempts; attempt++) {
        try {
          return await check();
        } catch {
          await pause();
        }
      }
      await check();
    },
    close: () => ledger.close(),
  };
}

async function runOnNew(harness: LedgerHarness, run: (ledger: Ledger) => Promise<void>): Promise<void> {
  const ledger = await harness.open();
  try {
    await run(ledger);
  } finally {
    await ledger.close();
  }
}
