import { expect, it } from 'vitest';
import { partBytesFor, partCount } from '../model/copy-job.ts';
import { helpersFor } from './help.ts';

const MIB = 1024 ** 2;

it.each([
  [65 * MIB, 0],
  [256 * MIB, 1],
  [1024 * MIB, 4],
  [5 * 1024 ** 2 * MIB, 15],
])('an object of %i bytes is worth %i more workers', (sizeBytes, helpers) => {
  expect(helpersFor(partCount(sizeBytes, partBytesFor(sizeBytes, 8 * MIB)))).toBe(helpers);
});
