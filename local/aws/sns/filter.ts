/** Which messages a subscriber wants: its filter policy, read once and then asked for each message. */

import type { MessageAttributes } from '../sqs/message.ts';

export type FilterPolicy = Readonly<Record<string, unknown>>;

type Scalar = string | number | boolean | null;

/** What is wrong with the policy, or null. */
export function problemOf(policy: unknown): string | null {
  if (!isObject(policy)) return 'must be an object';
  for (const [key, value] of Object.entries(policy)) {
    if (key === '$or') return '"$or" is not known here';
    if (isObject(value)) {
      const inside = problemOf(value);
      if (inside !== null) return inside;
      continue;
    }
    if (!Array.isArray(value)) return `"${key}" must be an object or an array`;
    if (value.length === 0) return 'Empty arrays are not allowed';
    for (const condition of value) {
      const wrong = problemOfCondition(condition);
      if (wrong !== null) return wrong;
    }
  }
  return null;
}

/** By the attributes of a message: every key must be met, by any of its conditions. */
export function wantsAttributes(policy: FilterPolicy, attributes: MessageAttributes): boolean {
  return Object.entries(policy).every(([name, conditions]) => {
    const attribute = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
    return meets(conditions, attribute === undefined ? [] : valuesOf(attribute.DataType, attribute.StringValue));
  });
}

/** By the body, when it is a JSON object. */
export function wantsBody(policy: FilterPolicy, body: string): boolean {
  try {
    const value: unknown = JSON.parse(body);
    return isObject(value) && wantsObject(policy, value);
  } catch {
    return false;
  }
}

function wantsObject(policy: FilterPolicy, value: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(policy).every(([name, conditions]) => {
    const inside = Object.hasOwn(value, name) ? value[name] : undefined;
    if (isObject(conditions)) {
      const each = Array.isArray(inside) ? inside : [inside];
      return each.some((it) => wantsObject(conditions, isObject(it) ? it : {}));
    }
    const scalars = (Array.isArray(inside) ? inside.flat(Number.POSITIVE_INFINITY) : [inside]).filter(isScalar);
    return meets(conditions, scalars);
  });
}

function meets(conditions: unknown, values: readonly Scalar[]): boolean {
  return (conditions as readonly unknown[]).some((condition) => {
    if (isObject(condition) && 'exists' in condition) return condition.exists === values.length > 0;
    return values.some((value) => fits(condition, value));
  });
}

/** A text of numbers is compared as numbers only where the attribute is one. */
function valuesOf(type: string, text = ''): readonly Scalar[] {
  if (type.startsWith('Number')) return [Number(text)];
  if (type !== 'String.Array') return [text];
  try {
    const all: unknown = JSON.parse(text);
    return Array.isArray(all) ? all.filter(isScalar) : [];
  } catch {
    return [];
  }
}

type Test = (operand: unknown, value: Scalar) => boolean;

const TESTS: Readonly<Record<string, Test>> = {
  prefix: (operand, value) => typeof value === 'string' && value.startsWith(String(operand)),
  suffix: (operand, value) => typeof value === 'string' && value.endsWith(String(operand)),
  'equals-ignore-case': (operand, value) =>
    typeof value === 'string' && value.toLowerCase() === String(operand).toLowerCase(),
  'anything-but': (operand, value) => ![operand].flat().some((it) => fits(it, value)),
  numeric: (operand, value) => typeof value === 'number' && isWithin(operand as readonly unknown[], value),
};

function fits(condition: unknown, value: Scalar): boolean {
  if (!isObject(condition)) return condition === value;
  const [name = '', operand] = Object.entries(condition)[0] ?? [];
  return TESTS[name]?.(operand, value) ?? false;
}

const COMPARISONS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '=': (a, b) => a === b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
};

function isWithin(terms: readonly unknown[], value: number): boolean {
  for (let at = 0; at < terms.length; at += 2)
    if (!COMPARISONS[String(terms[at])]?.(value, Number(terms[at + 1]))) return false;
  return true;
}

function problemOfCondition(condition: unknown): string | null {
  if (isScalar(condition)) return null;
  if (!isObject(condition)) return 'Match value must be String, number, true, false, or null';
  const [name = '', ...others] = Object.keys(condition);
  if (others.length > 0) return 'Only one key allowed in match expression';
  const operand = condition[name];
  switch (name) {
    case 'exists':
      return typeof operand === 'boolean' ? null : 'exists match pattern must be either true or false.';
    case 'prefix':
    case 'suffix':
    case 'equals-ignore-case':
      return typeof operand === 'string' ? null : `${name} match pattern must be a string`;
    case 'numeric':
      return isNumericPattern(operand) ? null : 'Value of numeric must be an array of comparisons and numbers';
    case 'anything-but': {
      const all = [operand].flat();
      const fine = all.length > 0 && all.every((it) => isScalar(it) || (isObject(it) && isAffix(it)));
      return fine ? null : 'Inside anything but list, must be strings, numbers, a prefix or a suffix';
    }
    default:
      return `Unrecognized match type ${name}`;
  }
}

function isAffix(it: Readonly<Record<string, unknown>>): boolean {
  const [name = '', ...others] = Object.keys(it);
  return others.length === 0 && ['prefix', 'suffix'].includes(name) && problemOfCondition(it) === null;
}

function isNumericPattern(operand: unknown): boolean {
  return (
    Array.isArray(operand) &&
    (operand.length === 2 || operand.length === 4) &&
    operand.every((it, at) => (at % 2 === 0 ? Object.hasOwn(COMPARISONS, String(it)) : typeof it === 'number'))
  );
}

function isScalar(value: unknown): value is Scalar {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
