/** One writer at a time for each key; a new one interrupts the one before, whose client has given it up. */

import { Refusal } from './errors.ts';

export interface Takeover {
  /** `until` resolves when somebody else wants the key: then `use` should end soon. */
  take<T>(key: string, use: (until: Promise<void>) => Promise<T>): Promise<T>;
  interrupt(key: string): void;
}

export function openTakeover(): Takeover {
  const writers = new Map<string, { interrupt(): void; readonly done: Promise<void> }>();
  return {
    async take(key, use) {
      for (let before = writers.get(key); before !== undefined; before = writers.get(key)) {
        before.interrupt();
        await before.done;
      }
      const interrupted = Promise.withResolvers<void>();
      const done = Promise.withResolvers<void>();
      writers.set(key, { interrupt: () => interrupted.resolve(), done: done.promise });
      try {
        return await use(interrupted.promise);
      } finally {
        writers.delete(key);
        done.resolve();
      }
    },
    interrupt: (key) => writers.get(key)?.interrupt(),
  };
}

/** The pieces of `source`; fails once `until` resolves, even while it waits for the next piece. */
export async function* interruptible(
  source: AsyncIterable<Uint8Array>,
  until: Promise<void>,
): AsyncGenerator<Uint8Array> {
  const pieces = source[Symbol.asyncIterator]();
  const taken = () => new Refusal(503, 'backendError', 'Another request has taken over this upload.');
  // Not Promise.race with `until`: that would hold every piece for as long as the request lasts.
  let stop: (() => void) | null = null;
  let stopped = false;
  void until.then(() => {
    stopped = true;
    stop?.();
  });
  for (;;) {
    const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
      stop = () => reject(taken());
      if (stopped) stop();
      else pieces.next().then(resolve, reject);
    });
    if (next.done) return;
    yield next.value;
  }
}
