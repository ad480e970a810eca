/** Reads and writes single rows of the table; a write whose condition does not hold answers what stands there instead. */

import type { ConditionalCheckFailedException, DynamoDB } from '@aws-sdk/client-dynamodb';
import { type Fault, fault } from '../../model/fault.ts';
import { type DynamoOptions, type On, openCalls } from './calls.ts';
import type { Page } from './listing.ts';
import { checkRowSize, type Row, type RowKey, toKeyAttributes } from './rows.ts';

export interface Condition {
  readonly text: string;
  readonly values?: Row;
}

/** null: it was written. Otherwise what stood there when the condition did not hold; null inside: nothing. */
export type Refusal = { readonly stands: Row | null } | null;

export interface RowsAt {
  find(op: string, name: string, key: RowKey): Promise<Row | null>;
  /** All in one request, though not at one moment, and none twice; a Fault for what was not read. 100 at most. */
  findAll(op: string, keys: readonly RowKey[]): Promise<ReadonlyArray<Row | null | Fault>>;
  put(op: string, name: string, row: Row, condition: Condition): Promise<Refusal>;
  set(op: string, name: string, key: RowKey, values: Row, condition: Condition): Promise<Refusal>;
  remove(op: string, name: string, key: RowKey, condition: Condition): Promise<Refusal>;
  page(op: string, query: PageQuery): Promise<Page>;
  close(): void;
}

export interface PageQuery {
  readonly partition: string;
  /** On the sort key, or on that of the index. */
  readonly condition?: Condition;
  readonly index?: string;
  readonly attributes?: readonly string[];
  readonly limit?: number;
  readonly after: Row | undefined;
}

/** What the writes of one row have in common. */
interface Conditional {
  readonly TableName: string;
  readonly ConditionExpression: string;
  readonly ReturnValuesOnConditionCheckFailure: 'ALL_OLD';
  readonly ExpressionAttributeValues?: Row;
}

export async function openRowsAt(options: DynamoOptions): Promise<RowsAt> {
  const { read, write, close } = await openCalls(options);

  async function find(op: string, name: string, key: RowKey): Promise<Row | null> {
    const { Item } = await read(op, name, (client, TableName, on) =>
      client.getItem({ TableName, Key: toKeyAttributes(key), ConsistentRead: true }, on),
    );
    return Item ?? null;
  }

  async function conditionally(
    op: string,
    name: string,
    key: RowKey,
    { text, values = {} }: Condition,
    call: (client: DynamoDB, how: Conditional, on: On) => Promise<unknown>,
  ): Promise<Refusal> {
    const refused = await write(op, name, async (client, TableName, on) => {
      const how: Conditional = {
        TableName,
        ConditionExpression: text,
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        ...(Object.keys(values).length === 0 ? {} : { ExpressionAttributeValues: values }),
      };
      try {
        await call(client, how, on);
        return null;
      } catch (error) {
        if (isRefusal(error)) return { stands: error.Item ?? null };
        throw error;
      }
    });
    // Nothing stood there, or the service did not say what.
    if (refused !== null && refused.stands === null) return { stands: await find(op, name, key) };
    return refused;
  }

  return {
    find,

    async findAll(op, keys) {
      const wanted = new Map(keys.map((key) => [textOf(key), toKeyAttributes(key)]));
      const { Responses, UnprocessedKeys } = await read(op, keys[0]?.pk ?? '', (client, TableName, on) =>
        client.batchGetItem(
          { RequestItems: { [TableName]: { Keys: [...wanted.values()], ConsistentRead: true } } },
          on,
        ),
      );
      const found = new Map(
        Object.values(Responses ?? {})
          .flat()
          .map((row) => [textOf(keyOf(row)), row]),
      );
      const left = new Set(
        Object.values(UnprocessedKeys ?? {}).flatMap(({ Keys = [] }) => Keys.map((key) => textOf(keyOf(key)))),
      );
      return keys.map((key) => {
        if (left.has(textOf(key))) return fault('throttled', `DynamoDB, ${op}: not all rows were read`, { op });
        return found.get(textOf(key)) ?? null;
      });
    },

    put(op, name, row, condition) {
      checkRowSize(row, op, name);
      return conditionally(op, name, keyOf(row), condition, (client, how, on) =>
        client.putItem({ ...how, Item: row }, on),
      );
    },

    set(op, name, key, values, { text, values: others = {} }) {
      const names = Object.keys(values);
      const UpdateExpression = `SET ${names.map((field) => `${field} = :new_${field}`).join(', ')}`;
      const news = Object.fromEntries(names.map((field) => [`:new_${field}`, values[field]])) as Row;
      const condition = { text, values: { ...others, ...news } };
      return conditionally(op, name, key, condition, (client, how, on) =>
        client.updateItem({ ...how, Key: toKeyAttributes(key), UpdateExpression }, on),
      );
    },

    remove(op, name, key, condition) {
      return conditionally(op, name, key, condition, (client, how, on) =>
        client.deleteItem({ ...how, Key: toKeyAttributes(key) }, on),
      );
    },

    async page(op, { partition, condition, index, attributes, limit, after }) {
      const { Items = [], LastEvaluatedKey } = await read(op, partition, (client, TableName, on) =>
        client.query(
          {
            TableName,
            KeyConditionExpression: condition === undefined ? 'pk = :pk' : `pk = :pk AND ${condition.text}`,
            ExpressionAttributeValues: { ':pk': { S: partition }, ...condition?.values },
            ...(index === undefined ? { ConsistentRead: true } : { IndexName: index }),
            ...(limit === undefined ? {} : { Limit: limit }),
            ...(after === undefined ? {} : { ExclusiveStartKey: after }),
            ...(attributes === undefined ? {} : projection(attributes)),
          },
          on,
        ),
      );
      return { rows: Items, ...(LastEvaluatedKey === undefined ? {} : { next: LastEvaluatedKey }) };
    },

    close,
  };
}

function keyOf(row: Row): RowKey {
  return { pk: row.pk?.S ?? '', sk: row.sk?.B ?? new Uint8Array() };
}

function textOf({ pk, sk }: RowKey): string {
  return `${pk} ${Buffer.from(sk).toString('latin1')}`;
}

/** Some of the names are words of the expression language. */
function projection(attributes: readonly string[]) {
  return {
    ProjectionExpression: attributes.map((it) => `#${it}`).join(', '),
    ExpressionAttributeNames: Object.fromEntries(attributes.map((it) => [`#${it}`, it])),
  };
}

function isRefusal(error: unknown): error is ConditionalCheckFailedException {
  return error instanceof Error && error.name === 'ConditionalCheckFailedException';
}
