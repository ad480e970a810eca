import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliWorld, startCliWorld } from '../../test/samples/cli-world.ts';

let world: CliWorld;

beforeAll(async () => {
  world = await startCliWorld();
});
afterAll(() => world.stop());

describe('a message that cannot be worked on', () => {
  it('is shown with its reason, told by status, and put back', async () => {
    const { openQueue } = await import('../../shared/queue/open.ts');
    const { toLocalSettings } = await import('../../local/replication.ts');
    const { access, queues } = toLocalSettings(world.clouds.config, { kind: 'memory', folder: '' });
    const queue = await openQueue(queues.aws ?? '', access, Date.now);
    await queue.send('not a notification at all');
    for (let tries = 0; tries < 100 && (await queue.depth()).dead === 0; tries++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    await world.pause();
    const { status, stdout } = await world.run('dead', 'list');
    expect(status).toBe(1);
    expect(stdout).toMatch(/^aws .* not a notification at all$/m);
    expect(stdout).toContain('1 dead letter.');
    expect((await world.run('dead', 'list', '--site', 'gcp')).status).toBe(0);
    const told = await world.run('status');
    expect(told.status).toBe(1);
    expect(told.stdout.replace(/\s+/g, ' ')).toContain('triplicate dead redrive --site aws puts them back');
    expect((await world.run('dead', 'redrive', '--site', 'aws')).stdout).toBe('aws: 1 message put back.');
    expect((await queue.depth()).dead).toBe(0);
    await queue.close();
  });
});

describe('buckets that hold objects already', () => {
  it('are joined, after a look at what would happen', async () => {
    await world.put('aws', 'same', 'equal');
    await world.put('gcp', 'same', 'equal');
    await world.put('aws', 'other', 'one');
    await world.put('gcp', 'other', 'another');
    const looked = await world.run('seed', '--dry-run');
    expect(looked).toMatchObject({ status: 0 });
    expect(looked.stdout).toMatch(/^other +aws and gcp$/m);
    expect(looked.stdout).toMatch(/^2 keys: 0 equal everywhere, 1 copy to make, 1 conflict\.\nNothing was changed\.$/m);
    expect(await world.json('diff')).toMatchObject({ differing: [{ key: 'other' }, { key: 'same' }] });
    expect(await world.run('seed')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--yes says that you mean it'),
    });
    expect(await world.json('seed', '--yes')).toMatchObject({ keys: 2, toCopy: 1, dryRun: false });
    expect((await world.run('resync')).status).toBe(0);
    expect(await world.read('azure', 'same')).toBe('equal');
  });
});

describe('a copy that is not what it should be', () => {
  it('is found and made good; one that was emptied away comes back', async () => {
    expect(await world.json('verify', '--deep', '1')).toMatchObject({ left: 0, repaired: 0, wrong: [] });
    await world.put('azure', 'same', 'tampered with');
    expect((await world.run('verify', 'same', '--dry-run')).status).toBe(1);
    expect((await world.run('verify', 'same')).stdout).toMatch(/^same +azure +changed +repaired$/m);
    expect((await world.run('verify')).status).toBe(0);
  });

  it('an emptied bucket is filled again when told to', async () => {
    const { keys } = await world.json<{ keys: number }>('verify');
    for (const { key } of (
      await world.json<{ copied: never[]; wouldCopy: { from: string }[] }>(
        ...['cp', '--recursive', '--dry-run', 'gs://triplicate/', './nowhere'],
      )
    ).wouldCopy.map(({ from }) => ({ key: from.replace('gs://triplicate/', '') })))
      await world.remove('gcp', key);
    await world.remove('gcp', '.triplicate/sentinel');
    expect(await world.run('reseed', 'gcp')).toMatchObject({ status: 2 });
    expect(await world.run('reseed', 'mars', '--yes')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('There is no site "mars"'),
    });
    expect((await world.run('reseed', 'gcp', '--yes')).stdout).toMatch(
      new RegExp(`^${keys} keys will come back to gcp`),
    );
    expect((await world.run('resync')).status).toBe(0);
    expect(await world.read('gcp', 'same')).toBe('tampered with');
  });
});

describe('a lost ledger', () => {
  it('is filled again from the buckets', async () => {
    expect(await world.run('rebuild')).toMatchObject({ status: 2 });
    const { keys, conflicts } = await world.json<{ keys: number; conflicts: readonly unknown[] }>('rebuild', '--yes');
    expect(keys).toBeGreaterThan(0);
    expect(conflicts).toEqual([]);
    expect(await world.json('status')).toMatchObject({ ledger: { epoch: expect.any(Number) }, needs: [] });
  });
});

it.each([
  [['dead', 'list', '--site', 'mars'], '--site mars: expected a site with a queue: aws, gcp and azure.'],
  [['dead', 'list', '--limit', '0'], '--limit 0: expected a whole number from 1 to 10000.'],
  [['verify', '--deep', '2'], '--deep 2: expected a share from 0 to 1.'],
  [['status', '--keys', '-1'], '--keys -1: expected a whole number'],
])('%j is refused in a sentence', async (args, sentence) => {
  const { status, stdout, stderr } = await world.run(...args);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toContain(sentence);
});
