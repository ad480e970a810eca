import { expect, it } from 'vitest';
import { openBudget } from './budget.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

it('a budget lets in what fits, in turn, and what is too large alone', async () => {
  const budget = openBudget(10);
  const ends: Array<() => void> = [];
  const begun: number[] = [];
  const all = [4, 6, 1, 20, 2].map((bytes) =>
    budget.within(bytes, () => {
      begun.push(bytes);
      return new Promise<void>((end) => void ends.push(end));
    }),
  );
  await turn();
  expect(begun).toEqual([4, 6]);
  for (const expected of [[1], [], [20], [2]]) {
    const before = begun.length;
    ends.shift()?.();
    await turn();
    expect(begun.slice(before)).toEqual(expected);
  }
  ends.shift()?.();
  await Promise.all(all);
});

it('a budget is given back by what fails', async () => {
  const budget = openBudget(1);
  await expect(budget.within(1, () => Promise.reject(new Error('broke')))).rejects.toThrow('broke');
  expect(await budget.within(1, async () => 'next')).toBe('next');
});
