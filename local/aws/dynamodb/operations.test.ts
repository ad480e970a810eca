import { expect, test } from 'vitest';
import { openCloud } from '../../cloud.ts';
import { openOperations } from './operations.ts';

const HOUR_SECONDS = 3600;

test('an item goes when its time is over, and no other one', async () => {
  const cloud = openCloud({ name: 'aws' });
  const { find, expire } = openOperations(cloud, 0);
  const run = (operation: string, input: object) =>
    find(operation)?.({ TableName: 'expiring', ...input }) as Record<string, unknown>;
  run('CreateTable', {
    BillingMode: 'PAY_PER_REQUEST',
    AttributeDefinitions: [
      { AttributeName: 'pk', AttributeType: 'S' },
      { AttributeName: 'owner', AttributeType: 'S' },
    ],
    KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
    GlobalSecondaryIndexes: [
      {
        IndexName: 'by-owner',
        KeySchema: [{ AttributeName: 'owner', KeyType: 'HASH' }],
        Projection: { ProjectionType: 'KEYS_ONLY' },
      },
    ],
  });
  const now = Math.floor(cloud.now() / 1000);
  const put = (pk: string, expires: object) => run('PutItem', { Item: { pk: { S: pk }, owner: { S: 'o' }, expires } });
  put('before it was switched on', { N: `${now - HOUR_SECONDS}` });
  run('UpdateTimeToLive', { TimeToLiveSpecification: { AttributeName: 'expires', Enabled: true } });
  put('over', { N: `${now - HOUR_SECONDS}` });
  put('to come', { N: `${now + HOUR_SECONDS}` });
  put('a mistake of years', { N: '5' });
  put('no number', { S: `${now - HOUR_SECONDS}` });
  // As with AWS, an item that is over is there until it goes.
  expect(run('Scan', { Select: 'COUNT' }).Count).toBe(5);
  expire();
  const left = ['a mistake of years', 'no number', 'to come'];
  for (const more of [{}, { IndexName: 'by-owner' }]) {
    const names = (run('Scan', more).Items as { pk: { S: string } }[]).map(({ pk }) => pk.S);
    expect(names.sort()).toEqual(left);
  }
  await cloud.close();
});
