/** The real clock and the real chance, as every program that is not a simulation gives them to its world. */

import { randomBytes } from 'node:crypto';
import type { Timer } from '../store/layers/timer.ts';
import type { Clock, Random } from './world.ts';

const ID_BYTES = 16;

export function openSystemClock(): Clock {
  return { now: () => Date.now() };
}

export function openSystemRandom(): Random {
  return { id: () => randomBytes(ID_BYTES).toString('base64url') };
}

/** When everything that is to be done now has been done. */
export function soon(run: () => void): void {
  setImmediate(run);
}

/** How layers of a store wait. */
export function openSystemTimer(): Timer {
  return {
    after(ms, run) {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
  };
}
