/** How Azure Blob calls things: names and metadata it takes, entity tags and version ids, and what they identify. */

import { fault, invalid } from '../../model/fault.ts';
import { ABSENT, isAbsent, type ObjectMetadata, type ObjectVersion } from '../../model/object.ts';
import {
  type CheckedMetadata,
  checkMetadata,
  type MetadataRules,
  PRINTABLE,
  readHeaders,
  splitMetadata,
} from '../body.ts';
import type { WriteCondition } from '../store.ts';

const NAME_UNITS_MAX = 1024;
const SEGMENTS_MAX = 254;
const KI = 1024;

const METADATA: MetadataRules = {
  bytesMax: 8 * KI,
  nameBytesMax: 8 * KI,
  valueBytesMax: 8 * KI,
  // A C# identifier; letters beyond ASCII do not fit into a header.
  name: /^[a-z_][a-z0-9_]*$/,
  value: PRINTABLE,
  // The service keeps the case and ignores it; a HEAD does not even show it.
  lowerCasesNames: true,
};

/** The key itself. One that the service would alter or refuse is Fault 'invalid'. */
export function nameOf(key: string): string {
  if (!key.isWellFormed()) throw invalid('key', key, 'no half of a surrogate pair');
  if (/\p{Cc}/u.test(key)) throw invalid('key', key, 'no control characters');
  if (key.includes('\\')) throw invalid('key', key, 'no backslash, which is read as a slash');
  if (/\.(?=\/|$)/.test(key)) throw invalid('key', key, 'no path segment that ends with a dot, which is cut off');
  if (key.endsWith('/')) throw invalid('key', key, 'no slash at the end, which is cut off');
  if (key === '' || key.length > NAME_UNITS_MAX) throw invalid('key', key, `1 to ${NAME_UNITS_MAX} characters`);
  if (key.split('/').length > SEGMENTS_MAX) throw invalid('key', key, `at most ${SEGMENTS_MAX} path segments`);
  return key;
}

export function describe(metadata: ObjectMetadata, marker: string | undefined): CheckedMetadata {
  return checkMetadata(METADATA, metadata, marker);
}

/** What an answer about a blob tells, whatever request it answers. */
export interface Told {
  readonly etag?: string | undefined;
  readonly versionId?: string | undefined;
  readonly lastModified?: Date | undefined;
}

export interface ToldBlob extends Told {
  readonly contentType?: string | undefined;
  readonly contentEncoding?: string | undefined;
  readonly contentLanguage?: string | undefined;
  readonly contentDisposition?: string | undefined;
  readonly cacheControl?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** What identifies a blob in this container. */
export function idsOf({ versioned }: { readonly versioned: boolean }, { etag, versionId, lastModified }: Told): Told {
  return { etag, lastModified, ...(versioned && { versionId }) };
}

export function readVersion(
  container: { readonly versioned: boolean },
  key: string,
  told: ToldBlob,
  sizeBytes: number,
): ObjectVersion {
  const entries = Object.entries(told.metadata ?? {}).map(([name, value]) => [name.toLowerCase(), value] as const);
  const described = splitMetadata(readHeaders(told), Object.fromEntries(entries));
  return toVersion(key, idsOf(container, told), sizeBytes, described);
}

export function toVersion(
  key: string,
  { etag, versionId, lastModified }: Told,
  sizeBytes: number,
  { metadata, marker }: { readonly metadata: ObjectMetadata; readonly marker?: string },
): ObjectVersion {
  if (!etag || !lastModified) throw fault('internal', 'Azure Blob answered without an ETag or a time');
  const token = quoted(etag);
  const phys = versionId ? `${versionId}:${token}` : token;
  return {
    key,
    kind: 'object',
    phys,
    token,
    body: phys,
    revision: 1,
    sizeBytes,
    modifiedAt: lastModified.getTime(),
    metadata,
    ...(marker !== undefined && { marker }),
    checksums: {},
  };
}

/** Nothing stands since then. The service shows only that no version is current; the time of the deletion is lost. */
export function deletionOf({ key, phys: before, modifiedAt }: ObjectVersion): ObjectVersion {
  const phys = ABSENT + before;
  return {
    key,
    kind: 'delete-marker',
    phys,
    token: null,
    body: phys,
    revision: 1,
    sizeBytes: 0,
    modifiedAt,
    metadata: { headers: {}, user: {} },
    checksums: {},
  };
}

export interface Pin {
  readonly token: string;
  /** Absent for a blob written without versions. */
  readonly versionId?: string;
}

const PHYS = /^(?:(?<versionId>\d{4}-\d\d-\d\dT[\d:.]+Z):)?(?<token>"[^"*]+")$/;

/** What `toVersion` made; anything else is no version of ours and not found. */
export function readPhys(phys: string): Pin {
  const { versionId, token } = (isAbsent(phys) ? null : PHYS.exec(phys))?.groups ?? {};
  if (token === undefined) throw fault('not-found', `no version ${phys}`, { field: 'phys', value: phys });
  return { token, ...(versionId !== undefined && { versionId }) };
}

/** The headers that make a write conditional. A text that is no entity tag never holds, `*` least of all. */
export function conditionsOf(condition: WriteCondition): { readonly ifMatch?: string; readonly ifNoneMatch?: string } {
  if (condition.kind === 'always') return {};
  if (condition.kind === 'if-absent') return { ifNoneMatch: '*' };
  if (!/^"[^"*]+"$/.test(condition.token))
    throw fault('precondition', `${condition.token} is no token of this store`, { value: 412 });
  return { ifMatch: condition.token };
}

/** Lists show entity tags without their quotes. */
function quoted(etag: string): string {
  return etag.startsWith('"') ? etag : `"${etag}"`;
}
