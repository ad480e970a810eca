/** The calls of SNS, each as a function of what it is given. */

import type { Cloud } from '../../service.ts';
import { ACCOUNT } from '../account.ts';
import { AwsError } from '../query/error.ts';
import type { Value } from '../query/shape.ts';
import { sizeOf } from '../sqs/message.ts';
import { isFifoName, readQueueArn } from '../sqs/names.ts';
import {
  readSubscriptionAttributes,
  readTopicAttributes,
  toSubscriptionAttributes,
  toTopicAttributes,
} from './attributes.ts';
import { invalidParameter, snsError } from './errors.ts';
import { MESSAGE_BYTES_MAX, type Publishing } from './publish.ts';
import type { Action, SHAPES } from './shapes.ts';
import { checkArn, type Subscription, type Texts, type Topic, type Topics, topicArnOf } from './topics.ts';

export type Input<A extends Action> = Value<(typeof SHAPES)[A]['input']>;
export type Output<A extends Action> = Value<(typeof SHAPES)[A]['output']>;

export type Actions = { readonly [A in Action]: (input: Input<A>) => Output<A> | Promise<Output<A>> };

const BATCH_MAX = 10;
const PAGE = 100;
const PENDING = 'pending confirmation';

export function openActions(cloud: Cloud, topics: Topics, publishing: Publishing): Actions {
  const { db } = cloud.state;

  function listed(all: readonly Subscription[], token: string | undefined) {
    const { items, ...next } = pageOf(all, token);
    const Subscriptions = items.map((it) => ({
      SubscriptionArn: it.confirmed ? it.arn : 'PendingConfirmation',
      Owner: ACCOUNT,
      Protocol: it.protocol,
      Endpoint: it.endpoint,
      TopicArn: it.topicArn,
    }));
    return { Subscriptions, ...next };
  }

  return {
    CreateTopic({ Name, Attributes = {}, Tags = [] }) {
      const attributes = readTopicAttributes(Attributes);
      if (Name.endsWith('.fifo')) throw invalidParameter('Topic Name Reason: the local cloud has no FIFO topics');
      const tags = Object.fromEntries(Tags.map(({ Key, Value: value = '' }) => [Key, value]));
      if (Object.keys(tags).length < Tags.length) throw invalidParameter('Duplicated keys are not allowed.');
      const present = topics.find(topicArnOf(Name));
      if (present === undefined) return { TopicArn: topics.create(Name, attributes, tags).arn };
      if (Object.entries(attributes).some(([name, value]) => (present.attributes[name] ?? '') !== value))
        throw invalidParameter('Attributes Reason: Topic already exists with different attributes');
      if (Object.entries(tags).some(([key, value]) => present.tags[key] !== value))
        throw invalidParameter('Tags Reason: Topic already exists with different tags');
      return { TopicArn: present.arn };
    },
    DeleteTopic({ TopicArn }) {
      topics.remove(TopicArn);
      return {};
    },
    ListTopics({ NextToken }) {
      const { items, ...next } = pageOf(topics.all(), NextToken);
      return { Topics: items.map(({ arn }) => ({ TopicArn: arn })), ...next };
    },
    GetTopicAttributes({ TopicArn }) {
      const topic = topics.get(TopicArn);
      return { Attributes: toTopicAttributes(topic, topics.subscriptions(topic.arn)) };
    },
    SetTopicAttributes({ TopicArn, AttributeName, AttributeValue = '' }) {
      const topic = topics.get(TopicArn);
      const changed = readTopicAttributes({ [AttributeName]: AttributeValue });
      topics.update(topic, { attributes: { ...topic.attributes, ...changed } });
      return {};
    },
    async Subscribe({ TopicArn, Protocol, Endpoint = '', Attributes = {}, ReturnSubscriptionArn = false }) {
      const topic = topics.get(TopicArn);
      checkEndpoint(Protocol, Endpoint);
      const attributes = readSubscriptionAttributes(Attributes, 'Attributes Reason: ');
      const subscription = db.transaction(() => {
        const of = topics.subscriptions(topic.arn);
        const present = of.find((it) => it.protocol === Protocol && it.endpoint === Endpoint);
        if (
          present !== undefined &&
          Object.entries(attributes).some(([name, value]) => present.attributes[name] !== value)
        )
          throw invalidParameter('Attributes Reason: Subscription already exists with different attributes');
        const wanted = { protocol: Protocol, endpoint: Endpoint, attributes, confirmed: Protocol === 'sqs' };
        return present ?? topics.subscribe(topic, wanted);
      });
      if (!subscription.confirmed) await publishing.askToConfirm(subscription);
      return { SubscriptionArn: subscription.confirmed || ReturnSubscriptionArn ? subscription.arn : PENDING };
    },
    ConfirmSubscription({ TopicArn, Token }) {
      const topic = topics.get(TopicArn);
      const subscription = topics.subscriptions(topic.arn).find((it) => it.token === Token);
      if (subscription === undefined) throw invalidParameter('Token');
      topics.updateSubscription(subscription.arn, { confirmed: true });
      return { SubscriptionArn: subscription.arn };
    },
    Unsubscribe({ SubscriptionArn }) {
      checkArn(SubscriptionArn, 'SubscriptionArn');
      if (SubscriptionArn.split(':').length < 7) throw invalidParameter('SubscriptionId');
      topics.removeSubscription(SubscriptionArn);
      return {};
    },
    ListSubscriptions: ({ NextToken }) => listed(topics.subscriptions(), NextToken),
    ListSubscriptionsByTopic: ({ TopicArn, NextToken }) =>
      listed(topics.subscriptions(topics.get(TopicArn).arn), NextToken),
    GetSubscriptionAttributes: ({ SubscriptionArn }) => ({
      Attributes: toSubscriptionAttributes(topics.subscription(SubscriptionArn)),
    }),
    SetSubscriptionAttributes({ SubscriptionArn, AttributeName, AttributeValue = '' }) {
      const { arn, attributes } = topics.subscription(SubscriptionArn);
      const changed = readSubscriptionAttributes({ [AttributeName]: AttributeValue }, '');
      topics.updateSubscription(arn, { attributes: { ...attributes, ...changed } });
      return {};
    },
    async Publish({ TopicArn, TargetArn, PhoneNumber, ...message }) {
      if (PhoneNumber !== undefined) throw invalidParameter('PhoneNumber Reason: the local cloud sends no SMS');
      const arn = TopicArn ?? TargetArn;
      if (arn === undefined) throw invalidParameter('TopicArn or TargetArn Reason: no value for required parameter');
      return { MessageId: await publishing.publish(topics.get(arn), message) };
    },
    async PublishBatch({ TopicArn, PublishBatchRequestEntries: entries }) {
      const topic = topics.get(TopicArn);
      checkBatch(entries);
      const Successful: { Id: string; MessageId: string }[] = [];
      const Failed: { Id: string; Code: string; SenderFault: boolean; Message: string }[] = [];
      for (const { Id, ...message } of entries) {
        try {
          Successful.push({ Id, MessageId: await publishing.publish(topic, message) });
        } catch (error) {
          if (!(error instanceof AwsError)) throw error;
          Failed.push({ Id, Code: error.kind.code, SenderFault: true, Message: error.message });
        }
      }
      return { Successful, Failed };
    },
    TagResource({ ResourceArn, Tags }) {
      const topic = topics.get(ResourceArn);
      const more = Object.fromEntries(Tags.map(({ Key, Value: value = '' }) => [Key, value]));
      topics.update(topic, { tags: { ...topic.tags, ...more } });
      return {};
    },
    UntagResource({ ResourceArn, TagKeys }) {
      const topic = topics.get(ResourceArn);
      topics.update(topic, { tags: without(topic, TagKeys) });
      return {};
    },
    ListTagsForResource: ({ ResourceArn }) => ({
      Tags: Object.entries(topics.get(ResourceArn).tags).map(([Key, value]) => ({ Key, Value: value })),
    }),
  };
}

function without({ tags }: Topic, keys: readonly string[]): Texts {
  return Object.fromEntries(Object.entries(tags).filter(([key]) => !keys.includes(key)));
}

/** What is local calls nobody far away. */
function checkEndpoint(protocol: string, endpoint: string): void {
  if (protocol === 'sqs') {
    const name = readQueueArn(endpoint);
    if (name === null) throw invalidParameter('SQS endpoint ARN');
    if (isFifoName(name))
      throw invalidParameter(
        'Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics',
      );
    return;
  }
  if (protocol !== 'http' && protocol !== 'https')
    throw invalidParameter(`Amazon SNS does not support this protocol string: ${protocol}`);
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  if (url === null || url.protocol !== `${protocol}:`)
    throw invalidParameter('Endpoint must match the specified protocol');
  if (!/^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname))
    throw invalidParameter('Endpoint Reason: the local cloud calls nobody outside of this machine');
}

function checkBatch(entries: Input<'PublishBatch'>['PublishBatchRequestEntries']): void {
  if (entries.length === 0) throw snsError('EmptyBatchRequest', "The batch request doesn't contain any entries.");
  if (entries.length > BATCH_MAX)
    throw snsError('TooManyEntriesInBatchRequest', 'The batch request contains more entries than permissible.');
  if (new Set(entries.map(({ Id }) => Id)).size < entries.length)
    throw snsError('BatchEntryIdsNotDistinct', 'Two or more batch entries in the request have the same Id.');
  for (const { Id } of entries) {
    if (Id.length > 80)
      throw snsError('InvalidBatchEntryId', `The Id of a batch entry in the batch request is too long: ${Id}`);
    if (!/^[\w-]+$/.test(Id))
      throw snsError(
        'InvalidBatchEntryId',
        `The Id of a batch entry in the batch request contains an impermissible character: ${Id}`,
      );
  }
  const bytes = entries.reduce((sum, it) => sum + sizeOf(it.Message, it.MessageAttributes ?? {}), 0);
  if (bytes > MESSAGE_BYTES_MAX)
    throw snsError('BatchRequestTooLong', 'The length of all the messages put together is more than the limit.');
}

/** A token is the ARN after which the next page begins. */
function pageOf<T extends { readonly arn: string }>(
  all: readonly T[],
  token: string | undefined,
): { readonly items: readonly T[]; readonly NextToken?: string } {
  const after = token === undefined ? '' : Buffer.from(token, 'base64').toString();
  const start = token === undefined ? 0 : all.findIndex(({ arn }) => arn === after) + 1;
  const items = all.slice(start, start + PAGE);
  const last = items.at(-1);
  if (last === undefined || start + PAGE >= all.length) return { items };
  return { items, NextToken: Buffer.from(last.arn).toString('base64') };
}
