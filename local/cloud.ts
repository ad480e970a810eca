/** Opens what the endpoints of one local cloud share. */

import { openDelivery } from './delivery.ts';
import { type CloudName, type Faults, openFaults } from './faults.ts';
import type { Cloud } from './service.ts';
import { openState } from './state/state.ts';

export interface CloudOptions {
  readonly name: CloudName;
  /** Left out: in memory. */
  readonly folder?: string;
  readonly host?: string;
  readonly faults?: Faults;
  readonly report?: (line: string) => void;
}

export interface OpenCloud extends Cloud {
  /** After its endpoints have stopped. */
  close(): Promise<void>;
}

export function openCloud({
  name,
  folder,
  host = '127.0.0.1',
  faults = openFaults(1),
  report = () => {},
}: CloudOptions): OpenCloud {
  const state = openState(folder ?? null);
  const delivery = openDelivery({ cloud: name, db: state.db, faults, report });
  return {
    name,
    host,
    state,
    faults,
    delivery,
    now: () => Date.now() + faults.aheadMs(name),
    report,
    async close() {
      await delivery.stop();
      state.close();
    },
  };
}
