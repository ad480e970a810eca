/** What this process holds of a subscription, since Pub/Sub tells nobody, and knows whole seconds up to ten minutes only. */

import type { Letter } from './letter.ts';

export interface Lease {
  readonly ackId: string;
  /** Null: put back with a delay, nobody's until then. */
  readonly letter: (Letter & { readonly attempt: number }) | null;
  /** When the receipt is worth nothing any more, or the delay ends. */
  endsAt: number;
  /** Until when Pub/Sub keeps the message back, at most. */
  keptUntil: number;
  /** The settlements of one receipt wait for each other. */
  busy: Promise<unknown> | null;
}

export interface Leases {
  put(lease: Lease): void;
  get(ackId: string): Lease | undefined;
  /** The receipt is worth nothing from now on; a delay may take its place. */
  end(ackId: string, delay?: Pick<Lease, 'endsAt' | 'keptUntil'>): void;
  /** False for receipts of other processes too. */
  hasEnded(ackId: string): boolean;
  /** Takes out what is over here; of it, answers what Pub/Sub would keep back any longer. */
  over(now: number): readonly string[];
  /** Whose end lies beyond what Pub/Sub promised, the most urgent one first. */
  short(): readonly Lease[];
  inFlight(now: number): number;
}

/** Enough to recognise what was settled a while ago; older receipts are Pub/Sub's to judge. */
const ENDED_MAX = 10_000;

export function openLeases(): Leases {
  const leases = new Map<string, Lease>();
  const ended = new Set<string>();

  function end(ackId: string): void {
    leases.delete(ackId);
    ended.add(ackId);
    for (const oldest of ended) {
      if (ended.size <= ENDED_MAX) break;
      ended.delete(oldest);
    }
  }

  return {
    put: (lease) => leases.set(lease.ackId, lease),
    get: (ackId) => {
      const lease = leases.get(ackId);
      return lease?.letter === null ? undefined : lease;
    },
    end(ackId, delay) {
      end(ackId);
      if (delay !== undefined) leases.set(ackId, { ackId, letter: null, busy: null, ...delay });
    },
    hasEnded: (ackId) => ended.has(ackId),
    over(now) {
      const kept: string[] = [];
      for (const { ackId, endsAt, keptUntil, busy } of leases.values()) {
        if (endsAt > now || busy !== null) continue;
        if (keptUntil > now) kept.push(ackId);
        end(ackId);
      }
      return kept;
    },
    short: () =>
      [...leases.values()].filter((it) => it.endsAt > it.keptUntil).sort((a, b) => a.keptUntil - b.keptUntil),
    inFlight(now) {
      let count = 0;
      for (const { letter, endsAt } of leases.values()) if (letter !== null && endsAt > now) count += 1;
      return count;
    },
  };
}
