/** The table that a ledger in DynamoDB lives in, as data for whoever makes it, and how it is made where nobody else does. */

import { fault } from '../../model/fault.ts';
import { type DynamoOptions, openCalls } from './calls.ts';

/** Rows are found by `pk` and `sk`; `due` lists those that somebody must look at; `expires` is when a row may go. */
export const LEDGER_TABLE = {
  attributes: { pk: 'S', sk: 'B', due: 'N' },
  hashKey: 'pk',
  rangeKey: 'sk',
  /** Sparse: a row without `due` is not in it. `name` is there where `sk` alone does not tell it. */
  dueIndex: { name: 'due', hashKey: 'pk', rangeKey: 'due', include: ['name'] },
  timeToLive: 'expires',
  billing: 'PAY_PER_REQUEST',
  pointInTimeRecovery: true,
  deletionProtection: true,
} as const;

const WAIT_MS = 250;
const WAITS_MAX = 240;

/** What CreateTable is given for a ledger. */
export function toCreateTable(table: string) {
  const { attributes, hashKey, rangeKey, dueIndex, billing } = LEDGER_TABLE;
  return {
    TableName: table,
    BillingMode: billing,
    AttributeDefinitions: Object.entries(attributes).map(([AttributeName, AttributeType]) => ({
      AttributeName,
      AttributeType,
    })),
    KeySchema: toKeySchema(hashKey, rangeKey),
    GlobalSecondaryIndexes: [
      {
        IndexName: dueIndex.name,
        KeySchema: toKeySchema(dueIndex.hashKey, dueIndex.rangeKey),
        Projection: { ProjectionType: 'INCLUDE' as const, NonKeyAttributes: [...dueIndex.include] },
      },
    ],
  };
}

/**
 * Makes the table if there is none of that name, and waits until it can be used. For the local clouds and for tests: it
 * sets no point-in-time recovery and no deletion protection, which a table that matters has from its deployment.
 */
export async function createLedgerTable(options: DynamoOptions): Promise<void> {
  const { read, write, close } = await openCalls(options);
  const { table } = options;
  try {
    await write('createTable', table, async (client, TableName, on) => {
      await client.createTable(toCreateTable(TableName), on).catch((error: unknown) => {
        if (!(error instanceof Error && error.name === 'ResourceInUseException')) throw error;
      });
    });
    for (let waits = 0; ; waits++) {
      const { Table } = await read('describeTable', table, (client, TableName, on) =>
        client.describeTable({ TableName }, on),
      );
      if (Table?.TableStatus === 'ACTIVE') break;
      if (waits === WAITS_MAX)
        throw fault('unavailable', `DynamoDB: the table ${table} is ${Table?.TableStatus} for a minute and more`);
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    }
    const { TimeToLiveDescription: now } = await read('describeTimeToLive', table, (client, TableName, on) =>
      client.describeTimeToLive({ TableName }, on),
    );
    if (now?.TimeToLiveStatus === 'ENABLED' || now?.TimeToLiveStatus === 'ENABLING') return;
    const TimeToLiveSpecification = { AttributeName: LEDGER_TABLE.timeToLive, Enabled: true };
    await write('updateTimeToLive', table, (client, TableName, on) =>
      client.updateTimeToLive({ TableName, TimeToLiveSpecification }, on),
    );
  } finally {
    close();
  }
}

function toKeySchema(hash: string, range: string) {
  return [
    { AttributeName: hash, KeyType: 'HASH' as const },
    { AttributeName: range, KeyType: 'RANGE' as const },
  ];
}
