/** Many calls of one kind, a bounded number of them at once, answered in order. */

/** The first failure is thrown, after no further call has been begun. */
export async function mapBounded<Item, Answer>(
  items: readonly Item[],
  atOnceMax: number,
  run: (item: Item, index: number) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = new Array(items.length);
  let next = 0;
  let failed = false;
  async function worker(): Promise<void> {
    while (next < items.length && !failed) {
      const index = next++;
      try {
        answers[index] = await run(items[index] as Item, index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  }
  const settled = await Promise.allSettled(Array.from({ length: Math.min(atOnceMax, items.length) }, worker));
  for (const outcome of settled) if (outcome.status === 'rejected') throw outcome.reason;
  return answers;
}
