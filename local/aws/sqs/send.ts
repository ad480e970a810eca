/** Puts messages into queues: checked, numbered, and in a FIFO queue only once within five minutes. */

import { createHash, randomUUID } from 'node:crypto';
import type { Cloud } from '../../service.ts';
import { invalidParameter, sqsError } from './errors.ts';
import {
  checkBody,
  checkId,
  checkMessageAttributes,
  checkSystemAttributes,
  type MessageAttributes,
  md5Of,
  md5OfAttributes,
  sizeOf,
} from './message.ts';
import type { QueueRecord } from './queues.ts';

export interface Outgoing {
  readonly MessageBody: string;
  readonly DelaySeconds?: number;
  readonly MessageAttributes?: MessageAttributes;
  readonly MessageSystemAttributes?: MessageAttributes;
  readonly MessageDeduplicationId?: string;
  readonly MessageGroupId?: string;
}

export interface Sent {
  readonly MessageId: string;
  readonly MD5OfMessageBody: string;
  readonly MD5OfMessageAttributes?: string;
  readonly MD5OfMessageSystemAttributes?: string;
  readonly SequenceNumber?: string;
}

const DELAY_SECONDS_MAX = 900;
const SEEN_MS = 5 * 60_000;

/** Throws what SQS refuses; `wake` is called when the message is there. */
export function send(cloud: Cloud, queue: QueueRecord, message: Outgoing, wake: () => void): Sent {
  const { db } = cloud.state;
  const { MessageBody: body, MessageAttributes: attributes = {}, MessageSystemAttributes: system = {} } = message;
  check(queue, message);
  const delaySeconds = delayOf(queue, message.DelaySeconds);
  const group = message.MessageGroupId ?? null;
  const deduplicationId = deduplicationIdOf(queue, message);
  return db.transaction(() => {
    const now = cloud.now();
    const answer = (messageId: string, sequence: number): Sent => ({
      MessageId: messageId,
      MD5OfMessageBody: md5Of(body),
      ...optional('MD5OfMessageAttributes', md5OfAttributes(attributes)),
      ...optional('MD5OfMessageSystemAttributes', md5OfAttributes(system)),
      ...(queue.fifo ? { SequenceNumber: sequenceNumber(sequence) } : {}),
    });
    const seenAs =
      queue.attributes.DeduplicationScope === 'messageGroup' ? `${group}/${deduplicationId}` : deduplicationId;
    if (queue.fifo) {
      db.run('DELETE FROM sqs_seen WHERE queue = ? AND at <= ?', queue.id, now - SEEN_MS);
      const seen = db.get<{ message_id: string; sequence: number }>(
        'SELECT message_id, sequence FROM sqs_seen WHERE queue = ? AND deduplication_id = ?',
        queue.id,
        seenAs,
      );
      if (seen !== undefined) return answer(seen.message_id, seen.sequence);
    }
    const messageId = randomUUID();
    const { rowId } = db.run(
      `INSERT INTO sqs_messages
         (queue, message_id, body, attributes, system, sent_at, visible_at, group_id, deduplication_id)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      queue.id,
      messageId,
      body,
      JSON.stringify(attributes),
      JSON.stringify(system),
      now,
      now + delaySeconds * 1000,
      group,
      queue.fifo ? deduplicationId : null,
    );
    if (queue.fifo) db.run('INSERT INTO sqs_seen VALUES (?, ?, ?, ?, ?)', queue.id, seenAs, messageId, rowId, now);
    db.afterCommit(wake);
    return answer(messageId, rowId);
  });
}

/** Grows within a queue; twenty digits, as SQS has them. */
export function sequenceNumber(row: number): string {
  return String(row).padStart(20, '0');
}

function check(queue: QueueRecord, message: Outgoing): void {
  const { MessageBody: body, MessageAttributes: attributes = {}, MessageSystemAttributes: system = {} } = message;
  checkBody(body);
  checkMessageAttributes(attributes);
  checkSystemAttributes(system);
  const bytesMax = Number(queue.attributes.MaximumMessageSize);
  if (sizeOf(body, attributes) > bytesMax)
    throw sqsError(
      'InvalidParameterValue',
      `One or more parameters are invalid. Reason: Message must be shorter than ${bytesMax} bytes.`,
    );
  if (message.MessageGroupId !== undefined) checkId(message.MessageGroupId, 'MessageGroupId');
  if (message.MessageDeduplicationId !== undefined) {
    checkId(message.MessageDeduplicationId, 'MessageDeduplicationId');
    if (!queue.fifo) throw notForThisType(message.MessageDeduplicationId, 'MessageDeduplicationId');
  }
  if (queue.fifo && message.MessageGroupId === undefined)
    throw sqsError('MissingParameter', 'The request must contain the parameter MessageGroupId.');
}

function delayOf(queue: QueueRecord, delaySeconds: number | undefined): number {
  if (delaySeconds === undefined) return Number(queue.attributes.DelaySeconds);
  if (delaySeconds < 0 || delaySeconds > DELAY_SECONDS_MAX)
    throw invalidParameter(delaySeconds, 'DelaySeconds', `DelaySeconds must be >= 0 and <= ${DELAY_SECONDS_MAX}.`);
  if (queue.fifo && delaySeconds !== 0) throw notForThisType(delaySeconds, 'DelaySeconds');
  return queue.fifo ? Number(queue.attributes.DelaySeconds) : delaySeconds;
}

function deduplicationIdOf(queue: QueueRecord, message: Outgoing): string {
  if (!queue.fifo) return '';
  if (message.MessageDeduplicationId !== undefined) return message.MessageDeduplicationId;
  if (queue.attributes.ContentBasedDeduplication !== 'true')
    throw sqsError(
      'InvalidParameterValue',
      'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
    );
  return createHash('sha256').update(message.MessageBody).digest('hex');
}

function notForThisType(value: unknown, parameter: string) {
  return invalidParameter(value, parameter, 'The request include parameter that is not valid for this queue type.');
}

function optional<K extends string>(name: K, value: string | undefined): { readonly [P in K]?: string } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [P in K]?: string };
}
