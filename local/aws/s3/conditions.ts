/** Conditions of reads, writes, deletes and copies, in the order in which S3 looks at them. */

import { type Call, header } from './call.ts';
import { notImplemented, type Refusal, refusal } from './refusal.ts';
import type { Version } from './tables.ts';

type Standing = Pick<Version, 'etag' | 'modified'>;

export type ReadVerdict = 'fine' | 'not-modified' | { readonly failed: string };

/** `prefix` is empty, or `x-amz-copy-source-` for the source of a copy. */
export function checkRead(call: Call, { etag, modified }: Standing, prefix = ''): ReadVerdict {
  const get = (name: string) => header(call, `${prefix}${name}`);
  const ifMatch = get('if-match');
  const unmodifiedSince = readDate(get('if-unmodified-since'));
  // An If-Match that holds makes If-Unmodified-Since of no account, and likewise below.
  if (ifMatch !== undefined) {
    if (!names(ifMatch, etag)) return { failed: `${prefix}If-Match` };
  } else if (unmodifiedSince !== null && modified > unmodifiedSince) return { failed: `${prefix}If-Unmodified-Since` };

  const ifNoneMatch = get('if-none-match');
  const modifiedSince = readDate(get('if-modified-since'));
  if (ifNoneMatch !== undefined) return names(ifNoneMatch, etag) ? 'not-modified' : 'fine';
  // A time that has not come yet is no condition.
  const since = modifiedSince !== null && modifiedSince <= call.s3.cloud.now() ? modifiedSince : null;
  return since !== null && modified <= since ? 'not-modified' : 'fine';
}

/** Throws unless the source of a copy is as the client wants it. */
export function checkSource(call: Call, source: Standing): void {
  const verdict = checkRead(call, source, 'x-amz-copy-source-');
  if (verdict === 'fine') return;
  throw failed(verdict === 'not-modified' ? 'x-amz-copy-source-If-None-Match' : verdict.failed);
}

export type WriteCondition =
  | { readonly kind: 'none' }
  | { readonly kind: 'absent' }
  | { readonly kind: 'etag'; readonly etag: string };

export function readWriteCondition(call: Call): WriteCondition {
  const ifMatch = header(call, 'if-match');
  const ifNoneMatch = header(call, 'if-none-match');
  if (ifMatch !== undefined && ifNoneMatch !== undefined)
    throw notImplemented('If-Match,If-None-Match', 'Multiple conditional request headers present in the request');
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') throw unaccepted('If-None-Match');
  if (ifMatch === '*') throw unaccepted('If-Match');
  if (ifNoneMatch !== undefined) return { kind: 'absent' };
  return ifMatch === undefined ? { kind: 'none' } : { kind: 'etag', etag: ifMatch };
}

/**
 * Throws unless a write may replace what stands at its end. `began` is the id of what stood when it began, or null:
 * what changed in between without breaking the condition is a conflict.
 */
export function checkWrite(condition: WriteCondition, key: string, began: number | null, now?: Version): void {
  if (condition.kind === 'none') return;
  const conflict = (name: string): Refusal =>
    refusal('ConditionalRequestConflict', { details: { Condition: name, Key: key } });
  if (condition.kind === 'absent') {
    if (now !== undefined) throw failed('If-None-Match');
    if (began !== null) throw conflict('If-None-Match');
    return;
  }
  if (now === undefined) throw refusal('NoSuchKey', { details: { Key: key } });
  if (!names(condition.etag, now.etag)) throw failed('If-Match');
  if (now.id !== began) throw conflict('If-Match');
}

/** Unlike a write, a delete may ask for anything at all with `*`. */
export function checkDelete(ifMatch: string | undefined, key: string, now?: Version): void {
  if (ifMatch === undefined) return;
  if (now === undefined) throw refusal('NoSuchKey', { details: { Key: key } });
  if (!names(ifMatch, now.etag)) throw failed('If-Match');
}

export function failed(condition: string): Refusal {
  return refusal('PreconditionFailed', { details: { Condition: condition } });
}

function unaccepted(name: string): Refusal {
  return notImplemented(name, `We don't accept the provided value of ${name} header for this API`);
}

/** Tags come with quotes or without, alone or in a list. */
function names(list: string, etag: string): boolean {
  return list.split(',').some((each) => {
    const one = each.trim();
    return one === '*' || one === etag || one === `"${etag}"`;
  });
}

/** What is no date is no condition. */
function readDate(text: string | undefined): number | null {
  const at = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(at) ? null : at;
}
