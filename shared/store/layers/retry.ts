/** A store that asks again: reads as often as allowed, writes only when the store promises that nothing has happened. */

import { type Fault, fault, isFault } from '../../model/fault.ts';
import type { ObjectStore } from '../store.ts';
import type { Timer } from './timer.ts';

export interface RetryOptions {
  readonly clock: { now(): number };
  readonly random: { id(): string };
  readonly timer: Timer;
  /** Tries in all, the first one included. */
  readonly attemptsMax?: number;
  /** From the first try on; no try begins later. */
  readonly totalMs?: number;
  /** What the first wait is at most; the most doubles from wait to wait. */
  readonly waitMs?: number;
  readonly waitMsMax?: number;
}

const ATTEMPTS_MAX = 4;
const TOTAL_MS = 20_000;
const WAIT_MS = 100;
const WAIT_MS_MAX = 5_000;

/** Whether the same call may be made once more after such a Fault. */
type Repeats = (error: Fault) => boolean;

/** Nothing is changed, or the same thing twice. */
const always: Repeats = () => true;

/**
 * After 'timeout' a write may have happened. Made again it would be refused by its own success, or undo what came after
 * it; so the caller is told, who looks whose write stands.
 */
const unlessUnknown: Repeats = ({ kind }) => kind !== 'timeout';

/** Whoever lost a race at the end of an upload has to begin with a new one. */
const unlessLost: Repeats = ({ kind }) => kind !== 'timeout' && kind !== 'conflict';

export function withRetry(store: ObjectStore, options: RetryOptions): ObjectStore {
  const { clock, random, timer, attemptsMax = ATTEMPTS_MAX, totalMs = TOTAL_MS } = options;
  const { waitMs = WAIT_MS, waitMsMax = WAIT_MS_MAX } = options;

  async function retried<Answer>(repeats: Repeats, run: () => Promise<Answer>): Promise<Answer> {
    const endAt = clock.now() + totalMs;
    for (let attempt = 1; ; attempt++) {
      try {
        return await run();
      } catch (error) {
        if (!isFault(error) || error.retry !== 'later' || !repeats(error)) throw error;
        // Anything between nothing and the most: those who failed together shall not come back together.
        const pauseMs = fraction(random.id()) * Math.min(waitMsMax, waitMs * 2 ** (attempt - 1));
        if (attempt >= attemptsMax || clock.now() + pauseMs > endAt) throw exhausted(error, attempt);
        await new Promise<void>((resolve) => timer.after(pauseMs, resolve));
      }
    }
  }

  return {
    site: store.site,
    capabilities: store.capabilities,
    head: (key) => retried(always, () => store.head(key)),
    versions: (key) => retried(always, () => store.versions(key)),
    get: (key, phys, range) => retried(always, () => store.get(key, phys, range)),
    list: (query) => retried(always, () => store.list(query)),

    put(key, body, put) {
      if (body instanceof Uint8Array) return retried(unlessUnknown, () => store.put(key, body, put));
      const once = watched(body);
      return retried(
        (error) => unlessUnknown(error) && !once.begun(),
        () => store.put(key, once.body, put),
      );
    },

    delete: (key, condition) => retried(unlessUnknown, () => store.delete(key, condition)),
    copy: (source, key, put, progress) => retried(unlessUnknown, () => store.copy(source, key, put, progress)),
    createUpload: (key) => retried(unlessUnknown, () => store.createUpload(key)),

    putPart(key, upload, part, body, sums) {
      if (body instanceof Uint8Array) return retried(always, () => store.putPart(key, upload, part, body, sums));
      const once = watched(body.bytes);
      const streamed = { ...body, bytes: once.body };
      return retried(
        () => !once.begun(),
        () => store.putPart(key, upload, part, streamed, sums),
      );
    },

    completeUpload: (key, upload, parts) => retried(unlessLost, () => store.completeUpload(key, upload, parts)),
    abortUpload: (key, upload) => retried(always, () => store.abortUpload(key, upload)),
  };
}

/** A body that comes once only: it can be sent again while nobody has asked for its first bytes. */
function watched(body: AsyncIterable<Uint8Array>): {
  readonly body: AsyncIterable<Uint8Array>;
  readonly begun: () => boolean;
} {
  let begun = false;
  return {
    begun: () => begun,
    body: {
      [Symbol.asyncIterator]() {
        begun = true;
        return body[Symbol.asyncIterator]();
      },
    },
  };
}

function exhausted(error: Fault, attempts: number): Fault {
  const text = `${error.message} (tried ${attempts} ${attempts === 1 ? 'time' : 'times'})`;
  return fault(error.kind, text, { ...error.details, retry: 'exhausted', cause: error });
}

/** From 0 up to 1, from sixteen random bytes in base64url. */
function fraction(id: string): number {
  return Buffer.from(id, 'base64url').readUInt32BE() / 2 ** 32;
}
