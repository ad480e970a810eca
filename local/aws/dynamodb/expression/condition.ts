/** Reads conditions, and says whether an item fulfils one. */

import {
  compareValues,
  describeValue,
  type Item,
  isSame,
  setOf,
  typeOf,
  VALUE_TYPES,
  type Value,
  type ValueType,
} from '../values.ts';
import type { Placeholders } from './placeholders.ts';
import { describePath, openReader, type Path, type Reader, valueAt } from './reader.ts';
import { type Field, wrongExpression, wrongOperandCount, wrongOperandType } from './tokens.ts';

export type Operand =
  | { readonly kind: 'path'; readonly path: Path }
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'size'; readonly path: Path };

export type Comparator = '=' | '<>' | '<' | '<=' | '>' | '>=';

export type Condition =
  | { readonly kind: 'and' | 'or'; readonly left: Condition; readonly right: Condition }
  | { readonly kind: 'not'; readonly of: Condition }
  | { readonly kind: 'compare'; readonly by: Comparator; readonly left: Operand; readonly right: Operand }
  | { readonly kind: 'between'; readonly of: Operand; readonly low: Operand; readonly high: Operand }
  | { readonly kind: 'in'; readonly of: Operand; readonly options: readonly Operand[] }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Operand[] };

const COMPARATORS: readonly string[] = ['=', '<>', '<', '<=', '>', '>='];
const OPERATORS_MAX = 300;
const OPTIONS_MAX = 100;

/** How many operands each function takes, and which of them must be a path. */
const FUNCTIONS: Readonly<
  Record<string, { readonly operands: number; readonly path: boolean; readonly types?: readonly ValueType[] }>
> = {
  attribute_exists: { operands: 1, path: true },
  attribute_not_exists: { operands: 1, path: true },
  attribute_type: { operands: 2, path: true, types: ['S'] },
  begins_with: { operands: 2, path: false, types: ['S', 'B'] },
  contains: { operands: 2, path: false },
  size: { operands: 1, path: false },
};

const ORDERED: readonly ValueType[] = ['S', 'N', 'B'];

export function readCondition(field: Field, text: string, placeholders: Placeholders): Condition {
  const reader = openReader(field, text, placeholders);
  const count = { operators: 0 };
  const condition = readOr(reader, count);
  if (reader.peek().kind !== 'end') throw reader.unexpected();
  return condition;
}

interface Count {
  operators: number;
}

function another(reader: Reader, count: Count): void {
  count.operators += 1;
  if (count.operators > OPERATORS_MAX)
    throw wrongExpression(
      reader.field,
      `The expression contains too many operators; operator count: ${count.operators}`,
    );
}

function readOr(reader: Reader, count: Count): Condition {
  let left = readAnd(reader, count);
  while (reader.accept('OR')) {
    another(reader, count);
    left = { kind: 'or', left, right: readAnd(reader, count) };
  }
  return left;
}

function readAnd(reader: Reader, count: Count): Condition {
  let left = readNot(reader, count);
  while (reader.accept('AND')) {
    another(reader, count);
    left = { kind: 'and', left, right: readNot(reader, count) };
  }
  return left;
}

function readNot(reader: Reader, count: Count): Condition {
  if (!reader.accept('NOT')) return readPrimary(reader, count);
  another(reader, count);
  return { kind: 'not', of: readNot(reader, count) };
}

function readPrimary(reader: Reader, count: Count): Condition {
  another(reader, count);
  if (!isOperandAhead(reader) && reader.accept('(')) {
    const doubled = reader.peek().text === '(';
    const inner = readOr(reader, count);
    const closed = reader.peek();
    reader.expect(')');
    if (doubled && closed.text === ')' && isParenthesis.has(inner))
      throw wrongExpression(reader.field, 'The expression has redundant parentheses;');
    isParenthesis.add(inner);
    return inner;
  }
  const called = functionName(reader);
  if (called !== null && called !== 'size') return readCall(reader, called);
  const of = readOperand(reader);
  if (reader.accept('BETWEEN')) {
    const low = readOperand(reader);
    reader.expect('AND');
    const high = readOperand(reader);
    checkDistinct(reader.field, 'BETWEEN', of, [low, high]);
    checkBetween(reader, low, high);
    return { kind: 'between', of, low, high };
  }
  if (reader.accept('IN')) {
    reader.expect('(');
    const options = [readOperand(reader)];
    while (reader.accept(',')) options.push(readOperand(reader));
    reader.expect(')');
    if (options.length > OPTIONS_MAX)
      throw wrongExpression(
        reader.field,
        `Too many operands for operator or function; operator or function: IN, number of operands: ${options.length}`,
      );
    checkDistinct(reader.field, 'IN', of, options);
    return { kind: 'in', of, options };
  }
  const { text: by, kind } = reader.peek();
  if (kind !== 'symbol' || !COMPARATORS.includes(by)) {
    if (of.kind === 'size')
      throw wrongExpression(
        reader.field,
        'The function is not allowed to be used this way in an expression; function: size',
      );
    throw reader.unexpected();
  }
  reader.next();
  const right = readOperand(reader);
  checkCompare(reader, by as Comparator, of, right);
  return { kind: 'compare', by: by as Comparator, left: of, right };
}

/** Whether the parentheses that come next hold an operand: then a comparison follows. */
function isOperandAhead(reader: Reader): boolean {
  if (reader.peek().text !== '(') return true;
  let open = 0;
  for (let ahead = 0; reader.peek(ahead).kind !== 'end'; ahead++) {
    const { text } = reader.peek(ahead);
    open += text === '(' ? 1 : text === ')' ? -1 : 0;
    const next = reader.peek(ahead + 1).text;
    if (open === 0) return COMPARATORS.includes(next) || ['BETWEEN', 'IN'].includes(next.toUpperCase());
  }
  return false;
}

/** Conditions that stood in parentheses, to find those in two pairs. */
const isParenthesis = new WeakSet<Condition>();

function functionName(reader: Reader): string | null {
  const { kind, text } = reader.peek();
  return kind === 'word' && reader.peek(1).text === '(' ? text : null;
}

function readCall(reader: Reader, name: string): Condition {
  return { kind: 'call', name, args: readArguments(reader, name) };
}

function readArguments(reader: Reader, name: string): readonly Operand[] {
  const { field } = reader;
  const rule = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  if (rule === undefined) throw wrongExpression(field, `Invalid function name; function: ${name}`);
  reader.next();
  reader.expect('(');
  const args = [readOperand(reader)];
  while (reader.accept(',')) args.push(readOperand(reader));
  reader.expect(')');
  const what = `operator or function: ${name}`;
  if (args.length !== rule.operands) throw wrongOperandCount(field, name, args.length);
  const [first, second] = args as [Operand, Operand?];
  if (rule.path && first.kind !== 'path')
    throw wrongExpression(field, `Operator or function requires a document path; ${what}`);
  checkDistinct(field, name, first, args.slice(1));
  const typed = second?.kind === 'value' && rule.types !== undefined ? second.value : null;
  if (typed !== null && !rule.types?.includes(typeOf(typed))) throw wrongOperandType(field, name, typeOf(typed));
  if (name === 'attribute_type') checkTypeName(field, second as Operand);
  return args;
}

function checkTypeName(field: Field, operand: Operand): void {
  // The name of a type must be there before any item is looked at.
  if (operand.kind !== 'value') throw wrongOperandType(field, 'attribute_type', '{NS,SS,L,BS,N,M,B,BOOL,NULL,S}');
  const name = operand.value.S as string;
  if (VALUE_TYPES.includes(name as ValueType)) return;
  throw wrongExpression(
    field,
    `Invalid attribute type name found; type: ${name}, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}`,
  );
}

function readOperand(reader: Reader): Operand {
  if (reader.accept('(')) {
    const inner = readOperand(reader);
    reader.expect(')');
    return inner;
  }
  if (reader.peek().kind === 'value') return { kind: 'value', value: reader.value() };
  const called = functionName(reader);
  if (called === null) return { kind: 'path', path: reader.path() };
  if (called !== 'size') {
    if (!Object.hasOwn(FUNCTIONS, called))
      throw wrongExpression(reader.field, `Invalid function name; function: ${called}`);
    throw wrongExpression(
      reader.field,
      `The function is not allowed to be used this way in an expression; function: ${called}`,
    );
  }
  const [of] = readArguments(reader, 'size') as [Operand];
  if (of.kind === 'path') return { kind: 'size', path: of.path };
  if (of.kind === 'value') {
    const size = sizeOf(of.value);
    if (size !== undefined) return { kind: 'value', value: size };
    throw wrongOperandType(reader.field, 'size', typeOf(of.value));
  }
  throw wrongExpression(
    reader.field,
    'The function is not allowed to be used this way in an expression; function: size',
  );
}

function checkCompare({ field }: Reader, by: Comparator, left: Operand, right: Operand): void {
  checkDistinct(field, by, left, [right]);
  if (by === '=' || by === '<>') return;
  for (const operand of [left, right])
    if (operand.kind === 'value' && !ORDERED.includes(typeOf(operand.value)))
      throw wrongOperandType(field, by, typeOf(operand.value));
}

function checkBetween({ field }: Reader, low: Operand, high: Operand): void {
  for (const operand of [low, high])
    if (operand.kind === 'value' && !ORDERED.includes(typeOf(operand.value)))
      throw wrongOperandType(field, 'BETWEEN', typeOf(operand.value));
  if (low.kind !== 'value' || high.kind !== 'value') return;
  const [lower, upper] = [low.value, high.value].map((it) => `bound operand: AttributeValue: ${describeValue(it)}`);
  const bounds = `lower ${lower}, upper ${upper}`;
  const order = compareValues(low.value, high.value);
  if (order === null)
    throw wrongExpression(field, `The BETWEEN operator requires same data type for lower and upper bounds; ${bounds}`);
  if (order > 0)
    throw wrongExpression(
      field,
      `The BETWEEN operator requires upper bound to be greater than or equal to lower bound; ${bounds}`,
    );
}

function isSameOperand(a: Operand, b: Operand): boolean {
  return a.kind === 'path' && b.kind === 'path' && describePath(a.path) === describePath(b.path);
}

function checkDistinct(field: Field, operator: string, first: Operand, others: readonly Operand[]): void {
  if (!others.some((other) => isSameOperand(first, other))) return;
  const which = `operator: ${operator}, first operand: ${first.kind === 'path' ? describePath(first.path) : ''}`;
  const rule = 'The first operand must be distinct from the remaining operands for this operator or function';
  throw wrongExpression(field, `${rule}; ${which}`);
}

/** An item that does not stand there fulfils what an empty one fulfils. */
export function fulfils(item: Item, condition: Condition): boolean {
  switch (condition.kind) {
    case 'and':
      return fulfils(item, condition.left) && fulfils(item, condition.right);
    case 'or':
      return fulfils(item, condition.left) || fulfils(item, condition.right);
    case 'not':
      return !fulfils(item, condition.of);
    case 'compare':
      return holds(condition.by, operandIn(item, condition.left), operandIn(item, condition.right));
    case 'between': {
      const of = operandIn(item, condition.of);
      return holds('>=', of, operandIn(item, condition.low)) && holds('<=', of, operandIn(item, condition.high));
    }
    case 'in': {
      const of = operandIn(item, condition.of);
      return condition.options.some((option) => holds('=', of, operandIn(item, option)));
    }
    case 'call': {
      const [first, second] = condition.args.map((operand) => operandIn(item, operand));
      return (CALLS[condition.name] as Call)(first, second);
    }
  }
}

function operandIn(item: Item, operand: Operand): Value | undefined {
  if (operand.kind === 'value') return operand.value;
  const value = valueAt(item, operand.path);
  return operand.kind === 'path' || value === undefined ? value : sizeOf(value);
}

function holds(by: Comparator, left: Value | undefined, right: Value | undefined): boolean {
  if (left === undefined || right === undefined) return by === '<>' && left !== right;
  if (by === '=') return isSame(left, right);
  if (by === '<>') return !isSame(left, right);
  const order = compareValues(left, right);
  if (order === null) return false;
  if (by === '<') return order < 0;
  if (by === '<=') return order <= 0;
  return by === '>' ? order > 0 : order >= 0;
}

type Call = (first: Value | undefined, second: Value | undefined) => boolean;

const CALLS: Readonly<Record<string, Call>> = {
  attribute_exists: (first) => first !== undefined,
  attribute_not_exists: (first) => first === undefined,
  attribute_type: (first, second) => first !== undefined && typeOf(first) === second?.S,
  begins_with(first, second) {
    if (first?.S !== undefined && second?.S !== undefined) return first.S.startsWith(second.S);
    if (first?.B === undefined || second?.B === undefined) return false;
    const [bytes, start] = [Buffer.from(first.B, 'base64'), Buffer.from(second.B, 'base64')];
    return bytes.subarray(0, start.length).equals(start);
  },
  contains(first, second) {
    if (first === undefined || second === undefined) return false;
    if (first.S !== undefined) return second.S !== undefined && first.S.includes(second.S);
    if (first.B !== undefined)
      return second.B !== undefined && Buffer.from(first.B, 'base64').includes(Buffer.from(second.B, 'base64'));
    if (first.L !== undefined) return first.L.some((member) => isSame(member, second));
    const type = typeOf(first);
    const scalar = second[type.charAt(0) as 'S' | 'N' | 'B'];
    return type.length === 2 && scalar !== undefined && (setOf(first) ?? []).includes(scalar);
  },
};

/** undefined: a value that has none. */
function sizeOf(value: Value): Value | undefined {
  const { S, B, M, L } = value;
  if (S !== undefined) return { N: `${S.length}` };
  if (B !== undefined) return { N: `${Buffer.from(B, 'base64').length}` };
  if (M !== undefined) return { N: `${Object.keys(M).length}` };
  const members = L ?? setOf(value);
  return members === null ? undefined : { N: `${members.length}` };
}
