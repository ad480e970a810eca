/** A store that answers in time: every call is bounded, and so is every wait for the next bytes of a body. */

import { type Fault, fault } from '../../model/fault.ts';
import type { ObjectStore } from '../store.ts';
import type { Timer } from './timer.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** How long each call may take, beside the time that its bytes need. */
const LIMITS_MS = {
  head: 30 * SECOND,
  /** One request for each version. */
  versions: 5 * MINUTE,
  get: MINUTE,
  /** From the last bytes it took, or was given. */
  put: MINUTE,
  delete: MINUTE,
  list: 5 * MINUTE,
  /** The service moves up to terabytes meanwhile. */
  copy: 60 * MINUTE,
  createUpload: MINUTE,
  putPart: MINUTE,
  completeUpload: 20 * MINUTE,
  abortUpload: MINUTE,
  /** For the next bytes of a body that is read. */
  stall: MINUTE,
};

export type DeadlineLimits = Readonly<typeof LIMITS_MS>;

export interface DeadlineOptions {
  readonly timer: Timer;
  readonly limitsMs?: Partial<DeadlineLimits>;
}

/** Slower than this is no connection. */
const BYTES_PER_MS_MIN = 64;

/**
 * A call that is over time is Fault 'timeout': what it was to do may have happened, or may still. A driver that can end
 * a call for good has deadlines of its own, shorter than these.
 */
export function withDeadline(store: ObjectStore, { timer, limitsMs }: DeadlineOptions): ObjectStore {
  const limits: DeadlineLimits = { ...LIMITS_MS, ...limitsMs };
  const { site } = store;

  /** `run` is given the watch, to say that there was progress. */
  function within<Answer>(
    op: keyof DeadlineLimits,
    key: string,
    run: (watch: Watch) => Promise<Answer>,
    bytes = 0,
  ): Promise<Answer> {
    const ms = limits[op] + Math.ceil(bytes / BYTES_PER_MS_MIN);
    return new Promise((resolve, reject) => {
      const watch = openWatch(timer, ms, () =>
        reject(late(`${op} ${JSON.stringify(key)}: nothing for ${ms} ms`, op, key)),
      );
      (async () => run(watch))().then(resolve, reject).finally(watch.stop);
    });
  }

  function late(text: string, op: string, key: string): Fault {
    return fault('timeout', text, { site, op, key });
  }

  /** Ends for whoever takes from it when the time of the call is up, so that no driver goes on for nobody. */
  async function* given(body: AsyncIterable<Uint8Array>, key: string, watch: Watch): AsyncGenerator<Uint8Array> {
    for await (const piece of body) {
      if (watch.isOver()) throw late('the body came too late', 'put', key);
      watch.touch();
      yield piece;
      if (watch.isOver()) throw late('the body was taken too late', 'put', key);
      watch.touch();
    }
  }

  function read(body: AsyncIterable<Uint8Array>, key: string): AsyncIterable<Uint8Array> {
    return {
      async *[Symbol.asyncIterator]() {
        const source = body[Symbol.asyncIterator]();
        let stalled = true;
        try {
          for (;;) {
            const next = await within('stall', key, () => source.next());
            if (next.done) {
              stalled = false;
              return;
            }
            yield next.value;
          }
        } finally {
          // Nobody waits for it: a source that gives no bytes may not give up either.
          if (stalled) source.return?.().catch(() => {});
        }
      },
    };
  }

  return {
    site,
    capabilities: store.capabilities,
    head: (key) => within('head', key, () => store.head(key)),
    versions: (key) => within('versions', key, () => store.versions(key)),

    async get(key, phys, range) {
      const { version, body } = await within('get', key, () => store.get(key, phys, range));
      return { version, body: read(body, key) };
    },

    put: (key, body, put) =>
      body instanceof Uint8Array
        ? within('put', key, () => store.put(key, body, put), body.length)
        : within('put', key, (watch) => store.put(key, given(body, key, watch), put)),

    delete: (key, condition) => within('delete', key, () => store.delete(key, condition)),
    list: (query) => within('list', query.prefix, () => store.list(query)),
    copy: (source, key, put, progress) => within('copy', key, () => store.copy(source, key, put, progress)),
    createUpload: (key) => within('createUpload', key, () => store.createUpload(key)),
    putPart: (key, upload, part, body, sums) =>
      body instanceof Uint8Array
        ? within('putPart', key, () => store.putPart(key, upload, part, body, sums), body.length)
        : within('putPart', key, (watch) =>
            store.putPart(key, upload, part, { ...body, bytes: given(body.bytes, key, watch) }, sums),
          ),
    completeUpload: (key, upload, parts) =>
      within('completeUpload', key, () => store.completeUpload(key, upload, parts)),
    abortUpload: (key, upload) => within('abortUpload', key, () => store.abortUpload(key, upload)),
  };
}

interface Watch {
  /** The time begins anew. */
  touch(): void;
  stop(): void;
  isOver(): boolean;
}

function openWatch(timer: Timer, ms: number, expire: () => void): Watch {
  let over = false;
  const start = () =>
    timer.after(ms, () => {
      over = true;
      expire();
    });
  let cancel = start();
  return {
    touch() {
      cancel();
      if (!over) cancel = start();
    },
    stop() {
      cancel();
    },
    isOver: () => over,
  };
}
