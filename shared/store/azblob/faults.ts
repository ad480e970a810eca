/** What Azure Blob answers, and the fault it means: first by its error code, else by its status. */

import { type FaultDetails, type FaultKind, fault } from '../../model/fault.ts';
import { connectionFailure } from '../body.ts';

/** unknown: the service failed somewhere on the way, so a write may have happened. */
type Meaning = FaultKind | 'unknown';

const BY_CODE: Readonly<Record<string, Meaning>> = {
  BlobNotFound: 'not-found',
  CannotVerifyCopySource: 'not-found',
  // The source is pinned, so it is another one by now.
  SourceConditionNotMet: 'not-found',
  // A container that is gone must never look like a container whose blobs are gone.
  ContainerNotFound: 'unavailable',
  ContainerBeingDeleted: 'unavailable',
  ContainerDisabled: 'unavailable',
  AccountBeingCreated: 'unavailable',

  BlobAlreadyExists: 'precondition',
  ConditionNotMet: 'precondition',
  TargetConditionNotMet: 'precondition',

  // Another write of the same name discarded blocks that waited for ours, or left some of another shape.
  InvalidBlockList: 'conflict',
  InvalidBlobOrBlock: 'conflict',
  // Somebody holds a lease: not the condition we asked for, and over when they let go.
  LeaseIdMissing: 'conflict',
  LeaseAlreadyPresent: 'conflict',
  PendingCopyOperation: 'conflict',

  Md5Mismatch: 'corrupt',
  Crc64Mismatch: 'corrupt',
  InvalidRange: 'invalid',
  InvalidMetadata: 'invalid',
  InvalidResourceName: 'invalid',
  MetadataTooLarge: 'too-large',
  RequestBodyTooLarge: 'too-large',
  BlockCountExceedsLimit: 'too-large',

  SnapshotsPresent: 'forbidden',
  BlobImmutableDueToPolicy: 'forbidden',
  BlobImmutableDueToLegalHold: 'forbidden',
  BlobArchived: 'unsupported',
  BlobBeingRehydrated: 'unsupported',
  InvalidBlobType: 'unsupported',
  FeatureVersionMismatch: 'unsupported',
  APINotImplemented: 'unsupported',

  ServerBusy: 'throttled',
  AccountIopsLimitExceeded: 'throttled',
  OperationTimedOut: 'unknown',
  InternalError: 'unknown',
};

const BY_STATUS: Readonly<Record<number, Meaning>> = {
  304: 'precondition',
  400: 'invalid',
  401: 'forbidden',
  403: 'forbidden',
  404: 'not-found',
  408: 'unknown',
  409: 'conflict',
  412: 'precondition',
  413: 'too-large',
  416: 'invalid',
  429: 'throttled',
  501: 'unsupported',
};

interface ServiceError extends Error {
  readonly statusCode?: number;
  readonly code?: string;
  readonly details?: { readonly errorCode?: string };
  readonly response?: { readonly headers?: { get(name: string): string | undefined } };
}

/** `error` is what a call of the SDK threw, nothing else. */
export function toFault(error: unknown, place: FaultDetails, writes: boolean): Error {
  const { statusCode, message } = error as ServiceError;
  if (statusCode === undefined) {
    const kind = connectionFailure(error, writes);
    return fault(kind, `Azure Blob did not answer: ${message}`, { ...place, cause: error });
  }
  const code = codeOf(error as ServiceError);
  const meaning = BY_CODE[code] ?? BY_STATUS[statusCode] ?? (statusCode >= 500 ? 'unknown' : 'invalid');
  const kind = meaning === 'unknown' ? (writes ? 'timeout' : 'unavailable') : meaning;
  const told = message.split('\n', 1)[0];
  return fault(kind, `Azure Blob: ${statusCode} ${code}: ${told}`, { ...place, value: statusCode, cause: error });
}

/** A HEAD has no body to name the code in. */
function codeOf({ response, details, code }: ServiceError): string {
  return response?.headers?.get('x-ms-error-code') ?? details?.errorCode ?? code ?? '';
}
