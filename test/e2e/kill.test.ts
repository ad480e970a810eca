import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { pass } from '../../functions/sweeper.ts';
import { ANY_PORTS } from '../../local/config.ts';
import { type LocalWorld, startLocalWorld } from '../../local/world.ts';
import { type App, SITES, type SiteName } from './apps/app.ts';
import { complaints, differences, textOf, writesOf } from './compare.ts';
import type { Child } from './processes/child.ts';
import { startCloudsProcess, startWorkerProcess } from './processes/start.ts';
import { type Apps, openApps, openReplication, type SceneOptions } from './scene.ts';
import { each, pause, until } from './wait.ts';

vi.setConfig({ testTimeout: 600_000, hookTimeout: 120_000 });

/** TRIPLICATE_E2E_OBJECTS=2000 takes minutes. */
const OBJECTS = Number(process.env.TRIPLICATE_E2E_OBJECTS ?? 240);
const KILLS = Math.max(4, OBJECTS / 100);
const WRITE_PAUSE_MS = 100;

/** What a dead worker had begun is given up soon, so that nobody waits a quarter of an hour for it here. */
const options: SceneOptions = { ledger: 'sqlite', limits: { leaseMs: 2_000 }, visibilityMs: 5_000 };

const folder = mkdtempSync(join(tmpdir(), 'triplicate-kill-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('Triplicate, killed while objects are written to three clouds', () => {
  let clouds: LocalWorld;
  let apps: Apps;
  let worker: Child | null = null;

  beforeAll(async () => {
    clouds = await startLocalWorld({ ports: ANY_PORTS });
    apps = openApps(clouds.config);
  });
  afterAll(async () => {
    await worker?.kill();
    for (const site of SITES) apps[site].close();
    await clouds.stop();
  });

  it('loses nothing, writes nothing without end, and its ledger says what the buckets show', async () => {
    const start = () => startWorkerProcess(clouds.config, folder, options);
    worker = await start();
    const wanted = writeAll(apps);
    // What was written last is still on its way when the last ones die.
    for (let kills = 0; kills < KILLS; kills++) {
      await pause(200 + Math.random() * 1_500);
      await worker.kill();
      worker = await start();
    }
    const texts = await wanted;
    await worker.kill();
    worker = await start();

    const { world, close } = await openReplication(clouds.config, folder, options, () => {});
    try {
      // What the dead ones had taken from the queues is hidden there for a while; a pass does not wait for it.
      await pass(world);
      await until('everything is settled', () => complaints(apps, world));
      expect(await differences(apps, world)).toEqual([]);
      await each([...texts], 8, async ([name, text]) => {
        expect(await textOf(apps.gcp, name)).toBe(text);
      });
      const standing = [...(await apps.aws.list()).keys()].sort();
      expect(standing).toEqual([...texts].flatMap(([name, text]) => (text === null ? [] : [name])).sort());

      const before = await writesOf(apps);
      await pass(world);
      await until('everything is still settled', () => complaints(apps, world));
      expect(await writesOf(apps)).toEqual(before);
      expect(worker.complaints()).not.toContain('"bug"');
    } finally {
      await close();
    }
  });
});

/** Every key by the program of one cloud: most are written, some written again, some deleted. What shall stand in the end. */
async function writeAll(apps: Apps): Promise<ReadonlyMap<string, string | null>> {
  const texts = new Map<string, string | null>();
  const names = Array.from({ length: OBJECTS }, (_, i) => `kill/${i}`);
  await each(names, 6, async (name, index) => {
    const app = apps[SITES[index % SITES.length] as SiteName];
    await app.put(name, `${name} first`);
    texts.set(name, `${name} first`);
    if (index % 5 === 1) {
      await app.put(name, `${name} second`);
      texts.set(name, `${name} second`);
    }
    if (index % 7 === 2) {
      await app.remove(name);
      texts.set(name, null);
    }
    await pause(WRITE_PAUSE_MS);
  });
  return texts;
}

describe('the local clouds, killed while programs write to all three', () => {
  it('have every object that they acknowledged, whole, when they are started again', async () => {
    let clouds = await startCloudsProcess(join(folder, 'state'));
    const apps = openApps(clouds.config);
    try {
      const acknowledged = new Map<string, string>();
      for (let round = 0; round < 3; round++) {
        const before = acknowledged.size;
        const writing = Promise.all(SITES.map((site) => writeUntilCut(apps[site], round, acknowledged)));
        await until('some are written', async () => (acknowledged.size > before + 30 ? [] : ['too few']));
        await pause(Math.random() * 200);
        await clouds.child.kill();
        await writing;
        clouds = await clouds.again();
      }
      await each([...acknowledged.keys()], 8, async (place) => {
        const [site = '', name = ''] = place.split(' ');
        expect(await textOf(apps[site as SiteName], name)).toBe(acknowledged.get(place));
      });
    } finally {
      await clouds.child.kill();
      for (const site of SITES) apps[site].close();
    }
  });
});

/** Writes one object after the other until a write fails. */
async function writeUntilCut(app: App, round: number, acknowledged: Map<string, string>): Promise<void> {
  for (let i = 0; i < 10_000; i++) {
    const name = `cut/${round}-${i}`;
    const text = `${app.site} ${name} `.repeat(1 + ((i * 7_919) % 4_000));
    try {
      await app.put(name, text);
    } catch {
      return;
    }
    acknowledged.set(`${app.site} ${name}`, text);
  }
}
