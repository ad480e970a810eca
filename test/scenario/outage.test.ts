/** A site that does not answer for a while: what waits for it, for how long, and what brings it on. */
import { afterEach, describe, expect, it } from 'vitest';
import { INTENTS_MAX } from '#shared/decide/plan.ts';
import { type FaultKind, fault } from '#shared/model/fault.ts';
import { antiEntropy } from '#shared/replicate/anti-entropy.ts';
import { sweep } from '#shared/replicate/sweep.ts';
import type { ObjectStore } from '#shared/store/store.ts';
import type { Timer } from '#shared/world/world.ts';
import { type RunningSweeper, startSweeper } from '../../functions/sweeper.ts';
import { openScene, type Scene } from './world.ts';

const KEY = 'docs/a.txt';
const MINUTE = 60_000;

/** From now on every call to the site fails so; null: it answers again. */
function failAt(scene: Scene, site: string, kind: FaultKind | null, ops?: readonly string[]): void {
  scene.before = ({ place, op }) => {
    if (place === site && kind !== null && (ops?.includes(op) ?? true))
      throw fault(kind, 'as the test wants', { site });
  };
}

async function intentsAt(scene: Scene, site: string) {
  return (await scene.item(KEY))?.sites[site]?.intents ?? [];
}

async function dueIn(scene: Scene): Promise<number> {
  return ((await scene.item(KEY))?.due ?? Number.POSITIVE_INFINITY) - scene.now;
}

describe('a write that was refused', () => {
  it.each<FaultKind>(['unreachable', 'unavailable', 'throttled'])(
    'as %s is tried again within seconds',
    async (kind) => {
      const scene = await openScene();
      failAt(scene, 'gcp', kind);
      scene.put('aws', KEY, 'one');
      await scene.drain();
      expect(await scene.readAll(KEY)).toEqual(['one', null, 'one']);
      expect(await intentsAt(scene, 'gcp')).toEqual([]);
      expect(await dueIn(scene)).toBe(5_000);
      failAt(scene, 'gcp', null);
      scene.now += 5_000;
      expect(await sweep(scene.world, 10)).toMatchObject({ done: 1, later: 0 });
      expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'one']);
    },
  );

  it('for good is tried again after a lease, for only a person can change that', async () => {
    const scene = await openScene();
    failAt(scene, 'gcp', 'forbidden');
    scene.put('aws', KEY, 'one');
    await scene.drain();
    expect(await intentsAt(scene, 'gcp')).toEqual([]);
    expect(await dueIn(scene)).toBe(scene.world.topology.limits.leaseMs);
  });

  it('does not keep an operator waiting', async () => {
    const scene = await openScene();
    failAt(scene, 'gcp', 'unreachable');
    scene.put('aws', KEY, 'one');
    await scene.drain();
    failAt(scene, 'gcp', null);
    expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'finished', differing: 1, failed: 0, left: 0 });
    expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'one']);
    expect(await dueIn(scene)).toBe(Number.POSITIVE_INFINITY);
  });

  it('is tried ever less often, and once in a lease at last', async () => {
    const scene = await openScene();
    const { leaseMs } = scene.world.topology.limits;
    failAt(scene, 'gcp', 'unreachable');
    scene.put('aws', KEY, 'one');
    await scene.drain();
    const waits: number[] = [];
    for (let i = 0; i < 20; i++) {
      waits.push(await dueIn(scene));
      scene.now += waits.at(-1) as number;
      expect(await sweep(scene.world, 10)).toMatchObject({ done: 0, later: 1, waiting: 1 });
    }
    expect(waits.slice(0, 5)).toEqual([5_000, 5_000, 5_000, 7_500, 11_250]);
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect(waits.at(-1)).toBe(leaseMs);
  });
});

describe('a write that nobody answered', () => {
  it('is looked for within seconds, and made again if it did not happen', async () => {
    const scene = await openScene();
    failAt(scene, 'gcp', 'timeout');
    scene.put('aws', KEY, 'one');
    await scene.drain();
    expect(await intentsAt(scene, 'gcp')).toMatchObject([{ leaseUntil: scene.now }]);
    expect(await dueIn(scene)).toBe(5_000);
    failAt(scene, 'gcp', null);
    scene.now += 5_000;
    await sweep(scene.world, 10);
    expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'one']);
  });

  it('is not made again while the site does not even answer looks', async () => {
    const scene = await openScene();
    failAt(scene, 'gcp', 'timeout');
    scene.put('aws', KEY, 'one');
    await scene.drain();
    for (let i = 0; i < 20; i++) {
      scene.now += await dueIn(scene);
      await sweep(scene.world, 10);
      expect(await intentsAt(scene, 'gcp')).toHaveLength(1);
    }
  });

  it('is made less and less often where looks are answered and writes are not', async () => {
    const scene = await openScene();
    failAt(scene, 'gcp', 'timeout', ['put']);
    scene.put('aws', KEY, 'one');
    await scene.drain();
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      waits.push(await dueIn(scene));
      scene.now += waits.at(-1) as number;
      await sweep(scene.world, 10);
    }
    const { leaseMs } = scene.world.topology.limits;
    // The first time it was told of twice: by its own notification, and by that of the copy at the third site.
    expect(waits).toEqual([5_000, ...Array(7).fill(leaseMs)]);
    expect(await intentsAt(scene, 'gcp')).toHaveLength(INTENTS_MAX);
  });

  it('is recognised when it comes late, and not made twice', async () => {
    const scene = await openScene();
    scene.before = async ({ place, op, args }) => {
      if (place !== 'gcp' || op === 'delete') return;
      if (op === 'put') await scene.buckets.gcp?.put(...(args as Parameters<ObjectStore['put']>));
      throw fault('timeout', 'whatever was done, no answer came', { site: 'gcp' });
    };
    scene.put('aws', KEY, 'one');
    await scene.drain();
    expect(await scene.read('gcp', KEY)).toBe('one');
    expect(await intentsAt(scene, 'gcp')).toHaveLength(1);
    failAt(scene, 'gcp', null);
    scene.writes();
    await antiEntropy(scene.world);
    expect(scene.writes().filter((write) => write.startsWith('gcp'))).toEqual([]);
    expect(await intentsAt(scene, 'gcp')).toEqual([]);
    expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'one']);
  });
});

describe('a sweeper', () => {
  const running: RunningSweeper[] = [];
  afterEach(async () => {
    for (const sweeper of running.splice(0)) await sweeper.stop();
  });

  it('goes through all that waited as soon as the site answers again, however far ahead it is due', async () => {
    const scene = await openScene();
    failAt(scene, 'gcp', 'unreachable');
    const keys = Array.from({ length: 25 }, (_, i) => `k${i}`);
    for (const key of keys) scene.put('aws', key, key);
    await scene.drain();
    const ticks: Array<() => void> = [];
    const timer: Timer = {
      after(_ms, run) {
        ticks.push(run);
        return () => {};
      },
    };
    running.push(startSweeper(scene.world, { timer, passEveryMs: 0, keysAtOnce: 10 }));
    const tick = async () => {
      const before = ticks.length;
      ticks[before - 1]?.();
      while (ticks.length === before) await new Promise((resolve) => setImmediate(resolve));
    };
    for (let hour = 0; hour < 3; hour++) {
      scene.now += 60 * MINUTE;
      await tick();
    }
    // Each is due within a quarter of an hour by now; the first one that is due finds the site back.
    scene.put('aws', KEY, 'the newest');
    await scene.drain();
    failAt(scene, 'gcp', null);
    scene.now += 5_000;
    await tick();
    expect(await Promise.all(keys.map((key) => scene.read('gcp', key)))).toEqual(keys);
  });
});
