/** Copies that are no longer what they should be: found by looking, made good from what is, and told of. */
import { describe, expect, it } from 'vitest';
import { verifyKey } from '#shared/replicate/verify.ts';
import { openScene, type Scene } from './world.ts';

const KEY = 'ledger.csv';
const TEXT = 'a,b,c\n1,2,3\n';
const SITES = ['aws', 'gcp', 'az'];

async function written(): Promise<Scene> {
  const scene = await openScene();
  scene.put('aws', KEY, TEXT);
  await scene.rest();
  scene.count();
  return scene;
}

const bytesOf = (text: string) => new TextEncoder().encode(text);
const damaged = (site: string, what: unknown = expect.any(String)) => ({ kind: 'damaged', site, what });

describe('a key', () => {
  it('that stands as it should is sound at every site, and nothing is written', async () => {
    const scene = await written();
    const verdict = await verifyKey(scene.world, KEY, { deep: true });
    expect(verdict).toEqual({
      key: KEY,
      outcome: 'sound',
      findings: SITES.map((site) => ({ kind: 'sound', site, deep: true })),
    });
    expect(scene.writes()).toEqual([]);
  });

  it('that is deleted is sound where nothing stands, whatever a bucket keeps of the delete', async () => {
    const scene = await written();
    scene.buckets.aws?.clientDelete(KEY);
    await scene.rest();
    scene.writes();
    const verdict = await verifyKey(scene.world, KEY, { deep: true });
    expect(verdict).toMatchObject({ outcome: 'sound', findings: SITES.map((site) => ({ kind: 'sound', site })) });
    expect(scene.writes()).toEqual([]);
  });

  it('that is not known, or not decided, is not judged', async () => {
    const scene = await written();
    expect(await verifyKey(scene.world, 'nobody knows it', { deep: false })).toMatchObject({ outcome: 'unknown' });
    scene.put('gcp', KEY, 'still on its way');
    await scene.tell({ site: 'gcp', key: KEY, kind: 'put' });
    scene.before = ({ op, place }) => {
      if (op === 'put' && place !== 'ledger') throw new Error('nothing gets through');
    };
    await scene.drain().catch(() => {});
    scene.before = () => undefined;
    expect(await verifyKey(scene.world, KEY, { deep: false })).toMatchObject({ outcome: 'unknown' });
  });
});

describe('bytes that rotted away', () => {
  it.each(SITES)('are found by reading, and written anew from the others: %s', async (site) => {
    const scene = await written();
    scene.buckets[site]?.rot(KEY, bytesOf('a,b,c\n1,2,4\n'));
    expect(await verifyKey(scene.world, KEY, { deep: false })).toMatchObject({ outcome: 'sound' });
    const verdict = await verifyKey(scene.world, KEY, { deep: true });
    expect(verdict.outcome).toBe('repaired');
    expect(verdict.findings).toContainEqual(damaged(site));
    expect(await scene.readAll(KEY)).toEqual([TEXT, TEXT, TEXT]);
    expect(scene.notices).toContainEqual(expect.objectContaining({ what: 'corrupt-replica', site, key: KEY }));
    expect(await verifyKey(scene.world, KEY, { deep: true })).toMatchObject({ outcome: 'sound' });
  });

  it('that were cut short are found, too', async () => {
    const scene = await written();
    scene.buckets.gcp?.rot(KEY, bytesOf('a,b'));
    expect(await verifyKey(scene.world, KEY, { deep: true })).toMatchObject({ outcome: 'repaired' });
    expect(await scene.read('gcp', KEY)).toBe(TEXT);
  });

  it('everywhere are left alone and told of: nobody has the right ones', async () => {
    const scene = await written();
    for (const site of SITES) scene.buckets[site]?.rot(KEY, bytesOf('?,?,?\n?,?,?\n'));
    const verdict = await verifyKey(scene.world, KEY, { deep: true });
    expect(verdict).toMatchObject({ outcome: 'left', findings: SITES.map((site) => damaged(site)) });
    expect(scene.writes()).toEqual([]);
  });

  it('are only told of in a dry run', async () => {
    const scene = await written();
    scene.buckets.az?.rot(KEY, bytesOf('x'));
    const verdict = await verifyKey(scene.world, KEY, { deep: true, dryRun: true });
    expect(verdict).toMatchObject({ outcome: 'left', findings: expect.arrayContaining([damaged('az')]) });
    expect(scene.writes()).toEqual([]);
  });
});

describe('what nobody told of', () => {
  it('a lost copy is a change: what was deleted at its site is deleted everywhere', async () => {
    const scene = await written();
    scene.deaf = true;
    scene.buckets.gcp?.clientDelete(KEY);
    const verdict = await verifyKey(scene.world, KEY, { deep: false });
    expect(verdict.findings).toContainEqual({ kind: 'changed', site: 'gcp' });
    expect(await scene.readAll(KEY)).toEqual([null, null, null]);
  });

  it('a client write is carried to the others', async () => {
    const scene = await written();
    scene.deaf = true;
    scene.put('az', KEY, 'written behind our back');
    expect(await verifyKey(scene.world, KEY, { deep: false })).toMatchObject({ outcome: 'repaired' });
    expect(await scene.readAll(KEY)).toEqual(Array(3).fill('written behind our back'));
  });

  it('a site that does not answer is told of, and the others are judged all the same', async () => {
    const scene = await written();
    const { fault } = await import('#shared/model/fault.ts');
    scene.before = ({ place }) => {
      if (place === 'gcp') throw fault('unreachable', 'no connection');
    };
    const verdict = await verifyKey(scene.world, KEY, { deep: true });
    expect(verdict.outcome).toBe('left');
    expect(verdict.findings).toContainEqual({ kind: 'unreachable', site: 'gcp', what: 'no connection' });
    expect(verdict.findings.filter(({ kind }) => kind === 'sound')).toHaveLength(2);
  });
});
