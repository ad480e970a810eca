/** What DynamoDB answers when it refuses: a type, a status, a message. */

export class DynamoError extends Error {
  override readonly name = 'DynamoError';
  /** With its namespace, as on the wire. */
  readonly type: string;
  readonly status: number;
  /** What else stands in the answer. */
  readonly more: Readonly<Record<string, unknown>>;
  /** Write units that are charged all the same. */
  readonly units: number;

  constructor(type: string, message: string, more: Readonly<Record<string, unknown>> = {}, status = 400, units = 0) {
    super(message);
    this.type = `${NAMESPACES[type] ?? 'com.amazonaws.dynamodb.v20120810'}#${type}`;
    this.status = status;
    this.more = more;
    this.units = units;
  }
}

const SERVICE = 'com.amazon.coral.service';

const NAMESPACES: Readonly<Record<string, string>> = {
  ValidationException: 'com.amazon.coral.validate',
  SerializationException: SERVICE,
  UnknownOperationException: SERVICE,
  UnrecognizedClientException: SERVICE,
  MissingAuthenticationTokenException: SERVICE,
  IncompleteSignatureException: SERVICE,
  InvalidSignatureException: SERVICE,
  AccessDeniedException: SERVICE,
  ServiceUnavailableException: SERVICE,
  RequestEntityTooLargeException: SERVICE,
};

export function refused(message: string): DynamoError {
  return new DynamoError('ValidationException', message);
}

/** The prefix that DynamoDB sets before what is wrong with a value rather than with the request. */
export function wrongValue(message: string): DynamoError {
  return refused(`One or more parameter values were invalid: ${message}`);
}

/** A key may not be empty. */
export function emptyKey(type: 'S' | 'N' | 'B', which: string, why = ''): DynamoError {
  const what = `cannot contain an empty ${type === 'B' ? 'binary' : 'string'} value`;
  return refused(
    `One or more parameter values are not valid. ${why}The AttributeValue for a key attribute ${what}. ${which}`,
  );
}

export function unreadable(message: string): DynamoError {
  return new DynamoError('SerializationException', message);
}

export function notFound(message = 'Requested resource not found'): DynamoError {
  return new DynamoError('ResourceNotFoundException', message);
}

export function conditionFailed(item: unknown, units: number): DynamoError {
  const more = item === undefined ? {} : { Item: item };
  return new DynamoError('ConditionalCheckFailedException', 'The conditional request failed', more, 400, units);
}
