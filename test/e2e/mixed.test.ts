import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { contains } from '#shared/model/version-vector.ts';
import { antiEntropy } from '#shared/replicate/anti-entropy.ts';
import type { Effect } from '../../local/faults.ts';
import { type App, SITES, type SiteName } from './apps/app.ts';
import { complaints, differences, itemsOf, writesOf } from './compare.ts';
import { openScene, type Scene } from './scene.ts';
import { each, until } from './wait.ts';

/** TRIPLICATE_E2E_OBJECTS=10000 takes a quarter of an hour. */
const OBJECTS = Number(process.env.TRIPLICATE_E2E_OBJECTS ?? 150);
const LONG_MS = 120_000 + OBJECTS * 500;
const AT_ONCE = 12;

vi.setConfig({ testTimeout: 3 * LONG_MS, hookTimeout: 120_000 });

/** Five calls in a hundred: refused, told to wait, done without an answer, slow. */
const FAULTS: ReadonlyArray<readonly [Effect, share: number]> = [
  [{ kind: 'status', status: 503 }, 0.02],
  [{ kind: 'status', status: 429 }, 0.01],
  [{ kind: 'lost-answer' }, 0.01],
  [{ kind: 'wait', ms: { kind: 'even', min: 50, max: 500 } }, 0.01],
];
/** And of the notifications five are lost and five come twice. */
const DELIVERY: Effect = { kind: 'delivery', ms: { kind: 'tail', median: 8, p99: 500 }, twice: 0.05, never: 0.05 };

/** A write that a cloud has acknowledged. */
interface Written {
  readonly site: SiteName;
  readonly name: string;
  readonly phys: string;
}

type Work = (name: string, app: App, other: App) => Promise<void>;

let scene: Scene;
/** By site and name. */
const last = new Map<string, Written>();
let writes = 0;
let faults = 0;

beforeAll(async () => {
  // One key in five is deleted, and nobody is there to tell the brake that this is meant.
  scene = await openScene({ ledger: 'sqlite', limits: { leaseMs: 2_000, deletionCap: OBJECTS }, visibilityMs: 5_000 });
});
afterAll(() => scene.stop());

/** What was not answered may have happened; the program does it again, as programs do. */
async function insist<T>(act: () => Promise<T>): Promise<T> {
  let answer: { readonly value: T } | null = null;
  await until('a cloud takes the write', async () => {
    try {
      answer = { value: await act() };
      return [];
    } catch (error) {
      faults += 1;
      return [String(error)];
    }
  });
  return (answer as unknown as { readonly value: T }).value;
}

function note({ site }: App, name: string, phys: string): void {
  writes += 1;
  last.set(`${site} ${name}`, { site, name, phys });
}

async function put(app: App, name: string, text: string): Promise<void> {
  const about = { headers: { contentType: 'text/plain' }, user: { author: app.site, length: String(text.length) } };
  const phys = await insist(() => app.put(name, text, about));
  note(app, name, phys);
}

async function remove(app: App, name: string): Promise<void> {
  await insist(() => app.remove(name).catch(unlessGone));
  writes += 1;
  last.delete(`${app.site} ${name}`);
}

/** Another attempt, whose answer was lost, may have removed it. */
function unlessGone(error: unknown): void {
  if (!/404|not found|does not exist|NoSuchKey|BlobNotFound|No such object/i.test(String(error))) throw error;
}

/** What becomes of the keys, in turn: of ten keys four are written once. */
const WORK: readonly Work[] = [
  ...Array.from({ length: 4 }, (): Work => (name, app) => put(app, name, `${name} of ${app.site}`)),
  async (name, app) => {
    for (const which of ['first', 'second', 'third']) await put(app, name, `${name} ${which}`);
  },
  async (name, app, other) => {
    await put(app, name, `${name} here`);
    await put(other, name, `${name} there, perhaps before anybody has told there of the other one`);
  },
  async (name, app, other) => {
    await Promise.all([put(app, name, `${name} at once`), put(other, name, `${name} at the same time`)]);
  },
  async (name, app) => {
    await put(app, name, `${name} for a moment`);
    await remove(app, name);
  },
  async (name, app) => {
    await put(app, name, `${name} before`);
    await remove(app, name);
    await put(app, name, `${name} again`);
  },
  async (name, app) => {
    await put(app, name, `${name} with other metadata in the end`);
    const phys = await insist(() => app.patch(name, { user: { state: 'changed' } }));
    note(app, name, phys);
  },
];

/** Waits longer than the scene does. */
async function settled(): Promise<void> {
  await until('everything is settled', () => complaints(scene.apps, scene.world), { waitMs: LONG_MS });
}

/** One pass; what it left undone. */
async function unfinished(): Promise<readonly string[]> {
  const report = await antiEntropy(scene.world);
  const isWhole = report.kind === 'finished' && report.skippedSites.length + report.failed + report.left === 0;
  return isWhole ? [] : [JSON.stringify(report)];
}

describe(`${OBJECTS} keys, written and changed and deleted in three clouds of which five calls in a hundred go wrong`, () => {
  it('are the same everywhere when it is quiet, and whatever was replaced is accounted for', async () => {
    for (const service of ['s3', 'gcs', 'blob'])
      for (const [effect, share] of FAULTS) scene.clouds.faults.add({ scope: { service }, effect, share });
    scene.clouds.faults.add({ effect: DELIVERY });
    const names = Array.from({ length: OBJECTS }, (_, i) => `mixed/${i % 97}/${i} ä+.txt`);
    const began = performance.now();
    await each(names, AT_ONCE, async (name, index) => {
      const [app, other] = [0, 1].map((by) => scene.apps[SITES[(index + by) % SITES.length] as SiteName]);
      // Every site meets every kind of work.
      await WORK[Math.floor(index / SITES.length) % WORK.length]?.(name, app as App, other as App);
    });
    const wrote = performance.now();
    // Lost notifications are found by a pass, as they are every hour: one with the faults still on, and one without.
    await scene.pass();
    scene.clouds.faults.clear();
    await until('a pass sees everything', unfinished, { waitMs: LONG_MS });
    await settled();
    const quiet = performance.now();
    expect(await differences(scene.apps, scene.world)).toEqual([]);

    const before = await writesOf(scene.apps);
    await scene.pass();
    await settled();
    expect(await writesOf(scene.apps)).toEqual(before);

    expect(await unaccounted()).toEqual([]);
    const { length } = await itemsOf(scene.world.ledger);
    console.log(
      `${names.length} keys, ${writes} acknowledged writes, ${faults} calls of programs failed,`,
      `${length} keys in the ledger, ${before.length} versions in the buckets;`,
      `written in ${Math.round((wrote - began) / 1_000)} s, quiet after ${Math.round((quiet - wrote) / 1_000)} s more`,
    );
  });
});

/**
 * The last write that a program made at a site stands, was replaced by Triplicate, or was deleted by that very program. If
 * it was not deleted the log must know it; and every version of the log must be in the past of the one that won.
 */
async function unaccounted(): Promise<readonly string[]> {
  const found: string[] = [];
  const items = new Map((await itemsOf(scene.world.ledger)).map((item) => [item.key, item]));
  await each([...Map.groupBy(last.values(), ({ name }) => name)], AT_ONCE, async ([name, writes]) => {
    const versions = (await scene.log(name)).filter(({ kind }) => kind === 'version');
    for (const { site, phys } of writes) {
      const isLogged = versions.some(({ note }) => note.endsWith(` of ${phys}`));
      if (!isLogged) found.push(`${name}: ${phys} of ${site} is not in the log`);
    }
    const item = items.get(name);
    const winner = item?.versions[item.frontier[0] ?? ''];
    for (const { vid = '' } of versions) {
      const [s = '', n = ''] = vid.split(':');
      if (!contains(winner?.vv ?? {}, { s, n: Number(n) })) found.push(`${name}: ${vid} is in nobody's past`);
    }
  });
  return found;
}
