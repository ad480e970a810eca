import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Body, EMPTY_BODY } from './bodies.ts';
import { openState, type State } from './state.ts';

const folders: string[] = [];
const states: State[] = [];

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'triplicate-'));
  folders.push(made);
  return made;
}

function open(at: string | null): State {
  const state = openState(at);
  states.push(state);
  return state;
}

afterEach(() => {
  for (const state of states.splice(0)) state.close();
  for (const made of folders.splice(0)) rmSync(made, { recursive: true });
});

const small = Buffer.from('a few bytes');
const large = Buffer.alloc(300_000, 'a longer text. ');

async function pieces(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of source) all.push(piece);
  return Buffer.concat(all);
}

async function kept({ db, bodies }: State, ...bytes: readonly Uint8Array[]): Promise<Body> {
  const body = await bodies.write(bytes);
  db.transaction(() => bodies.keep(body));
  return body;
}

describe.each([
  ['in memory', () => null],
  ['in a folder', folder],
])('bodies %s', (_name, where) => {
  it('come back byte for byte, whole and in ranges, small and large', async () => {
    const state = open(where());
    for (const bytes of [small, large]) {
      const body = await kept(state, bytes.subarray(0, 7), bytes.subarray(7));
      expect(state.bodies.sizeOf(body)).toBe(bytes.length);
      expect(await pieces(state.bodies.read(body))).toEqual(bytes);
      expect(await pieces(state.bodies.read(body, 5, 9))).toEqual(bytes.subarray(5, 9));
    }
  });

  it('are joined without being copied, and ranges cross the seams', async () => {
    const state = open(where());
    const joined = state.bodies.join([await kept(state, small), EMPTY_BODY, await kept(state, large)]);
    const whole = Buffer.concat([small, large]);
    expect(await pieces(state.bodies.read(joined))).toEqual(whole);
    expect(await pieces(state.bodies.read(joined, 3, 100_000))).toEqual(whole.subarray(3, 100_000));
  });

  it('live as long as anybody uses them', async () => {
    const { db, bodies } = open(where());
    const body = await bodies.write([large]);
    bodies.keep(body);
    bodies.keep(body);
    bodies.drop(body);
    expect(await pieces(bodies.read(body))).toEqual(large);
    db.transaction(() => bodies.drop(body));
    expect(() => bodies.read(body)).toThrow(/are gone/);
    expect(() => bodies.keep(body)).toThrow(/are gone/);
  });

  it('stay readable for whoever is reading when they are dropped', async () => {
    const state = open(where());
    const body = await kept(state, large);
    const reading = state.bodies.read(body);
    state.bodies.drop(body);
    expect(await pieces(reading)).toEqual(large);
  });

  it('keep nothing of a source that broke off', async () => {
    const at = where();
    const { db, bodies } = open(at);
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield large;
      throw new Error('the client hung up');
    }
    await expect(bodies.write(broken())).rejects.toThrow('the client hung up');
    expect(db.all('SELECT id FROM bodies')).toEqual([]);
    if (at !== null) expect(readdirSync(join(at, 'bodies'))).toEqual([]);
  });
});

it('a new start removes what nobody kept, and only that', async () => {
  const at = folder();
  const before = open(at);
  const body = await kept(before, large);
  await before.bodies.write([large]);
  writeFileSync(join(at, 'bodies', 'half-written'), 'torn');
  before.close();
  states.pop();
  const after = open(at);
  expect(await pieces(after.bodies.read(body))).toEqual(large);
  expect(readdirSync(join(at, 'bodies'))).toHaveLength(1);
  expect(after.db.all('SELECT id FROM bodies')).toHaveLength(1);
});

it('a drop that is rolled back leaves the file alone', async () => {
  const state = open(folder());
  const body = await kept(state, large);
  expect(() =>
    state.db.transaction(() => {
      state.bodies.drop(body);
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(await pieces(state.bodies.read(body))).toEqual(large);
});
