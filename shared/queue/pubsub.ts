/** A queue in Google Pub/Sub: a topic with one subscription, and a second pair for dead letters. */

import { fault, isFault } from '../model/fault.ts';
import { openTogether } from '../model/together.ts';
import { checkBody, checkDelay, checkLimit, checkMax, checkReason, checkVisibility } from './checks.ts';
import { type Connection, type Incoming, openConnection, type PubsubConnectionOptions } from './pubsub/connection.ts';
import { type Lease, openLeases } from './pubsub/leases.ts';
import {
  type Attempted,
  readAdopted,
  readDeadCopy,
  readLetter,
  toDeadCopy,
  toFirstCopy,
  toNextCopy,
  writeAdopted,
} from './pubsub/letter.ts';
import type { DeadLetter, Delivery, Handed, Queue, QueueDepth, Receive, Settlement } from './queue.ts';

/**
 * The subscription wants exactly once delivery, or nobody is told that a receipt had expired: `settle` then answers what
 * this process knows. It wants a dead letter policy with the most attempts that there are, or attempts are counted in this
 * process only. It wants no retry policy, which would delay what is put back.
 */
export interface PubsubQueueOptions extends PubsubConnectionOptions {
  /** Names without the project. */
  readonly topic: string;
  readonly subscription: string;
  /** Both or neither; without them nothing can be set aside as dead. */
  readonly deadLetterTopic?: string;
  readonly deadLetterSubscription?: string;
  /** How many messages of a subscription nobody has acknowledged: Pub/Sub tells that in Cloud Monitoring alone. */
  readonly undelivered?: (subscription: string) => Promise<number>;
  readonly now?: () => number;
}

const DEADLINE_SECONDS_MAX = 600;
/** Long enough to publish a copy of what is held. */
const COPY_SECONDS = 60;
const ROUNDS_MAX = 20;
const REDRIVE_BATCH = 25;
const LETTERS_BATCH = 100;
/** Far below what a request may hold. */
const ACKNOWLEDGED_BATCH = 250;
/** A lease that goes on is extended so long before Pub/Sub would end it, and tried again so soon. */
const KEEP_MARGIN_MS = 120_000;
const KEEP_AGAIN_MS = 5_000;
const COUNTED_MAX = 10_000;

/**
 * `receive` takes a few round trips. Delays of up to ten minutes and visibilities are kept by Pub/Sub; longer visibilities
 * by this process, as long as it lives; longer delays by copies that say when they are due. Copies are sent before what
 * they stand for is removed, so a process that dies in between leaves two.
 */
export function openPubsubQueue(options: PubsubQueueOptions): Queue {
  const { topic, subscription, deadLetterTopic, deadLetterSubscription, now = Date.now } = options;
  const connection = openConnection(options);
  const leases = openLeases();
  const counted = openCounts();
  let keeping: NodeJS.Timeout | undefined;
  let closed = false;

  async function modify(ackIds: readonly string[], seconds: number): Promise<ReadonlySet<string>> {
    return ackIds.length === 0 ? new Set() : connection.modify(subscription, ackIds, seconds);
  }

  /** What is over here, by the millisecond, must not wait for the seconds of Pub/Sub. */
  async function letGo(): Promise<void> {
    await modify(leases.over(now()), 0);
  }

  /** Messages that are not due yet stay away until they are. */
  async function hold(early: readonly Incoming[]): Promise<void> {
    const bySeconds = Map.groupBy(early, (it) => secondsOf(readLetter(it).notBefore - now()));
    for (const [seconds, all] of bySeconds) {
      await modify(ackIdsOf(all), seconds);
      for (const it of all) {
        counted.held(it.messageId);
        const keptUntil = now() + seconds * 1000;
        leases.end(it.ackId, { endsAt: Math.min(keptUntil, readLetter(it).notBefore), keptUntil });
      }
    }
  }

  async function claim(incoming: readonly Incoming[], visibilityMs: number): Promise<readonly Delivery[]> {
    const seconds = secondsOf(visibilityMs);
    const endsAt = now() + visibilityMs;
    const gone = await modify(ackIdsOf(incoming), seconds);
    const keptUntil = now() + seconds * 1000;
    return incoming.flatMap((it) => {
      if (gone.has(it.ackId)) return [];
      const letter = readLetter(it);
      const attempt = letter.attempts + counted.attempt(it.messageId, it.deliveryAttempt);
      const { ackId: receipt } = it;
      leases.put({ ackId: receipt, letter: { ...letter, attempt }, endsAt, keptUntil, busy: null });
      const { id, body, sentAt, attributes } = letter;
      const beside = Object.keys(attributes).length === 0 ? {} : { attributes };
      return [{ id, body, attempt, sentAt, receipt, ...beside }];
    });
  }

  /** Extends what was promised for longer than Pub/Sub promises anything. */
  async function prolongUrgent(): Promise<void> {
    for (const lease of leases.short())
      if (lease.keptUntil - KEEP_MARGIN_MS <= now()) await prolong(lease, lease.endsAt - now());
  }

  function keep(waitMs = 0): void {
    clearTimeout(keeping);
    const [first] = leases.short();
    if (first === undefined || closed) return;
    const run = () =>
      prolongUrgent().then(
        () => keep(),
        () => keep(KEEP_AGAIN_MS),
      );
    keeping = setTimeout(() => void run(), Math.max(waitMs, first.keptUntil - KEEP_MARGIN_MS - now()));
    keeping.unref();
  }

  async function prolong(lease: Lease, ms: number): Promise<boolean> {
    const seconds = secondsOf(ms);
    const gone = await modify([lease.ackId], seconds);
    if (gone.size > 0) leases.end(lease.ackId);
    else lease.keptUntil = now() + seconds * 1000;
    return gone.size === 0;
  }

  /** One at a time for each receipt, and only while it holds; `foreign` for receipts of other processes. */
  async function whileHeld(
    receipt: string,
    act: (lease: Lease & { readonly letter: NonNullable<Lease['letter']> }) => Promise<boolean>,
    foreign: () => Promise<boolean>,
  ): Promise<boolean> {
    for (;;) {
      const lease = leases.get(receipt);
      if (lease === undefined) return leases.hasEnded(receipt) ? false : foreign();
      const { letter } = lease;
      if (letter === null || lease.endsAt <= now()) return false;
      if (lease.busy === null) {
        const running = act({ ...lease, letter });
        lease.busy = running.catch(() => {});
        return running.finally(() => {
          lease.busy = null;
        });
      }
      await lease.busy;
    }
  }

  async function isHeldWhenAcknowledged(receipt: string): Promise<boolean> {
    return (await connection.acknowledge(subscription, [receipt])).size === 0;
  }

  /** Whether each still held its message. */
  const acknowledged = openTogether<string, boolean>({
    max: ACKNOWLEDGED_BATCH,
    soon: setImmediate,
    async run(receipts) {
      try {
        const gone = await connection.acknowledge(subscription, receipts);
        return receipts.map((receipt) => !gone.has(receipt));
      } catch (error) {
        // Of several, one may be at fault for all.
        if (receipts.length === 1 || !isFault(error, 'invalid')) throw error;
        const each = await Promise.allSettled(receipts.map(isHeldWhenAcknowledged));
        return each.map((it) => (it.status === 'fulfilled' ? it.value : it.reason));
      }
    },
  });

  async function acknowledge(receipt: string): Promise<boolean> {
    const held = await acknowledged(receipt);
    leases.end(receipt);
    return held;
  }

  async function putBack(receipt: string, delayMs: number): Promise<boolean> {
    const endsAt = now() + delayMs;
    const seconds = secondsOf(delayMs);
    const gone = await modify([receipt], seconds);
    leases.end(receipt, gone.size > 0 || delayMs === 0 ? undefined : { endsAt, keptUntil: now() + seconds * 1000 });
    return gone.size === 0;
  }

  /** Sends a copy of what is held, and removes what was held. */
  async function replace(receipt: string, publish: () => Promise<void>): Promise<boolean> {
    const gone = await modify([receipt], COPY_SECONDS);
    if (gone.size > 0) {
      leases.end(receipt);
      return false;
    }
    await publish();
    leases.end(receipt);
    await connection.acknowledge(subscription, [receipt]);
    return true;
  }

  function shelf(): { readonly shelfTopic: string; readonly shelfSubscription: string } {
    if (deadLetterTopic !== undefined && deadLetterSubscription !== undefined)
      return { shelfTopic: deadLetterTopic, shelfSubscription: deadLetterSubscription };
    const needed = 'the queue was opened without deadLetterTopic and deadLetterSubscription';
    throw fault('unsupported', `Pub/Sub, ${subscription}: ${needed}`, { op: 'dead letters', key: subscription });
  }

  /** Whoever answers the push acknowledges it, or has it pushed again. */
  async function settleAdopted(letter: Attempted, settlement: Settlement): Promise<boolean> {
    if (settlement.kind === 'again') return false;
    if (settlement.kind === 'done') return true;
    checkReason(settlement.reason);
    const copy = toDeadCopy({ ...letter, attempts: letter.attempt }, settlement.reason);
    await connection.publish(shelf().shelfTopic, [copy]);
    return true;
  }

  function unknown(receipt: string): never {
    const why = 'only the process that received a message knows what is in it';
    throw fault('unsupported', `Pub/Sub, ${subscription}: ${why}`, { op: 'settle', key: subscription, value: receipt });
  }

  return {
    async send(body: string, { delayMs = 0 }: { readonly delayMs?: number } = {}): Promise<void> {
      checkBody(body);
      checkDelay(delayMs);
      await connection.publish(topic, [toFirstCopy(body, delayMs === 0 ? 0 : now() + delayMs)]);
    },

    async receive({ max, visibilityMs, waitMs = 0 }: Receive) {
      checkMax(max);
      checkVisibility(visibilityMs);
      await letGo();
      await prolongUrgent();
      // What is not due is put away, which makes room for what is.
      for (let round = 0; round < ROUNDS_MAX; round++) {
        const incoming = await connection.pull(subscription, max, round === 0 ? waitMs : 0);
        if (incoming.length === 0) return [];
        const isEarly = (it: Incoming) => readLetter(it).notBefore > now();
        await hold(incoming.filter(isEarly));
        const due = await claim(
          incoming.filter((it) => !isEarly(it)),
          visibilityMs,
        );
        keep();
        if (due.length > 0) return due;
      }
      return [];
    },

    async settle(receipt: string, settlement: Settlement): Promise<boolean> {
      const adopted = readAdopted(receipt);
      if (adopted !== null) return settleAdopted(adopted, settlement);
      switch (settlement.kind) {
        case 'done':
          return whileHeld(
            receipt,
            () => acknowledge(receipt),
            () => acknowledge(receipt),
          );
        case 'again': {
          const { delayMs } = settlement;
          checkDelay(delayMs);
          const isShort = delayMs <= DEADLINE_SECONDS_MAX * 1000;
          return whileHeld(
            receipt,
            ({ letter }) => {
              const copy = { ...letter, attempts: letter.attempt, notBefore: now() + delayMs };
              if (isShort) return putBack(receipt, delayMs);
              return replace(receipt, () => connection.publish(topic, [toNextCopy(copy)]));
            },
            async () => (isShort ? putBack(receipt, delayMs) : unknown(receipt)),
          );
        }
        case 'dead': {
          const { reason } = settlement;
          checkReason(reason);
          const { shelfTopic } = shelf();
          return whileHeld(
            receipt,
            ({ letter }) => {
              const copy = toDeadCopy({ ...letter, attempts: letter.attempt }, reason);
              return replace(receipt, () => connection.publish(shelfTopic, [copy]));
            },
            async () => unknown(receipt),
          );
        }
      }
    },

    async extend(receipt: string, visibilityMs: number): Promise<boolean> {
      checkVisibility(visibilityMs);
      return whileHeld(
        receipt,
        async () => {
          const lease = leases.get(receipt);
          const endsAt = now() + visibilityMs;
          if (lease === undefined || !(await prolong(lease, visibilityMs))) return false;
          lease.endsAt = endsAt;
          keep();
          return true;
        },
        async () => (await modify([receipt], secondsOf(visibilityMs))).size === 0,
      );
    },

    /** Of a push Pub/Sub tells no receipt: all that can be done with it is to keep it apart. */
    adopt({ id: messageId, body: data, attributes: beside, deliveries, sentAt: publishedAt }: Handed) {
      const texts = Object.entries(beside).filter((it): it is [string, string] => typeof it[1] === 'string');
      const letter = readLetter({ messageId, data, attributes: Object.fromEntries(texts), publishedAt });
      const { id, body, sentAt, attributes, notBefore } = letter;
      const attempt = letter.attempts + deliveries;
      const receipt = writeAdopted({ ...letter, attempt });
      return { delivery: { id, body, attempt, sentAt, attributes, receipt }, dueInMs: Math.max(0, notBefore - now()) };
    },

    async depth(): Promise<QueueDepth> {
      const { undelivered } = options;
      if (undelivered === undefined) {
        const why =
          'Pub/Sub tells how many messages there are in Cloud Monitoring only; open the queue with `undelivered`';
        throw fault('unsupported', `Pub/Sub, ${subscription}: ${why}`, { op: 'depth', key: subscription });
      }
      const [all, dead] = await Promise.all([
        undelivered(subscription),
        deadLetterSubscription === undefined ? 0 : undelivered(deadLetterSubscription),
      ]);
      const inFlight = Math.min(all, leases.inFlight(now()));
      return { waiting: all - inFlight, inFlight, dead };
    },

    async deadLetters({ limit }: { readonly limit: number }): Promise<readonly DeadLetter[]> {
      checkLimit(limit);
      const { shelfSubscription } = shelf();
      const seen: Incoming[] = [];
      try {
        await drain(
          connection,
          shelfSubscription,
          { limit, batch: LETTERS_BATCH },
          async (all) => void seen.push(...all),
        );
      } finally {
        if (seen.length > 0) await connection.modify(shelfSubscription, ackIdsOf(seen), 0);
      }
      return seen.map((it) => readDeadCopy(it).dead).sort((a, b) => a.deadAt - b.deadAt);
    },

    async redrive({ limit }: { readonly limit: number }): Promise<number> {
      checkLimit(limit);
      const { shelfSubscription } = shelf();
      return drain(connection, shelfSubscription, { limit, batch: REDRIVE_BATCH }, async (all) => {
        const copies = all.map((it) => toNextCopy({ ...readDeadCopy(it).letter, attempts: 0, notBefore: 0 }));
        await connection.publish(topic, copies);
        await connection.acknowledge(shelfSubscription, ackIdsOf(all));
      });
    },

    async close(): Promise<void> {
      closed = true;
      clearTimeout(keeping);
      await connection.close();
    },
  };
}

/** Takes up to `limit` messages, some at a time, until there are none; answers how many. */
async function drain(
  connection: Connection,
  subscription: string,
  { limit, batch }: { readonly limit: number; readonly batch: number },
  each: (incoming: readonly Incoming[]) => Promise<void>,
): Promise<number> {
  let count = 0;
  while (count < limit) {
    const incoming = await connection.pull(subscription, Math.min(batch, limit - count));
    if (incoming.length === 0) break;
    await each(incoming);
    count += incoming.length;
  }
  return count;
}

/** Whole seconds, upwards, and no more than Pub/Sub takes. */
function secondsOf(ms: number): number {
  return Math.min(DEADLINE_SECONDS_MAX, Math.ceil(ms / 1000));
}

function ackIdsOf(incoming: readonly Incoming[]): readonly string[] {
  return incoming.map(({ ackId }) => ackId);
}

/** Deliveries that count for nothing, and all of them where Pub/Sub does not count; of the last messages only. */
function openCounts() {
  const counts = new Map<string, { holds: number; deliveries: number }>();

  function countOf(messageId: string) {
    const count = counts.get(messageId) ?? { holds: 0, deliveries: 0 };
    counts.delete(messageId);
    counts.set(messageId, count);
    for (const oldest of counts.keys()) {
      if (counts.size <= COUNTED_MAX) break;
      counts.delete(oldest);
    }
    return count;
  }

  return {
    held(messageId: string): void {
      countOf(messageId).holds += 1;
    },
    attempt(messageId: string, deliveryAttempt: number): number {
      const count = countOf(messageId);
      count.deliveries += 1;
      return deliveryAttempt === 0 ? count.deliveries : Math.max(1, deliveryAttempt - count.holds);
    },
  };
}
