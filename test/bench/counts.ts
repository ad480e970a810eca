/** What the clouds were asked, by service and operation, such as `s3 PutObject`. */

export type Counts = Readonly<Record<string, number>>;

const BUCKETS = /^(?:s3|gcs|blob) /;

/**
 * What is asked of buckets follows from the code alone. Queues are asked as often as they are found empty, and settle
 * as many messages at once as happen to be done.
 */
export function isOfBucket(kind: string): boolean {
  return BUCKETS.test(kind);
}

export function callsOf(counts: Counts, which: (kind: string) => boolean = () => true): number {
  return Object.entries(counts).reduce((sum, [kind, count]) => sum + (which(kind) ? count : 0), 0);
}
