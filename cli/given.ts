/** Reads what was typed after the name of a command, by what the command says it takes. */

import { type Command, type Given, Mistake, type Option } from './command.ts';
import { nearest } from './nearest.ts';

export const HELP_OPTION: Option = { name: 'help', about: 'print this' };

/** Throws a Mistake that says what would have been understood. */
export function readGiven(command: Command, args: readonly string[]): Given {
  const options = [...command.options, HELP_OPTION];
  const values = new Map<string, string[]>();
  const words: string[] = [];
  const rest = [...args];
  while (rest.length > 0) {
    const arg = rest.shift() as string;
    if (arg === '--') words.push(...rest.splice(0));
    else if (arg === '-h') values.set('help', ['']);
    else if (arg.startsWith('-') && arg !== '-') readOption(command, options, arg, rest, values);
    else words.push(arg);
  }
  if (!values.has('help')) checkWords(command, words);
  return {
    args,
    words,
    has: (option) => values.has(option),
    text: (option) => values.get(option)?.at(-1),
    count(option, usual, { min, max }) {
      const text = values.get(option)?.at(-1);
      if (text === undefined) return usual;
      const count = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
      if (count >= min && count <= max) return count;
      throw new Mistake(`--${option} ${text}: expected a whole number from ${min} to ${max}.`);
    },
  };
}

function readOption(
  command: Command,
  options: readonly Option[],
  arg: string,
  rest: string[],
  values: Map<string, string[]>,
): void {
  const at = arg.indexOf('=');
  const typed = at < 0 ? arg : arg.slice(0, at);
  const option = options.find(({ name }) => typed === `--${name}`);
  if (option === undefined) {
    const meant = nearest(
      typed.replace(/^-+/, ''),
      options.map(({ name }) => name),
    );
    const hint = meant === null ? '' : ` Did you mean --${meant}?`;
    throw new Mistake(`triplicate ${command.name} has no option ${typed}.${hint} --help tells which there are.`);
  }
  const { name, takes, many = false } = option;
  if (takes === undefined) {
    if (at >= 0) throw new Mistake(`--${name} takes no value.`);
    values.set(name, ['']);
    return;
  }
  const next = rest[0];
  const value = at >= 0 ? arg.slice(at + 1) : next === undefined || next.startsWith('--') ? '' : (rest.shift() ?? '');
  if (value === '') throw new Mistake(`--${name} needs a value: --${name} ${takes}`);
  if (values.has(name) && !many) throw new Mistake(`--${name} was given twice.`);
  values.set(name, [...(values.get(name) ?? []), value]);
}

function checkWords({ name, takes }: Command, words: readonly string[]): void {
  const all = takes === '' ? [] : takes.split(' ');
  const needed = all.filter((word) => !word.startsWith('['));
  const missing = needed[words.length];
  if (missing !== undefined)
    throw new Mistake(`triplicate ${name} needs ${missing}: triplicate ${name} ${takes}. --help tells more.`);
  if (words.length <= all.length) return;
  const usage = `triplicate ${name} ${takes}`.trimEnd();
  const extra = JSON.stringify(words[all.length]);
  throw new Mistake(`triplicate ${name} does not take ${extra}: ${usage}. --help tells more.`);
}
