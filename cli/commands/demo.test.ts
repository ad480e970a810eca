import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { run as runIn } from '../../test/samples/cli.ts';

const example = readFileSync(join(import.meta.dirname, '..', '..', 'triplicate.example.yaml'), 'utf8');

describe('triplicate demo', () => {
  let folder = '';

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'triplicate-cli-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const run = (...args: readonly string[]) => runIn({ folder }, 'demo', ...args);

  function runFolders(): readonly string[] {
    return readdirSync(join(folder, '.triplicate', 'demo'));
  }

  it('tells a story in which every check passes', async () => {
    const { status, stdout, stderr, lines } = await run();
    expect(stderr).toBe('');
    expect(stdout).toContain('sites of triplicate.example.yaml');
    expect(stdout).toContain('These buckets are stand-ins in memory');
    const steps = lines.map((line) => /^(\w+) +ok /.exec(line)?.[1]).filter((step) => step !== undefined);
    expect(steps).toEqual(['write', 'conflict', 'delete', 'parts', 'crash', 'calm']);
    expect(stdout).toMatch(/ms later it is at gcp and azure too, with equal CRCs\./);
    expect(stdout).toMatch(/(aws|gcp) yields to (aws|gcp) by policy keep-both/);
    expect(stdout).toMatch(/ok +story\/plan~conflict-(aws|gcp)-\d+\.txt has what \1 wrote, at each site\./);
    expect(stdout).toContain('it is gone at aws and azure too.');
    expect(stdout).toContain('carried there in 3 parts of at most 5 MiB.');
    expect(stdout).toContain('No second copy');
    expect(stdout).toContain('0 differ, 0 bucket writes.');
    expect(stdout).not.toMatch(/FAILED|not run/);
    expect(lines.at(-1)).toBe('16 checks passed, 0 failed');
    expect(lines.filter((line) => line.length > 100)).toEqual([]);
    expect(status).toBe(0);
  });

  it('keeps ledger and queue of each run apart, until it is told to remove them', async () => {
    expect((await run()).status).toBe(0);
    const [first = ''] = runFolders();
    expect(readdirSync(join(folder, '.triplicate', 'demo', first)).sort()).toEqual(['ledger.sqlite', 'queue.sqlite']);
    expect((await run()).status).toBe(0);
    expect(runFolders()).toContain(first);
    expect(runFolders()).toHaveLength(2);
    expect((await run('--fresh')).status).toBe(0);
    expect(runFolders()).not.toContain(first);
    expect(runFolders()).toHaveLength(1);
  });

  it('prints the events as JSON lines', async () => {
    const { status, stderr, lines } = await run('--json');
    const events = lines.map((line) => JSON.parse(line));
    expect(events[0]).toMatchObject({ kind: 'start', configuration: 'triplicate.example.yaml' });
    expect(events[0].sites.map(({ id }: { id: string }) => id)).toEqual(['aws', 'gcp', 'azure']);
    const checks = events.slice(1, -1);
    expect(checks.every(({ kind, ok, text }) => kind === 'check' && ok === true && text !== '')).toBe(true);
    expect(events.at(-1)).toMatchObject({
      kind: 'end',
      passed: checks.length,
      failed: 0,
      notRun: 0,
      writes: 5,
      deletes: 1,
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  it('reads triplicate.yaml, and says what its sites do not allow', async () => {
    writeFileSync(join(folder, 'triplicate.yaml'), twoSites('active', 'passive'));
    const { status, stdout, lines } = await run();
    expect(stdout).toContain('sites of triplicate.yaml');
    expect(stdout).toContain('A client writes docs/story/notes.txt at one');
    expect(stdout).toMatch(/^conflict +not run +A conflict needs a route with two sites in mode active\.$/m);
    expect(lines.at(-1)).toMatch(/^\d+ checks passed, 0 failed, 1 not run$/);
    expect(status).toBe(0);
  });

  it('names every mistake in the configuration with its place, and leaves nothing changed', async () => {
    const broken = example.replace('cloud: gcp', 'cloud: gpc').replace('lease: 15min', 'lease: 15');
    writeFileSync(join(folder, 'triplicate.yaml'), broken);
    const { status, stdout, stderr } = await run();
    const [first, second, ...rest] = stderr.trimEnd().split('\n');
    expect(first).toMatch(/^triplicate\.yaml:\d+:\d+: sites\[1\]\.cloud: expected one of aws, gcp, azure, got "gpc"/);
    expect(second).toMatch(/^triplicate\.yaml:\d+:\d+: limits\.lease: expected a duration/);
    expect(rest).toEqual([]);
    expect(stdout).toBe('');
    expect(status).toBe(2);
    expect(readdirSync(folder)).toEqual(['triplicate.yaml']);

    mkdirSync(join(folder, '.triplicate', 'demo', 'run-before'), { recursive: true });
    expect((await run('--fresh')).status).toBe(2);
    expect(runFolders()).toEqual(['run-before']);
  });

  it('refuses a configuration in which no client could write', async () => {
    writeFileSync(join(folder, 'passive.yaml'), twoSites('passive', 'passive'));
    const { status, stdout, stderr } = await run('--config', 'passive.yaml');
    expect(stderr).toMatch(/^passive\.yaml: routes: expected one with a site in mode active/);
    expect(stdout).toBe('');
    expect(status).toBe(2);
    expect(readdirSync(folder)).toEqual(['passive.yaml']);
  });

  it.each([
    [['--frsh'], 'triplicate demo has no option --frsh. Did you mean --fresh? --help tells which there are.'],
    [['toString'], 'triplicate demo does not take "toString": triplicate demo. --help tells more.'],
    [['--config'], '--config needs a value: --config FILE'],
    [['--config', 'missing.yaml'], 'missing.yaml cannot be read: ENOENT: no such file or directory.'],
  ])('refuses %j in a sentence', async (args, sentence) => {
    expect(await run(...args)).toMatchObject({ status: 2, stdout: '', stderr: sentence });
    expect(existsSync(join(folder, '.triplicate'))).toBe(false);
  });

  it('ends with exit code 1 and a sentence when its folder cannot be made', async () => {
    mkdirSync(join(folder, '.triplicate'));
    writeFileSync(join(folder, '.triplicate', 'demo'), '');
    const { status, stdout, stderr } = await run();
    expect(stderr).toMatch(/^triplicate: EEXIST: file already exists, mkdir .*$/);
    expect(stdout).toBe('');
    expect(status).toBe(1);
  });

  it('prints its usage', async () => {
    const { status, stderr, lines } = await run('--help');
    expect(lines[0]).toBe('Usage: triplicate demo [options]');
    for (const option of ['--config FILE', '--fresh', '--json', '--help'])
      expect(lines.join('\n')).toContain(`  ${option} `);
    expect(lines.filter((line) => line.length > 100)).toEqual([]);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(readdirSync(folder)).toEqual([]);
  });
});

function twoSites(first: string, second: string): string {
  return `
namespace: small
sites:
  - { id: one, cloud: gcp, region: europe-west4, bucket: bucket-1, mode: ${first} }
  - { id: two, cloud: azure, region: westeurope, bucket: container, mode: ${second} }
routes:
  - { prefix: docs/, sites: [one, two] }
`;
}
