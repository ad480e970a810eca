/** A queue in Azure Service Bus: peek-lock for visibility, scheduled copies for delays, its own shelf for dead letters. */

import { randomUUID } from 'node:crypto';
import type { ServiceBusReceivedMessage, ServiceBusReceiver } from '@azure/service-bus';
import { checkBody, checkDelay, checkLimit, checkMax, checkReason, checkVisibility } from './checks.ts';
import type { DeadLetter, Delivery, Handed, Queue, QueueDepth, Receive, Settlement } from './queue.ts';
import {
  type Connection,
  isLockLost,
  openConnection,
  type ServiceBusConnectionOptions,
  type SubQueue,
  toFault,
} from './servicebus/connection.ts';
import { attemptOf, readDeadLetter, readLetter, toDeath, toMessage } from './servicebus/letter.ts';

/**
 * The queue wants no sessions and a max delivery count of 2000, the most there is: after that many deliveries without a
 * delay in between Service Bus itself sets a message aside, and `deadLetters` says so. On the standard tier a message has
 * 256 KB at most, its properties included.
 */
export type ServiceBusQueueOptions = ServiceBusConnectionOptions & {
  readonly queue: string;
  /** How long to wait for messages that are there: about one round trip. */
  readonly waitMs?: number;
  readonly now?: () => number;
};

const WAIT_MS = 250;
/** A lock is renewed when so little of it is left, and looked at so often at most. */
const RENEW_BEFORE_MS = 15_000;
const RENEW_MS_MIN = 1_000;
const TIMER_MS_MAX = 60_000;
const REDRIVE_BATCH = 10;
/** Peeking reads every message, so nothing is counted further. */
const COUNTED_MAX = 10_000;

interface Lease {
  readonly message: ServiceBusReceivedMessage;
  /** When its visibility ends. */
  endsAt: number;
  lockedUntil: number;
  timer: NodeJS.Timeout | undefined;
}

/**
 * A receipt lives in the process that was given it: it holds a lock, renewed for as long as the visibility goes on and let
 * go when it ends. When the process dies the message comes again as soon as the lock ends, at most five minutes later. A
 * delayed `again` and a `redrive` put a copy there before they remove what it stands for: dying in between leaves two.
 * What is in flight elsewhere is told by `depth` as waiting; beyond 10,000 it counts no further.
 */
export function openServiceBusQueue(options: ServiceBusQueueOptions): Queue {
  const { queue, waitMs = WAIT_MS, now = Date.now } = options;
  const connection: Connection = openConnection(options, queue);
  const leases = new Map<string, Lease>();

  async function ask<T>(op: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw toFault(error, op, queue);
    }
  }

  /** False: the lock was lost, so somebody else has the message or will have it. */
  async function unlessLost(from: SubQueue, call: (settler: ServiceBusReceiver) => Promise<unknown>): Promise<boolean> {
    try {
      await call(await connection.settler(from));
      return true;
    } catch (error) {
      if (isLockLost(error)) return false;
      throw error;
    }
  }

  const complete = ({ message }: Lease) => unlessLost('main', (settler) => settler.completeMessage(message));
  const abandon = ({ message }: Lease) => unlessLost('main', (settler) => settler.abandonMessage(message));
  const isOver = ({ endsAt }: Lease) => endsAt <= now();

  async function renew(lease: Lease): Promise<boolean> {
    return unlessLost('main', async (settler) => {
      lease.lockedUntil = (await settler.renewMessageLock(lease.message)).getTime();
    });
  }

  function forget(receipt: string): void {
    clearTimeout(leases.get(receipt)?.timer);
    leases.delete(receipt);
  }

  /** What is over by our clock is given back before anything else is answered. */
  async function letGo(): Promise<void> {
    const over = [...leases].filter(([, lease]) => isOver(lease));
    for (const [receipt] of over) forget(receipt);
    await Promise.all(over.map(([, lease]) => abandon(lease)));
  }

  /** Keeps the lock while the visibility goes on, and gives the message back in time. A failure shows when it is settled. */
  function watch(receipt: string, lease: Lease): void {
    clearTimeout(lease.timer);
    const renewIn = lease.lockedUntil - now() - RENEW_BEFORE_MS;
    const needsRenewal = lease.lockedUntil < lease.endsAt;
    const wait = Math.min(
      lease.endsAt - now(),
      needsRenewal ? Math.max(renewIn, RENEW_MS_MIN) : TIMER_MS_MAX,
      TIMER_MS_MAX,
    );
    lease.timer = setTimeout(() => {
      tend(receipt, lease, needsRenewal && lease.lockedUntil - now() <= RENEW_BEFORE_MS).catch(() => {});
    }, wait);
    lease.timer.unref();
  }

  async function tend(receipt: string, lease: Lease, renewNow: boolean): Promise<void> {
    if (isOver(lease)) return letGo();
    if (renewNow && !(await renew(lease))) return forget(receipt);
    if (leases.get(receipt) === lease) watch(receipt, lease);
  }

  function lend(message: ServiceBusReceivedMessage, visibilityMs: number): Delivery {
    const { id, body, sentAt } = readLetter(message);
    const receipt = `${message.sequenceNumber}.${message.lockToken}`;
    const endsAt = now() + visibilityMs;
    const lease: Lease = {
      message,
      endsAt,
      lockedUntil: message.lockedUntilUtc?.getTime() ?? now(),
      timer: undefined,
    };
    leases.set(receipt, lease);
    watch(receipt, lease);
    return { id, body, sentAt, attempt: attemptOf(message), receipt };
  }

  /** The copy first. Who lost the lock meanwhile takes it back as well as he can. */
  async function later(lease: Lease, delayMs: number): Promise<boolean> {
    if (!(await renew(lease))) return false;
    const letter = { ...readLetter(lease.message), attempts: attemptOf(lease.message) };
    const sender = await connection.sender();
    const [copy] = await sender.scheduleMessages(toMessage(letter, randomUUID()), new Date(now() + delayMs));
    if (await complete(lease)) return true;
    if (copy !== undefined) await sender.cancelScheduledMessages(copy).catch(() => {});
    return false;
  }

  async function apply(lease: Lease, settlement: Settlement): Promise<boolean> {
    switch (settlement.kind) {
      case 'done':
        return complete(lease);
      case 'again':
        return settlement.delayMs === 0 ? abandon(lease) : later(lease, settlement.delayMs);
      case 'dead': {
        const { message } = lease;
        const death = toDeath(message, settlement.reason, now());
        return unlessLost('main', (settler) => settler.deadLetterMessage(message, death));
      }
    }
  }

  async function redriveOne(message: ServiceBusReceivedMessage): Promise<void> {
    const sender = await connection.sender();
    await sender.sendMessages(toMessage({ ...readLetter(message), attempts: 0 }, randomUUID()));
    await unlessLost('dead', (settler) => settler.completeMessage(message));
  }

  return {
    async send(body: string, { delayMs = 0 }: { readonly delayMs?: number } = {}): Promise<void> {
      checkBody(body);
      checkDelay(delayMs);
      await ask('send', async () => {
        const id = randomUUID();
        const message = toMessage({ id, body, sentAt: now(), attempts: 0 }, id);
        const sender = await connection.sender();
        if (delayMs === 0) await sender.sendMessages(message);
        else await sender.scheduleMessages(message, new Date(now() + delayMs));
      });
    },

    async receive({ max, visibilityMs, waitMs: willing = 0 }: Receive) {
      checkMax(max);
      checkVisibility(visibilityMs);
      return ask('receive', async () => {
        await letGo();
        const all = await connection.receive('main', max, Math.max(waitMs, willing));
        return all.map((message) => lend(message, visibilityMs));
      });
    },

    async settle(receipt: string, settlement: Settlement): Promise<boolean> {
      if (settlement.kind === 'again') checkDelay(settlement.delayMs);
      if (settlement.kind === 'dead') checkReason(settlement.reason);
      return ask('settle', async () => {
        const lease = leases.get(receipt);
        // Taken out before anything is awaited: of several who settle one receipt one does.
        if (lease === undefined || isOver(lease)) return false;
        leases.delete(receipt);
        try {
          const settled = await apply(lease, settlement);
          clearTimeout(lease.timer);
          return settled;
        } catch (error) {
          leases.set(receipt, lease);
          throw error;
        }
      });
    },

    async extend(receipt: string, visibilityMs: number): Promise<boolean> {
      checkVisibility(visibilityMs);
      return ask('extend', async () => {
        const lease = leases.get(receipt);
        if (lease === undefined || isOver(lease)) return false;
        if (!(await renew(lease))) {
          forget(receipt);
          return false;
        }
        if (leases.get(receipt) !== lease) return false;
        lease.endsAt = now() + visibilityMs;
        watch(receipt, lease);
        return true;
      });
    },

    /** The host must leave the settling to us, and renew the lock meanwhile. */
    adopt(handed: Handed, visibilityMs: number) {
      checkVisibility(visibilityMs);
      return { delivery: lend(toReceived(handed, new Date(now() + visibilityMs)), visibilityMs), dueInMs: 0 };
    },

    async depth(): Promise<QueueDepth> {
      return ask('depth', async () => {
        await letGo();
        const [all, dead] = await Promise.all([
          connection.peek('main', COUNTED_MAX),
          connection.peek('dead', COUNTED_MAX),
        ]);
        const there = new Set(all.map(({ sequenceNumber }) => String(sequenceNumber)));
        const held = [...leases.values()].filter(({ message }) => there.has(String(message.sequenceNumber)));
        return { waiting: all.length - held.length, inFlight: held.length, dead: dead.length };
      });
    },

    async deadLetters({ limit }: { readonly limit: number }): Promise<readonly DeadLetter[]> {
      checkLimit(limit);
      return ask('deadLetters', async () => (await connection.peek('dead', limit)).map(readDeadLetter));
    },

    async redrive({ limit }: { readonly limit: number }): Promise<number> {
      checkLimit(limit);
      return ask('redrive', async () => {
        let redriven = 0;
        while (redriven < limit) {
          const some = await connection.receive('dead', Math.min(REDRIVE_BATCH, limit - redriven), waitMs);
          if (some.length === 0) break;
          await Promise.all(some.map(redriveOne));
          redriven += some.length;
        }
        return redriven;
      });
    },

    async close(): Promise<void> {
      for (const receipt of [...leases.keys()]) forget(receipt);
      await ask('close', () => connection.close());
    },
  };
}

/** As much of a message as is needed to settle it by its lock token. */
function toReceived(
  { id, body, attributes, deliveries, sentAt, handle }: Handed,
  lockedUntilUtc: Date,
): ServiceBusReceivedMessage {
  const known = {
    messageId: id,
    body,
    applicationProperties: attributes,
    deliveryCount: deliveries - 1,
    enqueuedTimeUtc: new Date(sentAt),
    lockedUntilUtc,
    lockToken: handle,
    delivery: {},
  };
  return known as unknown as ServiceBusReceivedMessage;
}
