/** Tables and their indexes: what may be one, what is remembered of them, and how they are described. */

import { randomUUID } from 'node:crypto';
import type { Database } from '../../state/sqlite.ts';
import { ACCOUNT, REGION } from '../account.ts';
import { DynamoError, notFound, refused, wrongValue } from './errors.ts';
import type { KeyParts, KeyType } from './keys.ts';

export interface Index {
  readonly name: string;
  readonly isGlobal: boolean;
  readonly keys: KeyParts;
  readonly projection: {
    readonly ProjectionType: 'ALL' | 'INCLUDE' | 'KEYS_ONLY';
    readonly NonKeyAttributes?: readonly string[];
  };
}

export interface Table {
  /** What its rows are stored under. */
  readonly id: number;
  readonly uuid: string;
  readonly name: string;
  readonly createdAt: number;
  readonly keys: KeyParts;
  readonly definitions: readonly AttributeDefinition[];
  readonly indexes: readonly Index[];
  readonly billing: 'PROVISIONED' | 'PAY_PER_REQUEST';
  readonly throughput: Throughput;
  readonly isProtected: boolean;
  /** The attribute that says when an item may go. */
  readonly timeToLive: string | null;
}

export interface AttributeDefinition {
  readonly AttributeName: string;
  readonly AttributeType: KeyType;
}

interface Throughput {
  readonly ReadCapacityUnits: number;
  readonly WriteCapacityUnits: number;
}

interface KeyElement {
  readonly AttributeName: string;
  readonly KeyType: string;
}

export interface IndexInput {
  readonly IndexName: string;
  readonly KeySchema: readonly KeyElement[];
  readonly Projection: Index['projection'] & { readonly ProjectionType?: Index['projection']['ProjectionType'] };
}

export interface TableInput {
  readonly TableName: string;
  readonly AttributeDefinitions: readonly AttributeDefinition[];
  readonly KeySchema: readonly KeyElement[];
  readonly BillingMode?: Table['billing'];
  readonly ProvisionedThroughput?: Throughput;
  readonly GlobalSecondaryIndexes?: readonly IndexInput[];
  readonly LocalSecondaryIndexes?: readonly IndexInput[];
  readonly DeletionProtectionEnabled?: boolean;
  readonly StreamSpecification?: { readonly StreamEnabled?: boolean };
}

export interface Tables {
  /** ResourceNotFoundException when there is none. */
  get(name: string, message?: string): Table;
  all(): readonly Table[];
  create(table: Omit<Table, 'id'>): Table;
  change(table: Table): void;
  remove(table: Table): void;
}

const GLOBAL_MAX = 20;
const LOCAL_MAX = 5;
const NO_THROUGHPUT: Throughput = { ReadCapacityUnits: 0, WriteCapacityUnits: 0 };

export function openTables(db: Database): Tables {
  db.define(
    `CREATE TABLE IF NOT EXISTS dynamodb_tables (
      id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, definition TEXT NOT NULL
    ) STRICT`,
  );
  const tables = new Map<string, Table>();
  for (const { id, definition } of db.all<{ id: number; definition: string }>(
    'SELECT id, definition FROM dynamodb_tables',
  )) {
    const table = { ...(JSON.parse(definition) as Table), id };
    tables.set(table.name, table);
  }
  return {
    get(name, message) {
      const table = tables.get(name);
      if (table === undefined) throw notFound(message);
      return table;
    },
    all: () => [...tables.values()].sort((a, b) => (a.name < b.name ? -1 : 1)),
    create(draft) {
      if (tables.has(draft.name))
        throw new DynamoError('ResourceInUseException', `Table already exists: ${draft.name}`);
      const { rowId: id } = db.run(
        'INSERT INTO dynamodb_tables (name, definition) VALUES (?, ?)',
        draft.name,
        JSON.stringify(draft),
      );
      const table = { ...draft, id };
      db.afterCommit(() => tables.set(table.name, table));
      return table;
    },
    change(table) {
      db.run('UPDATE dynamodb_tables SET definition = ? WHERE id = ?', JSON.stringify(table), table.id);
      db.afterCommit(() => tables.set(table.name, table));
    },
    remove(table) {
      db.run('DELETE FROM dynamodb_tables WHERE id = ?', table.id);
      db.afterCommit(() => tables.delete(table.name));
    },
  };
}

export function readTable(input: TableInput, now: number): Omit<Table, 'id'> {
  const { TableName, AttributeDefinitions, KeySchema, BillingMode = 'PROVISIONED', ProvisionedThroughput } = input;
  if (input.StreamSpecification?.StreamEnabled) throw refused('The local DynamoDB has no streams');
  if (BillingMode === 'PROVISIONED' && ProvisionedThroughput === undefined)
    throw wrongValue('ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED');
  if (BillingMode === 'PAY_PER_REQUEST' && ProvisionedThroughput !== undefined)
    throw wrongValue(
      'Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST',
    );
  const keys = readKeys(KeySchema, AttributeDefinitions, null);
  const indexes = [
    ...readIndexes(input.GlobalSecondaryIndexes, AttributeDefinitions, true, keys),
    ...readIndexes(input.LocalSecondaryIndexes, AttributeDefinitions, false, keys),
  ];
  const duplicate = indexes.find(({ name }, at) => indexes.findIndex((it) => it.name === name) !== at);
  if (duplicate !== undefined) throw wrongValue(`Duplicate index name: ${duplicate.name}`);
  checkUsed(AttributeDefinitions, [keys, ...indexes.map((it) => it.keys)]);
  return {
    uuid: randomUUID(),
    name: TableName,
    createdAt: now,
    keys,
    definitions: AttributeDefinitions,
    indexes,
    billing: BillingMode,
    throughput: ProvisionedThroughput ?? NO_THROUGHPUT,
    isProtected: input.DeletionProtectionEnabled ?? false,
    timeToLive: null,
  };
}

export function readIndex(input: IndexInput, definitions: readonly AttributeDefinition[], isGlobal: boolean): Index {
  const { IndexName, KeySchema, Projection } = input;
  if (Projection.ProjectionType === undefined) throw wrongValue('Unknown ProjectionType: null');
  const named = Projection.NonKeyAttributes !== undefined;
  if (named !== (Projection.ProjectionType === 'INCLUDE'))
    throw wrongValue(
      named
        ? `ProjectionType is ${Projection.ProjectionType}, but NonKeyAttributes is specified`
        : 'ProjectionType is INCLUDE, but NonKeyAttributes is not specified',
    );
  return { name: IndexName, isGlobal, keys: readKeys(KeySchema, definitions, IndexName), projection: Projection };
}

/** Every attribute that is defined is one of a key, as DynamoDB insists. */
export function checkUsed(definitions: readonly AttributeDefinition[], keys: readonly KeyParts[]): void {
  const used = new Set(keys.flatMap(({ hash, range }) => [hash.name, ...(range === undefined ? [] : [range.name])]));
  if (definitions.some(({ AttributeName }) => !used.has(AttributeName)))
    throw wrongValue(
      `Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions`,
    );
}

function readIndexes(
  inputs: readonly IndexInput[] | undefined,
  definitions: readonly AttributeDefinition[],
  isGlobal: boolean,
  table: KeyParts,
): readonly Index[] {
  if (inputs === undefined) return [];
  const which = isGlobal ? 'GlobalSecondaryIndexes' : 'LocalSecondaryIndexes';
  if (inputs.length === 0) throw wrongValue(`List of ${which} is empty`);
  if (isGlobal && inputs.length > GLOBAL_MAX)
    throw wrongValue(`GlobalSecondaryIndex count exceeds the per-table limit of ${GLOBAL_MAX}`);
  if (!isGlobal && inputs.length > LOCAL_MAX)
    throw wrongValue(`Number of LocalSecondaryIndexes exceeds per-table limit of ${LOCAL_MAX}`);
  if (!isGlobal && table.range === undefined)
    throw wrongValue(
      'Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex',
    );
  return inputs.map((input) => {
    const index = readIndex(input, definitions, isGlobal);
    if (!isGlobal && index.keys.range === undefined)
      throw wrongValue(`Index KeySchema does not have a range key for index: ${index.name}`);
    if (!isGlobal && index.keys.hash.name !== table.hash.name)
      throw wrongValue(
        `Index KeySchema does not have the same leading hash key as table KeySchema for index: ${index.name}. ` +
          `index hash key: ${index.keys.hash.name}, table hash key: ${table.hash.name}`,
      );
    return index;
  });
}

function readKeys(
  schema: readonly KeyElement[],
  definitions: readonly AttributeDefinition[],
  index: string | null,
): KeyParts {
  const [first, second] = schema as [KeyElement, KeyElement?];
  const missing = schema.filter((it) => !definitions.some(({ AttributeName }) => AttributeName === it.AttributeName));
  if (missing.length > 0) {
    const keys = `Keys: [${schema.map((it) => it.AttributeName).join(', ')}]`;
    const attributes = `AttributeDefinitions: [${definitions.map((it) => it.AttributeName).join(', ')}]`;
    throw wrongValue(`Some index key attributes are not defined in AttributeDefinitions. ${keys}, ${attributes}`);
  }
  if (first.AttributeName === second?.AttributeName)
    throw refused('Both the Hash Key and the Range Key element in the KeySchema have the same name');
  const where = index === null ? '' : ` for index: ${index}`;
  if (first.KeyType !== 'HASH')
    throw refused(`Invalid KeySchema: The first KeySchemaElement is not a HASH key type${where}`);
  if (second !== undefined && second.KeyType !== 'RANGE')
    throw refused(`Invalid KeySchema: The second KeySchemaElement is not a RANGE key type${where}`);
  const part = ({ AttributeName: name }: KeyElement) => ({
    name,
    type: (definitions.find((it) => it.AttributeName === name) as AttributeDefinition).AttributeType,
  });
  return { hash: part(first), ...(second === undefined ? {} : { range: part(second) }) };
}

export interface Measure {
  readonly items: number;
  readonly bytes: number;
}

/** `measure`: of the table, or of one of its indexes. */
export function describeTable(table: Table, status: string, measure: (index: string) => Measure) {
  const arn = `arn:aws:dynamodb:${REGION}:${ACCOUNT}:table/${table.name}`;
  const throughput = { ...table.throughput, NumberOfDecreasesToday: 0 };
  const describe = (index: Index) => {
    const { items, bytes } = measure(index.name);
    return {
      IndexName: index.name,
      IndexArn: `${arn}/index/${index.name}`,
      KeySchema: toSchema(index.keys),
      Projection: index.projection,
      ItemCount: items,
      IndexSizeBytes: bytes,
      ...(index.isGlobal ? { IndexStatus: 'ACTIVE', ProvisionedThroughput: throughput } : {}),
    };
  };
  const [globals, locals] = [true, false].map((isGlobal) =>
    table.indexes.filter((it) => it.isGlobal === isGlobal).map(describe),
  );
  const { items, bytes } = measure('');
  return {
    TableName: table.name,
    TableArn: arn,
    TableId: table.uuid,
    TableStatus: status,
    CreationDateTime: table.createdAt / 1000,
    AttributeDefinitions: table.definitions,
    KeySchema: toSchema(table.keys),
    ItemCount: items,
    TableSizeBytes: bytes,
    ProvisionedThroughput: throughput,
    DeletionProtectionEnabled: table.isProtected,
    ...(table.billing === 'PAY_PER_REQUEST' ? { BillingModeSummary: { BillingMode: table.billing } } : {}),
    ...(globals?.length ? { GlobalSecondaryIndexes: globals } : {}),
    ...(locals?.length ? { LocalSecondaryIndexes: locals } : {}),
  };
}

function toSchema({ hash, range }: KeyParts) {
  const schema = [{ AttributeName: hash.name, KeyType: 'HASH' }];
  return range === undefined ? schema : [...schema, { AttributeName: range.name, KeyType: 'RANGE' }];
}
