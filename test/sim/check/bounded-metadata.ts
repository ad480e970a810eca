/** I19: items and markers stay within what every ledger and cloud can hold. */

import type { History, Violation } from '../history.ts';

const ITEM_BYTES_MAX = 64 * 1024;
const MARKER_BYTES_MAX = 600;

export function boundedMetadata(history: History): readonly Violation[] {
  return [
    ...history.ledgerWrites
      .filter(({ bytes }) => bytes >= ITEM_BYTES_MAX)
      .map(({ step, key, bytes }) => ({ invariant: 'I19', step, text: `the item of ${key} has ${bytes} bytes` })),
    ...history.markers
      .filter(({ bytes }) => bytes > MARKER_BYTES_MAX)
      .map(({ step, bytes }) => ({ invariant: 'I19', step, text: `a marker has ${bytes} bytes` })),
  ];
}
