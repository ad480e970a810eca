/** What a bucket says stands at a key: one physical version, with everything the protocol asks about it. */

export interface ObjectHeaders {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly contentLanguage?: string;
  readonly contentDisposition?: string;
  readonly cacheControl?: string;
}

export interface ObjectMetadata {
  readonly headers: ObjectHeaders;
  /** Canonical user metadata: lower-case ASCII names; the marker entry is never part of it. */
  readonly user: Readonly<Record<string, string>>;
}

/** The identity of "nothing stands here". A chain that shows no delete markers adds what stood before. */
export const ABSENT = 'absent:';

export function isAbsent(phys: string): boolean {
  return phys.startsWith(ABSENT);
}

export interface ObjectVersion {
  readonly key: string;
  readonly kind: 'object' | 'delete-marker';
  /** Identity of this physical version; never reused by the bucket. */
  readonly phys: string;
  /** What a conditional write must name to replace this version; null for a delete marker. */
  readonly token: string | null;
  /** Identity of the bytes: unchanged by a patch of the metadata in place. */
  readonly body: string;
  /** 1 when a whole write made this version; greater when it was patched in place since. */
  readonly revision: number;
  readonly sizeBytes: number;
  /** The bucket's own clock. */
  readonly modifiedAt: number;
  readonly metadata: ObjectMetadata;
  /** The text of our marker entry, if the version carries one. Not yet checked. */
  readonly marker?: string;
  /** Checksums the service itself stores for the whole object. */
  readonly checksums: { readonly crc32c?: string; readonly crc64nvme?: string };
}
