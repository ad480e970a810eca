/** Everything outside in one record: what the core may touch, and nothing else. */

import type { Rules } from '../decide/rules.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Publish } from '../model/happening.ts';
import type { LogicalVersion } from '../model/key-item.ts';
import type { MacKeys } from '../model/marker.ts';
import type { Notice } from '../model/notice.ts';
import type { ObjectMetadata } from '../model/object.ts';
import type { ObjectChange } from '../model/object-change.ts';
import type { SiteId } from '../model/site.ts';
import type { Topology } from '../model/topology.ts';
import type { Queue } from '../queue/queue.ts';
import type { ObjectStore } from '../store/store.ts';

export type { Notice } from '../model/notice.ts';
export type { Timer } from '../store/layers/timer.ts';

export interface World {
  readonly topology: Topology;
  readonly stores: Readonly<Record<SiteId, ObjectStore>>;
  readonly ledger: Ledger;
  readonly queue: Queue;
  readonly clock: Clock;
  readonly random: Random;
  readonly macKeys: MacKeys;
  readonly resolvers: Readonly<Record<string, CustomResolver>>;
  readonly rules: Rules;
  /** Must return at once and never throw. */
  readonly report: (notice: Notice) => void;
  /** Absent: nobody listens. */
  readonly publish?: Publish;
  /** Tells a change once more, so that another worker looks at its key now. Absent: there are no others. */
  readonly ask?: (change: ObjectChange) => Promise<void>;
  /** When nothing that takes long is to be begun any more: what is left stays due. Absent: there is time. */
  readonly deadlineAt?: number;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}

export interface Random {
  /** Sixteen random bytes as 22 letters of base64url: never the same twice. */
  id(): string;
}

export interface Sibling {
  readonly version: LogicalVersion;
  readonly metadata: ObjectMetadata;
  readonly bytes: Uint8Array;
}

/** A user's conflict policy. Given the siblings strongest first; must be a function of them alone. */
export type CustomResolver = (
  siblings: readonly Sibling[],
) =>
  | { readonly kind: 'pick'; readonly vid: string }
  | { readonly kind: 'merge'; readonly bytes: Uint8Array; readonly metadata: ObjectMetadata }
  | { readonly kind: 'defer'; readonly reason: string };
