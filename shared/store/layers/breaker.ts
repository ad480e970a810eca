/** A store that is not asked for a while once it has stopped answering, so that nobody waits for it key by key. */

import { type Fault, type FaultKind, fault, isFault } from '../../model/fault.ts';
import type { ObjectStore } from '../store.ts';

export interface BreakerOptions {
  readonly clock: { now(): number };
  /** Calls in a row that got no answer, before nothing is asked any more. */
  readonly failuresMax?: number;
  /** Then one call is let through, and all of them again if it is answered. */
  readonly pauseMs?: number;
}

const FAILURES_MAX = 5;
const PAUSE_MS = 5_000;
/** The service did not answer. Every other fault is an answer. */
const SILENCE: readonly FaultKind[] = ['unreachable', 'unavailable', 'timeout'];

/** What is not asked is Fault 'unreachable': it has not happened. */
export function withBreaker(store: ObjectStore, options: BreakerOptions): ObjectStore {
  const { clock, failuresMax = FAILURES_MAX, pauseMs = PAUSE_MS } = options;
  let failures = 0;
  let askAt = 0;
  let last: Fault | null = null;

  async function asked<Answer>(op: string, key: string, run: () => Promise<Answer>): Promise<Answer> {
    const now = clock.now();
    if (failures >= failuresMax) {
      if (now < askAt) throw notAsked(op, key, askAt - now);
      askAt = now + pauseMs;
    }
    try {
      const answer = await run();
      failures = 0;
      return answer;
    } catch (error) {
      if (isFault(error, ...SILENCE)) {
        failures += 1;
        last = error;
        if (failures >= failuresMax) askAt = clock.now() + pauseMs;
      } else if (isFault(error)) failures = 0;
      throw error;
    }
  }

  function notAsked(op: string, key: string, forMs: number): Fault {
    const text = `${op} ${JSON.stringify(key)}: not asked, since ${store.site} did not answer ${failures} times; again in ${forMs} ms`;
    return fault('unreachable', text, { site: store.site, op, key, cause: last });
  }

  return {
    site: store.site,
    capabilities: store.capabilities,
    head: (key) => asked('head', key, () => store.head(key)),
    versions: (key) => asked('versions', key, () => store.versions(key)),
    get: (key, phys, range) => asked('get', key, () => store.get(key, phys, range)),
    put: (key, body, put) => asked('put', key, () => store.put(key, body, put)),
    delete: (key, condition) => asked('delete', key, () => store.delete(key, condition)),
    list: (query) => asked('list', query.prefix, () => store.list(query)),
    copy: (source, key, put, progress) => asked('copy', key, () => store.copy(source, key, put, progress)),
    createUpload: (key) => asked('createUpload', key, () => store.createUpload(key)),
    putPart: (key, upload, part, body, sums) =>
      asked('putPart', key, () => store.putPart(key, upload, part, body, sums)),
    completeUpload: (key, upload, parts) =>
      asked('completeUpload', key, () => store.completeUpload(key, upload, parts)),
    abortUpload: (key, upload) => asked('abortUpload', key, () => store.abortUpload(key, upload)),
  };
}
