/** The errors of SQS: their names in both protocols and their status. */

import { AwsError, type AwsErrorKind } from '../query/error.ts';
import { ShapeError } from '../query/shape.ts';

const SQS = 'com.amazonaws.sqs#';
const COMMON = 'com.amazon.coral.service#';
const OLD = 'AWS.SimpleQueueService.';

const own = (type: string, code = type, status = 400): AwsErrorKind => ({ type: SQS + type, code, status });
const old = (type: string, status = 400): AwsErrorKind => own(type, OLD + type, status);
const common = (type: string, code: string, status = 400): AwsErrorKind => ({ type: COMMON + type, code, status });

const KINDS = {
  BatchEntryIdsNotDistinct: old('BatchEntryIdsNotDistinct'),
  BatchRequestTooLong: old('BatchRequestTooLong'),
  EmptyBatchRequest: old('EmptyBatchRequest'),
  InvalidAddress: own('InvalidAddress'),
  InvalidAttributeName: own('InvalidAttributeName'),
  InvalidAttributeValue: own('InvalidAttributeValue'),
  InvalidBatchEntryId: old('InvalidBatchEntryId'),
  InvalidMessageContents: own('InvalidMessageContents'),
  OverLimit: own('OverLimit', 'OverLimit', 403),
  PurgeQueueInProgress: old('PurgeQueueInProgress', 403),
  QueueDeletedRecently: old('QueueDeletedRecently'),
  QueueDoesNotExist: own('QueueDoesNotExist', `${OLD}NonExistentQueue`),
  QueueNameExists: own('QueueNameExists', 'QueueAlreadyExists'),
  ReceiptHandleIsInvalid: own('ReceiptHandleIsInvalid'),
  ResourceNotFoundException: own('ResourceNotFoundException', 'ResourceNotFoundException', 404),
  TooManyEntriesInBatchRequest: old('TooManyEntriesInBatchRequest'),
  UnsupportedOperation: old('UnsupportedOperation'),
  InternalFailure: common('InternalFailure', 'InternalFailure', 500),
  InvalidAction: common('UnknownOperationException', 'InvalidAction'),
  InvalidParameterValue: common('InvalidParameterValueException', 'InvalidParameterValue'),
  MalformedInput: common('SerializationException', 'MalformedInput'),
  MissingParameter: common('MissingRequiredParameterException', 'MissingParameter'),
  RequestTooLarge: common('RequestEntityTooLargeException', 'RequestEntityTooLarge', 413),
  RequestThrottled: own('RequestThrottled', 'RequestThrottled', 403),
  ServiceUnavailable: common('ServiceUnavailableException', 'ServiceUnavailable', 503),
} as const;

export type SqsErrorName = keyof typeof KINDS;

export function sqsError(name: SqsErrorName, message: string): AwsError {
  return new AwsError(KINDS[name], message);
}

export function invalidParameter(value: unknown, parameter: string, reason: string): AwsError {
  return sqsError('InvalidParameterValue', `Value ${value} for parameter ${parameter} is invalid. Reason: ${reason}`);
}

export function noSuchQueue(): AwsError {
  return sqsError('QueueDoesNotExist', 'The specified queue does not exist.');
}

/** What a call threw, as SQS tells it. */
export function toSqsError(error: unknown): AwsError {
  if (error instanceof AwsError) return error;
  if (!(error instanceof ShapeError)) return sqsError('InternalFailure', 'We encountered an internal error.');
  if (error.kind === 'malformed') return sqsError('MalformedInput', `The value of ${error.member} cannot be read.`);
  return sqsError('MissingParameter', `The request must contain the parameter ${error.member}.`);
}

/** What a fault asks for by its status. */
export function errorOfStatus(status: number): AwsError {
  if (status === 429) return sqsError('RequestThrottled', 'The request was denied due to request throttling.');
  if (status === 503) return sqsError('ServiceUnavailable', 'The service is unavailable, please try again.');
  const message = status >= 500 ? 'We encountered an internal error. Please try again.' : 'The request was refused.';
  const name = status >= 500 ? 'InternalFailure' : 'InvalidParameterValue';
  return new AwsError({ ...KINDS[name], status }, message);
}
