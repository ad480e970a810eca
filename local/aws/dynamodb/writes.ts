/** Puts, updates, deletes and checks: one item each, on a condition, alone or as part of a transaction. */

import { sumUnits, toConsumed, type Units, writeUnits } from './capacity.ts';
import { conditionFailed, refused, wrongValue } from './errors.ts';
import { applyUpdate } from './expression/apply.ts';
import { type Condition, fulfils, readCondition } from './expression/condition.ts';
import { readPlaceholders } from './expression/placeholders.ts';
import { project } from './expression/projection.ts';
import { NO_UPDATE, pathsOf, readUpdate, type Update } from './expression/update.ts';
import { checkIndexKeys, type Place, partsOf, placeOfItem, readKey } from './keys.ts';
import type { WriteInput } from './requests.ts';
import type { Rows } from './rows.ts';
import type { Table, Tables } from './tables.ts';
import { type Item, itemBytes, readItem, readValue } from './values.ts';

export type WriteKind = 'Put' | 'Update' | 'Delete' | 'ConditionCheck';

/** A write that makes sense, before anybody has looked what stands there. */
export interface Plan {
  readonly kind: WriteKind;
  readonly table: Table;
  readonly place: Place;
  readonly input: WriteInput;
  readonly condition: Condition | null;
  /** What a Put stores, or the key. */
  readonly item: Item;
  readonly update: Update;
}

/** What a write makes of what stands there; null: nothing stands there. */
export interface Change {
  readonly old: Item | null;
  readonly next: Item | null;
}

const ITEM_BYTES_MAX = 400 * 1024;
const ANSWERED: Readonly<Record<WriteKind, readonly string[]>> = {
  Put: ['NONE', 'ALL_OLD'],
  Delete: ['NONE', 'ALL_OLD'],
  Update: ['NONE', 'ALL_OLD', 'UPDATED_OLD', 'ALL_NEW', 'UPDATED_NEW'],
  ConditionCheck: ['NONE'],
};

export function planWrite(tables: Tables, kind: WriteKind, input: WriteInput): Plan {
  const { ReturnValues = 'NONE', ConditionExpression, UpdateExpression } = input;
  if (!ANSWERED[kind].includes(ReturnValues)) throw refused('Return values set to invalid value');
  const item = kind === 'Put' ? readItem(input.Item) : null;
  const expressions = kind === 'Update' ? { UpdateExpression, ConditionExpression } : { ConditionExpression };
  const placeholders = readPlaceholders(input, expressions);
  const update =
    kind !== 'Update' || UpdateExpression === undefined ? NO_UPDATE : readUpdate(UpdateExpression, placeholders);
  const condition =
    ConditionExpression === undefined ? null : readCondition('ConditionExpression', ConditionExpression, placeholders);
  placeholders.checkUsed();
  if (item !== null && itemBytes(item) > ITEM_BYTES_MAX)
    throw refused('Item size has exceeded the maximum allowed size');

  const table = tables.get(input.TableName);
  if (item !== null) {
    const place = placeOfItem(item, table.keys);
    for (const { name, keys } of table.indexes) checkIndexKeys(item, keys, name);
    return { kind, table, place, input, condition, item, update };
  }
  const { key, place } = readKey(input.Key, table.keys);
  for (const { name } of partsOf(table.keys))
    if (pathsOf(update).some(([first]) => first === name))
      throw wrongValue(`Cannot update attribute ${name}. This attribute is part of the key`);
  return { kind, table, place, input, condition, item: key, update };
}

/** Throws when the condition does not hold, or when the update does not fit what stands there. */
export function change({ kind, table, condition, item, update, input }: Plan, old: Item | null): Change {
  if (condition !== null && !fulfils(old ?? Object.create(null), condition))
    throw conditionFailed(
      input.ReturnValuesOnConditionCheckFailure === 'ALL_OLD' && old !== null ? old : undefined,
      writeUnits(old === null ? 0 : itemBytes(old)),
    );
  if (kind === 'ConditionCheck') return { old, next: old };
  if (kind === 'Delete') return { old, next: null };
  if (kind === 'Put') return { old, next: item };
  const next = applyUpdate(old ?? item, update);
  // Too deep by now, perhaps.
  readValue({ M: next }, 0);
  if (itemBytes(next) > ITEM_BYTES_MAX) throw refused('Item size to update has exceeded the maximum allowed size');
  for (const { name, keys } of table.indexes) checkIndexKeys(next, keys, name);
  return { old, next };
}

export function store(rows: Rows, { kind, table, place }: Plan, { old, next }: Change, inTransaction = false): Units {
  const bytes = Math.max(old === null ? 0 : itemBytes(old), next === null ? 0 : itemBytes(next));
  const units = writeUnits(bytes, inTransaction);
  if (kind === 'ConditionCheck' || (old === null && next === null)) return { table: units, indexes: {} };
  const stored = rows.store(table, place, old, next);
  const indexes = Object.entries(stored).map(([name, count]) => {
    const isGlobal = table.indexes.find((it) => it.name === name)?.isGlobal ?? true;
    return [name, { units: count, isGlobal }] as const;
  });
  return { table: units, indexes: Object.fromEntries(indexes) };
}

export function write(tables: Tables, rows: Rows, kind: WriteKind, input: WriteInput) {
  const plan = planWrite(tables, kind, input);
  const made = change(plan, rows.find(plan.table, plan.place));
  const units = store(rows, plan, made);
  const Attributes = answer(plan, made);
  const ConsumedCapacity = toConsumed(plan.table.name, units, input.ReturnConsumedCapacity);
  return {
    ...(Attributes === undefined ? {} : { Attributes }),
    ...(ConsumedCapacity === undefined ? {} : { ConsumedCapacity }),
  };
}

function answer({ input, update }: Plan, { old, next }: Change): Item | undefined {
  const { ReturnValues = 'NONE' } = input;
  if (ReturnValues === 'NONE') return undefined;
  const item = ReturnValues.endsWith('_OLD') ? old : next;
  if (item === null) return undefined;
  const picked = ReturnValues.startsWith('ALL') ? item : project(item, pathsOf(update));
  return Object.keys(picked).length === 0 ? undefined : picked;
}

interface BatchWriteInput {
  readonly RequestItems: Readonly<
    Record<
      string,
      readonly {
        readonly PutRequest?: { readonly Item: unknown };
        readonly DeleteRequest?: { readonly Key: unknown };
      }[]
    >
  >;
  readonly ReturnConsumedCapacity?: WriteInput['ReturnConsumedCapacity'];
}

const BATCH_WRITES_MAX = 25;

export function batchWrite(tables: Tables, rows: Rows, input: BatchWriteInput) {
  const plans: Plan[] = [];
  for (const [given, requests] of Object.entries(input.RequestItems))
    for (const { PutRequest, DeleteRequest } of requests) {
      if ((PutRequest === undefined) === (DeleteRequest === undefined))
        throw refused(
          'Supplied AttributeValue has more than one datatypes set, ' +
            'must contain exactly one of the supported datatypes',
        );
      const TableName = given;
      const put = PutRequest === undefined ? null : planWrite(tables, 'Put', { TableName, Item: PutRequest.Item });
      plans.push(put ?? planWrite(tables, 'Delete', { TableName, Key: DeleteRequest?.Key }));
    }
  if (plans.length > BATCH_WRITES_MAX) throw refused('Too many items requested for the BatchWriteItem call');
  if (new Set(plans.map(placeText)).size < plans.length)
    throw refused('Provided list of item keys contains duplicates');
  const spent = new Map<string, Units[]>();
  for (const plan of plans) {
    const units = store(rows, plan, change(plan, rows.find(plan.table, plan.place)));
    spent.set(plan.table.name, [...(spent.get(plan.table.name) ?? []), units]);
  }
  return { UnprocessedItems: {}, ...consumed(spent, input.ReturnConsumedCapacity) };
}

/** One name for each item of all tables. */
export function placeText({ table, place }: Pick<Plan, 'table' | 'place'>): string {
  return `${table.id} ${Buffer.from(place.hash).toString('hex')} ${Buffer.from(place.range).toString('hex')}`;
}

export function consumed(
  spent: ReadonlyMap<string, readonly Units[]>,
  asked: WriteInput['ReturnConsumedCapacity'],
  kind?: 'Read' | 'Write',
) {
  const ConsumedCapacity = [...spent].map(([table, units]) => toConsumed(table, sumUnits(units), asked, kind));
  return asked === undefined || asked === 'NONE' ? {} : { ConsumedCapacity };
}
