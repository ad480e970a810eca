/** What gRPC's status codes mean to us, for every driver that speaks to Google over gRPC. */

import { type Fault, type FaultKind, fault, isFault } from './fault.ts';

/** By number, https://grpc.io/docs/guides/status-codes/. Where nobody knows whether a write happened it is a timeout. */
const MEANINGS: Readonly<Record<number, FaultKind>> = {
  1: 'timeout', // CANCELLED: by our side, with the request already under way
  2: 'timeout', // UNKNOWN
  3: 'invalid', // INVALID_ARGUMENT
  4: 'timeout', // DEADLINE_EXCEEDED
  5: 'not-found',
  6: 'precondition', // ALREADY_EXISTS
  7: 'forbidden', // PERMISSION_DENIED
  8: 'throttled', // RESOURCE_EXHAUSTED
  9: 'precondition', // FAILED_PRECONDITION
  10: 'conflict', // ABORTED
  11: 'invalid', // OUT_OF_RANGE
  12: 'unsupported', // UNIMPLEMENTED
  13: 'timeout', // INTERNAL: also what a stream that was reset looks like
  14: 'unavailable', // UNAVAILABLE, as far as the service said it itself
  15: 'corrupt', // DATA_LOSS
  16: 'forbidden', // UNAUTHENTICATED
};

/** grpc-js says UNAVAILABLE for what happens to connections as well; only its words tell them apart. */
const NO_CONNECTION = /^(?:No connection established|Name resolution failed|Channel closed before call started)/;
const BROKEN_CONNECTION = /^(?:Connection dropped|Stream refused|read E|write E|socket hang up)/;
const NO_CREDENTIALS = /Could not (?:load the default credentials|refresh access token)|Unable to detect a Project Id/;

export interface GrpcPlace {
  readonly service: string;
  readonly op: string;
  readonly key?: string;
}

/** A Fault stays as it is. */
export function toGrpcFault(error: unknown, { service, op, key }: GrpcPlace): Fault {
  if (isFault(error)) return error;
  const text = textOf(error);
  const details = { op, cause: error, ...(key === undefined ? {} : { key }) };
  return fault(kindOf(codeOf(error), text), `${service}, ${op}: ${text}`, details);
}

function kindOf(code: number | null, text: string): FaultKind {
  if (code === null || NO_CREDENTIALS.test(text)) return NO_CREDENTIALS.test(text) ? 'forbidden' : 'internal';
  if (code === 14 && NO_CONNECTION.test(text)) return 'unreachable';
  if (code === 14 && BROKEN_CONNECTION.test(text)) return 'timeout';
  return MEANINGS[code] ?? 'internal';
}

/** Null: no status of gRPC. */
export function codeOf(error: unknown): number | null {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return typeof code === 'number' ? code : null;
}

/** What the service said of single items: google.rpc.ErrorInfo, as gax unpacks it. */
export function errorInfoOf(error: unknown): { readonly reason: string; readonly metadata: Record<string, string> } {
  const { reason, errorInfoMetadata } = (error ?? {}) as {
    reason?: string;
    errorInfoMetadata?: Record<string, string>;
  };
  return { reason: reason ?? '', metadata: errorInfoMetadata ?? {} };
}

function textOf(error: unknown): string {
  const { details, message } = (error ?? {}) as { readonly details?: unknown; readonly message?: unknown };
  if (typeof details === 'string' && details !== '') return details;
  return typeof message === 'string' ? message : String(error);
}
