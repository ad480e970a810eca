/** Hands messages to whoever waits for them: pulls, streams and pushes, in turn, as soon as there is something. */

import type { Cloud } from '../../service.ts';
import type { Backlog, Lease, Leased } from './backlog.ts';
import type { Registry, StoredSubscription } from './registry.ts';

export interface Consumer {
  /** What it takes now; null: nothing. */
  wants(subscription: StoredSubscription): Lease | null;
  take(leased: readonly Leased[], subscription: StoredSubscription): void;
  /** Its subscription is gone. */
  lost(): void;
}

export interface Dispatcher {
  /** Answers how to leave again. */
  join(subscription: StoredSubscription, consumer: Consumer): () => void;
  changed(subscription: number): void;
  /** Everybody who waits for it is told. */
  gone(subscription: number): void;
  start(): void;
  stop(): void;
}

/** Also how late a change of the clock is noticed. */
const TIMER_MS_MAX = 1_000;

export function openDispatcher(cloud: Cloud, registry: Registry, backlog: () => Backlog): Dispatcher {
  const consumers = new Map<number, Set<Consumer>>();
  const pending = new Set<number>();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  function pump(id: number): void {
    const waiting = consumers.get(id);
    const subscription = waiting === undefined ? null : registry.byId(id);
    if (waiting === undefined || subscription === null) return;
    for (let given = true; given; ) {
      given = false;
      for (const consumer of [...waiting]) {
        const wanted = consumer.wants(subscription);
        if (wanted === null) continue;
        const leased = backlog().lease(subscription, wanted);
        if (leased.length === 0) return;
        // Who has just had some goes to the end of the line.
        if (waiting.delete(consumer)) waiting.add(consumer);
        consumer.take(leased, subscription);
        given = true;
      }
    }
  }

  function guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!stopped) cloud.report(`${cloud.name} pubsub: ${String(error)}`);
    }
  }

  function runPending(): void {
    const ids = [...pending];
    pending.clear();
    if (stopped) return;
    for (const id of ids) guarded(() => pump(id));
    arm();
  }

  function arm(): void {
    clearTimeout(timer);
    if (stopped) return;
    const now = cloud.now();
    const expiry = backlog().nextDue();
    const waits = expiry === null ? [] : [Math.max(0, expiry - now)];
    for (const id of consumers.keys()) {
      const subscription = registry.byId(id);
      const due = subscription === null ? null : backlog().nextDue(subscription);
      // What is due already and was not taken waits for its consumer, not for the timer.
      if (due !== null) waits.push(due <= now ? TIMER_MS_MAX : due - now);
    }
    if (waits.length === 0) return;
    timer = setTimeout(
      () => {
        guarded(() => backlog().tidy());
        for (const id of consumers.keys()) pending.add(id);
        runPending();
      },
      Math.min(TIMER_MS_MAX, ...waits),
    );
  }

  function changed(id: number): void {
    if (stopped) return;
    if (pending.size === 0) queueMicrotask(runPending);
    pending.add(id);
  }

  return {
    changed,
    join(subscription, consumer) {
      const { id } = subscription;
      const waiting = consumers.get(id) ?? new Set();
      waiting.add(consumer);
      consumers.set(id, waiting);
      changed(id);
      return () => {
        waiting.delete(consumer);
        if (waiting.size === 0 && consumers.get(id) === waiting) consumers.delete(id);
      };
    },
    gone(id) {
      for (const consumer of [...(consumers.get(id) ?? [])]) consumer.lost();
    },
    start: arm,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
