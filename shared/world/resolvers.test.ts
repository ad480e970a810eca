import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openScene } from '../../test/scenario/world.ts';
import { isFault } from '../model/fault.ts';
import { readTopology } from '../model/topology.ts';
import { loadResolvers } from './resolvers.ts';

const folder = mkdtempSync(join(tmpdir(), 'resolvers-'));
afterAll(() => rmSync(folder, { recursive: true }));

const YAML = `
namespace: told
sites:
  - { id: fra, cloud: aws, region: eu-central-1, bucket: one-bucket }
  - { id: ams, cloud: gcp, region: europe-west4, bucket: another-bucket }
routes:
  - { prefix: "", sites: [fra, ams], policy: { custom: mine } }
`;

function write(file: string, text: string): string {
  writeFileSync(join(folder, file), text);
  return `./${file}`;
}

function load(resolvers: string) {
  return loadResolvers(readTopology(`${YAML}${resolvers}`, 'told.yaml'), folder, 'told.yaml');
}

function wrongWith(resolvers: string): string {
  try {
    load(resolvers);
  } catch (error) {
    if (isFault(error, 'invalid')) return error.message;
    throw error;
  }
  return 'nothing';
}

describe('a conflict policy of a user', () => {
  it('is the default export of the file that the configuration names', () => {
    const file = write('good.mjs', 'export default () => ({ kind: "defer", reason: "ask me" });');
    expect(load(`resolvers: { mine: ${file} }`).mine?.([])).toEqual({ kind: 'defer', reason: 'ask me' });
  });

  it.each([
    [
      'is missing',
      'mine: ./nowhere.mjs',
      /^told\.yaml: resolvers\.mine: \.\/nowhere\.mjs cannot be loaded: Cannot find/,
    ],
    [
      'cannot be read',
      `mine: ${write('bad.mjs', 'export default (')}`,
      /^told\.yaml: resolvers\.mine: .* cannot be loaded/,
    ],
    ['throws', `mine: ${write('throws.mjs', 'throw new Error("no luck")')}`, /cannot be loaded: no luck$/],
    [
      'exports no function',
      `mine: ${write('none.mjs', 'export const mine = 1')}`,
      /a function as its default.*nothing$/,
    ],
    ['exports something else', `mine: ${write('else.mjs', 'export default { a: 1 }')}`, /got \{"a":1\}$/],
    ['waits', `mine: ${write('waits.mjs', 'await 1; export default () => 1')}`, /cannot be loaded/],
    [
      'has another name',
      `other: ${write('other.mjs', 'export default () => 1')}`,
      /^told\.yaml: routes\[0\]\.policy\.custom: expected a name under resolvers, got mine$/,
    ],
  ])('is told of with its place when it %s', (_what, resolvers, message) => {
    expect(wrongWith(`resolvers: { ${resolvers} }`)).toMatch(message);
  });

  it('is asked for when a route names it and nothing else does', () => {
    expect(wrongWith('')).toContain('routes[0].policy.custom');
  });

  it.each([
    ['{ a: 7 }', /^told\.yaml:8:17: resolvers\.a: expected the name of a file/],
    ['[a]', /^told\.yaml:8:12: resolvers: expected a map of names to files/],
    ['{ A_b: ./x.mjs }', /^told\.yaml:8:\d+: resolvers\.A_b: expected a name, 1 to 64/],
  ])('%s is no map of files', (resolvers, message) => {
    expect(wrongWith(`resolvers: ${resolvers}`)).toMatch(message);
  });
});

describe('an answer that is none', () => {
  const YES = '{ kind: "merge", bytes: new Uint8Array(3), metadata: { headers: {}, user: { a: "b" } } }';
  it.each([
    ['nothing', 'undefined', 'mine answered nothing'],
    ['a promise', `Promise.resolve(${YES})`, 'mine answered a promise'],
    ['a text', '"aws:1"', 'mine answered "aws:1"'],
    ['a kind nobody knows', '{ kind: "mix" }', 'mine answered {"kind":"mix"}'],
    ['a merge without bytes', '{ kind: "merge" }', 'mine answered {"kind":"merge"}'],
    ['a merge of a text', '{ kind: "merge", bytes: "x" }', 'mine answered {"kind":"merge","bytes":"x"}'],
    [
      'metadata that is none',
      '{ kind: "merge", bytes: new Uint8Array(3), metadata: { headers: {}, user: { a: 1 } } }',
      'mine answered {"kind":"merge","bytes":"3 bytes"',
    ],
  ])('%s leaves the key to an operator, and says why', async (what, answer, reason) => {
    const file = write(`${what.replaceAll(' ', '-')}.mjs`, `export default () => (${answer});`);
    const resolvers = load(`resolvers: { mine: ${file} }`);
    const scene = await openScene({ routes: [{ policy: { kind: 'custom', name: 'mine' } }], resolvers });
    scene.put('aws', 'k', 'one');
    scene.put('gcp', 'k', 'another');
    await scene.rest();
    expect((await scene.item('k'))?.unresolved?.reason).toContain(reason);
    expect(scene.notices).toContainEqual(expect.objectContaining({ what: 'unresolved', key: 'k', severity: 'alarm' }));
  });
});
