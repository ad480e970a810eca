/** How Google Cloud Storage calls things: names and metadata it takes, generations, and the resource it tells them in. */

import { fault, invalid } from '../../model/fault.ts';
import type { ObjectMetadata, ObjectVersion } from '../../model/object.ts';
import {
  type CheckedMetadata,
  checkMetadata,
  type MetadataRules,
  readHeaders,
  splitMetadata,
  toContentType,
} from '../body.ts';
import type { WriteCondition } from '../store.ts';

const NAME_BYTES_MAX = 1024;
const ACME_PREFIX = '.well-known/acme-challenge/';
const KI = 1024;

const METADATA: MetadataRules = {
  bytesMax: 8 * KI,
  nameBytesMax: KI,
  valueBytesMax: 4 * KI,
  name: /^[^\r\n]+$/,
  value: /^[^\r\n]*$/,
  lowerCasesNames: false,
};

/** The key itself. One that the service refuses is Fault 'invalid'. */
export function nameOf(key: string): string {
  if (!key.isWellFormed()) throw invalid('key', key, 'no half of a surrogate pair');
  if (/[\r\n]/.test(key)) throw invalid('key', key, 'no carriage return or line feed');
  if (key === '.' || key === '..') throw invalid('key', key, 'neither . nor ..');
  if (key.startsWith(ACME_PREFIX)) throw invalid('key', key, 'no name of a certificate challenge');
  if (key === '' || Buffer.byteLength(key) > NAME_BYTES_MAX)
    throw invalid('key', key, `1 to ${NAME_BYTES_MAX} bytes of UTF-8`);
  return key;
}

export function describe(metadata: ObjectMetadata, marker: string | undefined): CheckedMetadata {
  return checkMetadata(METADATA, metadata, marker);
}

/** What the JSON API says of an object; numbers of 64 bits are texts. */
export interface Resource {
  readonly name: string;
  readonly generation: string;
  readonly metageneration: string;
  readonly size: string;
  readonly updated: string;
  readonly crc32c?: string;
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly contentLanguage?: string;
  readonly contentDisposition?: string;
  readonly cacheControl?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

export function readVersion(resource: Resource): ObjectVersion {
  const { name, generation, metageneration, size, updated, crc32c } = resource;
  if (!generation || !metageneration) throw fault('internal', 'Google Cloud Storage told no generation');
  const token = `${generation}.${metageneration}`;
  return {
    key: name,
    kind: 'object',
    phys: `g:${token}`,
    token,
    body: generation,
    revision: Number(metageneration),
    sizeBytes: Number(size),
    modifiedAt: Date.parse(updated),
    ...splitMetadata(readHeaders(resource), resource.metadata ?? {}),
    checksums: crc32c === undefined ? {} : { crc32c },
  };
}

/** What is sent with new bytes. Where a checksum is known, the service refuses other bytes. */
export function toResource(
  { metadata, entries }: CheckedMetadata,
  name: string,
  crc32c: string | undefined,
): Readonly<Record<string, unknown>> {
  const { contentType, ...headers } = metadata.headers;
  return {
    name,
    contentType: toContentType(contentType),
    ...headers,
    metadata: entries,
    ...(crc32c !== undefined && { crc32c }),
  };
}

export interface Pin {
  readonly generation: string;
  readonly metageneration: string;
}

/** What `readVersion` made; anything else is no version of ours and not found. */
export function readPhys(phys: string): Pin {
  const pin = phys.startsWith('g:') ? readToken(phys.slice(2)) : null;
  if (pin === null) throw fault('not-found', `no version ${phys}`, { field: 'phys', value: phys });
  return pin;
}

/** The parameters that make a write conditional. A text that is no token of ours never holds. */
export function conditionsOf(condition: WriteCondition): Readonly<Record<string, string>> {
  if (condition.kind === 'always') return {};
  if (condition.kind === 'if-absent') return { ifGenerationMatch: '0' };
  const pin = readToken(condition.token);
  if (pin === null) throw fault('precondition', `${condition.token} is no token of this store`, { value: 412 });
  return { ifGenerationMatch: pin.generation, ifMetagenerationMatch: pin.metageneration };
}

function readToken(token: string): Pin | null {
  const found = /^([1-9]\d*)\.([1-9]\d*)$/.exec(token);
  return found && { generation: found[1]!, metageneration: found[2]! };
}
