/** What every error of S3 and of the way there means in the words of the contract: one table, read once per failed call. */

import { type Fault, type FaultDetails, type FaultKind, fault, isFault } from '../../model/fault.ts';

/** What was asked when it failed. */
export interface Asked {
  readonly site: string;
  readonly op: string;
  readonly key?: string;
  /** A write that nobody answered may have happened; nothing was lost with a read. */
  readonly writes: boolean;
}

interface Meaning {
  readonly kind: FaultKind;
  /** The same for a write, where that differs. */
  readonly write?: FaultKind;
  readonly field?: string;
}

const UNKNOWN: Meaning = { kind: 'unavailable', write: 'timeout' };
const THROTTLED: Meaning = { kind: 'throttled' };
const UNAVAILABLE: Meaning = { kind: 'unavailable' };
const UNREACHABLE: Meaning = { kind: 'unreachable' };
const FORBIDDEN: Meaning = { kind: 'forbidden' };
const CONFLICT: Meaning = { kind: 'conflict' };
const NOT_FOUND: Meaning = { kind: 'not-found' };
const CORRUPT: Meaning = { kind: 'corrupt' };
const KEY: Meaning = { kind: 'invalid', field: 'key' };
const PARTS: Meaning = { kind: 'invalid', field: 'parts' };
const REGION: Meaning = { kind: 'invalid', field: 'region' };

/**
 * By the code that S3 names. A missing bucket is never 'not-found': nobody shall take it for a deletion of what was in
 * it. A part that is not there is, as the upload itself is when it is gone: in both cases the parts have to be sent again.
 */
const BY_CODE: Readonly<Record<string, Meaning>> = {
  SlowDown: THROTTLED,
  Throttling: THROTTLED,
  ThrottlingException: THROTTLED,
  RequestLimitExceeded: THROTTLED,
  TooManyRequests: THROTTLED,
  ServiceUnavailable: UNAVAILABLE,
  RequestTimeout: UNAVAILABLE,
  RequestTimeTooSkewed: UNAVAILABLE,
  IncompleteBody: UNAVAILABLE,
  CredentialsProviderError: UNAVAILABLE,
  InternalError: UNKNOWN,
  OperationAborted: CONFLICT,
  ConditionalRequestConflict: CONFLICT,
  PreconditionFailed: { kind: 'precondition' },
  NoSuchKey: NOT_FOUND,
  NoSuchVersion: NOT_FOUND,
  NoSuchUpload: NOT_FOUND,
  InvalidPart: NOT_FOUND,
  InvalidPartOrder: PARTS,
  EntityTooSmall: PARTS,
  NoSuchBucket: { kind: 'invalid', field: 'bucket' },
  InvalidBucketName: { kind: 'invalid', field: 'bucket' },
  PermanentRedirect: REGION,
  AuthorizationHeaderMalformed: REGION,
  BadDigest: CORRUPT,
  InvalidDigest: CORRUPT,
  XAmzContentSHA256Mismatch: CORRUPT,
  XAmzContentChecksumMismatch: CORRUPT,
  EntityTooLarge: { kind: 'too-large', field: 'body' },
  MetadataTooLarge: { kind: 'too-large', field: 'metadata' },
  KeyTooLongError: KEY,
  InvalidURI: KEY,
  XMinioInvalidObjectName: KEY,
  InvalidRange: { kind: 'invalid', field: 'range' },
  NotImplemented: { kind: 'unsupported' },
  InvalidObjectState: FORBIDDEN,
};

/** By the status alone, for codes nobody has told us of and answers without a body. */
const BY_STATUS: Readonly<Record<number, Meaning>> = {
  400: { kind: 'invalid' },
  401: FORBIDDEN,
  403: FORBIDDEN,
  404: NOT_FOUND,
  405: { kind: 'unsupported' },
  408: UNAVAILABLE,
  409: CONFLICT,
  412: { kind: 'precondition' },
  413: { kind: 'too-large', field: 'body' },
  416: { kind: 'invalid', field: 'range' },
  429: THROTTLED,
  501: { kind: 'unsupported' },
  503: UNAVAILABLE,
};

/** By the code of the operating system, where no answer came. What is not listed may have reached the service. */
const BY_CONNECTION: Readonly<Record<string, Meaning>> = {
  ECONNREFUSED: UNREACHABLE,
  ENOTFOUND: UNREACHABLE,
  EAI_AGAIN: UNREACHABLE,
  EHOSTUNREACH: UNREACHABLE,
  ENETUNREACH: UNREACHABLE,
  CERT_HAS_EXPIRED: UNREACHABLE,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNREACHABLE,
  SELF_SIGNED_CERT_IN_CHAIN: UNREACHABLE,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNREACHABLE,
  ERR_TLS_CERT_ALTNAME_INVALID: UNREACHABLE,
};

const NO_ANSWER: Meaning = { kind: 'timeout' };

/** The Fault for whatever the SDK threw; one that is a Fault already stays what it is. */
export function toFault(error: unknown, asked: Asked): Fault {
  if (isFault(error)) return fault(error.kind, error.message, { ...placeOf(asked), ...error.details });
  const { kind, write, field } = meaningOf(error);
  const status = statusOf(error);
  const details: FaultDetails = {
    ...placeOf(asked),
    ...(field !== undefined && { field }),
    ...(status !== undefined && { value: status }),
    cause: error,
  };
  return fault((asked.writes && write) || kind, messageOf(error, asked), details);
}

/** The code S3 gave, or the name of the SDK's own error; empty when there is neither. */
export function codeOf(error: unknown): string {
  return textOf(error, 'Code') || textOf(error, 'name');
}

export function statusOf(error: unknown): number | undefined {
  const metadata = (error as { $metadata?: { httpStatusCode?: number } } | null)?.$metadata;
  return metadata?.httpStatusCode;
}

/** A header of the answer that failed. */
export function headerOf(error: unknown, name: string): string | undefined {
  const response = (error as { $response?: { headers?: Record<string, string> } } | null)?.$response;
  return response?.headers?.[name];
}

function meaningOf(error: unknown): Meaning {
  const byCode = BY_CODE[codeOf(error)];
  if (byCode) return byCode;
  const status = statusOf(error);
  // A status that tells of success came with an answer nobody could read.
  if (status !== undefined) return BY_STATUS[status] ?? (status >= 400 && status < 500 ? { kind: 'invalid' } : UNKNOWN);
  const system = textOf(error, 'code');
  if (textOf(error, 'syscall') === 'connect') return UNREACHABLE;
  if (system !== '') return BY_CONNECTION[system] ?? UNKNOWN;
  const name = textOf(error, 'name');
  return name === 'AbortError' || name === 'TimeoutError' ? NO_ANSWER : { kind: 'internal' };
}

function messageOf(error: unknown, { op, key }: Asked): string {
  const code = codeOf(error) || textOf(error, 'code');
  const text = error instanceof Error ? error.message : String(error);
  return `${op}${key === undefined ? '' : ` ${JSON.stringify(key)}`}: ${[code, text].filter(Boolean).join(': ')}`;
}

function placeOf({ site, op, key }: Asked): FaultDetails {
  return { site, op, ...(key !== undefined && { key }) };
}

function textOf(error: unknown, name: string): string {
  const value = (error as Record<string, unknown> | null)?.[name];
  return typeof value === 'string' ? value : '';
}
