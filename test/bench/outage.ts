/** A cloud that is away while changes come: how fast what has waited is worked off when it is back, and by when all of it. */

import type { Sample } from './samples.ts';
import { WRITES_AT_ONCE } from './scales.ts';
import { nowMs } from './serve.ts';
import type { Context } from './suites.ts';
import { openBenchWorld } from './world.ts';

export interface Drain {
  readonly changes: number;
  readonly outageSeconds: number;
  /** At Google, which was there all the time, when Azure came back. */
  readonly elsewhere: number;
  readonly waiting: number;
  /** Seconds after the return, and how many still waited then. */
  readonly points: ReadonlyArray<readonly [seconds: number, waiting: number]>;
  /** Of those that waited. */
  readonly worked: number;
  /** Null: not before `boundSeconds` had passed. */
  readonly caughtUpSeconds: number | null;
  readonly firstSeconds: number | null;
  readonly boundSeconds: number;
}

export const OUTAGE_RATE = 30;

const SIZE_BYTES = 4 * 1024;
const LOOK_MS = 100;
const WARM_UP = 50;

/** Azure answers nobody, its queue included, while S3 is written to. */
export async function measureOutage({ scale, seed }: Context): Promise<Drain> {
  const { outageSeconds, catchUpSeconds } = scale;
  const changes = Math.max(1, Math.round(outageSeconds * OUTAGE_RATE));
  const sample: Sample = { prefix: 'outage', seed, objects: changes, sizeBytes: SIZE_BYTES };
  const standing = async (site: string) => worker.standing(`${sample.prefix}/`, site);
  const world = await openBenchWorld({ seed });
  const worker = await world.openWorker();
  try {
    await worker.go();
    await world.write({ ...sample, prefix: 'warm', objects: WARM_UP, atOnce: WRITES_AT_ONCE });
    await worker.replicated(['gcp', 'azure'], WARM_UP);
    await worker.quiet();
    await world.clouds.azure.ask('addFault', { kind: 'outage' });
    await world.write({ ...sample, atOnce: WRITES_AT_ONCE, rate: OUTAGE_RATE });
    const elsewhere = await standing('gcp');
    const waiting = changes - (await standing('azure'));
    await world.clouds.azure.ask('clearFaults');

    const backAt = nowMs();
    const secondsNow = () => (nowMs() - backAt) / 1000;
    const points: (readonly [number, number])[] = [[0, waiting]];
    let left = waiting;
    while (left > 0 && secondsNow() < catchUpSeconds) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      const now = changes - (await standing('azure'));
      if (now !== left) points.push([secondsNow(), now]);
      left = now;
    }
    const ended = secondsNow();
    if (left > 0) points.push([ended, left]);
    else await world.verify(sample);
    return {
      changes,
      outageSeconds,
      elsewhere,
      waiting,
      points,
      worked: waiting - left,
      caughtUpSeconds: left > 0 ? null : (points.at(-1)?.[0] ?? 0),
      firstSeconds: points.find(([, now]) => now < waiting)?.[0] ?? null,
      boundSeconds: catchUpSeconds,
    };
  } finally {
    await world.close();
  }
}

/** Changes a second, from the return of the cloud until the last one that was worked off. */
export function drainRate({ points, worked, waiting }: Drain): number {
  const last = points.findLast(([, now], index) => index > 0 && now < (points[index - 1]?.[1] ?? waiting));
  return last === undefined || worked === 0 ? 0 : worked / last[0];
}
