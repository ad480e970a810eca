import { afterAll, describe, expect, test } from 'vitest';
import { startServiceBus } from '../../local/azure/servicebus/servicebus.ts';
import { openCloud } from '../../local/cloud.ts';
import { queueConformance } from '../../test/conformance/queue.ts';
import { receiveAll, receiveOne } from '../../test/conformance/queue-bench.ts';
import { isFault } from '../model/fault.ts';
import { openServiceBusQueue } from './servicebus.ts';

const opened = openCloud({ name: 'azure', report: (line) => console.warn(line) });
let time = Date.now();
const now = () => time;
const bus = await startServiceBus({ ...opened, now }, { port: 0 });
let queues = 0;

afterAll(async () => {
  await bus.stop();
  await opened.close();
});

function open(queue = newQueue(), connectionString = bus.connectionString) {
  return openServiceBusQueue({ connectionString, queue, now, waitMs: 5 });
}

function newQueue(options = {}): string {
  const name = `queue-${++queues}`;
  bus.createQueue(name, { maxDeliveryCount: 2_000, lockDurationMs: 5 * 60_000, ...options });
  return name;
}

queueConformance({
  name: 'servicebus',
  open: async () => open(),
  advance: async (ms) => {
    time += ms;
  },
  modelRuns: 2,
});

async function kindOf(call: Promise<unknown>): Promise<unknown> {
  return call.catch((error: unknown) => (isFault(error) ? error.kind : error));
}

describe('a queue of Service Bus', () => {
  test('gives what others sent, and says which attempt it is', async () => {
    const name = newQueue();
    const queue = open(name);
    bus.send(name, { body: '{"a":1}', contentType: 'application/json', messageId: 'event-1' });
    const { receipt, ...first } = await receiveOne(queue);
    expect(first).toMatchObject({ id: 'event-1', body: '{"a":1}', attempt: 1, sentAt: time });
    expect(await queue.settle(receipt, { kind: 'again', delayMs: 1_000 })).toBe(true);
    time += 1_000;
    expect(await receiveOne(queue)).toMatchObject({ ...first, attempt: 2 });
    await queue.close();
  });

  test('ends a receive that still waits when it is closed', async () => {
    const name = newQueue();
    const queue = openServiceBusQueue({ connectionString: bus.connectionString, queue: name, waitMs: 5 });
    await queue.send('first');
    await receiveOne(queue);
    // Far longer than a test may take.
    const waiting = kindOf(queue.receive({ max: 10, visibilityMs: 1_000, waitMs: 3_600_000 }));
    await queue.close();
    expect(await waiting).toBe('invalid');
    expect(await kindOf(queue.receive({ max: 1, visibilityMs: 1_000 }))).toBe('invalid');
  });

  test('tells of messages that Service Bus itself set aside, and brings them back', async () => {
    const queue = open(newQueue({ maxDeliveryCount: 2 }));
    await queue.send('m');
    for (let attempt = 1; attempt <= 2; attempt++)
      await queue.settle((await receiveOne(queue)).receipt, { kind: 'again', delayMs: 0 });
    expect(await queue.deadLetters({ limit: 1 })).toMatchObject([
      { body: 'm', reason: 'MaxDeliveryCountExceeded', attempts: 2 },
    ]);
    expect(await queue.redrive({ limit: 5 })).toBe(1);
    expect(await receiveOne(queue)).toMatchObject({ body: 'm', attempt: 1 });
    await queue.close();
  });

  test('drops no copy of a message where duplicates are looked for', async () => {
    const queue = open(newQueue({ duplicateWindowMs: 600_000 }));
    await queue.send('m');
    for (let attempt = 1; attempt <= 3; attempt++) {
      await queue.settle((await receiveOne(queue)).receipt, { kind: 'again', delayMs: 10 });
      time += 10;
    }
    expect(await receiveOne(queue)).toMatchObject({ attempt: 4 });
    await queue.close();
  });

  test('settles many differently at once, each as it was meant', async () => {
    const queue = open();
    for (const body of ['done 1', 'again 1', 'dead 1', 'again 2', 'done 2', 'dead 2']) await queue.send(body);
    const kinds = {
      done: { kind: 'done' },
      again: { kind: 'again', delayMs: 0 },
      dead: { kind: 'dead', reason: 'because' },
    } as const;
    const all = await receiveAll(queue);
    await Promise.all(
      all.map(({ body, receipt }) => queue.settle(receipt, kinds[body.split(' ')[0] as keyof typeof kinds])),
    );
    expect(await queue.depth()).toEqual({ waiting: 2, inFlight: 0, dead: 2 });
    expect((await receiveAll(queue)).map(({ body }) => body).sort()).toEqual(['again 1', 'again 2']);
    await queue.close();
  });

  test('goes on when one link, or one session, has brought as many as it can', async () => {
    const queue = open();
    const count = 2_200;
    const bodies = Array.from({ length: count }, (_, index) => `m${index}`);
    await Promise.all(bodies.map((body) => queue.send(body)));
    const seen = new Set<string>();
    while (seen.size < count) {
      const some = await queue.receive({ max: 10, visibilityMs: 60_000 });
      expect(some.length).toBeGreaterThan(0);
      const settled = await Promise.all(some.map(({ receipt }) => queue.settle(receipt, { kind: 'done' })));
      expect(settled).not.toContain(false);
      for (const { body } of some) seen.add(body);
    }
    expect(await queue.depth()).toEqual({ waiting: 0, inFlight: 0, dead: 0 });
    await queue.close();
  });

  test('keeps a message longer than the lock of the queue', async () => {
    const name = newQueue({ lockDurationMs: 16_000 });
    const queue = open(name);
    await queue.send('m');
    const { receipt } = await receiveOne(queue, 60_000);
    time += 10_000;
    // Less of the lock is left than the driver waits for: it renews within a second or so.
    const lockedUntil = () =>
      opened.state.db.get<{ locked_until: number }>(
        'SELECT locked_until FROM servicebus_messages WHERE entity = ?',
        name,
      );
    await expect.poll(lockedUntil, { timeout: 5_000 }).toEqual({ locked_until: time + 16_000 });
    time += 10_000;
    expect(await queue.settle(receipt, { kind: 'done' })).toBe(true);
    await queue.close();
  });

  test('gives a message again when the process that held it is gone', async () => {
    const name = newQueue({ lockDurationMs: 20_000 });
    const dying = open(name);
    await dying.send('m');
    const { receipt } = await receiveOne(dying, 5_000);
    await dying.close();
    const queue = open(name);
    expect(await receiveAll(queue)).toEqual([]);
    time += 20_000;
    expect(await receiveOne(queue)).toMatchObject({ body: 'm', attempt: 2 });
    expect(await queue.settle(receipt, { kind: 'done' })).toBe(false);
    await queue.close();
  });

  test('says what went wrong: no such queue, a wrong key, nobody there, too busy', async () => {
    const missing = open('no-such-queue');
    expect(await kindOf(missing.send('m'))).toBe('not-found');
    await missing.close();
    const stranger = open(newQueue(), bus.connectionString.replace('Key=local', 'Key=wrong'));
    expect(await kindOf(stranger.send('m'))).toBe('forbidden');
    await stranger.close();
    const busy = open();
    const effect = { kind: 'status', status: 503 } as const;
    const rule = opened.faults.add({ scope: { service: 'servicebus', operation: 'Send' }, effect });
    expect(await kindOf(busy.send('m'))).toBe('throttled');
    opened.faults.remove(rule.id);
    await busy.close();
  });
});
