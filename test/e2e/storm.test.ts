import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { SiteName } from './apps/app.ts';
import { textOf } from './compare.ts';
import { openScene, type Scene } from './scene.ts';
import { each, pause } from './wait.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

const RENAMED = 200;
/** TRIPLICATE_E2E_WRITERS_MS=60000 lets them write for a minute. */
const WRITERS_MS = Number(process.env.TRIPLICATE_E2E_WRITERS_MS ?? 10_000);

let scene: Scene;

beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.stop());

describe('many changes at once', () => {
  it('a folder is renamed in a cloud where its objects are replicas: copy by copy, delete by delete', async () => {
    const { aws, gcp, azure } = scene.apps;
    const names = Array.from({ length: RENAMED }, (_, i) => `${i}.txt`);
    await each(names, 8, async (name) => void (await aws.put(`old/${name}`, `text of ${name}`)));
    await scene.settled();
    await each(names, 8, async (name) => {
      await gcp.copy(`old/${name}`, `new/${name}`);
      await gcp.remove(`old/${name}`);
    });
    await scene.settled();
    expect([...(await aws.list()).keys()].sort()).toEqual(names.map((name) => `new/${name}`).sort());
    await each(names, 8, async (name) => {
      expect(await textOf(azure, `new/${name}`)).toBe(`text of ${name}`);
    });
    // One write of each object and one delete marker: nothing went to and fro.
    const written = Map.groupBy(await aws.history(), ({ name }) => name);
    for (const name of names) {
      expect(written.get(`old/${name}`)).toHaveLength(2);
      expect(written.get(`new/${name}`)).toHaveLength(1);
    }
  });

  it('two programs write one key in two clouds: it ends equal everywhere, and every write is accounted for', async () => {
    const key = 'duel/shared.txt';
    // Of what a bucket had before anybody first looked at the key only the last version counts.
    await scene.apps.aws.put(key, 'before the duel');
    await scene.settled();
    const texts = new Map<string, string>();
    const endAt = performance.now() + WRITERS_MS;
    const write = async (site: SiteName) => {
      for (let n = 0; performance.now() < endAt; n++) {
        texts.set(await scene.apps[site].put(key, `write ${n} of ${site}`), `write ${n} of ${site}`);
        await pause(20 + ((n * 37) % 150));
      }
    };
    await Promise.all([write('aws'), write('gcp')]);
    await scene.settled();

    const log = await scene.log(key);
    const seen = log.filter(({ kind }) => kind === 'version');
    const physOf = (note: string) => note.split(' of ').at(-1) ?? '';
    const textOfVid = new Map(seen.map(({ vid = '', note }) => [vid, texts.get(physOf(note))]));
    const logged = new Set(seen.map(({ note }) => physOf(note)));

    // S3 shows every version, so each one is in the log. Google shows the last one: who is not in the log was written
    // over by the same program before anybody could look, and the bucket's own history says so.
    const history = (await scene.apps.gcp.history()).filter(({ name }) => name === key).map(({ phys }) => phys);
    for (const [phys, text] of texts) {
      if (logged.has(phys)) continue;
      expect(text).toMatch(/of gcp$/);
      expect(texts.get(history[history.indexOf(phys) + 1] as string)).toMatch(/of gcp$/);
    }
    // Whatever lost without being seen by the winner is kept beside it, as it was.
    const lost = log.filter(({ kind }) => kind === 'superseded');
    expect(lost.length).toBeGreaterThan(0);
    for (const { vid = '' } of lost) {
      const [site, n] = vid.split(':');
      expect(textOfVid.get(vid)).toBeDefined();
      expect(await textOf(scene.apps.azure, `duel/shared~conflict-${site}-${n}.txt`)).toBe(textOfVid.get(vid));
    }
    expect([...texts.values()]).toContain(await textOf(scene.apps.azure, key));
    expect(scene.notices).toEqual([]);
  });
});
