/** What sets S3, GCS and Azure Blob apart, as data: names, limits, identities, notifications. The memory driver plays them by it. */

import { createHash } from 'node:crypto';
import { fault, invalid } from '../model/fault.ts';
import { MARKER_NAME, metaDigest } from '../model/metadata.ts';
import type { ObjectHeaders, ObjectMetadata } from '../model/object.ts';
import type { Cloud } from '../model/site.ts';

export type MemoryFlavour = 's3' | 'gcs' | 'azure';

/** What the identity of a new version can be made from. */
export interface Birth {
  readonly versioned: boolean;
  /** Never given out before. */
  readonly id: string;
  /** Greater than every one before. */
  readonly generation: number;
  readonly etag: () => string;
  /** Tells headers, metadata and marker entry apart. */
  readonly described: () => string;
  readonly modifiedAt: number;
  readonly sizeBytes: number;
}

export interface Identity {
  readonly phys: string;
  readonly token: string;
  readonly body: string;
}

export interface FlavourRules {
  readonly cloud: Cloud;
  /** What is readable of the past through `versions` when the bucket is versioned. */
  readonly history: 'chain' | 'current';
  readonly exactToken: boolean;
  readonly checksums: readonly ('crc32c' | 'crc64nvme')[];
  readonly putBytesMax: number;
  readonly partBytesMin: number;
  readonly partsMax: number;
  readonly objectBytesMax: number;
  /** A versioned bucket remembers a deletion as a version of its own. */
  readonly deleteMarkers: boolean;
  /** Removing the newest version makes the one below stand again. */
  readonly purgeUncovers: boolean;
  /** Parts wait under the name itself, whoever sent them, and a whole write there discards them all. */
  readonly sharedParts: boolean;
  /** Changing metadata keeps the generation; elsewhere it is a new version. */
  readonly patchInPlace: boolean;
  /** What is told about a change of metadata. */
  readonly patchEvent: 'put' | 'metadata' | null;
  /** A replacement also tells what it replaced. */
  readonly replaceEvent: boolean;
  readonly deleteEventNamesPhys: boolean;
  /** Resolution of the time of change. */
  readonly clockStepMs: number;
  /** All names and values together, the marker entry included. */
  readonly metadataBytesMax: number;
  readonly metadataNameBytesMax: number;
  readonly metadataValueBytesMax: number;
  readonly metadataName: RegExp;
  readonly metadataValue: RegExp;
  readonly lowerCasesNames: boolean;
  /** The name the service really stores, or Fault 'invalid' when it refuses the key. */
  readonly nameOf: (key: string) => string;
  readonly identify: (birth: Birth) => Identity;
}

const KI = 1024;
const MI = KI * KI;
const GI = MI * KI;

// Header rules: a field name, and text that arrives as it was sent.
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const PRINTABLE = /^(?:[!-~](?:[ -~\t]*[!-~])?)?$/;

export const FLAVOURS: Readonly<Record<MemoryFlavour, FlavourRules>> = {
  s3: {
    cloud: 'aws',
    history: 'chain',
    exactToken: false,
    checksums: ['crc64nvme'],
    putBytesMax: 5 * GI,
    partBytesMin: 5 * MI,
    partsMax: 10_000,
    objectBytesMax: 10_000 * 5 * GI,
    deleteMarkers: true,
    purgeUncovers: true,
    sharedParts: false,
    patchInPlace: false,
    patchEvent: 'put',
    replaceEvent: false,
    deleteEventNamesPhys: true,
    clockStepMs: 1000,
    metadataBytesMax: 2 * KI,
    metadataNameBytesMax: 2 * KI,
    metadataValueBytesMax: 2 * KI,
    metadataName: TOKEN,
    metadataValue: PRINTABLE,
    lowerCasesNames: true,
    nameOf: nameByBytes,
    identify({ versioned, id, etag, described, modifiedAt, sizeBytes }) {
      const token = etag();
      // Without versions all that a HEAD shows is put together: it recurs only for a write equal in everything, marker
      // included, within one second. Writes of ours never are.
      const phys = versioned ? `v:${id}` : `e:${token}:${modifiedAt / 1000}:${sizeBytes}:${described()}`;
      return { phys, token, body: phys };
    },
  },
  gcs: {
    cloud: 'gcp',
    history: 'current',
    exactToken: true,
    checksums: ['crc32c'],
    putBytesMax: 5 * KI * GI,
    partBytesMin: 5 * MI,
    partsMax: 10_000,
    objectBytesMax: 5 * KI * GI,
    deleteMarkers: false,
    purgeUncovers: false,
    sharedParts: false,
    patchInPlace: true,
    patchEvent: 'metadata',
    replaceEvent: true,
    deleteEventNamesPhys: true,
    clockStepMs: 1,
    metadataBytesMax: 8 * KI,
    metadataNameBytesMax: KI,
    metadataValueBytesMax: 4 * KI,
    metadataName: /^[^\r\n]+$/,
    metadataValue: /^[^\r\n]*$/,
    lowerCasesNames: false,
    nameOf(key) {
      if (/[\r\n]/.test(key)) throw invalid('key', key, 'no carriage return or line feed');
      if (key === '.' || key === '..') throw invalid('key', key, 'neither . nor ..');
      if (key.startsWith('.well-known/acme-challenge/'))
        throw invalid('key', key, 'no name of a certificate challenge');
      return nameByBytes(key);
    },
    identify: ({ generation }) => identifyGeneration(generation, 1),
  },
  azure: {
    cloud: 'azure',
    history: 'chain',
    exactToken: true,
    checksums: [],
    putBytesMax: 5000 * MI,
    partBytesMin: 1,
    partsMax: 50_000,
    objectBytesMax: 50_000 * 4000 * MI,
    deleteMarkers: false,
    purgeUncovers: false,
    sharedParts: true,
    patchInPlace: false,
    patchEvent: null,
    replaceEvent: false,
    deleteEventNamesPhys: false,
    clockStepMs: 1000,
    metadataBytesMax: 8 * KI,
    metadataNameBytesMax: 8 * KI,
    metadataValueBytesMax: 8 * KI,
    metadataName: /^[A-Za-z_][A-Za-z0-9_]*$/,
    metadataValue: PRINTABLE,
    lowerCasesNames: false,
    nameOf(key) {
      if (/\p{Cc}/u.test(key)) throw invalid('key', key, 'no control characters');
      const name = key
        .replaceAll('\\', '/')
        .replace(/\.+\//g, '/')
        .replace(/[./]+$/, '');
      if (name === '' || name.length > 1024) throw invalid('key', key, '1 to 1024 characters');
      if (name.split('/').length > 254) throw invalid('key', key, 'at most 254 path segments');
      return wellFormed(name);
    },
    identify({ versioned, id }) {
      const token = `"0x${id}"`;
      const phys = versioned ? `${id}:${token}` : token;
      return { phys, token, body: phys };
    },
  },
};

export function identifyGeneration(generation: number, metageneration: number): Identity {
  const token = `${generation}.${metageneration}`;
  return { phys: `g:${token}`, token, body: `${generation}` };
}

function nameByBytes(key: string): string {
  if (key === '' || Buffer.byteLength(key) > 1024) throw invalid('key', key, '1 to 1024 bytes of UTF-8');
  return wellFormed(key);
}

function wellFormed(key: string): string {
  if (!key.isWellFormed()) throw invalid('key', key, 'no half of a surrogate pair');
  return key;
}

/** What a client says of an object, beside its bytes, as the service keeps it. */
export interface Described {
  readonly metadata: ObjectMetadata;
  readonly marker: string | undefined;
}

const HEADER_NAMES = [
  'contentType',
  'contentEncoding',
  'contentLanguage',
  'contentDisposition',
  'cacheControl',
] as const;
const NO_HEADERS: ObjectHeaders = Object.freeze({});
const NO_USER: ObjectMetadata['user'] = Object.freeze({});
export const NO_METADATA: ObjectMetadata = Object.freeze({ headers: NO_HEADERS, user: NO_USER });

/** A frozen copy of what was given, or the Fault the service would answer. */
export function describe(rules: FlavourRules, metadata: ObjectMetadata, marker: string | undefined): Described {
  const headers = readHeaders(metadata.headers);
  const { user, sizeBytes } = readUser(rules, metadata.user);
  if (marker !== undefined) checkText(rules, 'marker', marker);
  const markerBytes = marker === undefined ? 0 : Buffer.byteLength(MARKER_NAME) + Buffer.byteLength(marker);
  const allBytes = sizeBytes + markerBytes;
  if (allBytes > rules.metadataBytesMax)
    throw fault('too-large', `metadata: ${allBytes} bytes, ${rules.metadataBytesMax} are allowed`, {
      field: 'metadata',
      value: allBytes,
    });
  const empty = headers === NO_HEADERS && user === NO_USER;
  return { metadata: empty ? NO_METADATA : Object.freeze({ headers, user }), marker };
}

function readHeaders(given: ObjectHeaders): ObjectHeaders {
  const headers: Partial<Record<keyof ObjectHeaders, string>> = {};
  let count = 0;
  for (const name of HEADER_NAMES) {
    const value = given[name];
    if (value === undefined) continue;
    if (!PRINTABLE.test(value)) throw invalid(`headers.${name}`, value, 'printable ASCII');
    headers[name] = value;
    count++;
  }
  return count === 0 ? NO_HEADERS : Object.freeze(headers);
}

function readUser(
  rules: FlavourRules,
  given: ObjectMetadata['user'],
): { readonly user: ObjectMetadata['user']; readonly sizeBytes: number } {
  const entries = new Map<string, string>();
  let sizeBytes = 0;
  for (const [asked, value] of Object.entries(given)) {
    const name = rules.lowerCasesNames ? asked.toLowerCase() : asked;
    const field = `metadata ${asked}`;
    if (!rules.metadataName.test(name)) throw invalid(field, asked, 'a name this service takes');
    if (name === MARKER_NAME || entries.has(name)) throw invalid(field, asked, 'a name that is not taken');
    checkText(rules, field, value);
    const nameBytes = Buffer.byteLength(name);
    const valueBytes = Buffer.byteLength(value);
    if (nameBytes > rules.metadataNameBytesMax || valueBytes > rules.metadataValueBytesMax)
      throw fault('too-large', `${field}: ${nameBytes} + ${valueBytes} bytes`, {
        field,
        value: nameBytes + valueBytes,
      });
    entries.set(name, value);
    sizeBytes += nameBytes + valueBytes;
  }
  return { user: entries.size === 0 ? NO_USER : Object.freeze(Object.fromEntries(entries)), sizeBytes };
}

function checkText(rules: FlavourRules, field: string, value: string): void {
  if (!rules.metadataValue.test(value)) throw invalid(field, value, 'text that arrives as it was sent');
}

/** The order buckets list in: that of the UTF-8 bytes, where JavaScript's own is that of UTF-16 units. */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for characters above all others. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

export function digestOf({ metadata, marker }: Described): string {
  const digest = createHash('md5').update(metaDigest(metadata));
  return digest
    .update(marker ?? '')
    .digest('base64url')
    .slice(0, 12);
}

/** The first name above `bound`, or the first from `bound` on. */
export function firstIndex(sorted: readonly string[], bound: string, above: boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareNames(sorted[middle]!, bound);
    if (order < 0 || (above && order === 0)) low = middle + 1;
    else high = middle;
  }
  return low;
}
