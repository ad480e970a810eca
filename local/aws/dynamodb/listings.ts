/** Query and Scan: spans of rows, read page by page, filtered and counted. */

import { readUnits, toConsumed, type Units } from './capacity.ts';
import { DynamoError, emptyKey, refused, wrongValue } from './errors.ts';
import { type Condition, fulfils, type Operand, readCondition } from './expression/condition.ts';
import { type KeyTest, mismatch, readKeyCondition } from './expression/key-condition.ts';
import { type Placeholders, readPlaceholders } from './expression/placeholders.ts';
import { project, readProjection } from './expression/projection.ts';
import { type KeyParts, type Place, partsOf, readKey, SPOTS, spotOf, toKeyBytes } from './keys.ts';
import type { ListInput } from './requests.ts';
import { namesOf, type Row, type Rows, type Span, toItem } from './rows.ts';
import type { Index, Table, Tables } from './tables.ts';
import { type Item, readItem, type Value } from './values.ts';

const PAGE_BYTES_MAX = 1024 * 1024;
const CHUNK_ROWS = 256;

export function query(tables: Tables, rows: Rows, input: ListInput) {
  const { KeyConditionExpression, FilterExpression, ProjectionExpression } = input;
  const placeholders = readPlaceholders(input, { FilterExpression, KeyConditionExpression, ProjectionExpression });
  if (KeyConditionExpression === undefined)
    throw refused('Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.');
  const tests = readKeyCondition(KeyConditionExpression, placeholders);
  const listing = readListing(tables, input, placeholders);
  const { keys, filter } = listing;
  checkFilter(filter, keys);
  const { hash, ranges } = readTests(tests, keys);
  const of = { spot: spotOf(hash), hash };
  const start = readStart(listing, input);
  if (start !== null && Buffer.compare(start.hash, hash) !== 0)
    throw refused('The provided starting key is outside query boundaries based on provided conditions');
  if (start !== null && !ranges.every(([operator, bytes]) => lies(start.range, operator, bytes)))
    throw refused('The provided starting key does not match the range key predicate');
  return answer(rows, listing, input, { of, ranges, backwards: input.ScanIndexForward === false, after: start });
}

export function scan(tables: Tables, rows: Rows, input: ListInput) {
  const { FilterExpression, ProjectionExpression, Segment, TotalSegments } = input;
  const placeholders = readPlaceholders(input, { FilterExpression, ProjectionExpression });
  if (Segment !== undefined && TotalSegments === undefined)
    throw refused(
      'The TotalSegments parameter is required but was not present in the request when Segment parameter is present',
    );
  if (Segment === undefined && TotalSegments !== undefined)
    throw refused(
      'The Segment parameter is required but was not present in the request when parameter TotalSegments is present',
    );
  const [part, parts] = [Segment ?? 0, TotalSegments ?? 1];
  if (part >= parts)
    throw refused(
      'The Segment parameter is zero-based and must be less than parameter TotalSegments: ' +
        `Segment: ${part} is not less than TotalSegments: ${parts}`,
    );
  const listing = readListing(tables, input, placeholders);
  const after = readStart(listing, input);
  const border = (index: number) => Math.ceil((SPOTS * index) / parts);
  const spots = [border(part), border(part + 1)] as const;
  if (after !== null && (after.spot < spots[0] || after.spot >= spots[1]))
    throw refused(
      'The provided starting key is invalid: Invalid ExclusiveStartKey. ' +
        `Please use ExclusiveStartKey with correct Segment. TotalSegments: ${parts} Segment: ${part}`,
    );
  return answer(rows, listing, input, { of: { spots }, ranges: [], backwards: false, after });
}

interface Listing {
  readonly table: Table;
  readonly index: Index | null;
  /** Of the index, if there is one. */
  readonly keys: KeyParts;
  readonly filter: Condition | null;
  readonly show: (item: Item) => Item;
  /** Whether an index is asked for what only the table has. */
  readonly whole: boolean;
}

function readListing(tables: Tables, input: ListInput, placeholders: Placeholders): Listing {
  const { FilterExpression, ProjectionExpression, Select, IndexName } = input;
  const filter =
    FilterExpression === undefined ? null : readCondition('FilterExpression', FilterExpression, placeholders);
  const paths = ProjectionExpression === undefined ? null : readProjection(ProjectionExpression, placeholders);
  placeholders.checkUsed();
  if (paths !== null && Select !== undefined && Select !== 'SPECIFIC_ATTRIBUTES')
    throw refused(
      `Cannot specify the ProjectionExpression when choosing to get ${Select === 'COUNT' ? 'only the Count' : Select}`,
    );
  if (paths === null && Select === 'SPECIFIC_ATTRIBUTES')
    throw refused('Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES');
  if (Select === 'ALL_PROJECTED_ATTRIBUTES' && IndexName === undefined)
    throw wrongValue('ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName');
  const table = tables.get(input.TableName);
  const index = IndexName === undefined ? null : (table.indexes.find((it) => it.name === IndexName) ?? null);
  if (IndexName !== undefined && index === null)
    throw refused(`The table does not have the specified index: ${IndexName}`);
  if (index?.isGlobal && input.ConsistentRead)
    throw refused('Consistent reads are not supported on global secondary indexes');
  const partial = index !== null && index.projection.ProjectionType !== 'ALL';
  if (partial && index.isGlobal && Select === 'ALL_ATTRIBUTES')
    throw wrongValue(
      `Select type ALL_ATTRIBUTES is not supported for global secondary index ${index.name} ` +
        'because its projection type is not ALL',
    );
  if (partial && index.isGlobal && paths !== null)
    checkProjected(
      table,
      index,
      paths.map(([first]) => String(first)),
    );
  const whole = partial && !index.isGlobal && (Select === 'ALL_ATTRIBUTES' || paths !== null);
  return {
    table,
    index,
    keys: index?.keys ?? table.keys,
    filter,
    whole,
    show: (item) => (paths === null ? item : project(item, paths)),
  };
}

function checkProjected(table: Table, index: Index, names: readonly string[]): void {
  const there = [...namesOf(table.keys), ...namesOf(index.keys), ...(index.projection.NonKeyAttributes ?? [])];
  const missing = names.filter((name) => !there.includes(name));
  if (missing.length > 0)
    throw wrongValue(`Global secondary index ${index.name} does not project [${missing.join(', ')}]`);
}

function answer(
  rows: Rows,
  listing: Listing,
  input: ListInput,
  where: Pick<Span, 'of' | 'ranges' | 'backwards' | 'after'>,
) {
  const { table, index, filter, show, whole } = listing;
  const limit = input.Limit ?? Number.POSITIVE_INFINITY;
  const found: Item[] = [];
  let [scanned, count, bytes, fetched] = [0, 0, 0, 0];
  let after = where.after;
  let last: Row | null = null;
  for (let more = true; more; ) {
    const size = Math.min(CHUNK_ROWS, limit - scanned);
    const page = rows.page({ table, index: index?.name ?? '', ...where, after }, size);
    for (const row of page) {
      scanned += 1;
      bytes += row.size;
      const base = whole
        ? rows.find(table, { spot: spotOf(row.base_hash), hash: row.base_hash, range: row.base_range })
        : null;
      if (base !== null) fetched += 1;
      const item = base ?? toItem(row.item);
      if (filter === null || fulfils(item, filter)) {
        count += 1;
        if (input.Select !== 'COUNT') found.push(show(item));
      }
      after = row;
      if (scanned === limit || bytes >= PAGE_BYTES_MAX) last = row;
      if (last !== null) break;
    }
    more = last === null && page.length === size;
  }
  const how = input.ConsistentRead ? 'strong' : 'eventual';
  const units = readUnits(bytes, how);
  const spent: Units =
    index === null
      ? { table: units, indexes: {} }
      : { table: fetched * readUnits(1, how), indexes: { [index.name]: { units, isGlobal: index.isGlobal } } };
  const ConsumedCapacity = toConsumed(table.name, spent, input.ReturnConsumedCapacity);
  return {
    ...(input.Select === 'COUNT' ? {} : { Items: found }),
    Count: count,
    ScannedCount: scanned,
    ...(last === null ? {} : { LastEvaluatedKey: keyOf(toItem(last.item), listing) }),
    ...(ConsumedCapacity === undefined ? {} : { ConsumedCapacity }),
  };
}

/** An index goes on from the key of its entry together with that of the item. */
function keyOf(item: Item, { table, keys }: Listing): Item {
  return Object.fromEntries([...namesOf(table.keys), ...namesOf(keys)].map((name) => [name, item[name] as Value]));
}

function readStart({ table, index, keys }: Listing, input: ListInput): Span['after'] {
  if (input.ExclusiveStartKey === undefined) return null;
  const start = readItem(input.ExclusiveStartKey);
  const names = new Set([...namesOf(table.keys), ...namesOf(keys)]);
  if (Object.keys(start).length !== names.size || [...names].some((name) => start[name] === undefined))
    throw refused(
      `The provided starting key is invalid${index === null ? ': The provided key element does not match the schema' : ''}`,
    );
  const place = placeIn(start, keys);
  if (index === null) return { ...place, base_hash: new Uint8Array(), base_range: new Uint8Array() };
  const base = placeIn(start, table.keys);
  return { ...place, base_hash: base.hash, base_range: base.range };
}

function placeIn(start: Item, keys: KeyParts): Place {
  const key = Object.fromEntries(namesOf(keys).map((name) => [name, start[name] as Value]));
  try {
    return readKey(key, keys).place;
  } catch (error) {
    if (error instanceof DynamoError) throw refused(`The provided starting key is invalid: ${error.message}`);
    throw error;
  }
}

type Range = Span['ranges'][number];

function readTests(tests: ReadonlyMap<string, KeyTest>, keys: KeyParts) {
  const { hash, range } = keys;
  const onHash = tests.get(hash.name);
  if (onHash === undefined) throw refused(`Query condition missed key schema element: ${hash.name}`);
  const others = [...tests.keys()].filter((name) => name !== hash.name);
  if (others.length > 0 && range === undefined) throw refused('Query key condition not supported');
  if (range !== undefined && others.some((name) => name !== range.name))
    throw refused(`Query condition missed key schema element: ${range.name}`);
  for (const { name, type } of partsOf(keys)) {
    const values = tests.get(name)?.values ?? [];
    if (values.some((value) => mismatch(value, type)))
      throw wrongValue('Condition parameter type does not match schema type');
    if (values.some(({ S, B }) => S === '' || B === '')) throw emptyKey(type, `Key: ${name}`);
  }
  if (onHash.by !== '=') throw refused('Query key condition not supported');
  const onRange = range === undefined ? undefined : tests.get(range.name);
  if (onRange?.by === 'begins_with' && range?.type === 'N')
    throw refused(
      'Invalid KeyConditionExpression: Incorrect operand type for operator or function; ' +
        'operator or function: begins_with, operand type: N',
    );
  return { hash: toKeyBytes(onHash.values[0] as Value, true), ranges: onRange === undefined ? [] : toRanges(onRange) };
}

function toRanges({ by, values }: KeyTest): readonly Range[] {
  const [low, high] = values.map((value) => toKeyBytes(value, false)) as [Buffer, Buffer?];
  if (by === 'between')
    return [
      ['>=', low],
      ['<=', high as Buffer],
    ];
  if (by !== 'begins_with') return [[by, low]];
  const next = successor(low);
  return next === null
    ? [['>=', low]]
    : [
        ['>=', low],
        ['<', next],
      ];
}

/** The first bytes after all that begin with these; null: there are none. */
function successor(prefix: Buffer): Buffer | null {
  const last = prefix.findLastIndex((byte) => byte < 0xff);
  if (last === -1) return null;
  return Buffer.from([...prefix.subarray(0, last), (prefix[last] as number) + 1]);
}

function lies(bytes: Uint8Array, operator: Range[0], bound: Uint8Array): boolean {
  const order = Buffer.compare(bytes, bound);
  if (operator === '=') return order === 0;
  if (operator.startsWith('<')) return order < 0 || (order === 0 && operator === '<=');
  return order > 0 || (order === 0 && operator === '>=');
}

function checkFilter(filter: Condition | null, keys: KeyParts): void {
  if (filter === null) return;
  const names = namesOf(keys);
  for (const operand of operandsIn(filter))
    if (operand.kind !== 'value' && names.includes(String(operand.path[0])))
      throw refused(
        `Filter Expression can only contain non-primary key attributes: Primary key attribute: ${operand.path[0]}`,
      );
}

function operandsIn(condition: Condition): readonly Operand[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return [...operandsIn(condition.left), ...operandsIn(condition.right)];
    case 'not':
      return operandsIn(condition.of);
    case 'compare':
      return [condition.left, condition.right];
    case 'between':
      return [condition.of, condition.low, condition.high];
    case 'in':
      return [condition.of, ...condition.options];
    case 'call':
      return condition.args;
  }
}
