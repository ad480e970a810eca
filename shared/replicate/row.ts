/** Reads an item for work that goes over many keys: one malformed row is reported and must not stop the others. */

import type { LedgerRead } from '../ledger/ledger.ts';
import { type Fault, isFault } from '../model/fault.ts';
import type { World } from '../world/world.ts';

/** null: the row cannot be read as an item. Other faults are thrown. */
export async function readReported(world: World, key: string): Promise<LedgerRead | null> {
  try {
    return await world.ledger.get(key);
  } catch (error) {
    if (!isFault(error, 'invalid')) throw error;
    reportMalformed(world, key, error);
    return null;
  }
}

/** An alarm if the fault is about a row that cannot be read; other faults are not for people. */
export function reportMalformed(world: World, key: string, { kind, message }: Fault): void {
  if (kind === 'invalid') world.report({ severity: 'alarm', what: 'refused-row', key, detail: message });
}
