/** Waiting for what must come, with a bound that only a defect reaches. */

const PAUSE_MS = 30;
const PAUSE_MS_MAX = 300;
/** Only a defect takes so long, or a machine that has very much else to do. */
const WAIT_MS_MAX = 240_000;
const TOLD_MAX = 12;

/** Asks until nothing is complained of; at the end of the bound, the complaints are the error. */
export async function until(
  what: string,
  ask: () => Promise<readonly string[]>,
  { waitMs = WAIT_MS_MAX }: { readonly waitMs?: number } = {},
): Promise<void> {
  const endAt = performance.now() + waitMs;
  for (let attempt = 1; ; attempt++) {
    const left = await ask();
    if (left.length === 0) return;
    if (performance.now() > endAt)
      throw new Error(`not so: ${what}\n  ${left.slice(0, TOLD_MAX).join('\n  ')}\n  (${left.length} in all)`);
    await pause(Math.min(PAUSE_MS * attempt, PAUSE_MS_MAX));
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** At most so many at once, in order; the first failure ends it. */
export async function each<Item>(
  items: readonly Item[],
  atOnce: number,
  act: (item: Item, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const index = next++;
      await act(items[index] as Item, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane));
}
