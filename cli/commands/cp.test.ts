import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliWorld, startCliWorld } from '../../test/samples/cli-world.ts';

let world: CliWorld;
const AZURE = 'az://devstoreaccount1/triplicate';

beforeAll(async () => {
  world = await startCliWorld({ replicates: false });
  mkdirSync(join(world.folder, 'in', 'deep'), { recursive: true });
  writeFileSync(join(world.folder, 'in', 'a.txt'), 'text of a');
  writeFileSync(join(world.folder, 'in', 'deep', 'b +%.txt'), 'text of b');
});
afterAll(() => world.stop());

describe('triplicate cp', () => {
  it('brings a file round all clouds and back, unchanged', async () => {
    const steps = [
      ['./in/a.txt', 's3://triplicate/round/'],
      ['s3://triplicate/round/a.txt', 'gs://triplicate/round/a.txt'],
      ['gs://triplicate/round/a.txt', `${AZURE}/round/dot.`],
      [`${AZURE}/round/dot.`, `file://${world.folder}/back/again.txt`],
    ];
    for (const step of steps)
      expect((await world.run('cp', ...step)).stdout).toMatch(/: 9 bytes, streamed, CRC-32C \S+$/);
    expect(readFileSync(join(world.folder, 'back', 'again.txt'), 'utf8')).toBe('text of a');
    expect(readdirSync(join(world.folder, 'back'))).toEqual(['again.txt']);
  });

  it('lets the service copy within a bucket', async () => {
    await world.put('aws', 'same/a', 'same bucket');
    expect((await world.run('cp', 's3://triplicate/same/a', 's3://triplicate/same/b')).stdout).toContain('server-side');
    expect(await world.read('aws', 'same/b')).toBe('same bucket');
  });

  it('overwrites nothing that it was not told to overwrite', async () => {
    await world.put('gcp', 'taken', 'was here');
    const refused = await world.run('cp', './in/a.txt', 'gs://triplicate/taken');
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).toBe('gs://triplicate/taken: not copied: something stands there: --force overwrites it');
    const stale = await world.run('cp', './in/a.txt', 'gs://triplicate/taken', '--if-token', '1');
    expect(stale).toMatchObject({ status: 1, stderr: expect.stringContaining('another token') });
    expect(await world.read('gcp', 'taken')).toBe('was here');
    const token = (await world.stores.gcp?.head('taken'))?.token ?? '';
    expect(token).not.toBe('');
    expect((await world.run('cp', './in/a.txt', 'gs://triplicate/taken', '--if-token', token)).status).toBe(0);
    expect(await world.read('gcp', 'taken')).toBe('text of a');
    expect((await world.run('cp', './in/deep/b +%.txt', 'gs://triplicate/taken', '--force')).status).toBe(0);
    expect(await world.read('gcp', 'taken')).toBe('text of b');

    writeFileSync(join(world.folder, 'mine.txt'), 'mine');
    expect(await world.run('cp', 'gs://triplicate/taken', './mine.txt')).toMatchObject({ status: 1 });
    expect(readFileSync(join(world.folder, 'mine.txt'), 'utf8')).toBe('mine');
    expect(await world.run('cp', 'gs://triplicate/taken', './mine.txt', '--force')).toMatchObject({ status: 0 });
    expect(readFileSync(join(world.folder, 'mine.txt'), 'utf8')).toBe('text of b');
  });

  it('copies what is below a folder, and tells before if asked', async () => {
    const args = ['cp', '--recursive', './in', `${AZURE}/all`];
    expect((await world.run(...args, '--dry-run')).lines).toHaveLength(2);
    expect(await world.read('azure', 'all/a.txt')).toBeNull();
    const { copied, failed } = await world.json<Record<'copied' | 'failed', readonly { to: string }[]>>(...args);
    expect({ copied: copied.map(({ to }) => to), failed }).toEqual({
      copied: [`${AZURE}/all/a.txt`, `${AZURE}/all/deep/b +%.txt`],
      failed: [],
    });
    expect((await world.run('cp', '--recursive', `${AZURE}/all/`, './out/')).lines.at(-1)).toBe(
      '2 objects copied, 18 bytes.',
    );
    expect(readFileSync(join(world.folder, 'out', 'deep', 'b +%.txt'), 'utf8')).toBe('text of b');
  });

  it('makes no file outside of its folder, and copies the others', async () => {
    for (const key of ['sly/../../escaped', 'sly//twice', 'sly/good']) await world.put('aws', key, 'x');
    const { status, stdout, stderr } = await world.run('cp', '--recursive', 's3://triplicate/sly', './jail');
    expect(status).toBe(1);
    expect(stdout).toContain('1 object copied, 1 byte; 2 not copied.');
    expect(stderr).toMatch(/cannot be the name of a file/);
    expect(readdirSync(join(world.folder, 'jail'))).toEqual(['good']);
  });

  it.each([
    [['s3:/x', './'], 2, 's3:/x is no address that can be copied from or to. Expected one of s3://BUCKET/KEY'],
    [['a.txt', './'], 2, 'a.txt is no address'],
    [['s3://', './'], 2, 's3://: expected s3://BUCKET/KEY.'],
    [['az://account', './'], 2, 'az://account: expected az://ACCOUNT/CONTAINER/KEY.'],
    [['file://host/x', './'], 2, 'file://host/x: expected file:/// and an absolute path'],
    [['./in/a.txt'], 2, 'triplicate cp needs DST'],
    [['./in', 's3://triplicate/x'], 1, 'is a folder: --recursive copies what is in it'],
    [['./nowhere', 's3://triplicate/x'], 1, 'nowhere is not there'],
    [['s3://triplicate/same', './x'], 1, 's3://triplicate/same is not there; it is a folder, which --recursive copies'],
    [['s3://nobody/x', './x'], 1, 'The specified bucket does not exist'],
    [['./in', './out', '--recursive', '--if-token', 'x'], 2, '--if-token is for one object'],
  ])('%j is answered in a sentence', async (args, expected, sentence) => {
    const { status, stdout, stderr } = await world.run('cp', ...args);
    expect({ status, stdout }).toEqual({ status: expected, stdout: '' });
    expect(stderr).toContain(sentence);
  });
});
