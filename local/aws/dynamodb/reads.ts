/** Reads by key, one or many. */

import { readUnits, toConsumed, type Units } from './capacity.ts';
import { refused } from './errors.ts';
import { readPlaceholders } from './expression/placeholders.ts';
import { project, readProjection } from './expression/projection.ts';
import type { Path } from './expression/reader.ts';
import { type Place, readKey } from './keys.ts';
import type { ReadInput } from './requests.ts';
import type { Rows } from './rows.ts';
import type { Table, Tables } from './tables.ts';
import { type Item, itemBytes } from './values.ts';
import { consumed, placeText } from './writes.ts';

export interface Look {
  readonly table: Table;
  readonly place: Place;
  readonly paths: readonly Path[] | null;
}

export function planRead(tables: Tables, input: ReadInput): Look {
  const { ProjectionExpression } = input;
  const placeholders = readPlaceholders(input, { ProjectionExpression });
  const paths = ProjectionExpression === undefined ? null : readProjection(ProjectionExpression, placeholders);
  placeholders.checkUsed();
  const table = tables.get(input.TableName);
  return { table, paths, place: readKey(input.Key, table.keys).place };
}

export function look(
  rows: Rows,
  { table, place, paths }: Look,
): { readonly item: Item | null; readonly bytes: number } {
  const item = rows.find(table, place);
  if (item === null) return { item, bytes: 0 };
  return { item: paths === null ? item : project(item, paths), bytes: itemBytes(item) };
}

export function getItem(tables: Tables, rows: Rows, input: ReadInput) {
  const plan = planRead(tables, input);
  const { item, bytes } = look(rows, plan);
  const units: Units = { table: readUnits(bytes, input.ConsistentRead ? 'strong' : 'eventual'), indexes: {} };
  const ConsumedCapacity = toConsumed(plan.table.name, units, input.ReturnConsumedCapacity);
  return { ...(item === null ? {} : { Item: item }), ...(ConsumedCapacity === undefined ? {} : { ConsumedCapacity }) };
}

interface BatchGetInput {
  readonly RequestItems: Readonly<Record<string, Omit<ReadInput, 'TableName'> & { readonly Keys: readonly unknown[] }>>;
  readonly ReturnConsumedCapacity?: ReadInput['ReturnConsumedCapacity'];
}

const BATCH_READS_MAX = 100;
const BATCH_BYTES_MAX = 16 * 1024 * 1024;

export function batchGet(tables: Tables, rows: Rows, input: BatchGetInput) {
  const Responses: Record<string, Item[]> = {};
  const UnprocessedKeys: Record<string, object> = {};
  const spent = new Map<string, Units[]>();
  const requests = Object.entries(input.RequestItems);
  if (requests.reduce((sum, [, { Keys }]) => sum + Keys.length, 0) > BATCH_READS_MAX)
    throw refused('Too many items requested for the BatchGetItem call');
  // All of them must make sense before any is read.
  const plans = requests.map(([TableName, { Keys, ...how }]) => {
    const looks = Keys.map((Key) => planRead(tables, { ...how, TableName, Key }));
    if (new Set(looks.map(placeText)).size < looks.length)
      throw refused('Provided list of item keys contains duplicates');
    return { TableName, Keys, how, looks };
  });
  let total = 0;
  for (const { TableName, Keys, how, looks } of plans) {
    const found: Item[] = [];
    const units: Units[] = [];
    const left: unknown[] = [];
    for (const [index, plan] of looks.entries()) {
      const { item, bytes } = look(rows, plan);
      if (total + bytes > BATCH_BYTES_MAX) {
        left.push(Keys[index]);
        continue;
      }
      total += bytes;
      units.push({ table: readUnits(bytes, how.ConsistentRead ? 'strong' : 'eventual'), indexes: {} });
      if (item !== null) found.push(item);
    }
    Responses[TableName] = found;
    spent.set(TableName, units);
    if (left.length > 0) UnprocessedKeys[TableName] = { ...how, Keys: left };
  }
  return { Responses, UnprocessedKeys, ...consumed(spent, input.ReturnConsumedCapacity) };
}
