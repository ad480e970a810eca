import { type Message, PubSub, type Subscription, v1 } from '@google-cloud/pubsub';
import { credentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { openCloud } from '../../cloud.ts';
import { type PubsubService, startPubsub } from './pubsub.ts';

const PROJECT = 'projects/local-project';
const TOPIC = `${PROJECT}/topics/news`;
const SUBSCRIPTION = `${PROJECT}/subscriptions/news`;
const ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(settings: Omit<Parameters<PubsubService['createSubscription']>[0], 'name' | 'topic'> = {}) {
  const cloud = openCloud({ name: 'gcp' });
  ends.push(() => cloud.close());
  const pubsub = await startPubsub(cloud, { port: 0 });
  pubsub.createTopic(TOPIC);
  pubsub.createSubscription({ name: SUBSCRIPTION, topic: TOPIC, ...settings });
  const address = {
    apiEndpoint: `127.0.0.1:${pubsub.port}`,
    sslCreds: credentials.createInsecure(),
    clientOptions: { universeDomain: 'googleapis.com' },
  };
  const sdk = new PubSub({ projectId: 'local-project', emulatorMode: true, ...address });
  ends.push(() => sdk.close());
  let running = pubsub;
  ends.push(() => running.stop());
  const restart = async () => {
    await running.stop();
    running = await startPubsub(cloud, { port: pubsub.port });
    return running;
  };
  return { cloud, pubsub, sdk, restart };
}

/** Gathers messages until there are so many. */
function gather(subscription: Subscription, each: (message: Message) => void = (message) => message.ack()) {
  const messages: Message[] = [];
  let check = () => {};
  subscription.on('error', () => {});
  subscription.on('message', (message: Message) => {
    messages.push(message);
    each(message);
    check();
  });
  ends.push(() => subscription.close());
  const until = (count: number) =>
    new Promise<readonly string[]>((resolve) => {
      check = () => {
        if (messages.length >= count) resolve(messages.map(({ data }) => data.toString()));
      };
      check();
    });
  return { messages, until };
}

const texts = (count: number) => Array.from({ length: count }, (_, index) => `m${String(index).padStart(4, '0')}`);

describe('the SDK', () => {
  test('publishes in batches and receives every message once', async () => {
    const { sdk, pubsub } = await start();
    const all = texts(500);
    const topic = sdk.topic('news', { batching: { maxMessages: 100, maxMilliseconds: 5 } });
    const received = gather(sdk.subscription('news'));
    const ids = await Promise.all(all.map((text) => topic.publishMessage({ data: Buffer.from(text) })));
    expect(new Set(ids).size).toBe(500);
    expect([...(await received.until(500))].sort()).toEqual(all);
    await sdk.subscription('news').close();
    expect(received.messages).toHaveLength(500);
    await expect.poll(() => pubsub.undelivered(SUBSCRIPTION)).toBe(0);
  });

  test('is given no more at once than it asked for', async () => {
    const { sdk, pubsub } = await start();
    pubsub.publish(TOPIC, ...texts(50).map((text) => ({ data: Buffer.from(text) })));
    const held: Message[] = [];
    let most = 0;
    const subscription = sdk.subscription('news', { flowControl: { maxMessages: 5, allowExcessMessages: false } });
    const received = gather(subscription, (message) => {
      held.push(message);
      most = Math.max(most, held.length);
      // The first ones are kept until nothing more can come.
      if (held.length === 5) for (const it of held.splice(0)) it.ack();
    });
    expect([...(await received.until(50))].sort()).toEqual(texts(50));
    expect(most).toBe(5);
  });

  test('receives each key in order, and again from where it gave a message back', async () => {
    const { sdk } = await start({ enableMessageOrdering: true });
    const topic = sdk.topic('news', { messageOrdering: true });
    for (const text of texts(20))
      for (const orderingKey of ['a', 'b'])
        void topic.publishMessage({ data: Buffer.from(`${orderingKey}${text}`), orderingKey });
    let refusals = 1;
    const good: string[] = [];
    const goodOf = (key: string) => good.filter((text) => text.startsWith(key));
    const received = gather(sdk.subscription('news'), (message) => {
      const text = message.data.toString();
      if (text === 'am0003' && refusals > 0) refusals -= 1;
      else if (!text.startsWith('a') || text === `a${texts(20)[goodOf('a').length]}`) {
        good.push(text);
        return message.ack();
      }
      message.nack();
    });
    await expect.poll(() => good.length, { timeout: 8_000 }).toBe(40);
    for (const key of ['a', 'b'])
      expect(good.filter((text) => text.startsWith(key))).toEqual(texts(20).map((text) => key + text));
    expect(received.messages.length).toBeGreaterThan(40);
  });

  test('gives up what it gave back too often', async () => {
    const dead = `${PROJECT}/topics/dead`;
    const { sdk, pubsub } = await start();
    pubsub.createTopic(dead);
    pubsub.createSubscription({ name: `${PROJECT}/subscriptions/dead`, topic: dead });
    pubsub.createSubscription({
      name: `${PROJECT}/subscriptions/strict`,
      topic: TOPIC,
      deadLetterPolicy: { deadLetterTopic: dead, maxDeliveryAttempts: 5 },
    });
    pubsub.publish(TOPIC, { data: Buffer.from('bad') });
    const strict = gather(sdk.subscription('strict'), (message) => message.nack());
    const shelf = gather(sdk.subscription('dead'));
    expect(await shelf.until(1)).toEqual(['bad']);
    expect(strict.messages.map(({ deliveryAttempt }) => deliveryAttempt)).toEqual([1, 2, 3, 4, 5]);
    expect(shelf.messages[0]?.attributes).toMatchObject({ CloudPubSubDeadLetterSourceSubscription: 'strict' });
  });

  test('is told what became of its acknowledgements where delivery is exactly once', async () => {
    const { sdk, pubsub } = await start({ enableExactlyOnceDelivery: true });
    pubsub.publish(TOPIC, { data: Buffer.from('m') });
    const answers: Promise<string>[] = [];
    const received = gather(sdk.subscription('news'), (message) => answers.push(message.ackWithResponse()));
    await received.until(1);
    expect(await Promise.all(answers)).toEqual(['SUCCESS']);
    expect(pubsub.undelivered(SUBSCRIPTION)).toBe(0);
  });

  test('goes on where it was when the service was away', async () => {
    const { sdk, pubsub, restart } = await start();
    const received = gather(sdk.subscription('news'));
    pubsub.publish(TOPIC, { data: Buffer.from('before') });
    await received.until(1);
    const again = await restart();
    again.publish(TOPIC, { data: Buffer.from('after') });
    expect(new Set(await received.until(2))).toEqual(new Set(['before', 'after']));
  });
});

describe('a stream', () => {
  async function open(first: object, settings = {}) {
    const { pubsub, cloud } = await start(settings);
    const client = new v1.SubscriberClient({
      projectId: 'local-project',
      apiEndpoint: '127.0.0.1',
      port: pubsub.port,
      sslCreds: credentials.createInsecure(),
      clientOptions: { universeDomain: 'googleapis.com' },
    });
    ends.push(() => client.close());
    const stream = client.streamingPull();
    const answers: Record<string, unknown>[] = [];
    stream.on('data', (answer) => answers.push(answer));
    const ended = new Promise<string>((resolve) => {
      stream.on('error', (error: ServiceError) => resolve(`${status[error.code]} ${error.details}`));
      stream.on('end', () => resolve('OK'));
    });
    stream.write({ subscription: SUBSCRIPTION, streamAckDeadlineSeconds: 10, ...first });
    return { stream, answers, ended, pubsub, cloud };
  }

  test('answers a sign of life with one, for clients that know of it', async () => {
    const { stream, answers, ended } = await open({ protocolVersion: 1 });
    stream.write({});
    await expect.poll(() => answers.length).toBe(1);
    expect(answers[0]).toMatchObject({
      receivedMessages: [],
      subscriptionProperties: { messageOrderingEnabled: false },
    });
    stream.end();
    expect(await ended).toBe('OK');
  });

  test('takes acknowledgements and confirms them where delivery is exactly once', async () => {
    const { stream, answers, pubsub } = await open({}, { enableExactlyOnceDelivery: true });
    pubsub.publish(TOPIC, { data: Buffer.from('a') }, { data: Buffer.from('b') });
    await expect.poll(() => answers.length).toBe(1);
    const [first] = answers as { receivedMessages: { ackId: string }[] }[];
    const ids = first!.receivedMessages.map(({ ackId }) => ackId);
    stream.write({ ackIds: [ids[0], ids[0], 'none'], modifyDeadlineAckIds: [ids[1]], modifyDeadlineSeconds: [600] });
    await expect.poll(() => answers.length).toBe(3);
    expect(answers[1]).toMatchObject({ acknowledgeConfirmation: { invalidAckIds: ['none'] } });
    expect(answers[2]).toMatchObject({ modifyAckDeadlineConfirmation: { ackIds: [ids[1]], invalidAckIds: [] } });
    expect(pubsub.undelivered(SUBSCRIPTION)).toBe(1);
    stream.end();
  });

  const mistakes: readonly (readonly [what: string, first: object, second: object | null, says: string])[] = [
    ['to nothing', { subscription: `${PROJECT}/subscriptions/none` }, null, 'NOT_FOUND'],
    ['without a deadline', { streamAckDeadlineSeconds: 0 }, null, 'INVALID_ARGUMENT stream_ack_deadline_seconds'],
    ['to another subscription', {}, { subscription: `${SUBSCRIPTION}2` }, 'INVALID_ARGUMENT'],
    ['with flow control later on', {}, { maxOutstandingMessages: 5 }, 'INVALID_ARGUMENT Flow control'],
    ['with a bad id', {}, { ackIds: ['none'] }, 'INVALID_ARGUMENT Invalid ack id'],
    ['with lists that do not fit', {}, { modifyDeadlineAckIds: ['a'] }, 'INVALID_ARGUMENT'],
    ['with a deadline below 0', {}, { modifyDeadlineAckIds: ['a'], modifyDeadlineSeconds: [-1] }, 'INVALID_ARGUMENT'],
  ];

  test.each(mistakes)('%s is ended', async (_what, first, second, says) => {
    const { stream, ended } = await open(first);
    if (second !== null) stream.write(second);
    expect(await ended).toContain(says);
  });

  test('ends with UNAVAILABLE when the service stops, and what it held comes again', async () => {
    const { answers, ended, pubsub, cloud } = await open({});
    pubsub.publish(TOPIC, { data: Buffer.from('m') });
    await expect.poll(() => answers.length).toBe(1);
    await pubsub.stop();
    expect(await ended).toContain('UNAVAILABLE');
    cloud.faults.add({ effect: { kind: 'clock', aheadMs: 10_000 } });
    const again = await startPubsub(cloud, { port: 0 });
    ends.push(() => again.stop());
    expect(again.undelivered(SUBSCRIPTION)).toBe(1);
  });
});
