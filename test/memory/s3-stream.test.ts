import { expect, it } from 'vitest';
import { measure } from './s3-stream.ts';

const MIB = 128;
const PEAK_MIB_MAX = 200;

it('a large object streams to S3 and back in little memory', { timeout: 120_000 }, async () => {
  const { whole, peakMib } = await measure(MIB);
  expect(whole).toBe(true);
  expect(peakMib).toBeLessThan(PEAK_MIB_MAX);
});
