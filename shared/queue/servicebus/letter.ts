/** What a message of ours says beside its body: who it is, since when it waits, and how often it was tried before. */

import type { DeadLetterOptions, ServiceBusMessage, ServiceBusReceivedMessage } from '@azure/service-bus';
import type { DeadLetter } from '../queue.ts';

export interface Letter {
  readonly id: string;
  readonly body: string;
  readonly sentAt: number;
  /** Of the copies before this one. */
  readonly attempts: number;
}

/** Service Bus moves no message to a later hour and counts each copy anew: the copies carry what belongs to all of them. */
const ID = 'triplicate-id';
const SENT_AT = 'triplicate-sent-at';
const ATTEMPTS = 'triplicate-attempts';
const DEAD_AT = 'triplicate-dead-at';
const DEAD_ATTEMPTS = 'triplicate-dead-attempts';
const REASON = 'triplicate-reason';
/** Service Bus keeps no more of a reason in its own place. */
const REASON_MAX = 1024;

type Received = Pick<
  ServiceBusReceivedMessage,
  | 'applicationProperties'
  | 'body'
  | 'messageId'
  | 'enqueuedTimeUtc'
  | 'deliveryCount'
  | 'deadLetterReason'
  | 'sequenceNumber'
>;

/** Every copy has a message id of its own: else a queue that looks for duplicates would drop it. */
export function toMessage({ id, body, sentAt, attempts }: Letter, messageId: string): ServiceBusMessage {
  const applicationProperties = { [ID]: id, [SENT_AT]: sentAt, [ATTEMPTS]: attempts };
  return { body: Buffer.from(body), messageId, contentType: 'text/plain; charset=utf-8', applicationProperties };
}

/** Of anybody: what others sent, Event Grid say, has no properties of ours. */
export function readLetter(message: Received): Letter {
  const { [ID]: id, [SENT_AT]: sentAt, [ATTEMPTS]: attempts } = message.applicationProperties ?? {};
  return {
    id: typeof id === 'string' ? id : String(message.messageId ?? message.sequenceNumber ?? ''),
    body: textOf(message.body),
    sentAt: typeof sentAt === 'number' ? sentAt : (message.enqueuedTimeUtc?.getTime() ?? 0),
    attempts: typeof attempts === 'number' ? attempts : 0,
  };
}

/** The number of this attempt, 1 the first time. */
export function attemptOf(message: Received): number {
  return readLetter(message).attempts + (message.deliveryCount ?? 0) + 1;
}

type Death = DeadLetterOptions & { readonly [property: string]: string | number };

export function toDeath(message: Received, reason: string, at: number): Death {
  return {
    deadLetterReason: reason.slice(0, REASON_MAX).toWellFormed(),
    deadLetterErrorDescription: '',
    [ID]: readLetter(message).id,
    [SENT_AT]: readLetter(message).sentAt,
    [DEAD_AT]: at,
    [DEAD_ATTEMPTS]: attemptOf(message),
    [REASON]: reason,
  };
}

/** Also what Service Bus set aside itself, after too many deliveries. */
export function readDeadLetter(message: Received): DeadLetter {
  const { [DEAD_AT]: deadAt, [DEAD_ATTEMPTS]: attempts, [REASON]: reason } = message.applicationProperties ?? {};
  const { id, body, attempts: before } = readLetter(message);
  return {
    id,
    body,
    reason: typeof reason === 'string' ? reason : (message.deadLetterReason ?? ''),
    attempts: typeof attempts === 'number' ? attempts : before + (message.deliveryCount ?? 0),
    deadAt: typeof deadAt === 'number' ? deadAt : (message.enqueuedTimeUtc?.getTime() ?? 0),
  };
}

function textOf(body: unknown): string {
  if (typeof body === 'string') return body;
  if (body instanceof Uint8Array) return Buffer.from(body).toString('utf8');
  return JSON.stringify(body) ?? '';
}
