import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SendMessageCommand } from '@aws-sdk/client-sqs';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { queueConformance } from '../../test/conformance/queue.ts';
import { receiveAll, receiveOne } from '../../test/conformance/queue-bench.ts';
import { anyCalls, runLikeModel } from '../../test/conformance/queue-model.ts';
import { CREDENTIALS, openSqsBench } from '../../test/samples/sqs.ts';
import { isFault } from '../model/fault.ts';
import type { Queue } from './queue.ts';
import { openSqsQueue, type SqsQueueOptions } from './sqs.ts';

const bench = await openSqsBench();
const { advance, client, newQueue } = bench;
const endpoint = `http://127.0.0.1:${bench.sqs.port}`;
const optionsOf = new Map<Queue, SqsQueueOptions>();

afterAll(() => bench.close());

async function open(options: Partial<SqsQueueOptions> = {}): Promise<Queue> {
  const all: SqsQueueOptions = {
    queueUrl: newQueue(),
    deadLetterQueueUrl: newQueue({}, '-dead'),
    region: 'us-east-1',
    endpoint,
    credentials: CREDENTIALS,
    now: bench.now,
    ...options,
  };
  const queue = await openSqsQueue(all);
  optionsOf.set(queue, all);
  return queue;
}

const harness = {
  open,
  reopen: (queue: Queue) => open(optionsOf.get(queue)),
  advance: async (ms: number) => advance(ms),
};

queueConformance({
  ...harness,
  name: 'sqs',
  skip: [
    {
      test: 'an extension ends like any visibility, and can be shorter than what was left',
      reason: 'SQS counts in whole seconds, and this one ends within one; by seconds it is proved below',
    },
    {
      test: 'in any sequence of calls no message is lost, and a receipt is worth what it should be',
      reason: 'SQS counts in whole seconds; with a second for each millisecond it is proved below',
    },
  ],
});

/** A second for each millisecond. */
function bySeconds(queue: Queue): Queue {
  return {
    ...queue,
    send: (body, { delayMs = 0 } = {}) => queue.send(body, { delayMs: delayMs * 1000 }),
    receive: ({ max, visibilityMs }) => queue.receive({ max, visibilityMs: visibilityMs * 1000 }),
    settle: (receipt, it) => queue.settle(receipt, it.kind === 'again' ? { ...it, delayMs: it.delayMs * 1000 } : it),
    extend: (receipt, visibilityMs) => queue.extend(receipt, visibilityMs * 1000),
  };
}

/** The kind of the Fault, and the field that it names. */
async function faultOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => 'no error',
    (it: unknown) => it,
  );
  return isFault(error) ? [error.kind, error.details.field].filter(Boolean).join(' ') : String(error);
}

describe('a queue in SQS', () => {
  test('is like the model, by seconds', { timeout: 60_000 }, async () => {
    const likeModel = fc.asyncProperty(anyCalls, async (calls) => {
      const queue = await open();
      try {
        await runLikeModel(
          { queue: bySeconds(queue), advance: async (ms) => advance(ms * 1000), reopen: async () => queue },
          calls,
        );
      } finally {
        await queue.close();
      }
    });
    await fc.assert(likeModel, { numRuns: 20 });
  });

  test('an extension can be shorter than what was left, by seconds', async () => {
    const queue = await open();
    await queue.send('m');
    const { receipt } = await receiveOne(queue, 10_000);
    expect(await queue.extend(receipt, 2_000)).toBe(true);
    advance(1_999);
    expect(await receiveAll(queue)).toEqual([]);
    advance(1);
    expect(await queue.settle(receipt, { kind: 'done' })).toBe(false);
    expect((await receiveOne(queue)).attempt).toBe(2);
  });

  test('a part of a second hides a message for a whole one, and holds it for the part alone', async () => {
    const queue = await open();
    await queue.send('m');
    const { receipt } = await receiveOne(queue, 300);
    advance(300);
    expect(await queue.settle(receipt, { kind: 'done' })).toBe(false);
    expect(await receiveAll(queue)).toEqual([]);
    advance(700);
    expect((await receiveOne(queue)).body).toBe('m');
  });

  test('waits for delays that are longer than SQS knows, and shows nobody what came early', async () => {
    const queue = await open();
    await queue.send('sent', { delayMs: 40 * 60_000 });
    const sentAt = bench.now();
    for (let minutes = 0; minutes < 40; minutes += 5) {
      expect(await receiveAll(queue)).toEqual([]);
      expect(await queue.depth()).toEqual({ waiting: 1, inFlight: 0, dead: 0 });
      advance(5 * 60_000);
    }
    const first = await receiveOne(queue);
    expect(first).toMatchObject({ body: 'sent', attempt: 1, sentAt });
    await queue.settle(first.receipt, { kind: 'again', delayMs: 20 * 60_000 });
    advance(15 * 60_000);
    expect(await receiveAll(queue)).toEqual([]);
    advance(5 * 60_000);
    expect(await receiveOne(queue)).toEqual({ ...first, attempt: 2, receipt: expect.any(String) });
  });

  test('hides nothing for more than twelve hours', async () => {
    const queue = await open();
    const hours = (count: number) => count * 60 * 60_000;
    expect(await faultOf(queue.receive({ max: 1, visibilityMs: hours(12) + 1 }))).toBe('invalid visibilityMs');
    await queue.send('m');
    const { receipt } = await receiveOne(queue, hours(1));
    advance(1_000);
    expect(await faultOf(queue.extend(receipt, hours(12)))).toBe('unsupported visibilityMs');
    expect(await queue.extend(receipt, hours(12) - 1_000)).toBe(true);
    expect(await queue.settle(receipt, { kind: 'done' })).toBe(true);
  });

  test('gives what others sent with their attributes, also when it comes again', async () => {
    const queue = await open();
    await client.send(
      new SendMessageCommand({
        QueueUrl: optionsOf.get(queue)!.queueUrl,
        MessageBody: 'foreign',
        MessageAttributes: {
          event: { DataType: 'String', StringValue: 'created' },
          triplicate: { DataType: 'String', StringValue: '{"id":7,"attempts":-1,"delayMs":"soon","sentAt":' },
        },
      }),
    );
    const first = await receiveOne(queue);
    expect(first).toMatchObject({ body: 'foreign', attempt: 1, attributes: { event: 'created' } });
    await queue.settle(first.receipt, { kind: 'again', delayMs: 1_000 });
    advance(1_000);
    const again = await receiveOne(queue);
    expect(again).toEqual({ ...first, attempt: 2, receipt: again.receipt });
    await queue.settle(again.receipt, { kind: 'dead', reason: '' });
    expect(await queue.deadLetters({ limit: 1 })).toMatchObject([{ id: first.id, attempts: 2, reason: '' }]);
    await queue.redrive({ limit: 1 });
    expect(await receiveOne(queue)).toMatchObject({ id: first.id, attempt: 1, attributes: { event: 'created' } });
  });

  test('tells of messages that SQS set aside itself, and brings them back', async () => {
    const deadLetterQueueUrl = newQueue({}, '-dead');
    const { QueueArn: arn } = await bench.attributesOf(deadLetterQueueUrl);
    const policy = JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: 3 });
    const { deadLetterQueueUrl: _, ...found } = {
      ...optionsOf.get(await open())!,
      queueUrl: newQueue({ RedrivePolicy: policy }),
    };
    // The redrive policy says where dead letters are.
    const queue = await openSqsQueue(found);
    await queue.send('poison');
    for (let attempt = 1; attempt <= 3; attempt++) {
      expect((await receiveOne(queue, 1_000)).attempt).toBe(attempt);
      advance(1_000);
    }
    expect(await receiveAll(queue)).toEqual([]);
    expect(await queue.depth()).toEqual({ waiting: 0, inFlight: 0, dead: 1 });
    const [letter] = await queue.deadLetters({ limit: 10 });
    expect(letter).toMatchObject({ body: 'poison', attempts: 3, reason: expect.stringContaining('too often') });
    expect(await queue.redrive({ limit: 10 })).toBe(1);
    expect(await receiveOne(queue)).toMatchObject({ body: 'poison', attempt: 1 });
    await queue.close();
  });

  test('without a dead-letter queue refuses to set anything aside, and keeps it', async () => {
    const { deadLetterQueueUrl: _, ...options } = optionsOf.get(await open())!;
    const queue = await openSqsQueue(options);
    await queue.send('m');
    const { receipt } = await receiveOne(queue);
    expect(await faultOf(queue.settle(receipt, { kind: 'dead', reason: 'why' }))).toBe('unsupported');
    expect(await queue.deadLetters({ limit: 1 })).toEqual([]);
    expect(await queue.redrive({ limit: 1 })).toBe(0);
    expect(await queue.settle(receipt, { kind: 'done' })).toBe(true);
    expect(await queue.depth()).toEqual({ waiting: 0, inFlight: 0, dead: 0 });
    await queue.close();
  });

  test('cuts a reason that is too long to be sent, between two characters', async () => {
    const queue = await open();
    await queue.send('\uffff'.repeat(80_000));
    const { receipt } = await receiveOne(queue);
    await queue.settle(receipt, { kind: 'dead', reason: `x${'😀'.repeat(100_000)}` });
    const [letter] = await queue.deadLetters({ limit: 1 });
    expect(letter!.reason).toBe(`x${'😀'.repeat(32 * 1024 - 1)}...`);
    expect(letter!.body).toBe('\uffff'.repeat(80_000));
  });

  test('tells more dead letters than one call gives, each once', async () => {
    const queue = await open();
    const all = Array.from({ length: 25 }, (_, index) => `m${index}`);
    for (const body of all) await queue.send(body);
    for (const { receipt } of await receiveAll(queue)) await queue.settle(receipt, { kind: 'dead', reason: 'why' });
    const told = async () => (await queue.deadLetters({ limit: 100 })).map((it) => it.body).sort();
    expect(await told()).toEqual([...all].sort());
    expect(await told()).toEqual([...all].sort());
  });
});

describe('what goes wrong', () => {
  const { faults } = bench.cloud;

  async function struck(effect: Parameters<typeof faults.add>[0]['effect'], run: (queue: Queue) => Promise<unknown>) {
    const queue = await open();
    const { id } = faults.add({ scope: { service: 'sqs' }, effect });
    try {
      return await faultOf(run(queue));
    } finally {
      faults.remove(id);
      await queue.close();
    }
  }

  test('is a Fault that says whether it happened', async () => {
    const send = (queue: Queue) => queue.send('m');
    expect(await struck({ kind: 'status', status: 500 }, send)).toBe('timeout');
    expect(await struck({ kind: 'status', status: 503 }, send)).toBe('unavailable');
    expect(await struck({ kind: 'status', status: 429 }, send)).toBe('throttled');
    expect(await struck({ kind: 'lost-answer' }, send)).toBe('timeout');
  });

  test('a queue that is not there, keys that nobody knows, a port where nobody listens', async () => {
    const nowhere = await open({ queueUrl: `${endpoint}/000000000000/nowhere` });
    expect(await faultOf(nowhere.send('m'))).toBe('not-found');
    const stranger = await open({ credentials: { accessKeyId: 'who', secretAccessKey: 'knows' } });
    expect(await faultOf(stranger.depth())).toBe('forbidden');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const deaf = await open({ endpoint: `http://127.0.0.1:${port}` });
    expect(await faultOf(deaf.send('m'))).toBe('unreachable');
  });

  test('silence ends when the time is up, and one lost answer is asked for again', async () => {
    const hasty = await open({ timeoutMs: 200 });
    const { id } = faults.add({ scope: { service: 'sqs' }, effect: { kind: 'silence' } });
    expect(await faultOf(hasty.send('m'))).toBe('timeout');
    faults.remove(id);
    const queue = await open();
    // The SDK has to learn first what time it is here.
    await queue.depth();
    faults.add({ scope: { operation: 'SendMessage' }, effect: { kind: 'lost-answer' }, times: 1 });
    await queue.send('m');
    expect((await receiveAll(queue)).map((it) => it.body)).toEqual(['m', 'm']);
  });

  test('a settlement that failed can be tried again', async () => {
    const queue = await open();
    await queue.send('m');
    const { receipt } = await receiveOne(queue);
    const { id } = faults.add({ scope: { operation: 'DeleteMessage' }, effect: { kind: 'status', status: 503 } });
    expect(await faultOf(queue.settle(receipt, { kind: 'done' }))).toBe('unavailable');
    faults.remove(id);
    expect(await queue.settle(receipt, { kind: 'done' })).toBe(true);
    expect(await queue.settle(receipt, { kind: 'done' })).toBe(false);
  });

  test('settlements of one turn are one call: refused together, or each answered for itself', async () => {
    const queue = await open();
    for (const body of ['a', 'b', 'c']) await queue.send(body);
    const receipts = (await receiveAll(queue)).map((it) => it.receipt);
    const settleAll = () => Promise.allSettled(receipts.map((receipt) => queue.settle(receipt, { kind: 'done' })));
    const effect = { kind: 'status', status: 503 } as const;
    const { id } = faults.add({ scope: { operation: 'DeleteMessageBatch' }, effect });
    for (const it of await settleAll())
      expect(it).toMatchObject({ status: 'rejected', reason: { kind: 'unavailable' } });
    faults.remove(id);
    const none = faults.add({ scope: { operation: 'DeleteMessage' }, effect });
    expect(await settleAll()).toEqual(receipts.map(() => ({ status: 'fulfilled', value: true })));
    faults.remove(none.id);
    expect(await queue.depth()).toEqual({ waiting: 0, inFlight: 0, dead: 0 });
  });

  test('a closed queue says so', async () => {
    const queue = await open();
    await queue.close();
    await queue.close();
    expect(await faultOf(queue.send('m'))).toBe('internal');
  });
});
