import { describe, expect, it } from 'vitest';
import { storeConformance } from '../../../test/conformance/store.ts';
import { ALWAYS, encode, options } from '../../../test/conformance/store-bench.ts';
import { type FaultKind, fault } from '../../model/fault.ts';
import { openMemoryStore } from '../memory.ts';
import type { ObjectStore } from '../store.ts';
import { type RetryOptions, withRetry } from './retry.ts';

const memory = () => openMemoryStore({ site: 'm', flavour: 's3', versioned: true, now: () => 1_700_000_000_000 });

/** A clock that a wait moves forward by what was waited for, and the waits in order. */
function time(id = '_____wAAAAAAAAAAAAAAAA') {
  let now = 0;
  const waits: number[] = [];
  const at: Pick<RetryOptions, 'clock' | 'random' | 'timer'> = {
    clock: { now: () => now },
    random: { id: () => id },
    timer: {
      after(ms, run) {
        waits.push(Math.round(ms));
        now += ms;
        queueMicrotask(run);
        return () => {};
      },
    },
  };
  return { at, waits };
}

/** A store whose every method fails with the kinds given, one per call, and then does what it should. */
function failing(store: ObjectStore, ...kinds: readonly FaultKind[]) {
  const left = [...kinds];
  const calls: string[] = [];
  const proxy = new Proxy(store, {
    get(target, name: keyof ObjectStore) {
      const method = target[name];
      if (typeof method !== 'function') return method;
      return async (...given: readonly unknown[]) => {
        calls.push(name);
        const kind = left.shift();
        if (kind) throw fault(kind, 'as the test wants', { site: 'm', op: name });
        return (method as (...given: readonly unknown[]) => unknown)(...given);
      };
    },
  });
  return { proxy, calls };
}

const NOTHING_HAPPENED: readonly FaultKind[] = ['throttled', 'unavailable', 'unreachable', 'conflict', 'corrupt'];
const HOPELESS: readonly FaultKind[] = [
  'invalid',
  'not-found',
  'precondition',
  'forbidden',
  'unsupported',
  'too-large',
];

storeConformance({
  name: 'memory behind retries',
  open: async () => ({ store: withRetry(memory(), time().at) }),
});

describe('a read', () => {
  it.each([...NOTHING_HAPPENED, 'timeout'] as const)('is asked again after %s', async (kind) => {
    const { proxy, calls } = failing(memory(), kind, kind);
    expect(await withRetry(proxy, time().at).head('k')).toBeNull();
    expect(calls).toHaveLength(3);
  });

  it.each(HOPELESS)('is not asked again after %s', async (kind) => {
    const { proxy, calls } = failing(memory(), kind);
    await expect(withRetry(proxy, time().at).head('k')).rejects.toMatchObject({ kind, retry: 'never' });
    expect(calls).toHaveLength(1);
  });
});

describe('a write', () => {
  it.each(NOTHING_HAPPENED)('is made again after %s', async (kind) => {
    const { proxy, calls } = failing(memory(), kind);
    const store = withRetry(proxy, time().at);
    await store.put('k', encode('x'), options({ condition: { kind: 'if-absent' } }));
    expect(calls).toEqual(['put', 'put']);
  });

  it('that may have happened is never made again', async () => {
    const inner = memory();
    const source = await inner.put('source', encode('x'), options());
    const upload = await inner.createUpload('k');
    const part = await inner.putPart('k', upload, 1, encode('x'));
    const writes: readonly ((store: ObjectStore) => Promise<unknown>)[] = [
      (store) => store.put('k', encode('x'), options()),
      (store) => store.delete('k', ALWAYS),
      (store) => store.copy(source, 'k', options()),
      (store) => store.createUpload('k'),
      (store) => store.completeUpload('k', upload, [part]),
    ];
    for (const write of writes) {
      const { proxy, calls } = failing(inner, 'timeout');
      await expect(write(withRetry(proxy, time().at))).rejects.toMatchObject({ kind: 'timeout', retry: 'later' });
      expect(calls).toHaveLength(1);
    }
  });

  it('of a part, or the end of an upload, is made again even so', async () => {
    const { proxy, calls } = failing(memory(), 'timeout');
    const store = withRetry(proxy, time().at);
    const upload = await memory().createUpload('k');
    await store.abortUpload('k', upload);
    expect(calls).toEqual(['abortUpload', 'abortUpload']);
    const inner = memory();
    const parts = failing(inner, 'timeout');
    await withRetry(parts.proxy, time().at).putPart('k', await inner.createUpload('k'), 1, encode('x'));
    expect(parts.calls).toEqual(['putPart', 'putPart']);
  });

  it('that lost the race at the end of an upload is not made again', async () => {
    const { proxy, calls } = failing(memory(), 'conflict');
    await expect(withRetry(proxy, time().at).completeUpload('k', 'u', [])).rejects.toMatchObject({ kind: 'conflict' });
    expect(calls).toHaveLength(1);
  });
});

describe('a body that comes once', () => {
  async function* body(): AsyncGenerator<Uint8Array> {
    yield encode('once');
  }

  it('is sent again while nobody has begun with it', async () => {
    const { proxy, calls } = failing(memory(), 'unreachable');
    await withRetry(proxy, time().at).put('k', body(), options());
    expect(calls).toEqual(['put', 'put']);
  });

  it('is not sent again once it has begun', async () => {
    const inner = memory();
    let calls = 0;
    const store = withRetry(
      {
        ...inner,
        async put(_key, taken) {
          calls++;
          for await (const _piece of taken as AsyncIterable<Uint8Array>) break;
          throw fault('unavailable', 'broken off');
        },
      },
      time().at,
    );
    await expect(store.put('k', body(), options())).rejects.toMatchObject({ kind: 'unavailable', retry: 'later' });
    expect(calls).toBe(1);
  });
});

describe('patience', () => {
  const many: readonly FaultKind[] = Array.from({ length: 50 }, () => 'throttled' as const);

  it('ends after as many tries as allowed, and the fault says so', async () => {
    const { proxy, calls } = failing(memory(), ...many);
    const store = withRetry(proxy, { ...time().at, attemptsMax: 3 });
    const outcome = { kind: 'throttled', retry: 'exhausted', details: { site: 'm', op: 'head' } };
    await expect(store.head('k')).rejects.toMatchObject(outcome);
    expect(calls).toHaveLength(3);
  });

  it('doubles with each wait up to a bound, and chance takes any part of it', async () => {
    const longest = time();
    await withRetry(failing(memory(), ...many.slice(0, 6)).proxy, {
      ...longest.at,
      attemptsMax: 10,
      waitMs: 100,
      waitMsMax: 1000,
    }).head('k');
    expect(longest.waits).toEqual([100, 200, 400, 800, 1000, 1000]);
    const none = time('AAAAAAAAAAAAAAAAAAAAAA');
    await withRetry(failing(memory(), 'throttled').proxy, none.at).head('k');
    expect(none.waits).toEqual([0]);
  });

  it('ends when the next try would begin too late', async () => {
    const { proxy, calls } = failing(memory(), ...many);
    const { at, waits } = time();
    const store = withRetry(proxy, { ...at, attemptsMax: 50, waitMs: 100, totalMs: 1000 });
    await expect(store.head('k')).rejects.toMatchObject({ retry: 'exhausted' });
    expect(waits).toEqual([100, 200, 400]);
    expect(calls).toHaveLength(4);
  });
});
