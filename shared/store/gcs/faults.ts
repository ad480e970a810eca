/** What Google Cloud Storage answers, and the fault it means: by its code or reason first, else by its status. */

import { type FaultKind, fault } from '../../model/fault.ts';

/** unknown: the service failed somewhere on the way, so a write may have happened. */
type Meaning = FaultKind | 'unknown';

/** Reasons of the JSON API and codes of the XML API. */
const BY_REASON: Readonly<Record<string, Meaning>> = {
  // A bucket that is gone must never look like a bucket whose objects are gone.
  NoSuchBucket: 'unavailable',
  NoSuchUpload: 'not-found',
  InvalidPart: 'not-found',
  BadDigest: 'corrupt',
  EntityTooLarge: 'too-large',
  uploadTooLarge: 'too-large',
  SlowDown: 'throttled',
  rateLimitExceeded: 'throttled',
  userRateLimitExceeded: 'throttled',
  quotaExceeded: 'throttled',
};

const BY_STATUS: Readonly<Record<number, Meaning>> = {
  304: 'precondition',
  400: 'invalid',
  401: 'forbidden',
  403: 'forbidden',
  404: 'not-found',
  408: 'unknown',
  409: 'conflict',
  // Only sessions of resumable uploads answer so: theirs is over, and nothing was written.
  410: 'unavailable',
  412: 'precondition',
  413: 'too-large',
  416: 'invalid',
  429: 'throttled',
  501: 'unsupported',
};

/** What the JSON API tells only in words. */
const BY_MESSAGE: readonly (readonly [words: RegExp, meaning: Meaning])[] = [
  [/\bbucket does not exist/i, 'unavailable'],
  [/(?:crc32c|md5|hash|checksum)\b.*(?:match|mismatch)/is, 'corrupt'],
];

export function toFault(answer: { readonly status: number; readonly body: Buffer }, writes: boolean): Error {
  const { status } = answer;
  const { reason, message } = readError(answer.body.toString());
  const worded = status === 400 || status === 404 ? BY_MESSAGE.find(([words]) => words.test(message))?.[1] : undefined;
  const meaning = worded ?? BY_REASON[reason] ?? BY_STATUS[status] ?? (status >= 500 ? 'unknown' : 'invalid');
  const kind = meaning === 'unknown' ? (writes ? 'timeout' : 'unavailable') : meaning;
  return fault(kind, `Google Cloud Storage: ${status} ${reason}: ${message}`, { value: status });
}

const MESSAGE_CHARS_MAX = 500;

function readError(text: string): { readonly reason: string; readonly message: string } {
  const whole = text.slice(0, MESSAGE_CHARS_MAX);
  if (text.startsWith('<')) return { reason: /<Code>([^<]*)/.exec(text)?.[1] ?? '', message: whole };
  try {
    const { error } = JSON.parse(text) as { error: { message?: string; errors?: { reason?: string }[] } };
    return { reason: error.errors?.[0]?.reason ?? '', message: error.message ?? whole };
  } catch {
    return { reason: '', message: whole };
  }
}
