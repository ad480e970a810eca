/** For whoever would rather know by now that there is no answer. */

import { fault } from '../model/fault.ts';
import type { Timer } from '../store/layers/timer.ts';

/** Fault 'timeout' after `ms`; what was begun may go on, and nobody hears of it. */
export function inTime<T>(timer: Timer, ms: number, place: string, run: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = timer.after(ms, () =>
      reject(fault('timeout', `${place} did not answer within ${ms / 1_000} s`, { op: 'look' })),
    );
    run().then(resolve, reject).finally(cancel);
  });
}
