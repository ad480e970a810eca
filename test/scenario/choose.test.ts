/** Keys that nobody may decide about, until an operator does. */
import { describe, expect, it } from 'vitest';
import { fault } from '#shared/model/fault.ts';
import { antiEntropy } from '#shared/replicate/anti-entropy.ts';
import { chooseWinner } from '#shared/replicate/choose.ts';
import { openScene, type Scene } from './world.ts';

const KEY = 'docs/a.txt';
const refuse = () => ({ kind: 'defer', reason: 'ask the author' }) as const;

/** Two siblings that the user's own policy will not decide between. */
async function undecided(): Promise<Scene> {
  const scene = await openScene({ routes: [{ policy: { kind: 'custom', name: 'refuse' } }], resolvers: { refuse } });
  scene.put('aws', KEY, 'one');
  scene.put('gcp', KEY, 'another');
  await scene.rest();
  expect((await scene.item(KEY))?.unresolved).not.toBeNull();
  return scene;
}

async function vidFrom(scene: Scene, site: string): Promise<string> {
  const versions = Object.values((await scene.item(KEY))?.versions ?? {});
  return versions.find(({ origin }) => origin.site === site)?.vid ?? '';
}

async function atRest(scene: Scene): Promise<void> {
  await scene.rest();
  scene.writes();
  expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'finished', differing: 0, failed: 0 });
  expect(scene.writes()).toEqual([]);
}

describe('an operator', () => {
  it.each([
    ['aws', 'one'],
    ['gcp', 'another'],
  ])('chooses the version of %s, and it stands everywhere', async (site, text) => {
    const scene = await undecided();
    const vid = await vidFrom(scene, site);
    expect(await chooseWinner(scene.world, KEY, vid)).toEqual({ kind: 'done' });
    expect(await scene.readAll(KEY)).toEqual([text, text, text]);
    expect(await scene.item(KEY)).toMatchObject({ frontier: [vid], unresolved: null, due: null });
    const superseded = (await scene.log(KEY)).filter(({ kind }) => kind === 'superseded');
    expect(superseded).toMatchObject([{ by: vid, note: 'operator' }]);
    await atRest(scene);
  });

  it('who chose while a client wrote once more has lost nothing: that write is a sibling again', async () => {
    const scene = await undecided();
    scene.deaf = true;
    scene.put('gcp', KEY, 'unseen until now');
    scene.deaf = false;
    await chooseWinner(scene.world, KEY, await vidFrom(scene, 'aws'));
    await scene.rest();
    expect(await scene.read('gcp', KEY)).toBe('unseen until now');
    expect((await scene.item(KEY))?.unresolved).not.toBeNull();
    await chooseWinner(scene.world, KEY, (await scene.item(KEY))?.sites.gcp?.vid ?? '');
    expect(await scene.readAll(KEY)).toEqual(Array(3).fill('unseen until now'));
    await atRest(scene);
  });

  it('whose worker dies before it has written anything is obeyed by the sweep', async () => {
    const scene = await undecided();
    const vid = await vidFrom(scene, 'gcp');
    scene.before = ({ place, op }) => {
      if (place !== 'ledger' && ['put', 'versions'].includes(op)) throw fault('unavailable', 'down', { site: place });
    };
    await chooseWinner(scene.world, KEY, vid);
    expect(await scene.read('aws', KEY)).toBe('one');
    scene.before = () => {};
    await scene.rest();
    expect(await scene.readAll(KEY)).toEqual(Array(3).fill('another'));
    await atRest(scene);
  });

  it('brings back an older version when the bytes of the last one are lost', async () => {
    const scene = await openScene();
    scene.put('aws', KEY, 'first');
    await scene.rest();
    const older = await vidFrom(scene, 'aws');
    scene.put('aws', KEY, 'never to be read');
    let unreadable = '';
    scene.before = ({ place, op, args }) => {
      if (place === 'aws' && op === 'get' && args[0] === KEY && args[1] === unreadable)
        throw fault('not-found', 'the bytes are gone', { site: place, key: KEY });
    };
    unreadable = (await scene.buckets.aws?.head(KEY))?.phys ?? '';
    await scene.rest();
    const lost = await scene.item(KEY);
    expect(lost?.unresolved?.reason).toMatch(/no site has the bytes of/);
    await chooseWinner(scene.world, KEY, older);
    await scene.rest();
    expect(await scene.readAll(KEY)).toEqual(['first', 'first', 'first']);
    expect((await scene.item(KEY))?.versions[(await scene.item(KEY))?.frontier[0] ?? '']?.dot.s).toBe('~');
    await atRest(scene);
  });

  it('cannot choose where there is nothing to decide, and changes nothing then', async () => {
    const scene = await openScene();
    scene.put('aws', KEY, 'one');
    await scene.rest();
    const before = await scene.item(KEY);
    await expect(chooseWinner(scene.world, KEY, await vidFrom(scene, 'aws'))).rejects.toThrow(
      'a key that is unresolved',
    );
    await expect(chooseWinner(scene.world, 'nobody', 'aws:1')).rejects.toThrow('a key that the ledger knows');
    expect(await scene.item(KEY)).toEqual(before);
  });
});
