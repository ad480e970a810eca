/** A local DynamoDB to try things at, and the table that most of its tests use. */

import { DynamoDB, type DynamoDBClientConfig } from '@aws-sdk/client-dynamodb';
import { type DynamodbOptions, type DynamodbService, startDynamodb } from '../../local/aws/dynamodb/dynamodb.ts';
import { openCloud } from '../../local/cloud.ts';
import { type Faults, openFaults } from '../../local/faults.ts';

export const CREDENTIALS = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
export const TABLE = 'things';

export interface Bench {
  readonly client: DynamoDB;
  readonly url: string;
  readonly faults: Faults;
  readonly consumed: DynamodbService['consumed'];
  stop(): Promise<void>;
}

export async function openDynamoBench(
  options: Partial<DynamodbOptions> = {},
  config: Partial<DynamoDBClientConfig> = {},
): Promise<Bench> {
  const faults = openFaults(1);
  const cloud = openCloud({ name: 'aws', faults });
  const service = await startDynamodb(cloud, { port: 0, ...options });
  const client = openClient(service.url, config);
  return {
    client,
    url: service.url,
    faults,
    consumed: service.consumed,
    async stop() {
      client.destroy();
      await service.stop();
      await cloud.close();
    },
  };
}

export function openClient(endpoint: string, config: Partial<DynamoDBClientConfig> = {}): DynamoDB {
  return new DynamoDB({ region: 'us-east-1', endpoint, credentials: CREDENTIALS, maxAttempts: 1, ...config });
}

/** Keys pk (S) and sk (N); the index `by` shows those with an `owner` (S) by their `rank` (N), and their `label`. */
export async function createThings(client: DynamoDB): Promise<void> {
  await client.createTable({
    TableName: TABLE,
    BillingMode: 'PAY_PER_REQUEST',
    AttributeDefinitions: [
      { AttributeName: 'pk', AttributeType: 'S' },
      { AttributeName: 'sk', AttributeType: 'N' },
      { AttributeName: 'owner', AttributeType: 'S' },
      { AttributeName: 'rank', AttributeType: 'N' },
    ],
    KeySchema: [
      { AttributeName: 'pk', KeyType: 'HASH' },
      { AttributeName: 'sk', KeyType: 'RANGE' },
    ],
    GlobalSecondaryIndexes: [
      {
        IndexName: 'by-owner',
        KeySchema: [
          { AttributeName: 'owner', KeyType: 'HASH' },
          { AttributeName: 'rank', KeyType: 'RANGE' },
        ],
        Projection: { ProjectionType: 'INCLUDE', NonKeyAttributes: ['label'] },
      },
    ],
  });
}

/** The name of the error, or what was answered. */
export async function errorOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    (answer) => ({ answer }),
    (error: Error) => error.name,
  );
}
