/** The Pub/Sub driver against a service that is not ours: Google's emulator at TRIPLICATE_TEST_PUBSUB, or Google itself. */

import { v1 } from '@google-cloud/pubsub';
import { credentials } from '@grpc/grpc-js';
import { afterAll, test } from 'vitest';
import { openPubsubQueue } from '#shared/queue/pubsub.ts';
import type { Queue } from '#shared/queue/queue.ts';
import type { Skip } from './cases.ts';
import { queueConformance } from './queue.ts';

const { TRIPLICATE_TEST_PUBSUB: target, TRIPLICATE_TEST_PUBSUB_PROJECT: projectId = 'triplicate-test' } = process.env;

const because = (reason: string, tests: readonly string[]): readonly Skip[] =>
  tests.map((it) => ({ test: it, reason }));

/** What no case can ask of a service whose clock goes on by itself and that tells its depth in Cloud Monitoring only. */
const GAPS: readonly Skip[] = [
  ...because('Pub/Sub tells no depth', [
    'a new queue gives nothing, at once',
    'two messages of one body are two',
    'a receipt settles once',
    'an expired receipt settles nothing, even before the message is delivered again',
    'the receipt of an earlier delivery does not touch a later one',
    'a message put back comes after its delay, with one attempt more',
    'a message sent with a delay waits for it',
    'dead letters are told and redriven up to a limit',
    'of 64 who settle one receipt at once one does',
    'the depth adds up, and what expired is waiting again',
    'what no service takes is refused by name, and nothing is sent',
    'a queue opened again has all it had, and its receipts still hold',
    'in any sequence of calls no message is lost, and a receipt is worth what it should be',
  ]),
  ...because('the clock of a service cannot be stopped, and this one compares milliseconds', [
    'a message is delivered as it was sent, and says when',
    'a message in flight is hidden until its visibility ends, to the millisecond',
    'a dead message is kept apart with its reason and comes to nobody',
    'who extends keeps the message for that long from then on',
  ]),
  ...because('it would wait for longer than a case may take', [
    'a message that nobody settled is delivered again and again, as the same one',
  ]),
];

if (target === undefined) {
  test('pubsub keeps the contract of a queue on a service that is not ours', (context) => {
    const reason =
      "needs TRIPLICATE_TEST_PUBSUB=http://host:port of Google's emulator (gcloud beta emulators pubsub start), or =google " +
      'and TRIPLICATE_TEST_PUBSUB_PROJECT';
    console.warn(`not run: pubsub on a service that is not ours, ${reason}`);
    context.skip(reason);
  });
} else {
  runAt(target);
}

function runAt(place: string): void {
  const local = place === 'google' ? null : new URL(place);
  const where =
    local === null
      ? {}
      : { apiEndpoint: local.hostname, port: Number(local.port), sslCreds: credentials.createInsecure() };
  const options = { projectId, ...where, clientOptions: { universeDomain: 'googleapis.com' } };
  const publisher = new v1.PublisherClient(options);
  const subscriber = new v1.SubscriberClient(options);
  const made: { topic: string; subscription: string }[] = [];

  afterAll(async () => {
    for (const { topic, subscription } of made) {
      await subscriber.deleteSubscription({ subscription });
      await publisher.deleteTopic({ topic });
    }
    await Promise.all([publisher.close(), subscriber.close()]);
  });

  async function make(name: string, settings: Parameters<v1.SubscriberClient['createSubscription']>[0]): Promise<void> {
    const topic = `projects/${projectId}/topics/${name}`;
    const subscription = `projects/${projectId}/subscriptions/${name}`;
    await publisher.createTopic({ name: topic });
    await subscriber.createSubscription({ name: subscription, topic, ...settings });
    made.push({ topic, subscription });
  }

  async function open(): Promise<Queue> {
    const name = `triplicate-${Date.now().toString(36)}-${made.length}`;
    await make(`${name}-dead`, {});
    const deadLetterTopic = `projects/${projectId}/topics/${name}-dead`;
    await make(name, {
      enableExactlyOnceDelivery: true,
      deadLetterPolicy: { deadLetterTopic, maxDeliveryAttempts: 100 },
    });
    return openPubsubQueue({
      projectId,
      topic: name,
      subscription: name,
      deadLetterTopic: `${name}-dead`,
      deadLetterSubscription: `${name}-dead`,
      ...(local === null ? {} : { apiEndpoint: place }),
    });
  }

  queueConformance({
    name: `pubsub at ${place}`,
    open,
    advance: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    skip: GAPS,
  });
}
