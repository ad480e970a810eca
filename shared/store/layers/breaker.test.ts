import { describe, expect, it } from 'vitest';
import { storeConformance } from '../../../test/conformance/store.ts';
import { type FaultKind, fault } from '../../model/fault.ts';
import { openMemoryStore } from '../memory.ts';
import { withBreaker } from './breaker.ts';

const memory = () => openMemoryStore({ site: 'm', flavour: 's3', versioned: true, now: () => 1_700_000_000_000 });

storeConformance({
  name: 'memory behind a breaker',
  open: async () => ({ store: withBreaker(memory(), { clock: { now: () => 0 } }) }),
});

/** A store that fails as it is told, and how often it was asked. */
function failing() {
  const bench = { now: 0, fails: null as FaultKind | null, asked: 0 };
  const inner = {
    ...memory(),
    async head() {
      bench.asked += 1;
      if (bench.fails !== null) throw fault(bench.fails, 'as the test wants');
      return null;
    },
  };
  const store = withBreaker(inner, { clock: { now: () => bench.now }, failuresMax: 3, pauseMs: 1_000 });
  const kinds = async (times: number) => {
    const seen: string[] = [];
    for (let i = 0; i < times; i++) {
      seen.push(
        await store.head('k').then(
          () => 'answered',
          ({ kind }) => kind,
        ),
      );
    }
    return seen;
  };
  return { bench, store, kinds };
}

describe('a store behind a breaker', () => {
  it.each<FaultKind>(['unreachable', 'unavailable', 'timeout'])(
    'is not asked any more after three times %s',
    async (kind) => {
      const { bench, kinds } = failing();
      bench.fails = kind;
      expect(await kinds(5)).toEqual([kind, kind, kind, 'unreachable', 'unreachable']);
      expect(bench.asked).toBe(3);
    },
  );

  it('says why it was not asked, and when it will be', async () => {
    const { bench, store, kinds } = failing();
    bench.fails = 'timeout';
    await kinds(3);
    bench.now = 400;
    await expect(store.delete('k', { kind: 'always' })).rejects.toMatchObject({
      kind: 'unreachable',
      retry: 'later',
      message: 'delete "k": not asked, since m did not answer 3 times; again in 600 ms',
      details: { site: 'm', op: 'delete', key: 'k', cause: { kind: 'timeout' } },
    });
  });

  it('is asked once after the pause, and by everybody when that was answered', async () => {
    const { bench, kinds } = failing();
    bench.fails = 'unreachable';
    await kinds(3);
    bench.now = 1_000;
    expect(await kinds(3)).toEqual(['unreachable', 'unreachable', 'unreachable']);
    expect(bench.asked).toBe(4);
    bench.now = 2_000;
    bench.fails = null;
    expect(await kinds(3)).toEqual(['answered', 'answered', 'answered']);
    expect(bench.asked).toBe(7);
  });

  it('lets one through at a time after the pause', async () => {
    const { bench, store, kinds } = failing();
    bench.fails = 'unreachable';
    await kinds(3);
    bench.now = 1_000;
    await Promise.allSettled([store.head('a'), store.head('b'), store.head('c')]);
    expect(bench.asked).toBe(4);
  });

  it.each<FaultKind>(['not-found', 'precondition', 'throttled', 'forbidden'])(
    'takes %s for an answer',
    async (kind) => {
      const { bench, kinds } = failing();
      bench.fails = 'unreachable';
      await kinds(2);
      bench.fails = kind;
      await kinds(1);
      bench.fails = 'unreachable';
      await kinds(2);
      expect(bench.asked).toBe(5);
      bench.fails = null;
      expect(await kinds(1)).toEqual(['answered']);
    },
  );
});
