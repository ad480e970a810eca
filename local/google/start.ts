/** The local Google Cloud: a bucket, a topic that hears of it, a subscription to that, and a place for dead letters. */

import { type LocalConfig, NAMES, type Ports } from '../config.ts';
import type { Cloud } from '../service.ts';
import { type GcsService, startGcs } from './gcs/gcs.ts';
import { type PubsubService, startPubsub } from './pubsub/pubsub.ts';

export interface RunningGoogle {
  readonly config: LocalConfig['gcp'];
  readonly gcs: GcsService;
  readonly pubsub: PubsubService;
  stop(): Promise<void>;
}

/** As often as Pub/Sub can count. */
const ATTEMPTS_MAX = 100;

export async function startGoogle(cloud: Cloud, ports: Pick<Ports, 'storage' | 'pubsub'>): Promise<RunningGoogle> {
  const pubsub = await startPubsub(cloud, { port: ports.pubsub });
  const gcs = await startGcs(cloud, { port: ports.storage }).catch(async (error: unknown) => {
    await pubsub.stop();
    throw error;
  });
  const { bucket, changes, dead, project } = NAMES;
  const topic = (name: string) => `projects/${project}/topics/${name}`;
  const subscription = (name: string) => `projects/${project}/subscriptions/${name}`;
  pubsub.createTopic(topic(changes));
  pubsub.createTopic(topic(dead));
  pubsub.createSubscription({
    name: subscription(changes),
    topic: topic(changes),
    enableExactlyOnceDelivery: true,
    deadLetterPolicy: { deadLetterTopic: topic(dead), maxDeliveryAttempts: ATTEMPTS_MAX },
  });
  pubsub.createSubscription({ name: subscription(dead), topic: topic(dead) });
  if (!gcs.hasBucket(bucket)) {
    gcs.createBucket(bucket, { versioning: true });
    gcs.notify(bucket, { topic: topic(changes) });
  }
  return {
    config: {
      storageEndpoint: gcs.endpoint,
      pubsubEndpoint: `${cloud.host}:${pubsub.port}`,
      firestoreEndpoint: '',
      projectId: project,
      bucket,
      topic: changes,
      subscription: changes,
      deadLetterTopic: dead,
      deadLetterSubscription: dead,
    },
    gcs,
    pubsub,
    async stop() {
      await Promise.all([gcs.stop(), pubsub.stop()]);
    },
  };
}
