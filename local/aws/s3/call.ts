/** One request as the operations see it, what they answer, and what all of them share. */

import type { IncomingMessage } from 'node:http';
import type { Cloud } from '../../service.ts';
import type { VerifiedSignature } from '../sigv4.ts';
import type { Notifier } from './notify.ts';
import { refusal } from './refusal.ts';
import { type Bucket, findBucket } from './tables.ts';

export interface S3 {
  readonly cloud: Cloud;
  readonly notifier: Notifier;
}

export interface Call {
  readonly s3: S3;
  readonly request: IncomingMessage;
  readonly operation: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
  readonly requestId: string;
  readonly hostId: string;
  readonly signature: VerifiedSignature;
}

export interface Answer {
  readonly status?: number;
  /** What is undefined is not sent. */
  readonly headers?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: string | AsyncIterable<Uint8Array>;
}

export type Operation = (call: Call) => Answer | Promise<Answer>;

/** The value of a header as it was sent, byte for byte in Latin-1. */
export function header(call: Call, name: string): string | undefined {
  const value = call.request.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}

/** The bucket the request is about. */
export function bucketOf(call: Call): Bucket {
  return existing(call.s3, call.bucket);
}

export function existing({ cloud }: S3, name: string): Bucket {
  const bucket = findBucket(cloud.state.db, name);
  if (bucket === undefined) throw refusal('NoSuchBucket', { details: { BucketName: name } });
  return bucket;
}

/** The time of what happens now as S3 keeps it: in whole seconds. */
export function stamp({ cloud }: S3): number {
  return Math.floor(cloud.now() / 1000) * 1000;
}

export function toIso(at: number): string {
  return new Date(at).toISOString();
}

export function toHttpDate(at: number): string {
  return new Date(at).toUTCString();
}

/** Quoted, as an entity tag is in a header. */
export function quoted(etag: string): string {
  return `"${etag}"`;
}
