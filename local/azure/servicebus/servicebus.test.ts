import { createConnection } from 'node:net';
import { ServiceBusClient, type ServiceBusReceiver } from '@azure/service-bus';
import rhea from 'rhea';
import { afterAll, describe, expect, test } from 'vitest';
import { openCloud } from '../../cloud.ts';
import { startServiceBus } from './servicebus.ts';

let ahead = 0;
const reported: string[] = [];
const opened = openCloud({
  name: 'azure',
  report: (line) => reported.push(line),
});
const cloud = { ...opened, now: () => opened.now() + ahead };
const bus = await startServiceBus(cloud, { port: 0 });
const newClient = (text = bus.connectionString, timeoutInMs = 3_000) =>
  new ServiceBusClient(text, { retryOptions: { maxRetries: 0, timeoutInMs } });
const client = newClient();
let queues = 0;

afterAll(async () => {
  await client.close();
  await bus.stop();
  await opened.close();
});

function newQueue(options: Parameters<typeof bus.createQueue>[1] = {}): string {
  const name = `queue-${++queues}`;
  bus.createQueue(name, options);
  return name;
}

const QUICK = { maxWaitTimeInMs: 40 };

async function one(receiver: ServiceBusReceiver) {
  const all = await receiver.receiveMessages(1, QUICK);
  expect(all).toHaveLength(1);
  return all[0]!;
}

const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'done',
    (error: { code?: string }) => error.code,
  );

describe('a queue', () => {
  test('gives more by one link than a session has room for', async () => {
    const queue = newQueue();
    const sender = client.createSender(queue);
    const count = 2_500;
    for (let i = 0; i < count; i += 100)
      await sender.sendMessages(Array.from({ length: 100 }, (_, j) => ({ body: i + j })));
    const receiver = client.createReceiver(queue);
    const bodies = new Set<unknown>();
    for (let all = [null] as readonly unknown[]; all.length > 0; ) {
      const messages = await receiver.receiveMessages(100, { maxWaitTimeInMs: bodies.size < count ? 3_000 : 40 });
      await Promise.all(messages.map((message) => receiver.completeMessage(message)));
      for (const { body } of messages) bodies.add(body);
      all = messages;
    }
    expect(bodies.size).toBe(count);
  });

  test('gives a message as it was sent, until it is completed', async () => {
    const queue = newQueue();
    const message = { body: { a: 'é' }, messageId: 'm1', subject: 's', applicationProperties: { n: 7, at: true } };
    await client.createSender(queue).sendMessages(message);
    const receiver = client.createReceiver(queue);
    const got = await one(receiver);
    expect(got).toMatchObject({ ...message, deliveryCount: 0, state: 'active' });
    expect(got.sequenceNumber?.toNumber()).toBe(1);
    await receiver.completeMessage(got);
    expect(await receiver.receiveMessages(1, QUICK)).toEqual([]);
    expect(await receiver.peekMessages(1)).toEqual([]);
  });

  test('keeps the bytes of a body of any type', async () => {
    const queue = newQueue();
    const sender = client.createSender(queue);
    const value = { list: [1, 'two', rhea.types.wrap_ubyte(3)], long: rhea.types.wrap_long(5) };
    await sender.sendMessages({ bodyType: 'value', body: value, applicationProperties: { x: 1 } });
    await sender.sendMessages({ bodyType: 'data', body: Buffer.from([0, 255, 128]) });
    const receiver = client.createReceiver(queue, { skipParsingBodyAsJson: true });
    const [first, second] = await receiver.receiveMessages(2, QUICK);
    expect(first?._rawAmqpMessage.bodyType).toBe('value');
    expect(second?.body).toEqual(Buffer.from([0, 255, 128]));
    const row = cloud.state.db.get<{ body: Uint8Array }>(
      'SELECT body FROM servicebus_messages WHERE entity = ?',
      queue,
    );
    const sent = rhea.message.encode({ body: value });
    expect(Buffer.from(row!.body).equals(sent.subarray(sent.indexOf(Buffer.from([0, 0x53, 0x77]))))).toBe(true);
  });

  test('counts abandoned deliveries, keeps what was changed and buries the message at last', async () => {
    const queue = newQueue({ maxDeliveryCount: 2 });
    await client.createSender(queue).sendMessages({ body: 'x' });
    const receiver = client.createReceiver(queue);
    await receiver.abandonMessage(await one(receiver), { tried: 'once' });
    const again = await one(receiver);
    expect(again).toMatchObject({ deliveryCount: 1, applicationProperties: { tried: 'once' } });
    await receiver.abandonMessage(again);
    expect(await receiver.receiveMessages(1, QUICK)).toEqual([]);
    const dead = await one(client.createReceiver(queue, { subQueueType: 'deadLetter' }));
    expect(dead).toMatchObject({
      deadLetterReason: 'MaxDeliveryCountExceeded',
      deadLetterSource: queue,
      deliveryCount: 2,
    });
  });

  test('buries a message for a reason', async () => {
    const queue = newQueue();
    await client.createSender(queue).sendMessages({ body: 'x', applicationProperties: { kept: 1 } });
    const receiver = client.createReceiver(queue);
    const why = { deadLetterReason: 'r', deadLetterErrorDescription: 'd é', more: 'yes' };
    await receiver.deadLetterMessage(await one(receiver), why);
    const dead = await one(client.createReceiver(queue, { subQueueType: 'deadLetter' }));
    expect(dead).toMatchObject({ deadLetterReason: 'r', deadLetterErrorDescription: 'd é' });
    expect(dead.applicationProperties).toMatchObject({ kept: 1, more: 'yes' });
  });

  test('gives a message again when its lock ends, and the old lock is worth nothing', async () => {
    const queue = newQueue({ lockDurationMs: 10_000 });
    await client.createSender(queue).sendMessages({ body: 'x' });
    const receiver = client.createReceiver(queue);
    const first = await one(receiver);
    ahead += 9_000;
    expect((await receiver.renewMessageLock(first)).getTime()).toBeGreaterThan(cloud.now() + 9_000);
    ahead += 9_000;
    expect(await receiver.receiveMessages(1, QUICK)).toEqual([]);
    ahead += 1_001;
    const second = await one(receiver);
    expect(second.deliveryCount).toBe(1);
    expect(await codeOf(receiver.completeMessage(first))).toBe('MessageLockLost');
    expect(await codeOf(receiver.renewMessageLock(first))).toBe('MessageLockLost');
    await receiver.completeMessage(second);
  });

  test('settles over $management what came by a link that is closed', async () => {
    const queue = newQueue();
    await client.createSender(queue).sendMessages([{ body: 'x' }, { body: 'y' }]);
    const receiver = client.createReceiver(queue);
    const [x, y] = await receiver.receiveMessages(2, QUICK);
    await receiver.close();
    const other = client.createReceiver(queue);
    await other.completeMessage(x!);
    await other.abandonMessage(y!);
    expect((await one(other)).body).toBe('y');
  });

  test('forgets at once what is received and deleted', async () => {
    const queue = newQueue();
    await client.createSender(queue).sendMessages({ body: 'x' });
    const receiver = client.createReceiver(queue, { receiveMode: 'receiveAndDelete' });
    expect((await one(receiver)).body).toBe('x');
    expect(await receiver.peekMessages(1)).toEqual([]);
  });

  test('keeps scheduled messages until their hour, unless they are cancelled', async () => {
    const queue = newQueue();
    const sender = client.createSender(queue);
    const due = new Date(cloud.now() + 60_000);
    const [first, second] = await sender.scheduleMessages([{ body: 'a' }, { body: 'b' }], due);
    await sender.cancelScheduledMessages(second!);
    expect(await codeOf(sender.cancelScheduledMessages(second!))).toBe('MessageNotFound');
    const receiver = client.createReceiver(queue);
    expect(await receiver.receiveMessages(1, QUICK)).toEqual([]);
    expect(await receiver.peekMessages(5)).toMatchObject([{ body: 'a', state: 'scheduled' }]);
    ahead += 60_001;
    const got = await one(receiver);
    expect(got.sequenceNumber?.toString()).toBe(first?.toString());
    expect(got.enqueuedTimeUtc).toEqual(due);
  });

  test('wakes a receiver that waits when the hour of a message comes', async () => {
    const queue = newQueue();
    await client.createSender(queue).scheduleMessages({ body: 'soon' }, new Date(cloud.now() + 150));
    const [got] = await client.createReceiver(queue).receiveMessages(1, { maxWaitTimeInMs: 4_000 });
    expect(got?.body).toBe('soon');
  });

  test('keeps a deferred message for who knows its number', async () => {
    const queue = newQueue();
    await client.createSender(queue).sendMessages({ body: 'x' });
    const receiver = client.createReceiver(queue);
    const message = await one(receiver);
    await receiver.deferMessage(message);
    expect(await receiver.receiveMessages(1, QUICK)).toEqual([]);
    const [deferred] = await receiver.receiveDeferredMessages(message.sequenceNumber!);
    expect(deferred).toMatchObject({ body: 'x', state: 'deferred' });
    await receiver.completeMessage(deferred!);
    expect(await receiver.peekMessages(1)).toEqual([]);
  });

  test('drops what has expired, or buries it', async () => {
    for (const deadLetterOnExpiry of [false, true]) {
      const queue = newQueue({ deadLetterOnExpiry });
      await client.createSender(queue).sendMessages({ body: 'x', timeToLive: 5_000 });
      ahead += 5_001;
      expect(await client.createReceiver(queue).receiveMessages(1, QUICK)).toEqual([]);
      const dead = await client.createReceiver(queue, { subQueueType: 'deadLetter' }).peekMessages(5);
      expect(dead.map((it) => it.deadLetterReason)).toEqual(deadLetterOnExpiry ? ['TTLExpiredException'] : []);
    }
  });

  test('accepts a duplicate and drops it, while it remembers', async () => {
    const queue = newQueue({ duplicateWindowMs: 60_000 });
    const sender = client.createSender(queue);
    for (const wait of [0, 0, 60_001]) {
      ahead += wait;
      await sender.sendMessages({ body: 'x', messageId: 'same' });
    }
    expect(await client.createReceiver(queue).peekMessages(5)).toHaveLength(2);
  });

  test('takes many in one transfer, all or none, and gives them in order', async () => {
    const queue = newQueue();
    const sender = client.createSender(queue);
    const batch = await sender.createMessageBatch();
    for (let index = 0; index < 500; index++) batch.tryAddMessage({ body: index, messageId: `m${index}` });
    await sender.sendMessages(batch);
    const receiver = client.createReceiver(queue);
    const all = [];
    while (all.length < 500) {
      const some = await receiver.receiveMessages(120, QUICK);
      all.push(...some);
      await Promise.all(some.map((it) => receiver.completeMessage(it)));
    }
    expect(all.map(({ body }) => body)).toEqual(Array.from({ length: 500 }, (_, index) => index));
  });

  test('pushes to a subscriber within its credit', async () => {
    const queue = newQueue();
    const sender = client.createSender(queue);
    await sender.sendMessages(Array.from({ length: 50 }, (_, body) => ({ body })));
    const seen: number[] = [];
    const receiver = client.createReceiver(queue);
    await new Promise<void>((resolve, reject) => {
      receiver.subscribe(
        {
          processMessage: async ({ body }) => void (seen.push(body) === 50 && resolve()),
          processError: async (it) => reject(it.error),
        },
        { maxConcurrentCalls: 3 },
      );
    });
    await receiver.close();
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, body) => body));
  });
});

describe('sessions', () => {
  test('are locked as a whole, keep their order and have a state', async () => {
    const queue = newQueue({ sessions: true });
    const sender = client.createSender(queue);
    await sender.sendMessages(['a1', 'b1', 'a2'].map((body) => ({ body, sessionId: body[0]! })));
    const a = await client.acceptSession(queue, 'a');
    expect(await codeOf(client.acceptSession(queue, 'a'))).toBe('SessionCannotBeLocked');
    const next = await client.acceptNextSession(queue);
    expect(next.sessionId).toBe('b');
    expect((await a.receiveMessages(5, QUICK)).map(({ body }) => body)).toEqual(['a1', 'a2']);
    await a.setSessionState({ step: 2 });
    expect(await a.getSessionState()).toEqual({ step: 2 });
    expect((await a.renewSessionLock()).getTime()).toBeGreaterThan(cloud.now());
    await a.close();
    const again = await client.acceptSession(queue, 'a');
    expect((await again.receiveMessages(5, QUICK)).map((it) => it.deliveryCount)).toEqual([1, 1]);
    await again.close();
    await next.close();
  });

  test('are needed where a queue has them', async () => {
    const queue = newQueue({ sessions: true });
    expect(await codeOf(client.createSender(queue).sendMessages({ body: 'x' }))).not.toBe('done');
    expect(await codeOf(client.createReceiver(queue).receiveMessages(1, QUICK))).not.toBe('done');
  });
});

test('a topic gives each subscription what its filter lets through', async () => {
  bus.createTopic('news');
  bus.createSubscription('news', 'all');
  bus.createSubscription('news', 'red', {
    filter: { kind: 'correlation', subject: 's', properties: { colour: 'red' } },
  });
  const sender = client.createSender('news');
  for (const colour of ['red', 'blue'])
    await sender.sendMessages({ body: colour, subject: 's', applicationProperties: { colour } });
  const bodies = async (name: string) =>
    (await client.createReceiver('news', name).receiveMessages(5, QUICK)).map(({ body }) => body);
  expect(await bodies('all')).toEqual(['red', 'blue']);
  expect(await bodies('red')).toEqual(['red']);
});

describe('it refuses', () => {
  test('what does not exist', async () => {
    expect(await codeOf(client.createSender('nowhere').sendMessages({ body: 'x' }))).toBe('MessagingEntityNotFound');
    expect(await codeOf(client.createReceiver('nowhere').receiveMessages(1, QUICK))).toBe('MessagingEntityNotFound');
  });

  test('a wrong key', async () => {
    const stranger = newClient(bus.connectionString.replace('SharedAccessKey=local', 'SharedAccessKey=wrong'));
    expect(await codeOf(stranger.createSender(newQueue()).sendMessages({ body: 'x' }))).toBe('UnauthorizedAccess');
    await stranger.close();
  });

  test('a message that is too large', async () => {
    const body = Buffer.alloc(1024 * 1024 + 1);
    const queue = newQueue();
    expect(await codeOf(client.createSender(queue).sendMessages({ body }))).toBe('MessageSizeExceeded');
    expect(await client.createReceiver(queue).peekMessages(1)).toEqual([]);
  });

  test('nonsense on the wire, and goes on', async () => {
    const header = Buffer.from('AMQP\x03\x01\x00\x00', 'latin1');
    const plain = Buffer.from('AMQP\x00\x01\x00\x00', 'latin1');
    const nonsense = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.concat([header, Buffer.from('ffffffff02000000', 'hex')]),
      Buffer.concat([plain, Buffer.from('0000001002000000005310c0ff7f01a1', 'hex')]),
      Buffer.concat([plain, Buffer.from('000000080200000000000000', 'hex')]),
      Buffer.concat([plain, Buffer.alloc(4096, 0x53)]),
      header.subarray(0, 3),
    ];
    for (const bytes of nonsense)
      await new Promise<void>((resolve) => {
        const socket = createConnection(bus.port, '127.0.0.1', () => socket.end(bytes));
        socket.on('error', () => {});
        socket.on('close', () => resolve());
        socket.resume();
      });
    const queue = newQueue();
    await client.createSender(queue).sendMessages({ body: 'still here' });
    expect((await one(client.createReceiver(queue))).body).toBe('still here');
  });

  test('a batch that holds no messages', async () => {
    const queue = newQueue();
    const connection = rhea.create_container().connect({
      host: '127.0.0.1',
      port: bus.port,
      username: 'RootManageSharedAccessKey',
      password: 'local',
      reconnect: false,
    });
    const outcome = await new Promise<unknown>((resolve) => {
      const sender = connection.open_sender(queue);
      sender.once('sendable', () =>
        sender.send(Buffer.from([0, 0x53, 0x77, 0x40]) as never, undefined as never, 0x80013700),
      );
      sender.on('rejected', ({ delivery }) =>
        resolve((delivery?.remote_state as { error?: { condition: string } })?.error?.condition),
      );
      sender.on('accepted', () => resolve('accepted'));
    });
    connection.close();
    expect(outcome).toBe('amqp:decode-error');
  });
});

describe('faults', () => {
  test('refuse a send, and nothing is kept', async () => {
    const queue = newQueue();
    const effect = { kind: 'status', status: 503 } as const;
    cloud.faults.add({ scope: { service: 'servicebus', operation: 'Send' }, effect, times: 1 });
    const sender = client.createSender(queue);
    expect(await codeOf(sender.sendMessages({ body: 'x' }))).toBe('ServiceBusy');
    await sender.sendMessages({ body: 'y' });
    expect((await client.createReceiver(queue).peekMessages(5)).map(({ body }) => body)).toEqual(['y']);
  });

  test('lose the answer to a send that happened', async () => {
    const queue = newQueue();
    cloud.faults.add({ scope: { operation: 'Send' }, effect: { kind: 'lost-answer' }, times: 1 });
    const other = newClient(bus.connectionString, 500);
    expect(await codeOf(other.createSender(queue).sendMessages({ body: 'x' }))).not.toBe('done');
    await other.close();
    expect(await client.createReceiver(queue).peekMessages(5)).toHaveLength(1);
  });

  test('strike one caller by its user agent', async () => {
    const queue = newQueue();
    const scope = { service: 'servicebus', operation: 'Send', from: 'struck' };
    const rule = cloud.faults.add({ scope, effect: { kind: 'status', status: 503 } });
    const options = { retryOptions: { maxRetries: 0 }, userAgentOptions: { userAgentPrefix: 'struck' } };
    const struck = new ServiceBusClient(bus.connectionString, options);
    expect(await codeOf(struck.createSender(queue).sendMessages({ body: 'x' }))).toBe('ServiceBusy');
    expect(await codeOf(client.createSender(queue).sendMessages({ body: 'y' }))).toBe('done');
    cloud.faults.remove(rule.id);
    await struck.close();
  });

  test('cut the connection in an outage', async () => {
    const queue = newQueue();
    const rule = cloud.faults.add({ scope: { service: 'servicebus', keyPrefix: queue }, effect: { kind: 'outage' } });
    const other = newClient(bus.connectionString, 500);
    expect(await codeOf(other.createSender(queue).sendMessages({ body: 'x' }))).not.toBe('done');
    cloud.faults.remove(rule.id);
    await other.createSender(queue).sendMessages({ body: 'x' });
    await other.close();
  });
});
