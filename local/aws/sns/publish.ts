/** Brings messages to those who subscribed: into queues, and to addresses that are called. */

import { randomUUID } from 'node:crypto';
import type { Message } from '../../delivery.ts';
import type { Cloud } from '../../service.ts';
import { AwsError } from '../query/error.ts';
import { writeDelivered } from '../sqs/delivered.ts';
import { checkMessageAttributes, type MessageAttributes, sizeOf } from '../sqs/message.ts';
import { wrap } from './envelope.ts';
import { invalidParameter, snsError } from './errors.ts';
import { type FilterPolicy, wantsAttributes, wantsBody } from './filter.ts';
import type { SignatureVersion, Signer } from './signing.ts';
import type { Subscription, Topic, Topics } from './topics.ts';

export interface Published {
  readonly Message: string;
  readonly Subject?: string;
  readonly MessageStructure?: string;
  readonly MessageAttributes?: MessageAttributes;
  readonly MessageDeduplicationId?: string;
  readonly MessageGroupId?: string;
}

export interface Publishing {
  /** Answers the id of the message when it is durable. */
  publish(topic: Topic, message: Published): Promise<string>;
  /** Asks an address whether it wants what it was subscribed to. */
  askToConfirm(subscription: Subscription): Promise<void>;
}

export const MESSAGE_BYTES_MAX = 262_144;
const SUBJECT = /^[^\p{Cc}]{1,100}$/u;
const ANSWER_MS_MAX = 15_000;
/** Deliveries to addresses that are called; the rest of the target is the ARN of the subscription. */
const CALLED = 'sns-endpoint:';

/** `origin` is where this SNS answers, which is known once it listens. */
export function openPublishing(
  cloud: Cloud,
  topics: Topics,
  signer: () => Promise<Signer>,
  origin: () => string,
): Publishing {
  async function publish(topic: Topic, message: Published): Promise<string> {
    const texts = check(message);
    const { Subject: subject, MessageAttributes: attributes = {} } = message;
    const messageId = randomUUID();
    const letterOf = (protocol: string) => ({
      type: 'Notification' as const,
      messageId,
      topicArn: topic.arn,
      message: texts[protocol] ?? texts.default ?? '',
      at: cloud.now(),
      version: versionOf(topic),
      attributes,
      ...(subject === undefined ? {} : { subject }),
    });
    const key = topics.subscriptions(topic.arn).some((it) => !isRaw(it)) ? await signer() : null;
    cloud.state.db.transaction(() => {
      for (const subscription of topics.subscriptions(topic.arn)) {
        const { arn, protocol, endpoint, confirmed } = subscription;
        const letter = letterOf(protocol);
        if (!confirmed || !wants(subscription, letter.message, attributes)) continue;
        const raw = isRaw(subscription);
        if (!raw && key === null) continue;
        const body =
          raw || key === null ? letter.message : wrap(letter, { origin: origin(), subscriptionArn: arn }, key);
        if (protocol === 'sqs')
          cloud.delivery.send('sns', { target: endpoint, body, attributes: raw ? writeDelivered(attributes) : {} });
        else cloud.delivery.send('sns', toCall(subscription, body, letter.type, messageId, raw));
      }
    });
    return messageId;
  }

  async function call({ target, body, attributes }: Message): Promise<void> {
    const subscription = topics.findSubscription(target.slice(CALLED.length));
    // Whoever has left since does not want it any more.
    if (subscription === undefined) return;
    const response = await fetch(subscription.endpoint, {
      method: 'POST',
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
      headers: {
        'Content-Type': 'text/plain; charset=UTF-8',
        'User-Agent': 'Amazon Simple Notification Service Agent',
        ...attributes,
      },
    });
    await response.arrayBuffer();
    const { status } = response;
    if (status >= 500 || status === 429) throw new Error(`${subscription.endpoint} answered ${status}`);
    // An address that refuses a message is not asked again.
    if (status >= 300) cloud.report(`aws sns: ${subscription.endpoint} refused a message with ${status}`);
  }

  cloud.delivery.to(CALLED, call);
  cloud.delivery.to('arn:aws:sns:', async ({ target, body, attributes }) => {
    const { Subject, ...others } = attributes;
    const typed = Object.entries(others).map(([name, text]) => [name, { DataType: 'String', StringValue: text }]);
    await publish(topics.get(target), {
      Message: body,
      MessageAttributes: Object.fromEntries(typed),
      ...(Subject === undefined ? {} : { Subject }),
    });
  });

  return {
    publish,
    async askToConfirm(subscription) {
      const { topicArn, token } = subscription;
      const messageId = randomUUID();
      const message =
        `You have chosen to subscribe to the topic ${topicArn}.\n` +
        'To confirm the subscription, visit the SubscribeURL included in this message.';
      const version = versionOf(topics.get(topicArn));
      const type = 'SubscriptionConfirmation';
      const letter = { type, messageId, topicArn, message, at: cloud.now(), version, token } as const;
      const body = wrap(letter, { origin: origin() }, await signer());
      cloud.state.db.transaction(() => cloud.delivery.send('sns', toCall(subscription, body, type, messageId, false)));
    },
  };
}

/** Throws what SNS refuses; answers the text for each protocol, or the one for all of them. */
export function check(message: Published): Readonly<Record<string, string>> {
  const { Message: text, Subject: subject, MessageStructure: structure, MessageAttributes: attributes = {} } = message;
  if (text === '') throw invalidParameter('Empty message');
  if (!text.isWellFormed()) throw invalidParameter('Message');
  if (sizeOf(text, attributes) > MESSAGE_BYTES_MAX) throw invalidParameter('Message too long');
  if (subject !== undefined && !SUBJECT.test(subject)) throw invalidParameter('Subject');
  if (message.MessageDeduplicationId !== undefined)
    throw invalidParameter(
      'MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type',
    );
  try {
    checkMessageAttributes(attributes);
  } catch (error) {
    throw error instanceof AwsError ? snsError('ParameterValueInvalid', error.message) : error;
  }
  if (structure === undefined || structure === '') return { default: text };
  if (structure !== 'json') throw invalidParameter('MessageStructure');
  return readTexts(text);
}

function readTexts(text: string): Readonly<Record<string, string>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalidParameter('Message Structure - JSON message body failed to parse');
  }
  const texts = Object.entries(Object(value)).filter((it): it is [string, string] => typeof it[1] === 'string');
  if (!texts.some(([name]) => name === 'default'))
    throw invalidParameter('Message Structure - No default entry in JSON message body');
  return Object.fromEntries(texts);
}

function wants({ attributes }: Subscription, body: string, given: MessageAttributes): boolean {
  const { FilterPolicy: text = '', FilterPolicyScope: scope } = attributes;
  if (text === '') return true;
  const policy: FilterPolicy = JSON.parse(text);
  return scope === 'MessageBody' ? wantsBody(policy, body) : wantsAttributes(policy, given);
}

function isRaw({ attributes }: Subscription): boolean {
  return attributes.RawMessageDelivery === 'true';
}

function versionOf({ attributes }: Topic): SignatureVersion {
  return attributes.SignatureVersion === '2' ? '2' : '1';
}

/** The attributes of this delivery are the headers of the call. */
function toCall({ arn, topicArn }: Subscription, body: string, type: string, id: string, raw: boolean): Message {
  const attributes = {
    'x-amz-sns-message-type': type,
    'x-amz-sns-message-id': id,
    'x-amz-sns-topic-arn': topicArn,
    ...(type === 'Notification' ? { 'x-amz-sns-subscription-arn': arn } : {}),
    ...(raw ? { 'x-amz-sns-rawdelivery': 'true' } : {}),
  };
  return { target: CALLED + arn, body, attributes };
}
