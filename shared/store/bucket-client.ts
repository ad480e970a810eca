/** The other side of a bucket: what its applications, its lifecycle rules and its operators do, and what it tells of it. */

import type { ObjectMetadata, ObjectVersion } from '../model/object.ts';
import type { WriteCondition } from './store.ts';

/**
 * What others do to the bucket: its applications, its lifecycle rules, its operators. Synchronous, so that nothing
 * comes between a simulation's decision and its effect. Every method answers or throws a Fault.
 */
export interface BucketClient<Snapshot = unknown> {
  clientPut(key: string, bytes: Uint8Array, options?: ClientPutOptions): ObjectVersion;
  /** Unconditional. Deleting nothing is 'not-found', except on S3. */
  clientDelete(key: string): ObjectVersion | null;
  /** A new version on S3 and Azure, the same generation on GCS. */
  clientPatchMetadata(key: string, metadata: ObjectMetadata, options?: PatchOptions): ObjectVersion;
  /** Any kept version; bytes, metadata and marker entry travel along. */
  clientCopy(fromKey: string, phys: string, toKey: string): ObjectVersion;
  /** Removes one version or delete marker for good. Azure forbids it for the version that stands. */
  purge(key: string, phys: string): void;
  /** The bucket's own lifecycle deletes what stands; nothing happens when nothing does. */
  expire(key: string): void;
  /** A change that is not of bytes or metadata (a hold, a storage class): only GCS shows it, as a metageneration. */
  touch(key: string): void;
  /** The bytes of what stands rot away on their disk; whatever is told of them stays as it was. */
  rot(key: string, bytes: Uint8Array): void;
  /** Events of every change from now on, in order; answers how to stop. */
  onEvent(listener: (event: StoreEvent) => void): () => void;
  snapshot(): Snapshot;
  /** The bucket is what it was then. Nothing is told about it, and identities given out since are not given again. */
  restore(snapshot: Snapshot): void;
  /** All objects, versions and uploads are gone. Nothing is told about it. */
  empty(): void;
}

export interface ClientPutOptions {
  readonly metadata?: ObjectMetadata;
  readonly marker?: string;
  readonly condition?: WriteCondition;
}

export interface PatchOptions {
  /** Absent: the marker entry stays. null: it is dropped. */
  readonly marker?: string | null;
}

export interface StoreEvent {
  readonly key: string;
  readonly kind: 'put' | 'delete' | 'metadata';
  /** The version written, or removed, or the delete marker; absent where the service does not tell. */
  readonly phys?: string;
  /** For the second event of a replacement: what replaced it. */
  readonly cause: 'put' | 'copy' | 'complete' | 'delete' | 'purge' | 'lifecycle' | 'patch';
}
