/** What `--help` prints: the commands there are, or one of them with examples. */

import type { Command, Option } from './command.ts';
import { HELP_OPTION } from './given.ts';
import { table, wrap } from './words.ts';

const EXIT_CODES =
  'Exit code: 0 when all is fine, 1 when something was found or failed, 2 for a mistake in what was typed.';

export function toOverview(commands: readonly Command[], columns: number): readonly string[] {
  const rows = commands.map(({ name, takes, summary }) => [`  ${`${name} ${takes}`.trimEnd()}`, summary]);
  return [
    'Usage: triplicate COMMAND [options]',
    '',
    ...wrap(
      'Keeps the same objects in buckets of S3, Google Cloud Storage and Azure Blob: event-driven, verified, with every ' +
        'conflict seen.',
      { columns },
    ),
    '',
    ...table(['', ''], rows),
    '',
    'First steps, with three clouds on this machine:',
    '',
    '  triplicate local          in one terminal; Ctrl-C stops it',
    '  triplicate status         in another one: what is there, and whether all is well',
    '  triplicate explain KEY    after writing something to one of the buckets',
    '',
    ...wrap(
      'Which buckets: triplicate.yaml here, or the file given with --config; without either, .triplicate/local.json, ' +
        'which triplicate local writes. docs/operations.md tells what else is read from the environment.',
      { columns },
    ),
    '',
    ...wrap(`${EXIT_CODES} triplicate COMMAND --help tells more about one of them.`, { columns }),
  ];
}

export function toHelp(command: Command, columns: number): readonly string[] {
  const { name, takes, about, examples } = command;
  const options = [...command.options, HELP_OPTION];
  const typed = ({ name: option, takes: value }: Option) => `  --${option}${value === undefined ? '' : ` ${value}`}`;
  return [
    `Usage: triplicate ${name}${takes === '' ? '' : ` ${takes}`} [options]`,
    '',
    ...paragraphs(about).flatMap((text) => wrap(text, { columns })),
    '',
    ...hanging(
      options.map((option) => [typed(option), option.about]),
      columns,
    ),
    '',
    examples.length > 1 ? 'Examples:' : 'Example:',
    '',
    ...examples.flatMap(([example, why]) => [`  ${example}`, ...wrap(why, { columns, indent: 6 })]),
    '',
    ...wrap(EXIT_CODES, { columns }),
  ];
}

/** Lines that belong together are filled up again; an empty one parts them. */
function paragraphs(lines: readonly string[]): readonly string[] {
  const texts: string[] = [];
  let open: string[] = [];
  for (const line of [...lines, '']) {
    if (line !== '') open.push(line);
    else {
      if (texts.length > 0) texts.push('');
      texts.push(open.join(' '));
      open = [];
    }
  }
  return texts;
}

function hanging(rows: ReadonlyArray<readonly [left: string, right: string]>, columns: number): readonly string[] {
  const indent = Math.max(...rows.map(([left]) => left.length)) + 3;
  return rows.flatMap(([left, right]) => {
    const [first = '', ...rest] = wrap(right, { columns, indent });
    return [left.padEnd(indent) + first.trimStart(), ...rest];
  });
}
