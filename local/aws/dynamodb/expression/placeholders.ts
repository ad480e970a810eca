/** What #names and :values of a request stand for; each must be used, and each that is used must be there. */

import { DynamoError, refused } from '../errors.ts';
import { readValue, type Value } from '../values.ts';
import { type Field, wrongExpression } from './tokens.ts';

export interface Placeholders {
  name(field: Field, placeholder: string): string;
  value(field: Field, placeholder: string): Value;
  /** After all expressions of the request were read. */
  checkUsed(): void;
}

export interface PlaceholderInput {
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>> | undefined;
  readonly ExpressionAttributeValues?: Readonly<Record<string, unknown>> | undefined;
}

const NAME_BYTES_MAX = 65_535;

/** `expressions`: those the request has, undefined where it has none. */
export function readPlaceholders(
  input: PlaceholderInput,
  expressions: Readonly<Partial<Record<Field, string | undefined>>>,
): Placeholders {
  const { ExpressionAttributeNames: names, ExpressionAttributeValues: raw } = input;
  const given = (fields: readonly string[]) => fields.some((field) => expressions[field as Field] !== undefined);
  const fields = Object.keys(expressions);
  if (names !== undefined && !given(fields))
    throw refused('ExpressionAttributeNames can only be specified when using expressions');
  const withValues = fields.filter((field) => field !== 'ProjectionExpression');
  if (raw !== undefined && !given(withValues)) {
    const which =
      withValues.length === 0 ? '' : `: ${withValues.join(' and ')} ${withValues.length > 1 ? 'are' : 'is'} null`;
    throw refused(`ExpressionAttributeValues can only be specified when using expressions${which}`);
  }
  checkKeys('ExpressionAttributeNames', names, /^#[A-Za-z0-9_]+$/);
  checkKeys('ExpressionAttributeValues', raw, /^:[A-Za-z0-9_]+$/);
  for (const [placeholder, name] of Object.entries(names ?? {}))
    if (name === '' || Buffer.byteLength(name) > NAME_BYTES_MAX)
      throw refused(
        `ExpressionAttributeNames contains invalid value: Attribute names have 1 to ${NAME_BYTES_MAX} bytes for key ${placeholder}`,
      );
  const values = new Map(
    Object.entries(raw ?? {}).map(([placeholder, value]) => [placeholder, readOne(placeholder, value)]),
  );
  const unusedNames = new Set(Object.keys(names ?? {}));
  const unusedValues = new Set(values.keys());

  return {
    name(field, placeholder) {
      unusedNames.delete(placeholder);
      const name = Object.hasOwn(names ?? {}, placeholder) ? names?.[placeholder] : undefined;
      if (name !== undefined) return name;
      throw wrongExpression(
        field,
        `An expression attribute name used in the document path is not defined; attribute name: ${placeholder}`,
      );
    },
    value(field, placeholder) {
      unusedValues.delete(placeholder);
      const value = values.get(placeholder);
      if (value !== undefined) return value;
      throw wrongExpression(
        field,
        `An expression attribute value used in expression is not defined; attribute value: ${placeholder}`,
      );
    },
    checkUsed() {
      for (const [what, unused] of [
        ['ExpressionAttributeNames', unusedNames],
        ['ExpressionAttributeValues', unusedValues],
      ] as const)
        if (unused.size > 0)
          throw refused(`Value provided in ${what} unused in expressions: keys: {${[...unused].join(', ')}}`);
    },
  };
}

function checkKeys(what: string, map: Readonly<Record<string, unknown>> | undefined, pattern: RegExp): void {
  if (map === undefined) return;
  const keys = Object.keys(map);
  if (keys.length === 0) throw refused(`${what} must not be empty`);
  const wrong = keys.find((key) => !pattern.test(key));
  if (wrong !== undefined) throw refused(`${what} contains invalid key: Syntax error; key: "${wrong}"`);
}

function readOne(placeholder: string, raw: unknown): Value {
  try {
    return readValue(raw);
  } catch (error) {
    if (!(error instanceof DynamoError) || error.type.endsWith('SerializationException')) throw error;
    throw refused(`ExpressionAttributeValues contains invalid value: ${error.message} for key ${placeholder}`);
  }
}
