/** All the ledger knows about one key: its versions, what stands at each site, and what is under way. */

import type { HybridStamp } from './hybrid-clock.ts';
import type { LogEntry } from './log-entry.ts';
import type { SiteId } from './site.ts';
import type { Dot, VersionVector } from './version-vector.ts';

/** Where the bytes of a version can be read: a physical version, at this key unless another is named. */
export interface Holder {
  readonly phys: string;
  readonly key?: string;
}

export type Cause = 'put' | 'delete' | 'rollback' | 'inferred-delete' | 'conflict-copy' | 'merge';

/** One intention: of a client, seen at a bucket, or of the resolver. All replicas of it share its vid. */
export interface LogicalVersion {
  readonly vid: string;
  readonly dot: Dot;
  vv: VersionVector;
  readonly kind: 'object' | 'tombstone';
  readonly hlc: HybridStamp;
  readonly sizeBytes: number;
  /** Empty until known: some services store no checksum, then the first full read tells. */
  crc32c: string;
  crc64nvme: string;
  readonly metaDigest: string;
  readonly origin: { readonly site: SiteId; readonly phys: string; readonly cause: Cause };
  readonly holders: Record<SiteId, Holder>;
}

/** A write we may have made: recorded before the bucket is touched, gone when bound or when it can no longer land. */
export interface Intent {
  readonly wid: string;
  readonly vid: string;
  readonly kind: 'copy' | 'delete';
  readonly basePhys: string;
  /** The token the write names; null: it requires absence. */
  readonly baseToken: string | null;
  readonly worker: string;
  readonly leaseUntil: number;
}

export interface SiteState {
  /** What stood there when last looked at. */
  phys: string;
  token: string | null;
  body: string;
  modifiedAt: number;
  /** The logical version that stands there; null: none was ever seen. */
  vid: string | null;
  /** All that ever stood there, joined: the past of whatever a client writes there next. */
  past: VersionVector;
  /** The write id bound to `phys`, when that version is ours. */
  wid: string | null;
  /** 0: never looked at; what is said above is then only a guess that nothing stands there. */
  lookedAt: number;
  /** The bytes of `vid` are gone by this site's own lifecycle; not filled again until a newer version. */
  evicted: boolean;
  /** Stands there but is not believed: see LogEntry 'quarantined'. */
  quarantined: boolean;
  intents: Intent[];
  /** The last physical versions seen, in bucket order. */
  seen: string[];
}

/** Nobody may decide among these versions; they stay as they are until one more comes. */
export interface Unresolved {
  readonly reason: string;
  readonly since: number;
  readonly siblings: readonly string[];
}

/**
 * Mutable inside decide/, which works on its own copy; everyone else reads.
 */
export interface KeyItem {
  readonly schema: 1;
  readonly key: string;
  readonly rev: number;
  readonly epoch: number;
  /** Highest dot given out per site. */
  dots: Record<SiteId, number>;
  /** Maximal versions; one: settled. */
  frontier: string[];
  versions: Record<string, LogicalVersion>;
  sites: Record<SiteId, SiteState>;
  /** Log entries not yet known to be in the log. */
  outbox: LogEntry[];
  /** When somebody must look again; null: nothing to do. */
  due: number | null;
  /** Only where it is due: not in the index of due keys, because a message that is still kept brings somebody back. */
  unlisted?: true;
  unresolved: Unresolved | null;
  /** This key is the conflict copy of another. */
  copyOf: { readonly key: string; readonly vid: string } | null;
  /** When the tombstone became the only version, for its collection. */
  tombstoneAt: number | null;
}

/** What the index of due keys holds of it; null: nothing. */
export function listedAt({ due, unlisted }: KeyItem): number | null {
  return unlisted ? null : due;
}

/** The same, for the index to hold. */
export function withListing({ unlisted: _, ...item }: KeyItem): KeyItem {
  return item;
}
