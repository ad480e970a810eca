/** Plants rows in a ledger that lies in DynamoDB, as a defective program might. */

import type { DynamoDB } from '@aws-sdk/client-dynamodb';
import { spreadKey, toKeyAttributes } from '#shared/ledger/dynamodb/rows.ts';

export async function plantDynamoRow(
  client: DynamoDB,
  place: { readonly table: string; readonly ledger: string; readonly epoch: number },
  key: string,
  text: string,
): Promise<void> {
  const { table, ledger, epoch } = place;
  const row = { ...toKeyAttributes(spreadKey(ledger, 'item', key), key), rev: { N: '1' }, fence: { N: `${epoch}` } };
  await client.putItem({ TableName: table, Item: { ...row, item: { S: text } } });
}
