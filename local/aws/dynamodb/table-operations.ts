/** Operations on tables as a whole. */

import { DynamoError, refused, wrongValue } from './errors.ts';
import type { Rows } from './rows.ts';
import {
  type AttributeDefinition,
  checkUsed,
  describeTable,
  type IndexInput,
  type Measure,
  readIndex,
  readTable,
  type Table,
  type TableInput,
  type Tables,
} from './tables.ts';

interface Named {
  readonly TableName: string;
}

interface UpdateInput extends Named {
  readonly AttributeDefinitions?: readonly AttributeDefinition[];
  readonly BillingMode?: Table['billing'];
  readonly ProvisionedThroughput?: Table['throughput'];
  readonly DeletionProtectionEnabled?: boolean;
  readonly StreamSpecification?: { readonly StreamEnabled?: boolean };
  readonly GlobalSecondaryIndexUpdates?: readonly {
    readonly Create?: IndexInput;
    readonly Delete?: { readonly IndexName: string };
    readonly Update?: object;
  }[];
}

const LISTED_MAX = 100;
/** DynamoDB counts about every six hours. */
const COUNTED_FOR_MS = 1_000;

export function openTableOperations(tables: Tables, rows: Rows, now: () => number) {
  const counts = new Map<string, Measure & { readonly at: number }>();

  function describe(table: Table, status = 'ACTIVE') {
    return describeTable(table, status, (index) => {
      const name = `${table.id} ${index}`;
      const known = counts.get(name);
      if (known !== undefined && Math.abs(now() - known.at) < COUNTED_FOR_MS) return known;
      const counted = { ...rows.measure(table, index), at: now() };
      counts.set(name, counted);
      return counted;
    });
  }

  function find({ TableName }: Named): Table {
    return tables.get(TableName, `Requested resource not found: Table: ${TableName} not found`);
  }

  return {
    CreateTable: (input: TableInput) => ({
      TableDescription: describe(tables.create(readTable(input, now())), 'CREATING'),
    }),

    DescribeTable: (input: Named) => ({ Table: describe(find(input)) }),

    DeleteTable(input: Named) {
      const table = find(input);
      if (table.isProtected)
        throw refused(
          'Resource cannot be deleted as it is currently protected against deletion. ' +
            'Disable deletion protection first.',
        );
      const TableDescription = describe(table, 'DELETING');
      rows.drop(table);
      tables.remove(table);
      return { TableDescription };
    },

    ListTables({
      ExclusiveStartTableName: after,
      Limit = LISTED_MAX,
    }: {
      ExclusiveStartTableName?: string;
      Limit?: number;
    }) {
      const names = tables
        .all()
        .map(({ name }) => name)
        .filter((name) => after === undefined || name > after);
      const page = names.slice(0, Limit);
      return { TableNames: page, ...(names.length > Limit ? { LastEvaluatedTableName: page.at(-1) } : {}) };
    },

    UpdateTable(input: UpdateInput) {
      let table = find(input);
      if (input.StreamSpecification?.StreamEnabled) throw refused('The local DynamoDB has no streams');
      const updates = input.GlobalSecondaryIndexUpdates ?? [];
      for (const update of updates) table = updateIndexes(table, update, input.AttributeDefinitions ?? []);
      const { BillingMode: billing = table.billing, ProvisionedThroughput, DeletionProtectionEnabled } = input;
      const given = [input.BillingMode, ProvisionedThroughput, DeletionProtectionEnabled].some(
        (it) => it !== undefined,
      );
      if (updates.length === 0 && !given)
        throw refused(
          'At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates ' +
            'or SSESpecification or ReplicaUpdates is required',
        );
      table = {
        ...table,
        billing,
        isProtected: DeletionProtectionEnabled ?? table.isProtected,
        throughput: ProvisionedThroughput ?? table.throughput,
      };
      tables.change(table);
      return { TableDescription: describe(table, 'UPDATING') };
    },

    DescribeTimeToLive(input: Named) {
      const { timeToLive } = find(input);
      const status = timeToLive === null ? 'DISABLED' : 'ENABLED';
      return {
        TimeToLiveDescription: {
          TimeToLiveStatus: status,
          ...(timeToLive === null ? {} : { AttributeName: timeToLive }),
        },
      };
    },

    UpdateTimeToLive(
      input: Named & {
        readonly TimeToLiveSpecification: { readonly AttributeName: string; readonly Enabled: boolean };
      },
    ) {
      const table = find(input);
      const { AttributeName, Enabled } = input.TimeToLiveSpecification;
      if (Enabled && table.timeToLive !== null) throw refused('TimeToLive is already enabled');
      if (!Enabled && table.timeToLive === null) throw refused('TimeToLive is already disabled');
      if (!Enabled && table.timeToLive !== AttributeName)
        throw refused(
          `TimeToLive is active on a different AttributeName: current AttributeName is ${table.timeToLive}`,
        );
      const changed = { ...table, timeToLive: Enabled ? AttributeName : null };
      tables.change(changed);
      rows.noteExpiry(changed);
      return { TimeToLiveSpecification: input.TimeToLiveSpecification };
    },
  };

  function updateIndexes(
    table: Table,
    { Create, Delete, Update }: NonNullable<UpdateInput['GlobalSecondaryIndexUpdates']>[number],
    given: readonly AttributeDefinition[],
  ): Table {
    if (Update !== undefined) return table;
    if ((Create === undefined) === (Delete === undefined))
      throw wrongValue(
        'One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, ' +
          'GlobalSecondaryIndexUpdate.Delete must not be null',
      );
    if (Delete !== undefined) {
      const old = table.indexes.find((it) => it.isGlobal && it.name === Delete.IndexName);
      if (old === undefined) throw new DynamoError('ResourceNotFoundException', 'Requested resource not found');
      rows.dropIndex(table, old.name);
      return withUsed({ ...table, indexes: table.indexes.filter((it) => it !== old) });
    }
    const input = Create as IndexInput;
    if (table.indexes.some((it) => it.name === input.IndexName))
      throw refused(`Attempting to create an index which already exists`);
    const added = given.filter(
      (it) => !table.definitions.some(({ AttributeName }) => AttributeName === it.AttributeName),
    );
    const definitions = [...table.definitions, ...added];
    const index = readIndex(input, definitions, true);
    const changed = withUsed({ ...table, definitions, indexes: [...table.indexes, index] });
    checkUsed(changed.definitions, [changed.keys, ...changed.indexes.map((it) => it.keys)]);
    rows.fill(changed, index);
    return changed;
  }
}

/** Keeps of the definitions those that a key needs. */
function withUsed(table: Table): Table {
  const keys = [table.keys, ...table.indexes.map((it) => it.keys)];
  const used = keys.flatMap(({ hash, range }) => [hash.name, range?.name]);
  return { ...table, definitions: table.definitions.filter(({ AttributeName }) => used.includes(AttributeName)) };
}
