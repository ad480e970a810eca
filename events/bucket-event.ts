/** One thing a cloud says happened in one of its buckets, before anybody asks whose bucket that is. */

import type { Cloud } from '../shared/model/site.ts';

/** A message as it came from a queue, a push or a function's trigger. */
export interface RawMessage {
  readonly body: string;
  /** What travels beside the body; Pub/Sub tells most of its story there. */
  readonly attributes: Readonly<Record<string, string>>;
}

export interface BucketEvent {
  readonly cloud: Cloud;
  /** As the topology writes it: a bucket, or account/container. */
  readonly bucket: string;
  /** The object's name in that cloud. */
  readonly name: string;
  /** metadata: also whatever else is no write and no delete; it makes somebody look. */
  readonly kind: 'put' | 'delete' | 'metadata';
  /** The physical version, as the store driver of that cloud names it; only where the event tells it in full. */
  readonly phys?: string;
}

/** Reads every form in which one cloud sends its events. Nothing in it for us: an empty list. Not understood: Fault 'invalid'. */
export type EventReader = (message: RawMessage) => readonly BucketEvent[];
