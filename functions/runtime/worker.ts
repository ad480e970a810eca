/** A plain process that takes messages from queues until it is told to stop, for people who run containers. */

import { isFault } from '../../shared/model/fault.ts';
import { handle, type Source } from '../../shared/replicate/consume.ts';
import type { Timer, World } from '../../shared/world/world.ts';
import { openTurns } from '../turns.ts';

export interface WorkerOptions {
  readonly timer: Timer;
  /** Messages under way at once, over all sources. */
  readonly concurrency?: number;
  /** How long a message is hidden from others; renewed while it is worked on. */
  readonly visibilityMs?: number;
  /** How long a receive may wait for a message, where the queue can. */
  readonly waitMs?: number;
}

export interface RunningWorker {
  readonly state: WorkerState;
  /** Takes no more messages, lets those under way end for `graceMs`; what has not ended comes again by itself. */
  stop(graceMs?: number): Promise<void>;
}

export interface WorkerState {
  received: number;
  underWay: number;
  /** Receives that failed since the last one that did not. */
  failing: number;
  stopping: boolean;
}

const BATCH = 10;
/** Queues that cannot wait are asked again so soon. */
const IDLE_PAUSE_MS = 20;
const PAUSE_FIRST_MS = 200;
const PAUSE_MOST_MS = 30_000;

export function startWorker(world: World, sources: readonly Source[], options: WorkerOptions): RunningWorker {
  const { timer, concurrency = 64, visibilityMs = 60_000, waitMs = 10_000 } = options;
  const state: WorkerState = { received: 0, underWay: 0, failing: 0, stopping: false };
  const stopped = new AbortController();
  const inTurn = openTurns();
  const underWay = new Set<Promise<void>>();
  let freed = Promise.withResolvers<void>();

  async function take(source: Source): Promise<void> {
    while (!state.stopping) {
      const free = concurrency - state.underWay;
      if (free <= 0) {
        await freed.promise;
        continue;
      }
      try {
        const deliveries = await source.queue.receive({ max: Math.min(BATCH, free), visibilityMs, waitMs });
        state.failing = 0;
        state.received += deliveries.length;
        for (const delivery of deliveries) {
          if (state.stopping) await source.queue.settle(delivery.receipt, { kind: 'again', delayMs: 0 });
          else begin(source, delivery);
        }
        if (deliveries.length === 0) await pause(timer, IDLE_PAUSE_MS, stopped.signal);
      } catch (error) {
        if (state.stopping) return;
        state.failing += 1;
        if (isFault(error)) world.report({ severity: 'warning', what: 'queue-down', detail: error.message });
        else reportBug(error);
        await pause(timer, Math.min(PAUSE_MOST_MS, PAUSE_FIRST_MS * 2 ** Math.min(state.failing, 10)), stopped.signal);
      }
    }
  }

  function begin(source: Source, delivery: Parameters<Source['read']>[0]): void {
    state.underWay += 1;
    const ended = new AbortController();
    void keepHidden(source, delivery.receipt, ended.signal);
    const task = handle(world, source, delivery, inTurn)
      // Unsettled, it comes again, and in the end its queue sets it aside.
      .catch(reportBug)
      .finally(() => {
        ended.abort();
        state.underWay -= 1;
        underWay.delete(task);
        freed.resolve();
        freed = Promise.withResolvers();
      });
    underWay.add(task);
  }

  function reportBug(error: unknown): void {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    world.report({ severity: 'alarm', what: 'bug', detail });
  }

  /** While a message is worked on, nobody else is given it. That it happens all the same is what the core lives with. */
  async function keepHidden({ queue }: Source, receipt: string, ended: AbortSignal): Promise<void> {
    for (;;) {
      await pause(timer, visibilityMs / 2, ended);
      if (ended.aborted) return;
      try {
        if (!(await queue.extend(receipt, visibilityMs))) return;
      } catch (error) {
        if (!isFault(error)) reportBug(error);
      }
    }
  }

  // A receive that still waits when the worker stops gives back what it gets, or ends with its queue.
  for (const source of sources) void take(source);
  return {
    state,
    async stop(graceMs = 20_000) {
      state.stopping = true;
      stopped.abort();
      freed.resolve();
      const grace = new AbortController();
      await Promise.race([Promise.all(underWay), pause(timer, graceMs, grace.signal)]);
      grace.abort();
    },
  };
}

/** Ends early when the signal says so. */
function pause(timer: Timer, ms: number, ended: AbortSignal): Promise<void> {
  if (ended.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      cancel();
      ended.removeEventListener('abort', end);
      resolve();
    };
    const cancel = timer.after(ms, end);
    ended.addEventListener('abort', end);
  });
}
