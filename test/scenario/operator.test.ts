/** What an operator lives through: lost buckets and ledgers, backups that come back, mass deletes, first joins. */
import { describe, expect, it } from 'vitest';
import { antiEntropy, compare } from '#shared/replicate/anti-entropy.ts';
import { collect } from '#shared/replicate/collect.ts';
import { rebuild, seed } from '#shared/replicate/rebuild.ts';
import { reseed } from '#shared/replicate/reseed.ts';
import { sweep } from '#shared/replicate/sweep.ts';
import type { MemoryStore } from '#shared/store/memory.ts';
import { DAY_MS, openScene, type Scene } from './world.ts';

const KEYS = ['a', 'b', 'c'];

/** Three keys, at all sites. */
async function populated(options: Parameters<typeof openScene>[0] = {}): Promise<Scene> {
  const scene = await openScene(options);
  for (const key of KEYS) scene.put('aws', key, `text of ${key}`);
  await scene.drain();
  scene.now += 60_000;
  scene.count();
  return scene;
}

function alarms(scene: Scene, what: string): readonly (string | undefined)[] {
  return scene.notices.filter((notice) => notice.what === what && notice.severity === 'alarm').map(({ site }) => site);
}

describe('an emptied bucket', () => {
  it.each(['aws', 'gcp', 'az'])(
    'raises an alarm, deletes nothing elsewhere, and is filled again when told to: %s',
    async (site) => {
      const scene = await populated();
      scene.buckets[site]?.empty();
      for (const key of KEYS) await scene.tell({ site, key, kind: 'delete' });
      await scene.drain();
      expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'finished', skippedSites: [site] });
      await scene.rest();
      expect(scene.writes()).toEqual([]);
      expect(new Set(alarms(scene, 'site-suspect'))).toEqual(new Set([site]));
      for (const key of KEYS) expect((await scene.readAll(key)).filter((text) => text !== null)).toHaveLength(2);

      expect(await reseed(scene.world, site)).toBe(KEYS.length);
      expect(await sweep(scene.world, 100)).toMatchObject({ done: KEYS.length, failed: 0 });
      await scene.drain();
      for (const key of KEYS) expect(await scene.readAll(key)).toEqual(Array(3).fill(`text of ${key}`));
      expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'finished', differing: 0, skippedSites: [] });
    },
  );
});

describe('a pass that finds many objects missing', () => {
  async function withDeletes(count: number): Promise<Scene> {
    const scene = await populated({ limits: { deletionCap: 2, deletionShare: 0 } });
    scene.deaf = true;
    for (const key of KEYS.slice(0, count)) scene.buckets.gcp?.clientDelete(key);
    scene.deaf = false;
    return scene;
  }

  it('stops before it deletes any, and tells why', async () => {
    const scene = await withDeletes(3);
    const items = await Promise.all(KEYS.map((key) => scene.item(key)));
    expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'stopped', vanished: 3, cap: 2 });
    expect(scene.writes()).toEqual([]);
    expect(await Promise.all(KEYS.map((key) => scene.item(key)))).toEqual(items);
    expect(alarms(scene, 'brake')).toHaveLength(1);
  });

  it('goes on when somebody has confirmed it', async () => {
    const scene = await withDeletes(3);
    await antiEntropy(scene.world);
    expect(await antiEntropy(scene.world, { confirmDeletions: true })).toMatchObject({
      kind: 'finished',
      differing: 3,
    });
    await scene.drain();
    for (const key of KEYS) expect(await scene.readAll(key)).toEqual([null, null, null]);
  });

  it('does not ask for as many as may be believed', async () => {
    const scene = await withDeletes(2);
    expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'finished', differing: 2 });
    expect(await scene.readAll('a')).toEqual([null, null, null]);
    expect(await scene.readAll('c')).toEqual(Array(3).fill('text of c'));
  });
});

describe('a comparison', () => {
  it('tells what differs, where and how, and changes nothing', async () => {
    const scene = await populated();
    scene.deaf = true;
    scene.buckets.gcp?.clientDelete('a');
    scene.put('az', 'b', 'another text');
    scene.put('aws', 'new', 'nobody was told');
    scene.deaf = false;
    const compared = await compare(scene.world);
    expect(compared).toMatchObject({ keys: 4, vanished: 1, failed: 0, skippedSites: [] });
    expect([...(compared?.differing ?? [])]).toEqual([
      ['a', [{ site: 'gcp', kind: 'missing' }]],
      ['b', [{ site: 'az', kind: 'changed' }]],
      ['new', ['aws', 'gcp', 'az'].map((site) => ({ site, kind: 'unknown' }))],
    ]);
    expect(scene.writes()).toEqual([]);
  });

  it('takes one prefix, and every key of it when told to', async () => {
    const scene = await populated();
    expect(await compare(scene.world, { prefix: 'b' })).toMatchObject({ keys: 1, differing: new Map() });
    const compared = await compare(scene.world, { prefix: 'b', everyKey: true });
    expect([...(compared?.differing.keys() ?? [])]).toEqual(['b']);
    scene.deaf = true;
    for (const key of KEYS) scene.buckets.gcp?.clientDelete(key);
    scene.deaf = false;
    expect(await antiEntropy(scene.world, { prefix: 'b' })).toMatchObject({ kind: 'finished', keys: 1, differing: 1 });
    await scene.drain();
    expect(await scene.readAll('b')).toEqual([null, null, null]);
    expect(await scene.readAll('a')).toEqual(['text of a', null, 'text of a']);
  });
});

describe('a key that was deleted long ago', () => {
  /** Deleted everywhere and forgotten, after a copy of the bucket gcp was put aside. */
  async function forgotten() {
    const scene = await populated();
    const backup = (scene.buckets.gcp as MemoryStore).snapshot();
    scene.buckets.aws?.clientDelete('a');
    await scene.drain();
    scene.now += 50 * DAY_MS;
    const pass = await antiEntropy(scene.world);
    if (pass.kind !== 'finished') throw new Error(pass.reason);
    scene.now += 1;
    return { scene, backup, passStartedAt: pass.startedAt };
  }

  it('is forgotten with its traces, once a pass has seen it deleted everywhere', async () => {
    const { scene, passStartedAt } = await forgotten();
    expect((await scene.keys('aws')).filter((key) => key.startsWith('.triplicate/t/'))).toHaveLength(1);
    expect(await collect(scene.world, KEYS, passStartedAt - 50 * DAY_MS)).toBe(0);
    expect(await collect(scene.world, KEYS, passStartedAt)).toBe(1);
    expect(await scene.item('a')).toBeNull();
    for (const site of ['aws', 'gcp', 'az']) expect(await scene.keys(site)).toEqual(['.triplicate/sentinel', 'b', 'c']);
    expect((await scene.log('a')).at(-1)?.kind).toBe('collected');
  });

  it('is reported and not replicated when an old backup brings its replica back', async () => {
    const { scene, backup, passStartedAt } = await forgotten();
    await collect(scene.world, KEYS, passStartedAt);
    scene.writes();
    scene.buckets.gcp?.restore(backup);
    expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'finished' });
    await scene.rest();
    expect(scene.writes().filter((write) => !write.includes('.triplicate/'))).toEqual([]);
    expect(await scene.readAll('a')).toEqual([null, 'text of a', null]);
    expect((await scene.item('a'))?.sites.gcp).toMatchObject({ quarantined: true, vid: null });
    expect((await scene.log('a')).filter(({ kind }) => kind === 'quarantined')).toHaveLength(1);
    expect(scene.notices).toContainEqual(expect.objectContaining({ what: 'quarantined', severity: 'alarm', key: 'a' }));
  });

  it('lives again when a client writes it again, also where the backup stands', async () => {
    const { scene, backup, passStartedAt } = await forgotten();
    await collect(scene.world, KEYS, passStartedAt);
    scene.buckets.gcp?.restore(backup);
    await antiEntropy(scene.world);
    scene.put('gcp', 'a', 'new');
    await scene.drain();
    expect(await scene.readAll('a')).toEqual(['new', 'new', 'new']);
  });
});

describe('buckets that hold objects when they are joined', () => {
  async function unjoined(): Promise<Scene> {
    const scene = await openScene({
      sites: { one: 's3', two: 's3', az: 'azure' },
      routes: [{ policy: { kind: 'keep-both' } }],
    });
    scene.deaf = true;
    for (const site of ['one', 'two', 'az']) scene.put(site, 'equal', 'same');
    scene.put('two', 'lonely', 'here');
    scene.put('one', 'differs', 'mine');
    scene.now += 60_000;
    scene.put('az', 'differs', 'ours');
    scene.deaf = false;
    scene.count();
    return scene;
  }

  it('are told what would happen by a dry run that writes nothing', async () => {
    const scene = await unjoined();
    const report = await seed(scene.world, { dryRun: true });
    expect(report).toMatchObject({ keys: 3, equal: 1, toCopy: 2, raced: 0 });
    expect(report.conflicts).toEqual([
      { key: 'differs', sites: { one: expect.stringMatching(/^one:/), az: expect.stringMatching(/^az:/) } },
    ]);
    expect(scene.calls.filter(({ op }) => /^(put|delete|copy|compareAndSet|appendLog|swapRecord)$/.test(op))).toEqual(
      [],
    );
    expect(await scene.world.ledger.listKeys({ limit: 10 })).toEqual([]);
  });

  it('get what they lack, keep what is equal, and lose nothing that differs', async () => {
    const scene = await unjoined();
    await seed(scene.world, { dryRun: false });
    await scene.rest();
    const writes = scene.writes();
    expect(writes.filter((write) => write.endsWith(' equal'))).toEqual([]);
    expect(await scene.readAll('lonely')).toEqual(['here', 'here', 'here']);
    expect(await scene.readAll('differs')).toEqual(['ours', 'ours', 'ours']);
    const copy = (await scene.keys('two')).find((key) => key.startsWith('differs~conflict-one-'));
    expect(await scene.readAll(copy as string)).toEqual(['mine', 'mine', 'mine']);
    expect(await seed(scene.world, { dryRun: false })).toMatchObject({ equal: 0, toCopy: 0, conflicts: [] });
  });
});

describe('a ledger that was lost', () => {
  it('is made again from the buckets, with the same frontiers, and writes nothing to any bucket', async () => {
    const scene = await populated({ routes: [{ policy: { kind: 'keep-both' } }] });
    scene.buckets.az?.clientDelete('a');
    scene.put('gcp', 'b', 'changed');
    scene.put('aws', 'd', 'one');
    scene.put('gcp', 'd', 'another');
    await scene.rest();
    const keys = await scene.world.ledger.listKeys({ limit: 100 });
    const before = await Promise.all(keys.map(async (key) => [key, (await scene.item(key))?.frontier]));
    const contents = await Promise.all(keys.map((key) => scene.readAll(key)));
    expect(keys).toHaveLength(5);

    scene.now += 60_000;
    scene.loseLedger();
    scene.writes();
    await rebuild(scene.world);
    expect(await Promise.all(keys.map(async (key) => [key, (await scene.item(key))?.frontier]))).toEqual(before);
    await scene.rest();
    expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'finished', skippedSites: [] });
    expect(scene.writes().filter((write) => !write.includes('.triplicate/'))).toEqual([]);
    expect(await Promise.all(keys.map((key) => scene.readAll(key)))).toEqual(contents);
  });

  it('takes over what clients wrote and deleted meanwhile', async () => {
    const scene = await populated();
    scene.loseLedger();
    scene.deaf = true;
    scene.put('aws', 'a', 'changed');
    scene.buckets.az?.clientDelete('b');
    scene.deaf = false;
    await rebuild(scene.world);
    await scene.rest();
    expect(await scene.readAll('a')).toEqual(['changed', 'changed', 'changed']);
    expect(await scene.readAll('b')).toEqual([null, null, null]);
    expect(await scene.readAll('c')).toEqual(Array(3).fill('text of c'));
  });
});
