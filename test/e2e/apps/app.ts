/** A program of somebody else's that keeps its objects in one bucket, by the SDK of its cloud, and knows nothing of us. */

import type { Readable } from 'node:stream';
import type { ObjectHeaders } from '#shared/model/object.ts';
import type { LocalConfig } from '../../../local/config.ts';

export type SiteName = 'aws' | 'gcp' | 'azure';

export const SITES: readonly SiteName[] = ['aws', 'gcp', 'azure'];

export interface About {
  readonly headers?: ObjectHeaders;
  readonly user?: Readonly<Record<string, string>>;
}

/** Names and metadata are those of the cloud: nothing is translated. */
export interface Found {
  /** As the ledger calls this physical version. */
  readonly phys: string;
  readonly headers: ObjectHeaders;
  /** Whether a marker of ours is on it; it is not among `user`. */
  readonly isReplica: boolean;
  readonly user: Readonly<Record<string, string>>;
  readonly sizeBytes: number;
}

export interface Kept {
  readonly name: string;
  readonly phys: string;
  readonly isDelete: boolean;
}

/** Every write answers the physical version that it made, once the cloud has acknowledged it. */
export interface App {
  readonly site: SiteName;
  put(name: string, bytes: Uint8Array | string, about?: About): Promise<string>;
  /** In as many pieces as the SDK likes. */
  upload(name: string, body: Readable, sizeBytes: number): Promise<string>;
  /** Changes what is said of the object, and not a byte of it. */
  patch(name: string, about: About): Promise<string>;
  copy(from: string, to: string): Promise<string>;
  remove(name: string): Promise<void>;
  head(name: string): Promise<Found | null>;
  open(name: string): Promise<Readable>;
  /** What stands, by name; our own objects are left out. */
  list(): Promise<ReadonlyMap<string, string>>;
  /** All that was ever written, as far as the bucket keeps it, in its order; for Azure what stands. */
  history(): Promise<readonly Kept[]>;
  close(): void;
}

export type Opener = (config: LocalConfig) => App;

export const OURS = '.triplicate/';
export const MARKER = 'triplicate';

/** The headers that are there, by the names that they have with us. */
export function headersOf(
  found: { readonly [Name in keyof ObjectHeaders]?: string | null | undefined },
): ObjectHeaders {
  const { contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl } = found;
  const all = { contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined && value !== null));
}

export function withoutMarker(entries: Readonly<Record<string, string>> = {}): Pick<Found, 'user' | 'isReplica'> {
  const { [MARKER]: marker, ...user } = entries;
  return { user, isReplica: marker !== undefined };
}

/** null when the cloud says that nothing stands there. */
export async function unlessMissing<Answer>(asked: Promise<Answer>, statusOf: (error: unknown) => unknown) {
  try {
    return await asked;
  } catch (error) {
    if (statusOf(error) === 404) return null;
    throw error;
  }
}
