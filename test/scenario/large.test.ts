/** Large objects: they arrive by parts, and a crash costs no part that was done. */
import { describe, expect, it } from 'vitest';
import { readObjectChange } from '#shared/model/object-change.ts';
import { consume } from '#shared/replicate/consume.ts';
import { replicate } from '#shared/replicate/replicate.ts';
import type { ObjectStore } from '#shared/store/store.ts';
import { type Call, openScene, type Scene } from './world.ts';

const KEY = 'video.bin';
const TEXT = 'one object of five parts and a little more';
const PARTS = 6;

class Crash extends Error {}

function openLarge(): Promise<Scene> {
  return openScene({ sites: { aws: 's3', gcp: 'gcs' }, limits: { stageOverBytes: 16, partBytes: 8 } });
}

function partsOf(calls: readonly Call[]): readonly unknown[] {
  return calls.filter(({ op, answer }) => op === 'putPart' && answer !== undefined).map(({ args }) => args[2]);
}

function rangesOf(calls: readonly Call[]): readonly number[] {
  const ranges = calls.filter(({ place, op }) => place === 'aws' && op === 'get').map(({ args }) => args[2]);
  // The first look is a read without a range.
  return ranges.flatMap((range) => (range === undefined ? [] : [(range as { start: number }).start]));
}

/** The worker dies when it is about to do this for the n-th time. */
function crashAt(scene: Scene, op: string, n: number): void {
  let left = n;
  scene.before = (call) => {
    if (call.op === op && --left === 0) throw new Crash();
  };
}

async function afterTheLease(scene: Scene): Promise<void> {
  scene.before = () => {};
  scene.calls.length = 0;
  await scene.rest();
}

describe('an object larger than one request should carry', () => {
  it('arrives by parts, is put in place by one conditional step, and leaves nothing behind', async () => {
    const scene = await openLarge();
    scene.put('aws', KEY, TEXT);
    await scene.drain();
    expect(partsOf(scene.calls)).toEqual([1, 2, 3, 4, 5, 6]);
    const published = scene.calls.filter(({ op }) => op === 'copy');
    expect(published.map(({ args }) => args[2])).toEqual([
      expect.objectContaining({ condition: { kind: 'if-absent' } }),
    ]);
    expect(scene.calls.filter(({ op, place }) => op === 'put' && place === 'gcp')).toEqual([]);
    expect(await scene.readAll(KEY)).toEqual([TEXT, TEXT]);
    expect(await scene.keys('gcp')).toEqual(['.triplicate/sentinel', KEY]);
    expect((await scene.item(KEY))?.due).toBeNull();
  });

  it('goes on after a crash with the parts that are missing', async () => {
    const scene = await openLarge();
    crashAt(scene, 'putPart', 4);
    scene.put('aws', KEY, TEXT);
    await expect(scene.drain()).rejects.toThrow(Crash);
    expect(partsOf(scene.calls)).toEqual([1, 2, 3]);
    await afterTheLease(scene);
    expect(partsOf(scene.calls)).toEqual([4, 5, 6]);
    expect(rangesOf(scene.calls)).toEqual([24, 32, 40]);
    expect(await scene.readAll(KEY)).toEqual([TEXT, TEXT]);
  });

  it('is only put in place after a crash just before that', async () => {
    const scene = await openLarge();
    crashAt(scene, 'copy', 1);
    scene.put('aws', KEY, TEXT);
    await expect(scene.drain()).rejects.toThrow(Crash);
    expect(partsOf(scene.calls)).toHaveLength(PARTS);
    await afterTheLease(scene);
    expect(partsOf(scene.calls)).toEqual([]);
    expect(rangesOf(scene.calls)).toEqual([]);
    expect(await scene.readAll(KEY)).toEqual([TEXT, TEXT]);
    expect(await scene.keys('gcp')).toEqual(['.triplicate/sentinel', KEY]);
  });

  it('is left where it is in favour of a newer one that came while it was copied', async () => {
    const scene = await openLarge();
    let puts = 0;
    scene.before = ({ op }) => {
      if (op === 'putPart' && ++puts === 3) scene.put('aws', KEY, TEXT.toUpperCase());
    };
    scene.put('aws', KEY, TEXT);
    await scene.rest();
    expect(await scene.readAll(KEY)).toEqual([TEXT.toUpperCase(), TEXT.toUpperCase()]);
    expect((await scene.item(KEY))?.due).toBeNull();
  });

  it('replaces only the version that was looked at', async () => {
    const scene = await openLarge();
    scene.put('gcp', KEY, 'small');
    await scene.drain();
    scene.now += 5_000;
    scene.put('aws', KEY, TEXT);
    scene.before = ({ op }) => {
      if (op !== 'copy') return;
      scene.before = () => {};
      scene.now += 5_000;
      scene.put('gcp', KEY, 'written meanwhile');
    };
    await scene.rest();
    expect(await scene.readAll(KEY)).toEqual(['written meanwhile', 'written meanwhile']);
    const lost = (await scene.log(KEY)).filter(({ kind }) => kind === 'superseded');
    expect(lost).toEqual([expect.objectContaining({ vid: expect.stringMatching(/^aws:/) })]);
  });

  describe('and is worth several workers', () => {
    const many = Array.from({ length: 200 }, (_, part) => String(part).padStart(8, ' ')).join('');
    const inOrder = Array.from({ length: 200 }, (_, index) => index + 1);

    /** As soon as the first part is on its way, so many workers take a message each. */
    function join(scene: Scene, workers: number, world = scene.world): () => Promise<unknown> {
      let joined: Promise<unknown> = Promise.resolve();
      scene.before = ({ op }) => {
        if (op !== 'putPart') return;
        scene.before = () => {};
        const options = { max: 1, visibilityMs: 60_000 };
        joined = Promise.all(Array.from({ length: workers }, () => consume(world, options)));
      };
      return () => joined;
    }

    function tokensOf(calls: readonly Call[]): ReadonlySet<unknown> {
      const leases = calls.filter(({ op, args }) => op === 'swapRecord' && String(args[2]).includes('"leased"'));
      return new Set(leases.map(({ args }) => JSON.parse(String(args[2])).token));
    }

    it('is copied by those it asks for at the same time, and every part once', async () => {
      const scene = await openLarge();
      const joined = join(scene, 6);
      scene.put('aws', KEY, many);
      await scene.drain();
      await joined();
      expect(partsOf(scene.calls).toSorted((a, b) => Number(a) - Number(b))).toEqual(inOrder);
      expect(tokensOf(scene.calls).size).toBe(7);
      await scene.drain();
      expect(await scene.readAll(KEY)).toEqual([many, many]);
      expect((await scene.item(KEY))?.due).toBeNull();
      expect(await scene.keys('gcp')).toEqual(['.triplicate/sentinel', KEY]);
    });

    it('is finished by the others when the one that began it dies', async () => {
      const scene = await openLarge();
      const joined = join(scene, 3);
      scene.put('aws', KEY, many);
      const [first] = await scene.queue.receive({ max: 1, visibilityMs: 60_000 });
      let sent = 0;
      const dies = {
        ...scene.world,
        stores: {
          ...scene.world.stores,
          gcp: new Proxy(scene.world.stores.gcp as ObjectStore, {
            get: (store, op) => {
              if (op === 'putPart' && ++sent > 10) throw new Crash();
              return Reflect.get(store, op);
            },
          }),
        },
      };
      const change = readObjectChange(String(first?.body));
      await expect(replicate(dies, change, async () => {})).rejects.toThrow(Crash);
      await joined();
      const before = new Set(partsOf(scene.calls));
      expect(before.size).toBeGreaterThan(190);
      expect(partsOf(scene.calls)).toHaveLength(before.size);
      await afterTheLease(scene);
      expect(await scene.readAll(KEY)).toEqual([many, many]);
    });

    it('reads each part once for all its targets', async () => {
      const sites = { aws: 's3', gcp: 'gcs', az: 'azure' } as const;
      const scene = await openScene({ sites, limits: { stageOverBytes: 16, partBytes: 8 } });
      scene.put('aws', KEY, many);
      await scene.drain();
      const reads = rangesOf(scene.calls).filter((start) => start > 0);
      expect(reads).toHaveLength(199);
      expect(new Set(reads).size).toBe(199);
      expect(await scene.readAll(KEY)).toEqual([many, many, many]);
    });
  });
});
