/** Keys of items: what a table asks of them, and bytes in their order. */

import { createHash } from 'node:crypto';
import { emptyKey, refused, wrongValue } from './errors.ts';
import { toNumberKey } from './numbers.ts';
import { type Item, readItem, typeOf, type Value } from './values.ts';

export type KeyType = 'S' | 'N' | 'B';

export interface KeyPart {
  readonly name: string;
  readonly type: KeyType;
}

export interface KeyParts {
  readonly hash: KeyPart;
  readonly range?: KeyPart;
}

/** Where an item lies. `spot` is what a Scan goes by: no order that anybody could rely on. */
export interface Place {
  readonly spot: number;
  readonly hash: Uint8Array;
  /** Empty where there is no sort key. */
  readonly range: Uint8Array;
}

const HASH_BYTES_MAX = 2048;
const RANGE_BYTES_MAX = 1024;
export const SPOTS = 2 ** 32;

export function partsOf({ hash, range }: KeyParts): readonly KeyPart[] {
  return range === undefined ? [hash] : [hash, range];
}

/** The key of an item that is to be stored. */
export function placeOfItem(item: Item, keys: KeyParts): Place {
  for (const { name, type } of partsOf(keys)) {
    const value = item[name];
    if (value === undefined) throw wrongValue(`Missing the key ${name} in the item`);
    if (typeOf(value) !== type)
      throw wrongValue(`Type mismatch for key ${name} expected: ${type} actual: ${typeOf(value)}`);
    checkEmpty(name, value);
  }
  return placeOf(item, keys);
}

/** A key as requests give it: these attributes and no others. */
export function readKey(raw: unknown, keys: KeyParts): { readonly key: Item; readonly place: Place } {
  const key = readItem(raw);
  const parts = partsOf(keys);
  const fits = parts.every(({ name, type }) => key[name] !== undefined && typeOf(key[name]) === type);
  if (!fits || Object.keys(key).length !== parts.length)
    throw refused('The provided key element does not match the schema');
  for (const { name } of parts) checkEmpty(name, key[name] as Value);
  return { key, place: placeOf(key, keys) };
}

/** null: an item without these attributes, or with others of their names, is not in the index. */
export function placeInIndex(item: Item, keys: KeyParts): Place | null {
  return partsOf(keys).every(({ name }) => item[name] !== undefined) ? placeOf(item, keys) : null;
}

/** An item may lack the attributes of an index, but may not have others of their names. */
export function checkIndexKeys(item: Item, keys: KeyParts, index: string): void {
  for (const { name, type } of partsOf(keys)) {
    const value = item[name];
    if (value === undefined) continue;
    if (typeOf(value) !== type)
      throw wrongValue(
        `Type mismatch for Index Key ${name} Expected: ${type} Actual: ${typeOf(value)} IndexName: ${index}`,
      );
    if (value.S === '' || value.B === '')
      throw emptyKey(
        type,
        `IndexName: ${index}, IndexKey: ${name}`,
        'A value specified for a secondary index key is not supported. ',
      );
  }
  placeInIndex(item, keys);
}

export function toKeyBytes(value: Value, isHash: boolean): Buffer {
  const bytes = rawBytes(value);
  if (isHash && bytes.length > HASH_BYTES_MAX)
    throw wrongValue(`Size of hashkey has exceeded the maximum size limit of${HASH_BYTES_MAX} bytes`);
  if (!isHash && bytes.length > RANGE_BYTES_MAX)
    throw wrongValue(`Aggregated size of all range keys has exceeded the size limit of ${RANGE_BYTES_MAX} bytes`);
  return bytes;
}

export function spotOf(hash: Uint8Array): number {
  return createHash('md5').update(hash).digest().readUInt32BE(0);
}

function placeOf(item: Item, { hash, range }: KeyParts): Place {
  const bytes = toKeyBytes(item[hash.name] as Value, true);
  const rangeBytes = range === undefined ? new Uint8Array() : toKeyBytes(item[range.name] as Value, false);
  return { spot: spotOf(bytes), hash: bytes, range: rangeBytes };
}

function rawBytes({ S, N, B }: Value): Buffer {
  if (S !== undefined) return Buffer.from(S);
  return N !== undefined ? toNumberKey(N) : Buffer.from(B ?? '', 'base64');
}

function checkEmpty(name: string, { S, B }: Value): void {
  if (S !== '' && B !== '') return;
  throw emptyKey(S === '' ? 'S' : 'B', `Key: ${name}`);
}
