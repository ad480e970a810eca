import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const program = join(import.meta.dirname, 'main.ts');
const example = readFileSync(join(import.meta.dirname, '..', 'triplicate.example.yaml'), 'utf8');
const timeoutMs = 60_000;

describe('npm start', { timeout: timeoutMs }, () => {
  let folder = '';

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'triplicate-cli-'));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  function run(...args: readonly string[]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
      cwd: folder,
      encoding: 'utf8',
      timeout: timeoutMs,
    });
    return { status, stdout, stderr, lines: stdout.trimEnd().split('\n') };
  }

  function runFolders(): readonly string[] {
    return readdirSync(join(folder, '.triplicate'));
  }

  it('tells a story in which every check passes', () => {
    const { status, stdout, stderr, lines } = run();
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

  it('keeps ledger and queue of each run apart, until it is told to remove them', () => {
    expect(run().status).toBe(0);
    const [first = ''] = runFolders();
    expect(readdirSync(join(folder, '.triplicate', first)).sort()).toEqual(['ledger.sqlite', 'queue.sqlite']);
    expect(run().status).toBe(0);
    expect(runFolders()).toContain(first);
    expect(runFolders()).toHaveLength(2);
    expect(run('--fresh').status).toBe(0);
    expect(runFolders()).not.toContain(first);
    expect(runFolders()).toHaveLength(1);
  });

  it('prints the events as JSON lines', () => {
    const { status, stderr, lines } = run('--json');
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

  it('reads triplicate.yaml, and says what its sites do not allow', () => {
    writeFileSync(join(folder, 'triplicate.yaml'), twoSites('active', 'passive'));
    const { status, stdout, lines } = run();
    expect(stdout).toContain('sites of triplicate.yaml');
    expect(stdout).toContain('A client writes docs/story/notes.txt at one');
    expect(stdout).toMatch(/^conflict +not run +A conflict needs a route with two sites in mode active\.$/m);
    expect(lines.at(-1)).toMatch(/^\d+ checks passed, 0 failed, 1 not run$/);
    expect(status).toBe(0);
  });

  it('names every mistake in the configuration with its place, and leaves nothing changed', () => {
    const broken = example.replace('cloud: gcp', 'cloud: gpc').replace('lease: 15min', 'lease: 15');
    writeFileSync(join(folder, 'triplicate.yaml'), broken);
    const { status, stdout, stderr } = run();
    const [first, second, ...rest] = stderr.trimEnd().split('\n');
    expect(first).toMatch(/^triplicate\.yaml:\d+:\d+: sites\[1\]\.cloud: expected one of aws, gcp, azure, got "gpc"/);
    expect(second).toMatch(/^triplicate\.yaml:\d+:\d+: limits\.lease: expected a duration/);
    expect(rest).toEqual([]);
    expect(stdout).toBe('');
    expect(status).toBe(2);
    expect(readdirSync(folder)).toEqual(['triplicate.yaml']);

    mkdirSync(join(folder, '.triplicate', 'run-before'), { recursive: true });
    expect(run('--fresh').status).toBe(2);
    expect(runFolders()).toEqual(['run-before']);
  });

  it('refuses a configuration in which no client could write', () => {
    writeFileSync(join(folder, 'passive.yaml'), twoSites('passive', 'passive'));
    const { status, stdout, stderr } = run('--config', 'passive.yaml');
    expect(stderr).toMatch(/^passive\.yaml: routes: expected one with a site in mode active/);
    expect(stdout).toBe('');
    expect(status).toBe(2);
    expect(readdirSync(folder)).toEqual(['passive.yaml']);
  });

  it.each([
    [['--frsh'], 'There is no option --frsh; --help tells which there are.'],
    [['toString'], 'There is no option toString; --help tells which there are.'],
    [['--config'], '--config needs the name of a file.'],
    [['--config', 'missing.yaml'], 'missing.yaml cannot be read: ENOENT: no such file or directory.'],
  ])('refuses %j in a sentence', (args, sentence) => {
    expect(run(...args)).toMatchObject({ status: 2, stdout: '', stderr: `${sentence}\n` });
    expect(existsSync(join(folder, '.triplicate'))).toBe(false);
  });

  it('ends with exit code 1 and a sentence when its folder cannot be made', () => {
    writeFileSync(join(folder, '.triplicate'), '');
    const { status, stdout, stderr } = run();
    expect(stderr).toMatch(/^triplicate: EEXIST: file already exists, mkdir .*\n$/);
    expect(stdout).toBe('');
    expect(status).toBe(1);
  });

  it('prints its usage', () => {
    const { status, stderr, lines } = run('--help');
    expect(lines[0]).toBe('Usage: npm start -- [options]');
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
