/** When a key that is due stands in the ledger's index: only where no message is kept that brings somebody back to it. */
import { describe, expect, it } from 'vitest';
import { fault } from '#shared/model/fault.ts';
import { readObjectChange } from '#shared/model/object-change.ts';
import { antiEntropy } from '#shared/replicate/anti-entropy.ts';
import { consume, workInTime } from '#shared/replicate/consume.ts';
import { reseed } from '#shared/replicate/reseed.ts';
import { sweep } from '#shared/replicate/sweep.ts';
import { type Call, openScene, type Scene } from './world.ts';

const KEY = 'docs/a.txt';
const VISIBILITY_MS = 30_000;

interface Sighting {
  readonly listed: readonly string[];
  readonly due: boolean;
  readonly kept: number;
}

/** What index, item and queue said whenever this call was about to be made. */
function watch(scene: Scene, wanted: (call: Call) => boolean): readonly Sighting[] {
  const seen: Sighting[] = [];
  scene.before = async (call) => {
    if (!wanted(call)) return;
    const due = ((await scene.item(KEY))?.due ?? null) !== null;
    seen.push({ listed: await scene.listed(), due, kept: (await scene.queue.depth()).inFlight });
  };
  return seen;
}

function toTarget({ place, op, args }: Call): boolean {
  return ['gcp', 'az'].includes(place) && ['put', 'delete'].includes(op) && args[0] === KEY;
}

function isAcknowledgement({ place, op }: Call): boolean {
  return place === 'queue' && op === 'settle';
}

/** Writes to the ledger's items since the count began. */
function stores(scene: Scene): number {
  return scene.calls.filter(({ op }) => op === 'compareAndSet').length;
}

/** A worker takes the message, and dies when it is about to do this for the n-th time. */
async function dieAt(scene: Scene, wanted: (call: Call) => boolean, n = 1): Promise<void> {
  let left = n;
  scene.before = (call) => {
    if (wanted(call) && --left <= 0) throw new Error('crash');
  };
  await expect(scene.drain()).rejects.toThrow('crash');
  scene.before = () => {};
}

async function setAside(scene: Scene): Promise<void> {
  scene.now += VISIBILITY_MS;
  for (const { receipt } of await scene.queue.receive({ max: 10, visibilityMs: VISIBILITY_MS }))
    await scene.queue.settle(receipt, { kind: 'dead', reason: 'its workers died' });
}

const QUIET: Sighting = { listed: [], due: true, kept: 1 };

describe('a change that is copied whole and ends done', () => {
  it('is never in the index: its message is kept until the copies stand', async () => {
    const scene = await openScene();
    scene.put('aws', KEY, 'one');
    const during = watch(scene, toTarget);
    await consume(scene.world, { max: 1, visibilityMs: VISIBILITY_MS });
    expect(during).toEqual([QUIET, QUIET]);
    expect(stores(scene)).toBe(2);
    expect(await scene.item(KEY)).toMatchObject({ due: null, outbox: [] });
    expect(await scene.item(KEY)).not.toHaveProperty('unlisted');
    expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'one']);
  });

  it('as an overwrite and as a delete, too', async () => {
    const scene = await openScene();
    scene.put('aws', KEY, 'one');
    await scene.rest();
    for (const change of [() => scene.put('aws', KEY, 'two'), () => scene.buckets.aws?.clientDelete(KEY)]) {
      change();
      const during = watch(scene, toTarget);
      await consume(scene.world, { max: 1, visibilityMs: VISIBILITY_MS });
      expect(during).toEqual([QUIET, QUIET]);
      await scene.rest();
      expect((await scene.item(KEY))?.due).toBeNull();
    }
    expect(await scene.readAll(KEY)).toEqual([null, null, null]);
  });
});

describe('a worker that dies', () => {
  it('after its intents leaves a message, which lists the key; the sweep goes on when the lease is over', async () => {
    const scene = await openScene();
    scene.put('aws', KEY, 'one');
    await dieAt(scene, toTarget);
    expect(await scene.listed()).toEqual([]);
    scene.now += VISIBILITY_MS;
    await scene.drain();
    expect(await scene.listed()).toEqual([KEY]);
    expect(await scene.queue.depth()).toEqual({ waiting: 0, inFlight: 0, dead: 0 });
    scene.now += scene.world.topology.limits.leaseMs;
    expect(await sweep(scene.world, 10)).toMatchObject({ done: 1, later: 0 });
    expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'one']);
    expect(await scene.listed()).toEqual([]);
  });

  it.each([
    ['before its copies', toTarget, 1],
    ['when all its copies stand', ({ op }: Call) => op === 'compareAndSet', 2],
  ])('%s, and whose message is set aside, is found by a pass', async (_when, wanted, n) => {
    const scene = await openScene();
    scene.put('aws', KEY, 'one');
    await dieAt(scene, wanted, n);
    await setAside(scene);
    expect(await scene.listed()).toEqual([]);
    scene.now += scene.world.topology.limits.leaseMs;
    expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'finished', differing: 1, failed: 0 });
    expect(await scene.item(KEY)).toMatchObject({ due: null });
    expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'one']);
  });

  it('is not waited for by a pass, which lists the key for the sweep', async () => {
    const scene = await openScene();
    scene.put('aws', KEY, 'one');
    await dieAt(scene, toTarget);
    await setAside(scene);
    await antiEntropy(scene.world);
    expect(await scene.listed()).toEqual([KEY]);
  });
});

describe('a key that is not done when a run ends', () => {
  it('is in the index before its message goes, by the very write that says what is left', async () => {
    const scene = await openScene();
    scene.put('aws', KEY, 'one');
    const acknowledged = watch(scene, isAcknowledgement);
    const watched = scene.before;
    scene.before = (call) => {
      if (call.place === 'gcp') throw fault('unreachable', 'as the test wants');
      return watched(call);
    };
    await consume(scene.world, { max: 1, visibilityMs: VISIBILITY_MS });
    expect(acknowledged[0]).toMatchObject({ listed: [KEY], due: true });
    expect(stores(scene)).toBe(2);
    expect((await scene.queue.depth()).inFlight).toBe(0);
  });

  it('stays in the index while a later change is copied, until it is done', async () => {
    const scene = await openScene();
    scene.before = ({ place }) => {
      if (place === 'gcp') throw fault('unreachable', 'as the test wants');
    };
    scene.put('aws', KEY, 'one');
    await scene.drain();
    scene.put('aws', KEY, 'two');
    const during = watch(scene, toTarget);
    await consume(scene.world, { max: 1, visibilityMs: VISIBILITY_MS });
    expect(during).toEqual([{ listed: [KEY], due: true, kept: 0 }, expect.anything()]);
    expect(await scene.listed()).toEqual([]);
  });

  it('is in the index when a site that was to keep the trace of a delete does not', async () => {
    const scene = await openScene();
    scene.put('aws', KEY, 'one');
    await scene.rest();
    scene.buckets.aws?.clientDelete(KEY);
    scene.before = ({ op, args }) => {
      if (op === 'put' && String(args[0]).startsWith('.triplicate/t/')) throw fault('forbidden', 'as the test wants');
    };
    await scene.drain();
    expect(await scene.listed()).toEqual([KEY]);
    expect(await scene.queue.depth()).toMatchObject({ waiting: 0, inFlight: 0 });
  });

  it('is in the index when its message is set aside for good', async () => {
    const scene = await openScene();
    scene.put('aws', KEY, 'one');
    scene.before = ({ op }) => {
      if (op === 'appendLog') throw fault('forbidden', 'as the test wants');
    };
    await scene.drain();
    expect(await scene.deadLetters()).toHaveLength(1);
    expect(await scene.listed()).toEqual([KEY]);
  });

  it('keeps its message when others change the item all the time', async () => {
    for (const taken of [
      (scene: Scene) => consume(scene.world, { max: 1, visibilityMs: VISIBILITY_MS }),
      async (scene: Scene) => {
        const [delivery] = await scene.queue.receive({ max: 1, visibilityMs: VISIBILITY_MS });
        const read = () => [readObjectChange(delivery?.body ?? '')];
        const settlement = await workInTime(scene.world, read, 1);
        await scene.queue.settle(delivery?.receipt ?? '', settlement);
      },
    ]) {
      const scene = await openScene({ sites: { aws: 's3', gcp: 'gcs' } });
      scene.put('aws', KEY, 'one');
      scene.before = async ({ op }) => {
        const item = op === 'compareAndSet' ? await scene.item(KEY) : null;
        if (item !== null) scene.plantRow(KEY, JSON.stringify({ ...item, rev: item.rev + 1 }));
      };
      await taken(scene);
      expect((await scene.item(KEY))?.unlisted).toBe(true);
      expect(await scene.queue.depth()).toMatchObject({ waiting: expect.any(Number), dead: 0 });
      scene.before = () => {};
      scene.now += 60_000;
      await scene.rest();
      expect((await scene.item(KEY))?.due).toBeNull();
      expect(await scene.readAll(KEY)).toEqual(['one', 'one']);
    }
  });
});

it('a second message that meets the work of the first lists the key, and the first ends it', async () => {
  const scene = await openScene();
  scene.put('aws', KEY, 'one');
  let met: readonly string[] | null = null;
  scene.before = async (call) => {
    if (!toTarget(call) || met !== null) return;
    met = [];
    const { phys = '' } = (await scene.world.stores.aws?.head(KEY)) ?? {};
    await scene.tell({ site: 'aws', key: KEY, kind: 'put', phys });
    await consume(scene.world, { max: 1, visibilityMs: VISIBILITY_MS });
    met = await scene.listed();
  };
  await scene.drain();
  expect(met).toEqual([KEY]);
  expect(await scene.listed()).toEqual([]);
  expect(await scene.item(KEY)).toMatchObject({ due: null });
});

it('a worker that has acknowledged its message and then finds something new lists it', async () => {
  const scene = await openScene();
  scene.before = ({ place }) => {
    if (place === 'gcp') throw fault('unreachable', 'as the test wants');
  };
  scene.put('aws', KEY, 'one');
  await scene.drain();
  let during: readonly Sighting[] = [];
  scene.before = async (call) => {
    if (!toTarget(call)) return;
    // The key is in the index and the message gone. Somebody else ends the work, and a client writes on, unheard.
    scene.before = () => {};
    scene.now += scene.world.topology.limits.leaseMs + 1;
    await sweep(scene.world, 10);
    expect(await scene.listed()).toEqual([]);
    scene.deaf = true;
    for (const site of ['gcp', 'az']) scene.put(site, KEY, `three at ${site}`);
    scene.deaf = false;
    during = watch(scene, toTarget);
  };
  scene.put('aws', KEY, 'two');
  await consume(scene.world, { max: 1, visibilityMs: VISIBILITY_MS });
  expect(during.map(({ listed, due }) => [listed, due])).toContainEqual([[KEY], true]);
  expect(during.filter(({ listed, due }) => due && listed.length === 0)).toEqual([]);
});

it('a large object is in the index from the beginning, and its message does not wait for the copy', async () => {
  const scene = await openScene({ limits: { stageOverBytes: 16, partBytes: 8 } });
  scene.put('aws', KEY, 'an object of some parts');
  const during = watch(scene, ({ op }) => op === 'putPart');
  await scene.drain();
  expect(during.length).toBeGreaterThan(1);
  for (const seen of during.slice(1)) expect(seen).toEqual({ listed: [KEY], due: true, kept: 0 });
  expect(await scene.listed()).toEqual([]);
});

it('a bucket that an operator has filled again lists what a dead worker left', async () => {
  const scene = await openScene();
  scene.put('aws', KEY, 'one');
  await scene.rest();
  scene.put('aws', KEY, 'two');
  await dieAt(scene, toTarget);
  await setAside(scene);
  scene.buckets.gcp?.empty();
  await reseed(scene.world, 'gcp');
  expect(await scene.listed()).toEqual([KEY]);
});
