/** What each call of SQS is given and answers. */

import type { Structure } from '../query/shape.ts';

const ATTRIBUTES = { map: 'string', as: 'Attribute', key: 'Name', value: 'Value' } as const;
const TAGS = { map: 'string', as: 'Tag', key: 'Key', value: 'Value' } as const;
const ATTRIBUTE_VALUE = {
  required: { DataType: 'string' },
  optional: { StringValue: 'string', BinaryValue: 'string' },
} as const;
const MESSAGE_ATTRIBUTES = { map: ATTRIBUTE_VALUE, as: 'MessageAttribute', key: 'Name', value: 'Value' } as const;
const SYSTEM_ATTRIBUTES = { ...MESSAGE_ATTRIBUTES, as: 'MessageSystemAttribute' } as const;
const ATTRIBUTE_NAMES = { list: 'string', as: 'AttributeName' } as const;

const OUTGOING = {
  DelaySeconds: 'integer',
  MessageAttributes: MESSAGE_ATTRIBUTES,
  MessageSystemAttributes: SYSTEM_ATTRIBUTES,
  MessageDeduplicationId: 'string',
  MessageGroupId: 'string',
} as const;
const CHECKSUMS = { MD5OfMessageAttributes: 'string', MD5OfMessageSystemAttributes: 'string' } as const;
const SENT = { required: { MD5OfMessageBody: 'string', MessageId: 'string' } } as const;

const FAILED = {
  list: {
    required: { Id: 'string', SenderFault: 'boolean', Code: 'string' },
    optional: { Message: 'string' },
  },
  as: 'BatchResultErrorEntry',
} as const;

const RECEIVED = {
  required: { MessageId: 'string', ReceiptHandle: 'string', MD5OfBody: 'string', Body: 'string' },
  optional: {
    Attributes: ATTRIBUTES,
    MD5OfMessageAttributes: 'string',
    MessageAttributes: MESSAGE_ATTRIBUTES,
  },
} as const;

const MOVE_TASK = {
  required: {
    Status: 'string',
    SourceArn: 'string',
    ApproximateNumberOfMessagesMoved: 'integer',
    ApproximateNumberOfMessagesToMove: 'integer',
    StartedTimestamp: 'integer',
  },
  optional: {
    TaskHandle: 'string',
    DestinationArn: 'string',
    MaxNumberOfMessagesPerSecond: 'integer',
    FailureReason: 'string',
  },
} as const;

const QUEUE = { QueueUrl: 'string' } as const;
const NOTHING = {} as const;
const PAGE = { NextToken: 'string', MaxResults: 'integer' } as const;
const URLS = { list: 'string', as: 'QueueUrl' } as const;

/** What a batch of some call is given and answers. */
function batch<const E extends Structure, const D extends Structure>(call: string, entry: E, done: D) {
  return {
    input: { required: { ...QUEUE, Entries: { list: entry, as: `${call}BatchRequestEntry` } } },
    output: {
      required: { Successful: { list: done, as: `${call}BatchResultEntry` }, Failed: FAILED },
    },
  } as const;
}

export const SHAPES = {
  CreateQueue: {
    input: { required: { QueueName: 'string' }, optional: { Attributes: ATTRIBUTES, tags: TAGS } },
    output: { required: QUEUE },
  },
  GetQueueUrl: {
    input: { required: { QueueName: 'string' }, optional: { QueueOwnerAWSAccountId: 'string' } },
    output: { required: QUEUE },
  },
  ListQueues: {
    input: { optional: { ...PAGE, QueueNamePrefix: 'string' } },
    output: { optional: { QueueUrls: URLS, NextToken: 'string' } },
  },
  ListDeadLetterSourceQueues: {
    input: { required: QUEUE, optional: PAGE },
    output: { required: { queueUrls: URLS }, optional: { NextToken: 'string' } },
  },
  GetQueueAttributes: {
    input: { required: QUEUE, optional: { AttributeNames: ATTRIBUTE_NAMES } },
    output: { optional: { Attributes: ATTRIBUTES } },
  },
  SetQueueAttributes: { input: { required: { ...QUEUE, Attributes: ATTRIBUTES } }, output: NOTHING },
  DeleteQueue: { input: { required: QUEUE }, output: NOTHING },
  PurgeQueue: { input: { required: QUEUE }, output: NOTHING },
  TagQueue: { input: { required: { ...QUEUE, Tags: TAGS } }, output: NOTHING },
  UntagQueue: { input: { required: { ...QUEUE, TagKeys: { list: 'string', as: 'TagKey' } } }, output: NOTHING },
  ListQueueTags: { input: { required: QUEUE }, output: { optional: { Tags: TAGS } } },
  SendMessage: {
    input: { required: { ...QUEUE, MessageBody: 'string' }, optional: OUTGOING },
    output: { ...SENT, optional: { ...CHECKSUMS, SequenceNumber: 'string' } },
  },
  SendMessageBatch: batch(
    'SendMessage',
    { required: { Id: 'string', MessageBody: 'string' }, optional: OUTGOING },
    {
      required: { Id: 'string', ...SENT.required },
      optional: { ...CHECKSUMS, SequenceNumber: 'string' },
    },
  ),
  ReceiveMessage: {
    input: {
      required: QUEUE,
      optional: {
        AttributeNames: ATTRIBUTE_NAMES,
        MessageSystemAttributeNames: { list: 'string', as: 'MessageSystemAttributeName' },
        MessageAttributeNames: { list: 'string', as: 'MessageAttributeName' },
        MaxNumberOfMessages: 'integer',
        VisibilityTimeout: 'integer',
        WaitTimeSeconds: 'integer',
        ReceiveRequestAttemptId: 'string',
      },
    },
    output: { optional: { Messages: { list: RECEIVED, as: 'Message' } } },
  },
  DeleteMessage: { input: { required: { ...QUEUE, ReceiptHandle: 'string' } }, output: NOTHING },
  DeleteMessageBatch: batch(
    'DeleteMessage',
    { required: { Id: 'string', ReceiptHandle: 'string' } },
    { required: { Id: 'string' } },
  ),
  ChangeMessageVisibility: {
    input: { required: { ...QUEUE, ReceiptHandle: 'string', VisibilityTimeout: 'integer' } },
    output: NOTHING,
  },
  ChangeMessageVisibilityBatch: batch(
    'ChangeMessageVisibility',
    { required: { Id: 'string', ReceiptHandle: 'string' }, optional: { VisibilityTimeout: 'integer' } },
    { required: { Id: 'string' } },
  ),
  StartMessageMoveTask: {
    input: {
      required: { SourceArn: 'string' },
      optional: { DestinationArn: 'string', MaxNumberOfMessagesPerSecond: 'integer' },
    },
    output: { required: { TaskHandle: 'string' } },
  },
  ListMessageMoveTasks: {
    input: { required: { SourceArn: 'string' }, optional: { MaxResults: 'integer' } },
    output: { required: { Results: { list: MOVE_TASK, as: 'ListMessageMoveTasksResultEntry' } } },
  },
  CancelMessageMoveTask: {
    input: { required: { TaskHandle: 'string' } },
    output: { required: { ApproximateNumberOfMessagesMoved: 'integer' } },
  },
} as const satisfies Readonly<Record<string, { readonly input: Structure; readonly output: Structure }>>;

export type Action = keyof typeof SHAPES;

export function isAction(name: string): name is Action {
  return Object.hasOwn(SHAPES, name);
}
