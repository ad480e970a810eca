import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';

vi.setConfig({ testTimeout: 120_000 });

const program = join(import.meta.dirname, 'triplicate.mjs');
const folder = mkdtempSync(join(tmpdir(), 'triplicate-main-'));

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { cwd: folder, encoding: 'utf8' });
  return { status, stdout, stderr };
}

/** Runs until a line says so, then is told to stop as often as asked. */
async function stopAfter(line: string, signals: readonly NodeJS.Signals[], args: readonly string[]) {
  const child = spawn(process.execPath, [program, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)));
  let said = '';
  const seen = Promise.withResolvers<void>();
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => {
      said += piece.toString();
      if (said.includes(line)) seen.resolve();
    });
  void ended.then(() => seen.resolve());
  await seen.promise;
  for (const signal of signals) child.kill(signal);
  return { code: await ended, said };
}

describe('the program', () => {
  it('is found by its name in package.json, and can be started by itself', () => {
    const { bin } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8'));
    expect(bin).toEqual({ triplicate: 'cli/triplicate.mjs' });
    const { status, stdout } = spawnSync(program, ['--help'], { encoding: 'utf8', cwd: folder });
    expect(status).toBe(0);
    expect(stdout).toContain('Usage: triplicate COMMAND [options]');
  });

  it('ends with the exit code of its command, and keeps its answer and its complaints apart', () => {
    expect(run('demo', '--fersh')).toEqual({
      status: 2,
      stdout: '',
      stderr: 'triplicate demo has no option --fersh. Did you mean --fresh? --help tells which there are.\n',
    });
    expect(run('demo', '--help')).toMatchObject({ status: 0, stderr: '' });
  });

  it('uses no colours where nobody looks', () => {
    expect(run('--help').stdout).not.toContain('\u001b');
  });

  it('runs three clouds until it is told to stop, and takes its file away', async () => {
    const args = ['local', '--any-ports', '--memory'];
    const { code, said } = await stopAfter('Ctrl-C stops it.', ['SIGINT'], args);
    expect(said).toContain('Triplicate replicates between them');
    expect(said).toContain('Stopping.');
    expect(code).toBe(0);
    expect(existsSync(join(folder, '.triplicate', 'local.json'))).toBe(false);
  });

  it('refuses local options in a sentence', () => {
    expect(run('local', '--memroy')).toMatchObject({
      status: 2,
      stderr: 'triplicate local has no option --memroy. Did you mean --memory? --help tells which there are.\n',
    });
    expect(run('local', '--port', 'aws=x').stderr).toMatch(/^--port aws=x: expected NAME=N/);
  });
});
