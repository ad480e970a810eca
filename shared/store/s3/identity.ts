/** How S3 describes an object and how the contract does: identities, metadata, markers and checksums, both ways. */

import { fault, invalid } from '../../model/fault.ts';
import { MARKER_NAME } from '../../model/metadata.ts';
import type { ObjectHeaders, ObjectVersion } from '../../model/object.ts';
import { type Described, describe, digestOf, FLAVOURS, NO_METADATA } from '../flavours.ts';

/** What HeadObject, GetObject and our own writes have in common. */
export interface S3Description {
  readonly ETag?: string | undefined;
  readonly VersionId?: string | undefined;
  readonly LastModified?: Date | undefined;
  readonly ContentType?: string | undefined;
  readonly ContentEncoding?: string | undefined;
  readonly ContentLanguage?: string | undefined;
  readonly ContentDisposition?: string | undefined;
  readonly CacheControl?: string | undefined;
  readonly Metadata?: Record<string, string> | undefined;
  readonly ChecksumCRC32C?: string | undefined;
  readonly ChecksumCRC64NVME?: string | undefined;
  readonly ChecksumType?: string | undefined;
}

/** A physical version as its identity names it. */
export type Pin =
  | { readonly kind: 'version'; readonly versionId: string }
  | { readonly kind: 'etag'; readonly etag: string; readonly versionId?: string };

const NULL_VERSION = 'null';
const SECOND = 1000;
const NULL_PHYS = /^v:null:(".*"):\d+$/s;
const PLAIN_PHYS = /^e:(".*"):\d+:\d+:[\w-]+$/s;

/**
 * What S3 invents for an object that was written without a content type, so it is read as none. Whoever really means it
 * gets the same type in other letters, which every reader of media types takes for the same.
 */
const INVENTED_TYPE = 'binary/octet-stream';
const MEANT_TYPE = 'Binary/Octet-Stream';

/** A coding of the way and not of the object; some services keep it nevertheless. */
const WAY_CODING = 'aws-chunked';

/** S3 tells text that is no ASCII as encoded words, and decodes those that it is given. */
const ENCODED_WORD = /=\?([^?\s]+)\?([bq])\?([^?\s]*)\?=/gi;
const BETWEEN_WORDS = /(=\?[^?\s]+\?[bq]\?[^?\s]*\?=)\s+(?==\?[^?\s]+\?[bq]\?[^?\s]*\?=)/gi;

export function nameOf(key: string): string {
  return FLAVOURS.s3.nameOf(key);
}

/** Metadata and marker as S3 will keep them, or the Fault it would answer. */
export function toDescribed(metadata: ObjectVersion['metadata'], marker: string | undefined): Described {
  const described = describe(FLAVOURS.s3, metadata, marker);
  for (const [name, value] of Object.entries(described.metadata.user))
    if (value.search(ENCODED_WORD) >= 0) throw invalid(`metadata ${name}`, value, 'text without encoded words');
  return described;
}

/** The fields of a request that writes an object. */
export function toFields({ metadata: { headers, user }, marker }: Described): {
  readonly ContentType?: string;
  readonly ContentEncoding?: string;
  readonly ContentLanguage?: string;
  readonly ContentDisposition?: string;
  readonly CacheControl?: string;
  readonly Metadata: Record<string, string>;
} {
  const { contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl } = headers;
  return {
    ...(contentType !== undefined && { ContentType: contentType === INVENTED_TYPE ? MEANT_TYPE : contentType }),
    ...(contentEncoding !== undefined && { ContentEncoding: contentEncoding }),
    ...(contentLanguage !== undefined && { ContentLanguage: contentLanguage }),
    ...(contentDisposition !== undefined && { ContentDisposition: contentDisposition }),
    ...(cacheControl !== undefined && { CacheControl: cacheControl }),
    Metadata: marker === undefined ? { ...user } : { ...user, [MARKER_NAME]: marker },
  };
}

/** What stands, from an answer that describes it whole; `sizeBytes` is that of the object, not of a range. */
export function toVersion(key: string, versioned: boolean, answer: S3Description, sizeBytes: number): ObjectVersion {
  const described = fromFields(answer);
  const token = answer.ETag;
  if (token === undefined || answer.LastModified === undefined)
    throw fault('unavailable', 'an answer without ETag or Last-Modified', { field: 'ETag', value: token });
  const modifiedAt = toSeconds(answer.LastModified) * SECOND;
  const phys = versioned
    ? physOf(answer.VersionId, token, modifiedAt)
    : `e:${token}:${modifiedAt / SECOND}:${sizeBytes}:${digestOf(described)}`;
  return {
    key,
    kind: 'object',
    phys,
    token,
    body: phys,
    revision: 1,
    sizeBytes,
    modifiedAt,
    metadata: described.metadata,
    ...(described.marker !== undefined && { marker: described.marker }),
    checksums: checksumsOf(answer),
  };
}

/** An entry of a listing of versions: without metadata and checksums, which no listing carries. */
export function toListed(key: string, entry: S3Description & { readonly Size?: number | undefined }): ObjectVersion {
  return { ...toVersion(key, true, entry, entry.Size ?? 0), checksums: {} };
}

export function toDeleteMarker(key: string, versionId: string | undefined, at: Date | undefined): ObjectVersion {
  const modifiedAt = toSeconds(at ?? new Date(0)) * SECOND;
  const phys = physOf(versionId, '"deleted"', modifiedAt);
  return {
    key,
    kind: 'delete-marker',
    phys,
    token: null,
    body: phys,
    revision: 1,
    sizeBytes: 0,
    modifiedAt,
    metadata: NO_METADATA,
    checksums: {},
  };
}

/** null when no version of such a bucket is called that. */
export function readPhys(versioned: boolean, phys: string): Pin | null {
  const named = (versioned ? NULL_PHYS : PLAIN_PHYS).exec(phys)?.[1];
  if (named !== undefined) return { kind: 'etag', etag: named, ...(versioned && { versionId: NULL_VERSION }) };
  return versioned && /^v:[^:]+$/.test(phys) && phys !== `v:${NULL_VERSION}`
    ? { kind: 'version', versionId: phys.slice(2) }
    : null;
}

/** Whether the bucket gives this version out once only, so that what was read of it stays true. */
export function isLasting(phys: string): boolean {
  return phys.startsWith('v:') && !NULL_PHYS.test(phys);
}

export function isSame(left: Described, right: ObjectVersion): boolean {
  return digestOf(left) === digestOf({ metadata: right.metadata, marker: right.marker });
}

/** Objects from before versions were switched on all are version "null", and a bucket can have that one again. */
function physOf(versionId = NULL_VERSION, etag: string, modifiedAt: number): string {
  return versionId === NULL_VERSION ? `v:${NULL_VERSION}:${etag}:${modifiedAt / SECOND}` : `v:${versionId}`;
}

function fromFields(answer: S3Description): Described {
  const { [MARKER_NAME]: marker, ...entries } = answer.Metadata ?? {};
  const user = Object.fromEntries(Object.entries(entries).map(([name, value]) => [name, decodeWords(value)]));
  return { metadata: { headers: headersOf(answer), user }, marker };
}

function headersOf(answer: S3Description): ObjectHeaders {
  const contentType = answer.ContentType === MEANT_TYPE ? INVENTED_TYPE : answer.ContentType;
  const contentEncoding = withoutWay(answer.ContentEncoding);
  return {
    ...(contentType && answer.ContentType !== INVENTED_TYPE && { contentType }),
    ...(contentEncoding && { contentEncoding }),
    ...(answer.ContentLanguage && { contentLanguage: answer.ContentLanguage }),
    ...(answer.ContentDisposition && { contentDisposition: answer.ContentDisposition }),
    ...(answer.CacheControl && { cacheControl: answer.CacheControl }),
  };
}

function withoutWay(codings: string | undefined): string | undefined {
  if (!codings?.includes(WAY_CODING)) return codings;
  return codings
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== WAY_CODING)
    .join(',');
}

/** Those of the whole object only: an upload by parts may carry a checksum of checksums, which proves nothing to us. */
function checksumsOf({ ChecksumCRC32C, ChecksumCRC64NVME, ChecksumType }: S3Description): ObjectVersion['checksums'] {
  if (ChecksumType === 'COMPOSITE') return {};
  return {
    ...(ChecksumCRC32C && !ChecksumCRC32C.includes('-') && { crc32c: ChecksumCRC32C }),
    ...(ChecksumCRC64NVME && { crc64nvme: ChecksumCRC64NVME }),
  };
}

/** The text that encoded words stand for (RFC 2047); what cannot be decoded stays as it is. */
function decodeWords(text: string): string {
  return text
    .replace(BETWEEN_WORDS, '$1')
    .replace(ENCODED_WORD, (word, charset: string, coding: string, code: string) => {
      try {
        const bytes = coding.toLowerCase() === 'b' ? Buffer.from(code, 'base64') : quotedBytes(code);
        return new TextDecoder(charset, { fatal: true }).decode(bytes);
      } catch {
        return word;
      }
    });
}

function quotedBytes(code: string): Buffer {
  const spaced = code.replaceAll('_', ' ');
  return Buffer.from(
    spaced.replace(/=([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16))),
    'latin1',
  );
}

function toSeconds(date: Date): number {
  return Math.floor(date.getTime() / SECOND);
}
