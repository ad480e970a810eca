/** Runs the cases of a conformance suite; what does not run names a case that exists, gives a reason and is printed. */

import { describe, expect, it } from 'vitest';
import { type FaultKind, isFault } from '#shared/model/fault.ts';

export interface Skip {
  readonly test: string;
  readonly reason: string;
}

export interface Case<Bench> {
  readonly test: string;
  /** What the harness must offer for it. */
  readonly needs?: string;
  run(bench: Bench): Promise<void>;
}

/** What one case showed of one driver, as docs/compatibility.md tells it. */
export interface Shown {
  readonly contract: 'object store' | 'ledger' | 'queue';
  readonly driver: string;
  readonly test: string;
  /** Why it did not run. */
  readonly reason?: string;
  readonly capabilities?: object;
}

declare module 'vitest' {
  interface TaskMeta {
    shown?: Shown;
  }
}

export interface Suite<Bench> {
  readonly driver: string;
  readonly contract: Shown['contract'];
  readonly cases: readonly Case<Bench>[];
  readonly skip: readonly Skip[] | undefined;
  readonly offers: (need: string) => boolean;
  /** Gives one case its bench and clears it away. */
  readonly around: (run: (bench: Bench) => Promise<void>) => Promise<void>;
}

/** A cloud may need it, a driver on this machine does not. */
const CASE_MS_MAX = 120_000;

export function runCases<Bench>({ driver, contract, cases, skip = [], offers, around }: Suite<Bench>): void {
  const title = `${driver} keeps the contract of ${contract === 'object store' ? 'an' : 'a'} ${contract}`;
  const skips = new Map(skip.map(({ test, reason }) => [test, reason]));
  for (const [test, reason] of skips) {
    if (!cases.some((it) => it.test === test)) throw new Error(`${title}: no test is called "${test}"`);
    if (reason.trim() === '') throw new Error(`${title}: the skip of "${test}" gives no reason`);
  }

  describe(title, () => {
    for (const { test, needs, run } of cases) {
      const reason = skips.get(test) ?? (needs === undefined || offers(needs) ? undefined : `needs ${needs}`);
      it(test, { timeout: CASE_MS_MAX }, async (context) => {
        context.task.meta.shown = { contract, driver, test, ...(reason === undefined ? {} : { reason }) };
        if (reason !== undefined) {
          console.warn(`not run: ${title}: ${test}, ${reason}`);
          return context.skip(reason);
        }
        await around(run);
      });
    }
  });
}

/** The call is refused as a mistake of the caller, and the Fault names this field. */
export async function refusedFor(field: string, call: Promise<unknown>): Promise<void> {
  const outcome = await call.then(
    (answer) => ({ answer }),
    (error: unknown) => (isFault(error, 'invalid') ? error.details.field : error),
  );
  expect(outcome).toBe(field);
}

/** What the racers were told. A service may refuse some because it saw too many at once: for them it is `lost`. */
export async function answers<T>(racers: readonly Promise<T>[], lost: T): Promise<readonly T[]> {
  const harmless: readonly FaultKind[] = ['conflict', 'throttled'];
  return Promise.all(
    racers.map((racer) =>
      racer.catch((error: unknown) => {
        if (isFault(error, ...harmless)) return lost;
        throw error;
      }),
    ),
  );
}

/** How many of the racers did it; the others lost. */
export async function winners<T>(racers: readonly Promise<T>[], won: T, lost: T): Promise<number> {
  const all = await answers(racers, lost);
  expect(all.filter((answer) => answer !== won && answer !== lost)).toEqual([]);
  return all.filter((answer) => answer === won).length;
}

export function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
