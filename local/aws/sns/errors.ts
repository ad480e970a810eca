/** The errors of SNS, by the code that its clients know. */

import { AwsError } from '../query/error.ts';
import { ShapeError } from '../query/shape.ts';

const STATUS = {
  BatchEntryIdsNotDistinct: 400,
  BatchRequestTooLong: 400,
  EmptyBatchRequest: 400,
  InternalError: 500,
  InvalidAction: 400,
  InvalidBatchEntryId: 400,
  InvalidParameter: 400,
  MalformedInput: 400,
  NotFound: 404,
  ParameterValueInvalid: 400,
  RequestEntityTooLarge: 413,
  ServiceUnavailable: 503,
  Throttled: 429,
  TooManyEntriesInBatchRequest: 400,
  ValidationError: 400,
} as const;

export type SnsErrorName = keyof typeof STATUS;

export function snsError(code: SnsErrorName, message: string, status: number = STATUS[code]): AwsError {
  return new AwsError({ type: code, code, status }, message);
}

export function invalidParameter(text: string): AwsError {
  return snsError('InvalidParameter', `Invalid parameter: ${text}`);
}

/** What a call threw, as SNS tells it. */
export function toSnsError(error: unknown): AwsError {
  if (error instanceof AwsError) return error;
  if (!(error instanceof ShapeError)) return snsError('InternalError', 'We encountered an internal error.');
  const value = error.kind === 'missing' ? 'Value null' : 'The value';
  return snsError(
    'ValidationError',
    `1 validation error detected: ${value} at '${error.member}' failed to satisfy constraint: Member must ` +
      (error.kind === 'missing' ? 'not be null' : 'be readable'),
  );
}

/** What a fault asks for by its status. */
export function errorOfStatus(status: number): AwsError {
  if (status === 429) return snsError('Throttled', 'Rate exceeded');
  if (status === 503) return snsError('ServiceUnavailable', 'The service is unavailable, please try again.');
  if (status >= 500) return snsError('InternalError', 'We encountered an internal error. Please try again.', status);
  return snsError('InvalidParameter', 'The request was refused.', status);
}
