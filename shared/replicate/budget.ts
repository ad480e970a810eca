/** How many bytes a process holds at once, however many objects it copies. */

export const HELD_BYTES = 24 * 1024 * 1024;
/** So much is not counted: a look may read it, and many of them may be under way. */
export const SMALL_BYTES = 256 * 1024;
const budgets = new WeakMap<object, Budget>();

export interface Budget {
  /** Buffers that nobody uses now. */
  readonly spare: Uint8Array[];
  /** Runs when there is room, in turn; who wants more than there is at all waits until nobody else has any. */
  within<Answer>(bytes: number, run: () => Promise<Answer>): Promise<Answer>;
}

/** A buffer of exactly that size, used before if there is such a one; of those of other sizes one is let go. */
export function roomOf({ spare }: Budget, bytes: number): Uint8Array {
  const known = spare.findIndex(({ length }) => length === bytes);
  if (known >= 0) return spare.splice(known, 1)[0] as Uint8Array;
  spare.shift();
  return Buffer.allocUnsafeSlow(bytes);
}

/** The one of this place: all worlds of a process that share it share the bytes. */
export function budgetOf(place: object): Budget {
  const budget = budgets.get(place) ?? openBudget(HELD_BYTES);
  budgets.set(place, budget);
  return budget;
}

export function openBudget(bytesMax: number): Budget {
  const waiting: Array<{ readonly bytes: number; readonly begin: () => void }> = [];
  let held = 0;

  function admit(): void {
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      if (held > 0 && held + next.bytes > bytesMax) return;
      waiting.shift();
      held += next.bytes;
      next.begin();
    }
  }

  return {
    spare: [],

    async within(bytes, run) {
      await new Promise<void>((begin) => {
        waiting.push({ bytes, begin });
        admit();
      });
      try {
        return await run();
      } finally {
        held -= bytes;
        admit();
      }
    },
  };
}
