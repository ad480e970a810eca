/** The bench that the conformance tests of a queue work at: what is given to each, and shorthand for it. */

import { expect } from 'vitest';
import type { Delivery, Queue } from '#shared/queue/queue.ts';
import type { Case } from './cases.ts';

export interface Bench {
  readonly queue: Queue;
  /** Lets the queue's clock go on. */
  advance(ms: number): Promise<void>;
  /** The same queue, closed and opened again. */
  reopen(): Promise<Queue>;
}

export type QueueCase = Case<Bench>;

export const VISIBILITY_MS = 30_000;
export const DELAY_MS = 60_000;

/** More than any test sends, so that a queue which never runs empty is a failure and not a hang. */
const RECEIVES_MAX = 1_000;

export async function sendAll(queue: Queue, ...bodies: readonly string[]): Promise<void> {
  for (const body of bodies) await queue.send(body);
}

/** Everything that can be received now; it is in flight afterwards. */
export async function receiveAll(queue: Queue, visibilityMs: number = VISIBILITY_MS): Promise<readonly Delivery[]> {
  const all: Delivery[] = [];
  for (let round = 0; round < RECEIVES_MAX; round++) {
    const deliveries = await queue.receive({ max: 10, visibilityMs });
    if (deliveries.length === 0) return all;
    all.push(...deliveries);
  }
  throw new Error(`the queue still gave messages after ${RECEIVES_MAX} receives`);
}

/** The one message that can be received now. */
export async function receiveOne(queue: Queue, visibilityMs: number = VISIBILITY_MS): Promise<Delivery> {
  const all = await receiveAll(queue, visibilityMs);
  expect(all).toHaveLength(1);
  return all[0] as Delivery;
}

export function bodiesOf(messages: readonly { readonly body: string }[]): readonly string[] {
  return messages.map(({ body }) => body).sort();
}
