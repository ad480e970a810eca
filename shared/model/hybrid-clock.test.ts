/** Shows that stamps grow along causality whatever bucket clocks do, and never run ahead of all of them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareStamps, type HybridStamp, stampAfter } from './hybrid-clock.ts';

const anyTime = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 9_999_999_999_999 }));
const anyStamp: fc.Arbitrary<HybridStamp> = fc.record({ ms: anyTime, c: fc.integer({ min: 0, max: 3 }) });
/** Bucket times along one line of versions, each written over the one before. */
const anyTimes = fc.array(anyTime, { minLength: 1, maxLength: 20 });

function stampsOf(times: readonly number[]): HybridStamp[] {
  const stamps: HybridStamp[] = [];
  for (const ms of times) stamps.push(stampAfter(ms, stamps.at(-1) ?? null));
  return stamps;
}

describe('a stamp', () => {
  it('is the bucket time itself where nothing stood before', () => {
    fc.assert(
      fc.property(anyTime, (ms) => {
        expect(stampAfter(ms, null)).toEqual({ ms, c: 0 });
      }),
    );
  });

  it('is greater than that of what it was written over, even when the clock went back', () => {
    fc.assert(
      fc.property(anyTime, anyStamp, (ms, past) => {
        expect(compareStamps(stampAfter(ms, past), past)).toBeGreaterThan(0);
      }),
    );
  });

  it('grows along every line of versions', () => {
    fc.assert(
      fc.property(anyTimes, (times) => {
        const stamps = stampsOf(times);
        for (const [i, stamp] of stamps.entries()) {
          for (const later of stamps.slice(i + 1)) expect(compareStamps(stamp, later)).toBeLessThan(0);
        }
      }),
    );
  });

  it('never says more than the latest bucket time in its past', () => {
    fc.assert(
      fc.property(anyTimes, (times) => {
        for (const [i, { ms }] of stampsOf(times).entries()) expect(ms).toBe(Math.max(...times.slice(0, i + 1)));
      }),
    );
  });

  it('counts only while the clock stands or goes back', () => {
    expect(stampsOf([10, 10, 9, 11, 10]).map(({ ms, c }) => `${ms}.${c}`)).toEqual([
      '10.0',
      '10.1',
      '10.2',
      '11.0',
      '11.1',
    ]);
  });
});

describe('comparing stamps', () => {
  it('is a total order', () => {
    fc.assert(
      fc.property(anyStamp, anyStamp, anyStamp, (a, b, c) => {
        expect(Math.sign(compareStamps(a, b)) + Math.sign(compareStamps(b, a))).toBe(0);
        expect(compareStamps(a, b) === 0).toBe(a.ms === b.ms && a.c === b.c);
        if (compareStamps(a, b) <= 0 && compareStamps(b, c) <= 0) expect(compareStamps(a, c)).toBeLessThanOrEqual(0);
      }),
    );
  });

  it('asks the counter only between equal times', () => {
    expect(compareStamps({ ms: 2, c: 0 }, { ms: 1, c: 9 })).toBeGreaterThan(0);
    expect(compareStamps({ ms: 1, c: 1 }, { ms: 1, c: 2 })).toBeLessThan(0);
  });
});
