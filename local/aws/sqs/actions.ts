/** The calls of SQS, each as a function of what it is given. */

import type { Cloud } from '../../service.ts';
import type { Value } from '../query/shape.ts';
import { invalidParameter, sqsError, toSqsError } from './errors.ts';
import { chosenAttributes, type MessageAttributes, md5Of, md5OfAttributes, sizeOf } from './message.ts';
import { openMoves } from './moves.ts';
import { pathOf } from './names.ts';
import { openQueues, type QueueRecord, type Queues } from './queues.ts';
import { openReceiving, type Received, VISIBILITY_SECONDS_MAX } from './receive.ts';
import { type Outgoing, type Sent, send } from './send.ts';
import type { Action, SHAPES } from './shapes.ts';
import { openWaiting } from './waiting.ts';

export type Input<A extends Action> = Value<(typeof SHAPES)[A]['input']>;
export type Output<A extends Action> = Value<(typeof SHAPES)[A]['output']>;

/** Who asks. */
export interface Caller {
  /** Under which address this endpoint was called: http://127.0.0.1:4566. */
  readonly origin: string;
  /** Aborted when the caller hangs up. */
  readonly signal: AbortSignal;
}

export type Actions = {
  readonly [A in Action]: (input: Input<A>, caller: Caller) => Output<A> | Promise<Output<A>>;
};

export interface Sqs {
  readonly actions: Actions;
  readonly queues: Queues;
  send(queue: QueueRecord, message: Outgoing): Sent;
  stop(): void;
}

const BATCH_MAX = 10;
const BATCH_BYTES_MAX = 1_048_576;
const RECEIVE_MAX = 10;
const WAIT_SECONDS_MAX = 20;
const PAGE_MAX = 1_000;

export function openSqs(cloud: Cloud): Sqs {
  const waiting = openWaiting();
  const queues = openQueues(cloud);
  const receiving = openReceiving(cloud, queues, waiting.wake);
  const moves = openMoves(cloud, queues, waiting.wake);
  const urlOf = (queue: QueueRecord, { origin }: Caller) => origin + pathOf(queue.name);
  const put = (queue: QueueRecord, message: Outgoing) => send(cloud, queue, message, () => waiting.wake(queue.id));

  const actions: Actions = {
    CreateQueue: ({ QueueName, Attributes = {}, tags = {} }, caller) => ({
      QueueUrl: urlOf(queues.create(QueueName, Attributes, tags), caller),
    }),
    GetQueueUrl: ({ QueueName }, caller) => ({ QueueUrl: urlOf(queues.byName(QueueName), caller) }),
    ListQueues({ QueueNamePrefix = '', ...page }, caller) {
      const names = queues.all().filter(({ name }) => name.startsWith(QueueNamePrefix));
      const { items, ...next } = pageOf(names, page);
      return { ...(items.length === 0 ? {} : { QueueUrls: items.map((it) => urlOf(it, caller)) }), ...next };
    },
    ListDeadLetterSourceQueues({ QueueUrl, ...page }, caller) {
      const { items, ...next } = pageOf(queues.sourcesOf(queues.byUrl(QueueUrl)), page);
      return { queueUrls: items.map((it) => urlOf(it, caller)), ...next };
    },
    GetQueueAttributes({ QueueUrl, AttributeNames = [] }) {
      const attributes = queues.describe(queues.byUrl(QueueUrl), AttributeNames);
      return Object.keys(attributes).length === 0 ? {} : { Attributes: attributes };
    },
    SetQueueAttributes({ QueueUrl, Attributes }) {
      queues.change(queues.byUrl(QueueUrl), Attributes);
      return {};
    },
    DeleteQueue({ QueueUrl }) {
      const queue = queues.byUrl(QueueUrl);
      queues.remove(queue);
      waiting.wake(queue.id);
      return {};
    },
    PurgeQueue({ QueueUrl }) {
      queues.purge(queues.byUrl(QueueUrl));
      return {};
    },
    TagQueue({ QueueUrl, Tags }) {
      queues.tag(queues.byUrl(QueueUrl), Tags);
      return {};
    },
    UntagQueue({ QueueUrl, TagKeys }) {
      queues.untag(queues.byUrl(QueueUrl), TagKeys);
      return {};
    },
    ListQueueTags({ QueueUrl }) {
      const { tags } = queues.byUrl(QueueUrl);
      return Object.keys(tags).length === 0 ? {} : { Tags: tags };
    },
    SendMessage: ({ QueueUrl, ...message }) => put(queues.byUrl(QueueUrl), message),
    SendMessageBatch({ QueueUrl, Entries }) {
      const queue = queues.byUrl(QueueUrl);
      checkBatch('SendMessage', Entries);
      const bytes = Entries.reduce((sum, it) => sum + sizeOf(it.MessageBody, it.MessageAttributes ?? {}), 0);
      if (bytes > BATCH_BYTES_MAX)
        throw sqsError(
          'BatchRequestTooLong',
          `Batch requests cannot be longer than ${BATCH_BYTES_MAX} bytes. You have sent ${bytes} bytes.`,
        );
      return cloud.state.db.transaction(() =>
        eachOf(Entries, ({ Id, ...message }) => ({ Id, ...put(queue, message) })),
      );
    },
    async ReceiveMessage(input, { signal }) {
      const queue = queues.byUrl(input.QueueUrl);
      const max = within(input.MaxNumberOfMessages ?? 1, 'MaxNumberOfMessages', 1, RECEIVE_MAX);
      const { attributes } = queue;
      const visibility = within(
        input.VisibilityTimeout ?? Number(attributes.VisibilityTimeout),
        'VisibilityTimeout',
        0,
        VISIBILITY_SECONDS_MAX,
      );
      const waitSeconds = input.WaitTimeSeconds ?? Number(attributes.ReceiveMessageWaitTimeSeconds);
      if (waitSeconds < 0 || waitSeconds > WAIT_SECONDS_MAX)
        throw invalidParameter(waitSeconds, 'WaitTimeSeconds', `Must be >= 0 and <= ${WAIT_SECONDS_MAX}, if provided.`);
      const attempt = () => {
        // It may have been changed, or deleted, while the caller waited.
        const now = queues.find(queue.name);
        if (now?.id !== queue.id) return [];
        const received = receiving.receive(now, max, visibility);
        return received.length === 0 ? null : received;
      };
      const how = { attempt, next: () => receiving.nextIn(queue) };
      const received = (await waiting.wait(queue.id, waitSeconds * 1000, how, signal)) ?? [];
      return received.length === 0 ? {} : { Messages: received.map((it) => toMessage(it, input)) };
    },
    DeleteMessage({ QueueUrl, ReceiptHandle }) {
      receiving.remove(queues.byUrl(QueueUrl), ReceiptHandle);
      return {};
    },
    DeleteMessageBatch({ QueueUrl, Entries }) {
      const queue = queues.byUrl(QueueUrl);
      checkBatch('DeleteMessage', Entries);
      return eachOf(Entries, ({ Id, ReceiptHandle }) => {
        receiving.remove(queue, ReceiptHandle);
        return { Id };
      });
    },
    ChangeMessageVisibility({ QueueUrl, ReceiptHandle, VisibilityTimeout }) {
      receiving.changeVisibility(queues.byUrl(QueueUrl), ReceiptHandle, VisibilityTimeout);
      return {};
    },
    ChangeMessageVisibilityBatch({ QueueUrl, Entries }) {
      const queue = queues.byUrl(QueueUrl);
      checkBatch('ChangeMessageVisibility', Entries);
      return eachOf(Entries, ({ Id, ReceiptHandle, VisibilityTimeout }) => {
        const seconds = VisibilityTimeout ?? Number(queue.attributes.VisibilityTimeout);
        receiving.changeVisibility(queue, ReceiptHandle, seconds);
        return { Id };
      });
    },
    StartMessageMoveTask: ({ SourceArn, DestinationArn, MaxNumberOfMessagesPerSecond }) => ({
      TaskHandle: moves.start(SourceArn, DestinationArn, MaxNumberOfMessagesPerSecond),
    }),
    ListMessageMoveTasks: ({ SourceArn, MaxResults = 1 }) => ({ Results: moves.list(SourceArn, MaxResults) }),
    CancelMessageMoveTask: ({ TaskHandle }) => ({ ApproximateNumberOfMessagesMoved: moves.cancel(TaskHandle) }),
  };

  return {
    actions,
    queues,
    send: put,
    stop() {
      waiting.stop();
      moves.stop();
    },
  };
}

type Asked = Pick<Input<'ReceiveMessage'>, 'AttributeNames' | 'MessageSystemAttributeNames' | 'MessageAttributeNames'>;

function toMessage(received: Received, { AttributeNames = [], ...asked }: Asked) {
  const names = [...AttributeNames, ...(asked.MessageSystemAttributeNames ?? [])];
  const system = Object.entries(received.system).filter(([name]) => names.includes('All') || names.includes(name));
  const attributes: MessageAttributes = chosenAttributes(received.attributes, asked.MessageAttributeNames ?? []);
  const md5 = md5OfAttributes(attributes);
  return {
    MessageId: received.messageId,
    ReceiptHandle: received.receiptHandle,
    MD5OfBody: md5Of(received.body),
    Body: received.body,
    ...(system.length === 0 ? {} : { Attributes: Object.fromEntries(system) }),
    ...(md5 === undefined ? {} : { MD5OfMessageAttributes: md5, MessageAttributes: attributes }),
  };
}

/** Each entry stands for itself: what is refused does not keep the others from happening. */
function eachOf<E extends { readonly Id: string }, D>(entries: readonly E[], run: (entry: E) => D) {
  const Successful: D[] = [];
  const Failed: { Id: string; SenderFault: boolean; Code: string; Message: string }[] = [];
  for (const entry of entries) {
    try {
      Successful.push(run(entry));
    } catch (error) {
      const { kind, message } = toSqsError(error);
      if (kind.status >= 500) throw error;
      Failed.push({ Id: entry.Id, SenderFault: true, Code: kind.code, Message: message });
    }
  }
  return { Successful, Failed };
}

function checkBatch(call: string, entries: readonly { readonly Id: string }[]): void {
  if (entries.length === 0)
    throw sqsError('EmptyBatchRequest', `There should be at least one ${call}BatchRequestEntry in the request.`);
  if (entries.length > BATCH_MAX)
    throw sqsError(
      'TooManyEntriesInBatchRequest',
      `Maximum number of entries per request are ${BATCH_MAX}. You have sent ${entries.length}.`,
    );
  const seen = new Set<string>();
  for (const { Id } of entries) {
    if (!/^[\w-]{1,80}$/.test(Id))
      throw sqsError(
        'InvalidBatchEntryId',
        'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.',
      );
    if (seen.has(Id)) throw sqsError('BatchEntryIdsNotDistinct', `Id ${Id} repeated.`);
    seen.add(Id);
  }
}

function within(value: number, parameter: string, min: number, max: number): number {
  if (value < min || value > max)
    throw invalidParameter(value, parameter, `Must be between ${min} and ${max}, if provided.`);
  return value;
}

/** A token is the name after which the next page begins. */
function pageOf(
  all: readonly QueueRecord[],
  { NextToken, MaxResults }: { readonly NextToken?: string; readonly MaxResults?: number },
): { readonly items: readonly QueueRecord[]; readonly NextToken?: string } {
  const max = within(MaxResults ?? PAGE_MAX, 'MaxResults', 1, PAGE_MAX);
  const after = NextToken === undefined ? '' : Buffer.from(NextToken, 'base64').toString();
  const rest = all.filter(({ name }) => name > after);
  const items = rest.slice(0, max);
  const last = items.at(-1);
  // Without MaxResults SQS gives the first thousand and no token.
  if (last === undefined || items.length === rest.length || MaxResults === undefined) return { items };
  return { items, NextToken: Buffer.from(last.name).toString('base64') };
}
