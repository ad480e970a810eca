import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { toNativeKey } from '#shared/model/key-map.ts';
import { SITES, type SiteName } from './apps/app.ts';
import { textOf } from './compare.ts';
import { openScene, type Scene } from './scene.ts';
import { each, until } from './wait.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

const NFC = 'Ünïcode'.normalize('NFC');
const NFD = 'Ünïcode'.normalize('NFD');
const BYTES_MAX = 1024;

/** Everything that some cloud, some client or some queue is known to change, to lose or to refuse. */
const AWKWARD: readonly string[] = [
  ...['with space', ' lead', 'trail ', 'plus+plus', 'a b+c%20d', 'per%cent', '%2F', '%41%zz', 'a%00b'],
  ...[`${NFC}`, `${NFD}`, 'emoji 🚀👩‍🚀', '日本/語', '\u202eright to left', '\ufeffmark'],
  ...[
    'dot.',
    'dots...',
    'a/../b',
    'a/./b',
    './c',
    '../d',
    'a//b',
    '/rooted',
    'folder/',
    'folder.',
    'folder/.',
    'folder//',
  ],
  ...[
    'back\\slash',
    'quo"te',
    "apo'strophe",
    '<xml>&amp;',
    'q?u=e#r&y',
    'co:lon*|',
    '[x]{y}^~`',
    'tab\tbed',
    'bell\u0007',
  ],
  ...['tilde~2E', 'tilde~7E2E', '~x00', 'x~', '=?utf-8?q?x?=', '$logs', 'con', 'nul.txt', 'SAME', 'same'],
];

let scene: Scene;

beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.stop());

function nameAt(site: SiteName, key: string): string {
  const native = toNativeKey(site, key);
  if (native.kind === 'unrepresentable') throw new Error(native.reason);
  return native.name;
}

/** What all sites show of it, under the name that it has there. */
async function shown(key: string): Promise<readonly (string | null)[]> {
  return Promise.all(SITES.map((site) => textOf(scene.apps[site], nameAt(site, key))));
}

describe('a key that is awkward somewhere', () => {
  it.each(SITES)('%s: arrives as it is, beside all others, and is deleted by that name', async (site) => {
    const keys = [
      ...AWKWARD.map((text) => `${site}/${text}`),
      `${site}/${'n'.repeat(BYTES_MAX)}`.slice(0, BYTES_MAX),
      `${site}/${'é'.repeat(BYTES_MAX)}`.slice(0, (BYTES_MAX + site.length + 1) / 2),
      `${site}/${'s/'.repeat(252)}254`,
    ];
    for (const key of keys) expect(Buffer.byteLength(key)).toBeLessThanOrEqual(BYTES_MAX);
    await each(keys, 6, async (key) => void (await scene.apps[site].put(nameAt(site, key), `${site} ${key}`)));
    await scene.settled();
    await each(keys, 6, async (key) => {
      expect(await shown(key)).toEqual(SITES.map(() => `${site} ${key}`));
    });
    // Where the name is the key, it is seen to be so.
    if (site !== 'azure') for (const key of keys) expect((await scene.apps.aws.list()).has(key)).toBe(true);
    const other = scene.apps[SITES[(SITES.indexOf(site) + 1) % SITES.length] as SiteName];
    await each(keys, 6, async (key) => other.remove(nameAt(other.site, key)));
    await scene.settled();
    for (const it of SITES) expect([...(await scene.apps[it].list()).keys()]).toEqual([]);
  });

  it('has a name on Azure made from its digest when it has more segments than Azure allows', async () => {
    const key = `${'s/'.repeat(300)}end`;
    await scene.apps.gcp.put(key, 'deep');
    await scene.settled();
    expect(await shown(key)).toEqual(['deep', 'deep', 'deep']);
    await scene.apps.azure.put(nameAt('azure', key), 'changed there');
    await scene.apps.gcp.remove(key);
    await scene.settled();
  });

  it.each([
    ['line\nfeed', 'gcp allows no carriage return or line feed in a name'],
    ['..', 'gcp allows no object named ".."'],
    ['.well-known/acme-challenge/x', 'gcp allows no name under .well-known/acme-challenge/'],
  ])('%j goes where it can be held, and a person is told of the rest', async (key, reason) => {
    await scene.apps.aws.put(key, 'left out of one');
    const azure = nameAt('azure', key);
    await until('Azure has it', async () => ((await textOf(scene.apps.azure, azure)) === null ? ['not there'] : []));
    await scene.settled();
    expect(scene.notices).toContainEqual({ severity: 'alarm', what: 'cannot-hold', site: 'gcp', key, detail: reason });
    await scene.apps.azure.remove(azure);
    await scene.settled();
    expect(await scene.apps.aws.head(key)).toBeNull();
  });
});
