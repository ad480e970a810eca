/** The trace a deletion leaves in the buckets, since absence carries no marker: read only when a ledger is rebuilt. */

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { invalid } from './fault.ts';
import type { LogicalVersion } from './key-item.ts';
import type { MacKeys } from './marker.ts';
import { readLogicalVersion } from './read-key-item.ts';

export interface Tombstone {
  readonly namespace: string;
  readonly key: string;
  readonly version: LogicalVersion;
}

export const TOMBSTONE_PREFIX = '.triplicate/t/';

export function tombstoneKey(key: string, vid: string): string {
  return `${tombstonesOf(key)}${vid.replace(':', '-')}`;
}

export function tombstonesOf(key: string): string {
  return `${TOMBSTONE_PREFIX}${createHash('sha256').update(key).digest('hex')}/`;
}

export function toTombstoneText({ namespace, key, version }: Tombstone, macKeys: MacKeys): string {
  const body = JSON.stringify({ namespace, key, version: { ...version, holders: {} } });
  return JSON.stringify({ body, k: macKeys.newest, mac: sign(body, macKeys.keys[macKeys.newest] as Uint8Array) });
}

/** Throws a Fault that names the field when the text is not a tombstone of ours for this namespace. */
export function readTombstone(text: string, namespace: string, macKeys: MacKeys): Tombstone {
  const { body, k, mac } = parse(text, 'tombstone');
  if (typeof body !== 'string') throw invalid('tombstone.body', body, 'a string');
  const secret = typeof k === 'string' && Object.hasOwn(macKeys.keys, k) ? macKeys.keys[k] : undefined;
  if (secret === undefined) throw invalid('tombstone.k', k, 'a known MAC key');
  if (typeof mac !== 'string' || !same(mac, sign(body, secret)))
    throw invalid('tombstone.mac', mac, 'the MAC of the body');
  const fields = parse(body, 'tombstone.body');
  if (fields.namespace !== namespace) throw invalid('tombstone.namespace', fields.namespace, JSON.stringify(namespace));
  if (typeof fields.key !== 'string') throw invalid('tombstone.key', fields.key, 'a string');
  const version = readLogicalVersion(fields.version, 'tombstone.version');
  if (version.kind !== 'tombstone') throw invalid('tombstone.version.kind', version.kind, '"tombstone"');
  return { namespace, key: fields.key, version };
}

function sign(body: string, secret: Uint8Array): string {
  return createHmac('sha256', secret).update('tombstone\0').update(body).digest('base64url');
}

function same(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

function parse(text: string, field: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(field, text, 'JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(field, value, 'an object');
  return value as Record<string, unknown>;
}
