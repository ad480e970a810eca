/** What a request demands of the object it meets, and what is answered where that does not hold. */

import type { IncomingHttpHeaders } from 'node:http';
import { headerOf, readNumber } from './call.ts';
import { conditionNotMet, notModified } from './errors.ts';
import { etagOf } from './resource.ts';

/** Texts of 64-bit numbers, checked; `ifMatch` and `ifNoneMatch` are ETags. Storable as JSON. */
export interface Conditions {
  readonly generationMatch?: string;
  readonly generationNotMatch?: string;
  readonly metagenerationMatch?: string;
  readonly metagenerationNotMatch?: string;
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
}

const NUMBERS = ['GenerationMatch', 'GenerationNotMatch', 'MetagenerationMatch', 'MetagenerationNotMatch'];

/** `prefix` is `if`, or `ifSource` for the source of a copy. */
export function readConditions(query: URLSearchParams, prefix = 'if', headers: IncomingHttpHeaders = {}): Conditions {
  const read: Record<string, string> = {};
  for (const name of NUMBERS) {
    const text = query.get(prefix + name);
    if (text === null) continue;
    read[name.charAt(0).toLowerCase() + name.slice(1)] = String(readNumber(prefix + name, text));
  }
  const ifMatch = headerOf(headers, 'if-match');
  const ifNoneMatch = headerOf(headers, 'if-none-match');
  return {
    ...read,
    ...(ifMatch === undefined ? {} : { ifMatch }),
    ...(ifNoneMatch === undefined ? {} : { ifNoneMatch }),
  };
}

interface Standing {
  readonly generation: number;
  readonly metageneration: number;
}

/**
 * https://cloud.google.com/storage/docs/request-preconditions: a number that should match and does not is 412, one that
 * should not match and does is 304, for writes as well. Zero as a generation means that nothing stands there, and
 * "if no live object exists" every NotMatch fails, as does a metageneration that is asked for.
 */
export function checkConditions(
  object: Standing | undefined,
  conditions: Conditions,
  etag = object && etagOf(object),
): void {
  const generation = String(object?.generation ?? 0);
  const metageneration = String(object?.metageneration ?? 0);
  const { generationMatch, generationNotMatch, metagenerationMatch, metagenerationNotMatch } = conditions;
  if (generationMatch !== undefined && generationMatch !== generation) throw conditionNotMet();
  if (metagenerationMatch !== undefined && (!object || metagenerationMatch !== metageneration)) throw conditionNotMet();
  if (conditions.ifMatch !== undefined && !holds(conditions.ifMatch, etag)) throw conditionNotMet();
  if (generationNotMatch !== undefined && (!object || generationNotMatch === generation)) throw notModified();
  if (metagenerationNotMatch !== undefined && (!object || metagenerationNotMatch === metageneration))
    throw notModified();
  if (conditions.ifNoneMatch !== undefined && holds(conditions.ifNoneMatch, etag)) throw notModified();
}

function holds(list: string, etag: string | undefined): boolean {
  if (etag === undefined) return false;
  return list.split(',').some((it) => {
    const one = it.trim();
    return one === '*' || one.replace(/^W\//, '').replace(/^"(.*)"$/, '$1') === etag;
  });
}
