/** Waiting for what a process does by itself, with a bound that only a defect reaches. */

import { expect } from 'vitest';

const TRIES_MAX = 1_000;
const PAUSE_MS = 5;

export async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  expect.unreachable('it did not come to pass');
}
