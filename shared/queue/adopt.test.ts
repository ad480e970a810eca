import { ServiceBusClient } from '@azure/service-bus';
import { afterAll, describe, expect, it } from 'vitest';
import { startServiceBus } from '../../local/azure/servicebus/servicebus.ts';
import { openCloud } from '../../local/cloud.ts';
import { startPubsub } from '../../local/google/pubsub/pubsub.ts';
import { receiveOne } from '../../test/conformance/queue-bench.ts';
import { CREDENTIALS, openSqsBench } from '../../test/samples/sqs.ts';
import { openPubsubQueue } from './pubsub.ts';
import type { Adopted, Handed, Queue } from './queue.ts';
import { openServiceBusQueue } from './servicebus.ts';
import { openSqsQueue } from './sqs.ts';

const HOLD_MS = 60_000;
const closing: Array<() => unknown> = [];

afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

function adopt(queue: Queue, handed: Handed): Adopted {
  return queue.adopt?.(handed, HOLD_MS) ?? expect.unreachable('this queue adopts nothing');
}

describe('a message that Lambda received from SQS', async () => {
  const bench = await openSqsBench();
  closing.push(() => bench.close());

  async function open() {
    const queueUrl = bench.newQueue();
    const endpoint = `http://127.0.0.1:${bench.sqs.port}`;
    const deadLetterQueueUrl = bench.newQueue({}, '-dead');
    const { now } = bench;
    const queue = await openSqsQueue({
      queueUrl,
      deadLetterQueueUrl,
      region: 'us-east-1',
      endpoint,
      credentials: CREDENTIALS,
      now,
    });
    closing.push(() => queue.close());
    const handed = async (): Promise<Handed> => {
      const [first] = await bench.receive(queueUrl, { MessageAttributeNames: ['All'], VisibilityTimeout: 60 });
      if (first === undefined) return expect.unreachable('nothing there');
      const { MessageId: id = '', Body: body = '', MessageAttributes = {}, ReceiptHandle: handle = '' } = first;
      const attributes = Object.fromEntries(
        Object.entries(MessageAttributes).map(([name, { StringValue }]) => [name, StringValue]),
      );
      const { ApproximateReceiveCount, SentTimestamp } = first.Attributes ?? {};
      return {
        id,
        body,
        attributes,
        deliveries: Number(ApproximateReceiveCount),
        sentAt: Number(SentTimestamp),
        handle,
      };
    };
    return { queue, queueUrl, handed };
  }

  it('is put back with a delay as one and the same message, which counts on', async () => {
    const { queue, queueUrl, handed } = await open();
    await queue.send('m');
    const first = adopt(queue, await handed());
    expect(first).toMatchObject({ delivery: { body: 'm', attempt: 1 }, dueInMs: 0 });
    expect(await queue.settle(first.delivery.receipt, { kind: 'again', delayMs: 5_000 })).toBe(true);
    expect(await bench.counts(queueUrl)).toBe('0 0 1');
    bench.advance(5_000);
    const second = adopt(queue, await handed());
    expect(second.delivery).toMatchObject({ id: first.delivery.id, body: 'm', attempt: 2 });
    expect(await queue.settle(second.delivery.receipt, { kind: 'done' })).toBe(true);
    expect(await bench.counts(queueUrl)).toBe('0 0 0');
  });

  it('is kept apart with the reason, and can be brought back', async () => {
    const { queue, queueUrl, handed } = await open();
    await queue.send('m');
    const { delivery } = adopt(queue, await handed());
    expect(await queue.settle(delivery.receipt, { kind: 'dead', reason: 'nobody can read it' })).toBe(true);
    expect(await bench.counts(queueUrl)).toBe('0 0 0');
    expect(await queue.deadLetters({ limit: 10 })).toMatchObject([
      { body: 'm', reason: 'nobody can read it', attempts: 1 },
    ]);
    expect(await queue.redrive({ limit: 10 })).toBe(1);
    expect(await receiveOne(queue)).toMatchObject({ id: delivery.id, body: 'm', attempt: 1 });
  });

  it('says when it came before its time', async () => {
    const { queue, handed } = await open();
    await queue.send('m', { delayMs: 1_000_000 });
    bench.advance(900_000);
    const early = adopt(queue, await handed());
    expect(early).toMatchObject({ delivery: { body: 'm', attempt: 0 }, dueInMs: 100_000 });
    await queue.settle(early.delivery.receipt, { kind: 'again', delayMs: early.dueInMs });
    bench.advance(100_000);
    expect(adopt(queue, await handed())).toMatchObject({ delivery: { body: 'm', attempt: 1 }, dueInMs: 0 });
  });

  it('cannot be settled when it was held too long', async () => {
    const { queue, handed } = await open();
    await queue.send('m');
    const { delivery } = adopt(queue, await handed());
    bench.advance(HOLD_MS);
    expect(await queue.settle(delivery.receipt, { kind: 'again', delayMs: 1_000 })).toBe(false);
  });
});

describe('a message that Pub/Sub pushed', async () => {
  const cloud = openCloud({ name: 'gcp' });
  const pubsub = await startPubsub(cloud, { port: 0 });
  closing.push(
    () => cloud.close(),
    () => pubsub.stop(),
  );
  for (const name of ['pushed', 'pushed-dead']) {
    pubsub.createTopic(`projects/p/topics/${name}`);
    pubsub.createSubscription({ name: `projects/p/subscriptions/${name}`, topic: `projects/p/topics/${name}` });
  }
  const queue = openPubsubQueue({
    projectId: 'p',
    topic: 'pushed',
    subscription: 'pushed',
    deadLetterTopic: 'pushed-dead',
    deadLetterSubscription: 'pushed-dead',
    apiEndpoint: `http://127.0.0.1:${pubsub.port}`,
  });
  closing.push(() => queue.close());
  const handed: Handed = {
    id: '7',
    body: '{}',
    attributes: { eventType: 'OBJECT_FINALIZE' },
    deliveries: 3,
    sentAt: 5,
  };

  it('is acknowledged and put back by whoever answers the push alone', async () => {
    const { delivery, dueInMs } = adopt(queue, handed);
    expect(delivery).toMatchObject({ id: '7', body: '{}', attempt: 3, attributes: { eventType: 'OBJECT_FINALIZE' } });
    expect(dueInMs).toBe(0);
    expect(await queue.settle(delivery.receipt, { kind: 'again', delayMs: 1 })).toBe(false);
    expect(await queue.settle(delivery.receipt, { kind: 'done' })).toBe(true);
    expect(await queue.receive({ max: 1, visibilityMs: 1_000 })).toEqual([]);
  });

  it('is kept apart with the reason, and comes back with what stood beside it', async () => {
    const { delivery } = adopt(queue, handed);
    expect(await queue.settle(delivery.receipt, { kind: 'dead', reason: 'nobody can read it' })).toBe(true);
    expect(await queue.deadLetters({ limit: 10 })).toMatchObject([
      { id: '7', body: '{}', reason: 'nobody can read it', attempts: 3 },
    ]);
    expect(await queue.redrive({ limit: 10 })).toBe(1);
    const again = await receiveOne(queue);
    expect(again).toMatchObject({ id: '7', attempt: 1, sentAt: 5, attributes: { eventType: 'OBJECT_FINALIZE' } });
    await queue.settle(again.receipt, { kind: 'done' });
  });

  it('says when it came before its time', () => {
    const attributes = { triplicateNotBefore: String(Date.now() + 100_000) };
    expect(adopt(queue, { ...handed, attributes }).dueInMs).toBeGreaterThan(90_000);
  });
});

describe('a message that Azure Functions received from Service Bus', async () => {
  const cloud = openCloud({ name: 'azure' });
  let time = Date.now();
  const now = () => time;
  const bus = await startServiceBus({ ...cloud, now }, { port: 0 });
  const host = new ServiceBusClient(bus.connectionString);
  closing.push(
    () => cloud.close(),
    () => bus.stop(),
    () => host.close(),
  );
  let names = 0;

  function open() {
    const name = `adopted-${++names}`;
    bus.createQueue(name, { maxDeliveryCount: 2_000, lockDurationMs: 5 * 60_000 });
    const queue = openServiceBusQueue({ connectionString: bus.connectionString, queue: name, now, waitMs: 5 });
    const receiver = host.createReceiver(name, { skipParsingBodyAsJson: true });
    closing.push(() => queue.close());
    const handed = async (): Promise<Handed> => {
      const [first] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 2_000 });
      if (first?.lockToken === undefined) return expect.unreachable('nothing there');
      const { messageId, body, applicationProperties: attributes = {}, deliveryCount = 0, enqueuedTimeUtc } = first;
      return {
        id: String(messageId),
        body: String(body),
        attributes,
        deliveries: deliveryCount + 1,
        sentAt: enqueuedTimeUtc?.getTime() ?? 0,
        handle: first.lockToken,
      };
    };
    return { name, queue, handed };
  }

  it('is done by its lock token', async () => {
    const { queue, handed } = open();
    await queue.send('m');
    const { delivery } = adopt(queue, await handed());
    expect(delivery).toMatchObject({ body: 'm', attempt: 1 });
    expect(await queue.settle(delivery.receipt, { kind: 'done' })).toBe(true);
    expect(await queue.depth()).toEqual({ waiting: 0, inFlight: 0, dead: 0 });
  });

  it('is put back with a delay as one and the same message, which counts on', async () => {
    const { queue, handed } = open();
    await queue.send('m');
    const first = adopt(queue, await handed());
    expect(await queue.settle(first.delivery.receipt, { kind: 'again', delayMs: 5_000 })).toBe(true);
    time += 5_000;
    const second = adopt(queue, await handed());
    expect(second.delivery).toMatchObject({ id: first.delivery.id, body: 'm', attempt: 2 });
    expect(await queue.settle(second.delivery.receipt, { kind: 'done' })).toBe(true);
  });

  it('is kept apart with the reason, and can be brought back', async () => {
    const { queue, handed } = open();
    await queue.send('m');
    const { delivery } = adopt(queue, await handed());
    expect(await queue.settle(delivery.receipt, { kind: 'dead', reason: 'nobody can read it' })).toBe(true);
    expect(await queue.deadLetters({ limit: 10 })).toMatchObject([
      { body: 'm', reason: 'nobody can read it', attempts: 1 },
    ]);
    expect(await queue.redrive({ limit: 10 })).toBe(1);
    expect(await receiveOne(queue)).toMatchObject({ id: delivery.id, body: 'm', attempt: 1 });
  });
});
