/** How a ledger lies in its table: which row is whose, how long names are kept in order, and how texts are made small. */

import { createHash } from 'node:crypto';
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { fault, invalid } from '../../model/fault.ts';
import { DICTIONARY } from './dictionary.ts';

export type Row = Record<string, AttributeValue>;

/**
 * Items and records are spread over so many partition keys, so that no single one must carry all writes; a listing asks
 * each of them. Part of the schema: with another number nothing would be found.
 */
export const SHARDS = 16;

/** The longest name that is its own sort key. A longer one gives its beginning and a hash: 1024 bytes are allowed. */
const NAME_BYTES_MAX = 990;
const ROW_BYTES_MAX = 400 * 1024;
const KEY_BYTES_MAX = 1024;

export interface RowKey {
  readonly pk: string;
  readonly sk: Uint8Array;
}

export type Spread = 'item' | 'record';

export function shardsOf(ledger: string, kind: Spread): readonly string[] {
  return Array.from({ length: SHARDS }, (_, shard) => `${ledger}/${kind}/${shard}`);
}

export function spreadKey(ledger: string, kind: Spread, name: string): RowKey {
  return { pk: `${ledger}/${kind}/${crc32(name) % SHARDS}`, sk: toSortKey(name) };
}

export function epochKey(ledger: string): RowKey {
  return { pk: `${ledger}/epoch`, sk: Buffer.from('epoch') };
}

/** One partition key for the log of each key. */
export function logPartition(ledger: string, key: string): string {
  return Buffer.byteLength(key) <= KEY_BYTES_MAX
    ? `${ledger}/log/${key}`
    : `${ledger}/log#/${hash(key).toString('hex')}`;
}

/** In the order of UTF-8 bytes, but for long names that begin alike: who lists them sorts them. */
export function toSortKey(name: string): Buffer {
  const bytes = Buffer.from(name);
  if (bytes.length <= NAME_BYTES_MAX) return bytes;
  return Buffer.concat([bytes.subarray(0, NAME_BYTES_MAX), hash(name)]);
}

/** The sort keys of all names from `from` on that begin with `prefix`, and perhaps of some others. */
export function sortKeyRange(from: string, prefix: string): readonly [low: Buffer, high: Buffer] {
  const low = from === '' ? Buffer.of(0) : Buffer.from(from).subarray(0, NAME_BYTES_MAX);
  // No UTF-8 text has this byte, so it comes after all that goes on from here.
  return [low, Buffer.concat([Buffer.from(prefix).subarray(0, NAME_BYTES_MAX), Buffer.of(0xff)])];
}

/** Whether rows after this one may come before it in the order of their names. */
export function isLong(row: Row): boolean {
  return row.name !== undefined;
}

/** The attributes by which a row is found, and its name where the sort key does not tell it. */
export function toKeyAttributes({ pk, sk }: RowKey, name?: string): Row {
  const long = name !== undefined && sk.length > NAME_BYTES_MAX;
  return { pk: { S: pk }, sk: { B: sk }, ...(long ? { name: { S: name } } : {}) };
}

export function nameOf(row: Row): string {
  return row.name?.S ?? Buffer.from(row.sk?.B ?? []).toString();
}

export function toNumber(value: number): AttributeValue {
  return { N: String(value) };
}

export function countOf(row: Row, field: string, key: string): number {
  const text = row[field]?.N;
  const value = Number(text);
  if (text !== undefined && Number.isSafeInteger(value) && value >= 0) return value;
  const { message } = invalid(`row.${field}`, row[field] ?? null, 'an integer >= 0');
  const details = { op: 'get', key, field: `row.${field}`, value: row[field] };
  throw fault('invalid', `the ledger row of ${JSON.stringify(key)} cannot be read: ${message}`, details);
}

/** Short texts are kept as they are: they cost one write unit in any case, and a person can read them in the console. */
const PLAIN_UNITS_MAX = 500;
/** The first byte of what is not plain. */
const DEFLATED = 1;
/** Nothing that we stored becomes larger than this. */
const TEXT_BYTES_MAX = 64 * 1024 * 1024;

/** A write is paid for by the KiB, so the text is made small; `name` is in it more than once, as a rule. */
export function toPacked(text: string, name: string): AttributeValue {
  if (text.length <= PLAIN_UNITS_MAX) return { S: text };
  const packed = deflateRawSync(text, { level: 9, dictionary: dictionaryFor(name) });
  return { B: Buffer.concat([Buffer.of(DEFLATED), packed]) };
}

/** null: nothing that this program has packed. */
export function fromPacked(value: AttributeValue | undefined, name: string): string | null {
  if (value?.S !== undefined) return value.S;
  if (value?.B === undefined || value.B[0] !== DEFLATED) return null;
  try {
    const options = { dictionary: dictionaryFor(name), maxOutputLength: TEXT_BYTES_MAX };
    return inflateRawSync(value.B.subarray(1), options).toString();
  } catch {
    return null;
  }
}

/** Throws what DynamoDB would say of the row, before it is sent. */
export function checkRowSize(row: Row, op: string, key: string): void {
  const bytes = Object.entries(row).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + bytesOf(value), 0);
  if (bytes <= ROW_BYTES_MAX) return;
  const text = `DynamoDB, ${op}: the row of ${JSON.stringify(key)} would have ${bytes} bytes, ${ROW_BYTES_MAX} are allowed`;
  throw fault('too-large', text, { op, key, field: 'row', value: bytes });
}

function bytesOf({ S, B, N }: AttributeValue): number {
  if (S !== undefined) return Buffer.byteLength(S);
  return B?.length ?? (N?.length ?? 0) + 1;
}

function dictionaryFor(name: string): Buffer {
  return Buffer.concat([DICTIONARY, Buffer.from(name)]);
}

function hash(name: string): Buffer {
  return createHash('sha256').update(name).digest();
}
