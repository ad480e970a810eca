/** A normalised notification: a hint that something happened at a site, never the truth about it. */

import { invalid } from './fault.ts';
import { checkKey } from './key-map.ts';
import { readObject } from './read.ts';
import { SITE_ID_PATTERN, type SiteId } from './site.ts';

export interface ObjectChange {
  readonly site: SiteId;
  readonly key: string;
  readonly kind: 'put' | 'delete' | 'metadata';
  /** The physical version the notification names, as far as the service names one: see `isToldBy`. */
  readonly phys?: string;
}

const KINDS: ReadonlySet<unknown> = new Set(['put', 'delete', 'metadata']);

/** Whether a notification that says `told` is about this version: Azure tells the entity tag, which is the end of the name. */
export function isToldBy(told: string, phys: string): boolean {
  return phys === told || phys.endsWith(`:${told}`);
}

export function toObjectChangeText(change: ObjectChange): string {
  return JSON.stringify(change);
}

export function readObjectChange(text: string): ObjectChange {
  const fields = readObject(parse(text), 'change', FIELDS);
  const { site, key, kind, phys } = fields;
  if (typeof site !== 'string' || !SITE_ID_PATTERN.test(site)) throw invalid('change.site', site, 'a site id');
  if (typeof key !== 'string') throw invalid('change.key', key, 'a string');
  checkKey(key);
  if (!KINDS.has(kind)) throw invalid('change.kind', kind, 'put, delete or metadata');
  if (phys !== undefined && typeof phys !== 'string') throw invalid('change.phys', phys, 'a string');
  return { site, key, kind: kind as ObjectChange['kind'], ...(phys === undefined ? {} : { phys }) };
}

const FIELDS: ReadonlySet<string> = new Set(['site', 'key', 'kind', 'phys']);

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid('change', text, 'JSON');
  }
}
