/** Values of attributes: what may be one, how large it is, which comes first, and which are the same. */

import { refused, unreadable, wrongValue } from './errors.ts';
import { compareNumbers, numberBytes, toNumberText } from './numbers.ts';

export type ValueType = 'S' | 'N' | 'B' | 'BOOL' | 'NULL' | 'M' | 'L' | 'SS' | 'NS' | 'BS';

/** As on the wire, numbers in their one spelling; exactly one member is there. Bytes are base64. */
export interface Value {
  readonly S?: string;
  readonly N?: string;
  readonly B?: string;
  readonly BOOL?: boolean;
  readonly NULL?: boolean;
  readonly M?: Item;
  readonly L?: readonly Value[];
  readonly SS?: readonly string[];
  readonly NS?: readonly string[];
  readonly BS?: readonly string[];
}

export type Item = Readonly<Record<string, Value>>;

export const VALUE_TYPES: readonly ValueType[] = ['S', 'N', 'B', 'BOOL', 'NULL', 'M', 'L', 'SS', 'NS', 'BS'];
const NESTING_MAX = 32;
/** What a list or a map costs besides its members, and each member of one. */
const CONTAINER_BYTES = 3;
const MEMBER_BYTES = 1;

export function typeOf(value: Value): ValueType {
  return Object.keys(value)[0] as ValueType;
}

/** The text of a scalar, or the members of a set. */
export function readItem(raw: unknown, levels = 1): Item {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    throw unreadable('Start of structure or map found where not expected');
  const item: Record<string, Value> = Object.create(null);
  for (const [name, value] of Object.entries(raw)) item[name] = readValue(value, levels);
  return item;
}

export function readValue(raw: unknown, levels = 1): Value {
  if (levels > NESTING_MAX)
    throw refused(
      'Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit',
    );
  if (typeof raw !== 'object' || raw === null) throw unreadable('Unexpected value type in payload');
  if (Array.isArray(raw))
    throw unreadable('Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue');
  const members = Object.entries(raw).filter(
    ([type, value]) => value !== null && VALUE_TYPES.includes(type as ValueType),
  );
  const [first] = members;
  if (first === undefined)
    throw refused('Supplied AttributeValue is empty, must contain exactly one of the supported datatypes');
  const read = Object.fromEntries(members.map(([type, value]) => [type, READERS[type as ValueType](value, levels)]));
  if (members.length > 1)
    throw refused(
      'Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes',
    );
  return read as Value;
}

const READERS: Readonly<Record<ValueType, (raw: unknown, levels: number) => unknown>> = {
  S: (raw) => readText(raw),
  N: (raw) => toNumberText(readText(raw)),
  B: (raw) => readBytes(raw),
  BOOL: (raw) => readFlag(raw),
  NULL(raw) {
    if (readFlag(raw)) return true;
    throw wrongValue('Null attribute value types must have the value of true');
  },
  M: (raw, levels) => readItem(raw, levels + 1),
  L: (raw, levels) => readList(raw).map((member) => readValue(member, levels + 1)),
  SS: (raw) =>
    readSet(
      raw,
      'An string set  may not be empty',
      readText,
      (texts) => `Input collection [${texts.join(', ')}] contains duplicates.`,
    ),
  NS: (raw) =>
    readSet(
      raw,
      'An number set  may not be empty',
      (text) => toNumberText(readText(text)),
      () => null,
    ),
  BS: (raw) =>
    readSet(
      raw,
      'Binary sets should not be empty',
      readBytes,
      (texts) => `Input collection [${texts.join(', ')}]of type BS contains duplicates.`,
    ),
};

function readSet(
  raw: unknown,
  empty: string,
  read: (member: unknown) => string,
  duplicate: (members: readonly string[]) => string | null,
): readonly string[] {
  const members = readList(raw).map(read);
  if (members.length === 0) throw wrongValue(empty);
  if (new Set(members).size === members.length) return members;
  const message = duplicate(members);
  throw message === null ? refused('Input collection contains duplicates') : wrongValue(message);
}

function readText(raw: unknown): string {
  if (typeof raw === 'string') return raw;
  if (typeof raw === 'number') throw unreadable('NUMBER_VALUE cannot be converted to String');
  if (typeof raw === 'boolean') throw unreadable(`${raw ? 'TRUE' : 'FALSE'}_VALUE cannot be converted to String`);
  throw unreadable('Start of structure or map found where not expected');
}

function readFlag(raw: unknown): boolean {
  if (typeof raw === 'boolean') return raw;
  throw unreadable('Unexpected token received from parser');
}

function readBytes(raw: unknown): string {
  const text = typeof raw === 'string' ? raw : null;
  if (text === null) throw unreadable('only base-64-encoded strings are convertible to bytes');
  if (text.length % 4 !== 0)
    throw unreadable(`Base64 encoded length is expected a multiple of 4 bytes but found: ${text.length}`);
  if (Buffer.from(text, 'base64').toString('base64') !== text)
    throw unreadable('Invalid last non-pad Base64 character dectected');
  return text;
}

function readList(raw: unknown): readonly unknown[] {
  if (Array.isArray(raw)) return raw;
  throw unreadable(
    typeof raw === 'object' ? 'Start of structure or map found where not expected' : 'Unexpected field type',
  );
}

export function itemBytes(item: Item): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(item)) bytes += Buffer.byteLength(name) + valueBytes(value);
  return bytes;
}

export function valueBytes(value: Value): number {
  const { S, N, B, M, L, SS, NS, BS } = value;
  if (S !== undefined) return Buffer.byteLength(S);
  if (N !== undefined) return numberBytes(N);
  if (B !== undefined) return base64Bytes(B);
  if (M !== undefined) return CONTAINER_BYTES + itemBytes(M) + MEMBER_BYTES * Object.keys(M).length;
  if (L !== undefined) return L.reduce((sum, member) => sum + valueBytes(member) + MEMBER_BYTES, CONTAINER_BYTES);
  if (SS !== undefined) return SS.reduce((sum, member) => sum + Buffer.byteLength(member), 0);
  if (NS !== undefined) return NS.reduce((sum, member) => sum + numberBytes(member), 0);
  if (BS !== undefined) return BS.reduce((sum, member) => sum + base64Bytes(member), 0);
  return 1;
}

export function base64Bytes(text: string): number {
  return Math.floor((text.length * 3) / 4) - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0);
}

/** Only values of one type out of S, N and B have an order; null: these have none. */
export function compareValues(a: Value, b: Value): number | null {
  if (a.S !== undefined && b.S !== undefined) return Buffer.compare(Buffer.from(a.S), Buffer.from(b.S));
  if (a.N !== undefined && b.N !== undefined) return compareNumbers(a.N, b.N);
  if (a.B !== undefined && b.B !== undefined)
    return Buffer.compare(Buffer.from(a.B, 'base64'), Buffer.from(b.B, 'base64'));
  return null;
}

/** Sets are the same in any order. */
export function isSame(a: Value, b: Value): boolean {
  const type = typeOf(a);
  if (type !== typeOf(b)) return false;
  if (type === 'M') {
    const [left, right] = [a.M as Item, b.M as Item];
    const names = Object.keys(left);
    if (names.length !== Object.keys(right).length) return false;
    return names.every((name) => right[name] !== undefined && isSame(left[name] as Value, right[name]));
  }
  if (type === 'L') {
    const [left, right] = [a.L as readonly Value[], b.L as readonly Value[]];
    return left.length === right.length && left.every((member, index) => isSame(member, right[index] as Value));
  }
  const members = setOf(a);
  if (members === null) return a[type] === b[type];
  const others = new Set(setOf(b));
  return members.length === others.size && members.every((member) => others.has(member));
}

export function setOf({ SS, NS, BS }: Value): readonly string[] | null {
  return SS ?? NS ?? BS ?? null;
}

/** As AWS writes a value into a message. */
export function describeValue(value: Value): string {
  const type = typeOf(value);
  const content = value[type];
  return `{${type}:${typeof content === 'object' ? JSON.stringify(content) : content}}`;
}
