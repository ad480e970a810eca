/** The local Google Cloud: a bucket, a topic that hears of it, a subscription to that, and a place for dead letters. */

import { type LocalConfig, NAMES, type Ports } from '../config.ts';
import type { Cloud, Service } from '../service.ts';
import { type FirestoreService, startFirestore } from './firestore/firestore.ts';
import { type GcsService, startGcs } from './gcs/gcs.ts';
import { type PubsubService, startPubsub } from './pubsub/pubsub.ts';

export interface RunningGoogle {
  readonly config: LocalConfig['gcp'];
  readonly gcs: GcsService;
  readonly pubsub: PubsubService;
  readonly firestore: FirestoreService;
  stop(): Promise<void>;
}

/** As often as Pub/Sub can count. */
const ATTEMPTS_MAX = 100;

export async function startGoogle(
  cloud: Cloud,
  ports: Pick<Ports, 'storage' | 'pubsub' | 'firestore'>,
): Promise<RunningGoogle> {
  const running: Service[] = [];
  const stop = async () => void (await Promise.all(running.map((service) => service.stop())));
  async function start<Started extends Service>(starting: Promise<Started>): Promise<Started> {
    const started = await starting;
    running.push(started);
    return started;
  }
  try {
    const pubsub = await start(startPubsub(cloud, { port: ports.pubsub }));
    const firestore = await start(startFirestore(cloud, { port: ports.firestore }));
    const gcs = await start(startGcs(cloud, { port: ports.storage }));
    return { config: setUp(cloud.host, gcs, pubsub, firestore), gcs, pubsub, firestore, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function setUp(host: string, gcs: GcsService, pubsub: PubsubService, firestore: FirestoreService): LocalConfig['gcp'] {
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
    storageEndpoint: gcs.endpoint,
    pubsubEndpoint: `${host}:${pubsub.port}`,
    firestoreEndpoint: `${host}:${firestore.port}`,
    projectId: project,
    bucket,
    topic: changes,
    subscription: changes,
    deadLetterTopic: dead,
    deadLetterSubscription: dead,
  };
}
