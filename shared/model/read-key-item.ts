/** Turns what a ledger stored into a KeyItem, or says which of its fields cannot be one. */

import type { HybridStamp } from './hybrid-clock.ts';
import type { Cause, Holder, Intent, KeyItem, LogicalVersion, SiteState, Unresolved } from './key-item.ts';
import { KEY_UNITS_MAX } from './key-map.ts';
import type { LogEntry, LogKind } from './log-entry.ts';
import {
  at,
  type Path,
  readArray,
  readBoolean,
  readInteger,
  readNullable,
  readObject,
  readOneOf,
  readOptional,
  readRecord,
  readString,
  readText,
  refuse,
  type Step,
  type TextLimits,
} from './read.ts';
import { RESOLVER, type SiteId } from './site.ts';
import { contains, type Dot, dotName, type VersionVector } from './version-vector.ts';

/** Answers the very object it was given. Asked at every ledger read, hence no copies and no patterns. */
export function readKeyItem(value: unknown): KeyItem {
  const path = 'item';
  const fields = readObject(value, path, ITEM_KEYS);
  if (fields.schema !== 1) refuse(fields.schema, at(path, 'schema'), '1');
  readKey(fields.key, at(path, 'key'));
  readInteger(fields.rev, at(path, 'rev'), 0);
  readInteger(fields.epoch, at(path, 'epoch'), 0);
  readVersionVector(fields.dots, at(path, 'dots'));
  const versions = readRecord(fields.versions, at(path, 'versions'), readVersionEntry);
  const frontier = readArray(fields.frontier, at(path, 'frontier'), readText);
  for (let i = 0; i < frontier.length; i++) checkKnown(frontier[i] as string, at(at(path, 'frontier'), i), versions);
  const sites = readRecord(fields.sites, at(path, 'sites'), readSiteState, checkSiteId);
  for (const site in sites) {
    const vid = (sites[site] as SiteState).vid;
    if (vid !== null) checkKnown(vid, at(at(at(path, 'sites'), site), 'vid'), versions);
  }
  readArray(fields.outbox, at(path, 'outbox'), readLogEntry);
  const due = readNullable(fields.due, at(path, 'due'), readTime);
  if (fields.unlisted !== undefined && (fields.unlisted !== true || due === null))
    refuse(fields.unlisted, at(path, 'unlisted'), 'true, and only where due is set');
  readNullable(fields.unresolved, at(path, 'unresolved'), readUnresolved);
  readNullable(fields.copyOf, at(path, 'copyOf'), readCopyOf);
  readNullable(fields.tombstoneAt, at(path, 'tombstoneAt'), readTime);
  return value as KeyItem;
}

/** A malformed clock gives a Fault that names the field and the value. */
export function readVersionVector(value: unknown, path: Path): VersionVector {
  return readRecord(value, path, readCount, checkActor);
}

export function readLogicalVersion(value: unknown, path: Path): LogicalVersion {
  const fields = readObject(value, path, VERSION_KEYS);
  const dot = readDot(fields.dot, at(path, 'dot'));
  const vv = readVersionVector(fields.vv, at(path, 'vv'));
  if (!contains(vv, dot)) refuse(vv, at(path, 'vv'), `its own dot ${dotName(dot)} inside`);
  const name = dotName(dot);
  if (fields.vid !== name) refuse(fields.vid, at(path, 'vid'), `the name of its dot, "${name}"`);
  readOneOf(fields.kind, at(path, 'kind'), KINDS);
  readStamp(fields.hlc, at(path, 'hlc'));
  readInteger(fields.sizeBytes, at(path, 'sizeBytes'), 0);
  readCrcText(fields.crc32c, at(path, 'crc32c'), 4);
  readCrcText(fields.crc64nvme, at(path, 'crc64nvme'), 8);
  readString(fields.metaDigest, at(path, 'metaDigest'));
  const originPath = at(path, 'origin');
  const origin = readObject(fields.origin, originPath, ORIGIN_KEYS);
  readActor(origin.site, at(originPath, 'site'));
  readString(origin.phys, at(originPath, 'phys'));
  readCause(origin.cause, at(originPath, 'cause'));
  readRecord(fields.holders, at(path, 'holders'), readHolder, checkSiteId);
  return value as LogicalVersion;
}

export function readStamp(value: unknown, path: Path): HybridStamp {
  const fields = readObject(value, path, STAMP_KEYS);
  readInteger(fields.ms, at(path, 'ms'), 0);
  readInteger(fields.c, at(path, 'c'), 0);
  return value as HybridStamp;
}

export function readDot(value: unknown, path: Path): Dot {
  const fields = readObject(value, path, DOT_KEYS);
  readActor(fields.s, at(path, 's'));
  readCount(fields.n, at(path, 'n'));
  return value as Dot;
}

export function readSiteId(value: unknown, path: Path): SiteId {
  return typeof value === 'string' && isSiteId(value) ? value : refuse(value, path, SITE_ID);
}

/** A site, or the resolver: whoever can make a version. */
export function readActor(value: unknown, path: Path): SiteId {
  if (value === RESOLVER || (typeof value === 'string' && isSiteId(value))) return value as SiteId;
  return refuse(value, path, ACTOR);
}

/** Empty, or the base64 of a CRC of so many bytes, as S3 and GCS write it. */
export function readCrcText(value: unknown, path: Path, bytes: 4 | 8): string {
  if (typeof value === 'string' && (value === '' || isCrcText(value, bytes))) return value;
  return refuse(value, path, `an empty string or base64 of ${bytes} bytes`);
}

export function readCause(value: unknown, path: Path): Cause {
  return readOneOf(value, path, CAUSES);
}

const ITEM_KEYS: ReadonlySet<string> = new Set([
  ...['schema', 'key', 'rev', 'epoch', 'dots', 'frontier', 'versions', 'sites', 'outbox', 'due'],
  ...['unlisted', 'unresolved', 'copyOf', 'tombstoneAt'],
]);
const VERSION_KEYS: ReadonlySet<string> = new Set([
  ...['vid', 'dot', 'vv', 'kind', 'hlc', 'sizeBytes', 'crc32c', 'crc64nvme', 'metaDigest', 'origin', 'holders'],
]);
const SITE_STATE_KEYS: ReadonlySet<string> = new Set([
  ...[
    'phys',
    'token',
    'body',
    'modifiedAt',
    'vid',
    'past',
    'wid',
    'lookedAt',
    'evicted',
    'quarantined',
    'intents',
    'seen',
  ],
]);
const INTENT_KEYS: ReadonlySet<string> = new Set([
  ...['wid', 'vid', 'kind', 'basePhys', 'baseToken', 'worker', 'leaseUntil'],
]);
const LOG_ENTRY_KEYS: ReadonlySet<string> = new Set([
  'key',
  'id',
  'kind',
  'at',
  'writtenAt',
  'vid',
  'by',
  'site',
  'note',
]);
const STAMP_KEYS: ReadonlySet<string> = new Set(['ms', 'c']);
const DOT_KEYS: ReadonlySet<string> = new Set(['s', 'n']);
const ORIGIN_KEYS: ReadonlySet<string> = new Set(['site', 'phys', 'cause']);
const HOLDER_KEYS: ReadonlySet<string> = new Set(['phys', 'key']);
const UNRESOLVED_KEYS: ReadonlySet<string> = new Set(['reason', 'since', 'siblings']);
const COPY_OF_KEYS: ReadonlySet<string> = new Set(['key', 'vid']);

const KINDS = ['object', 'tombstone'] as const;
const INTENT_KINDS = ['copy', 'delete'] as const;
const CAUSES: readonly Cause[] = Object.keys({
  put: 1,
  delete: 1,
  rollback: 1,
  'inferred-delete': 1,
  'conflict-copy': 1,
  merge: 1,
} satisfies Record<Cause, 1>) as Cause[];
const LOG_KINDS: readonly LogKind[] = Object.keys({
  version: 1,
  superseded: 1,
  resolved: 1,
  unresolved: 1,
  evicted: 1,
  quarantined: 1,
  collected: 1,
} satisfies Record<LogKind, 1>) as LogKind[];

const KEY_LIMITS: TextLimits = { min: 1, max: KEY_UNITS_MAX };
const SITE_ID = 'a site id, one to eight of a-z and 0-9';
const ACTOR = `${SITE_ID}, or ${RESOLVER}`;

function readVersionEntry(value: unknown, path: Step): LogicalVersion {
  const version = readLogicalVersion(value, path);
  if (path.key !== version.vid) refuse(version.vid, at(path, 'vid'), `the same as its key, "${path.key}"`);
  return version;
}

function readHolder(value: unknown, path: Path): Holder {
  const fields = readObject(value, path, HOLDER_KEYS);
  readText(fields.phys, at(path, 'phys'));
  readOptional(fields.key, at(path, 'key'), readKey);
  return value as Holder;
}

function readSiteState(value: unknown, path: Path): SiteState {
  const fields = readObject(value, path, SITE_STATE_KEYS);
  readText(fields.phys, at(path, 'phys'));
  readNullable(fields.token, at(path, 'token'), readString);
  readString(fields.body, at(path, 'body'));
  readTime(fields.modifiedAt, at(path, 'modifiedAt'));
  readNullable(fields.vid, at(path, 'vid'), readText);
  readNullable(fields.wid, at(path, 'wid'), readText);
  readTime(fields.lookedAt, at(path, 'lookedAt'));
  readBoolean(fields.evicted, at(path, 'evicted'));
  readBoolean(fields.quarantined, at(path, 'quarantined'));
  readArray(fields.intents, at(path, 'intents'), readIntent);
  readVersionVector(fields.past, at(path, 'past'));
  readArray(fields.seen, at(path, 'seen'), readText);
  return value as SiteState;
}

function readIntent(value: unknown, path: Path): Intent {
  const fields = readObject(value, path, INTENT_KEYS);
  readText(fields.wid, at(path, 'wid'));
  readVid(fields.vid, at(path, 'vid'));
  readOneOf(fields.kind, at(path, 'kind'), INTENT_KINDS);
  readText(fields.basePhys, at(path, 'basePhys'));
  readNullable(fields.baseToken, at(path, 'baseToken'), readString);
  readString(fields.worker, at(path, 'worker'));
  readTime(fields.leaseUntil, at(path, 'leaseUntil'));
  return value as Intent;
}

function readLogEntry(value: unknown, path: Path): LogEntry {
  const fields = readObject(value, path, LOG_ENTRY_KEYS);
  readKey(fields.key, at(path, 'key'));
  readText(fields.id, at(path, 'id'));
  readOneOf(fields.kind, at(path, 'kind'), LOG_KINDS);
  readTime(fields.at, at(path, 'at'));
  readOptional(fields.writtenAt, at(path, 'writtenAt'), readTime);
  readOptional(fields.vid, at(path, 'vid'), readVid);
  readOptional(fields.by, at(path, 'by'), readVid);
  readOptional(fields.site, at(path, 'site'), readActor);
  readString(fields.note, at(path, 'note'));
  return value as LogEntry;
}

function readUnresolved(value: unknown, path: Path): Unresolved {
  const fields = readObject(value, path, UNRESOLVED_KEYS);
  readString(fields.reason, at(path, 'reason'));
  readTime(fields.since, at(path, 'since'));
  readArray(fields.siblings, at(path, 'siblings'), readVid);
  return value as Unresolved;
}

function readCopyOf(value: unknown, path: Path): KeyItem['copyOf'] {
  const fields = readObject(value, path, COPY_OF_KEYS);
  readKey(fields.key, at(path, 'key'));
  readVid(fields.vid, at(path, 'vid'));
  return value as KeyItem['copyOf'];
}

function readKey(value: unknown, path: Path): string {
  return readString(value, path, KEY_LIMITS);
}

function readTime(value: unknown, path: Path): number {
  return readInteger(value, path, 0);
}

function readCount(value: unknown, path: Path): number {
  return readInteger(value, path, 1);
}

function readVid(value: unknown, path: Path): string {
  return typeof value === 'string' && isVid(value) ? value : refuse(value, path, 'the name of a dot, as in "a:1"');
}

/** A name like `constructor` is found in any object, hence own names only. */
function checkKnown(vid: string, path: Path, versions: Readonly<Record<string, LogicalVersion>>): void {
  if (!Object.hasOwn(versions, vid)) refuse(vid, path, 'the vid of one of the versions');
}

function checkSiteId(key: string, path: Path): void {
  if (!isSiteId(key)) refuse(key, path, `only keys that are ${SITE_ID}`);
}

function checkActor(key: string, path: Path): void {
  if (key !== RESOLVER && !isSiteId(key)) refuse(key, path, `only keys that are ${ACTOR}`);
}

/** The same as SITE_ID_PATTERN, faster. */
function isSiteId(text: string): boolean {
  if (text.length < 1 || text.length > 8) return false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (!((code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39))) return false;
  }
  return true;
}

function isVid(text: string): boolean {
  const colon = text.indexOf(':');
  const site = text.slice(0, colon);
  const n = Number(text.slice(colon + 1));
  if (colon < 1 || !Number.isSafeInteger(n) || n < 1) return false;
  return (site === RESOLVER || isSiteId(site)) && text === `${site}:${n}`;
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Int8Array(128).fill(-1);
for (let i = 0; i < DIGITS.length; i++) VALUES[DIGITS.charCodeAt(i)] = i;

/** Canonical base64 of 4 bytes is 6 digits and `==`, of 8 bytes 11 digits and `=`; bits left over are zero. */
function isCrcText(text: string, bytes: 4 | 8): boolean {
  const digits = bytes === 4 ? 6 : 11;
  if (text.length !== (bytes === 4 ? 8 : 12) || !text.endsWith(bytes === 4 ? '==' : '=')) return false;
  let last = 0;
  for (let i = 0; i < digits; i++) {
    last = VALUES[text.charCodeAt(i)] ?? -1;
    if (last < 0) return false;
  }
  return (last & (bytes === 4 ? 0x0f : 0x03)) === 0;
}
