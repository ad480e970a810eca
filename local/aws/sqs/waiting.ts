/** Receivers that wait for a message: woken when one may be there, in the order in which they came. */

export interface Waiting {
  /** Something was sent to this queue, or became visible again. */
  wake(queue: number): void;
  /**
   * Asks `attempt` now, whenever the queue is woken and when `next` says a message comes by itself, until it
   * answers something, the time is up, or `signal` says that nobody waits any more. Null: it never did.
   */
  wait<T>(queue: number, waitMs: number, how: Attempt<T>, signal: AbortSignal): Promise<T | null>;
  /** Nobody waits any longer. */
  stop(): void;
}

export interface Attempt<T> {
  attempt(): T | null;
  /** How many milliseconds until a message of this queue becomes visible by itself. */
  next(): number;
}

/** The clock of the cloud may jump, so no timer is trusted for longer. */
const LOOK_MS_MAX = 1_000;
const LOOK_MS_MIN = 5;

export function openWaiting(): Waiting {
  const waiters = new Map<number, Set<() => void>>();
  const stops = new Set<() => void>();

  return {
    wake(queue) {
      for (const look of [...(waiters.get(queue) ?? [])]) look();
    },
    wait: <T>(queue: number, waitMs: number, { attempt, next }: Attempt<T>, signal: AbortSignal) =>
      new Promise<T | null>((resolve, reject) => {
        const until = performance.now() + waitMs;
        const here = waiters.get(queue) ?? new Set();
        waiters.set(queue, here);
        let timer: NodeJS.Timeout | undefined;
        const end = () => {
          clearTimeout(timer);
          here.delete(look);
          if (here.size === 0) waiters.delete(queue);
          stops.delete(stop);
          signal.removeEventListener('abort', stop);
        };
        const stop = () => {
          end();
          resolve(null);
        };
        const look = () => {
          clearTimeout(timer);
          try {
            const answer = attempt();
            const left = until - performance.now();
            if (answer !== null || left <= 0) {
              end();
              resolve(answer);
            } else timer = setTimeout(look, Math.min(left, LOOK_MS_MAX, Math.max(next(), LOOK_MS_MIN)));
          } catch (error) {
            end();
            reject(error);
          }
        };
        here.add(look);
        stops.add(stop);
        signal.addEventListener('abort', stop);
        if (signal.aborted) stop();
        else look();
      }),
    stop() {
      for (const stop of [...stops]) stop();
    },
  };
}
