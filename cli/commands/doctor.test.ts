import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliWorld, startCliWorld } from '../../test/samples/cli-world.ts';
import type { Check } from '../doctor/checks.ts';

let world: CliWorld;

beforeAll(async () => {
  world = await startCliWorld({ replicates: false });
});
afterAll(() => world.stop());

async function ask(...args: readonly string[]): Promise<readonly Check[]> {
  return (await world.json<{ checks: readonly Check[] }>('doctor', ...args)).checks;
}

describe('triplicate doctor', () => {
  it('finds nothing wrong where nothing is, hears of its probes, and leaves nothing behind', async () => {
    const checks = await ask('--wait', '120');
    expect(checks.filter(({ state }) => state === 'problem')).toEqual([]);
    for (const site of ['aws', 'gcp', 'azure'])
      expect(checks.filter((check) => check.site === site && check.state === 'ok').map(({ what }) => what)).toEqual(
        expect.arrayContaining(['site', 'sentinel', 'write', 'clock', 'keys', 'queue', 'notifications']),
      );
    expect(checks).toContainEqual(expect.objectContaining({ what: 'ledger', state: 'ok' }));
    expect(checks).toContainEqual(expect.objectContaining({ what: 'versions', site: 'aws', state: 'ok' }));
    const { stores } = world;
    for (const store of Object.values(stores)) {
      const { objects } = await store.list({ prefix: '.triplicate/probe/', limit: 10 });
      expect(objects).toEqual([]);
    }
  });

  it('tells of a missing sentinel and what to do, and plants it when told to', async () => {
    await world.remove('gcp', '.triplicate/sentinel');
    const { status, stdout } = await world.run('doctor', '--wait', '0');
    expect(status).toBe(1);
    expect(stdout.replace(/\s+/g, ' ')).toMatch(
      /problem gcp sentinel .* is missing.* -> If triplicate is the right bucket/,
    );
    expect(stdout).toMatch(/, 1 problem/);
    const told = await world.json<{ needs: readonly string[] }>('status');
    expect(told.needs.join()).toContain('The sentinel of site gcp is missing');
    expect((await world.run('doctor', '--wait', '0', '--plant-sentinels')).status).toBe(0);
    expect((await world.run('status')).status).toBe(0);
  });

  it('tells of keys that another site cannot hold', async () => {
    await world.put('aws', 'two\nlines', 'x');
    const check = (await ask('--wait', '0')).find(({ what, site }) => what === 'keys' && site === 'aws');
    expect(check).toMatchObject({
      state: 'problem',
      text: expect.stringContaining('"two\\nlines" at gcp: gcp allows no'),
    });
    await world.remove('aws', 'two\nlines');
  });

  it('tells of clocks that differ, of services that fail and of sites that do not answer', async () => {
    const { faults } = world.clouds;
    faults.add({ scope: { cloud: 'gcp' }, effect: { kind: 'clock', aheadMs: 60_000 } });
    faults.add({ scope: { cloud: 'azure', service: 'blob' }, effect: { kind: 'outage' } });
    try {
      const checks = await ask('--wait', '0');
      expect(checks).toContainEqual(
        expect.objectContaining({
          what: 'clock',
          site: 'gcp',
          state: 'problem',
          text: expect.stringContaining('ahead of'),
        }),
      );
      expect(checks.find(({ site, state }) => site === 'azure' && state === 'problem')).toBeDefined();
      const status = await world.run('status');
      expect(status.status).toBe(1);
      expect(status.stdout).toContain('Site azure does not answer');
    } finally {
      faults.clear();
    }
  });

  it.each([
    [['doctor', '--wait', 'long'], '--wait long: expected a whole number from 0 to 600.'],
    [['doctor', 'aws'], 'triplicate doctor does not take "aws"'],
    [['doctor', '--plant-sentinel'], 'Did you mean --plant-sentinels?'],
  ])('%j is refused in a sentence', async (args, sentence) => {
    const { status, stdout, stderr } = await world.run(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(sentence);
  });
});
