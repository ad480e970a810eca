/** Which bucket, key and parameters a request is about, in path style and in virtual-host style. */

import { refusal } from './refusal.ts';

export interface Target {
  /** Empty: the request is about the service itself. */
  readonly bucket: string;
  /** Empty: the request is about the bucket. */
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
}

const KEY_BYTES_MAX = 1024;

/** Throws InvalidURI where something is not well-formed UTF-8. */
export function readTarget(url: string, host: string | undefined): Target {
  const at = url.indexOf('?');
  const path = at < 0 ? url : url.slice(0, at);
  if (!path.startsWith('/')) throw refusal('InvalidURI', { details: { URI: url } });
  const query = new Map<string, string>();
  for (const pair of at < 0 ? [] : url.slice(at + 1).split('&')) {
    if (pair === '') continue;
    const middle = pair.indexOf('=');
    const [name, value] = middle < 0 ? [pair, ''] : [pair.slice(0, middle), pair.slice(middle + 1)];
    query.set(decode(name.replaceAll('+', ' '), url), decode(value.replaceAll('+', ' '), url));
  }
  const named = bucketOfHost(host);
  if (named !== '') return { bucket: named, key: decode(path.slice(1), url), query };
  const slash = path.indexOf('/', 1);
  const bucket = decode(slash < 0 ? path.slice(1) : path.slice(1, slash), url);
  return { bucket, key: slash < 0 ? '' : decode(path.slice(slash + 1), url), query };
}

export function checkKey(key: string): string {
  const size = Buffer.byteLength(key);
  if (size > KEY_BYTES_MAX)
    throw refusal('KeyTooLongError', { details: { Size: size, MaxSizeAllowed: KEY_BYTES_MAX } });
  return key;
}

/** `bucket.s3.localhost`, `bucket.s3.us-east-1.amazonaws.com` and `bucket.localhost` name a bucket, `s3...` does not. */
function bucketOfHost(host = ''): string {
  const name = host.replace(/:\d*$/, '').toLowerCase();
  if (/^s3[.-]/.test(name)) return '';
  return /^(.+?)\.s3(?:[.-].*)?$/.exec(name)?.[1] ?? /^(.+)\.localhost$/.exec(name)?.[1] ?? '';
}

function decode(text: string, url: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refusal('InvalidURI', { details: { URI: url } });
  }
}
