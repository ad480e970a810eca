/** What a user notices of single writes: they arrive everywhere, once, at a known price, and nothing is ever lost on the way. */
import { describe, expect, it } from 'vitest';
import { fault } from '#shared/model/fault.ts';
import { antiEntropy } from '#shared/replicate/anti-entropy.ts';
import { openScene } from './world.ts';

const KEY = 'docs/a.txt';

describe('a write at one site', () => {
  it('is at all sites after one read, two puts, three ledger writes and three ledger reads, echoes included', async () => {
    const scene = await openScene();
    scene.put('aws', KEY, 'one');
    await scene.drain();
    expect(scene.count()).toEqual({
      'aws get': 1,
      'gcp put': 1,
      'az put': 1,
      'ledger get': 3,
      'ledger compareAndSet': 2,
      'ledger appendLog': 1,
    });
    expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'one']);
  });

  it('costs one look more where only a look can tell what was replaced: S3', async () => {
    const scene = await openScene({ sites: { gcp: 'gcs', aws: 's3' } });
    scene.put('gcp', KEY, 'one');
    await scene.drain();
    expect(scene.count()).toEqual({
      'gcp get': 1,
      'aws put': 1,
      'ledger get': 2,
      'ledger compareAndSet': 2,
      'ledger appendLog': 1,
    });
  });

  it('is not looked at again for an echo that names the entity tag alone, as those of Azure do', async () => {
    const scene = await openScene();
    scene.put('aws', KEY, 'one');
    await scene.drain();
    const token = (await scene.item(KEY))?.sites.az?.token as string;
    scene.count();
    await scene.tell({ site: 'az', key: KEY, kind: 'put', phys: token });
    await scene.drain();
    expect(scene.count()).toEqual({ 'ledger get': 1 });
    await scene.tell({ site: 'az', key: KEY, kind: 'put', phys: '"0xanother"' });
    await scene.drain();
    expect(scene.count()).toMatchObject({ 'ledger get': 1, 'az versions': 1 });
  });

  it("is looked at without the history below it, which is its bucket's own past, and undone to that past by a purge", async () => {
    const scene = await openScene();
    scene.deaf = true;
    scene.put('aws', KEY, 'long ago');
    scene.deaf = false;
    scene.put('aws', KEY, 'one');
    await scene.drain();
    expect(scene.count()).not.toHaveProperty('aws versions');
    expect((await scene.log(KEY)).map(({ kind }) => kind)).toEqual(['version']);
    const [stands] = (await scene.world.stores.aws?.versions(KEY))?.slice(-1) ?? [];
    scene.now += 5_000;
    scene.buckets.aws?.purge(KEY, stands?.phys ?? '');
    await scene.tell({ site: 'aws', key: KEY, kind: 'delete' });
    await scene.rest();
    expect(await scene.readAll(KEY)).toEqual(['long ago', 'long ago', 'long ago']);
  });

  it('is not undone by a delete of long ago at a site where nothing stands', async () => {
    const scene = await openScene({ routes: [{ deletes: 'delete-wins' }] });
    scene.deaf = true;
    scene.put('aws', KEY, 'long ago');
    scene.buckets.aws?.clientDelete(KEY);
    scene.now += 5_000;
    scene.put('gcp', KEY, 'one');
    scene.put('az', KEY, 'one');
    scene.deaf = false;
    await antiEntropy(scene.world);
    await scene.rest();
    await scene.tell({ site: 'aws', key: KEY, kind: 'delete' });
    await scene.rest();
    expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'one']);
    expect((await scene.log(KEY)).filter(({ kind, site }) => kind === 'version' && site === 'aws')).toEqual([]);
  });

  it('is accounted for with all that came after the look, whoever wrote it meanwhile', async () => {
    const scene = await openScene();
    let writes = 0;
    scene.before = ({ place, op }) => {
      if (place === 'ledger' && op === 'compareAndSet' && writes++ === 0)
        for (const text of ['two', 'three']) scene.put('aws', KEY, text);
    };
    scene.put('aws', KEY, 'one');
    await scene.rest();
    expect(await scene.readAll(KEY)).toEqual(['three', 'three', 'three']);
    expect((await scene.log(KEY)).filter(({ kind }) => kind === 'version')).toHaveLength(3);
  });

  it('larger than what is held is read when it is wanted', async () => {
    const scene = await openScene();
    scene.put('aws', KEY, 'x'.repeat(300 * 1024));
    await scene.drain();
    expect(scene.count()).toMatchObject({ 'aws get': 2, 'gcp put': 1, 'az put': 1 });
    expect(await scene.readAll(KEY)).toEqual(Array.from({ length: 3 }, () => 'x'.repeat(300 * 1024)));
  });

  it('is looked at again at S3, where something had stood below our own write', async () => {
    const scene = await openScene({ sites: { az: 'azure', aws: 's3' } });
    scene.put('az', KEY, 'one');
    await scene.drain();
    scene.put('az', KEY, 'two');
    scene.count();
    await scene.drain();
    expect(scene.count()).toMatchObject({ 'aws put': 1, 'aws versions': 1 });
    expect(await scene.readAll(KEY)).toEqual(['two', 'two']);
  });

  it('brings its metadata along, and a later change of it as well', async () => {
    const scene = await openScene();
    scene.put('gcp', KEY, 'one', 'first');
    await scene.drain();
    scene.now += 5_000;
    scene.buckets.gcp?.clientPatchMetadata(KEY, { headers: {}, user: { note: 'second' } });
    await scene.drain();
    for (const store of Object.values(scene.world.stores)) {
      expect((await store.head(KEY))?.metadata).toEqual({ headers: {}, user: { note: 'second' } });
    }
  });

  it('changes nothing more when every message of it comes again, in reverse', async () => {
    const scene = await openScene();
    scene.put('aws', KEY, 'one');
    await scene.drain();
    const before = await scene.item(KEY);
    scene.count();
    for (const [site, state] of Object.entries(before?.sites ?? {}).reverse()) {
      for (const kind of ['delete', 'metadata', 'put'] as const)
        await scene.tell({ site, key: KEY, kind, phys: state.phys });
      await scene.tell({ site, key: KEY, kind: 'put', phys: 'v:long-gone' });
    }
    await scene.drain();
    expect(scene.writes()).toEqual([]);
    expect(await scene.item(KEY)).toEqual(before);
  });

  it('reaches a site that was down as soon as it answers again', async () => {
    const scene = await openScene();
    scene.before = ({ place, op }) => {
      if (place === 'az') throw fault('unreachable', 'no route to host', { site: 'az', op });
    };
    scene.put('aws', KEY, 'one');
    await scene.drain();
    expect(await scene.readAll(KEY)).toEqual(['one', 'one', null]);
    scene.before = () => {};
    await scene.rest();
    expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'one']);
    expect((await scene.item(KEY))?.due).toBeNull();
  });

  it('is found by the next pass when its message was lost', async () => {
    const scene = await openScene();
    scene.deaf = true;
    scene.put('az', KEY, 'one');
    await scene.drain();
    expect(await scene.item(KEY)).toBeNull();
    expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'finished', keys: 1, differing: 1, failed: 0 });
    expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'one']);
    expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'finished', keys: 1, differing: 0 });
  });
});

describe('a key that one cloud cannot hold', () => {
  it('is at the others, and a person is told', async () => {
    const scene = await openScene();
    scene.put('aws', 'two\nlines', 'one');
    await scene.rest();
    expect([await scene.read('aws', 'two\nlines'), await scene.read('az', 'two\nlines')]).toEqual(['one', 'one']);
    expect(await scene.keys('gcp')).toEqual(['.triplicate/sentinel']);
    expect(scene.notices).toContainEqual(
      expect.objectContaining({ what: 'cannot-hold', site: 'gcp', key: 'two\nlines' }),
    );
    expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'finished', differing: 0, failed: 0 });
  });
});

describe('a delete', () => {
  it('arrives everywhere, and what is written again afterwards stays', async () => {
    const scene = await openScene({ routes: [{ deletes: 'delete-wins' }] });
    scene.put('aws', KEY, 'one');
    await scene.drain();
    scene.now += 5_000;
    scene.buckets.gcp?.clientDelete(KEY);
    await scene.drain();
    expect(await scene.readAll(KEY)).toEqual([null, null, null]);
    scene.now += 5_000;
    scene.put('az', KEY, 'again');
    await scene.drain();
    expect(await scene.readAll(KEY)).toEqual(['again', 'again', 'again']);
    const kinds = (await scene.log(KEY)).map(({ kind, note }) => `${kind} ${note.split(' ')[0]}`);
    expect(kinds).toEqual(['version put', 'version delete', 'version put']);
  });
});

describe('two writes that did not know of each other', () => {
  it('end with the later one everywhere and the other beside it, both readable, under keep-both', async () => {
    const scene = await openScene({ routes: [{ policy: { kind: 'keep-both' } }] });
    scene.put('aws', KEY, 'one');
    scene.now += 5_000;
    scene.put('gcp', KEY, 'another');
    await scene.rest();
    expect(await scene.readAll(KEY)).toEqual(['another', 'another', 'another']);
    const copy = (await scene.keys('az')).find((key) => key.includes('conflict'));
    expect(copy).toMatch(/^docs\/a~conflict-aws-\d+\.txt$/);
    expect(await scene.readAll(copy as string)).toEqual(['one', 'one', 'one']);
    const lost = (await scene.log(KEY)).filter(({ kind }) => kind === 'superseded');
    expect(lost).toHaveLength(1);
    expect(lost[0]).toMatchObject({ vid: expect.stringMatching(/^aws:/), by: expect.stringMatching(/^gcp:/) });
  });

  it('wait, untouched, where the user’s own policy cannot decide, and a person is told', async () => {
    const refuse = () => ({ kind: 'defer', reason: 'ask the author' }) as const;
    const scene = await openScene({
      routes: [{ policy: { kind: 'custom', name: 'refuse' } }],
      resolvers: { refuse },
    });
    scene.put('aws', KEY, 'one');
    scene.put('gcp', KEY, 'another');
    await scene.rest();
    expect([await scene.read('aws', KEY), await scene.read('gcp', KEY)]).toEqual(['one', 'another']);
    expect((await scene.item(KEY))?.unresolved?.reason).toBe('ask the author');
    expect(scene.notices).toContainEqual(expect.objectContaining({ what: 'unresolved', key: KEY }));
  });

  it('become one where the user’s own policy merges them', async () => {
    const merge = (siblings: readonly { readonly bytes: Uint8Array }[]) => {
      const texts = siblings.map(({ bytes }) => Buffer.from(bytes).toString()).sort();
      return { kind: 'merge', bytes: Buffer.from(texts.join('+')), metadata: { headers: {}, user: {} } } as const;
    };
    const scene = await openScene({ routes: [{ policy: { kind: 'custom', name: 'merge' } }], resolvers: { merge } });
    scene.put('aws', KEY, 'one');
    scene.put('gcp', KEY, 'another');
    await scene.rest();
    expect(await scene.readAll(KEY)).toEqual(['another+one', 'another+one', 'another+one']);
  });
});

describe('residency', () => {
  const routes = [
    { prefix: 'eu/', sites: ['aws', 'az'] },
    { prefix: 'logs/', sites: ['aws', 'gcp'] },
  ];

  it('keeps every byte of a key at the sites of its route, whatever happens to it', async () => {
    const scene = await openScene({ routes });
    scene.put('aws', 'eu/a', 'one');
    await scene.drain();
    scene.put('az', 'eu/a', 'two');
    scene.put('aws', 'eu/a', 'three');
    await scene.rest();
    scene.buckets.az?.clientDelete('eu/a');
    await scene.rest();
    await antiEntropy(scene.world);
    expect(scene.calls.filter(({ place }) => place === 'gcp').map(({ op }) => op)).not.toContain('put');
    expect(await scene.keys('gcp')).toEqual(['.triplicate/sentinel']);
    expect(Object.keys((await scene.item('eu/a'))?.sites ?? {}).sort()).toEqual(['aws', 'az']);
  });

  it('leaves alone what stands at a site outside the route', async () => {
    const scene = await openScene({ routes });
    scene.put('gcp', 'eu/a', 'stray');
    await scene.drain();
    expect(await scene.item('eu/a')).toBeNull();
    scene.put('aws', 'eu/a', 'one');
    await scene.rest();
    await antiEntropy(scene.world);
    expect(await scene.readAll('eu/a')).toEqual(['one', 'stray', 'one']);
  });

  it('leaves alone keys that no route names, and our own', async () => {
    const scene = await openScene({ routes });
    scene.put('aws', 'other/a', 'one');
    await scene.tell({ site: 'aws', key: '.triplicate/sentinel', kind: 'put' });
    await scene.drain();
    expect(await antiEntropy(scene.world)).toMatchObject({ kind: 'finished', differing: 0 });
    expect(scene.writes()).toEqual([]);
    expect(await scene.world.ledger.listKeys({ limit: 10 })).toEqual([]);
    expect(await scene.readAll('other/a')).toEqual(['one', null, null]);
  });
});
