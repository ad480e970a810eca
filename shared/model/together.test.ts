import { describe, expect, it } from 'vitest';
import { fault } from './fault.ts';
import { openTogether } from './together.ts';

describe('calls made together', () => {
  it('are those of one turn, at most so many in one, each with its own answer', async () => {
    const made: (readonly number[])[] = [];
    const double = openTogether<number, number>({
      max: 3,
      soon: setImmediate,
      run: async (items) => {
        made.push(items);
        return items.map((item) => (item === 2 ? fault('invalid', 'no twos') : item * 2));
      },
    });
    const first = await Promise.allSettled([1, 2, 3, 4].map(double));
    expect(first.map((it) => (it.status === 'fulfilled' ? it.value : it.reason.message))).toEqual([2, 'no twos', 6, 8]);
    expect(await double(5)).toBe(10);
    expect(made).toEqual([[1, 2, 3], [4], [5]]);
  });

  it('fail together when the call fails, and not those of another one', async () => {
    let calls = 0;
    const call = openTogether<string, string>({
      max: 2,
      soon: setImmediate,
      run: async (items) => {
        calls += 1;
        if (calls === 1) throw fault('unavailable', 'not now');
        return items;
      },
    });
    const all = await Promise.allSettled(['a', 'b', 'c'].map(call));
    expect(all.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
  });
});
