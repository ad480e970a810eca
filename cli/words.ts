/** Numbers, times, names and lists as people read them. */

import { stripVTControlCharacters } from 'node:util';

const CONJUNCTION = new Intl.ListFormat('en-GB');
const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const STEP = 1024;
const SECOND = 1000;
const PERIODS: ReadonlyArray<readonly [ms: number, name: string]> = [
  [24 * 3600 * SECOND, 'd'],
  [3600 * SECOND, 'h'],
  [60 * SECOND, 'min'],
  [SECOND, 's'],
];

export function count(amount: number, noun: string, plural = `${noun}s`): string {
  return `${amount.toLocaleString('en')} ${amount === 1 ? noun : plural}`;
}

/** `aws, gcp and azure`. */
export function all(names: readonly string[]): string {
  return CONJUNCTION.format(names);
}

export function bytes(amount: number): string {
  let unit = 0;
  let left = amount;
  while (left >= STEP && unit < UNITS.length - 1) {
    left /= STEP;
    unit += 1;
  }
  if (unit === 0) return count(amount, 'byte');
  return `${left >= 100 ? left.toFixed(0) : left.toFixed(1)} ${UNITS[unit]}`;
}

export function duration(ms: number): string {
  const [size, name] = PERIODS.find(([period]) => ms >= period) ?? [1, 'ms'];
  return `${Math.floor(ms / size)} ${name}`;
}

export function ago(at: number, now: number): string {
  return at > now ? `in ${duration(at - now)}` : `${duration(now - at)} ago`;
}

/** The moment itself, to the second, in the one time zone that all clouds share. */
export function moment(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** A key or a text from outside: what a terminal would act on, or a reader would not see, is written out. */
export function name(text: string): string {
  const tricky = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|^$|^\s|\s$/u.test(text);
  if (!tricky) return text;
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu,
    (it) => `\\u{${(it.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** Lines no wider than a terminal, all indented; a word too long for a line has one of its own. */
export function wrap(text: string, { columns = 100, indent = 0 } = {}): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > columns) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((it) => ' '.repeat(indent) + it);
}

/** Columns as wide as their widest cell. Without rows there is nothing, not even the headings. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  if (rows.length === 0) return [];
  const lines = headings.some((it) => it !== '') ? [headings, ...rows] : rows;
  const wide = (text: string) => stripVTControlCharacters(text).length;
  const widths = headings.map((_, column) => Math.max(...lines.map((row) => wide(row[column] ?? ''))));
  return lines.map((row) =>
    row
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - wide(cell)))
      .join('  ')
      .trimEnd(),
  );
}

export type Paint = (style: 'good' | 'bad' | 'doubtful' | 'quiet' | 'strong', text: string) => string;

const STYLES = { good: 32, bad: 31, doubtful: 33, quiet: 2, strong: 1 } as const;

export function openPaint(colours: boolean): Paint {
  return (style, text) => (colours ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text);
}
