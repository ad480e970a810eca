/** What SNS wraps a message in, signed so that whoever receives it can check where it came from. */

import type { MessageAttributes } from '../sqs/message.ts';
import type { SignatureVersion, Signer } from './signing.ts';

export interface Letter {
  readonly type: 'Notification' | 'SubscriptionConfirmation';
  readonly messageId: string;
  readonly topicArn: string;
  readonly message: string;
  readonly subject?: string;
  readonly at: number;
  readonly version: SignatureVersion;
  readonly attributes?: MessageAttributes;
  /** Of a confirmation. */
  readonly token?: string;
}

export interface Addresses {
  /** Where this SNS answers. */
  readonly origin: string;
  /** Left out in a confirmation. */
  readonly subscriptionArn?: string;
}

/** What is signed, in the order of the alphabet, each with its name before it. */
const SIGNED: Readonly<Record<Letter['type'], readonly string[]>> = {
  Notification: ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'],
  SubscriptionConfirmation: ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'],
};

export function wrap(letter: Letter, { origin, subscriptionArn }: Addresses, signer: Signer): string {
  const { type, token, subject, attributes = {} } = letter;
  const confirm = { Action: 'ConfirmSubscription', TopicArn: letter.topicArn, Token: token ?? '' };
  const head: Readonly<Record<string, string>> = {
    Type: type,
    MessageId: letter.messageId,
    ...(token === undefined ? {} : { Token: token }),
    TopicArn: letter.topicArn,
    ...(subject === undefined ? {} : { Subject: subject }),
    Message: letter.message,
    ...(token === undefined ? {} : { SubscribeURL: `${origin}/?${new URLSearchParams(confirm)}` }),
    Timestamp: new Date(letter.at).toISOString(),
    SignatureVersion: letter.version,
  };
  const text = SIGNED[type]
    .filter((name) => head[name] !== undefined)
    .map((name) => `${name}\n${head[name]}\n`)
    .join('');
  const leave = new URLSearchParams({ Action: 'Unsubscribe', SubscriptionArn: subscriptionArn ?? '' });
  const told = Object.entries(attributes).map(([name, { DataType, StringValue, BinaryValue }]) => [
    name,
    { Type: DataType, Value: BinaryValue ?? StringValue },
  ]);
  return JSON.stringify({
    ...head,
    Signature: signer.sign(text, letter.version),
    SigningCertURL: `${origin}/SimpleNotificationService-${signer.id}.pem`,
    ...(subscriptionArn === undefined ? {} : { UnsubscribeURL: `${origin}/?${leave}` }),
    ...(told.length === 0 ? {} : { MessageAttributes: Object.fromEntries(told) }),
  });
}
