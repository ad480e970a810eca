/** The connection to one topic and its subscription: Google's clients without their own retries, every call bounded. */

import type { protos, v1 } from '@google-cloud/pubsub';
import { invalid } from '../../model/fault.ts';
import { codeOf, errorInfoOf, toGrpcFault } from '../../model/grpc-fault.ts';

export interface PubsubConnectionOptions {
  readonly projectId: string;
  /** Without encryption and credentials, as `http://127.0.0.1:8085`: a local endpoint. Google when absent. */
  readonly apiEndpoint?: string;
  readonly userAgent?: string;
  /** For one answer to come. */
  readonly answerMs?: number;
}

export interface Outgoing {
  readonly data: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface Incoming {
  readonly ackId: string;
  readonly data: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly messageId: string;
  readonly publishedAt: number;
  /** 0: the subscription has no dead letter policy, so Pub/Sub does not count. */
  readonly deliveryAttempt: number;
}

/** Names are the short ones. */
export interface Connection {
  publish(topic: string, messages: readonly Outgoing[]): Promise<void>;
  /** At once, even when there is nothing, unless it may wait. */
  pull(subscription: string, max: number, waitMs?: number): Promise<readonly Incoming[]>;
  /** Answers which ids held nothing any more, if the subscription tells. */
  acknowledge(subscription: string, ackIds: readonly string[]): Promise<ReadonlySet<string>>;
  /** 0: give it back at once. Answers as `acknowledge`. */
  modify(subscription: string, ackIds: readonly string[], seconds: number): Promise<ReadonlySet<string>>;
  close(): Promise<void>;
}

const ANSWER_MS = 10_000;
/** A pull cannot be called off, so none waits for longer than whoever closes would. */
const WAIT_MS = 1_500;
const INVALID_ARGUMENT = 3;
const DEADLINE_EXCEEDED = 4;
const PERMANENT = 'PERMANENT_FAILURE_INVALID_ACK_ID';

interface Clients {
  readonly publisher: v1.PublisherClient;
  readonly subscriber: v1.SubscriberClient;
}

export function openConnection(options: PubsubConnectionOptions): Connection {
  const call = { timeout: options.answerMs ?? ANSWER_MS, retry: null };
  const topicName = (topic: string) => `projects/${options.projectId}/topics/${topic}`;
  const subscriptionName = (subscription: string) => `projects/${options.projectId}/subscriptions/${subscription}`;
  let opened: Promise<Clients> | null = null;
  let closed = false;

  async function ask<T>(op: string, key: string, run: (clients: Clients) => Promise<T>): Promise<T> {
    opened ??= openClients(options);
    try {
      return await run(await opened);
    } catch (error) {
      throw toGrpcFault(error, { service: 'Pub/Sub', op, key });
    }
  }

  /** Ids that were refused one by one are an answer; everything else is a failure. */
  async function settle(op: string, subscription: string, run: (clients: Clients) => Promise<unknown>) {
    return ask(op, subscription, async (clients): Promise<ReadonlySet<string>> => {
      try {
        await run(clients);
        return new Set();
      } catch (error) {
        const refused = Object.entries(errorInfoOf(error).metadata);
        if (codeOf(error) !== INVALID_ARGUMENT || !refused.every(([, why]) => why === PERMANENT)) throw error;
        if (refused.length === 0) throw error;
        return new Set(refused.map(([ackId]) => ackId));
      }
    });
  }

  async function pullOnce(subscription: string, maxMessages: number, waitMs: number): Promise<readonly Incoming[]> {
    return ask('pull', subscription, async ({ subscriber }) => {
      const asked = { subscription: subscriptionName(subscription), maxMessages, returnImmediately: waitMs === 0 };
      try {
        const [{ receivedMessages }] = await subscriber.pull(asked, waitMs === 0 ? call : { ...call, timeout: waitMs });
        return (receivedMessages ?? []).map(toIncoming);
      } catch (error) {
        // Nothing came while it waited.
        if (waitMs > 0 && codeOf(error) === DEADLINE_EXCEEDED) return [];
        throw error;
      }
    });
  }

  return {
    publish: (topic, messages) =>
      ask('publish', topic, async ({ publisher }) => {
        const all = messages.map(({ data, attributes }) => ({ data: Buffer.from(data), attributes }));
        await publisher.publish({ topic: topicName(topic), messages: all }, call);
      }),
    async pull(subscription, max, waitMs = 0) {
      for (let left = waitMs; ; left -= WAIT_MS) {
        const incoming = await pullOnce(subscription, max, Math.min(left, WAIT_MS));
        if (incoming.length > 0 || left <= WAIT_MS || closed) return incoming;
      }
    },
    acknowledge: (subscription, ackIds) =>
      settle('acknowledge', subscription, ({ subscriber }) =>
        subscriber.acknowledge({ subscription: subscriptionName(subscription), ackIds: [...ackIds] }, call),
      ),
    modify: (subscription, ackIds, seconds) =>
      settle('modifyAckDeadline', subscription, ({ subscriber }) =>
        subscriber.modifyAckDeadline(
          { subscription: subscriptionName(subscription), ackIds: [...ackIds], ackDeadlineSeconds: seconds },
          call,
        ),
      ),
    async close() {
      closed = true;
      const clients = await opened?.catch(() => null);
      await Promise.all([clients?.publisher.close(), clients?.subscriber.close()]);
    },
  };
}

/** The SDK costs a second to load, so nobody loads it who does not use it. */
async function openClients({ projectId, apiEndpoint, userAgent }: PubsubConnectionOptions): Promise<Clients> {
  const { v1: sdk } = await import('@google-cloud/pubsub');
  const agent = { libName: userAgent ?? 'triplicate', libVersion: '1' };
  const where = apiEndpoint === undefined ? {} : await localAddress(apiEndpoint);
  const options = { projectId, ...agent, ...where };
  return { publisher: new sdk.PublisherClient(options), subscriber: new sdk.SubscriberClient(options) };
}

async function localAddress(endpoint: string) {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  if (url === null || url.protocol !== 'http:' || url.port === '')
    throw invalid('apiEndpoint', endpoint, 'http://, a host and a port');
  const { credentials } = await import('@grpc/grpc-js');
  // Told the universe, the SDK does not look for a metadata server to ask.
  const clientOptions = { universeDomain: 'googleapis.com' };
  return { apiEndpoint: url.hostname, port: Number(url.port), sslCreds: credentials.createInsecure(), clientOptions };
}

function toIncoming({ ackId, message, deliveryAttempt }: protos.google.pubsub.v1.IReceivedMessage): Incoming {
  const { data, attributes, messageId, publishTime } = message ?? {};
  return {
    ackId: ackId ?? '',
    data: Buffer.from(data ?? '').toString('utf8'),
    attributes: attributes ?? {},
    messageId: messageId ?? '',
    publishedAt: Number(publishTime?.seconds ?? 0) * 1000 + Math.floor((publishTime?.nanos ?? 0) / 1e6),
    deliveryAttempt: deliveryAttempt ?? 0,
  };
}
