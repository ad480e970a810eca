/** The one error of this code base: what went wrong, where, and whether trying again can help. */

export type FaultKind =
  | 'invalid' // the input itself is wrong; names the field and the value
  | 'not-found' // nothing stands there
  | 'precondition' // the condition of a write did not hold: nothing was written
  | 'conflict' // the service saw two writers at once and refused this one: nothing was written
  | 'throttled' // asked too often: nothing was written
  | 'unavailable' // the service failed; a write did not happen
  | 'timeout' // no answer; a write MAY have happened
  | 'unreachable' // no connection; a write did not happen
  | 'forbidden'
  | 'corrupt' // bytes and checksum disagree
  | 'fenced' // the ledger has moved to a newer epoch
  | 'unsupported' // this service cannot do that
  | 'too-large'
  | 'internal'; // a promise of our own code was broken

/** never: the same call fails again; later: it may succeed; exhausted: it was tried as often as allowed. */
export type Retry = 'never' | 'later' | 'exhausted';

export interface FaultDetails {
  readonly retry?: Retry;
  readonly site?: string;
  readonly op?: string;
  readonly key?: string;
  readonly field?: string;
  readonly value?: unknown;
  readonly cause?: unknown;
}

const RETRY_OF_KIND: Readonly<Record<FaultKind, Retry>> = {
  invalid: 'never',
  'not-found': 'never',
  precondition: 'never',
  conflict: 'later',
  throttled: 'later',
  unavailable: 'later',
  timeout: 'later',
  unreachable: 'later',
  forbidden: 'never',
  corrupt: 'later',
  fenced: 'never',
  unsupported: 'never',
  'too-large': 'never',
  internal: 'never',
};

export class Fault extends Error {
  override readonly name = 'Fault';
  readonly kind: FaultKind;
  readonly retry: Retry;
  readonly details: FaultDetails;

  constructor(kind: FaultKind, message: string, details: FaultDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.retry = details.retry ?? RETRY_OF_KIND[kind];
    this.details = details;
  }
}

export function fault(kind: FaultKind, message: string, details?: FaultDetails): Fault {
  return new Fault(kind, message, details);
}

export function isFault(error: unknown, ...kinds: readonly FaultKind[]): error is Fault {
  return error instanceof Fault && (kinds.length === 0 || kinds.includes(error.kind));
}

/** A fault about a value that came from outside: `field` says where it stood, `value` what stood there. */
export function invalid(field: string, value: unknown, expected: string): Fault {
  return new Fault('invalid', `${field}: expected ${expected}, got ${preview(value)}`, { field, value });
}

function preview(value: unknown): string {
  const text = typeof value === 'bigint' ? `${value}n` : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
