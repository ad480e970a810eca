/** Reads operation inputs by their shape: a wrong type is a SerializationException, a broken bound a ValidationException. */

import { refused, unreadable } from './errors.ts';

interface Bounds {
  readonly required?: true;
  readonly min?: number;
  readonly max?: number;
  readonly values?: readonly string[];
  readonly pattern?: string;
}

export type Shape =
  | ({ readonly kind: 'string' | 'integer' | 'boolean' | 'any' } & Bounds)
  | ({ readonly kind: 'table' } & Bounds)
  | ({ readonly kind: 'list' | 'map'; readonly of: Shape } & Bounds)
  | ({ readonly kind: 'structure'; readonly fields: Readonly<Record<string, Shape>> } & Bounds);

export type Structure = Readonly<Record<string, Shape>>;

const ERRORS_MAX = 10;
const TABLE_NAME_MIN = 3;
const TABLE_NAME_MAX = 255;
const NAME_PATTERN = '[a-zA-Z0-9_.-]+';

export const text = (bounds: Bounds = {}): Shape => ({ kind: 'string', ...bounds });
export const integer = (bounds: Bounds = {}): Shape => ({ kind: 'integer', ...bounds });
export const flag = (bounds: Bounds = {}): Shape => ({ kind: 'boolean', ...bounds });
export const list = (of: Shape, bounds: Bounds = {}): Shape => ({ kind: 'list', of, ...bounds });
export const map = (of: Shape, bounds: Bounds = {}): Shape => ({ kind: 'map', of, ...bounds });
export const structure = (fields: Structure, bounds: Bounds = {}): Shape => ({ kind: 'structure', fields, ...bounds });
/** An attribute value, which is read where its type matters. */
export const value: Shape = { kind: 'any' };
/** Its presence is judged before all else. */
export const tableName: Shape = { kind: 'table', required: true };
export const name = (bounds: Bounds = {}): Shape => ({
  kind: 'string',
  min: 3,
  max: 255,
  pattern: NAME_PATTERN,
  ...bounds,
});

/** What is not in the shape is left out, as AWS does. */
export function readInput(fields: Structure, raw: unknown): Readonly<Record<string, unknown>> {
  const input = readStructure(fields, raw);
  for (const [field, shape] of Object.entries(fields))
    if (shape.kind === 'table') checkTableName(field, shape, input[field]);
  const errors: string[] = [];
  for (const [field, shape] of Object.entries(fields)) check(lowerFirst(field), shape, input[field], errors);
  if (errors.length === 0) return input;
  const told = errors.slice(0, ERRORS_MAX);
  throw refused(`${told.length} validation error${told.length > 1 ? 's' : ''} detected: ${told.join('; ')}`);
}

/** `arn:aws:dynamodb:us-east-1:000000000000:table/name` stands for the name. */
export function tableNameOf(given: string): string {
  return /^arn:aws:dynamodb:[^:]*:[^:]*:table\/([^/]+)$/.exec(given)?.[1] ?? given;
}

function checkTableName(field: string, { required }: Shape, given: unknown): void {
  if (given === undefined) {
    if (required) throw refused(`The parameter '${field}' is required but was not present in the request`);
    return;
  }
  const { length } = tableNameOf(given as string);
  if (length < TABLE_NAME_MIN || length > TABLE_NAME_MAX)
    throw refused(
      `Invalid table/index name.  Table/index names must be between ${TABLE_NAME_MIN} and ${TABLE_NAME_MAX} ` +
        "characters long, and may contain only the characters a-z, A-Z, 0-9, '_', '-', and '.'",
    );
}

function readStructure(fields: Structure, raw: unknown): Record<string, unknown> {
  if (Array.isArray(raw)) throw unreadable('Unrecognized collection type class java.lang.Object');
  if (typeof raw !== 'object' || raw === null) throw unreadable('Unexpected value type in payload');
  const read: Record<string, unknown> = {};
  for (const [field, shape] of Object.entries(fields)) {
    const given = Object.hasOwn(raw, field) ? (raw as Record<string, unknown>)[field] : undefined;
    if (given !== undefined && given !== null) read[field] = readShape(shape, given);
  }
  return read;
}

function readShape(shape: Shape, raw: unknown): unknown {
  switch (shape.kind) {
    case 'any':
      return raw;
    case 'string':
    case 'table':
      if (typeof raw === 'string') return shape.kind === 'table' ? tableNameOf(raw) : raw;
      throw mismatched(raw, 'String');
    case 'integer':
      if (typeof raw === 'number' && Number.isFinite(raw)) return Math.trunc(raw);
      throw mismatched(raw, 'Integer');
    case 'boolean':
      if (typeof raw === 'boolean') return raw;
      throw mismatched(raw, 'Boolean');
    case 'list':
      if (Array.isArray(raw)) return raw.map((member) => readShape(shape.of, member));
      throw unreadable(
        typeof raw === 'object' ? 'Start of structure or map found where not expected' : 'Unexpected field type',
      );
    case 'map': {
      if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw unreadable('Unexpected field type');
      const read: Record<string, unknown> = Object.create(null);
      for (const [key, member] of Object.entries(raw)) if (member !== null) read[key] = readShape(shape.of, member);
      return read;
    }
    case 'structure':
      return readStructure(shape.fields, raw);
  }
}

function mismatched(raw: unknown, type: string) {
  if (typeof raw === 'string') return unreadable(`STRING_VALUE cannot be converted to ${type}`);
  if (typeof raw === 'boolean') return unreadable(`${raw ? 'TRUE' : 'FALSE'}_VALUE cannot be converted to ${type}`);
  if (typeof raw === 'number')
    return unreadable(`${Number.isInteger(raw) ? 'NUMBER' : 'DECIMAL'}_VALUE cannot be converted to ${type}`);
  if (Array.isArray(raw)) return unreadable(`Unrecognized collection type class java.lang.${type}`);
  return unreadable('Start of structure or map found where not expected');
}

function check(path: string, shape: Shape, given: unknown, errors: string[]): void {
  if (errors.length > ERRORS_MAX) return;
  const fail = (constraint: string) =>
    errors.push(`Value ${show(given)} at '${path}' failed to satisfy constraint: ${constraint}`);
  if (given === undefined) {
    if (shape.required) fail('Member must not be null');
    return;
  }
  const { min, max, values, pattern } = shape;
  const size = typeof given === 'number' ? given : lengthOf(given);
  const what = typeof given === 'number' ? 'value' : 'length';
  if (min !== undefined && size < min) fail(`Member must have ${what} greater than or equal to ${min}`);
  if (max !== undefined && size > max) fail(`Member must have ${what} less than or equal to ${max}`);
  if (values !== undefined && !values.includes(given as string))
    fail(`Member must satisfy enum value set: [${values.join(', ')}]`);
  const wanted = pattern ?? (shape.kind === 'table' ? NAME_PATTERN : undefined);
  if (wanted !== undefined && !new RegExp(`^(?:${wanted})$`).test(given as string))
    fail(`Member must satisfy regular expression pattern: ${wanted}`);
  if (shape.kind === 'list')
    for (const [index, member] of (given as readonly unknown[]).entries())
      check(`${path}.${index + 1}.member`, shape.of, member, errors);
  if (shape.kind === 'map')
    for (const [key, member] of Object.entries(given as object))
      check(`${path}.${key}.member`, shape.of, member, errors);
  if (shape.kind === 'structure')
    for (const [field, inner] of Object.entries(shape.fields))
      check(`${path}.${lowerFirst(field)}`, inner, (given as Record<string, unknown>)[field], errors);
}

function lengthOf(given: unknown): number {
  if (typeof given === 'string') return given.length;
  return typeof given === 'object' && given !== null ? Object.keys(given).length : 0;
}

function show(given: unknown): string {
  if (given === undefined) return 'null';
  return `'${typeof given === 'object' ? JSON.stringify(given) : String(given)}'`;
}

function lowerFirst(field: string): string {
  return field.charAt(0).toLowerCase() + field.slice(1);
}
