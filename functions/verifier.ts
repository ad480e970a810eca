/** Looks through the keys of the ledger, one page after the other, and tells what it found. */

import { type KeyVerdict, verifyKey } from '../shared/replicate/verify.ts';
import type { World } from '../shared/world/world.ts';

export interface VerifyRun {
  readonly prefix?: string;
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
  const { prefix = '', deepShare, round = 0, dryRun = false, concurrency = 8, tell, enough } = run;
  const totals: VerifyTotals = { keys: 0, sound: 0, deep: 0, repaired: 0, left: 0, unknown: 0 };
  let after: string | undefined;
  for (;;) {
    const page = await world.ledger.listKeys({ limit: PAGE, ...(after === undefined ? {} : { after }) });
    const keys = page.filter((key) => key.startsWith(prefix));
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

/** Evenly over all keys, and every key sooner or later as the rounds go on: FNV-1a of the round and the key. */
export function isChosen(key: string, round: number, share: number): boolean {
  let hash = 0x811c9dc5;
  for (const char of `${round}\n${key}`) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  // The low bits of so short a hash are better mixed than the high ones.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0;
  return (hash ^ (hash >>> 12)) >>> 0 < share * 2 ** 32;
}
