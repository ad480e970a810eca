/** The contract every object store driver keeps; test/conformance/store.ts is its proof. */

import type { ObjectMetadata, ObjectVersion } from '../model/object.ts';
import type { Cloud, SiteId } from '../model/site.ts';

export interface StoreCapabilities {
  readonly cloud: Cloud;
  /** chain: `versions` shows every version still kept, in bucket order. current: only what stands now. */
  readonly history: 'chain' | 'current';
  /** The token changes with every change, metadata included. False on S3: its ETag covers the bytes alone. */
  readonly exactToken: boolean;
  /** Checksums stored for whole objects, readable without reading the bytes. */
  readonly checksums: readonly ('crc32c' | 'crc64nvme')[];
  readonly putBytesMax: number;
  readonly partBytesMin: number;
  readonly partsMax: number;
  readonly objectBytesMax: number;
}

/** always is for writes nobody else can race with (stage objects, sentinels); replicas are never written so. */
export type WriteCondition =
  | { readonly kind: 'always' }
  | { readonly kind: 'if-absent' }
  | { readonly kind: 'if-token'; readonly token: string };

export interface Sums {
  readonly crc32c?: string;
  readonly crc64nvme?: string;
}

export interface PutOptions {
  readonly condition: WriteCondition;
  readonly metadata: ObjectMetadata;
  readonly marker?: string;
  /** Checked by the service where it can, by the driver otherwise; a mismatch is Fault 'corrupt', nothing written. */
  readonly checksums?: Sums;
}

export interface ByteRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

export interface ObjectRead {
  /** Described by the same answer as the bytes, so both belong to one physical version. */
  readonly version: ObjectVersion;
  readonly body: AsyncIterable<Uint8Array>;
}

export interface ObjectPage {
  readonly objects: readonly ObjectVersion[];
  /** Pass as `after` to go on; absent at the end. */
  readonly next?: string;
}

/** How far a copy within the service is, kept by whoever wants it done. */
export interface CopyProgress {
  /** What was saved last, by this call or an earlier one; null: it begins. */
  readonly from: string | null;
  /** Durable once answered. Opaque to everyone but the driver. */
  save(text: string): Promise<void>;
  /** Asked between requests. */
  isTimeUp(): boolean;
}

/** A part too large to be held: its bytes come once. */
export interface StreamedPart {
  readonly sizeBytes: number;
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Those of all its bytes: asked when they have ended, and not before. */
  sums(): Sums;
}

export interface PartReceipt {
  readonly part: number;
  /** Opaque to everyone but the driver. */
  readonly receipt: string;
  readonly sizeBytes: number;
}

/**
 * Every method either answers or throws a Fault. Kind 'timeout' means the effect may have happened; every other kind
 * means it did not. A condition that does not hold is 'precondition', whatever status the service uses for it
 * (412, or 404 for a token on a missing object); 'conflict' is the service's own 409.
 */
export interface ObjectStore {
  readonly site: SiteId;
  readonly capabilities: StoreCapabilities;

  /** What stands now; null when nothing does. */
  head(key: string): Promise<ObjectVersion | null>;

  /**
   * Oldest first; the last one is what stands now. On a chain store deletion is an entry too: a delete marker, or one
   * made up by the driver with phys `absent:<phys of what stood before>` where the service keeps none. Empty when the
   * store knows nothing of the key.
   */
  versions(key: string): Promise<readonly ObjectVersion[]>;

  /**
   * Exactly this physical version, or Fault 'not-found'. A range outside the object is Fault 'invalid'. Null: whatever
   * stands now, whose bytes and description are one version all the same; without a range.
   */
  get(key: string, phys: string | null, range?: ByteRange): Promise<ObjectRead>;

  /** Whole object in one request. The answer describes the version written. */
  put(key: string, body: AsyncIterable<Uint8Array> | Uint8Array, options: PutOptions): Promise<ObjectVersion>;

  /** Answers what stands afterwards when the store keeps delete markers, else null. Deleting nothing is no error for 'always'. */
  delete(key: string, condition: WriteCondition): Promise<ObjectVersion | null>;

  /** Objects standing now, in key order, keys greater than `after`. */
  list(query: { readonly prefix: string; readonly after?: string; readonly limit: number }): Promise<ObjectPage>;

  /**
   * Server-side, no bytes through us; metadata, marker and condition are those of a put. The source is pinned. With
   * `progress` what takes many requests may be cut into many calls, of the same source, key and options: one that must
   * stop is Fault 'timeout', and a later one goes on. What was saved goes to `abortUpload` when nobody will.
   */
  copy(
    source: { readonly key: string; readonly phys: string },
    key: string,
    options: PutOptions,
    progress?: CopyProgress,
  ): Promise<ObjectVersion>;

  /** An upload by parts, unconditional and without metadata: aim it at a stage key and publish with `copy`. */
  createUpload(key: string): Promise<string>;
  /**
   * Idempotent by part number (from 1); a repeated part replaces the earlier one. The service checks the bytes by a
   * checksum: by one of `sums` where those of the bytes are known, which are not computed again. What does not fit is
   * Fault 'corrupt', and no part. It takes the bytes of a stream to their end, or tells their source that it will not.
   */
  putPart(
    key: string,
    upload: string,
    part: number,
    body: Uint8Array | StreamedPart,
    sums?: Sums,
  ): Promise<PartReceipt>;
  completeUpload(key: string, upload: string, parts: readonly PartReceipt[]): Promise<ObjectVersion>;
  /** No error when the upload is gone. */
  abortUpload(key: string, upload: string): Promise<void>;
}
