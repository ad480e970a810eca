import { expect, it } from 'vitest';
import { drivers, measure } from './run.ts';

const MI = 1024 * 1024;
/** Small enough for every run, and large enough to be seen if somebody keeps it. */
const SIZE_BYTES = 96 * MI;
const PEAK_BYTES_MAX = 200 * MI;

it.each(drivers)('%s streams a large object in little memory', { timeout: 120_000 }, async (driver) => {
  const { same, peakBytes } = await measure(driver, SIZE_BYTES);
  expect(same).toBe(true);
  expect(peakBytes).toBeLessThan(PEAK_BYTES_MAX);
});
