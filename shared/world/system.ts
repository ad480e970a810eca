/** The real clock and the real chance, as every program that is not a simulation gives them to its world. */

import { randomBytes } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Timer } from '../store/layers/timer.ts';
import type { Clock, Random } from './world.ts';

const ID_BYTES = 16;
const YOUNG_BYTES = 2 * 1024 * 1024;
const ROUNDS_OF_ALL = 32;

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

/**
 * Bytes that arrive lie outside V8's heap, where dozens of MiB of them are no reason for it to look for garbage. Told of
 * them, this looks through the young objects after every few MiB, which takes about a millisecond, and now and then
 * through all of them, for what was still being sent when the young ones were looked through.
 */
export function openCollector(): (arrivedBytes: number) => void {
  let [arrived, rounds] = [0, 0];
  return (bytes) => {
    arrived += bytes;
    if (arrived < YOUNG_BYTES) return;
    arrived = 0;
    rounds += 1;
    collect ??= findCollect();
    collect({ type: rounds % ROUNDS_OF_ALL === 0 ? 'major' : 'minor', execution: 'sync' });
  };
}

type Collect = (how: { readonly type: 'major' | 'minor'; readonly execution: 'sync' }) => void;

/** Looked for when it is first needed: most commands never read so much. */
let collect: Collect | undefined;

function findCollect(): Collect {
  setFlagsFromString('--expose-gc');
  const found: unknown = runInNewContext('globalThis.gc');
  return typeof found === 'function' ? (found as Collect) : () => {};
}
