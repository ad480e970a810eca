/** A queue in memory: the reference for every other driver, and what simulations run on. */

import { checkBody, checkDelay, checkLimit, checkMax, checkReason, checkVisibility } from './checks.ts';
import type { DeadLetter, Delivery, Handed, Queue, QueueDepth, Settlement } from './queue.ts';

export interface MemoryQueueOptions {
  readonly now: () => number;
}

interface Message {
  readonly id: string;
  readonly body: string;
  readonly sentAt: number;
  attempts: number;
  /** Waiting: when it may be received. In flight: when its receipt expires. */
  visibleAt: number;
  /** null: waiting. */
  receipt: string | null;
}

interface Shelved {
  readonly message: Message;
  readonly reason: string;
  readonly deadAt: number;
}

/** Everything is gone with the process, and `close` changes nothing: who holds the queue can go on. */
export function openMemoryQueue({ now }: MemoryQueueOptions): Queue {
  /** All that are not dead, in the order in which they came or came back. */
  const messages = new Map<string, Message>();
  const shelf = new Map<string, Shelved>();
  const held = new Map<string, Message>();
  let sent = 0;
  let delivered = 0;

  /** The message that this receipt still holds. */
  function holding(receipt: string): Message | null {
    const message = held.get(receipt);
    return message !== undefined && message.visibleAt > now() ? message : null;
  }

  function release(message: Message): void {
    if (message.receipt !== null) held.delete(message.receipt);
    message.receipt = null;
  }

  return {
    async send(body: string, { delayMs = 0 }: { readonly delayMs?: number } = {}): Promise<void> {
      checkBody(body);
      checkDelay(delayMs);
      const sentAt = now();
      const id = `m${++sent}`;
      messages.set(id, { id, body, sentAt, attempts: 0, visibleAt: sentAt + delayMs, receipt: null });
    },

    async receive({ max, visibilityMs }: { readonly max: number; readonly visibilityMs: number }) {
      checkMax(max);
      checkVisibility(visibilityMs);
      const at = now();
      const deliveries: Delivery[] = [];
      for (const message of messages.values()) {
        if (deliveries.length === max) break;
        if (message.visibleAt > at) continue;
        release(message);
        const receipt = `${message.id}.${++delivered}`;
        message.attempts += 1;
        message.visibleAt = at + visibilityMs;
        message.receipt = receipt;
        held.set(receipt, message);
        const { id, body, sentAt, attempts: attempt } = message;
        deliveries.push({ id, body, attempt, sentAt, receipt });
      }
      return deliveries;
    },

    async settle(receipt: string, settlement: Settlement): Promise<boolean> {
      if (settlement.kind === 'again') checkDelay(settlement.delayMs);
      if (settlement.kind === 'dead') checkReason(settlement.reason);
      const message = holding(receipt);
      if (message === null) return false;
      release(message);
      messages.delete(message.id);
      if (settlement.kind === 'again') {
        message.visibleAt = now() + settlement.delayMs;
        messages.set(message.id, message);
      }
      if (settlement.kind === 'dead') shelf.set(message.id, { message, reason: settlement.reason, deadAt: now() });
      return true;
    },

    async extend(receipt: string, visibilityMs: number): Promise<boolean> {
      checkVisibility(visibilityMs);
      const message = holding(receipt);
      if (message === null) return false;
      message.visibleAt = now() + visibilityMs;
      return true;
    },

    /** The platform is whoever called `receive`, and its handle is the receipt. */
    adopt({ id, body, deliveries: attempt, sentAt, handle: receipt = '' }: Handed) {
      return { delivery: { id, body, attempt, sentAt, receipt }, dueInMs: 0 };
    },

    async depth(): Promise<QueueDepth> {
      const at = now();
      let inFlight = 0;
      for (const message of held.values()) if (message.visibleAt > at) inFlight += 1;
      return { waiting: messages.size - inFlight, inFlight, dead: shelf.size };
    },

    async deadLetters({ limit }: { readonly limit: number }): Promise<readonly DeadLetter[]> {
      checkLimit(limit);
      const letters: DeadLetter[] = [];
      for (const { message, reason, deadAt } of shelf.values()) {
        if (letters.length === limit) break;
        letters.push({ id: message.id, body: message.body, reason, attempts: message.attempts, deadAt });
      }
      return letters;
    },

    async redrive({ limit }: { readonly limit: number }): Promise<number> {
      checkLimit(limit);
      let count = 0;
      for (const [id, { message }] of shelf) {
        if (count === limit) break;
        shelf.delete(id);
        messages.set(id, { ...message, attempts: 0, visibleAt: now() });
        count += 1;
      }
      return count;
    },

    async close(): Promise<void> {},
  };
}
