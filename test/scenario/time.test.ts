/** Work that is cut into invocations: each of them stops in time, and together they finish. */
import { describe, expect, it } from 'vitest';
import { readObjectChange } from '#shared/model/object-change.ts';
import { antiEntropy } from '#shared/replicate/anti-entropy.ts';
import { workInTime } from '#shared/replicate/consume.ts';
import { sweep } from '#shared/replicate/sweep.ts';
import { withDeadline } from '#shared/replicate/time.ts';
import { pass } from '../../functions/sweeper.ts';
import { openScene, type Scene } from './world.ts';

const KEY = 'video.bin';
const TEXT = 'one object of five parts and a little more';
const LEASE_MS = 900_000;
const PART_TAKES_MS = 1_000;

/** Every part takes a second. */
async function openSlow(): Promise<Scene> {
  const scene = await openScene({
    sites: { aws: 's3', gcp: 'gcs' },
    limits: { stageOverBytes: 16, partBytes: 8, leaseMs: LEASE_MS },
  });
  scene.before = ({ op }) => {
    if (op === 'putPart') scene.now += PART_TAKES_MS;
  };
  return scene;
}

/** Takes what the queue has, as one invocation that may take so long; answers how it was settled. */
async function invoke(scene: Scene, ms: number): Promise<readonly string[]> {
  const kinds: string[] = [];
  const world = withDeadline(scene.world, scene.now + ms);
  for (const { body, attempt, receipt } of await scene.queue.receive({ max: 10, visibilityMs: 60_000 })) {
    const settlement = await workInTime(world, () => [readObjectChange(body)], attempt);
    await scene.queue.settle(receipt, settlement);
    kinds.push(settlement.kind);
  }
  return kinds;
}

function partsIn(scene: Scene): readonly unknown[] {
  return scene.calls.splice(0).flatMap(({ op, answer, args }) => (op === 'putPart' && answer ? [args[2]] : []));
}

describe('a large object copied by invocations', () => {
  it('is finished by several of them through the queue, and no part is copied twice', async () => {
    const scene = await openSlow();
    scene.put('aws', KEY, TEXT);
    const invocations: unknown[] = [];
    for (let n = 0; n < 10 && (await scene.item(KEY))?.due !== null; n++) {
      const settled = await invoke(scene, 2_500);
      invocations.push([...settled, ...partsIn(scene)]);
      scene.now += 1_000;
    }
    expect(invocations).toEqual([
      ['again', 1, 2, 3, 4],
      ['done', 5, 6],
    ]);
    expect(await scene.readAll(KEY)).toEqual([TEXT, TEXT]);
    expect(await scene.keys('gcp')).toEqual(['.triplicate/sentinel', KEY]);
  });

  it('begins no part beyond the first few that would not end in time, as far as those tell', async () => {
    const scene = await openSlow();
    scene.put('aws', KEY, TEXT);
    const startedAt = scene.now;
    await invoke(scene, 4_999);
    expect(partsIn(scene)).toEqual([1, 2, 3, 4]);
    expect(scene.now - startedAt).toBe(4 * PART_TAKES_MS);
  });

  it('is left alone by one that has no time at all', async () => {
    const scene = await openSlow();
    scene.put('aws', KEY, TEXT);
    expect(await invoke(scene, 0)).toEqual(['again']);
    expect(scene.writes()).toEqual([]);
    expect((await scene.item(KEY))?.due).toBeGreaterThan(scene.now);
  });

  it('is gone on with by sweeps when the message is lost', async () => {
    const scene = await openSlow();
    scene.put('aws', KEY, TEXT);
    await invoke(scene, 2_500);
    for (const { receipt } of await scene.queue.receive({ max: 10, visibilityMs: 1 }))
      await scene.queue.settle(receipt, { kind: 'done' });
    const parts = [partsIn(scene)];
    for (let n = 0; n < 3; n++) {
      scene.now += LEASE_MS + 1;
      await sweep(withDeadline(scene.world, scene.now + 2_500), 100);
      parts.push(partsIn(scene));
    }
    expect(parts).toEqual([[1, 2, 3, 4], [5, 6], [], []]);
    expect(await scene.readAll(KEY)).toEqual([TEXT, TEXT]);
  });

  it('loses only the part of one that was killed, and others copy the rest meanwhile', async () => {
    const scene = await openSlow();
    const longer = `${TEXT}, and three more parts of it`;
    scene.put('aws', KEY, longer);
    let left = 5;
    scene.before = ({ op }) => {
      if (op !== 'putPart') return;
      scene.now += PART_TAKES_MS;
      if (--left === 0) throw new Error('killed');
    };
    await expect(invoke(scene, 60_000)).rejects.toThrow('killed');
    expect(partsIn(scene)).toEqual([1, 2, 3, 4, 6, 7, 8]);
    scene.now += LEASE_MS - 6_000;
    await sweep(withDeadline(scene.world, scene.now + 60_000), 100);
    expect(partsIn(scene)).toEqual([9]);
    scene.now += LEASE_MS + 1;
    await sweep(withDeadline(scene.world, scene.now + 60_000), 100);
    expect(partsIn(scene)).toEqual([5]);
    expect(await scene.readAll(KEY)).toEqual([longer, longer]);
  });
});

describe('a pass that has only so much time', () => {
  it('changes nothing when it cannot compare everything', async () => {
    const scene = await openScene();
    scene.deaf = true;
    for (let n = 0; n < 5; n++) scene.put('aws', `k${n}`, `text ${n}`);
    const world = withDeadline(scene.world, scene.now + 1_000);
    let reads = 0;
    scene.before = ({ place, op }) => {
      if (place === 'ledger' && op === 'get' && ++reads === 3) scene.now += 1_000;
    };
    expect(await antiEntropy(world)).toMatchObject({ kind: 'stopped' });
    expect(scene.writes()).toEqual([]);
    expect(scene.notices).toContainEqual(expect.objectContaining({ what: 'out-of-time' }));
  });

  it('reconciles what it can, and forgets nothing', async () => {
    const scene = await openScene({ limits: { tombstoneGraceMs: 1 } });
    scene.put('aws', 'gone', 'soon');
    await scene.drain();
    scene.buckets.aws?.clientDelete('gone');
    await scene.rest();
    scene.deaf = true;
    scene.put('aws', 'k1', 'one');
    scene.put('aws', 'k2', 'two');
    scene.now += 10_000;
    const world = withDeadline(scene.world, scene.now + 1_000);
    scene.before = ({ op, args }) => {
      if (op === 'put' && args[0] === 'k1') scene.now += 1_000;
    };
    await pass(world);
    expect(await scene.readAll('k1')).toEqual(['one', 'one', 'one']);
    expect(await scene.readAll('k2')).toEqual(['two', null, null]);
    expect(await scene.item('gone')).not.toBeNull();
    scene.before = () => {};
    await pass(scene.world);
    expect(await scene.readAll('k2')).toEqual(['two', 'two', 'two']);
    expect(await scene.item('gone')).toBeNull();
  });
});
