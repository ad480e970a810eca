/** One place objects live: a bucket or container of one cloud, and one actor in every version vector. */

export type Cloud = 'aws' | 'gcp' | 'azure';

/** Lower-case letters and digits, one to eight of them; never reused after a site is retired. */
export type SiteId = string;

export const SITE_ID_PATTERN: RegExp = /^[a-z0-9]{1,8}$/;

/** The actor of versions the replicator itself creates (conflict copies, merges); never a bucket. */
export const RESOLVER: SiteId = '~';

export interface Site {
  readonly id: SiteId;
  readonly cloud: Cloud;
  readonly region: string;
  readonly bucket: string;
  /** passive: only the replicator writes there. Required where a store cannot prove what it replaces. */
  readonly mode: 'active' | 'passive';
  /** Objects older than this may vanish here by the bucket's own lifecycle; such absence stays local. */
  readonly expiresAfterMs?: number;
}
