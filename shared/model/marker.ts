/** The metadata entry our replicas carry: which version stands here, bound to its site and key so that no copy passes. */

import { createHash, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { decode, encode } from 'cborg';
import { fault, isFault } from './fault.ts';
import type { HybridStamp } from './hybrid-clock.ts';
import type { Cause } from './key-item.ts';
import { at, type Fields, type Path, readInteger, readObject, readString, refuse, type TextLimits } from './read.ts';
import {
  readActor,
  readCause,
  readCrcText,
  readDot,
  readSiteId,
  readStamp,
  readVersionVector,
} from './read-key-item.ts';
import type { SiteId } from './site.ts';
import { contains, type Dot, dotName, type VersionVector } from './version-vector.ts';

/** Says what a replica holds, always an object: absence carries no metadata. */
export interface Marker {
  readonly site: SiteId;
  /** The id of the write that put it there: 1 to 32 printable ASCII characters. */
  readonly wid: string;
  readonly dot: Dot;
  readonly vv: VersionVector;
  readonly hlc: HybridStamp;
  /** `phys` comes back as `physDigest` made it; ask `sameOrigin`. */
  readonly origin: { readonly site: SiteId; readonly phys: string; readonly cause: Cause };
  readonly crc32c: string;
  readonly crc64nvme: string;
  readonly sizeBytes: number;
  readonly metaDigest: string;
}

/** Secrets by key id: ids of 1 to 8 printable ASCII characters, secrets of 16 bytes or more that never change. */
export interface MacKeys {
  /** The id of the one to write with; any of them verifies. */
  readonly newest: string;
  readonly keys: Readonly<Record<string, Uint8Array>>;
}

/** foreign: whatever it says, we did not write it here; often a client copied or edited an object of ours. */
export type MarkerReading =
  | { readonly kind: 'authentic'; readonly marker: Marker }
  | { readonly kind: 'foreign'; readonly reason: string };

/** Enough for eight sites and the resolver, whatever their names and dots. */
export const MARKER_CHARS_MAX = 600;

/** Longer texts are refused before anything is decoded. */
const READ_CHARS_MAX = 2000;
const REASON_CHARS_MAX = 300;
const PHYS_CHARS_MAX = 48;
const MAC_BYTES = 16;
const SECRET_BYTES_MIN = 16;
const FORMAT = 1;

/**
 * A CBOR array of the MAC and a map of the fields, as base64url. A marker that could not be read back is a Fault
 * 'invalid' that names the field; one that is too long is a Fault 'internal'.
 */
export function writeMarker(
  marker: Marker,
  context: { readonly namespace: string; readonly key: string },
  macKeys: MacKeys,
): string {
  const { site, origin } = marker;
  const phys = physDigest(origin.phys);
  checkMarker({ ...marker, origin: { ...origin, phys } });
  const secret = secretOf(macKeys, macKeys.newest);
  if (secret === null)
    throw fault('invalid', `macKeys.newest: expected the id of one of the keys, got "${macKeys.newest}"`);
  const fields = encode({
    f: FORMAT,
    k: macKeys.newest,
    s: site,
    w: fromText(marker.wid, 'base64url'),
    d: [marker.dot.s, marker.dot.n],
    v: marker.vv,
    h: [marker.hlc.ms, marker.hlc.c],
    o: [origin.site, phys, CAUSE_CODES[origin.cause]],
    c: fromText(marker.crc32c, 'base64'),
    n: fromText(marker.crc64nvme, 'base64'),
    z: marker.sizeBytes,
    m: fromText(marker.metaDigest, 'base64url'),
  });
  const mac = macOf(secret, context.namespace, site, context.key, fields);
  const text = Buffer.concat([HEAD, mac, fields]).toString('base64url');
  if (text.length <= MARKER_CHARS_MAX) return text;
  throw fault('internal', `marker: expected at most ${MARKER_CHARS_MAX} characters, got ${text.length}`, {
    site,
    key: context.key,
  });
}

/** Never throws for what a client may have written; malformed content is foreign, and the reason names field and value. */
export function readMarker(
  text: string,
  context: { readonly namespace: string; readonly key: string; readonly site: SiteId },
  macKeys: MacKeys,
): MarkerReading {
  if (text.length > READ_CHARS_MAX) return foreign(`expected at most ${READ_CHARS_MAX} characters, got ${text.length}`);
  const bytes = Buffer.from(text, 'base64url');
  // Buffer skips what it cannot read, so only an exact round trip proves the text.
  if (bytes.toString('base64url') !== text) return foreign('expected base64url');
  if (bytes.length <= HEAD.length + MAC_BYTES || !HEAD.equals(bytes.subarray(0, HEAD.length))) {
    return foreign(`expected a CBOR array of a MAC of ${MAC_BYTES} bytes and a map`);
  }
  const mac = bytes.subarray(HEAD.length, HEAD.length + MAC_BYTES);
  const encoded = bytes.subarray(HEAD.length + MAC_BYTES);
  const content = readContent(encoded);
  if (content.kind === 'foreign') return content;
  const { marker, macKeyId } = content;
  if (marker.site !== context.site) return foreign(`site: expected "${context.site}", got "${marker.site}"`);
  const secret = secretOf(macKeys, macKeyId);
  if (secret === null) return foreign(`k: expected the id of a known MAC key, got ${JSON.stringify(macKeyId)}`);
  // The MAC covers the bytes as they came, so no other spelling of the same fields passes either.
  const expected = macOf(secret, context.namespace, context.site, context.key, encoded);
  if (!timingSafeEqual(mac, expected))
    return foreign('the MAC is not the one for this namespace, site, key and content');
  return { kind: 'authentic', marker };
}

/** What a marker says of a physical version: itself, or a digest when it would take too much room. */
export function physDigest(phys: string): string {
  if (PHYS.pattern.test(phys) && phys.length <= PHYS_CHARS_MAX) return phys;
  return `#${createHash('sha256').update(phys).digest().subarray(0, 16).toString('base64url')}`;
}

/** Whether the origin a marker tells of is this physical version. */
export function sameOrigin(markerPhys: string, phys: string): boolean {
  return markerPhys === phys || markerPhys === physDigest(phys);
}

/** An array of two, whose first is so many bytes: every marker starts so. */
const HEAD: Buffer = Buffer.from([0x82, 0x40 + MAC_BYTES]);

const STRICT = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowBigInt: false,
  allowInfinity: false,
  allowNaN: false,
  rejectDuplicateMapKeys: true,
} as const;

const FIELDS: ReadonlySet<string> = new Set(['f', 'k', 's', 'w', 'd', 'v', 'h', 'o', 'c', 'n', 'z', 'm']);

const PRINTABLE = /^[ -~]*$/;
const WID: TextLimits = { min: 1, max: 32, pattern: PRINTABLE };
const PHYS = { max: PHYS_CHARS_MAX, pattern: PRINTABLE } as const satisfies TextLimits;
const META_DIGEST: TextLimits = { max: 64, pattern: PRINTABLE };
const MAC_KEY_ID: TextLimits = { min: 1, max: 8, pattern: PRINTABLE };

const CAUSE_CODES: Readonly<Record<Cause, string>> = {
  put: 'p',
  delete: 'd',
  rollback: 'r',
  'inferred-delete': 'i',
  'conflict-copy': 'c',
  merge: 'm',
};
const CAUSES: ReadonlyMap<unknown, string> = new Map(Object.entries(CAUSE_CODES).map(([cause, code]) => [code, cause]));

type Content = { readonly kind: 'content'; readonly marker: Marker; readonly macKeyId: string };

function readContent(encoded: Uint8Array): Content | Extract<MarkerReading, { kind: 'foreign' }> {
  let decoded: unknown;
  try {
    decoded = decode(encoded, STRICT);
  } catch (error) {
    return foreign(`expected CBOR: ${error instanceof Error ? error.message : error}`);
  }
  try {
    return toContent(decoded);
  } catch (error) {
    if (isFault(error, 'invalid')) return foreign(error.message);
    throw error;
  }
}

function toContent(decoded: unknown): Content {
  const fields = readObject(decoded, 'marker', FIELDS);
  if (fields.f !== FORMAT) refuse(fields.f, 'f', `${FORMAT}`);
  const macKeyId = readString(fields.k, 'k', MAC_KEY_ID);
  const [s, n] = readTuple(fields.d, 'dot', 2);
  const [ms, c] = readTuple(fields.h, 'hlc', 2);
  const [site, phys, cause] = readTuple(fields.o, 'origin', 3);
  const marker = {
    site: fields.s,
    wid: toText(fields.w, 'base64url'),
    dot: { s, n },
    vv: fields.v,
    hlc: { ms, c },
    origin: { site, phys, cause: CAUSES.get(cause) ?? cause },
    crc32c: toText(fields.c, 'base64'),
    crc64nvme: toText(fields.n, 'base64'),
    sizeBytes: fields.z,
    metaDigest: toText(fields.m, 'base64url'),
  };
  return { kind: 'content', marker: checkMarker(marker), macKeyId };
}

function readTuple(value: unknown, path: Path, length: number): readonly unknown[] {
  return Array.isArray(value) && value.length === length ? value : refuse(value, path, `an array of ${length}`);
}

/** Asked on both ways: what could not be read back must not be written, or our own replicas would look foreign. */
function checkMarker(marker: { readonly [field in keyof Marker]: unknown }): Marker {
  readSiteId(marker.site, 'site');
  readString(marker.wid, 'wid', WID);
  const dot = readDot(marker.dot, 'dot');
  const vv = readVersionVector(marker.vv, 'vv');
  if (!contains(vv, dot)) refuse(vv, 'vv', `its own dot ${dotName(dot)} inside`);
  readStamp(marker.hlc, 'hlc');
  const origin = marker.origin as Fields;
  readActor(origin.site, at('origin', 'site'));
  readString(origin.phys, at('origin', 'phys'), PHYS);
  readCause(origin.cause, at('origin', 'cause'));
  readCrcText(marker.crc32c, 'crc32c', 4);
  readCrcText(marker.crc64nvme, 'crc64nvme', 8);
  readInteger(marker.sizeBytes, 'sizeBytes', 0);
  readString(marker.metaDigest, 'metaDigest', META_DIGEST);
  return marker as Marker;
}

/** Bytes take less room than their text, but only a text that comes back from them exactly may be stored so. */
function fromText(text: string, encoding: 'base64' | 'base64url'): Uint8Array | string {
  if (text === '') return text;
  const bytes = Buffer.from(text, encoding);
  return bytes.toString(encoding) === text ? bytes : text;
}

function toText(value: unknown, encoding: 'base64' | 'base64url'): unknown {
  if (!(value instanceof Uint8Array)) return value;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString(encoding);
}

// Making one costs four times as much as a MAC.
const KEY_OBJECTS = new WeakMap<Uint8Array, KeyObject>();

function secretOf(macKeys: MacKeys, id: string): KeyObject | null {
  if (!Object.hasOwn(macKeys.keys, id)) return null;
  const secret = macKeys.keys[id] as Uint8Array;
  let found = KEY_OBJECTS.get(secret);
  if (found === undefined) {
    readString(id, 'macKeys.keys: id', MAC_KEY_ID);
    if (secret.length < SECRET_BYTES_MIN) {
      throw fault('invalid', `macKeys.keys.${id}: expected at least ${SECRET_BYTES_MIN} bytes, got ${secret.length}`);
    }
    found = createSecretKey(secret);
    KEY_OBJECTS.set(secret, found);
  }
  return found;
}

/** Every text stands behind its length, and UTF-16 keeps half a surrogate pair: no two inputs look the same. */
function macOf(secret: KeyObject, namespace: string, site: SiteId, key: string, fields: Uint8Array): Buffer {
  const context = `triplicate marker;${namespace.length}:${namespace}${site.length}:${site}${key.length}:${key}`;
  return createHmac('sha256', secret).update(context, 'utf16le').update(fields).digest().subarray(0, MAC_BYTES);
}

function foreign(reason: string): Extract<MarkerReading, { kind: 'foreign' }> {
  return {
    kind: 'foreign',
    reason: reason.length > REASON_CHARS_MAX ? `${reason.slice(0, REASON_CHARS_MAX - 3)}...` : reason,
  };
}
