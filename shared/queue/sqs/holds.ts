/** Which receipts still hold, as far as this process knows: SQS says yes to most that have long expired. */

import type { Held } from './letter.ts';

export interface Holds {
  /**
   * Acts while the receipt holds, one at a time for each. When `act` answers null the message was settled, a number says
   * until when it is held from now on, and false that it is gone after all. Answers whether it was still held.
   */
  whileHeld(held: Held, act: () => Promise<number | null | false>): Promise<boolean>;
  /** Forgets what expired anyway, now and then: each time all of them are gone through. */
  tidy(): void;
}

interface Hold {
  /** null: settled. */
  until: number | null;
  /** By when the receipt itself says that it has expired. */
  forgetAt: number;
  busy: Promise<unknown> | null;
}

const TIDY_EVERY_MS = 5_000;

export function openHolds(now: () => number): Holds {
  /** Only what differs from what the receipt says. */
  const holds = new Map<string, Hold>();
  let tidyAt = 0;

  return {
    async whileHeld({ handle, heldUntil }, act) {
      for (;;) {
        const known = holds.get(handle);
        if (known?.busy) {
          await known.busy;
          continue;
        }
        const until = known === undefined ? heldUntil : known.until;
        if (until === null || until <= now()) return false;
        const hold: Hold = known ?? { until, forgetAt: heldUntil, busy: null };
        holds.set(handle, hold);
        const running = act();
        hold.busy = running.catch(() => {});
        try {
          const after = await running;
          hold.until = after === false ? null : after;
          hold.forgetAt = Math.max(hold.forgetAt, hold.until ?? 0);
          return after !== false;
        } finally {
          hold.busy = null;
        }
      }
    },
    tidy() {
      const at = now();
      if (at < tidyAt) return;
      tidyAt = at + TIDY_EVERY_MS;
      for (const [handle, { forgetAt, busy }] of holds) if (busy === null && forgetAt <= at) holds.delete(handle);
    },
  };
}
