/** Calls DynamoDB: one place where the SDK is opened, where every call gets its bound, and where its errors become Faults. */

import type { DynamoDB, DynamoDBClientConfig } from '@aws-sdk/client-dynamodb';
import { type Fault, type FaultKind, fault, isFault } from '../../model/fault.ts';

export interface DynamoOptions {
  readonly table: string;
  readonly region: string;
  /** Left out: the service itself, in that region. */
  readonly endpoint?: string;
  /** Left out: as the SDK finds them. */
  readonly credentials?: DynamoDBClientConfig['credentials'];
  /** After so long a call is given up; a write may have happened then. */
  readonly timeoutMs?: number;
  /** Put into the user agent, so that the service's logs tell who asked. */
  readonly agent?: string;
}

/** What one call is given besides its input. */
export interface On {
  readonly abortSignal: AbortSignal;
}

type Ask = <T>(op: string, key: string, call: (client: DynamoDB, table: string, on: On) => Promise<T>) => Promise<T>;

export interface Calls {
  /** Asked again by the SDK where that may help. */
  readonly read: Ask;
  /** Sent once: whoever repeats a conditional write could not tell its own success from somebody else's. */
  readonly write: Ask;
  close(): void;
}

const TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 3_000;
const READ_ATTEMPTS_MAX = 4;

export async function openCalls(options: DynamoOptions): Promise<Calls> {
  const { table, region, endpoint, credentials, timeoutMs = TIMEOUT_MS, agent } = options;
  const { DynamoDB } = await import('@aws-sdk/client-dynamodb');
  const config: DynamoDBClientConfig = {
    region,
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, requestTimeout: timeoutMs },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(agent === undefined ? {} : { customUserAgent: agent }),
  };
  const reader = new DynamoDB({ ...config, maxAttempts: READ_ATTEMPTS_MAX });
  const writer = new DynamoDB({ ...config, maxAttempts: 1 });
  let open = true;

  function asking(client: DynamoDB, writes: boolean): Ask {
    return async (op, key, call) => {
      if (!open) throw fault('internal', `DynamoDB, ${op}: the ledger is closed`, { op, key });
      try {
        return await call(client, table, { abortSignal: AbortSignal.timeout(timeoutMs) });
      } catch (error) {
        throw toDynamoFault(error, { op, key, writes });
      }
    };
  }

  return {
    read: asking(reader, false),
    write: asking(writer, true),
    close() {
      open = false;
      reader.destroy();
      writer.destroy();
    },
  };
}

/** By the name of the error; anything else is judged by its status. */
const MEANINGS: Readonly<Record<string, FaultKind>> = {
  ProvisionedThroughputExceededException: 'throttled',
  ThrottlingException: 'throttled',
  Throttling: 'throttled',
  RequestLimitExceeded: 'throttled',
  LimitExceededException: 'throttled',
  TransactionConflictException: 'conflict',
  TransactionInProgressException: 'conflict',
  ReplicatedWriteConflictException: 'conflict',
  ResourceInUseException: 'conflict',
  ResourceNotFoundException: 'not-found',
  AccessDeniedException: 'forbidden',
  UnrecognizedClientException: 'forbidden',
  InvalidSignatureException: 'forbidden',
  IncompleteSignatureException: 'forbidden',
  MissingAuthenticationTokenException: 'forbidden',
  ExpiredTokenException: 'forbidden',
  CredentialsProviderError: 'forbidden',
  ItemCollectionSizeLimitExceededException: 'too-large',
  UnknownOperationException: 'unsupported',
};

/** Nothing was sent. */
const UNREACHED = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'];

interface Place {
  readonly op: string;
  readonly key: string;
  readonly writes: boolean;
}

/** A Fault stays as it is. */
export function toDynamoFault(error: unknown, { op, key, writes }: Place): Fault {
  if (isFault(error)) return error;
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return fault(kindOf(error, writes), `DynamoDB, ${op}: ${text}`, { op, key, cause: error });
}

function kindOf(error: unknown, writes: boolean): FaultKind {
  const {
    name = '',
    code = '',
    $metadata,
  } = (error ?? {}) as {
    readonly name?: string;
    readonly code?: string;
    readonly $metadata?: { readonly httpStatusCode?: number };
  };
  const known = MEANINGS[name];
  if (known !== undefined) return known;
  const status = $metadata?.httpStatusCode ?? 0;
  if (status === 429) return 'throttled';
  // DynamoDB says of a 500 that the write may have succeeded.
  if (status >= 500) return writes ? 'timeout' : 'unavailable';
  // ValidationException and its like: we sent what we must not send.
  if (status >= 400) return status === 403 ? 'forbidden' : 'internal';
  return UNREACHED.includes(code) ? 'unreachable' : 'timeout';
}
