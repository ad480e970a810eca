/** Conformance of an endpoint that speaks DynamoDB: what its answers must be, whoever made it. */

import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { CONDITIONS, ITEM, NUMBERS, UPDATES } from './dynamodb-cases.ts';
import { type Answer, send, type Wire } from './dynamodb-wire.ts';

export interface EndpointHarness {
  readonly name: string;
  wire(): Wire;
  /** Whether refusals are compared word by word; others find words of their own. */
  readonly exact: boolean;
}

const POLLS_MAX = 200;
const POLL_MS = 50;
const TABLE_MS_MAX = 60_000;

export function dynamodbConformance({ name, wire, exact }: EndpointHarness): void {
  const TableName = `wire-${randomUUID()}`;
  const Key = { pk: ITEM.pk, sk: ITEM.sk };
  const ask = (operation: string, input: object) => send(wire(), operation, { TableName, ...input });
  const refusal = (answer: Answer, text: string) => {
    expect([answer.status, answer.error]).toEqual([400, 'ValidationException']);
    if (exact) expect(answer.message).toBe(text);
  };

  describe(`${name} answers as DynamoDB`, () => {
    beforeAll(async () => {
      await ask('CreateTable', {
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'N' },
        ],
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
      });
      for (let polls = 0; polls < POLLS_MAX; polls++) {
        const { body } = await ask('DescribeTable', {});
        if ((body.Table as { TableStatus?: string } | undefined)?.TableStatus === 'ACTIVE') return;
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
      throw new Error(`${TableName} does not become active`);
    }, TABLE_MS_MAX);

    test.each(CONDITIONS)('%s, with %j', async (expression, value, verdict) => {
      await ask('PutItem', { Item: ITEM });
      const answer = await ask('DeleteItem', {
        Key,
        ConditionExpression: expression,
        ...(value === undefined ? {} : { ExpressionAttributeValues: { ':v': value } }),
      });
      if (verdict === 'holds') expect(answer).toMatchObject({ status: 200 });
      else if (verdict === 'fails')
        expect(answer).toMatchObject({ status: 400, error: 'ConditionalCheckFailedException' });
      else refusal(answer, verdict.refused);
    });

    test.each(UPDATES)('%s, with %j', async (expression, value, outcome) => {
      await ask('PutItem', { Item: ITEM });
      const { body: before } = await ask('GetItem', { Key, ConsistentRead: true });
      const answer = await ask('UpdateItem', {
        Key,
        UpdateExpression: expression,
        ReturnValues: 'ALL_NEW',
        ...(value === undefined ? {} : { ExpressionAttributeValues: { ':v': value } }),
      });
      const { body: after } = await ask('GetItem', { Key, ConsistentRead: true });
      if ('refused' in outcome) {
        refusal(answer, outcome.refused as string);
        expect(after).toEqual(before);
        return;
      }
      const expected = Object.entries({ ...(before.Item as object), ...outcome }).filter(([, it]) => it !== undefined);
      expect(sorted(after.Item)).toEqual(sorted(Object.fromEntries(expected)));
      expect(sorted(answer.body.Attributes)).toEqual(sorted(after.Item));
    });

    test.each(NUMBERS)('the number %j', async (given, stored) => {
      const answer = await ask('PutItem', { Item: { ...Key, n: { N: given } } });
      if (stored === null) return refusal(answer, answer.message ?? '');
      const { body } = await ask('GetItem', { Key, ConsistentRead: true });
      expect(body.Item).toMatchObject({ n: { N: stored } });
    });
  });
}

/** Sets come in any order. */
function sorted(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (name, it) => (/^[SNB]S$/.test(name) ? [...it].sort() : it));
}
