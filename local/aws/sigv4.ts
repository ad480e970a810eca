/** Checks AWS Signature Version 4 as the services do: in headers, in presigned URLs, and chunk by chunk in bodies. */

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Secrets by access key id. */
export type Credentials = ReadonlyMap<string, string>;

/** Whoever uses the local clouds signs with these. */
export const LOCAL_CREDENTIALS: Credentials = new Map([['local', 'local-secret']]);

export type SignatureProblem =
  | 'missing' // nobody signed
  | 'unsupported' // signed in another way than version 4
  | 'malformed' // the header or the query parameters make no sense
  | 'wrong-scope' // signed for another day, service or region
  | 'unknown-key'
  | 'unsigned-header' // x-amz-... was sent but not signed
  | 'skewed' // the clocks differ by more than a quarter of an hour
  | 'expired'
  | 'mismatch';

/** Each service has its own name for each problem; `details` are what S3 adds to its answer. */
export class SignatureError extends Error {
  override readonly name = 'SignatureError';
  readonly problem: SignatureProblem;
  readonly presigned: boolean;
  readonly details: Readonly<Record<string, string>>;

  constructor(problem: SignatureProblem, message: string, presigned: boolean, details: Record<string, string> = {}) {
    super(message);
    this.problem = problem;
    this.presigned = presigned;
    this.details = details;
  }
}

export interface SignatureRules {
  /** s3, sqs, sns, dynamodb: signed into every request. */
  readonly service: string;
  /** The clock of the cloud. */
  readonly now: number;
  /** Left out: any region is taken. */
  readonly region?: string;
  /** SHA-256 of the body in hex, of services that read it first; left out: what x-amz-content-sha256 says. */
  readonly payloadHash?: string;
}

export interface VerifiedSignature {
  readonly accessKeyId: string;
  readonly region: string;
  readonly presigned: boolean;
  /** What was signed as the body: hex of a SHA-256, UNSIGNED-PAYLOAD or STREAMING-... */
  readonly payloadHash: string;
  readonly signature: string;
  /** What a streamed body goes on signing with. */
  readonly date: string;
  readonly scope: string;
  readonly key: Buffer;
}

export type SignedRequest = Pick<IncomingMessage, 'method' | 'url' | 'headers' | 'headersDistinct'>;

const ALGORITHM = 'AWS4-HMAC-SHA256';
const SKEW_MS_MAX = 15 * 60_000;
const WEEK_SECONDS = 604_800;
const UNSIGNED = 'UNSIGNED-PAYLOAD';

interface Claim {
  readonly presigned: boolean;
  readonly credential: string;
  readonly signedHeaders: string;
  readonly signature: string;
  readonly date: string;
  readonly expires?: number;
}

/** Throws a SignatureError where the service would refuse the request. */
export function verifySignature(
  request: SignedRequest,
  credentials: Credentials,
  rules: SignatureRules,
): VerifiedSignature {
  const query = readPairs(request.url ?? '/');
  const claim = readClaim(request, query);
  const { presigned } = claim;
  const refuse = (problem: SignatureProblem, message: string, details?: Record<string, string>) =>
    new SignatureError(problem, message, presigned, details);
  const [accessKeyId = '', day = '', region = '', service = '', end = '', ...more] = claim.credential.split('/');
  if (end !== 'aws4_request' || more.length > 0)
    throw refuse(
      'malformed',
      'The credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  const at = readDate(claim.date);
  if (at === null) throw refuse('malformed', "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
  if (day !== claim.date.slice(0, 8))
    throw refuse(
      'wrong-scope',
      `Invalid credential date "${day}". This date is not the same as X-Amz-Date: "${claim.date.slice(0, 8)}".`,
    );
  if (service !== rules.service)
    throw refuse('wrong-scope', `incorrect service "${service}". This endpoint belongs to "${rules.service}".`);
  if (rules.region !== undefined && region !== rules.region)
    throw refuse('wrong-scope', `the region '${region}' is wrong; expecting '${rules.region}'`, {
      Region: rules.region,
    });
  checkTime(claim, at, rules.now);
  const secret = credentials.get(accessKeyId);
  if (secret === undefined)
    throw refuse('unknown-key', 'The AWS Access Key Id you provided does not exist in our records.', {
      AWSAccessKeyId: accessKeyId,
    });

  const signed = claim.signedHeaders.split(';');
  const unsigned = Object.keys(request.headers).filter((name) => name.startsWith('x-amz-') && !signed.includes(name));
  if (!signed.includes('host')) unsigned.push('host');
  // The content hash is part of what is signed in any case.
  const missed = unsigned.filter((name) => name !== 'x-amz-content-sha256');
  if (missed.length > 0)
    throw refuse('unsigned-header', 'There were headers present in the request which were not signed', {
      HeadersNotSigned: missed.join(', '),
    });

  const inQuery = query.find(([name]) => name.toLowerCase() === 'x-amz-content-sha256')?.[1];
  const said = (presigned ? inQuery : undefined) ?? request.headers['x-amz-content-sha256'];
  const hash = rules.payloadHash ?? String(said ?? (presigned ? UNSIGNED : ''));
  const scope = `${day}/${region}/${service}/aws4_request`;
  const canonical = [
    request.method ?? 'GET',
    canonicalPath(request.url ?? '/', service),
    canonicalQuery(query),
    ...signed.map((name) => `${name}:${headerText(request, name)}`),
    '',
    claim.signedHeaders,
    hash,
  ].join('\n');
  const text = [ALGORITHM, claim.date, scope, sha256(Buffer.from(canonical, 'latin1'))].join('\n');
  const key = signingKey(secret, day, region, service);
  if (!same(hmac(key, text).toString('hex'), claim.signature))
    throw refuse(
      'mismatch',
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
      {
        AWSAccessKeyId: accessKeyId,
        StringToSign: text,
        SignatureProvided: claim.signature,
        CanonicalRequest: canonical,
      },
    );
  return {
    accessKeyId,
    region,
    presigned,
    payloadHash: hash,
    signature: claim.signature,
    date: claim.date,
    scope,
    key,
  };
}

/** The signatures of the chunks of a streamed body, each of which signs the one before. */
export interface ChunkSignatures {
  /** Whether this is the signature of the next chunk, given the SHA-256 of its bytes in hex. */
  chunk(signature: string, hash: string): boolean;
  /** The same for the headers behind the last chunk. */
  trailer(signature: string, hash: string): boolean;
}

export function openChunkSignatures({ signature, date, scope, key }: VerifiedSignature): ChunkSignatures {
  const empty = sha256('');
  let previous = signature;
  const next = (given: string, ...lines: readonly string[]): boolean => {
    previous = hmac(key, lines.join('\n')).toString('hex');
    return same(previous, given);
  };
  return {
    chunk: (given, hash) => next(given, `${ALGORITHM}-PAYLOAD`, date, scope, previous, empty, hash),
    trailer: (given, hash) => next(given, `${ALGORITHM}-TRAILER`, date, scope, previous, hash),
  };
}

function readClaim(request: SignedRequest, query: readonly Pair[]): Claim {
  const get = (name: string) => query.find(([it]) => it === name)?.[1];
  const { authorization } = request.headers;
  const algorithm = get('X-Amz-Algorithm');
  if (algorithm !== undefined) {
    const refuse = (message: string) => new SignatureError('malformed', message, true);
    if (authorization !== undefined)
      throw refuse(
        'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header ' +
          'should be specified',
      );
    if (algorithm !== ALGORITHM) throw refuse(`X-Amz-Algorithm only supports "${ALGORITHM}"`);
    const credential = get('X-Amz-Credential');
    const signedHeaders = get('X-Amz-SignedHeaders');
    const signature = get('X-Amz-Signature');
    const date = get('X-Amz-Date');
    const expires = get('X-Amz-Expires');
    if (!credential || !signedHeaders || !signature || !date || !expires)
      throw refuse(
        'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, ' +
          'X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
      );
    const seconds = Number(expires);
    if (!/^-?\d{1,15}$/.test(expires)) throw refuse('X-Amz-Expires should be a number');
    if (seconds < 0) throw refuse('X-Amz-Expires must be non-negative');
    if (seconds > WEEK_SECONDS)
      throw refuse(
        'X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than ' +
          `${WEEK_SECONDS} seconds`,
      );
    return { presigned: true, credential, signedHeaders, signature, date, expires: seconds };
  }
  if (get('Signature') !== undefined && get('AWSAccessKeyId') !== undefined)
    throw new SignatureError('unsupported', `Please use ${ALGORITHM}.`, true);
  if (authorization === undefined) throw new SignatureError('missing', 'Access Denied', false);
  const [kind, ...rest] = authorization.split(/\s+/);
  if (kind !== ALGORITHM)
    throw new SignatureError(
      'unsupported',
      `The authorization mechanism you have provided is not supported. Please use ${ALGORITHM}.`,
      false,
    );
  const fields = new Map(
    rest
      .join('')
      .split(',')
      .map((field): Pair => cutAt(field, '=')),
  );
  const credential = fields.get('Credential');
  const signedHeaders = fields.get('SignedHeaders');
  const signature = fields.get('Signature');
  if (!credential || !signedHeaders || !signature)
    throw new SignatureError(
      'malformed',
      'The authorization header is malformed; it requires Credential, SignedHeaders and Signature.',
      false,
    );
  const date = request.headers['x-amz-date'] ?? toLongDate(request.headers.date);
  if (typeof date !== 'string' || date === '')
    throw new SignatureError('missing', 'AWS authentication requires a valid Date or x-amz-date header', false);
  return { presigned: false, credential, signedHeaders, signature, date };
}

function checkTime({ presigned, expires = 0, date }: Claim, at: number, now: number): void {
  const time = { ServerTime: toIso(now), MaxAllowedSkewMilliseconds: String(SKEW_MS_MAX), RequestTime: date };
  const tooLarge = 'The difference between the request time and the current time is too large.';
  if (!presigned) {
    if (Math.abs(now - at) > SKEW_MS_MAX) throw new SignatureError('skewed', tooLarge, false, time);
    return;
  }
  if (at - now > SKEW_MS_MAX)
    throw new SignatureError('expired', 'Request is not yet valid', true, { ServerTime: toIso(now) });
  if (now > at + expires * 1000)
    throw new SignatureError('expired', 'Request has expired', true, {
      'X-Amz-Expires': String(expires),
      Expires: toIso(at + expires * 1000),
      ServerTime: toIso(now),
    });
}

function headerText({ headers, headersDistinct }: SignedRequest, name: string): string {
  const values = headersDistinct?.[name] ?? [String(headers[name] ?? '')];
  return values.map((value) => value.trim().replace(/ +/g, ' ')).join(',');
}

type Pair = readonly [name: string, value: string];

function readPairs(url: string): readonly Pair[] {
  const at = url.indexOf('?');
  if (at < 0) return [];
  const texts = url.slice(at + 1).split('&');
  return texts
    .filter((text) => text !== '')
    .map((text) => {
      const [name, value] = cutAt(text, '=');
      return [decode(name.replaceAll('+', ' ')), decode(value.replaceAll('+', ' '))];
    });
}

function canonicalQuery(query: readonly Pair[]): string {
  return query
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]): Pair => [encode(name), encode(value)])
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    .map((pair) => pair.join('='))
    .join('&');
}

/** S3 signs the path as it is, the others sign it encoded once more. */
function canonicalPath(url: string, service: string): string {
  const path = url.split('?', 1)[0] || '/';
  const segments = path.split('/');
  return segments.map((segment) => encode(service === 's3' ? decode(segment) : segment)).join('/');
}

/** As RFC 3986 wants it, which is stricter than encodeURIComponent. */
export function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(/[!'()*]/g, toPercent);
}

function toPercent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function cutAt(text: string, separator: string): Pair {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function readDate(text: string): number | null {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) return null;
  const [, year, month, day, hour, minute, second] = match;
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(at) ? null : at;
}

function toLongDate(httpDate: string | undefined): string {
  const at = Date.parse(httpDate ?? '');
  return Number.isNaN(at) ? '' : toIso(at).replaceAll(/[-:]/g, '');
}

function toIso(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}

/** Deriving a key takes four hashes, and it is the same all day. */
const keys = new Map<string, Buffer>();
const KEYS_MAX = 100;

function signingKey(secret: string, day: string, region: string, service: string): Buffer {
  const name = JSON.stringify([secret, day, region, service]);
  let key = keys.get(name);
  if (key === undefined) {
    key = [day, region, service, 'aws4_request'].reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`));
    if (keys.size >= KEYS_MAX) keys.clear();
    keys.set(name, key);
  }
  return key;
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(bytes: string | Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function same(expected: string, given: string): boolean {
  const [a, b] = [Buffer.from(expected), Buffer.from(given)];
  return a.length === b.length && timingSafeEqual(a, b);
}
