/** An error as AWS tells it: with a code, a status, and whose fault it was. */

export interface AwsErrorKind {
  /** As the JSON protocol names it, namespace included. */
  readonly type: string;
  /** As the query protocol names it. */
  readonly code: string;
  readonly status: number;
}

export class AwsError extends Error {
  override readonly name = 'AwsError';
  readonly kind: AwsErrorKind;

  constructor(kind: AwsErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}
