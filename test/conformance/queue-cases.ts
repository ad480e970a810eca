/** Conformance of a queue: at least once, hidden while in flight, and never forgotten. */

import { expect } from 'vitest';
import { refusedFor, times, winners } from './cases.ts';
import { bodiesOf, DELAY_MS, type QueueCase, receiveAll, receiveOne, sendAll, VISIBILITY_MS } from './queue-bench.ts';

const RACERS = 64;
const DONE = { kind: 'done' } as const;
const DEAD = { kind: 'dead', reason: 'cannot be read' } as const;
const EMPTY = { waiting: 0, inFlight: 0, dead: 0 };
const BODY_BYTES_MAX = 256 * 1024;

export const CASES: readonly QueueCase[] = [
  {
    test: 'a new queue gives nothing, at once',
    async run({ queue }) {
      expect(await queue.receive({ max: 10, visibilityMs: VISIBILITY_MS })).toEqual([]);
      expect(await queue.depth()).toEqual(EMPTY);
      expect(await queue.deadLetters({ limit: 10 })).toEqual([]);
      expect(await queue.redrive({ limit: 10 })).toBe(0);
    },
  },
  {
    test: 'a message is delivered as it was sent, and says when',
    async run({ queue, advance }) {
      await queue.send('first');
      await advance(1_000);
      await queue.send('second');
      await advance(1_000);
      const all = await receiveAll(queue);
      expect(bodiesOf(all)).toEqual(['first', 'second']);
      const [first, second] = [...all].sort((a, b) => a.sentAt - b.sentAt);
      expect(first).toMatchObject({ body: 'first', attempt: 1 });
      expect(second).toMatchObject({ body: 'second', attempt: 1 });
      expect(second!.sentAt - first!.sentAt).toBe(1_000);
      expect(first!.id).not.toBe(second!.id);
      expect(first!.receipt).not.toBe(second!.receipt);
    },
  },
  {
    test: 'bodies of every kind come back letter by letter',
    async run({ queue }) {
      const bodies = [' ', 'null', '{"a":"\\u0000"}', 'a\r\n\tb', "'quoted' % _ \\", '😀 é e\u0301 \uffff'];
      bodies.push('x'.repeat(BODY_BYTES_MAX), 'é'.repeat(BODY_BYTES_MAX / 2));
      await sendAll(queue, ...bodies);
      expect(bodiesOf(await receiveAll(queue))).toEqual([...bodies].sort());
    },
  },
  {
    test: 'two messages of one body are two',
    async run({ queue }) {
      await sendAll(queue, 'same', 'same');
      const all = await receiveAll(queue);
      expect(new Set(all.map(({ id }) => id)).size).toBe(2);
      for (const { receipt } of all) expect(await queue.settle(receipt, DONE)).toBe(true);
      expect(await queue.depth()).toEqual(EMPTY);
    },
  },
  {
    test: 'no more are delivered at once than asked for, and all in the end',
    async run({ queue }) {
      const bodies = times(25, (index) => `message ${index}`);
      await sendAll(queue, ...bodies);
      const received = [];
      for (const max of [1, 3, 10]) {
        const some = await queue.receive({ max, visibilityMs: VISIBILITY_MS });
        expect(some.length).toBeLessThanOrEqual(max);
        received.push(...some);
      }
      received.push(...(await receiveAll(queue)));
      expect(bodiesOf(received)).toEqual([...bodies].sort());
    },
  },
  {
    test: 'a message in flight is hidden until its visibility ends, to the millisecond',
    async run({ queue, advance }) {
      await queue.send('m');
      await receiveOne(queue, 1_000);
      await advance(999);
      expect(await receiveAll(queue)).toEqual([]);
      await advance(1);
      expect((await receiveOne(queue)).attempt).toBe(2);
    },
  },
  {
    test: 'a message that nobody settled is delivered again and again, as the same one',
    async run({ queue, advance }) {
      await queue.send('m');
      const first = await receiveOne(queue);
      const receipts = [first.receipt];
      for (let attempt = 2; attempt <= 5; attempt++) {
        await advance(VISIBILITY_MS);
        const next = await receiveOne(queue);
        expect(next).toEqual({ ...first, attempt, receipt: next.receipt });
        receipts.push(next.receipt);
      }
      expect(new Set(receipts).size).toBe(5);
    },
  },
  {
    test: 'a message that is done never comes again',
    async run({ queue, advance }) {
      await sendAll(queue, 'done', 'open');
      for (const { body, receipt } of await receiveAll(queue))
        if (body === 'done') expect(await queue.settle(receipt, DONE)).toBe(true);
      await advance(VISIBILITY_MS);
      expect((await receiveOne(queue)).body).toBe('open');
    },
  },
  {
    test: 'a receipt settles once',
    async run({ queue }) {
      await queue.send('m');
      const { receipt } = await receiveOne(queue);
      expect(await queue.settle(receipt, DONE)).toBe(true);
      expect(await queue.settle(receipt, DONE)).toBe(false);
      expect(await queue.settle(receipt, { kind: 'again', delayMs: 0 })).toBe(false);
      expect(await queue.settle(receipt, DEAD)).toBe(false);
      expect(await queue.extend(receipt, VISIBILITY_MS)).toBe(false);
      expect(await queue.depth()).toEqual(EMPTY);
    },
  },
  {
    test: 'an expired receipt settles nothing, even before the message is delivered again',
    async run({ queue, advance }) {
      await queue.send('m');
      const { receipt } = await receiveOne(queue);
      await advance(VISIBILITY_MS);
      expect(await queue.settle(receipt, DONE)).toBe(false);
      expect(await queue.settle(receipt, { kind: 'again', delayMs: DELAY_MS })).toBe(false);
      expect(await queue.settle(receipt, DEAD)).toBe(false);
      expect(await queue.extend(receipt, VISIBILITY_MS)).toBe(false);
      expect(await queue.depth()).toEqual({ ...EMPTY, waiting: 1 });
      expect((await receiveOne(queue)).attempt).toBe(2);
    },
  },
  {
    test: 'the receipt of an earlier delivery does not touch a later one',
    async run({ queue, advance }) {
      await queue.send('m');
      const { receipt: stale } = await receiveOne(queue);
      await advance(VISIBILITY_MS);
      const { receipt } = await receiveOne(queue);
      expect(await queue.settle(stale, DONE)).toBe(false);
      expect(await queue.settle(stale, { kind: 'again', delayMs: 0 })).toBe(false);
      expect(await queue.settle(stale, DEAD)).toBe(false);
      expect(await queue.extend(stale, 10 * VISIBILITY_MS)).toBe(false);
      expect(await receiveAll(queue)).toEqual([]);
      expect(await queue.settle(receipt, DONE)).toBe(true);
      expect(await queue.depth()).toEqual(EMPTY);
    },
  },
  {
    test: 'a message put back comes after its delay, with one attempt more',
    async run({ queue, advance }) {
      await queue.send('m');
      const { receipt, ...first } = await receiveOne(queue);
      expect(await queue.settle(receipt, { kind: 'again', delayMs: DELAY_MS })).toBe(true);
      expect(await queue.depth()).toEqual({ ...EMPTY, waiting: 1 });
      await advance(DELAY_MS - 1);
      expect(await receiveAll(queue)).toEqual([]);
      expect(await queue.settle(receipt, DONE)).toBe(false);
      await advance(1);
      expect(await receiveOne(queue)).toMatchObject({ ...first, attempt: 2 });
    },
  },
  {
    test: 'a message put back without delay comes at once',
    async run({ queue }) {
      await queue.send('m');
      for (let attempt = 1; attempt <= 3; attempt++) {
        const { receipt, ...delivery } = await receiveOne(queue);
        expect(delivery.attempt).toBe(attempt);
        expect(await queue.settle(receipt, { kind: 'again', delayMs: 0 })).toBe(true);
      }
    },
  },
  {
    test: 'a message sent with a delay waits for it',
    async run({ queue, advance }) {
      await queue.send('later', { delayMs: DELAY_MS });
      await queue.send('now', { delayMs: 0 });
      expect((await receiveOne(queue, 10 * DELAY_MS)).body).toBe('now');
      expect(await queue.depth()).toEqual({ waiting: 1, inFlight: 1, dead: 0 });
      await advance(DELAY_MS - 1);
      expect(await receiveAll(queue)).toEqual([]);
      await advance(1);
      expect(await receiveOne(queue)).toMatchObject({ body: 'later', attempt: 1 });
    },
  },
  {
    test: 'a dead message is kept apart with its reason and comes to nobody',
    async run({ queue, advance }) {
      await sendAll(queue, 'good', 'bad');
      await advance(5_000);
      const all = await receiveAll(queue);
      const bad = all.find(({ body }) => body === 'bad')!;
      expect(await queue.settle(bad.receipt, { kind: 'dead', reason: 'why:\n"é😀"' })).toBe(true);
      const { id, body, sentAt } = bad;
      expect(await queue.deadLetters({ limit: 10 })).toEqual([
        { id, body, reason: 'why:\n"é😀"', attempts: 1, deadAt: sentAt + 5_000 },
      ]);
      await advance(VISIBILITY_MS);
      expect((await receiveOne(queue)).body).toBe('good');
    },
  },
  {
    test: 'a dead letter says after how many attempts',
    async run({ queue, advance }) {
      await queue.send('m');
      for (let attempt = 1; attempt < 4; attempt++) {
        await receiveOne(queue);
        await advance(VISIBILITY_MS);
      }
      expect(await queue.settle((await receiveOne(queue)).receipt, DEAD)).toBe(true);
      expect((await queue.deadLetters({ limit: 1 }))[0]).toMatchObject({ attempts: 4 });
    },
  },
  {
    test: 'a redriven message begins again, and no receipt from before holds it',
    async run({ queue, advance }) {
      await queue.send('m');
      const { receipt: stale, ...first } = await receiveOne(queue);
      await queue.settle(stale, DEAD);
      await advance(1_000);
      expect(await queue.redrive({ limit: 10 })).toBe(1);
      expect(await queue.deadLetters({ limit: 10 })).toEqual([]);
      const { receipt, ...again } = await receiveOne(queue);
      expect(again).toEqual(first);
      expect(await queue.settle(stale, DONE)).toBe(false);
      expect(await queue.extend(stale, VISIBILITY_MS)).toBe(false);
      expect(await queue.settle(receipt, DONE)).toBe(true);
    },
  },
  {
    test: 'dead letters are told and redriven up to a limit',
    async run({ queue }) {
      const bodies = times(7, (index) => `m${index}`);
      await sendAll(queue, ...bodies);
      for (const { receipt } of await receiveAll(queue)) await queue.settle(receipt, DEAD);
      expect(await queue.deadLetters({ limit: 3 })).toHaveLength(3);
      expect(bodiesOf(await queue.deadLetters({ limit: 100 }))).toEqual(bodies);
      expect(await queue.redrive({ limit: 5 })).toBe(5);
      expect(await queue.depth()).toEqual({ waiting: 5, inFlight: 0, dead: 2 });
      expect(await queue.redrive({ limit: 5 })).toBe(2);
      expect(await queue.redrive({ limit: 5 })).toBe(0);
      expect(bodiesOf(await receiveAll(queue))).toEqual(bodies);
    },
  },
  {
    test: 'who extends keeps the message for that long from then on',
    async run({ queue, advance }) {
      await queue.send('m');
      const { receipt } = await receiveOne(queue, 1_000);
      for (let round = 0; round < 3; round++) {
        await advance(900);
        expect(await queue.extend(receipt, 1_000)).toBe(true);
      }
      await advance(999);
      expect(await receiveAll(queue)).toEqual([]);
      expect(await queue.settle(receipt, DONE)).toBe(true);
    },
  },
  {
    test: 'an extension ends like any visibility, and can be shorter than what was left',
    async run({ queue, advance }) {
      await queue.send('m');
      const { receipt } = await receiveOne(queue, 10_000);
      expect(await queue.extend(receipt, 500)).toBe(true);
      await advance(500);
      expect(await queue.settle(receipt, DONE)).toBe(false);
      expect((await receiveOne(queue)).attempt).toBe(2);
    },
  },
  {
    test: `of ${RACERS} who receive at once no two are given one message`,
    async run({ queue, advance }) {
      const bodies = times(150, (index) => `m${index}`);
      await Promise.all(bodies.map((body) => queue.send(body)));
      for (let attempt = 1; attempt <= 2; attempt++) {
        const parts = await Promise.all(times(RACERS, () => queue.receive({ max: 3, visibilityMs: VISIBILITY_MS })));
        const all = [...parts.flat(), ...(await receiveAll(queue))];
        expect(bodiesOf(all)).toEqual([...bodies].sort());
        expect(new Set(all.map((it) => it.attempt))).toEqual(new Set([attempt]));
        await advance(VISIBILITY_MS);
      }
    },
  },
  {
    test: `of ${RACERS} who settle one receipt at once one does`,
    async run({ queue }) {
      await queue.send('m');
      const { receipt } = await receiveOne(queue);
      expect(
        await winners(
          times(RACERS, () => queue.settle(receipt, DONE)),
          true,
          false,
        ),
      ).toBe(1);
      expect(await queue.depth()).toEqual(EMPTY);
    },
  },
  {
    test: 'the depth adds up, and what expired is waiting again',
    async run({ queue, advance }) {
      await sendAll(queue, ...times(6, (index) => `m${index}`));
      await queue.send('late', { delayMs: DELAY_MS });
      expect(await queue.depth()).toEqual({ waiting: 7, inFlight: 0, dead: 0 });
      const [done, dead, again] = await receiveAll(queue);
      expect(await queue.depth()).toEqual({ waiting: 1, inFlight: 6, dead: 0 });
      await queue.settle(done!.receipt, DONE);
      await queue.settle(dead!.receipt, DEAD);
      await queue.settle(again!.receipt, { kind: 'again', delayMs: DELAY_MS });
      expect(await queue.depth()).toEqual({ waiting: 2, inFlight: 3, dead: 1 });
      await advance(VISIBILITY_MS);
      expect(await queue.depth()).toEqual({ waiting: 5, inFlight: 0, dead: 1 });
      await queue.redrive({ limit: 1 });
      expect(await queue.depth()).toEqual({ waiting: 6, inFlight: 0, dead: 0 });
    },
  },
  {
    test: 'what no service takes is refused by name, and nothing is sent',
    async run({ queue }) {
      const visibilityMs = VISIBILITY_MS;
      for (const max of [0, 11, -1, 1.5, Number.NaN]) await refusedFor('max', queue.receive({ max, visibilityMs }));
      for (const wrong of [0, -1, 0.5, Number.NaN]) {
        await refusedFor('visibilityMs', queue.receive({ max: 1, visibilityMs: wrong }));
        await refusedFor('visibilityMs', queue.extend('any', wrong));
        await refusedFor('limit', queue.deadLetters({ limit: wrong }));
        await refusedFor('limit', queue.redrive({ limit: wrong }));
      }
      for (const delayMs of [-1, 0.5, Number.NaN]) {
        await refusedFor('delayMs', queue.send('m', { delayMs }));
        await refusedFor('delayMs', queue.settle('any', { kind: 'again', delayMs }));
      }
      for (const body of ['', 'half \ud83d', 'x'.repeat(BODY_BYTES_MAX + 1), 'é'.repeat(BODY_BYTES_MAX / 2 + 1)])
        await refusedFor('body', queue.send(body));
      expect(await queue.depth()).toEqual(EMPTY);
    },
  },
  {
    test: 'a refused settlement leaves the message where it is',
    async run({ queue }) {
      await queue.send('m');
      const { receipt } = await receiveOne(queue);
      await refusedFor('delayMs', queue.settle(receipt, { kind: 'again', delayMs: -1 }));
      await refusedFor('reason', queue.settle(receipt, { kind: 'dead', reason: 'half \ud83d' }));
      await refusedFor('visibilityMs', queue.extend(receipt, -1));
      expect(await queue.settle(receipt, DONE)).toBe(true);
    },
  },
  {
    test: 'a queue opened again has all it had, and its receipts still hold',
    needs: 'reopen',
    async run({ queue, advance, reopen }) {
      await sendAll(queue, 'dead', 'done', 'flying');
      const received = new Map((await receiveAll(queue)).map((it) => [it.body, it]));
      await queue.settle(received.get('dead')!.receipt, DEAD);
      await queue.settle(received.get('done')!.receipt, DONE);
      await queue.send('late', { delayMs: DELAY_MS });
      const again = await reopen();
      expect(await again.depth()).toEqual({ waiting: 1, inFlight: 1, dead: 1 });
      expect(bodiesOf(await again.deadLetters({ limit: 10 }))).toEqual(['dead']);
      expect(await again.settle(received.get('flying')!.receipt, { kind: 'again', delayMs: 0 })).toBe(true);
      await advance(DELAY_MS);
      const bodies = bodiesOf(await receiveAll(again));
      expect(bodies).toEqual(['flying', 'late']);
    },
  },
];
