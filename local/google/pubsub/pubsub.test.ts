import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { v1 } from '@google-cloud/pubsub';
import { credentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openCloud } from '../../cloud.ts';
import { type PubsubService, startPubsub } from './pubsub.ts';

const PROJECT = 'projects/local-project';
const CALL = { timeout: 5_000, retry: null };
const PAGE = { ...CALL, autoPaginate: false };
const opened = openCloud({ name: 'gcp' });
let time = 1_700_000_000_000;
const cloud = { ...opened, now: () => time };
let pubsub: PubsubService;
let publisher: v1.PublisherClient;
let subscriber: v1.SubscriberClient;
let names = 0;

beforeAll(async () => {
  pubsub = await startPubsub(cloud, { port: 0 });
  const options = {
    projectId: 'local-project',
    apiEndpoint: '127.0.0.1',
    port: pubsub.port,
    sslCreds: credentials.createInsecure(),
    clientOptions: { universeDomain: 'googleapis.com' },
  };
  publisher = new v1.PublisherClient(options);
  subscriber = new v1.SubscriberClient(options);
});

afterEach(() => opened.faults.clear());

afterAll(async () => {
  await Promise.all([publisher.close(), subscriber.close()]);
  await pubsub.stop();
  await opened.close();
});

type Settings = Omit<Parameters<PubsubService['createSubscription']>[0], 'name' | 'topic'>;

/** A topic and its subscription, both new. */
function make(settings: Settings = {}): { readonly topic: string; readonly subscription: string } {
  const name = `name-${++names}`;
  const topic = `${PROJECT}/topics/${name}`;
  const subscription = `${PROJECT}/subscriptions/${name}`;
  pubsub.createTopic(topic);
  pubsub.createSubscription({ name: subscription, topic, ...settings });
  return { topic, subscription };
}

async function publish(topic: string, ...texts: readonly string[]): Promise<void> {
  await publisher.publish({ topic, messages: texts.map((text) => ({ data: Buffer.from(text) })) }, CALL);
}

async function pull(subscription: string, maxMessages = 100) {
  const [{ receivedMessages }] = await subscriber.pull({ subscription, maxMessages, returnImmediately: true }, CALL);
  return (receivedMessages ?? []).map(({ ackId, message, deliveryAttempt }) => ({
    ackId: ackId ?? '',
    text: Buffer.from(message?.data ?? '').toString(),
    attributes: message?.attributes ?? {},
    id: message?.messageId ?? '',
    attempt: deliveryAttempt,
  }));
}

const textsOf = (all: Awaited<ReturnType<typeof pull>>) => all.map(({ text }) => text);
const ack = (subscription: string, ...ackIds: string[]) => subscriber.acknowledge({ subscription, ackIds }, CALL);
const modify = (subscription: string, ackDeadlineSeconds: number, ...ackIds: string[]) =>
  subscriber.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds }, CALL);

async function refusal(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'OK',
    (error: ServiceError) => `${status[error.code]} ${error.details}`,
  );
}

describe('topics and subscriptions', () => {
  test('are made, told, listed page by page, changed and removed', async () => {
    const { topic, subscription } = make();
    const others = [1, 2, 3].map((index) => `${PROJECT}/subscriptions/listed-${index}`);
    for (const name of others) await subscriber.createSubscription({ name, topic, labels: { a: 'b' } }, CALL);
    expect((await subscriber.getSubscription({ subscription: others[0]! }, CALL))[0]).toMatchObject({
      labels: { a: 'b' },
      ackDeadlineSeconds: 10,
      state: 'ACTIVE',
    });
    const [first, , { nextPageToken: pageToken }] = (await publisher.listTopicSubscriptions(
      { topic, pageSize: 3 },
      PAGE,
    )) as [string[], unknown, { nextPageToken: string }];
    const [rest] = await publisher.listTopicSubscriptions({ topic, pageSize: 3, pageToken }, PAGE);
    expect([...first, ...rest]).toEqual([...others, subscription]);
    const change = {
      subscription: { name: subscription, ackDeadlineSeconds: 60 },
      updateMask: { paths: ['ack_deadline_seconds'] },
    };
    expect((await subscriber.updateSubscription(change, CALL))[0]).toMatchObject({ ackDeadlineSeconds: 60, topic });
    await publisher.deleteTopic({ topic }, CALL);
    expect((await subscriber.getSubscription({ subscription }, CALL))[0]).toMatchObject({ topic: '_deleted-topic_' });
    await subscriber.deleteSubscription({ subscription }, CALL);
    const name = subscription.split('/').at(-1);
    const gone = `NOT_FOUND Resource not found (resource=${name}).`;
    expect(await refusal(subscriber.getSubscription({ subscription }, CALL))).toBe(gone);
    expect(await refusal(publisher.getTopic({ topic }, CALL))).toBe(gone);
  });

  test('are refused with Google’s words, and nothing changes', async () => {
    const { topic, subscription } = make();
    const create = (settings: object) =>
      refusal(subscriber.createSubscription({ name: `${PROJECT}/subscriptions/refused`, topic, ...settings }, CALL));
    const short = topic.split('/').at(-1);
    expect(await refusal(publisher.createTopic({ name: topic }, CALL))).toBe(
      `ALREADY_EXISTS Resource already exists in the project (resource=${short}).`,
    );
    for (const name of ['', 'topics/a', `${PROJECT}/topics/../x`, `${PROJECT}/topics/ab`, `${PROJECT}/topics/google`])
      expect(await refusal(publisher.createTopic({ name }, CALL))).toContain('INVALID_ARGUMENT Invalid resource name');
    expect(await create({ topic: `${PROJECT}/topics/nowhere` })).toContain('NOT_FOUND');
    const deadLetterTopic = topic;
    const wrong: readonly object[] = [
      { ackDeadlineSeconds: 9 },
      { ackDeadlineSeconds: 601 },
      { filter: 'attributes.a >' },
      { filter: `attributes.a = "${'x'.repeat(256)}"` },
      { deadLetterPolicy: { deadLetterTopic, maxDeliveryAttempts: 4 } },
      { deadLetterPolicy: { deadLetterTopic, maxDeliveryAttempts: 101 } },
      { retryPolicy: { minimumBackoff: { seconds: 601 } } },
      { retryPolicy: { minimumBackoff: { seconds: 20 }, maximumBackoff: { seconds: 10 } } },
      { messageRetentionDuration: { seconds: 599 } },
      { pushConfig: { pushEndpoint: 'file:///etc/passwd' } },
    ];
    for (const settings of wrong) expect(await create(settings)).toContain('INVALID_ARGUMENT');
    expect(await create({ bigqueryConfig: { table: 't' } })).toContain('UNIMPLEMENTED');
    expect(await create({})).toBe('OK');
    const change = (paths: string[]) =>
      refusal(subscriber.updateSubscription({ subscription: { name: subscription }, updateMask: { paths } }, CALL));
    expect(await change([])).toContain('must contain a non-empty paths list');
    expect(await change(['filter'])).toContain('not mutable');
    expect(await change(['ackDeadlineSeconds'])).toContain('not a known Subscription field');
    expect(await change(['__proto__'])).toContain('not a known Subscription field');
  });
});

describe('a message', () => {
  test('comes with what it was published with, and with an id of its own', async () => {
    const { topic, subscription } = make();
    const attributes = { 'k é': 'v 😀', constructor: 'c' };
    const data = Buffer.from([0, 255, 128]);
    const [{ messageIds }] = await publisher.publish({ topic, messages: [{ data, attributes }, { attributes }] }, CALL);
    const [{ receivedMessages }] = await subscriber.pull({ subscription, maxMessages: 5 }, CALL);
    expect(receivedMessages?.map(({ message }) => message?.messageId)).toEqual(messageIds);
    const [first, second] = receivedMessages ?? [];
    expect(Buffer.from(first?.message?.data ?? '')).toEqual(data);
    expect(first?.message?.attributes).toEqual(attributes);
    expect(first?.message?.publishTime).toEqual({ seconds: String(time / 1000), nanos: 0 });
    expect(Buffer.from(second?.message?.data ?? '')).toHaveLength(0);
    expect(first?.deliveryAttempt).toBe(0);
  });

  test('beyond the limits is refused with all that came with it', async () => {
    const { topic, subscription } = make();
    const data = Buffer.from('x');
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`k${index}`, 'v']));
    const wrong: readonly object[][] = [
      [],
      [{ data }, {}],
      [{ data, attributes: many }],
      [{ data, attributes: { ['k'.repeat(257)]: 'v' } }],
      [{ data, attributes: { k: 'v'.repeat(1_025) } }],
      [{ data, attributes: { googclient: 'v' } }],
      [{ data: Buffer.alloc(10_000_001) }],
      [
        { data, orderingKey: 'a' },
        { data, orderingKey: 'b' },
      ],
      Array.from({ length: 1_001 }, () => ({ data })),
    ];
    for (const messages of wrong)
      expect(await refusal(publisher.publish({ topic, messages }, CALL))).toContain('INVALID_ARGUMENT');
    expect(await refusal(publisher.publish({ topic: `${topic}-no`, messages: [{ data }] }, CALL))).toContain(
      'NOT_FOUND',
    );
    expect(await pull(subscription)).toEqual([]);
    const largest = { data: Buffer.alloc(9_999_000), attributes: { k: 'v' } };
    expect(await refusal(publisher.publish({ topic, messages: [largest] }, CALL))).toBe('OK');
    expect(await pull(subscription)).toHaveLength(1);
  });

  test('goes to every subscription of its topic whose filter it passes', async () => {
    const { topic, subscription } = make();
    const filtered = `${subscription}-filtered`;
    pubsub.createSubscription({ name: filtered, topic, filter: 'attributes.kind = "good"' });
    pubsub.publish(topic, { data: Buffer.from('a'), attributes: { kind: 'good' } }, { data: Buffer.from('b') });
    expect(textsOf(await pull(subscription))).toEqual(['a', 'b']);
    expect(textsOf(await pull(filtered))).toEqual(['a']);
    expect(pubsub.undelivered(filtered)).toBe(1);
  });

  test('of Cloud Storage arrives as it was told', async () => {
    const { topic, subscription } = make();
    opened.faults.add({ effect: { kind: 'delivery', ms: { kind: 'even', min: 0, max: 1 }, twice: 0, never: 0 } });
    const attributes = { eventType: 'OBJECT_FINALIZE' };
    for (const target of [topic, `//pubsub.googleapis.com/${topic}`])
      opened.delivery.send('gcs', { target, body: '{}', attributes });
    await opened.delivery.settled();
    expect(await pull(subscription)).toMatchObject([
      { text: '{}', attributes },
      { text: '{}', attributes },
    ]);
  });

  test('is forgotten when it is too old', async () => {
    const { topic, subscription } = make({ messageRetentionDuration: { seconds: '600', nanos: 0 } });
    await publish(topic, 'old');
    time += 599_999;
    await publish(topic, 'new');
    time += 1;
    expect(textsOf(await pull(subscription))).toEqual(['new']);
  });
});

describe('a lease', () => {
  test('ends at its deadline, and the message comes again under another id', async () => {
    const { topic, subscription } = make({ ackDeadlineSeconds: 20 });
    await publish(topic, 'm');
    const [first] = await pull(subscription);
    time += 19_999;
    expect(await pull(subscription)).toEqual([]);
    time += 1;
    const [second] = await pull(subscription);
    expect(second).toMatchObject({ id: first!.id, text: 'm' });
    expect(second!.ackId).not.toBe(first!.ackId);
    await ack(subscription, first!.ackId);
    time += 20_000;
    const [third] = await pull(subscription);
    await ack(subscription, third!.ackId, third!.ackId);
    time += 20_000;
    expect(await pull(subscription)).toEqual([]);
  });

  test('is extended, and given back with 0', async () => {
    const { topic, subscription } = make();
    await publish(topic, 'm');
    const [first] = await pull(subscription);
    await modify(subscription, 600, first!.ackId);
    time += 599_999;
    expect(await pull(subscription)).toEqual([]);
    await modify(subscription, 0, first!.ackId);
    const [second] = await pull(subscription);
    expect(second?.text).toBe('m');
    await modify(subscription, 600, first!.ackId);
    time += 10_000;
    expect(await pull(subscription)).toHaveLength(1);
    for (const seconds of [-1, 601])
      expect(await refusal(modify(subscription, seconds, second!.ackId))).toContain('INVALID');
    expect(await refusal(ack(subscription, 'no id'))).toBe('INVALID_ARGUMENT Invalid ack id (ack_id=no id)');
    expect(await refusal(ack(subscription))).toBe('INVALID_ARGUMENT No ack ids specified.');
    const other = make();
    expect(await refusal(ack(other.subscription, second!.ackId))).toContain('Invalid ack id');
  });

  test('that is over is told where delivery is exactly once', async () => {
    const { topic, subscription } = make({ enableExactlyOnceDelivery: true });
    await publish(topic, 'kept', 'late');
    const [kept, late] = await pull(subscription);
    await modify(subscription, 60, kept!.ackId);
    time += 10_000;
    const error = await ack(subscription, kept!.ackId, late!.ackId).catch((it) => it);
    expect(status[error.code]).toBe('INVALID_ARGUMENT');
    expect(error).toMatchObject({
      reason: 'EXACTLY_ONCE_ACKID_FAILURE',
      errorInfoMetadata: { [late!.ackId]: 'PERMANENT_FAILURE_INVALID_ACK_ID' },
    });
    expect(Object.keys(error.errorInfoMetadata)).toEqual([late!.ackId]);
    expect(textsOf(await pull(subscription))).toEqual(['late']);
  });

  test('waits for its backoff after a failure, longer each time', async () => {
    const backoff = { minimumBackoff: { seconds: '10', nanos: 0 }, maximumBackoff: { seconds: '15', nanos: 0 } };
    const { topic, subscription } = make({ retryPolicy: backoff });
    await publish(topic, 'm');
    for (const wait of [10_000, 15_000, 15_000]) {
      const [received] = await pull(subscription);
      await modify(subscription, 0, received!.ackId);
      time += wait - 1;
      expect(await pull(subscription)).toEqual([]);
      time += 1;
    }
    expect(await pull(subscription)).toHaveLength(1);
  });

  test('that fails for the last time sends the message to the dead letters', async () => {
    const dead = make();
    const { topic, subscription } = make({ deadLetterPolicy: { deadLetterTopic: dead.topic, maxDeliveryAttempts: 5 } });
    await publisher.publish({ topic, messages: [{ data: Buffer.from('m'), attributes: { a: 'b' } }] }, CALL);
    const publishedAt = new Date(time).toISOString();
    for (let attempt = 1; attempt <= 5; attempt++) {
      const [received] = await pull(subscription);
      expect(received).toMatchObject({ text: 'm', attempt });
      if (attempt % 2 === 0) await modify(subscription, 0, received!.ackId);
      else time += 10_000;
    }
    expect(await pull(subscription)).toEqual([]);
    expect((await pull(dead.subscription))[0]).toMatchObject({
      text: 'm',
      attributes: {
        a: 'b',
        CloudPubSubDeadLetterSourceDeliveryCount: '5',
        CloudPubSubDeadLetterSourceSubscription: subscription.split('/').at(-1),
        CloudPubSubDeadLetterSourceSubscriptionProject: 'local-project',
        CloudPubSubDeadLetterSourceTopicPublishTime: publishedAt,
      },
    });
    expect(pubsub.undelivered(subscription)).toBe(0);
  });

  test('of a key holds back the rest of it, and what fails comes again in order', async () => {
    const { topic, subscription } = make({ enableMessageOrdering: true });
    const messages = ['a1', 'a2', 'a3'].map((text) => ({ data: Buffer.from(text), orderingKey: 'a' }));
    pubsub.publish(topic, ...messages);
    await publish(topic, 'free');
    pubsub.publish(topic, { data: Buffer.from('b1'), orderingKey: 'b' });
    const [a1, a2] = await pull(subscription, 2);
    expect([a1!.text, a2!.text]).toEqual(['a1', 'a2']);
    expect(textsOf(await pull(subscription))).toEqual(['free', 'b1']);
    await modify(subscription, 0, a1!.ackId);
    expect(textsOf(await pull(subscription, 2))).toEqual(['a1', 'a2']);
    time += 10_000;
    expect(textsOf(await pull(subscription))).toEqual(['a1', 'a2', 'a3', 'free', 'b1']);
  });
});

describe('a pull', () => {
  test('waits for a message when it may', async () => {
    const { topic, subscription } = make();
    const waiting = subscriber.pull({ subscription, maxMessages: 1 }, CALL);
    await publish(topic, 'm');
    expect((await waiting)[0].receivedMessages).toHaveLength(1);
  });

  test('of somebody who went away takes nothing', async () => {
    const { topic, subscription } = make();
    const impatient = subscriber.pull({ subscription, maxMessages: 1 }, { ...CALL, timeout: 50 });
    expect(await refusal(impatient)).toContain('DEADLINE_EXCEEDED');
    // On the same connection, so it arrives behind the news that nobody waits any more.
    await subscriber.getSubscription({ subscription }, CALL);
    await publish(topic, 'm');
    expect(textsOf(await pull(subscription))).toEqual(['m']);
  });

  test('ends when its subscription is removed, and is refused where it was detached', async () => {
    const { topic, subscription } = make();
    const waiting = refusal(subscriber.pull({ subscription, maxMessages: 1 }, CALL));
    await subscriber.deleteSubscription({ subscription }, CALL);
    expect(await waiting).toContain('NOT_FOUND');
    const other = make();
    await publish(other.topic, 'm');
    await publisher.detachSubscription({ subscription: other.subscription }, CALL);
    expect(await refusal(subscriber.pull({ subscription: other.subscription, maxMessages: 1 }, CALL))).toContain(
      'FAILED_PRECONDITION',
    );
    expect(await refusal(subscriber.pull({ subscription: topic, maxMessages: 1 }, CALL))).toContain('INVALID_ARGUMENT');
  });
});

describe('a seek', () => {
  const seek = (subscription: string, ms: number) =>
    subscriber.seek({ subscription, time: { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1e6 } }, CALL);

  test('acknowledges what is older, and brings back what was kept', async () => {
    const { topic, subscription } = make({ retainAckedMessages: true });
    await publish(topic, 'one');
    time += 1_000;
    const between = time;
    await publish(topic, 'two');
    for (const { ackId } of await pull(subscription)) await ack(subscription, ackId);
    expect(pubsub.undelivered(subscription)).toBe(0);
    await seek(subscription, between);
    expect(textsOf(await pull(subscription))).toEqual(['two']);
    await seek(subscription, time + 1);
    time += 10_000;
    expect(await pull(subscription)).toEqual([]);
  });

  test('reaches as far back as the topic keeps its messages', async () => {
    const name = `${PROJECT}/topics/keeping`;
    await publisher.createTopic({ name, messageRetentionDuration: { seconds: 600 } }, CALL);
    await publish(name, 'before');
    const subscription = `${PROJECT}/subscriptions/keeping`;
    await subscriber.createSubscription({ name: subscription, topic: name }, CALL);
    expect(await pull(subscription)).toEqual([]);
    await seek(subscription, time);
    expect(textsOf(await pull(subscription))).toEqual(['before']);
    expect(await refusal(subscriber.seek({ subscription }, CALL))).toContain('No target was specified');
  });
});

describe('a push subscription', () => {
  test('posts every message until it is taken', async () => {
    const bodies: { message: Record<string, unknown>; subscription: string }[] = [];
    let refusals = 1;
    let done = () => {};
    const enough = new Promise<void>((resolve) => {
      done = resolve;
    });
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      response.statusCode = refusals-- > 0 ? 500 : 204;
      response.end();
      bodies.push(JSON.parse(Buffer.concat(chunks).toString()));
      if (bodies.length === 2) done();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { topic, subscription } = make();
    const pushEndpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/push`;
    await subscriber.modifyPushConfig({ subscription, pushConfig: { pushEndpoint } }, CALL);
    pubsub.publish(topic, { data: Buffer.from('m'), attributes: { a: 'b' } });
    await enough;
    const publishTime = new Date(time).toISOString();
    expect(bodies[1]).toEqual(bodies[0]);
    expect(bodies[0]).toMatchObject({
      message: { data: Buffer.from('m').toString('base64'), attributes: { a: 'b' }, publishTime },
      subscription,
    });
    await subscriber.modifyPushConfig({ subscription, pushConfig: {} }, CALL);
    await publish(topic, 'pulled');
    expect(textsOf(await pull(subscription))).toEqual(['pulled']);
    server.closeAllConnections();
    server.close();
  });
});
