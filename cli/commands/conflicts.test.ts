import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KeyItem } from '../../shared/model/key-item.ts';
import { type CliWorld, startCliWorld } from '../../test/samples/cli-world.ts';

let world: CliWorld;

beforeAll(async () => {
  world = await startCliWorld();
  await world.pause();
});
afterAll(() => world.stop());

/** As a policy of the user's leaves it that will not decide. */
async function leaveUnresolved(key: string): Promise<readonly string[]> {
  await Promise.all([world.put('aws', key, 'as aws has it'), world.put('gcp', key, 'as gcp does')]);
  const { openLedger } = await import('../../shared/ledger/open.ts');
  const ledger = await openLedger(`sqlite:${world.folder}/.triplicate/ledger.sqlite`);
  const { item: before, epoch } = await ledger.get(key);
  expect(before).toBeNull();
  await world.run('resync', key);
  const { item } = await ledger.get(key);
  const log = (await ledger.readLog(key)).find(({ kind }) => kind === 'superseded');
  const siblings = [log?.vid ?? '', log?.by ?? ''].sort();
  const known = item as KeyItem;
  const undone: KeyItem = {
    ...known,
    frontier: siblings,
    versions: Object.fromEntries(
      Object.entries(known.versions).map(([vid, it]) => [vid, { ...it, vv: { [it.dot.s]: it.dot.n } }]),
    ),
    unresolved: { reason: 'ask the author', since: 1_750_000_000_000, siblings },
  };
  expect(await ledger.compareAndSet(undone, { rev: known.rev, epoch })).toBe('done');
  await ledger.close();
  return siblings;
}

describe('triplicate conflicts', () => {
  it('lists conflict copies, which need nobody', async () => {
    await Promise.all([world.put('aws', 'a/both.txt', 'one'), world.put('gcp', 'a/both.txt', 'another')]);
    await world.run('resync');
    const { status, stdout } = await world.run('conflicts', 'list', 'a/');
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^a\/both~conflict-\S+\.txt +conflict copy +\d+ m?s ago +of (aws|gcp):\d+ of a\/both\.txt$/m,
    );
    expect(stdout).toContain('0 unresolved keys, 1 conflict copy.');
    expect((await world.run('conflicts', 'list', 'elsewhere/')).stdout).toBe('0 unresolved keys, 0 conflict copies.');
  });

  it('shows what to choose from, and makes the choice stand everywhere', async () => {
    const [first = '', second = ''] = await leaveUnresolved('plan.txt');
    const listed = await world.run('conflicts', 'list');
    expect(listed.status).toBe(1);
    expect(listed.stdout).toMatch(/^plan\.txt +unresolved +\d+ d ago +ask the author$/m);
    const status = await world.json<{ needs: readonly string[] }>('status');
    expect(status.needs.join()).toContain('Nobody may decide about plan.txt: ask the author');
    const shown = await world.run('conflicts', 'show', 'plan.txt');
    expect(shown.status).toBe(1);
    for (const vid of [first, second]) expect(shown.stdout).toMatch(new RegExp(`^${vid} +(aws|gcp) `, 'm'));

    expect(await world.run('conflicts', 'resolve', 'plan.txt', 'azure')).toMatchObject({
      status: 2,
      stderr: `azure cannot be chosen: expected ${first} and ${second}, or the site of one of them.`,
    });
    expect(await world.run('conflicts', 'resolve', 'plan.txt', 'gcp')).toMatchObject({
      status: 0,
      stdout: `plan.txt: ${second} won, and stands everywhere.`,
    });
    for (const site of ['aws', 'gcp', 'azure']) expect(await world.read(site, 'plan.txt')).toBe('as gcp does');
    const told = (await world.run('explain', 'plan.txt')).stdout.replace(/\s+/g, ' ');
    expect(told).toContain('It is settled');
    expect(await world.run('conflicts', 'show', 'plan.txt')).toMatchObject({ status: 0 });
  });

  it.each([
    [['conflicts'], 2, 'There is conflicts list, conflicts show, conflicts resolve.'],
    [['conflicts', 'lst'], 2, 'There is conflicts list'],
    [['conflicts', 'show'], 2, 'triplicate conflicts show needs KEY'],
    [['conflicts', 'show', 'nobody'], 1, 'the ledger knows nothing of nobody'],
    [['conflicts', 'resolve', 'plan.txt'], 2, 'triplicate conflicts resolve needs VERSION'],
    [['conflicts', 'resolve', 'a/both.txt', 'aws'], 2, 'a/both.txt is not unresolved, so there is nothing to decide.'],
  ])('%j is answered in a sentence', async (args, expected, sentence) => {
    const { status, stdout, stderr } = await world.run(...args);
    expect({ status, stdout }).toEqual({ status: expected, stdout: '' });
    expect(stderr).toContain(sentence);
  });
});
