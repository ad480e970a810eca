import type { IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import { serviceOf } from './gateway.ts';

const scope = (service: string) => `local/20261121/us-east-1/${service}/aws4_request`;

it.each<[string, Partial<IncomingMessage>]>([
  ['s3', { headers: { authorization: `AWS4-HMAC-SHA256 Credential=${scope('s3')}, SignedHeaders=host` } }],
  ['sqs', { headers: { authorization: `AWS4-HMAC-SHA256 Credential=${scope('sqs')}, SignedHeaders=host` } }],
  ['sns', { headers: { authorization: `AWS4-HMAC-SHA256 Credential=${scope('sns')}, SignedHeaders=host` } }],
  ['dynamodb', { headers: { 'x-amz-target': 'DynamoDB_20120810.PutItem' } }],
  ['sqs', { headers: { 'x-amz-target': 'AmazonSQS.SendMessage' } }],
  ['s3', { headers: {}, url: `/b/k?X-Amz-Credential=${encodeURIComponent(scope('s3'))}&X-Amz-Signature=1` }],
  ['s3', { headers: {}, url: '/b/k' }],
  ['sns', { headers: {}, url: '/?Action=ConfirmSubscription&TopicArn=arn&Token=t' }],
  ['sns', { headers: {}, url: '/?Action=Unsubscribe&SubscriptionArn=arn' }],
  ['sns', { headers: {}, url: '/SimpleNotificationService-0a.pem' }],
  ['s3', { headers: {}, url: '/bucket?Action=ConfirmSubscription&Token=t' }],
  ['s3', { headers: { authorization: 'Credential=x/20261121/r/iam/aws4_request' }, url: '/' }],
])('%s is meant by %j', (service, request) => {
  expect(serviceOf({ headers: {}, ...request } as IncomingMessage)).toBe(service);
});
