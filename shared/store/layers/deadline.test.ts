import { describe, expect, it } from 'vitest';
import { storeConformance } from '../../../test/conformance/store.ts';
import { ALWAYS, encode, options, text } from '../../../test/conformance/store-bench.ts';
import { openMemoryStore } from '../memory.ts';
import type { ObjectStore } from '../store.ts';
import { withDeadline } from './deadline.ts';
import type { Timer } from './timer.ts';

const memory = () => openMemoryStore({ site: 'm', flavour: 's3', versioned: true, now: () => 1_700_000_000_000 });
const never = () => new Promise<never>(() => {});

/** Time passes when the test says so. */
function time() {
  const waiting = new Map<symbol, { at: number; run: () => void }>();
  let now = 0;
  const timer: Timer = {
    after(ms, run) {
      const id = Symbol('wait');
      waiting.set(id, { at: now + ms, run });
      return () => void waiting.delete(id);
    },
  };
  async function pass(ms: number): Promise<void> {
    await settle();
    now += ms;
    for (const [id, { at, run }] of [...waiting]) {
      if (at > now) continue;
      waiting.delete(id);
      run();
    }
    await settle();
  }
  return { timer, pass, waiting };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

/** What became of it so far. */
function outcomeOf(promise: Promise<unknown>): { now: unknown } {
  const outcome: { now: unknown } = { now: 'open' };
  promise.then(
    (answer) => {
      outcome.now = answer;
    },
    (error) => {
      outcome.now = error;
    },
  );
  return outcome;
}

storeConformance({
  name: 'memory behind deadlines',
  open: async () => ({ store: withDeadline(memory(), { timer: time().timer }) }),
});

describe('a call without an answer', () => {
  const calls: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
    head: (store) => store.head('k'),
    versions: (store) => store.versions('k'),
    get: (store) => store.get('k', 'v:1'),
    put: (store) => store.put('k', encode('x'), options()),
    delete: (store) => store.delete('k', ALWAYS),
    list: (store) => store.list({ prefix: 'k', limit: 1 }),
    copy: (store) => store.copy({ key: 'a', phys: 'v:1' }, 'k', options()),
    createUpload: (store) => store.createUpload('k'),
    putPart: (store) => store.putPart('k', 'u', 1, encode('x')),
    completeUpload: (store) => store.completeUpload('k', 'u', []),
    abortUpload: (store) => store.abortUpload('k', 'u'),
  };

  it.each(Object.entries(calls))('is a timeout: %s', async (op, call) => {
    const { timer, pass } = time();
    const dead: ObjectStore = { ...memory(), [op]: never };
    const outcome = outcomeOf(call(withDeadline(dead, { timer, limitsMs: { [op]: 1000 } })));
    await pass(999);
    expect(outcome.now).toBe('open');
    await pass(2);
    expect(outcome.now).toMatchObject({ kind: 'timeout', retry: 'later', details: { site: 'm', op, key: 'k' } });
  });
});

describe('a call with an answer', () => {
  it('leaves no timer behind', async () => {
    const { timer, waiting } = time();
    const store = withDeadline(memory(), { timer });
    const { phys } = await store.put('k', encode('x'), options());
    expect(await text((await store.get('k', phys)).body)).toBe('x');
    await expect(store.get('k', 'v:none')).rejects.toMatchObject({ kind: 'not-found' });
    await settle();
    expect(waiting.size).toBe(0);
  });

  it('has more time for more bytes', async () => {
    const { timer, pass } = time();
    const store = withDeadline({ ...memory(), putPart: never }, { timer, limitsMs: { putPart: 1000 } });
    const outcome = outcomeOf(store.putPart('k', 'u', 1, new Uint8Array(64 * 500)));
    await pass(1499);
    expect(outcome.now).toBe('open');
    await pass(2);
    expect(outcome.now).toMatchObject({ kind: 'timeout' });
  });
});

describe('a body', () => {
  it('that stalls while it is read is a timeout, and its source is told to end', async () => {
    const { timer, pass } = time();
    let ended = false;
    const inner = memory();
    const { phys } = await inner.put('k', encode('x'), options());
    const stalling: ObjectStore = {
      ...inner,
      async get(key, version) {
        const read = await inner.get(key, version);
        const source: AsyncIterator<Uint8Array> = {
          next: never,
          async return() {
            ended = true;
            return { done: true, value: undefined };
          },
        };
        return { version: read.version, body: { [Symbol.asyncIterator]: () => source } };
      },
    };
    const { body } = await withDeadline(stalling, { timer, limitsMs: { stall: 1000 } }).get('k', phys);
    const outcome = outcomeOf(text(body));
    await pass(999);
    expect(outcome.now).toBe('open');
    await pass(2);
    expect(outcome.now).toMatchObject({ kind: 'timeout', details: { key: 'k' } });
    expect(ended).toBe(true);
  });

  it('that is given slowly but steadily is no timeout; one that stops is, and is taken no further', async () => {
    const { timer, pass } = time();
    const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
    async function* slow(): AsyncGenerator<Uint8Array> {
      for (const { promise } of gates) {
        await promise;
        yield encode('x');
      }
    }
    const inner = memory();
    const store = withDeadline(inner, { timer, limitsMs: { put: 1000 } });
    const outcome = outcomeOf(store.put('k', slow(), options()));
    for (const gate of gates.slice(0, 4)) {
      await pass(900);
      gate.resolve();
      await pass(0);
    }
    expect(outcome.now).toBe('open');
    await pass(1001);
    expect(outcome.now).toMatchObject({ kind: 'timeout', details: { op: 'put' } });
    gates[4]?.resolve();
    await pass(0);
    expect(await inner.head('k')).toBeNull();
  });
});
