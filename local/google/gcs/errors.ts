/** What Google Cloud Storage answers when it refuses: one error, written as JSON or as XML. */

export interface RefusalDetails {
  /** As the XML API calls it; left out: made from the status. */
  readonly xmlCode?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Thrown anywhere below a handler; nothing has been written when it is. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly reason: string;
  readonly details: RefusalDetails;

  constructor(status: number, reason: string, message: string, details: RefusalDetails = {}) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.details = details;
  }
}

export const invalidValue = (message: string) => new Refusal(400, 'invalid', message, { xmlCode: 'InvalidArgument' });
export const required = (message: string) => new Refusal(400, 'required', message, { xmlCode: 'InvalidArgument' });
export const malformed = (message: string) => new Refusal(400, 'parseError', message, { xmlCode: 'InvalidArgument' });
export const unsupported = (what: string) =>
  new Refusal(501, 'notImplemented', `${what} is not part of the local Cloud Storage.`, { xmlCode: 'NotImplemented' });
export const noBucket = () =>
  new Refusal(404, 'notFound', 'The specified bucket does not exist.', { xmlCode: 'NoSuchBucket' });
export const noObject = (bucket: string, name: string) =>
  new Refusal(404, 'notFound', `No such object: ${bucket}/${name}`, { xmlCode: 'NoSuchKey' });
export const noSuchCall = () => new Refusal(404, 'notFound', 'Not Found', { xmlCode: 'NoSuchKey' });
export const conditionNotMet = () =>
  new Refusal(412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.', {
    xmlCode: 'PreconditionFailed',
  });
export const notModified = () => new Refusal(304, 'notModified', 'Not Modified');
export const badDigest = (message: string) => new Refusal(400, 'invalid', message, { xmlCode: 'BadDigest' });

/** For the statuses that come without a reason of their own: faults set on purpose, and accidents. */
const OF_STATUS: Readonly<Record<number, readonly [reason: string, xmlCode: string, message: string]>> = {
  400: ['invalid', 'InvalidArgument', 'Bad Request'],
  401: ['authError', 'AccessDenied', 'Invalid Credentials'],
  403: ['forbidden', 'AccessDenied', 'Forbidden'],
  404: ['notFound', 'NoSuchKey', 'Not Found'],
  408: ['requestTimeout', 'RequestTimeout', 'Request Timeout'],
  409: ['conflict', 'OperationAborted', 'Conflict'],
  412: ['conditionNotMet', 'PreconditionFailed', 'Precondition Failed'],
  416: ['requestedRangeNotSatisfiable', 'InvalidRange', 'The requested range cannot be satisfied.'],
  429: ['rateLimitExceeded', 'SlowDown', 'The rate of requests is too high. Please reduce it.'],
  500: ['backendError', 'InternalError', 'We encountered an internal error. Please try again.'],
  503: ['backendError', 'ServiceUnavailable', 'Backend Error'],
  504: ['backendError', 'InternalError', 'Gateway Timeout'],
};

export function refusalOf(status: number): Refusal {
  const [reason, xmlCode, message] = OF_STATUS[status] ?? ['backendError', 'InternalError', `Error ${status}`];
  return new Refusal(status, reason, message, { xmlCode });
}

export function toJsonError({ status, reason, message }: Refusal): unknown {
  return { error: { code: status, message, errors: [{ message, domain: 'global', reason }] } };
}

export function toXmlError({ status, message, details }: Refusal): string {
  const code = details.xmlCode ?? OF_STATUS[status]?.[1] ?? 'InternalError';
  return `<?xml version='1.0' encoding='UTF-8'?><Error><Code>${code}</Code><Message>${xmlText(message)}</Message></Error>`;
}

/** Characters that XML 1.0 cannot hold become U+FFFD, so that an answer can always be read. */
export function xmlText(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML 1.0 forbids
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
      .replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
  );
}
