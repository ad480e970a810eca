/** What each call of SNS is given and answers. */

import type { Structure } from '../query/shape.ts';

const ATTRIBUTES = { map: 'string', item: 'entry', key: 'key', value: 'value' } as const;
const TAG = { required: { Key: 'string' }, optional: { Value: 'string' } } as const;
const TAGS = { list: TAG, item: 'member' } as const;
const MESSAGE_ATTRIBUTES = {
  map: { required: { DataType: 'string' }, optional: { StringValue: 'string', BinaryValue: 'string' } },
  item: 'entry',
  key: 'Name',
  value: 'Value',
} as const;
const SUBSCRIPTIONS = {
  list: {
    required: {
      SubscriptionArn: 'string',
      Owner: 'string',
      Protocol: 'string',
      Endpoint: 'string',
      TopicArn: 'string',
    },
  },
  item: 'member',
} as const;
const TOPIC = { TopicArn: 'string' } as const;
const SUBSCRIPTION = { SubscriptionArn: 'string' } as const;
const MESSAGE = {
  required: { Message: 'string' },
  optional: {
    Subject: 'string',
    MessageStructure: 'string',
    MessageAttributes: MESSAGE_ATTRIBUTES,
    MessageDeduplicationId: 'string',
    MessageGroupId: 'string',
  },
} as const;
const NOTHING = {} as const;
const NEXT = { NextToken: 'string' } as const;

export const SHAPES = {
  CreateTopic: {
    input: { required: { Name: 'string' }, optional: { Attributes: ATTRIBUTES, Tags: TAGS } },
    output: { required: TOPIC },
  },
  DeleteTopic: { input: { required: TOPIC }, output: NOTHING },
  ListTopics: {
    input: { optional: NEXT },
    output: { required: { Topics: { list: { required: TOPIC }, item: 'member' } }, optional: NEXT },
  },
  GetTopicAttributes: { input: { required: TOPIC }, output: { required: { Attributes: ATTRIBUTES } } },
  SetTopicAttributes: {
    input: { required: { ...TOPIC, AttributeName: 'string' }, optional: { AttributeValue: 'string' } },
    output: NOTHING,
  },
  Subscribe: {
    input: {
      required: { ...TOPIC, Protocol: 'string' },
      optional: { Endpoint: 'string', Attributes: ATTRIBUTES, ReturnSubscriptionArn: 'boolean' },
    },
    output: { required: SUBSCRIPTION },
  },
  ConfirmSubscription: {
    input: { required: { ...TOPIC, Token: 'string' }, optional: { AuthenticateOnUnsubscribe: 'string' } },
    output: { required: SUBSCRIPTION },
  },
  Unsubscribe: { input: { required: SUBSCRIPTION }, output: NOTHING },
  ListSubscriptions: {
    input: { optional: NEXT },
    output: { required: { Subscriptions: SUBSCRIPTIONS }, optional: NEXT },
  },
  ListSubscriptionsByTopic: {
    input: { required: TOPIC, optional: NEXT },
    output: { required: { Subscriptions: SUBSCRIPTIONS }, optional: NEXT },
  },
  GetSubscriptionAttributes: { input: { required: SUBSCRIPTION }, output: { required: { Attributes: ATTRIBUTES } } },
  SetSubscriptionAttributes: {
    input: { required: { ...SUBSCRIPTION, AttributeName: 'string' }, optional: { AttributeValue: 'string' } },
    output: NOTHING,
  },
  Publish: {
    input: {
      required: MESSAGE.required,
      optional: { ...MESSAGE.optional, TopicArn: 'string', TargetArn: 'string', PhoneNumber: 'string' },
    },
    output: { required: { MessageId: 'string' } },
  },
  PublishBatch: {
    input: {
      required: {
        ...TOPIC,
        PublishBatchRequestEntries: {
          list: { required: { Id: 'string', ...MESSAGE.required }, optional: MESSAGE.optional },
          item: 'member',
        },
      },
    },
    output: {
      required: {
        Successful: { list: { required: { Id: 'string', MessageId: 'string' } }, item: 'member' },
        Failed: {
          list: {
            required: { Id: 'string', Code: 'string', SenderFault: 'boolean' },
            optional: { Message: 'string' },
          },
          item: 'member',
        },
      },
    },
  },
  TagResource: { input: { required: { ResourceArn: 'string', Tags: TAGS } }, output: NOTHING },
  UntagResource: {
    input: { required: { ResourceArn: 'string', TagKeys: { list: 'string', item: 'member' } } },
    output: NOTHING,
  },
  ListTagsForResource: {
    input: { required: { ResourceArn: 'string' } },
    output: { required: { Tags: TAGS } },
  },
} as const satisfies Readonly<Record<string, { readonly input: Structure; readonly output: Structure }>>;

export type Action = keyof typeof SHAPES;

export function isAction(name: string): name is Action {
  return Object.hasOwn(SHAPES, name);
}
