import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Route } from '#shared/model/topology.ts';
import { type App, SITES, type SiteName } from './apps/app.ts';
import { textOf } from './compare.ts';
import { openScene, type Scene } from './scene.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

const MINUTE_MS = 60_000;

const routes: ReadonlyArray<Partial<Route>> = [
  { prefix: 'both/', policy: { kind: 'keep-both' } },
  { prefix: 'lww/', policy: { kind: 'lww' } },
  { prefix: 'safe/', policy: { kind: 'lww-safe' } },
  { prefix: 'prefer/', policy: { kind: 'prefer-site', order: ['aws', 'azure', 'gcp'] } },
  { prefix: 'write/', deletes: 'write-wins' },
  { prefix: 'delete/', deletes: 'delete-wins' },
  { prefix: 'clock/', deletes: 'by-clock' },
];

let scene: Scene;

beforeAll(async () => {
  scene = await openScene({ routes, limits: { skewBoundMs: MINUTE_MS } });
});
afterAll(() => scene.stop());

/** What nobody hears of while it happens; then a pass finds it all at once. Later sites have later clocks. */
async function meanwhile(
  acts: Readonly<Partial<Record<SiteName, () => Promise<unknown>>>>,
  apartMs: number,
): Promise<void> {
  const release = scene.holdBack();
  const clocks = SITES.map((cloud, index) =>
    scene.clouds.faults.add({ scope: { cloud }, effect: { kind: 'clock', aheadMs: index * apartMs } }),
  );
  for (const site of SITES) await acts[site]?.();
  for (const { id } of clocks) scene.clouds.faults.remove(id);
  release();
  await scene.pass();
  await scene.settled();
}

async function writtenEverywhere(name: string, apartMs: number, sites: readonly SiteName[] = SITES): Promise<void> {
  const acts = sites.map((site) => [site, () => scene.apps[site].put(name, `of ${site}`)] as const);
  await meanwhile(Object.fromEntries(acts), apartMs);
}

/** What stands under these names, which is the same everywhere, since everything is settled. */
async function standing(prefix: string): Promise<Readonly<Record<string, string | null>>> {
  const names = [...(await scene.apps.gcp.list()).keys()].filter((name) => name.startsWith(prefix)).sort();
  const texts = await Promise.all(names.map(async (name) => [name, await textOf(scene.apps.gcp, name)] as const));
  return Object.fromEntries(texts.map(([name, text]) => [name.replace(/\d{10,}/, 'N'), text]));
}

async function superseded(name: string): Promise<readonly string[]> {
  const log = await scene.log(name);
  return log.filter(({ kind }) => kind === 'superseded').map(({ vid = '' }) => vid.split(':')[0] as string);
}

describe('programs that wrote without knowing of each other', () => {
  it('keep-both: the last one wins, and the others are kept beside it, in every cloud', async () => {
    await writtenEverywhere('both/plan.txt', 2_000);
    expect(await standing('both/')).toEqual({
      'both/plan.txt': 'of azure',
      'both/plan~conflict-aws-N.txt': 'of aws',
      'both/plan~conflict-gcp-N.txt': 'of gcp',
    });
    expect((await superseded('both/plan.txt')).toSorted()).toEqual(['aws', 'gcp']);
  });

  it('keep-both: those who wrote the same find nothing else afterwards', async () => {
    const { aws, gcp } = scene.apps;
    const put = (app: App) => () => app.put('both/same', 'agreed', { headers: { contentType: 'text/plain' } });
    await meanwhile({ aws: put(aws), gcp: put(gcp) }, 2_000);
    // S3 and Google keep no checksum in common, so a copy may be kept that nobody needed.
    expect(new Set(Object.values(await standing('both/same')))).toEqual(new Set(['agreed']));
  });

  it('lww: the last one wins, and the others remain in the history of their buckets and in the log', async () => {
    const { aws, gcp } = scene.apps;
    let lost = '';
    const first = async () => {
      lost = await aws.put('lww/plan.txt', 'of aws');
    };
    await meanwhile({ aws: first, gcp: () => gcp.put('lww/plan.txt', 'of gcp') }, 2_000);
    expect(await standing('lww/')).toEqual({ 'lww/plan.txt': 'of gcp' });
    expect(await superseded('lww/plan.txt')).toEqual(['aws']);
    expect(await aws.versionText('lww/plan.txt', lost)).toBe('of aws');
  });

  it('lww-safe: keeps the others where clocks are too near to be trusted', async () => {
    await writtenEverywhere('safe/near', 2_000, ['aws', 'gcp']);
    expect(await standing('safe/near')).toEqual({ 'safe/near': 'of gcp', 'safe/near~conflict-aws-N': 'of aws' });
  });

  it('lww-safe: is lww where they are not', async () => {
    await writtenEverywhere('safe/far', 2 * MINUTE_MS, ['aws', 'gcp']);
    expect(await standing('safe/far')).toEqual({ 'safe/far': 'of gcp' });
    expect(await superseded('safe/far')).toEqual(['aws']);
  });

  it('prefer-site: the site that was named first wins, whatever the clocks say', async () => {
    await writtenEverywhere('prefer/plan', 2_000);
    expect(await standing('prefer/')).toEqual({ 'prefer/plan': 'of aws' });
    await writtenEverywhere('prefer/other', 2_000, ['gcp', 'azure']);
    expect(await standing('prefer/other')).toEqual({ 'prefer/other': 'of azure' });
  });
});

describe('one that deleted what another one wrote anew', () => {
  it.each([
    ['write-wins', 'write/a', 'anew', 'aws', 'gcp'],
    ['write-wins', 'write/b', 'anew', 'gcp', 'azure'],
    ['delete-wins', 'delete/a', null, 'aws', 'gcp'],
    ['delete-wins', 'delete/b', null, 'azure', 'aws'],
    ['by-clock, written later', 'clock/a', 'anew', 'aws', 'gcp'],
    ['by-clock, deleted later', 'clock/b', null, 'gcp', 'aws'],
  ] as const)('%s: %s', async (_policy, name, left, deletes, writes) => {
    await scene.apps.azure.put(name, 'at first');
    await scene.settled();
    await meanwhile(
      { [deletes]: () => scene.apps[deletes].remove(name), [writes]: () => scene.apps[writes].put(name, 'anew') },
      3_000,
    );
    const shown = Object.entries(await standing(name));
    expect(shown.find(([it]) => it === name)?.[1] ?? null).toBe(left);
    // Who wrote and lost to a delete is kept beside it all the same.
    if (left === null) expect(shown.map(([, text]) => text)).toEqual(['anew']);
    else expect(shown).toHaveLength(1);
  });
});
