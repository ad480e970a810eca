/** Ways between Triplicate and the clouds, as data: how long there and back, how much is lost, and who says so. */

import type { CloudName } from '../../local/faults.ts';

export interface Link {
  /** There and back. */
  readonly ms: number;
  /** Of the segments, from 0 to 1. */
  readonly loss: number;
}

export interface Way {
  readonly name: string;
  readonly links: Readonly<Record<CloudName, Link>>;
  readonly source: string;
}

const AZURE = 'Azure network round-trip latency statistics, P50 over 30 days, April 2024';
const ZONES = 'two zones of one region: under 2 ms (Azure, what are availability zones)';
const DELIVERED = 'loss: the 99.5 % of packets that backbone guarantees promise (Verizon, network quality SLA)';

const NEAR: Link = { ms: 2, loss: 0 };

/** Triplicate beside its S3 bucket, the other two somewhere else. */
const far = (name: string, gcp: number, azure: number, loss: number, source: string): Way => ({
  name,
  links: { aws: NEAR, gcp: { ms: gcp, loss }, azure: { ms: azure, loss } },
  source,
});

export const PLACES: readonly Way[] = [
  far('same city', 2, 2, 0, ZONES),
  far('same continent', 32, 69, 0, `East US to Central US 32 ms, to West US 69 ms (${AZURE})`),
  far('transatlantic', 84, 84, 0.005, `East US to West Europe 84 ms (${AZURE}); ${DELIVERED}`),
  far('transpacific', 158, 158, 0.005, `East US to Japan East 158 ms (${AZURE}); ${DELIVERED}`),
];

/** The same to all three clouds. */
export function evenly(ms: number, loss = 0): Way {
  const link = { ms, loss };
  const name = loss === 0 ? `${ms} ms everywhere` : `${ms} ms everywhere, ${loss * 100} % lost`;
  return { name, links: { aws: link, gcp: link, azure: link }, source: 'chosen' };
}
