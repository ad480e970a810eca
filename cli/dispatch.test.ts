import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { fault } from '../shared/model/fault.ts';
import { run } from '../test/samples/cli.ts';
import type { Command, Context } from './command.ts';
import { COMMANDS } from './commands.ts';
import { dispatch, toSentence } from './dispatch.ts';

const here = { folder: tmpdir() };

describe('the overview', () => {
  it('tells every command in a line', async () => {
    const { status, lines } = await run(here, '--help');
    expect(status).toBe(0);
    for (const { name, summary } of COMMANDS)
      expect(lines.some((line) => line.trim().startsWith(name) && line.endsWith(summary))).toBe(true);
    expect(lines.filter((line) => line.length > 100)).toEqual([]);
    expect((await run(here)).status).toBe(2);
  });

  it.each(COMMANDS.map((command) => [command.name, command] as const))(
    'of %s teaches with an example, in lines that fit',
    async (name, { options, examples }) => {
      const { status, lines, stdout, stderr } = await run(here, ...name.split(' '), '--help');
      expect(status).toBe(0);
      expect(stderr).toBe('');
      expect(lines[0]).toMatch(new RegExp(`^Usage: triplicate ${name}\\b`));
      for (const option of [...options, { name: 'help' }]) expect(stdout).toContain(`  --${option.name}`);
      expect(examples.length).toBeGreaterThan(0);
      for (const [typed] of examples) expect(typed.startsWith(`triplicate ${name}`)).toBe(true);
      expect(lines.filter((line) => line.length > 100)).toEqual([]);
      expect(await run(here, 'help', ...name.split(' '))).toMatchObject({ status: 0, stdout });
    },
  );

  it.each(COMMANDS.map(({ name }) => [name]))('%s refuses an option it does not have', async (name) => {
    const { status, stdout, stderr } = await run(here, ...name.split(' '), '--hlep');
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toBe(`triplicate ${name} has no option --hlep. Did you mean --help? --help tells which there are.`);
  });
});

describe('what was mistyped', () => {
  it.each([
    [['dmeo'], 'There is no command "dmeo". Did you mean demo? triplicate --help tells which there are.'],
    [['toString'], 'There is no command "toString". triplicate --help tells which there are.'],
    [['demo', 'now'], 'triplicate demo does not take "now": triplicate demo. --help tells more.'],
    [['demo', '--json=yes'], '--json takes no value.'],
    [['demo', '--config'], '--config needs a value: --config FILE'],
    [['demo', '--config', '--json'], '--config needs a value: --config FILE'],
    [['demo', '--config', 'a', '--config=b'], '--config was given twice.'],
    [['demo', '-x'], 'triplicate demo has no option -x. --help tells which there are.'],
  ])('%j is answered in a sentence', async (args, sentence) => {
    expect(await run(here, ...args)).toMatchObject({ status: 2, stdout: '', stderr: sentence });
  });
});

describe('what goes wrong', () => {
  function failing(error: unknown): Command {
    const rest = { name: 'fail', summary: '', takes: '', about: [], examples: [], options: [] };
    return { ...rest, run: () => Promise.reject(error) };
  }
  async function said(error: unknown): Promise<string> {
    const lines: string[] = [];
    const context = { out: () => {}, err: (line: string) => lines.push(line), draw: () => {}, columns: 100 };
    expect(await dispatch([failing(error)], ['fail'], context as unknown as Context)).toBe(1);
    return lines.join('\n');
  }

  it('is told with its place, and whether another try may help; without a stack', async () => {
    const details = { site: 'aws', op: 'head', key: 'a/b' };
    expect(await said(fault('throttled', 'slow down', details))).toBe(
      'triplicate: aws head a/b: slow down (another try may succeed)',
    );
    expect(await said(fault('forbidden', 'not for you', details))).toBe('triplicate: aws head a/b: not for you');
    expect(toSentence(fault('unavailable', 'aws: gone', { ...details, retry: 'exhausted' }))).toBe(
      'head a/b: aws: gone (tried several times)',
    );
  });

  it('is told in full where it is a mistake of ours', async () => {
    expect(await said(new TypeError('x is not a function'))).toMatch(/mistake in Triplicate:\nTypeError: x is not.*\n/);
  });
});
