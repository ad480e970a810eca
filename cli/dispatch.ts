/** Finds the command that was typed, runs it, and turns whatever it throws into a sentence and an exit code. */

import { type Fault, isFault } from '../shared/model/fault.ts';
import { type Command, type Context, EXIT, Mistake } from './command.ts';
import { readGiven } from './given.ts';
import { toHelp, toOverview } from './help.ts';
import { nearest } from './nearest.ts';

const COLUMNS_MAX = 100;

/** Answers the exit code. */
export async function dispatch(
  commands: readonly Command[],
  args: readonly string[],
  context: Context,
): Promise<number> {
  const columns = Math.min(context.columns, COLUMNS_MAX);
  try {
    if (args.length === 0 || args[0] === '--help' || args[0] === '-h' || args[0] === 'help') {
      const about = args[0] === 'help' ? args.slice(1) : [];
      const lines = about.length === 0 ? toOverview(commands, columns) : toHelp(find(commands, about).command, columns);
      for (const line of lines) context.out(line);
      return args.length === 0 ? EXIT.misuse : EXIT.fine;
    }
    const family = commands.filter(({ name }) => name.startsWith(`${args[0]} `));
    if (family.length > 0 && (args[1] === '--help' || args[1] === '-h')) {
      for (const line of family.flatMap((it) => [...toHelp(it, columns), ''])) context.out(line);
      return EXIT.fine;
    }
    const { command, rest } = find(commands, args);
    const given = readGiven(command, rest);
    if (!given.has('help')) return await command.run(given, context);
    for (const line of toHelp(command, columns)) context.out(line);
    return EXIT.fine;
  } catch (error) {
    context.draw('');
    if (error instanceof Mistake) {
      context.err(error.message);
      return EXIT.misuse;
    }
    context.err(isFault(error) || isSystemError(error) ? `triplicate: ${toSentence(error)}` : bugText(error));
    return EXIT.found;
  }
}

function find(
  commands: readonly Command[],
  args: readonly string[],
): { readonly command: Command; readonly rest: readonly string[] } {
  const [first = '', second = ''] = args;
  const two = commands.find(({ name }) => name === `${first} ${second}`);
  if (two !== undefined) return { command: two, rest: args.slice(2) };
  const one = commands.find(({ name }) => name === first);
  if (one !== undefined) return { command: one, rest: args.slice(1) };
  const family = commands.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name);
  if (family.length > 0) throw new Mistake(`What about it? There is ${family.join(', ')}.`);
  const words = commands.map(({ name }) => name.split(' ')[0] as string);
  const meant = nearest(first, [...new Set(words)]);
  const hint = meant === null ? '' : ` Did you mean ${meant}?`;
  throw new Mistake(`There is no command ${JSON.stringify(first)}.${hint} triplicate --help tells which there are.`);
}

/** What went wrong, where, and whether it is worth another try. */
export function toSentence(error: Error): string {
  if (!isFault(error)) return error.message;
  const { site, op, key } = error.details;
  const place = [site, op, key].filter((it) => it !== undefined && it !== '' && !error.message.includes(it)).join(' ');
  return `${place === '' ? '' : `${place}: `}${error.message}${ADVICE[error.retry](error)}`;
}

const ADVICE: Readonly<Record<Fault['retry'], (fault: Fault) => string>> = {
  never: () => '',
  later: () => ' (another try may succeed)',
  exhausted: () => ' (tried several times)',
};

function bugText(error: unknown): string {
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `triplicate: this should not have happened, and is a mistake in Triplicate:\n${detail}`;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && ('syscall' in error || 'errno' in error);
}
