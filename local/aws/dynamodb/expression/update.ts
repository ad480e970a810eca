/** Reads update expressions: which places are set, removed, added to and deleted from, and by what. */

import { typeOf, type Value, type ValueType } from '../values.ts';
import type { Placeholders } from './placeholders.ts';
import { checkApart, openReader, type Path, type Reader } from './reader.ts';
import { wrongExpression, wrongOperandCount, wrongOperandType } from './tokens.ts';

export type SetTerm =
  | { readonly kind: 'path'; readonly path: Path }
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'if_not_exists'; readonly path: Path; readonly otherwise: SetTerm }
  | { readonly kind: 'list_append'; readonly first: SetTerm; readonly second: SetTerm }
  | { readonly kind: 'sum'; readonly left: SetTerm; readonly right: SetTerm; readonly factor: 1 | -1 };

export interface Update {
  readonly set: readonly { readonly path: Path; readonly to: SetTerm }[];
  readonly remove: readonly Path[];
  readonly add: readonly { readonly path: Path; readonly value: Value }[];
  readonly delete: readonly { readonly path: Path; readonly value: Value }[];
}

const FIELD = 'UpdateExpression';
const SECTIONS = ['SET', 'REMOVE', 'ADD', 'DELETE'] as const;
type Section = (typeof SECTIONS)[number];

/** As messages about update operators call the types. */
const LONG_NAMES: Readonly<Record<ValueType, string>> = {
  S: 'STRING',
  N: 'NUMBER',
  B: 'BINARY',
  BOOL: 'BOOLEAN',
  NULL: 'NULL',
  M: 'MAP',
  L: 'LIST',
  SS: 'STRING_SET',
  NS: 'NUMBER_SET',
  BS: 'BINARY_SET',
};

const ADDED: readonly ValueType[] = ['N', 'SS', 'NS', 'BS'];
const DELETED: readonly ValueType[] = ['SS', 'NS', 'BS'];

export const NO_UPDATE: Update = { set: [], remove: [], add: [], delete: [] };

export function readUpdate(text: string, placeholders: Placeholders): Update {
  const reader = openReader(FIELD, text, placeholders);
  const set: { path: Path; to: SetTerm }[] = [];
  const remove: Path[] = [];
  const add: { path: Path; value: Value }[] = [];
  const deleted: { path: Path; value: Value }[] = [];
  const read: Readonly<Record<Section, () => void>> = {
    SET() {
      const path = reader.path();
      reader.expect('=');
      set.push({ path, to: readSum(reader) });
    },
    REMOVE: () => void remove.push(reader.path()),
    ADD: () => void add.push({ path: reader.path(), value: typed(reader, 'ADD', ADDED) }),
    DELETE: () => void deleted.push({ path: reader.path(), value: typed(reader, 'DELETE', DELETED) }),
  };
  const used = new Set<Section>();
  do {
    const section = SECTIONS.find((it) => reader.accept(it));
    if (section === undefined) throw reader.unexpected();
    if (used.has(section))
      throw wrongExpression(FIELD, `The "${section}" section can only be used once in an update expression;`);
    used.add(section);
    do read[section]();
    while (reader.accept(','));
  } while (reader.peek().kind !== 'end');
  checkApart(FIELD, [
    ...set.map(({ path }) => path),
    ...remove,
    ...add.map(({ path }) => path),
    ...deleted.map(({ path }) => path),
  ]);
  return { set, remove, add, delete: deleted };
}

export function pathsOf({ set, remove, add, delete: deleted }: Update): readonly Path[] {
  return [...set, ...add, ...deleted].map(({ path }) => path).concat(remove);
}

function typed(reader: Reader, section: Section, types: readonly ValueType[]): Value {
  const value = reader.value();
  if (types.includes(typeOf(value))) return value;
  const what = `operator: ${section}, operand type: ${LONG_NAMES[typeOf(value)]}, typeSet: ALLOWED_FOR_${section}_OPERAND`;
  throw wrongExpression(FIELD, `Incorrect operand type for operator or function; ${what}`);
}

function readSum(reader: Reader): SetTerm {
  const left = readTerm(reader);
  const factor = reader.accept('+') ? 1 : reader.accept('-') ? -1 : null;
  if (factor === null) return left;
  const right = readTerm(reader);
  const operator = factor === 1 ? '+' : '-';
  for (const term of [left, right]) checkTerm(term, operator, 'N');
  return { kind: 'sum', left, right, factor };
}

function checkTerm(term: SetTerm, operator: string, type: ValueType): void {
  if (term.kind !== 'value' || typeOf(term.value) === type) return;
  throw wrongOperandType(FIELD, operator, typeOf(term.value));
}

function readTerm(reader: Reader): SetTerm {
  if (reader.accept('(')) {
    const inner = readSum(reader);
    reader.expect(')');
    return inner;
  }
  const { kind, text } = reader.peek();
  if (kind === 'value') return { kind: 'value', value: reader.value() };
  if (kind !== 'word' || reader.peek(1).text !== '(') return { kind: 'path', path: reader.path() };
  reader.next();
  reader.expect('(');
  const terms = [readSum(reader)];
  while (reader.accept(',')) terms.push(readSum(reader));
  reader.expect(')');
  const [first, second] = terms as [SetTerm, SetTerm];
  if (text !== 'if_not_exists' && text !== 'list_append') {
    const misused = ['attribute_exists', 'attribute_not_exists', 'attribute_type', 'begins_with', 'contains', 'size'];
    const why = misused.includes(text)
      ? 'The function is not allowed in an update expression'
      : 'Invalid function name';
    throw wrongExpression(FIELD, `${why}; function: ${text}`);
  }
  if (terms.length !== 2) throw wrongOperandCount(FIELD, text, terms.length);
  if (text === 'list_append') {
    for (const term of terms) checkTerm(term, text, 'L');
    if (terms.some((term) => term.kind === text))
      throw wrongExpression(
        FIELD,
        `The function is not allowed to be used this way in an expression; function: ${text}`,
      );
    return { kind: text, first, second };
  }
  if (first.kind !== 'path')
    throw wrongExpression(FIELD, `Operator or function requires a document path; operator or function: ${text}`);
  return { kind: text, path: first.path, otherwise: second };
}
