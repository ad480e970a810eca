/** User metadata that means the same in every cloud, and the digest that says whether two versions carry the same. */

import { createHash } from 'node:crypto';
import { invalid } from './fault.ts';
import type { ObjectMetadata } from './object.ts';
import type { Cloud } from './site.ts';

/** The entry that holds our own marker: not the user's, so neither map shows it and no digest covers it. */
export const MARKER_NAME = 'triplicate';

/** Room kept free for the marker entry, name and value together. */
export const MARKER_BYTES_MAX = 640;

export type UserMetadata = ObjectMetadata['user'];

export type NativeMetadata =
  | { readonly kind: 'fits'; readonly entries: Readonly<Record<string, string>> }
  | { readonly kind: 'too-large'; readonly sizeBytes: number; readonly limitBytes: number };

interface Limits {
  readonly all: number;
  readonly name: number;
  readonly value: number;
}

const LIMITS: Readonly<Record<Cloud, Limits>> = {
  aws: { all: 2048, name: 2048, value: 2048 },
  gcp: { all: 8192, name: 1024, value: 4096 },
  azure: { all: 8192, name: 8192, value: 8192 },
};

/** Equal for equal headers and user metadata, whatever their order and the cloud they were read from. */
export function metaDigest(meta: ObjectMetadata): string {
  const { [MARKER_NAME]: _marker, ...user } = meta.user;
  const form = canonicalForm(meta.headers) + canonicalForm(user);
  return createHash('sha256').update(form).digest().subarray(0, 16).toString('base64url');
}

/** Every text stands behind its length and the list behind its count, so no two inputs share a form. */
function canonicalForm(entries: object): string {
  const present = Object.entries(entries).filter(([, text]) => text !== undefined);
  present.sort(([a], [b]) => (a < b ? -1 : 1));
  return `${present.length};${present.flatMap(([name, text]) => [measured(name), measured(text)]).join('')}`;
}

function measured(text: string): string {
  return `${text.length}:${text}`;
}

/** The entries to write, without the marker; 'too-large' when all of them, or one, exceed what the cloud allows. */
export function toNativeMetadata(cloud: Cloud, user: UserMetadata): NativeMetadata {
  const limits = LIMITS[cloud];
  const entries = Object.entries(user)
    .filter(([name]) => name !== MARKER_NAME)
    .map((entry) => toNativeEntry(cloud, entry));
  const names = entries.map(([name]) => ({ sizeBytes: Buffer.byteLength(name), limitBytes: limits.name }));
  const values = entries.map(([, value]) => ({ sizeBytes: Buffer.byteLength(value), limitBytes: limits.value }));
  const sizeBytes = [...names, ...values].reduce((sum, size) => sum + size.sizeBytes, 0);
  const all = { sizeBytes, limitBytes: limits.all - MARKER_BYTES_MAX };
  const tooLarge = [all, ...names, ...values].find((size) => size.sizeBytes > size.limitBytes);
  return tooLarge ? { kind: 'too-large', ...tooLarge } : { kind: 'fits', entries: Object.fromEntries(entries) };
}

function toNativeEntry(cloud: Cloud, [name, value]: readonly [string, string]): readonly [string, string] {
  if (!CANONICAL_NAME.test(name)) throw invalid('metadata name', name, 'lower-case ASCII without separators');
  if (!value.isWellFormed()) throw invalid(`metadata ${name}`, value, 'well-formed Unicode');
  return [cloud === 'azure' ? AZURE_NAMES.write(name) : name, cloud === 'gcp' ? value : HEADER_VALUES.write(value)];
}

/**
 * What the entries mean, whoever wrote them: reading what `toNativeMetadata` wrote, in any cloud, gives the same again.
 * A name that has no lower-case ASCII form, or shares it with another (GCS tells `A` from `a`), is spelled out instead.
 */
export function fromNativeMetadata(cloud: Cloud, entries: Readonly<Record<string, string>>): UserMetadata {
  const user = new Map<string, string>();
  const read = Object.entries(entries).map(([native, value]) => ({
    native,
    name: canonicalName(cloud, native),
    value,
  }));
  // Unchanged names come first and keep theirs, so the outcome does not hang on the order of the entries.
  read.sort((a, b) => Number(a.name !== a.native) - Number(b.name !== b.native) || (a.native < b.native ? -1 : 1));
  for (const { native, name, value } of read) {
    if (native === MARKER_NAME) continue;
    let free = name;
    for (let taken = native; free === MARKER_NAME || user.has(free); taken = free) free = spelledOut(taken);
    user.set(free, cloud === 'gcp' ? value : HEADER_VALUES.read(value));
  }
  return Object.fromEntries(user);
}

/** What can stand in a header name, and so in any cloud but Azure. */
const CANONICAL_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

function canonicalName(cloud: Cloud, native: string): string {
  const name = native.toLowerCase();
  if (!CANONICAL_NAME.test(name)) return spelledOut(native);
  return cloud === 'azure' ? AZURE_NAMES.read(name) : name;
}

/** Rewrites texts as plain ones, each text as one of its own. */
interface Codec {
  write(text: string): string;
  read(native: string): string;
}

/**
 * A plain text stands for itself, any other for prefix and code. A plain text that could be taken for such a code is
 * coded too: exactly those are, so text that a client wrote keeps its meaning even if it starts like one of ours.
 */
function codecOf(
  prefix: string,
  plain: RegExp,
  encode: (text: string) => string,
  decode: (code: string) => string | null,
): Codec {
  const isCoded = (text: string): boolean => !plain.test(text) || opened(text) !== null;
  const opened = (native: string): string | null => {
    const text = native.startsWith(prefix) ? decode(native.slice(prefix.length)) : null;
    return text !== null && prefix + encode(text) === native && isCoded(text) ? text : null;
  };
  return {
    write: (text) => (isCoded(text) ? prefix + encode(text) : text),
    read: (native) => opened(native) ?? native,
  };
}

const SPELLED_PREFIX = 'tr_';

/** Azure takes C# identifiers only. */
const AZURE_NAMES: Codec = codecOf(SPELLED_PREFIX, /^[a-z_][a-z0-9_]*$/, toBase32hex, (code) => {
  const name = readBase32hex(code);
  return CANONICAL_NAME.test(name) ? name : null;
});

/**
 * S3 and Azure carry values as headers, which trim spaces and lose what is not ASCII, and S3 decodes `=?..?q?..?=`. The
 * coded form is the extended value of RFC 8187, which other tools know.
 */
const HEADER_VALUES: Codec = codecOf(
  "UTF-8''",
  /^(?!.*=\?[^?]*\?[bq]\?)[!-~](?:[ -~]*[!-~])?$/i,
  (text) => encodeURIComponent(text).replace(/['()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`),
  (code) => {
    try {
      return decodeURIComponent(code);
    } catch {
      return null; // a stray % of the client's own
    }
  },
);

function spelledOut(name: string): string {
  return SPELLED_PREFIX + toBase32hex(name);
}

/** RFC 4648 base32hex in lower case, unpadded: the digits are those of radix 32. */
function toBase32hex(text: string): string {
  const bits = Array.from(Buffer.from(text), (byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{1,5}/g) ?? []).map((five) => Number.parseInt(five.padEnd(5, '0'), 2).toString(32)).join('');
}

/** Any answer at all for text that is no base32hex: the codec checks by encoding again. */
function readBase32hex(code: string): string {
  const bits = Array.from(code, (digit) => Number.parseInt(digit, 32).toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2))).toString();
}
