import { afterAll, beforeAll } from 'vitest';
import { dynamodbConformance } from '../../../test/conformance/dynamodb.ts';
import { openCloud } from '../../cloud.ts';
import { type DynamodbService, startDynamodb } from './dynamodb.ts';

const cloud = openCloud({ name: 'aws' });
let service: DynamodbService;

beforeAll(async () => {
  service = await startDynamodb(cloud, { port: 0 });
});

afterAll(async () => {
  await service.stop();
  await cloud.close();
});

dynamodbConformance({ name: 'the local DynamoDB', wire: () => ({ url: service.url }), exact: true });
