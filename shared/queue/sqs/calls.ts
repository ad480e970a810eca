/** Calls SQS: one place where the SDK is opened, where every call gets its bound, and where its errors become Faults. */

import type { Message, MessageSystemAttributeName, SQS, SQSClientConfig } from '@aws-sdk/client-sqs';
import { type Fault, fault } from '../../model/fault.ts';
import { openTogether } from '../../model/together.ts';
import { isGone, isOverLimit, toRefusal, toSqsFault } from './faults.ts';

export interface SqsConnectionOptions {
  readonly region: string;
  /** Left out: the service itself, in that region. */
  readonly endpoint?: string;
  /** Left out: as the SDK finds them. */
  readonly credentials?: SQSClientConfig['credentials'];
  /** After so long a call is given up, with all its repetitions. */
  readonly timeoutMs?: number;
  /** Put into the user agent, so that the service's logs tell who asked. */
  readonly agent?: string;
}

export interface Outgoing {
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly delaySeconds: number;
}

export interface Counts {
  readonly visible: number;
  readonly delayed: number;
  readonly held: number;
}

export interface Calls {
  send(op: string, url: string, message: Outgoing): Promise<void>;
  receive(
    op: string,
    url: string,
    how: { readonly max: number; readonly visibilitySeconds: number; readonly waitSeconds: number },
  ): Promise<readonly Message[]>;
  /** False when there is no such message any more. Those that are removed in one turn go in one call. */
  remove(op: string, url: string, handle: string): Promise<boolean>;
  /** Hides the message for so long from now. False when there is no such message any more. */
  hide(op: string, url: string, handle: string, seconds: number): Promise<boolean>;
  /** Shows the messages at once, as many of them as are still there. */
  show(op: string, url: string, handles: readonly string[]): Promise<void>;
  count(op: string, url: string): Promise<Counts>;
  /** The address of the dead-letter queue that this queue names itself, or null. */
  deadLetterUrl(op: string, url: string): Promise<string | null>;
  close(): void;
}

const TIMEOUT_MS = 20_000;
const CONNECT_TIMEOUT_MS = 3_000;
const ANSWER_TIMEOUT_MS = 10_000;
/** Whatever is sent twice by that is received twice, which the contract allows. */
const ATTEMPTS_MAX = 3;
const SOCKETS_MAX = 100;
const BATCH_MAX = 10;

const TOLD: MessageSystemAttributeName[] = ['ApproximateReceiveCount', 'SentTimestamp'];

/** What one call is given besides its input. */
interface On {
  readonly abortSignal: AbortSignal;
  readonly requestTimeout: number;
}

export async function openCalls(options: SqsConnectionOptions): Promise<Calls> {
  const { region, endpoint, credentials, timeoutMs = TIMEOUT_MS, agent } = options;
  const { SQS } = await import('@aws-sdk/client-sqs');
  const sockets = { keepAlive: true, maxSockets: SOCKETS_MAX };
  const client = new SQS({
    region,
    maxAttempts: ATTEMPTS_MAX,
    requestHandler: {
      httpAgent: sockets,
      httpsAgent: sockets,
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: ANSWER_TIMEOUT_MS,
      throwOnRequestTimeout: true,
      // The SDK warns on the console of calls that wait for a connection; here waiting is what the bound is for.
      socketAcquisitionWarningTimeout: 2 ** 31 - 1,
    },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(agent === undefined ? {} : { customUserAgent: agent }),
  });
  let open = true;
  const closing = new AbortController();

  /** `waitMs`: what the call itself may wait for something to happen. */
  async function ask<T>(op: string, call: (client: SQS, on: On) => Promise<T>, waitMs = 0): Promise<T> {
    if (!open) throw fault('internal', `SQS, ${op}: the queue is closed`, { op });
    const abortSignal = AbortSignal.any([AbortSignal.timeout(timeoutMs + waitMs), closing.signal]);
    try {
      return await call(client, { abortSignal, requestTimeout: ANSWER_TIMEOUT_MS + waitMs });
    } catch (error) {
      throw toSqsFault(error, op);
    }
  }

  /** True, or false for an error that says that the message is not there. */
  async function unlessGone(call: Promise<unknown>): Promise<boolean> {
    try {
      await call;
      return true;
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
  }

  async function removeOne(op: string, url: string, handle: string): Promise<boolean> {
    return unlessGone(ask(op, (sqs, on) => sqs.deleteMessage({ QueueUrl: url, ReceiptHandle: handle }, on)));
  }

  async function removeSome(
    op: string,
    url: string,
    handles: readonly string[],
  ): Promise<readonly (boolean | Fault)[]> {
    const Entries = handles.map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle }));
    const { Failed = [] } = await ask(op, (sqs, on) => sqs.deleteMessageBatch({ QueueUrl: url, Entries }, on));
    const refused = new Map(Failed.map((entry) => [Number(entry.Id), toRefusal(entry, op)]));
    return handles.map((_, index) => {
      const why = refused.get(index);
      return why === undefined ? true : isGone(why) ? false : why;
    });
  }

  const removals = new Map<string, (handle: string) => Promise<boolean>>();

  function removalOf(op: string, url: string): (handle: string) => Promise<boolean> {
    const name = `${op} ${url}`;
    const known = removals.get(name);
    if (known !== undefined) return known;
    const removal = openTogether<string, boolean>({
      max: BATCH_MAX,
      soon: setImmediate,
      run: async (handles) =>
        handles.length === 1 ? [await removeOne(op, url, handles[0] as string)] : removeSome(op, url, handles),
    });
    removals.set(name, removal);
    return removal;
  }

  return {
    async send(op, url, { body, attributes, delaySeconds }) {
      const typed = Object.entries(attributes).map(([name, text]) => [name, { DataType: 'String', StringValue: text }]);
      const MessageAttributes = typed.length === 0 ? undefined : Object.fromEntries(typed);
      await ask(op, (sqs, on) =>
        sqs.sendMessage({ QueueUrl: url, MessageBody: body, MessageAttributes, DelaySeconds: delaySeconds }, on),
      );
    },

    async receive(op, url, { max, visibilitySeconds, waitSeconds }) {
      const asked = {
        QueueUrl: url,
        MaxNumberOfMessages: max,
        VisibilityTimeout: visibilitySeconds,
        WaitTimeSeconds: waitSeconds,
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: TOLD,
      };
      const { Messages = [] } = await ask(op, (sqs, on) => sqs.receiveMessage(asked, on), waitSeconds * 1000);
      return Messages;
    },

    remove: (op, url, handle) => removalOf(op, url)(handle),

    async hide(op, url, handle, seconds) {
      const asked = { QueueUrl: url, ReceiptHandle: handle, VisibilityTimeout: seconds };
      try {
        return await unlessGone(ask(op, (sqs, on) => sqs.changeMessageVisibility(asked, on)));
      } catch (error) {
        if (!isOverLimit(error)) throw error;
        const text = `SQS, ${op}: no message is held for longer than twelve hours after it was received`;
        throw fault('unsupported', text, { op, field: 'visibilityMs', value: seconds * 1000, cause: error });
      }
    },

    async show(op, url, handles) {
      for (let at = 0; at < handles.length; at += BATCH_MAX) {
        const entries = handles.slice(at, at + BATCH_MAX).map((handle, index) => ({
          Id: String(index),
          ReceiptHandle: handle,
          VisibilityTimeout: 0,
        }));
        await ask(op, (sqs, on) => sqs.changeMessageVisibilityBatch({ QueueUrl: url, Entries: entries }, on));
      }
    },

    async count(op, url) {
      const { Attributes = {} } = await ask(op, (sqs, on) =>
        sqs.getQueueAttributes(
          {
            QueueUrl: url,
            AttributeNames: [
              'ApproximateNumberOfMessages',
              'ApproximateNumberOfMessagesDelayed',
              'ApproximateNumberOfMessagesNotVisible',
            ],
          },
          on,
        ),
      );
      return {
        visible: Number(Attributes.ApproximateNumberOfMessages ?? 0),
        delayed: Number(Attributes.ApproximateNumberOfMessagesDelayed ?? 0),
        held: Number(Attributes.ApproximateNumberOfMessagesNotVisible ?? 0),
      };
    },

    async deadLetterUrl(op, url) {
      const { Attributes = {} } = await ask(op, (sqs, on) =>
        sqs.getQueueAttributes({ QueueUrl: url, AttributeNames: ['RedrivePolicy'] }, on),
      );
      const [account, name] =
        /"arn:[^":]+:sqs:[^":]+:(\d+):([^":]+)"/.exec(Attributes.RedrivePolicy ?? '')?.slice(1) ?? [];
      if (account === undefined || name === undefined) return null;
      const { QueueUrl } = await ask(op, (sqs, on) =>
        sqs.getQueueUrl({ QueueName: name, QueueOwnerAWSAccountId: account }, on),
      );
      return QueueUrl ?? null;
    },

    close() {
      open = false;
      closing.abort();
      client.destroy();
    },
  };
}
