import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type About, type App, SITES, type SiteName } from './apps/app.ts';
import { digestOf, meaningOf, textOf, writesOf } from './compare.ts';
import { openScene, type Scene } from './scene.ts';
import { each, until } from './wait.ts';

const MI = 1024 * 1024;

vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

let scene: Scene;

beforeAll(async () => {
  // So that an object of 100 MiB goes by parts, in a memory that three clouds share with everything else.
  scene = await openScene({ limits: { stageOverBytes: 32 * MI, partBytes: 16 * MI } });
});
afterAll(() => scene.stop());

/** What each site shows under the name, in their order. */
async function texts(name: string): Promise<readonly (string | null)[]> {
  return Promise.all(SITES.map((site) => textOf(scene.apps[site], name)));
}

function same<Value>(value: Value): readonly Value[] {
  return SITES.map(() => value);
}

function othersThan(site: SiteName): readonly App[] {
  return SITES.filter((it) => it !== site).map((it) => scene.apps[it]);
}

describe('what a program does in one cloud is so in the others', () => {
  it.each(SITES)('%s: a write, a write over it, and a delete', async (site) => {
    const app = scene.apps[site];
    const name = `pair/from-${site}.txt`;
    await app.put(name, 'first');
    await scene.settled();
    expect(await texts(name)).toEqual(same('first'));
    await app.put(name, 'second');
    await scene.settled();
    expect(await texts(name)).toEqual(same('second'));
    await app.remove(name);
    await scene.settled();
    expect(await texts(name)).toEqual(same(null));
  });

  it('all three at once, many keys', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `at-once/${i}`);
    await Promise.all(
      SITES.map((site) => each(names, 4, async (name) => void (await scene.apps[site].put(`${name}-${site}`, name)))),
    );
    await scene.settled();
    for (const site of SITES) {
      const standing = [...(await scene.apps[site].list()).keys()].filter((name) => name.startsWith('at-once/'));
      expect(standing).toHaveLength(names.length * SITES.length);
    }
  });

  it('a key goes from hand to hand: each program writes over, deletes and makes anew what another one left', async () => {
    const { aws, gcp, azure } = scene.apps;
    const name = 'hand/over';
    await aws.put(name, 'from aws');
    await scene.settled();
    await gcp.put(name, 'from gcp');
    await scene.settled();
    await azure.remove(name);
    await scene.settled();
    expect(await texts(name)).toEqual(same(null));
    await azure.put(name, 'anew');
    await scene.settled();
    expect(await texts(name)).toEqual(same('anew'));
    await aws.remove(name);
    await scene.settled();
    await gcp.put(name, 'and again');
    await scene.settled();
    expect(await texts(name)).toEqual(same('and again'));
    // Nobody wrote without having seen what was there: nothing is kept aside.
    expect([...(await aws.list()).keys()].filter((it) => it.startsWith('hand/'))).toEqual([name]);
  });

  it('what is un-deleted on S3 is back everywhere', async () => {
    const { aws, gcp } = scene.apps;
    await gcp.put('undelete', 'wanted after all');
    await scene.settled();
    await aws.remove('undelete');
    await scene.settled();
    expect(await texts('undelete')).toEqual(same(null));
    await aws.undelete('undelete');
    await scene.settled();
    expect(await texts('undelete')).toEqual(same('wanted after all'));
  });

  it('a copy of a replica is an object like any other', async () => {
    const { aws, gcp, azure } = scene.apps;
    await aws.put('copies/one', 'copied');
    await scene.settled();
    await gcp.copy('copies/one', 'copies/two');
    await azure.copy('copies/one', 'copies/three');
    await scene.settled();
    for (const name of ['copies/two', 'copies/three']) expect(await texts(name)).toEqual(same('copied'));
  });
});

describe('what is said of an object', () => {
  const headers = {
    contentType: 'text/csv; charset=utf-8',
    contentEncoding: 'gzip',
    contentLanguage: 'de-AT',
    contentDisposition: 'attachment; filename="a b.csv"',
    cacheControl: 'private, max-age=60',
  };
  const user = { owner: 'crew 7', stage: 'raw' };

  it.each(SITES)('%s: goes with it, and packed bytes stay as they are stored', async (site) => {
    const name = `about/from-${site}`;
    await scene.apps[site].put(name, gzipSync(`packed in ${site}`), { headers, user });
    await scene.settled();
    for (const app of othersThan(site)) {
      const found = await app.head(name);
      expect(found && meaningOf(app.site, found)).toEqual({ headers, user });
      expect(found?.isReplica).toBe(true);
    }
  });

  it.each(SITES)('%s: changes everywhere when it is changed alone', async (site) => {
    const app = scene.apps[site];
    const name = `patched/from-${site}`;
    await scene.apps.gcp.put(name, 'the same bytes', {
      headers: { contentType: 'text/plain' },
      user: { colour: 'red' },
    });
    await scene.settled();
    const changed: About = {
      headers: { contentType: 'text/plain', cacheControl: 'no-store' },
      user: { colour: 'blue' },
    };
    await app.patch(name, changed);
    // Azure tells nobody of it: a pass finds it.
    if (site === 'azure') await scene.pass();
    await scene.settled();
    expect(await texts(name)).toEqual(same('the same bytes'));
    for (const other of SITES) {
      const found = await scene.apps[other].head(name);
      expect(found && meaningOf(other, found)).toEqual(changed);
    }
  });

  it('texts that a header cannot carry arrive as they were meant', async () => {
    await scene.apps.gcp.put('about/words', 'x', { user: { motto: ' größe & 日本 ' } });
    await scene.settled();
    for (const site of SITES) {
      const found = await scene.apps[site].head('about/words');
      expect(found && meaningOf(site, found).user).toEqual({ motto: ' größe & 日本 ' });
    }
  });

  it('metadata that a cloud has no room for stays out of it, which is told, and nothing else suffers', async () => {
    const user = { essay: 'x'.repeat(3_000) };
    await scene.apps.gcp.put('about/much', 'much to say', { user });
    const told = () =>
      scene.notices.some(({ what, site, key }) => what === 'cannot-hold' && site === 'aws' && key === 'about/much');
    await until('it is told', async () => (told() ? [] : ['nobody was told']));
    await until('Azure has it', async () => ((await scene.apps.azure.head('about/much')) ? [] : ['not there']));
    expect(await scene.apps.aws.head('about/much')).toBeNull();
    await scene.apps.gcp.remove('about/much');
    await scene.settled();
  });
});

describe('objects of any size', () => {
  it.each(SITES)('%s: none at all, and a byte more than a part', async (site) => {
    await scene.apps[site].put(`sizes/0-${site}`, '');
    await scene.apps[site].put(`sizes/5-${site}`, patterned(5 * MI + 1));
    await scene.settled();
    for (const app of othersThan(site)) {
      expect((await app.head(`sizes/0-${site}`))?.sizeBytes).toBe(0);
      expect((await app.head(`sizes/5-${site}`))?.sizeBytes).toBe(5 * MI + 1);
    }
  });

  it.each([
    ['aws', 100],
    ['gcp', 40],
    ['azure', 40],
  ] as const)('%s: %d MiB, written as a stream and copied by parts', async (site, mebibytes) => {
    const app = scene.apps[site];
    const block = patterned(MI);
    const name = `sizes/stream-${site}`;
    const written = createHash('sha256');
    const blocks = Array.from({ length: mebibytes }, (_, i) =>
      Buffer.concat([block.subarray(i), block.subarray(0, i)]),
    );
    for (const it of blocks) written.update(it);
    await app.upload(name, Readable.from(blocks), mebibytes * MI);
    await scene.settled();
    expect(await digestOf(othersThan(site)[0] as App, name)).toBe(written.digest('hex'));
    await app.remove(name);
    await scene.settled();
  });
});

it('comes to rest: nobody writes any more once everything is the same, and a pass finds nothing to do', async () => {
  await scene.settled();
  const before = await writesOf(scene.apps);
  await scene.pass();
  await scene.settled();
  expect(await writesOf(scene.apps)).toEqual(before);
  expect(scene.notices.filter(({ what }) => what !== 'cannot-hold')).toEqual([]);
});

/** No two bytes that lie a power of two apart are always equal, so that blocks in a wrong place show. */
function patterned(sizeBytes: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: sizeBytes }, (_, i) => (i * 31 + (i >>> 8) * 17 + (i >>> 16)) & 255));
}
