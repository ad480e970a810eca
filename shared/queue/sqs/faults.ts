/** What the errors of SQS and of the way there mean to us: one table, read once per failed call. */

import { type Fault, type FaultKind, fault, isFault } from '../../model/fault.ts';

/** By the name of the error; anything else is judged by its status. */
const MEANINGS: Readonly<Record<string, FaultKind>> = {
  QueueDoesNotExist: 'not-found',
  QueueDeletedRecently: 'not-found',
  InvalidAddress: 'invalid',
  InvalidMessageContents: 'invalid',
  InvalidParameterValue: 'invalid',
  ReceiptHandleIsInvalid: 'invalid',
  UnsupportedOperation: 'unsupported',
  OverLimit: 'throttled',
  RequestThrottled: 'throttled',
  Throttling: 'throttled',
  ThrottlingException: 'throttled',
  KmsThrottled: 'throttled',
  AccessDenied: 'forbidden',
  AccessDeniedException: 'forbidden',
  InvalidSecurity: 'forbidden',
  KmsAccessDenied: 'forbidden',
  KmsDisabled: 'forbidden',
  KmsNotFound: 'forbidden',
  KmsOptInRequired: 'forbidden',
  CredentialsProviderError: 'forbidden',
  TimeoutError: 'timeout',
  AbortError: 'timeout',
};

/** Nothing was sent. */
const UNREACHED = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];

interface SdkError {
  readonly name?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** A Fault stays as it is. */
export function toSqsFault(error: unknown, op: string): Fault {
  if (isFault(error)) return error;
  const text = textOf(error);
  return fault(kindOf(error, text), `SQS, ${op}: ${text}`, { op, cause: error });
}

/** One entry of a batch that was refused, as if it had been a call by itself. */
export function toRefusal(
  {
    Code = '',
    Message = '',
    SenderFault = false,
  }: { Code?: string | undefined; Message?: string | undefined; SenderFault?: boolean | undefined },
  op: string,
): Fault {
  const error = Object.assign(new Error(Message), {
    name: Code.replace(/^AWS\.SimpleQueueService\./, ''),
    $metadata: { httpStatusCode: SenderFault ? 400 : 500 },
  });
  return toSqsFault(error, op);
}

/** The receipt names nothing that is still in flight: settled, or of a queue that has long forgotten it. */
export function isGone(error: unknown): boolean {
  const { cause } = error as { readonly cause?: SdkError };
  const name = cause?.name ?? '';
  if (name === 'MessageNotInflight' || name === 'ReceiptHandleIsInvalid') return true;
  return name === 'InvalidParameterValue' && /parameter ReceiptHandle is invalid/.test(textOf(cause));
}

/** The message would be hidden for longer than twelve hours from when it was received. */
export function isOverLimit(error: unknown): boolean {
  const { cause } = error as { readonly cause?: SdkError };
  return cause?.name === 'InvalidParameterValue' && /Total VisibilityTimeout/.test(textOf(cause));
}

function kindOf(error: unknown, text: string): FaultKind {
  const { name = '', code = '', $metadata } = (error ?? {}) as SdkError;
  const known = MEANINGS[name];
  if (known !== undefined) return known;
  const status = $metadata?.httpStatusCode ?? 0;
  if (status === 429) return 'throttled';
  // Nobody knows what a server did before it failed.
  if (status >= 500) return status === 503 ? 'unavailable' : 'timeout';
  if (status >= 400) return status === 403 || status === 401 ? 'forbidden' : 'invalid';
  if (UNREACHED.includes(code)) return 'unreachable';
  // The SDK compares checksums, and names the error after nothing.
  if (/checksum/i.test(text)) return 'corrupt';
  return 'timeout';
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
