/** Small readers that check parsed JSON piece by piece and say exactly which field was wrong, and what stood there. */

import { invalid } from './fault.ts';

/** Where a value stands. Kept as steps, because a text is needed only when something is wrong. */
export type Path = string | Step;

export interface Step {
  readonly parent: Path;
  readonly key: string | number;
}

export type Fields = Readonly<Record<string, unknown>>;

export type Reader<T> = (value: unknown, path: Path) => T;

export function at(parent: Path, key: string | number): Step {
  return { parent, key };
}

/** `item.versions["a:1"].vv.a`, `routes[0].policy`. */
export function pathText(path: Path): string {
  const parts: string[] = [];
  let rest = path;
  while (typeof rest !== 'string') {
    parts.push(stepText(rest.key));
    rest = rest.parent;
  }
  parts.push(rest);
  const text = parts.reverse().join('');
  return rest === '' && text.startsWith('.') ? text.slice(1) : text;
}

function stepText(key: string | number): string {
  if (typeof key === 'number') return `[${key}]`;
  return /^[A-Za-z_$][\w$-]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

export function refuse(value: unknown, path: Path, expected: string): never {
  throw invalid(pathText(path), value, expected);
}

/** An object with no other keys than these. Whether one is missing, the reader of its value finds out. */
export function readObject(value: unknown, path: Path, allowedKeys: ReadonlySet<string>): Fields {
  const fields = readFields(value, path);
  for (const key in fields) {
    if (!allowedKeys.has(key))
      refuse(fields[key], at(path, key), `no such key here, only ${[...allowedKeys].join(', ')}`);
  }
  return fields;
}

/** An object whose keys are data; `checkKey` refuses those it must not have. */
export function readRecord<T>(
  value: unknown,
  path: Path,
  readItem: (value: unknown, path: Step) => T,
  checkKey?: (key: string, path: Path) => unknown,
): Readonly<Record<string, T>> {
  const fields = readFields(value, path);
  for (const key in fields) {
    checkKey?.(key, path);
    readItem(fields[key], at(path, key));
  }
  return fields as Readonly<Record<string, T>>;
}

function readFields(value: unknown, path: Path): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(value, path, 'an object');
  return value as Fields;
}

export function readArray<T>(value: unknown, path: Path, readItem: Reader<T>): readonly T[] {
  if (!Array.isArray(value)) refuse(value, path, 'an array');
  for (let i = 0; i < value.length; i++) readItem(value[i], at(path, i));
  return value;
}

export interface TextLimits {
  /** In UTF-16 code units. */
  readonly min?: number;
  readonly max?: number;
  /** Without the flags g and y, which would remember the last text. */
  readonly pattern?: RegExp;
}

export function readString(value: unknown, path: Path, limits?: TextLimits): string {
  if (typeof value !== 'string') refuse(value, path, 'a string');
  if (limits === undefined) return value;
  const { min = 0, max = Number.POSITIVE_INFINITY, pattern } = limits;
  if (value.length < min) refuse(value, path, min === 1 ? 'a string that is not empty' : `at least ${min} characters`);
  if (value.length > max) refuse(value, path, `at most ${max} characters`);
  if (pattern !== undefined && !pattern.test(value)) refuse(value, path, `a string that matches ${pattern}`);
  return value;
}

const NOT_EMPTY: TextLimits = { min: 1 };

export function readText(value: unknown, path: Path): string {
  return readString(value, path, NOT_EMPTY);
}

/** Only integers that a number holds exactly. */
export function readInteger(value: unknown, path: Path, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  const tooLarge = Number.isInteger(value) && (value as number) > max;
  return refuse(value, path, tooLarge ? `an integer <= ${max}` : `an integer >= ${min}`);
}

export function readBoolean(value: unknown, path: Path): boolean {
  return typeof value === 'boolean' ? value : refuse(value, path, 'true or false');
}

export function readOneOf<T extends string | number>(value: unknown, path: Path, choices: readonly T[]): T {
  return choices.includes(value as T) ? (value as T) : refuse(value, path, `one of ${choices.join(', ')}`);
}

export function readNullable<T>(value: unknown, path: Path, read: Reader<T>): T | null {
  return value === null ? null : read(value, path);
}

export function readOptional<T>(value: unknown, path: Path, read: Reader<T>): T | undefined {
  return value === undefined ? undefined : read(value, path);
}
