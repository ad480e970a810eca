/** The local Pub/Sub: Google's gRPC API on the database of the local Google Cloud. */

import type { Cloud, Service } from '../../service.ts';
import { grpcError, type Methods, serveGrpc } from '../grpc.ts';
import { type Content, openBacklog, tellInvalid } from './backlog.ts';
import { checkAckDeadline, checkMessages, checkPush, refused } from './check.ts';
import { openDispatcher } from './dispatch.ts';
import { openPulls } from './pull.ts';
import { openPushes } from './push.ts';
import { openRegistry, type StoredSubscription } from './registry.ts';
import {
  type Page,
  type PubsubMessage,
  type PushConfig,
  type Subscription,
  type Time,
  type Topic,
  toMs,
} from './wire.ts';

export interface PubsubService extends Service {
  /** Names are whole: projects/P/topics/T. Does nothing when it is there. */
  createTopic(name: string): void;
  /** Does nothing when it is there. */
  createSubscription(
    subscription: Pick<Subscription, 'name' | 'topic'> & Partial<Omit<Subscription, 'name' | 'topic'>>,
  ): void;
  /** Answers the ids of the messages. */
  publish(topic: string, ...messages: readonly (Partial<Content> & Pick<Content, 'data'>)[]): readonly string[];
  /** What Google tells in Cloud Monitoring, some minutes late. */
  undelivered(subscription: string): number;
}

interface Named {
  readonly topic: string;
  readonly subscription: string;
}

type Masked = { readonly updateMask: { readonly paths: readonly string[] } | null };
type AckIds = { readonly subscription: string; readonly ackIds: readonly string[] };

const TOPIC: Omit<Topic, 'name'> = {
  labels: {},
  messageStoragePolicy: null,
  kmsKeyName: '',
  schemaSettings: null,
  messageRetentionDuration: null,
  ingestionDataSourceSettings: null,
  messageTransforms: [],
  state: 'ACTIVE',
};

const SUBSCRIPTION: Omit<Subscription, 'name' | 'topic'> = {
  pushConfig: null,
  bigqueryConfig: null,
  cloudStorageConfig: null,
  bigtableConfig: null,
  ackDeadlineSeconds: 0,
  retainAckedMessages: false,
  messageRetentionDuration: null,
  labels: {},
  enableMessageOrdering: false,
  expirationPolicy: null,
  filter: '',
  deadLetterPolicy: null,
  retryPolicy: null,
  detached: false,
  enableExactlyOnceDelivery: false,
  messageTransforms: [],
  state: 'ACTIVE',
};

export async function startPubsub(cloud: Cloud, { port }: { readonly port: number }): Promise<PubsubService> {
  const { db } = cloud.state;
  const registry = openRegistry(db);
  const dispatcher = openDispatcher(cloud, registry, () => backlog);
  const backlog = openBacklog(cloud, registry, {
    changed: (id) => dispatcher.changed(id),
    released: (ackId) => pulls.released(ackId),
  });
  const pulls = openPulls(registry, backlog, dispatcher);
  const pushes = openPushes(cloud, registry, backlog, dispatcher);

  function updated(subscription: StoredSubscription): Subscription {
    pushes.refresh(subscription);
    dispatcher.changed(subscription.id);
    return subscription;
  }

  function publish(topic: string, messages: readonly PubsubMessage[]): readonly string[] {
    registry.topic(topic);
    checkMessages(messages);
    return backlog.publish(topic, messages);
  }

  const publisher: Methods = {
    unary: {
      CreateTopic: (request: Topic) => registry.createTopic(request),
      GetTopic: ({ topic }: Named) => registry.topic(topic),
      ListTopics: ({ project, ...page }: Page & { project: string }) => registry.listTopics(project, page),
      ListTopicSubscriptions: ({ topic, ...page }: Page & Named) => registry.listNames(topic, page),
      UpdateTopic: ({ topic, updateMask }: { topic: Topic | null } & Masked) =>
        registry.updateTopic(present('topic', topic), updateMask?.paths ?? []),
      DeleteTopic({ topic }: Named) {
        registry.deleteTopic(topic);
        return {};
      },
      Publish: ({ topic, messages }: Named & { messages: readonly PubsubMessage[] }) => ({
        messageIds: publish(topic, messages),
      }),
      DetachSubscription({ subscription: name }: Named) {
        const subscription = registry.subscription(name);
        db.transaction(() => {
          registry.replace({ ...subscription, detached: true });
          backlog.drop(subscription);
        });
        updated({ ...subscription, detached: true });
        return {};
      },
    },
  };

  const subscriber: Methods = {
    unary: {
      CreateSubscription: (request: Subscription) => updated(registry.createSubscription(request)),
      GetSubscription: ({ subscription }: Named) => registry.subscription(subscription),
      ListSubscriptions: ({ project, ...page }: Page & { project: string }) =>
        registry.listSubscriptions(project, page),
      UpdateSubscription: ({ subscription, updateMask }: { subscription: Subscription | null } & Masked) =>
        updated(registry.updateSubscription(present('subscription', subscription), updateMask?.paths ?? [])),
      DeleteSubscription({ subscription: name }: Named) {
        const subscription = registry.subscription(name);
        db.transaction(() => {
          backlog.drop(subscription);
          registry.deleteSubscription(name);
        });
        dispatcher.gone(subscription.id);
        return {};
      },
      ModifyPushConfig({ subscription: name, pushConfig }: Named & { pushConfig: PushConfig | null }) {
        checkPush(pushConfig);
        const config = pushConfig ?? { pushEndpoint: '', attributes: {} };
        const changed = { ...registry.subscription(name), pushConfig: config };
        registry.replace(changed);
        updated(changed);
        return {};
      },
      Acknowledge({ subscription: name, ackIds }: AckIds) {
        const subscription = registry.subscription(name);
        if (ackIds.length === 0) throw refused('No ack ids specified.');
        tellInvalid(subscription, backlog.acknowledge(subscription, ackIds));
        return {};
      },
      ModifyAckDeadline({ subscription: name, ackIds, ackDeadlineSeconds }: AckIds & { ackDeadlineSeconds: number }) {
        const subscription = registry.subscription(name);
        if (ackIds.length === 0) throw refused('No ack ids specified.');
        checkAckDeadline('ack_deadline_seconds', ackDeadlineSeconds);
        tellInvalid(subscription, backlog.modify(subscription, ackIds, ackDeadlineSeconds));
        return {};
      },
      Pull: pulls.pull,
      Seek({ subscription: name, time, snapshot }: Named & { time?: Time | null; snapshot?: string }) {
        const subscription = registry.subscription(name);
        if (snapshot !== undefined && snapshot !== '')
          throw grpcError('NOT_FOUND', `Snapshot does not exist (resource=${snapshot}): there are none here.`);
        if (time === undefined || time === null)
          throw refused('No target was specified in the SeekRequest. Must specify either a time or a snapshot');
        backlog.seek(subscription, toMs(time));
        return {};
      },
    },
    conversations: { StreamingPull: pulls.stream },
  };

  const service = await serveGrpc({
    cloud,
    service: 'pubsub',
    port,
    protos: '@google-cloud/pubsub/build/protos/protos.json',
    services: { 'google.pubsub.v1.Publisher': publisher, 'google.pubsub.v1.Subscriber': subscriber },
    keyOf: (_operation, request) => keyOf(request),
  });
  dispatcher.start();
  pushes.start();

  /** Notifications of Cloud Storage name their topic in either way. */
  for (const prefix of ['projects/', '//pubsub.googleapis.com/projects/'])
    cloud.delivery.to(prefix, ({ target, body, attributes }) => {
      const topic = target.replace('//pubsub.googleapis.com/', '');
      backlog.publish(topic, [{ data: Buffer.from(body), attributes, orderingKey: '' }]);
    });

  return {
    ...service,
    async stop() {
      pulls.stop();
      await pushes.stop();
      await service.stop();
      dispatcher.stop();
    },
    createTopic(name) {
      if (!registry.hasTopic(name)) registry.createTopic({ ...TOPIC, name });
    },
    createSubscription(wanted) {
      if (registry.all().some(({ name }) => name === wanted.name)) return;
      updated(registry.createSubscription({ ...SUBSCRIPTION, ...wanted }));
    },
    publish: (topic, ...messages) =>
      publish(
        topic,
        messages.map((message) => ({
          ...{ attributes: {}, orderingKey: '', messageId: '', publishTime: null },
          ...message,
        })),
      ),
    undelivered(name) {
      const { waiting, inFlight } = backlog.count(registry.subscription(name));
      return waiting + inFlight;
    },
  };
}

function present<T>(field: string, value: T | null): T {
  if (value === null) throw refused(`You have passed an invalid argument to the service (argument=${field}).`);
  return value;
}

/** The topic or subscription that a request is about. */
function keyOf(request: unknown): string | undefined {
  const { topic, subscription, name } = (request ?? {}) as Readonly<Record<string, unknown>>;
  return [name, subscription, topic].find((it): it is string => typeof it === 'string' && it !== '');
}
