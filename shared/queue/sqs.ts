/** A queue in Amazon SQS: a standard queue, and a second one for dead letters. */

import type { Message } from '@aws-sdk/client-sqs';
import { fault, invalid } from '../model/fault.ts';
import { checkBody, checkDelay, checkLimit, checkMax, checkReason, checkVisibility } from './checks.ts';
import type { DeadLetter, Delivery, Handed, Queue, QueueDepth, Receive, Settlement } from './queue.ts';
import { openCalls, type SqsConnectionOptions } from './sqs/calls.ts';
import { openHolds } from './sqs/holds.ts';
import { type Held, type Letter, notesOf, readLetter, readReceipt, toOutgoing, writeReceipt } from './sqs/letter.ts';

export interface SqsQueueOptions extends SqsConnectionOptions {
  readonly queueUrl: string;
  /** Left out: the one that the queue's redrive policy names; without any nothing can be set aside as dead. */
  readonly deadLetterQueueUrl?: string;
  readonly now?: () => number;
}

const VISIBILITY_MS_MAX = 12 * 60 * 60_000;
const RECEIVE_MAX = 10;
const WAIT_SECONDS_MAX = 20;
/** So long dead letters are hidden while somebody looks at them, or brings them back. */
const LOOK_SECONDS = 60;
/** SQS asks only some of its servers unless it may wait. */
const LOOK_WAIT_SECONDS = 1;
const MOVED_BY_SQS = 'SQS set it aside: it was received too often without being settled';

/**
 * SQS counts in whole seconds: a delay or a visibility is rounded up for others, while a receipt ends when it was told to.
 * A visibility of more than twelve hours is refused. A delay of more than fifteen minutes is waited in steps, by copies;
 * whoever receives one too early sends the next and shows nobody. What is put back with a delay, is dead or is redriven is
 * a copy too, sent before what it stands for is removed: a process that dies in between leaves two. So
 * `maxReceiveCount` counts only deliveries that nobody settled, and is there for messages that kill their receiver.
 *
 * SQS does not say whether a receipt still held when its message was removed. So `settle` and `extend` answer by the clock
 * of this process and by what it did itself; of two processes with one receipt both may be told that it held.
 *
 * Dead letters can only be told by receiving them, which hides them from others for a moment. Both queues want the largest
 * message size that there is, 1 MiB. Calls need sqs:SendMessage, ReceiveMessage, DeleteMessage, ChangeMessageVisibility
 * and GetQueueAttributes on both queues.
 */
export async function openSqsQueue(options: SqsQueueOptions): Promise<Queue> {
  const { queueUrl, now = Date.now } = options;
  const calls = await openCalls(options);
  const holds = openHolds(now);
  let deadUrl: string | null = options.deadLetterQueueUrl ?? null;

  async function deadLetterUrl(op: string): Promise<string | null> {
    deadUrl ??= await calls.deadLetterUrl(op, queueUrl);
    return deadUrl;
  }

  /** A message that came before its time goes on waiting; if that fails it comes again when its visibility ends. */
  async function postpone(handle: string, letter: Letter, receives: number): Promise<void> {
    const attempts = letter.attempts + receives - 1;
    const copy = toOutgoing(letter.body, letter.delayMs, { ...notesOf(letter), attempts });
    await calls.send('receive', queueUrl, copy);
    await calls.remove('receive', queueUrl, handle);
  }

  /** Sends a copy, and removes what it stands for. */
  async function replace({ handle, attempt, letter }: Held, delayMs: number): Promise<null> {
    await calls.send('settle', queueUrl, toOutgoing(letter.body, delayMs, { ...notesOf(letter), attempts: attempt }));
    await calls.remove('settle', queueUrl, handle);
    return null;
  }

  async function bury({ handle, attempt, letter }: Held, reason: string): Promise<null> {
    const url = await deadLetterUrl('settle');
    if (url === null) throw fault('unsupported', `SQS, settle: ${queueUrl} has no dead-letter queue`, { op: 'settle' });
    await calls.send('settle', url, toOutgoing(letter.body, 0, { ...notesOf(letter), attempts: attempt, reason }));
    await calls.remove('settle', queueUrl, handle);
    return null;
  }

  /** False when the message is gone after all. */
  async function act(held: Held, settlement: Settlement): Promise<null | false> {
    switch (settlement.kind) {
      case 'done':
        return (await calls.remove('settle', queueUrl, held.handle)) ? null : false;
      case 'again':
        if (settlement.delayMs > 0) return replace(held, settlement.delayMs);
        return (await calls.hide('settle', queueUrl, held.handle, 0)) ? null : false;
      case 'dead':
        return bury(held, settlement.reason);
    }
  }

  /** Up to `limit` dead letters, each hidden from others for a minute; gives them to `take` as they come. */
  async function eachLetter(
    op: string,
    url: string,
    limit: number,
    take: (messages: readonly Message[]) => Promise<void>,
  ): Promise<void> {
    const { visible } = await calls.count(op, url);
    const seen = new Set<string | undefined>();
    while (seen.size < limit) {
      const messages = await calls.receive(op, url, {
        max: Math.min(RECEIVE_MAX, limit - seen.size),
        visibilitySeconds: LOOK_SECONDS,
        waitSeconds: seen.size < visible ? LOOK_WAIT_SECONDS : 0,
      });
      const fresh = messages.filter((it) => !seen.has(it.MessageId));
      for (const it of fresh) seen.add(it.MessageId);
      if (fresh.length > 0) await take(fresh);
      // Nothing more, or round again because the first ones are visible once more.
      if (fresh.length < messages.length || messages.length === 0) return;
    }
  }

  return {
    async send(body: string, { delayMs = 0 }: { readonly delayMs?: number } = {}): Promise<void> {
      checkBody(body);
      checkDelay(delayMs);
      await calls.send('send', queueUrl, toOutgoing(body, delayMs));
    },

    async receive({ max, visibilityMs, waitMs = 0 }: Receive) {
      checkMax(max);
      checkSqsVisibility(visibilityMs);
      holds.tidy();
      const visibilitySeconds = Math.ceil(visibilityMs / 1000);
      const messages = await calls.receive('receive', queueUrl, {
        max,
        visibilitySeconds,
        waitSeconds: Math.min(WAIT_SECONDS_MAX, Math.floor(waitMs / 1000)),
      });
      const heldUntil = now() + visibilityMs;
      const deliveries: Delivery[] = [];
      const early: Promise<void>[] = [];
      for (const message of messages) {
        const { ReceiptHandle: handle = '' } = message;
        const letter = readLetter(message);
        const receives = receivesOf(message);
        if (letter.delayMs > 0) early.push(postpone(handle, letter, receives));
        else deliveries.push(toDelivery({ handle, heldUntil, attempt: letter.attempts + receives, letter }));
      }
      await Promise.allSettled(early);
      return deliveries;
    },

    async settle(receipt: string, settlement: Settlement): Promise<boolean> {
      if (settlement.kind === 'again') checkDelay(settlement.delayMs);
      if (settlement.kind === 'dead') checkReason(settlement.reason);
      const held = readReceipt(receipt);
      return held !== null && holds.whileHeld(held, () => act(held, settlement));
    },

    async extend(receipt: string, visibilityMs: number): Promise<boolean> {
      checkSqsVisibility(visibilityMs);
      const held = readReceipt(receipt);
      if (held === null) return false;
      return holds.whileHeld(held, async () => {
        const until = now() + visibilityMs;
        return (await calls.hide('extend', queueUrl, held.handle, Math.ceil(visibilityMs / 1000))) && until;
      });
    },

    /** `settle` removes the message; that Lambda removes it once more does no harm. */
    adopt(handed: Handed, visibilityMs: number) {
      checkSqsVisibility(visibilityMs);
      holds.tidy();
      const letter = readLetter(toMessage(handed));
      const attempt = letter.attempts + handed.deliveries - (letter.delayMs > 0 ? 1 : 0);
      const held = { handle: handed.handle ?? '', heldUntil: now() + visibilityMs, attempt, letter };
      return { delivery: toDelivery(held), dueInMs: letter.delayMs };
    },

    async depth(): Promise<QueueDepth> {
      const url = await deadLetterUrl('depth');
      const [queue, shelf] = await Promise.all([
        calls.count('depth', queueUrl),
        url === null ? null : calls.count('depth', url),
      ]);
      const dead = shelf === null ? 0 : shelf.visible + shelf.delayed + shelf.held;
      return { waiting: queue.visible + queue.delayed, inFlight: queue.held, dead };
    },

    async deadLetters({ limit }: { readonly limit: number }): Promise<readonly DeadLetter[]> {
      checkLimit(limit);
      const op = 'deadLetters';
      const url = await deadLetterUrl(op);
      if (url === null) return [];
      const letters: DeadLetter[] = [];
      const handles: string[] = [];
      try {
        await eachLetter(op, url, limit, async (messages) => {
          for (const message of messages) {
            letters.push(toDeadLetter(message));
            handles.push(message.ReceiptHandle ?? '');
          }
        });
      } finally {
        await calls.show(op, url, handles);
      }
      return letters;
    },

    async redrive({ limit }: { readonly limit: number }): Promise<number> {
      checkLimit(limit);
      const op = 'redrive';
      const url = await deadLetterUrl(op);
      if (url === null) return 0;
      let count = 0;
      await eachLetter(op, url, limit, async (messages) => {
        const moved = await Promise.allSettled(
          messages.map(async (message) => {
            const letter = readLetter(message);
            await calls.send(op, queueUrl, toOutgoing(letter.body, 0, notesOf(letter)));
            await calls.remove(op, url, message.ReceiptHandle ?? '');
            count += 1;
          }),
        );
        for (const it of moved) if (it.status === 'rejected') throw it.reason;
      });
      return count;
    },

    async close(): Promise<void> {
      calls.close();
    },
  };
}

/** As SQS itself would have told of it. */
function toMessage({ id, body, attributes, sentAt }: Handed): Message {
  const texts = Object.entries(attributes).flatMap(([name, value]) =>
    typeof value === 'string' ? [[name, { DataType: 'String', StringValue: value }] as const] : [],
  );
  const MessageAttributes = Object.fromEntries(texts);
  return { MessageId: id, Body: body, Attributes: { SentTimestamp: String(sentAt) }, MessageAttributes };
}

function toDelivery(held: Held): Delivery {
  const { id, body, sentAt, attributes } = held.letter;
  const delivery = { id, body, attempt: held.attempt, sentAt, receipt: writeReceipt(held) };
  return attributes === undefined ? delivery : { ...delivery, attributes };
}

/** Of one that SQS moved itself nobody knows when, and each look counts as an attempt. */
function toDeadLetter(message: Message): DeadLetter {
  const { id, body, reason, attempts } = readLetter(message);
  const deadAt = Number(message.Attributes?.SentTimestamp ?? 0);
  if (reason !== undefined) return { id, body, reason, attempts, deadAt };
  return { id, body, reason: MOVED_BY_SQS, attempts: attempts + receivesOf(message) - 1, deadAt };
}

function receivesOf(message: Message): number {
  return Number(message.Attributes?.ApproximateReceiveCount ?? 1);
}

function checkSqsVisibility(visibilityMs: number): void {
  checkVisibility(visibilityMs);
  if (visibilityMs > VISIBILITY_MS_MAX)
    throw invalid('visibilityMs', visibilityMs, `at most ${VISIBILITY_MS_MAX}, the most that SQS hides a message for`);
}
