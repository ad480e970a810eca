/** Structured queries: which index leads to the documents, what they must match, in which order and from where to where. */

import { grpcError } from '../grpc.ts';
import type { Documents, Stored } from './documents.ts';
import { checkCollectionId } from './names.ts';
import { fieldAt, readFieldPath, toOrdered, withField } from './value.ts';
import type { Cursor, Fields, Filter, StructuredQuery, Value } from './wire.ts';

const NAME = '__name__';
const PAST_TYPES = 0xff;

interface Order {
  readonly field: string;
  readonly descending: boolean;
}

interface Comparison {
  readonly field: string;
  readonly op: string;
  readonly value: Value;
}

/** A collection and its fields, for which somebody made an index of several fields. */
export type HasIndex = (collectionId: string, fields: readonly string[]) => boolean;

/** All that match, in order; the caller's clock does not go on meanwhile. */
export function runQuery(
  documents: Documents,
  parent: string,
  query: StructuredQuery,
  hasIndex: HasIndex,
): readonly Stored[] {
  const [from, ...others] = query.from;
  if (from === undefined || others.length > 0) throw refused('A query must have exactly one collection.');
  if (query.findNearest !== undefined && query.findNearest !== null)
    throw grpcError('UNIMPLEMENTED', 'The local Firestore finds no nearest vectors.');
  checkCollectionId(from.collectionId);
  const conditions = comparisonsOf(query.where);
  const orders = ordersOf(query);
  checkIndex(query, orders, from.collectionId, hasIndex);
  const collection = `${parent}/${from.collectionId}`;
  const lead = from.allDescendants
    ? { all: documents.scanGroup(parent, from.collectionId), inOrder: false }
    : leadOf(documents, collection, conditions, orders, query);
  const bound = boundsOf(query, orders);
  const offset = query.offset;
  const limit = query.limit === null ? Number.POSITIVE_INFINITY : query.limit.value;
  if (offset < 0 || limit < 0) throw refused('Offset and limit of a query must not be negative.');
  const found: Stored[] = [];
  for (const document of lead.all) {
    if (lead.inOrder && found.length >= offset + limit) break;
    if (!matches(document, query.where) || !orders.every(({ field }) => valueAt(document, field) !== undefined))
      continue;
    if (lead.inOrder && bound.isBeyond(document)) break;
    if (bound.isWithin(document)) found.push(document);
  }
  if (!lead.inOrder) found.sort((a, b) => compare(a, b, orders));
  return found.slice(offset, offset + limit);
}

export function project(document: Stored, select: StructuredQuery['select']): Stored {
  if (select === null) return document;
  return {
    ...document,
    fields: onlyFields(
      document.fields,
      select.fields.map(({ fieldPath }) => fieldPath),
    ),
  };
}

export function onlyFields(fields: Fields, paths: readonly string[]): Fields {
  let kept: Fields = {};
  for (const path of paths) {
    if (path === NAME) continue;
    const names = readFieldPath(path);
    const value = fieldAt(fields, names);
    if (value !== undefined) kept = withField(kept, names, value);
  }
  return kept;
}

export function valueAt({ name, fields }: Stored, field: string): Value | undefined {
  return field === NAME ? { referenceValue: name } : fieldAt(fields, readFieldPath(field));
}

/** What must hold of every result: the comparisons that are not below an OR. */
function comparisonsOf(filter: Filter | null): readonly Comparison[] {
  if (filter?.fieldFilter) {
    const { field, op, value } = filter.fieldFilter;
    return [{ field: field.fieldPath, op, value }];
  }
  const { compositeFilter } = filter ?? {};
  return compositeFilter?.op === 'AND' ? compositeFilter.filters.flatMap(comparisonsOf) : [];
}

const INEQUALITIES = [
  'LESS_THAN',
  'LESS_THAN_OR_EQUAL',
  'GREATER_THAN',
  'GREATER_THAN_OR_EQUAL',
  'NOT_EQUAL',
  'NOT_IN',
];

function inequalitiesOf(filter: Filter | null): readonly string[] {
  if (filter?.compositeFilter) return filter.compositeFilter.filters.flatMap(inequalitiesOf);
  if (filter?.fieldFilter)
    return INEQUALITIES.includes(filter.fieldFilter.op) ? [filter.fieldFilter.field.fieldPath] : [];
  const { unaryFilter } = filter ?? {};
  return unaryFilter?.field && unaryFilter.op.startsWith('IS_NOT') ? [unaryFilter.field.fieldPath] : [];
}

function equalitiesOf(filter: Filter | null): readonly string[] {
  if (filter?.compositeFilter) return filter.compositeFilter.filters.flatMap(equalitiesOf);
  if (filter?.fieldFilter)
    return INEQUALITIES.includes(filter.fieldFilter.op) ? [] : [filter.fieldFilter.field.fieldPath];
  const { unaryFilter } = filter ?? {};
  return unaryFilter?.field && !unaryFilter.op.startsWith('IS_NOT') ? [unaryFilter.field.fieldPath] : [];
}

/** What the query says, then the fields of its inequalities, then the name. */
function ordersOf(query: StructuredQuery): readonly Order[] {
  const orders = query.orderBy.map(({ field, direction }) => ({
    field: field.fieldPath,
    descending: direction === 'DESCENDING',
  }));
  const descending = orders.at(-1)?.descending ?? false;
  for (const field of [...new Set(inequalitiesOf(query.where))].sort())
    if (field !== NAME && !orders.some((it) => it.field === field)) orders.push({ field, descending });
  if (!orders.some((it) => it.field === NAME)) orders.push({ field: NAME, descending });
  return orders;
}

/** Firestore has an index for every single field; what combines several needs one that somebody made. */
function checkIndex(
  { where }: StructuredQuery,
  orders: readonly Order[],
  collectionId: string,
  hasIndex: HasIndex,
): void {
  const ordered = orders.filter(({ field }) => field !== NAME).map(({ field }) => field);
  const equal = [...new Set(equalitiesOf(where))].filter((field) => field !== NAME && !ordered.includes(field));
  const last = orders.findIndex(({ field }) => field === NAME);
  const mixed = orders.some(({ descending }) => descending !== orders[last]?.descending);
  const single = ordered.length + (ordered.length > 0 ? equal.length : 0) <= 1 && !mixed;
  if (ordered.length === 0 && orders[0]?.descending && !hasIndex(collectionId, [...equal, NAME]))
    throw grpcError('FAILED_PRECONDITION', 'Firestore does not support descending key scans');
  if (single || hasIndex(collectionId, [...equal, ...ordered])) return;
  const fields = [...equal, ...ordered].join(', ');
  throw grpcError(
    'FAILED_PRECONDITION',
    `The query requires an index of the collection ${collectionId} with the fields ${fields}. Create one where this ` +
      'Firestore is started.',
  );
}

interface Lead {
  readonly all: Iterable<Stored>;
  /** They come as the query wants them, and begin and end where it may. */
  readonly inOrder: boolean;
}

function leadOf(
  documents: Documents,
  collection: string,
  conditions: readonly Comparison[],
  orders: readonly Order[],
  query: StructuredQuery,
): Lead {
  const [order] = orders;
  const { field, descending } = order as Order;
  const named = conditions.find((it) => it.field === NAME && it.op === 'EQUAL');
  if (named?.value.referenceValue !== undefined) {
    const document = documents.get(named.value.referenceValue);
    const here = document?.name.startsWith(`${collection}/`) ? [document] : [];
    return { all: here, inOrder: orders.length === 1 };
  }
  const equal = conditions.find((it) => it.op === 'EQUAL' && it.field !== NAME);
  if (equal !== undefined) {
    const low = toOrdered(equal.value);
    const range = { low, high: Buffer.concat([low, Buffer.of(0)]) };
    return { all: documents.scanField(collection, equal.field, range, descending), inOrder: field === NAME };
  }
  if (field === NAME) {
    const range = idRange(collection, conditions, query, descending);
    return { all: documents.scan(collection, range, descending), inOrder: true };
  }
  const range = valueRange(conditions, field, query, descending);
  const nextIsName = orders[1]?.field === NAME && orders[1].descending === descending;
  return { all: documents.scanField(collection, field, range, descending), inOrder: nextIsName };
}

/** Where to begin and to end, as far as names tell; the ends themselves are looked at again. */
function idRange(collection: string, conditions: readonly Comparison[], query: StructuredQuery, descending: boolean) {
  const idOf = (value: Value | undefined): string | undefined => {
    const name = value?.referenceValue;
    return name?.startsWith(`${collection}/`) ? name.slice(collection.length + 1).split('/')[0] : undefined;
  };
  const bounds = (ops: readonly string[], cursor: Cursor | null) =>
    [
      ...conditions.filter((it) => it.field === NAME && ops.some((op) => it.op.startsWith(op))).map((it) => it.value),
      cursor?.values[0],
    ]
      .map(idOf)
      .filter((id) => id !== undefined);
  const lows = bounds(['GREATER'], descending ? query.endAt : query.startAt);
  const highs = bounds(['LESS'], descending ? query.startAt : query.endAt);
  const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
  const low = lows.sort(byBytes).at(-1);
  const high = highs.sort(byBytes)[0];
  return { ...(low === undefined ? {} : { low }), ...(high === undefined ? {} : { high }) };
}

function valueRange(conditions: readonly Comparison[], field: string, query: StructuredQuery, descending: boolean) {
  let low: Uint8Array = Buffer.alloc(0);
  let high: Uint8Array = Buffer.of(PAST_TYPES);
  const raise = (to: Uint8Array) => {
    if (Buffer.compare(to, low) > 0) low = to;
  };
  const lower = (to: Uint8Array) => {
    if (Buffer.compare(to, high) < 0) high = to;
  };
  for (const { op, value } of conditions.filter((it) => it.field === field && /^(?:GREATER|LESS)/.test(it.op))) {
    const bytes = toOrdered(value);
    // Values of other types are neither less nor greater.
    raise(op.startsWith('GREATER') ? bytes : bytes.subarray(0, 1));
    lower(op.startsWith('LESS') ? Buffer.concat([bytes, Buffer.of(0)]) : Buffer.of((bytes[0] ?? 0) + 1));
  }
  const [begin, end] = descending ? [query.endAt, query.startAt] : [query.startAt, query.endAt];
  if (begin?.values[0] !== undefined) raise(toOrdered(begin.values[0]));
  if (end?.values[0] !== undefined) lower(Buffer.concat([toOrdered(end.values[0]), Buffer.of(0)]));
  return { low, high };
}

function boundsOf({ startAt, endAt }: StructuredQuery, orders: readonly Order[]) {
  for (const cursor of [startAt, endAt])
    if (cursor !== null && cursor.values.length > orders.length)
      throw refused('A cursor has more values than the query has orders.');
  const place = (document: Stored, cursor: Cursor): number => {
    for (const [index, value] of cursor.values.entries()) {
      const { field, descending } = orders[index] as Order;
      const own = valueAt(document, field);
      const sign = own === undefined ? 0 : Buffer.compare(toOrdered(own), toOrdered(value));
      if (sign !== 0) return descending ? -sign : sign;
    }
    return 0;
  };
  const isBeyond = (document: Stored): boolean => {
    if (endAt === null) return false;
    const at = place(document, endAt);
    return endAt.before ? at >= 0 : at > 0;
  };
  return {
    isBeyond,
    isWithin(document: Stored): boolean {
      if (isBeyond(document)) return false;
      if (startAt === null) return true;
      const at = place(document, startAt);
      return startAt.before ? at >= 0 : at > 0;
    },
  };
}

function compare(a: Stored, b: Stored, orders: readonly Order[]): number {
  for (const { field, descending } of orders) {
    const [left, right] = [valueAt(a, field), valueAt(b, field)];
    const sign = left === undefined || right === undefined ? 0 : Buffer.compare(toOrdered(left), toOrdered(right));
    if (sign !== 0) return descending ? -sign : sign;
  }
  return 0;
}

function matches(document: Stored, filter: Filter | null): boolean {
  if (filter === null) return true;
  const { compositeFilter, fieldFilter, unaryFilter } = filter;
  if (compositeFilter) {
    const test = (it: Filter) => matches(document, it);
    return compositeFilter.op === 'OR' ? compositeFilter.filters.some(test) : compositeFilter.filters.every(test);
  }
  if (unaryFilter) {
    const value = valueAt(document, unaryFilter.field?.fieldPath ?? NAME);
    return value !== undefined && UNARY[unaryFilter.op]?.(value) === true;
  }
  if (!fieldFilter) throw refused('A filter says nothing to compare.');
  const test = COMPARES[fieldFilter.op];
  if (test === undefined) throw refused(`A filter has no operator ${fieldFilter.op}.`);
  const value = valueAt(document, fieldFilter.field.fieldPath);
  return value !== undefined && test(value, fieldFilter.value);
}

const isNaNValue = ({ doubleValue }: Value) => doubleValue !== undefined && Number.isNaN(doubleValue);

const UNARY: Readonly<Record<string, (value: Value) => boolean>> = {
  IS_NULL: (value) => value.nullValue !== undefined,
  IS_NOT_NULL: (value) => value.nullValue === undefined,
  IS_NAN: isNaNValue,
  IS_NOT_NAN: (value) => !isNaNValue(value) && value.nullValue === undefined,
};

const same = (a: Value, b: Value) => toOrdered(a).equals(toOrdered(b));
const elements = (value: Value) => value.arrayValue?.values ?? [];
/** Null where the types differ: nothing is less or greater then. */
const sign = (a: Value, b: Value) => {
  const [left, right] = [toOrdered(a), toOrdered(b)];
  return left[0] === right[0] ? Buffer.compare(left, right) : null;
};
const signed = (test: (sign: number) => boolean) => (a: Value, b: Value) => {
  const found = sign(a, b);
  return found !== null && !isNaNValue(a) && test(found);
};

const COMPARES: Readonly<Record<string, (own: Value, wanted: Value) => boolean>> = {
  EQUAL: same,
  NOT_EQUAL: (own, wanted) => own.nullValue === undefined && !same(own, wanted),
  LESS_THAN: signed((it) => it < 0),
  LESS_THAN_OR_EQUAL: signed((it) => it <= 0),
  GREATER_THAN: signed((it) => it > 0),
  GREATER_THAN_OR_EQUAL: signed((it) => it >= 0),
  IN: (own, wanted) => elements(wanted).some((it) => same(own, it)),
  NOT_IN: (own, wanted) => own.nullValue === undefined && !elements(wanted).some((it) => same(own, it)),
  ARRAY_CONTAINS: (own, wanted) => elements(own).some((it) => same(it, wanted)),
  ARRAY_CONTAINS_ANY: (own, wanted) => elements(own).some((it) => elements(wanted).some((one) => same(it, one))),
};

function refused(text: string) {
  return grpcError('INVALID_ARGUMENT', text);
}
