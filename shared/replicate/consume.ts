/** Takes changes from the queue: each is kept until nothing is left to do, or until the ledger alone brings somebody back. */

import { isFault } from '../model/fault.ts';
import { type ObjectChange, readObjectChange } from '../model/object-change.ts';
import type { Outcome } from '../model/outcome.ts';
import type { Delivery, Queue, Settlement } from '../queue/queue.ts';
import type { World } from '../world/world.ts';
import { replicate } from './replicate.ts';

export type { Handed, Settlement } from '../queue/queue.ts';

const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 15 * 60_000;

/** Where changes come from: our own queue, or one that a cloud fills in words of its own. */
export interface Source {
  readonly queue: Queue;
  /** Nothing in it for us: an empty list. Not understood: Fault 'invalid', and the message goes to the dead letters. */
  read(delivery: Delivery): readonly ObjectChange[];
}

/** Runs `task` when no other one of this key is under way. */
export type InTurn = (key: string, task: () => Promise<Outcome>) => Promise<Outcome>;

const atOnce: InTurn = (_key, task) => task();

/** One batch; answers how many messages it held. */
export async function consume(
  world: World,
  options: { readonly max: number; readonly visibilityMs: number },
  source: Source = ownSource(world),
): Promise<number> {
  const deliveries = await source.queue.receive(options);
  await Promise.all(deliveries.map((delivery) => handle(world, source, delivery)));
  return deliveries.length;
}

function ownSource({ queue }: World): Source {
  return { queue, read: ({ body }) => [readObjectChange(body)] };
}

/** Works on one message and settles it; `inTurn` keeps two runs over one key apart where somebody cares. */
export async function handle(
  world: World,
  { queue, read }: Source,
  delivery: Delivery,
  inTurn: InTurn = atOnce,
): Promise<void> {
  let settled = false;
  const acknowledge = async () => {
    settled = true;
    await queue.settle(delivery.receipt, { kind: 'done' });
  };
  const settlement = await work(world, () => read(delivery), delivery.attempt, acknowledge, inTurn);
  if (settled) return;
  try {
    await queue.settle(delivery.receipt, settlement);
  } catch (error) {
    // Unsettled, the message comes again when its visibility ends. The others of the batch must not suffer.
    if (!isFault(error)) throw error;
  }
}

/** Works on all that one message told; what is to become of the message unless `acknowledge` was called on the way. */
export async function work(
  world: World,
  read: () => readonly ObjectChange[],
  attempt: number,
  acknowledge: () => Promise<void>,
  inTurn: InTurn = atOnce,
): Promise<Settlement> {
  return settlementOf(await outcomesOf(world, read, acknowledge, inTurn), attempt);
}

/**
 * For whoever acknowledges by ending well, and has only so much time. What is durable is done, as for `work`; but where
 * nothing but time was missing the message comes again soon, and its next receiver goes on.
 */
export async function workInTime(
  world: World,
  read: () => readonly ObjectChange[],
  attempt: number,
  inTurn: InTurn = atOnce,
): Promise<Settlement> {
  let durable = false;
  const acknowledge = async () => {
    durable = true;
  };
  const outcomes = await outcomesOf(world, read, acknowledge, inTurn);
  if (outcomes.some((outcome) => outcome.kind === 'later' && outcome.reason === 'out-of-time'))
    return { kind: 'again', delayMs: RETRY_FIRST_MS };
  return durable ? { kind: 'done' } : settlementOf(outcomes, attempt);
}

function settlementOf([first, ...others]: readonly Outcome[], attempt: number): Settlement {
  if (first === undefined) return { kind: 'done' };
  // Worst first: a message that holds anything to be tried again comes again whole.
  const outcomes = [first, ...others];
  if (outcomes.some(({ kind }) => kind === 'retry' || kind === 'later'))
    return { kind: 'again', delayMs: backoff(attempt) };
  const failed = outcomes.find((outcome) => outcome.kind === 'failed');
  return failed === undefined ? { kind: 'done' } : { kind: 'dead', reason: failed.fault.message };
}

async function outcomesOf(
  world: World,
  read: () => readonly ObjectChange[],
  acknowledge: () => Promise<void>,
  inTurn: InTurn,
): Promise<readonly Outcome[]> {
  let changes: readonly ObjectChange[];
  try {
    changes = read();
  } catch (error) {
    return [toOutcome(error)];
  }
  let open = changes.length;
  const acknowledgeLast = async () => {
    open -= 1;
    if (open === 0) await acknowledge();
  };
  return Promise.all(
    changes.map((change) =>
      inTurn(change.key, () => replicate(world, change, acknowledgeLast)).catch((error: unknown) => toOutcome(error)),
    ),
  );
}

function toOutcome(error: unknown): Outcome {
  if (!isFault(error)) throw error;
  return error.retry === 'never' && error.kind !== 'fenced'
    ? { kind: 'failed', fault: error }
    : { kind: 'retry', fault: error };
}

function backoff(attempt: number): number {
  return Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** Math.min(attempt - 1, 20));
}
