/** Looks through the keys of the ledger, one page after the other, and tells what it found. */

import { isFault } from '../shared/model/fault.ts';
import { type KeyVerdict, verifyKey } from '../shared/replicate/verify.ts';
import type { Timer, World } from '../shared/world/world.ts';

export interface VerifyRun {
  readonly prefix?: string;
  /** Of the keys, from 0 to 1: looked at at all; left out: all of them. Those whose bytes are read are among them. */
  readonly share?: number;
  /** Of the keys, from 0 to 1: their bytes are read. Which ones is chosen by their names and `round`. */
  readonly deepShare: number;
  /** Another number reads others. */
  readonly round?: number;
  readonly dryRun?: boolean;
  readonly concurrency?: number;
  /** Told of every key as it comes. */
  readonly tell?: (verdict: KeyVerdict) => void;
  /** Ends the run early when it answers true. */
  readonly enough?: () => boolean;
}

export interface VerifyTotals {
  keys: number;
  sound: number;
  deep: number;
  repaired: number;
  left: number;
  unknown: number;
  /** Where to go on when it ended early. */
  next?: string;
}

const PAGE = 500;

export async function verify(world: World, run: VerifyRun): Promise<VerifyTotals> {
  const { prefix = '', share = 1, deepShare, round = 0, dryRun = false, concurrency = 8, tell, enough } = run;
  const totals: VerifyTotals = { keys: 0, sound: 0, deep: 0, repaired: 0, left: 0, unknown: 0 };
  let after: string | undefined;
  for (;;) {
    const page = await world.ledger.listKeys({ limit: PAGE, ...(after === undefined ? {} : { after }) });
    const keys = page.filter((key) => key.startsWith(prefix) && isChosen(key, round, share));
    for (let at = 0; at < keys.length; at += concurrency) {
      if (enough?.() === true) {
        if (after !== undefined) totals.next = after;
        return totals;
      }
      const some = keys.slice(at, at + concurrency);
      await Promise.all(
        some.map(async (key) => {
          const deep = isChosen(key, round, deepShare);
          const verdict = await verifyKey(world, key, { deep, dryRun });
          totals.keys += 1;
          totals.deep += deep ? 1 : 0;
          totals[verdict.outcome] += 1;
          tell?.(verdict);
        }),
      );
      after = some.at(-1);
    }
    if (page.length < PAGE) return totals;
    after = page.at(-1);
  }
}

const HOUR_MS = 3_600_000;
/** So that in the mean every copy is asked after once a day, and read once in a hundred days. */
const HOURLY = { share: 1 / 24, deepShare: 1 / 2_400, concurrency: 4 };

/** The share of the hour that it is. */
export function verifyHourly(world: World, enough: () => boolean): Promise<VerifyTotals> {
  return verify(world, { ...HOURLY, round: Math.floor(world.clock.now() / HOUR_MS), enough });
}

export interface VerifierOptions {
  readonly timer: Timer;
  readonly everyMs?: number;
}

export interface RunningVerifier {
  /** Lets the keys under way end. */
  stop(): Promise<void>;
}

/** By itself, beside everything else, for as long as the process lives; what it finds is reported as it is repaired. */
export function startVerifier(world: World, { timer, everyMs = HOUR_MS }: VerifierOptions): RunningVerifier {
  let stopped = false;
  let round: Promise<unknown> = Promise.resolve();
  let cancel = timer.after(everyMs, begin);

  function begin(): void {
    round = verifyHourly(world, () => stopped)
      .catch((error: unknown) => {
        if (!isFault(error)) throw error;
        world.report({ severity: 'warning', what: 'ledger-down', detail: error.message });
      })
      .finally(() => {
        if (!stopped) cancel = timer.after(everyMs, begin);
      });
  }

  return {
    async stop() {
      stopped = true;
      cancel();
      await round;
    },
  };
}

/** Evenly over all keys, and every key sooner or later as the rounds go on: FNV-1a of the round and the key. */
export function isChosen(key: string, round: number, share: number): boolean {
  let hash = 0x811c9dc5;
  for (const char of `${round}\n${key}`) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  // The low bits of so short a hash are better mixed than the high ones.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0;
  return (hash ^ (hash >>> 12)) >>> 0 < share * 2 ** 32;
}
