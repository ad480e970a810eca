/** What every endpoint of the local clouds is given, and what it gives back. */

import type { Delivery } from './delivery.ts';
import type { CloudName, Faults } from './faults.ts';
import type { State } from './state/state.ts';

/** One cloud as its endpoints see it; the endpoints of one cloud share state, clock and delivery. */
export interface Cloud {
  readonly name: CloudName;
  /** Where to listen: loopback unless the user said otherwise. */
  readonly host: string;
  readonly state: State;
  readonly faults: Faults;
  readonly delivery: Delivery;
  /** The cloud's own clock, wrong when a fault says so. Milliseconds since the epoch. */
  now(): number;
  /** One line for the person who started the local world. */
  report(line: string): void;
}

export interface Service {
  /** As in a fault's scope: s3, gcs, blob... */
  readonly name: string;
  readonly port: number;
  /** Lets open requests end for a moment, then cuts them. */
  stop(): Promise<void>;
}
