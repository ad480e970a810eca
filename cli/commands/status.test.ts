import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../test/samples/cli.ts';
import { type CliWorld, startCliWorld } from '../../test/samples/cli-world.ts';

let world: CliWorld;

beforeAll(async () => {
  world = await startCliWorld({ replicates: false });
});
afterAll(() => world.stop());

describe('triplicate status', () => {
  it('says that all is well where it is, with every site and queue', async () => {
    const { status, stdout, stderr, lines } = await world.run('status');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const site of ['aws', 'gcp', 'azure']) {
      expect(stdout).toMatch(new RegExp(`^${site} +${site} +\\S*triplicate +active +in \\d+ ms +there$`, 'm'));
      expect(stdout).toMatch(new RegExp(`^${site} +(\\d+|not told) +(\\d+|not told) +0$`, 'm'));
    }
    expect(stdout).toContain('nothing is under way.');
    expect(lines.at(-1)).toBe('All is well.');
  });

  it('tells programs the same', async () => {
    const it = await world.json<Record<string, unknown>>('status');
    expect(it).toMatchObject({ namespace: 'local-world', needs: [], unresolved: [], keysLookedAt: 0 });
    expect(it.ledger).toEqual({ answers: true, epoch: 1, underWay: 0, overdue: 0, oldestDueAt: null, fault: null });
    expect(it.sites).toMatchObject([
      { id: 'aws', answers: true, sentinel: true, fault: null },
      { id: 'gcp', answers: true, sentinel: true, fault: null },
      { id: 'azure', answers: true, sentinel: true, fault: null },
    ]);
    expect(it.queues).toMatchObject([{ site: 'aws', dead: 0, letters: [] }, { site: 'gcp' }, { site: 'azure' }]);
  });

  it('does not wait for a cloud that is silent, and says that it was not reached', async () => {
    world.clouds.faults.add({ scope: { cloud: 'azure' }, effect: { kind: 'silence' } });
    try {
      const { status, stdout } = await world.run('status');
      expect(status).toBe(1);
      expect(stdout).toMatch(/^azure .* not reached +-$/m);
      expect(stdout).toMatch(/^azure +not reached *$/m);
      expect(stdout).toMatch(/^aws .* in \d+ ms +there$/m);
      expect(stdout.replace(/\s+/g, ' ')).toContain('site azure did not answer within 5 s');
      const differing = await world.run('diff');
      expect(differing.stdout).toContain('azure left out');
    } finally {
      world.clouds.faults.clear();
    }
  });

  it('asks whether a worker runs when keys wait for longer than any worker takes', async () => {
    const { openLedger } = await import('../../shared/ledger/open.ts');
    const { emptyItem } = await import('../../shared/decide/draft.ts');
    const ledger = await openLedger(`sqlite:${world.folder}/.triplicate/ledger.sqlite`);
    const due = Date.now() - 2 * 3_600_000;
    await ledger.compareAndSet({ ...emptyItem('late'), due }, { rev: 0, epoch: 1 });
    const { status, stdout } = await world.run('status');
    expect(status).toBe(1);
    expect(stdout).toContain('1 key under way, 1 of them due, the oldest since 2 h.');
    expect(stdout.replace(/\s+/g, ' ')).toContain(
      'One thing needs a person: - The key that is due longest waits since 2 h',
    );
    await ledger.remove('late', { rev: 1, epoch: 1 });
    await ledger.close();
  });

  it('is in colour where somebody looks who wants it', async () => {
    expect((await run({ folder: world.folder, colours: true }, 'status')).stdout).toContain(
      '\u001b[32mAll is well.\u001b[0m',
    );
  });
});
