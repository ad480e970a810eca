/** Calls that are asked for in one turn, made as one, where a service takes several at once. */

import { type Fault, isFault } from './fault.ts';

export interface Together<Item, Result> {
  /** At most so many in one call. */
  readonly max: number;
  /** Runs something when what else is to be done now has been done. */
  readonly soon: (run: () => void) => void;
  /** An answer for each item, in their order. What it throws is the answer to all of them. */
  readonly run: (items: readonly Item[]) => Promise<ReadonlyArray<Result | Fault>>;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export function openTogether<Item, Result>({
  max,
  soon,
  run,
}: Together<Item, Result>): (item: Item) => Promise<Result> {
  let waiting: Waiting<Item, Result>[] = [];

  function flush(): void {
    const all = waiting;
    waiting = [];
    for (let at = 0; at < all.length; at += max) void make(all.slice(at, at + max));
  }

  async function make(group: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await run(group.map(({ item }) => item));
      for (const [index, { resolve, reject }] of group.entries()) {
        const result = results[index] as Result | Fault;
        if (isFault(result)) reject(result);
        else resolve(result);
      }
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (waiting.length === 1) soon(flush);
    });
}
