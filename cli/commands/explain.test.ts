import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliWorld, startCliWorld } from '../../test/samples/cli-world.ts';

let world: CliWorld;

beforeAll(async () => {
  world = await startCliWorld();
});
afterAll(() => world.stop());

/** The answer as one text, so that line breaks do not matter. */
async function told(key: string): Promise<string> {
  return (await world.run('explain', key)).stdout.replace(/\s+/g, ' ');
}

describe('triplicate explain', () => {
  it('tells where a settled key stands, under which name, and whose copy it is', async () => {
    await world.put('aws', 'notes dot.', 'The first notes.');
    await world.settled('notes dot.');
    const text = await told('notes dot.');
    expect(text).toMatch(/It is settled: version aws:\d+ \(16 bytes, CRC-32C \S+\) stands at aws, gcp and azure\./);
    expect(text).toMatch(/A client wrote it at aws, 16 bytes: version aws:\d+\./);
    expect(text).toMatch(/aws in step s3:\/\/triplicate\/notes dot\. 16 bytes, written \S+, written by a client/);
    expect(text).toMatch(
      /azure in step az:\/\/devstoreaccount1\/triplicate\/notes dot~2E .*our copy of aws:\d+, by its/,
    );
  });

  it('tells when a client wrote by the clock of the bucket, and when Triplicate saw it where that is another moment', async () => {
    world.clouds.faults.add({ scope: { cloud: 'gcp' }, effect: { kind: 'clock', aheadMs: -600_000 } });
    try {
      await world.put('gcp', 'early.txt', 'written ten minutes ago');
      await world.settled('early.txt');
    } finally {
      world.clouds.faults.clear();
    }
    const [, written = '', seen = ''] =
      /(\S+Z) A client wrote it at gcp, 23 bytes: version gcp:\d+\. Triplicate saw it at (\S+Z)\./.exec(
        await told('early.txt'),
      ) ?? [];
    const apart = Date.parse(seen) - Date.parse(written);
    expect(apart).toBeGreaterThan(500_000);
    expect((await world.json<{ log: readonly object[] }>('explain', 'early.txt')).log).toContainEqual(
      expect.objectContaining({ kind: 'version', writtenAt: expect.any(Number) }),
    );
  });

  it('tells a conflict: who won, why, and where the other one is kept', async () => {
    await world.put('aws', 'plan.txt', 'the plan of aws');
    await world.settled('plan.txt');
    await world.pause();
    await Promise.all([world.put('aws', 'plan.txt', 'aws again'), world.put('gcp', 'plan.txt', 'gcp meanwhile')]);
    expect((await world.run('resync')).status).toBe(0);
    const text = await told('plan.txt');
    expect(text).toMatch(/knew nothing of each other; (aws|gcp):\d+ won by policy keep-both \(write-wins\)\./);
    expect(text).toContain('Their clocks are too near to each other');
    expect(text).toMatch(/held is kept as plan~conflict-(aws|gcp)-\d+\.txt\./);
    const copy = /plan~conflict-\S+\.txt/.exec(text)?.[0] ?? '';
    expect(await told(copy)).toContain('It is the conflict copy of plan.txt, made of version');
  });

  it('tells a delete, and a change that nobody heard of', async () => {
    await world.put('azure', 'gone.txt', 'x');
    await world.run('resync');
    await world.remove('azure', 'gone.txt');
    const before = await world.run('explain', 'gone.txt');
    expect(before.status).toBe(1);
    expect(before.stdout.replace(/\s+/g, ' ')).toContain(
      'The ledger says that it is settled, but azure shows something else',
    );
    await world.run('resync');
    expect(await told('gone.txt')).toMatch(/It is deleted at aws, gcp and azure: .* A client deleted it at azure/);
  });

  it('tells of a key that is not in the index what brings it on', async () => {
    const { openLedger } = await import('../../shared/ledger/open.ts');
    const { emptyItem } = await import('../../shared/decide/draft.ts');
    const ledger = await openLedger(`sqlite:${world.folder}/.triplicate/ledger.sqlite`);
    const at = (due: number) => ({ ...emptyItem('held.txt'), due, unlisted: true as const });
    await ledger.compareAndSet(at(Date.now() + 3_600_000), { rev: 0, epoch: 1 });
    expect(await told('held.txt')).toContain('a worker is at it, or its message comes again.');
    expect(await told('held.txt')).not.toContain('dead letters');
    await ledger.compareAndSet(at(1), { rev: 1, epoch: 1 });
    expect(await told('held.txt')).toContain('look at the dead letters, or wait for the next pass.');
    await ledger.remove('held.txt', { rev: 2, epoch: 1 });
    await ledger.close();
  });

  it('answers programs with everything', async () => {
    const it = await world.json<Record<string, unknown>>('explain', 'plan.txt');
    expect(it).toMatchObject({ key: 'plan.txt', state: 'settled', unresolved: null, dueAt: null });
    expect((it.log as readonly { kind: string }[]).map(({ kind }) => kind)).toContain('superseded');
    expect(Object.values(it.conflictCopies as object)).toHaveLength(1);
    expect((it.sites as readonly object[]).map((site) => ({ ...site }))).toMatchObject([
      { id: 'aws', address: 's3://triplicate/plan.txt', state: 'in step' },
      { id: 'gcp', address: 'gs://triplicate/plan.txt', state: 'in step' },
      { id: 'azure', address: 'az://devstoreaccount1/triplicate/plan.txt', state: 'in step' },
    ]);
  });

  it('does not claim to have seen what a site that is down holds', async () => {
    world.clouds.faults.add({ scope: { cloud: 'azure', service: 'blob' }, effect: { kind: 'outage' } });
    try {
      const { status, stdout } = await world.run('explain', 'plan.txt');
      expect(status).toBe(1);
      const text = stdout.replace(/\s+/g, ' ');
      expect(text).toContain('but azure does not answer, so that cannot be seen now.');
      expect(text).toContain('aws in step');
    } finally {
      world.clouds.faults.clear();
    }
  });

  it('says so of a key that nobody knows, and of one that is none of ours', async () => {
    expect(await world.run('explain', 'nobody')).toMatchObject({ status: 1, stderr: '' });
    expect(await told('nobody')).toContain('Nobody knows of it');
    expect(await told('.triplicate/sentinel')).toContain('It is none of our business');
  });

  it.each([
    [['explain'], 'triplicate explain needs KEY'],
    [['explain', 'a', 'b'], 'triplicate explain does not take "b"'],
    [['explain', ''], 'key: expected at least one character'],
    [['explain', 's3://triplicate/a'], 's3://triplicate/a is an address'],
    [['explain', 'a', '--config', 'nowhere.yaml'], 'nowhere.yaml cannot be read: ENOENT'],
  ])('refuses %j in a sentence', async (args, sentence) => {
    const { status, stdout, stderr } = await world.run(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(sentence);
  });
});
