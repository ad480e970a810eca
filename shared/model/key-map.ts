/** How a key is called in each cloud: exact Unicode everywhere, escaped on Azure only where Azure would change the name. */

import { createHash } from 'node:crypto';
import { invalid } from './fault.ts';
import type { Cloud } from './site.ts';

/**
 * name: the key can be read back from the name. hashed: it cannot, so the writer stores the key in the metadata.
 * unrepresentable: this cloud cannot hold the key.
 */
export type NativeKey =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'hashed'; readonly name: string }
  | { readonly kind: 'unrepresentable'; readonly reason: string };

/** No client can write a longer key, in UTF-16 code units: a byte holds no more than one, and escapes only lengthen. */
export const KEY_UNITS_MAX = 1024;

const NAME_BYTES_MAX = 1024; // aws and gcp count UTF-8 bytes
const NAME_UNITS_MAX = 1024; // azure counts characters, by which .NET means UTF-16 code units
const NAME_SEGMENTS_MAX = 254;

const RESERVED_PREFIX = '.triplicate/';
const ACME_PREFIX = '.well-known/acme-challenge/';

/** Keys of our own objects: never replicated, and events about them are dropped. */
export function isReserved(key: string): boolean {
  return key.startsWith(RESERVED_PREFIX);
}

/** Answers the key itself, or throws Fault 'invalid' when no cloud lets a client write it. */
export function checkKey(key: string): string {
  if (key === '') throw invalid('key', key, 'at least one character');
  if (!key.isWellFormed()) throw invalid('key', key, 'well-formed Unicode');
  if (key.length > KEY_UNITS_MAX) throw invalid('key', key, `at most ${KEY_UNITS_MAX} UTF-16 code units`);
  return key;
}

/** Two keys never get one name, and no key gets two: `fromNativeKey` undoes every 'name'. */
export function toNativeKey(cloud: Cloud, key: string): NativeKey {
  if (key === '') return unrepresentable('the key is empty');
  if (!key.isWellFormed()) return unrepresentable('the key holds half a surrogate pair, which UTF-8 cannot express');
  return NATIVE[cloud](key);
}

/**
 * The one key that `name` stands for. null when the name alone does not tell: it is a hash form, whose key is in the
 * metadata and must hash back to this name, or a name this cloud does not let anyone create.
 */
export function fromNativeKey(cloud: Cloud, name: string): string | null {
  const key = cloud === 'azure' ? unescapeName(name) : name;
  const native = toNativeKey(cloud, key);
  return native.kind === 'name' && native.name === name ? key : null;
}

const NATIVE: Readonly<Record<Cloud, (key: string) => NativeKey>> = {
  aws: nameByBytes,
  gcp(key) {
    if (/[\r\n]/.test(key)) return unrepresentable('gcp allows no carriage return or line feed in a name');
    if (key === '.' || key === '..') return unrepresentable(`gcp allows no object named "${key}"`);
    if (key.startsWith(ACME_PREFIX)) return unrepresentable(`gcp allows no name under ${ACME_PREFIX}`);
    return nameByBytes(key);
  },
  azure(key) {
    const name = escapeName(key);
    const fits = name.length <= NAME_UNITS_MAX && name.split('/').length <= NAME_SEGMENTS_MAX;
    return fits ? { kind: 'name', name } : { kind: 'hashed', name: hashedName(key) };
  },
};

function nameByBytes(key: string): NativeKey {
  const bytes = Buffer.byteLength(key);
  if (bytes > NAME_BYTES_MAX) return unrepresentable(`the key has ${bytes} UTF-8 bytes, ${NAME_BYTES_MAX} are allowed`);
  return { kind: 'name', name: key };
}

function unrepresentable(reason: string): NativeKey {
  return { kind: 'unrepresentable', reason };
}

function hashedName(key: string): string {
  return `~h/${createHash('sha256').update(key).digest('hex')}`;
}

/**
 * Whatever Azure would alter, refuse or mistake is written `~` and a code. Text of that very form gets `7E` slipped in
 * behind its tilde, and text that already has some gets one more. So every key has one name, every name a client can
 * create has one key, and names without such text, a lone `~` included, stay as they are.
 */
interface Escape {
  /** Finds the bad character and the text that looks like it escaped. */
  readonly hide: RegExp;
  /** Finds that text alone. */
  readonly show: RegExp;
}

function escapeOf(bad: RegExp, form: RegExp): Escape {
  return { hide: new RegExp(`${bad.source}|${form.source}`, 'gu'), show: new RegExp(form.source, 'gu') };
}

// Applied in this order and undone in reverse; no step brings back what an earlier one removed.
const ESCAPES: readonly Escape[] = [
  // Azure refuses control characters and reads a backslash as a slash.
  escapeOf(/\p{Cc}/u, /~(?:7E)*x(?:7F|[0189][0-9A-F])/u),
  escapeOf(/\\/u, /~(?:7E)*5C/u),
  // It cuts a slash or a dot off the end, and the dot out of `./`.
  escapeOf(/\/$/u, /~(?:7E)*2F$/u),
  escapeOf(/\.(?=\/|$)/u, /~(?:7E)*2E(?=\/|$)/u),
  // A key that looks like a hash form must not be taken for one.
  escapeOf(/(?!)/u, /^~(?:7E)*h\/[0-9a-f]{64}$/u),
];

function escapeName(key: string): string {
  return ESCAPES.reduce((text, { hide }) => text.replace(hide, hideOne), key);
}

function unescapeName(name: string): string {
  return ESCAPES.reduceRight((text, { show }) => text.replace(show, showOne), name);
}

function hideOne(found: string): string {
  if (found.startsWith('~')) return `~7E${found.slice(1)}`;
  const code = found.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0');
  // The x keeps names like `FILE~10.TXT` out of this: only control characters have codes of two digits.
  return /\p{Cc}/u.test(found) ? `~x${code}` : `~${code}`;
}

function showOne(found: string): string {
  if (found.startsWith('~7E')) return `~${found.slice(3)}`;
  if (found.startsWith('~h/')) return found; // a true hash form: the key is not in the name
  return String.fromCharCode(Number.parseInt(found.replace(/^~x?/, ''), 16));
}
