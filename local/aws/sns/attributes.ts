/** The attributes of topics and subscriptions: what each takes, and what is told of them. */

import { ACCOUNT } from '../account.ts';
import { invalidParameter } from './errors.ts';
import { problemOf } from './filter.ts';
import type { Subscription, Texts, Topic } from './topics.ts';

type Check = (value: string) => string | null;

/** null: the value is taken; else what is wrong with it. */
const TOPIC: Readonly<Record<string, Check>> = {
  DisplayName: (value) => (value.length <= 100 ? null : 'must be at most 100 characters long'),
  KmsMasterKeyId: () => null,
  Policy: (value) => (value === '' || readObject(value) !== null ? null : 'failed to parse JSON'),
  SignatureVersion: oneOf('1', '2'),
  TracingConfig: oneOf('PassThrough', 'Active'),
};

const SUBSCRIPTION: Readonly<Record<string, Check>> = {
  FilterPolicy(value) {
    if (value === '') return null;
    const policy = readObject(value);
    return policy === null ? 'failed to parse JSON' : problemOf(policy);
  },
  FilterPolicyScope: oneOf('MessageAttributes', 'MessageBody'),
  RawMessageDelivery: (value) =>
    /^(true|false)$/i.test(value) ? null : `Invalid value [${value}]. Must be true or false.`,
};

export function readTopicAttributes(given: Texts): Texts {
  return read(TOPIC, given, 'Attributes Reason: ');
}

/** `place` stands before what is wrong. */
export function readSubscriptionAttributes(given: Texts, place: string): Texts {
  const { RawMessageDelivery: raw, ...others } = read(SUBSCRIPTION, given, place);
  return raw === undefined ? others : { ...others, RawMessageDelivery: raw.toLowerCase() };
}

export function toTopicAttributes({ arn, attributes }: Topic, subscriptions: readonly Subscription[]): Texts {
  const confirmed = subscriptions.filter((it) => it.confirmed).length;
  return {
    DisplayName: '',
    SignatureVersion: '1',
    Policy: JSON.stringify(policyOf(arn)),
    ...withoutEmpty(attributes),
    TopicArn: arn,
    Owner: ACCOUNT,
    EffectiveDeliveryPolicy: '{"http":{"defaultHealthyRetryPolicy":{}}}',
    SubscriptionsConfirmed: String(confirmed),
    SubscriptionsPending: String(subscriptions.length - confirmed),
    SubscriptionsDeleted: '0',
  };
}

export function toSubscriptionAttributes(subscription: Subscription): Texts {
  const { attributes, confirmed } = subscription;
  return {
    RawMessageDelivery: 'false',
    ...(attributes.FilterPolicy ? { FilterPolicyScope: 'MessageAttributes' } : {}),
    ...withoutEmpty(attributes),
    SubscriptionArn: subscription.arn,
    TopicArn: subscription.topicArn,
    Protocol: subscription.protocol,
    Endpoint: subscription.endpoint,
    Owner: ACCOUNT,
    PendingConfirmation: String(!confirmed),
    ConfirmationWasAuthenticated: String(subscription.protocol === 'sqs'),
    SubscriptionPrincipal: `arn:aws:iam::${ACCOUNT}:root`,
  };
}

function read(checks: Readonly<Record<string, Check>>, given: Texts, place: string): Texts {
  for (const [name, value] of Object.entries(given)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (check === undefined) throw invalidParameter('AttributeName');
    const wrong = check(value);
    if (wrong !== null) throw invalidParameter(`${place}${name}: ${wrong}`);
  }
  return { ...given };
}

function oneOf(...values: readonly string[]): Check {
  return (value) => (values.includes(value) ? null : `Invalid value [${value}]. Must be ${values.join(' or ')}.`);
}

function withoutEmpty(attributes: Texts): Texts {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== ''));
}

function policyOf(arn: string): unknown {
  const Condition = { StringEquals: { 'AWS:SourceOwner': ACCOUNT } };
  const allowed = { Sid: 'owner', Effect: 'Allow', Principal: { AWS: '*' }, Action: 'SNS:*', Resource: arn, Condition };
  return { Version: '2008-10-17', Id: 'owner', Statement: [allowed] };
}

function readObject(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
