/** What each operation takes: the shapes of their inputs, and what the rest of the code sees of them. */

import { refused } from './errors.ts';
import type { PlaceholderInput } from './expression/placeholders.ts';
import { flag, integer, list, map, name, type Structure, structure, tableName, text, value } from './shapes.ts';

const capacity = text({ values: ['INDEXES', 'TOTAL', 'NONE'] });
const metrics = text({ values: ['SIZE', 'NONE'] });
const onFailure = text({ values: ['ALL_OLD', 'NONE'] });
const attributes = map(value);
const placeholders: Structure = { ExpressionAttributeNames: map(text()), ExpressionAttributeValues: map(value) };

const keySchema = list(
  structure({
    AttributeName: text({ required: true, min: 1, max: 255 }),
    KeyType: text({ required: true, values: ['HASH', 'RANGE'] }),
  }),
  { required: true, min: 1, max: 2 },
);
const projection = structure(
  {
    ProjectionType: text({ values: ['ALL', 'INCLUDE', 'KEYS_ONLY'] }),
    NonKeyAttributes: list(text({ min: 1, max: 255 }), { min: 1, max: 20 }),
  },
  { required: true },
);
const throughput = structure({
  ReadCapacityUnits: integer({ required: true, min: 1 }),
  WriteCapacityUnits: integer({ required: true, min: 1 }),
});
const index: Structure = { IndexName: name({ required: true }), KeySchema: keySchema, Projection: projection };
const globalIndex: Structure = { ...index, ProvisionedThroughput: throughput, OnDemandThroughput: value };
const definitions = list(
  structure({
    AttributeName: text({ required: true, min: 1, max: 255 }),
    AttributeType: text({ required: true, values: ['S', 'N', 'B'] }),
  }),
);

const write: Structure = {
  TableName: tableName,
  ConditionExpression: text(),
  ...placeholders,
  ReturnValuesOnConditionCheckFailure: onFailure,
};
const answered: Structure = {
  ReturnValues: text({ values: ['ALL_NEW', 'UPDATED_OLD', 'ALL_OLD', 'NONE', 'UPDATED_NEW'] }),
  ReturnConsumedCapacity: capacity,
  ReturnItemCollectionMetrics: metrics,
};
const read: Structure = {
  TableName: tableName,
  ProjectionExpression: text(),
  ...placeholders,
  ReturnConsumedCapacity: capacity,
  ConsistentRead: flag(),
};
const listing: Structure = {
  ...read,
  IndexName: name(),
  FilterExpression: text(),
  Limit: integer({ min: 1 }),
  ExclusiveStartKey: attributes,
  Select: text({ values: ['SPECIFIC_ATTRIBUTES', 'COUNT', 'ALL_ATTRIBUTES', 'ALL_PROJECTED_ATTRIBUTES'] }),
};
const key = map(value, { required: true });
const putting: Structure = { ...write, Item: map(value, { required: true }) };
const transacted: Structure = { TableName: tableName, ...placeholders };

export const REQUESTS: Readonly<Record<string, Structure>> = {
  CreateTable: {
    TableName: tableName,
    AttributeDefinitions: list(definitions.kind === 'list' ? definitions.of : value, { required: true }),
    KeySchema: keySchema,
    BillingMode: text({ values: ['PROVISIONED', 'PAY_PER_REQUEST'] }),
    ProvisionedThroughput: throughput,
    GlobalSecondaryIndexes: list(structure(globalIndex)),
    LocalSecondaryIndexes: list(structure(index)),
    StreamSpecification: structure({ StreamEnabled: flag(), StreamViewType: text() }),
    SSESpecification: value,
    Tags: value,
    TableClass: text({ values: ['STANDARD', 'STANDARD_INFREQUENT_ACCESS'] }),
    DeletionProtectionEnabled: flag(),
    OnDemandThroughput: value,
  },
  UpdateTable: {
    TableName: tableName,
    AttributeDefinitions: definitions,
    BillingMode: text({ values: ['PROVISIONED', 'PAY_PER_REQUEST'] }),
    ProvisionedThroughput: throughput,
    DeletionProtectionEnabled: flag(),
    StreamSpecification: structure({ StreamEnabled: flag(), StreamViewType: text() }),
    GlobalSecondaryIndexUpdates: list(
      structure({
        Create: structure(globalIndex),
        Delete: structure({ IndexName: name({ required: true }) }),
        Update: structure({ IndexName: name({ required: true }), ProvisionedThroughput: throughput }),
      }),
    ),
  },
  DescribeTable: { TableName: tableName },
  DeleteTable: { TableName: tableName },
  ListTables: { ExclusiveStartTableName: name(), Limit: integer({ min: 1, max: 100 }) },
  DescribeTimeToLive: { TableName: tableName },
  UpdateTimeToLive: {
    TableName: tableName,
    TimeToLiveSpecification: structure(
      { AttributeName: text({ required: true, min: 1, max: 255 }), Enabled: flag({ required: true }) },
      { required: true },
    ),
  },
  PutItem: { ...putting, ...answered },
  UpdateItem: { ...write, ...answered, Key: key, UpdateExpression: text() },
  DeleteItem: { ...write, ...answered, Key: key },
  GetItem: { ...read, Key: key },
  Query: { ...listing, KeyConditionExpression: text(), ScanIndexForward: flag() },
  Scan: { ...listing, Segment: integer({ min: 0, max: 999_999 }), TotalSegments: integer({ min: 1, max: 1_000_000 }) },
  BatchGetItem: {
    RequestItems: map(
      structure({
        Keys: list(attributes, { required: true, min: 1, max: 100 }),
        ProjectionExpression: text(),
        ExpressionAttributeNames: map(text()),
        ConsistentRead: flag(),
      }),
      { required: true, min: 1 },
    ),
    ReturnConsumedCapacity: capacity,
  },
  BatchWriteItem: {
    RequestItems: map(
      list(
        structure({
          PutRequest: structure({ Item: map(value, { required: true }) }),
          DeleteRequest: structure({ Key: key }),
        }),
        { min: 1, max: 25 },
      ),
      { required: true, min: 1, max: 25 },
    ),
    ReturnConsumedCapacity: capacity,
    ReturnItemCollectionMetrics: metrics,
  },
  TransactWriteItems: {
    TransactItems: list(
      structure({
        ConditionCheck: structure({ ...write, ConditionExpression: text({ required: true }), Key: key }),
        Put: structure(putting),
        Delete: structure({ ...write, Key: key }),
        Update: structure({ ...write, UpdateExpression: text({ required: true }), Key: key }),
      }),
      { required: true, min: 1, max: 100 },
    ),
    ClientRequestToken: text({ min: 1, max: 36 }),
    ReturnConsumedCapacity: capacity,
    ReturnItemCollectionMetrics: metrics,
  },
  TransactGetItems: {
    TransactItems: list(
      structure({
        Get: structure({ ...transacted, Key: key, ProjectionExpression: text() }, { required: true }),
      }),
      { required: true, min: 1, max: 100 },
    ),
    ReturnConsumedCapacity: capacity,
  },
};

/** The parameters of 2012, which expressions replaced: nobody here speaks them, and to ignore one would be a lie. */
const LEGACY = [
  'Expected',
  'ConditionalOperator',
  'AttributesToGet',
  'AttributeUpdates',
  'KeyConditions',
  'QueryFilter',
  'ScanFilter',
];

export function checkLegacy(raw: unknown): void {
  const found = LEGACY.find((field) => (raw as Readonly<Record<string, unknown>> | null)?.[field] != null);
  if (found !== undefined)
    throw refused(`The local DynamoDB does not know the legacy parameter ${found}: use expressions`);
}

export interface WriteInput extends PlaceholderInput {
  readonly TableName: string;
  readonly Item?: unknown;
  readonly Key?: unknown;
  readonly ConditionExpression?: string;
  readonly UpdateExpression?: string;
  readonly ReturnValues?: 'ALL_NEW' | 'UPDATED_OLD' | 'ALL_OLD' | 'NONE' | 'UPDATED_NEW';
  readonly ReturnValuesOnConditionCheckFailure?: 'ALL_OLD' | 'NONE';
  readonly ReturnConsumedCapacity?: Consumption;
}

export type Consumption = 'INDEXES' | 'TOTAL' | 'NONE';

export interface ReadInput extends PlaceholderInput {
  readonly TableName: string;
  readonly Key?: unknown;
  readonly ProjectionExpression?: string;
  readonly ConsistentRead?: boolean;
  readonly ReturnConsumedCapacity?: Consumption;
}

export interface ListInput extends ReadInput {
  readonly IndexName?: string;
  readonly KeyConditionExpression?: string;
  readonly FilterExpression?: string;
  readonly Limit?: number;
  readonly ExclusiveStartKey?: unknown;
  readonly ScanIndexForward?: boolean;
  readonly Select?: 'SPECIFIC_ATTRIBUTES' | 'COUNT' | 'ALL_ATTRIBUTES' | 'ALL_PROJECTED_ATTRIBUTES';
  readonly Segment?: number;
  readonly TotalSegments?: number;
}
