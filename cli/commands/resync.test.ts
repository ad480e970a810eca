import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../test/samples/cli.ts';
import { type CliWorld, startCliWorld } from '../../test/samples/cli-world.ts';

let world: CliWorld;

beforeAll(async () => {
  world = await startCliWorld({ replicates: false });
});
afterAll(() => world.stop());

const nothing = { keys: 2, differing: [], vanished: 0, unreadableRows: 0, skippedSites: [] };

describe('triplicate diff and resync', () => {
  it('one tells what differs and changes nothing, the other makes it good', async () => {
    await world.put('aws', 'a/one', 'first');
    await world.put('gcp', 'b/two', 'second');
    const { status, lines } = await world.run('diff');
    expect(status).toBe(1);
    expect(lines[0]).toMatch(/^KEY +AT +WHAT$/);
    expect(lines[1]).toMatch(/^a\/one +aws, gcp and azure +the ledger has never heard of it$/);
    expect(lines.at(-1)).toBe('2 keys compared, 2 differ.');
    expect(await world.read('azure', 'a/one')).toBeNull();

    expect(await world.run('resync')).toMatchObject({
      status: 0,
      stdout: '2 keys compared, 2 keys differed, 2 reconciled.',
    });
    expect(await world.read('azure', 'a/one')).toBe('first');
    expect(await world.read('aws', 'b/two')).toBe('second');
    expect(await world.run('diff')).toMatchObject({ status: 0, stdout: '2 keys compared, 0 differ.' });
    expect(await world.json('diff')).toMatchObject(nothing);
  });

  it('take a prefix', async () => {
    await world.put('gcp', 'a/one', 'changed');
    await world.remove('aws', 'b/two');
    expect(await world.json('diff', 'a/')).toMatchObject({
      keys: 1,
      differing: [{ key: 'a/one', differences: [{ site: 'gcp', kind: 'changed' }] }],
    });
    expect(await world.json('resync', 'a/')).toMatchObject({ kind: 'finished', keys: 1, differing: 1, failed: 0 });
    expect(await world.read('aws', 'a/one')).toBe('changed');
    expect((await world.run('diff', '--limit', '0')).lines.at(-1)).toBe('2 keys compared, 1 differs.');
    expect((await world.run('diff')).stdout).toMatch(/b\/two +aws +missing there: deleted, or lost/);
    expect((await world.run('resync', '--every-key')).stdout).toBe('2 keys compared, 2 keys looked at, 2 reconciled.');
    expect(await world.read('azure', 'b/two')).toBeNull();
  });

  it('deletes nothing that was not confirmed when very much is missing', async () => {
    const { gcp, azure } = world.clouds.config;
    const env = {
      TRIPLICATE_LEDGER: `sqlite:${join(world.folder, 'capped.sqlite')}`,
      TRIPLICATE_MAC_KEYS: `k:${Buffer.alloc(16, 'k').toString('base64')}`,
      TRIPLICATE_ENDPOINT_GCS: gcp.storageEndpoint,
      TRIPLICATE_STORAGE_DEVSTOREACCOUNT1: azure.connectionString,
    };
    const sites = [
      `{ id: gcp, cloud: gcp, region: local, bucket: ${gcp.bucket} }`,
      `{ id: azure, cloud: azure, region: local, bucket: devstoreaccount1/${azure.container} }`,
    ];
    const limits = 'limits: { deletionCap: 2, deletionShare: 0 }';
    writeFileSync(
      join(world.folder, 'capped.yaml'),
      `namespace: local-world\nsites: [${sites}]\nroutes: [{ prefix: "many/", sites: [gcp, azure] }]\n${limits}\n`,
    );
    const capped = (...args: readonly string[]) =>
      run({ folder: world.folder, env }, 'resync', ...args, '--config', 'capped.yaml');
    const keys = ['many/1', 'many/2', 'many/3'];
    for (const key of keys) await world.put('gcp', key, 'x');
    expect(await capped('many/')).toMatchObject({ status: 0 });
    for (const key of keys) await world.remove('gcp', key);
    const stopped = await capped('many/');
    expect(stopped.status).toBe(1);
    expect(stopped.stdout).toMatch(/^Stopped: 3 of 3 keys have vanished .*--confirm-deletions says so\.$/);
    expect(JSON.parse((await capped('many/', '--json')).stdout)).toMatchObject({
      kind: 'stopped',
      vanished: 3,
      cap: 2,
    });
    expect(await world.read('azure', 'many/2')).toBe('x');
    expect(await capped('many/', '--confirm-deletions')).toMatchObject({ status: 0 });
    expect(await world.read('azure', 'many/2')).toBeNull();
  });

  it.each([
    [['diff', 'a', 'b'], 'triplicate diff does not take "b"'],
    [['diff', '--limit', 'many'], '--limit many: expected a whole number from 0 to 1000000.'],
    [['resync', '--confirm-deletion'], 'Did you mean --confirm-deletions?'],
  ])('%j is refused in a sentence', async (args, sentence) => {
    const { status, stdout, stderr } = await world.run(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(sentence);
  });
});
