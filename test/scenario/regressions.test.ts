/** Losses that tests by hand found before any seed did: each told from the first write to what must stand. */

import { expect, it } from 'vitest';
import { antiEntropy } from '#shared/replicate/anti-entropy.ts';
import { rebuild, seed } from '#shared/replicate/rebuild.ts';
import { openScene, type Scene } from './world.ts';

async function patch(scene: Scene, site: string, key: string, note: string): Promise<void> {
  scene.buckets[site]?.clientPatchMetadata(key, { headers: { contentType: 'text/plain' }, user: { note } });
  await scene.rest();
}

async function notesAt(scene: Scene, key: string): Promise<readonly (string | undefined)[]> {
  const heads = await Promise.all(Object.values(scene.world.stores).map((store) => store.head(key)));
  return heads.map((head) => head?.metadata.user.note);
}

it('a rebuild keeps the last of several changes of metadata, which all have the ETag of the same bytes', async () => {
  const scene = await openScene({ sites: { aws: 's3', gcp: 'gcs' } });
  scene.put('aws', 'k', 'x', 'first');
  await scene.rest();
  await patch(scene, 'aws', 'k', 'second');
  await patch(scene, 'aws', 'k', 'third');
  scene.loseLedger();
  scene.now += 60_000;
  await rebuild(scene.world);
  await scene.rest();
  expect(await notesAt(scene, 'k')).toEqual(['third', 'third']);
});

it('purging an old version of a deleted blob is no second delete, and spares what was written elsewhere since', async () => {
  const routes = [{ deletes: 'delete-wins' as const }];
  const scene = await openScene({ sites: { aws: 's3', az: 'azure' }, routes });
  scene.put('az', 'k', 'one');
  await scene.rest();
  scene.put('az', 'k', 'two');
  await scene.rest();
  scene.buckets.az?.clientDelete('k');
  await scene.rest();
  scene.deaf = true;
  scene.put('aws', 'k', 'again');
  scene.deaf = false;
  const newest = (await scene.buckets.az?.versions('k'))?.findLast(({ kind }) => kind === 'object');
  scene.buckets.az?.purge('k', newest?.phys ?? '');
  await scene.rest();
  await antiEntropy(scene.world);
  await scene.rest();
  expect(await scene.readAll('k')).toEqual(['again', 'again']);
});

it('equal objects at S3, GCS and Azure are joined as one, whichever checksum each service stores', async () => {
  const scene = await openScene();
  scene.deaf = true;
  for (const site of ['aws', 'gcp', 'az']) scene.put(site, 'k', 'the same everywhere');
  scene.deaf = false;
  expect(await seed(scene.world, { dryRun: true })).toMatchObject({ keys: 1, equal: 1, toCopy: 0, conflicts: [] });
  scene.count();
  await seed(scene.world, { dryRun: false });
  await scene.rest();
  expect(scene.writes()).toEqual([]);
});

it('one malformed row is reported by a pass, which repairs the other keys', async () => {
  const scene = await openScene();
  scene.plantRow('broken', '{"schema":1}');
  scene.deaf = true;
  scene.put('aws', 'sound', 'text');
  scene.deaf = false;
  expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'finished', failed: 1 });
  expect(await scene.readAll('sound')).toEqual(['text', 'text', 'text']);
  expect(scene.notices.filter(({ what }) => what === 'refused-row').map(({ key }) => key)).toEqual(['broken']);
});
