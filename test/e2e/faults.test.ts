import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Effect } from '../../local/faults.ts';
import { SITES } from './apps/app.ts';
import { complaints, textOf, writesOf } from './compare.ts';
import { openScene, type Scene } from './scene.ts';
import { each, pause, until } from './wait.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

const OBJECTS = 45;

let scene: Scene;

beforeEach(async () => {
  // What a call without an answer has begun is looked after soon, and not after a quarter of an hour.
  scene = await openScene({ limits: { leaseMs: 1_000 }, visibilityMs: 3_000 });
});
afterEach(() => scene.stop());

/** Objects by the programs of all clouds, some of them written again; what they were told is there must stay. */
async function write(sites: readonly (typeof SITES)[number][] = SITES): Promise<ReadonlyMap<string, string>> {
  const acknowledged = new Map<string, string>();
  const names = Array.from({ length: OBJECTS }, (_, i) => `fault/${i}`);
  await each(names, 3, async (name, index) => {
    const app = scene.apps[sites[index % sites.length] as (typeof SITES)[number]];
    for (const text of index % 4 === 0 ? ['first', 'second'] : ['first']) {
      // A write that was not answered may have happened; the program does it again, as programs do.
      await until(`${name} is written`, async () => {
        try {
          await app.put(name, `${name} ${text} of ${app.site}`);
          return [];
        } catch (error) {
          return [String(error)];
        }
      });
      acknowledged.set(name, `${name} ${text} of ${app.site}`);
    }
  });
  return acknowledged;
}

async function expectWhole(acknowledged: ReadonlyMap<string, string>): Promise<void> {
  await scene.settled();
  await each([...acknowledged], 6, async ([name, text]) => {
    expect(await textOf(scene.apps.azure, name)).toBe(text);
  });
  expect([...(await scene.apps.aws.list()).keys()].sort()).toEqual([...acknowledged.keys()].sort());
  const before = await writesOf(scene.apps);
  await scene.pass();
  await scene.settled();
  expect(await writesOf(scene.apps)).toEqual(before);
  // Each key was written at most twice by a program, and twice more by it or by us where an answer was lost.
  const perKey = Map.groupBy(before, (line) => line.split(' ').slice(0, 2).join(' '));
  expect(Math.max(...[...perKey.values()].map((lines) => lines.length))).toBeLessThanOrEqual(6);
}

describe('Triplicate, when clouds do not do what they should', () => {
  it.each(SITES)('%s is gone for a while: the others go on, and it catches up', async (cloud) => {
    const others = SITES.filter((it) => it !== cloud);
    const { id } = scene.clouds.faults.add({ scope: { cloud }, effect: { kind: 'outage' } });
    const acknowledged = await write(others);
    await until('the others have everything', async () => {
      const counts = await Promise.all(others.map(async (site) => (await scene.apps[site].list()).size));
      return counts.every((count) => count === acknowledged.size) ? [] : [counts.join()];
    });
    scene.clouds.faults.remove(id);
    await expectWhole(acknowledged);
  });

  it('notifications that come late, twice and in another order', async () => {
    const late: Effect = { kind: 'delivery', ms: { kind: 'even', min: 0, max: 2_000 }, twice: 0.5, never: 0 };
    scene.clouds.faults.add({ effect: late });
    await expectWhole(await write());
  });

  it('notifications that never come: a pass finds what they would have told', async () => {
    const never: Effect = { kind: 'delivery', ms: { kind: 'even', min: 0, max: 0 }, twice: 0, never: 1 };
    scene.clouds.faults.add({ effect: never });
    const acknowledged = await write();
    await pause(300);
    expect((await complaints(scene.apps, scene.world)).length).toBeGreaterThanOrEqual(acknowledged.size);
    await scene.pass();
    await expectWhole(acknowledged);
  });

  it.each([
    ['refused for a while', { kind: 'status', status: 503 }, 0.05],
    ['told to come more slowly', { kind: 'status', status: 429 }, 0.05],
    ['not answered, though they happen', { kind: 'lost-answer' }, 0.03],
    ['slow', { kind: 'wait', ms: { kind: 'even', min: 0, max: 200 } }, 0.2],
  ] as const)('calls that are %s', async (_what, effect, share) => {
    const { faults } = scene.clouds;
    const rules = ['s3', 'gcs', 'blob'].map((service) => faults.add({ scope: { service }, effect, share }));
    const acknowledged = await write();
    await pause(500);
    for (const { id } of rules) faults.remove(id);
    await expectWhole(acknowledged);
  });

  it('clocks that disagree by more than anybody may rely on', async () => {
    scene.clouds.faults.add({ scope: { cloud: 'gcp' }, effect: { kind: 'clock', aheadMs: 90_000 } });
    scene.clouds.faults.add({ scope: { cloud: 'azure' }, effect: { kind: 'clock', aheadMs: -90_000 } });
    const acknowledged = new Map(await write());
    await scene.settled();
    // Whoever has seen the last version comes after it, whatever the clocks say.
    await each([...acknowledged.keys()], 3, async (name) => {
      await scene.apps.azure.put(name, `${name} last`);
      acknowledged.set(name, `${name} last`);
    });
    await expectWhole(acknowledged);
  });
});
