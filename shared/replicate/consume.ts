/** Takes changes from the queue: each is acknowledged when what it told is in the ledger, then worked on. */

import { isFault } from '../model/fault.ts';
import { readObjectChange } from '../model/object-change.ts';
import type { Outcome } from '../model/outcome.ts';
import type { Delivery, Settlement } from '../queue/queue.ts';
import type { World } from '../world/world.ts';
import { replicate } from './replicate.ts';

const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 15 * 60_000;

/** One batch; answers how many messages it held. */
export async function consume(
  world: World,
  options: { readonly max: number; readonly visibilityMs: number },
): Promise<number> {
  const deliveries = await world.queue.receive(options);
  await Promise.all(deliveries.map((delivery) => handle(world, delivery)));
  return deliveries.length;
}

async function handle(world: World, delivery: Delivery): Promise<void> {
  let settled = false;
  const acknowledge = async () => {
    settled = true;
    await world.queue.settle(delivery.receipt, { kind: 'done' });
  };
  const outcome = await outcomeOf(world, delivery, acknowledge);
  if (settled) return;
  const settlement: Settlement =
    outcome.kind === 'failed'
      ? { kind: 'dead', reason: outcome.fault.message }
      : { kind: 'again', delayMs: backoff(delivery.attempt) };
  try {
    await world.queue.settle(delivery.receipt, settlement);
  } catch (error) {
    // Unsettled, the message comes again when its visibility ends. The others of the batch must not suffer.
    if (!isFault(error)) throw error;
  }
}

async function outcomeOf(world: World, delivery: Delivery, acknowledge: () => Promise<void>): Promise<Outcome> {
  try {
    return await replicate(world, readObjectChange(delivery.body), acknowledge);
  } catch (error) {
    if (!isFault(error)) throw error;
    return error.retry === 'never' && error.kind !== 'fenced'
      ? { kind: 'failed', fault: error }
      : { kind: 'retry', fault: error };
  }
}

function backoff(attempt: number): number {
  return Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** Math.min(attempt - 1, 20));
}
