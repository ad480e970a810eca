/** What a client may say of an object beside its bytes: which fields there are, and what each may hold. */

import { isJson, type Json } from './call.ts';
import { invalidValue, unsupported } from './errors.ts';

/** As stored: only what was given. Times are RFC 3339. */
export interface ObjectFields {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly contentLanguage?: string;
  readonly contentDisposition?: string;
  readonly cacheControl?: string;
  readonly customTime?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly temporaryHold?: boolean;
  readonly eventBasedHold?: boolean;
}

const METADATA_BYTES_MAX = 8 * 1024;

type Read = (name: string, value: unknown) => unknown;

const FIELDS: Readonly<Record<keyof ObjectFields, Read>> = {
  contentType: readHeaderText,
  contentEncoding: readHeaderText,
  contentLanguage: readHeaderText,
  contentDisposition: readHeaderText,
  cacheControl: readHeaderText,
  customTime: readTime,
  metadata: readMetadata,
  temporaryHold: readBoolean,
  eventBasedHold: readBoolean,
};

/** Accepted by the cloud and acted upon there; here they would be forgotten silently. */
const UNSUPPORTED = ['kmsKeyName', 'customerEncryption', 'retention', 'contexts'];

/** What `json` sets, and what it says null of. Names that mean nothing are ignored, as Google's JSON services do. */
export function readFields(json: Json): { readonly set: ObjectFields; readonly cleared: readonly string[] } {
  for (const name of UNSUPPORTED)
    if (json[name] !== undefined && json[name] !== null) throw unsupported(`The object field ${name}`);
  const set: Record<string, unknown> = {};
  const cleared: string[] = [];
  for (const [name, read] of Object.entries(FIELDS)) {
    const value = json[name];
    if (value === null) cleared.push(name);
    else if (value !== undefined) set[name] = read(name, value);
  }
  return { set, cleared };
}

/** The fields of a new object: names that are null are as good as absent. */
export function newFields(json: Json): ObjectFields {
  const metadata = isJson(json.metadata)
    ? Object.fromEntries(Object.entries(json.metadata).filter(([, value]) => value !== null))
    : json.metadata;
  return checkSize(readFields({ ...json, metadata }).set);
}

/** JSON merge: null removes, in `metadata` too. */
export function patchFields(before: ObjectFields, json: Json): ObjectFields {
  const removed = isJson(json.metadata) ? Object.keys(json.metadata).filter((it) => isNull(json.metadata, it)) : [];
  const kept = isJson(json.metadata)
    ? { ...json, metadata: Object.fromEntries(Object.entries(json.metadata).filter(([, value]) => value !== null)) }
    : json;
  const { set, cleared } = readFields(kept);
  const metadata = { ...before.metadata, ...set.metadata };
  for (const name of removed) delete metadata[name];
  const after: Record<string, unknown> = { ...before, ...set, metadata };
  for (const name of cleared) delete after[name];
  if (cleared.includes('metadata') || Object.keys(metadata).length === 0) delete after.metadata;
  checkCustomTime(before, after);
  return checkSize(after);
}

/** Replaces all fields; a hold that is not named is released. */
export function replaceFields(before: ObjectFields, json: Json): ObjectFields {
  const after = newFields(json);
  checkCustomTime(before, after);
  return after;
}

/** https://cloud.google.com/storage/docs/metadata#custom-time: it may only move forward. */
function checkCustomTime(before: ObjectFields, after: ObjectFields): void {
  if (before.customTime === undefined) return;
  if (after.customTime === undefined || Date.parse(after.customTime) < Date.parse(before.customTime))
    throw invalidValue('Custom time cannot be removed or set to an earlier time.');
}

function checkSize(fields: ObjectFields): ObjectFields {
  let size = 0;
  for (const [name, value] of Object.entries(fields.metadata ?? {}))
    size += Buffer.byteLength(name) + Buffer.byteLength(value);
  for (const name of [
    'contentType',
    'contentEncoding',
    'contentLanguage',
    'contentDisposition',
    'cacheControl',
  ] as const)
    size += Buffer.byteLength(fields[name] ?? '');
  if (size > METADATA_BYTES_MAX)
    throw invalidValue(`Metadata is too large: ${size} bytes, allowed are ${METADATA_BYTES_MAX}.`);
  return fields;
}

function isNull(value: unknown, name: string): boolean {
  return isJson(value) && value[name] === null;
}

/** These come back as headers: a control character in one would let it forge others. */
function readHeaderText(name: string, value: unknown): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these are refused
  if (typeof value !== 'string' || !value.isWellFormed() || /[\u0000-\u0008\u000a-\u001f\u007f]/.test(value))
    throw invalidValue(`Invalid value for ${name}.`);
  return value;
}

function readTime(name: string, value: unknown): string {
  const shaped =
    typeof value === 'string' && /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/.test(value);
  const at = shaped ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(at)) throw invalidValue(`Invalid value for ${name}: not an RFC 3339 time.`);
  return new Date(at).toISOString();
}

function readBoolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidValue(`Invalid value for ${name}: not a boolean.`);
  return value;
}

function readMetadata(name: string, value: unknown): Readonly<Record<string, string>> {
  if (!isJson(value)) throw invalidValue(`Invalid value for ${name}: not an object.`);
  const entries = Object.entries(value).map(([key, text]) => {
    // Google's JSON reads numbers and booleans where a string is meant.
    const plain = typeof text === 'number' || typeof text === 'boolean' ? String(text) : text;
    if (typeof plain !== 'string' || !plain.isWellFormed() || !key.isWellFormed() || key === '')
      throw invalidValue(`Invalid value for ${name}.${key.slice(0, 80)}.`);
    return [key, plain] as const;
  });
  return Object.fromEntries(entries);
}
