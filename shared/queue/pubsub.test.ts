import { afterAll, describe, expect, test } from 'vitest';
import { openCloud } from '../../local/cloud.ts';
import { startPubsub } from '../../local/google/pubsub/pubsub.ts';
import { queueConformance } from '../../test/conformance/queue.ts';
import { receiveAll, receiveOne, VISIBILITY_MS } from '../../test/conformance/queue-bench.ts';
import { isFault } from '../model/fault.ts';
import { openPubsubQueue, type PubsubQueueOptions } from './pubsub.ts';
import type { Queue } from './queue.ts';

const PROJECT = 'local-project';
const opened = openCloud({ name: 'gcp' });
let time = 1_700_000_000_000;
const now = () => time;
const pubsub = await startPubsub({ ...opened, now }, { port: 0 });
let queues = 0;
const names = new Map<Queue, string>();

afterAll(async () => {
  await pubsub.stop();
  await opened.close();
});

interface Wanted {
  readonly exactlyOnce?: boolean;
  readonly attemptsMax?: number | null;
  readonly options?: Partial<PubsubQueueOptions>;
}

function open(name: string, { exactlyOnce = true, attemptsMax = 100, options = {} }: Wanted = {}): Queue {
  const full = (kind: string, suffix = '') => `projects/${PROJECT}/${kind}/${name}${suffix}`;
  pubsub.createTopic(full('topics'));
  pubsub.createTopic(full('topics', '-dead'));
  pubsub.createSubscription({
    name: full('subscriptions'),
    topic: full('topics'),
    enableExactlyOnceDelivery: exactlyOnce,
    deadLetterPolicy:
      attemptsMax === null ? null : { deadLetterTopic: full('topics', '-dead'), maxDeliveryAttempts: attemptsMax },
  });
  pubsub.createSubscription({ name: full('subscriptions', '-dead'), topic: full('topics', '-dead') });
  const queue = openPubsubQueue({
    projectId: PROJECT,
    topic: name,
    subscription: name,
    deadLetterTopic: `${name}-dead`,
    deadLetterSubscription: `${name}-dead`,
    apiEndpoint: `http://127.0.0.1:${pubsub.port}`,
    undelivered: async (subscription) => pubsub.undelivered(`projects/${PROJECT}/subscriptions/${subscription}`),
    now,
    ...options,
  });
  names.set(queue, name);
  return queue;
}

async function kindOf(call: Promise<unknown>): Promise<unknown> {
  return call.catch((error: unknown) => (isFault(error) ? error.kind : error));
}

queueConformance({
  name: 'pubsub',
  modelRuns: 40,
  open: async () => open(`queue-${++queues}`),
  reopen: async (queue) => open(names.get(queue)!),
  advance: async (ms) => {
    time += ms;
  },
  skip: [
    {
      test: 'a queue opened again has all it had, and its receipts still hold',
      reason: 'Pub/Sub tells no process what another one holds, so the depth cannot say what is in flight',
    },
  ],
});

describe('beyond what the suite asks', () => {
  const DONE = { kind: 'done' } as const;

  test('what one process received another one can settle, and see when it is put back', async () => {
    const queue = open('reopened');
    for (const body of ['dead', 'done', 'flying', 'later']) await queue.send(body);
    const received = new Map((await receiveAll(queue)).map((it) => [it.body, it.receipt]));
    await queue.settle(received.get('dead')!, { kind: 'dead', reason: 'why' });
    await queue.settle(received.get('done')!, DONE);
    await queue.close();
    const again = open('reopened');
    expect(await again.settle(received.get('done')!, DONE)).toBe(false);
    expect(await again.settle(received.get('flying')!, { kind: 'again', delayMs: 0 })).toBe(true);
    expect(await again.extend(received.get('later')!, 10 * VISIBILITY_MS)).toBe(true);
    expect(await receiveOne(again)).toMatchObject({ body: 'flying', attempt: 2 });
    expect(await kindOf(again.settle(received.get('later')!, { kind: 'dead', reason: 'why' }))).toBe('unsupported');
    expect(await again.settle(received.get('later')!, DONE)).toBe(true);
    expect((await again.deadLetters({ limit: 10 })).map(({ body }) => body)).toEqual(['dead']);
    await again.close();
  });

  test('a visibility of more than ten minutes is kept by who holds it', async () => {
    const queue = open('long-visibility');
    const other = open('long-visibility');
    await queue.send('m');
    const { receipt } = await receiveOne(queue, 2_000_000);
    for (let passed = 0; passed < 2_000_000; passed += 500_000) {
      expect(await receiveAll(queue)).toEqual([]);
      expect(await receiveAll(other)).toEqual([]);
      time += 499_999;
    }
    expect(await queue.extend(receipt, 1_000)).toBe(true);
    time += 1_000;
    expect(await queue.settle(receipt, DONE)).toBe(false);
    expect(await receiveOne(other)).toMatchObject({ body: 'm', attempt: 2 });
    await Promise.all([queue.close(), other.close()]);
  });

  test('a delay of more than ten minutes is kept to the millisecond, and counts as no attempt', async () => {
    const queue = open('long-delay');
    await queue.send('sent', { delayMs: 1_900_001 });
    await queue.send('again');
    const { receipt, ...first } = await receiveOne(queue);
    expect(await queue.settle(receipt, { kind: 'again', delayMs: 1_900_001 })).toBe(true);
    expect(await queue.settle(receipt, DONE)).toBe(false);
    for (const ms of [0, 600_000, 600_000, 600_000, 100_000]) {
      time += ms;
      expect(await receiveAll(queue)).toEqual([]);
    }
    expect(await queue.depth()).toEqual({ waiting: 2, inFlight: 0, dead: 0 });
    time += 1;
    const both = [...(await receiveAll(queue))].sort((a, b) => a.attempt - b.attempt);
    expect(both[0]).toMatchObject({ body: 'sent', attempt: 1 });
    expect(both[1]).toMatchObject({ ...first, attempt: 2 });
    await queue.close();
  });

  test('what Pub/Sub itself gives up lies with the dead letters and can be put back', async () => {
    const queue = open('given-up', { attemptsMax: 5 });
    await queue.send('m');
    const { sentAt } = await receiveOne(queue, 1_000);
    for (let attempt = 2; attempt <= 5; attempt++) {
      time += 1_000;
      expect(await receiveOne(queue, 1_000)).toMatchObject({ attempt });
    }
    time += 1_000;
    expect(await receiveAll(queue)).toEqual([]);
    const reason = 'Pub/Sub gave it up after 5 deliveries';
    expect(await queue.deadLetters({ limit: 1 })).toMatchObject([{ body: 'm', reason, attempts: 5 }]);
    expect(await queue.redrive({ limit: 1 })).toBe(1);
    expect(await receiveOne(queue)).toMatchObject({ body: 'm', attempt: 1, sentAt });
    await queue.close();
  });

  test('without exactly once delivery and a dead letter policy this process remembers', async () => {
    const queue = open('plain', { exactlyOnce: false, attemptsMax: null });
    await queue.send('m');
    const { receipt } = await receiveOne(queue, 1_000);
    time += 1_000;
    expect(await queue.settle(receipt, DONE)).toBe(false);
    const second = await receiveOne(queue);
    expect(second.attempt).toBe(2);
    expect(await queue.settle(second.receipt, DONE)).toBe(true);
    expect(await queue.settle(second.receipt, DONE)).toBe(false);
    expect(await queue.depth()).toEqual({ waiting: 0, inFlight: 0, dead: 0 });
    await queue.close();
  });

  test('a message that somebody else published is a body like any other', async () => {
    const queue = open('foreign');
    const attributes = { triplicateSentAt: 'yesterday', triplicateNotBefore: '-1', eventType: 'OBJECT_FINALIZE' };
    pubsub.publish(`projects/${PROJECT}/topics/foreign`, { data: Buffer.from('raw'), attributes });
    pubsub.publish(`projects/${PROJECT}/topics/foreign-dead`, { data: Buffer.from('{"body":1}'), attributes });
    expect(await receiveOne(queue)).toMatchObject({ body: 'raw', attempt: 1, sentAt: time });
    expect(await queue.deadLetters({ limit: 1 })).toMatchObject([{ body: '{"body":1}', attempts: 0, deadAt: time }]);
    await queue.close();
  });

  test('what it cannot do it says, with what it would need', async () => {
    const bare = { projectId: PROJECT, topic: 't', subscription: 's' };
    const queue = openPubsubQueue({ ...bare, apiEndpoint: `http://127.0.0.1:${pubsub.port}`, now });
    expect(await kindOf(queue.depth())).toBe('unsupported');
    expect(await kindOf(queue.deadLetters({ limit: 1 }))).toBe('unsupported');
    expect(await kindOf(queue.redrive({ limit: 1 }))).toBe('unsupported');
    expect(await kindOf(queue.settle('any', { kind: 'dead', reason: 'why' }))).toBe('unsupported');
    await queue.close();
    const nowhere = openPubsubQueue({ ...bare, apiEndpoint: 'pubsub.example', now });
    expect(await kindOf(nowhere.send('m'))).toBe('invalid');
    await nowhere.close();
  });

  test('every failure is a fault that says whether a write may have happened', async () => {
    const queue = open('faults', { options: { answerMs: 300 } });
    await queue.send('m');
    const struck = async (effect: Parameters<typeof opened.faults.add>[0]['effect'], call: () => Promise<unknown>) => {
      opened.faults.add({ scope: { service: 'pubsub' }, effect, times: 1 });
      return kindOf(call());
    };
    const send = () => queue.send('m');
    expect(await struck({ kind: 'status', status: 503 }, send)).toBe('unavailable');
    expect(await struck({ kind: 'status', status: 429 }, send)).toBe('throttled');
    expect(await struck({ kind: 'status', status: 403 }, send)).toBe('forbidden');
    expect(await struck({ kind: 'silence' }, send)).toBe('timeout');
    expect(await struck({ kind: 'lost-answer' }, send)).toBe('timeout');
    expect(await struck({ kind: 'outage' }, send)).toBe('timeout');
    expect(await queue.depth()).toMatchObject({ waiting: 2 });
    await queue.close();
    const missing = open('faults', { options: { topic: 'no-topic', subscription: 'no-subscription' } });
    expect(await kindOf(missing.send('m'))).toBe('not-found');
    expect(await kindOf(missing.receive({ max: 1, visibilityMs: 1_000 }))).toBe('not-found');
    await missing.close();
    const off = open('faults', { options: { apiEndpoint: 'http://127.0.0.1:1' } });
    expect(await kindOf(off.send('m'))).toBe('unreachable');
    await off.close();
  });
});
