/** Checks who signed a request whose body is already here, and names the problem as the query and JSON services do. */

import { createHash } from 'node:crypto';
import {
  LOCAL_CREDENTIALS,
  SignatureError,
  type SignatureProblem,
  type SignedRequest,
  verifySignature,
} from '../sigv4.ts';
import { AwsError, type AwsErrorKind } from './error.ts';

const kind = (type: string, code: string): AwsErrorKind => ({
  type: `com.amazon.coral.service#${type}`,
  code,
  status: 403,
});

const WRONG = kind('InvalidSignatureException', 'SignatureDoesNotMatch');
const INCOMPLETE = kind('IncompleteSignatureException', 'IncompleteSignature');

const KINDS: Readonly<Record<SignatureProblem, AwsErrorKind>> = {
  missing: kind('MissingAuthenticationTokenException', 'MissingAuthenticationToken'),
  unsupported: INCOMPLETE,
  malformed: INCOMPLETE,
  'wrong-scope': WRONG,
  'unknown-key': kind('UnrecognizedClientException', 'InvalidClientTokenId'),
  'unsigned-header': WRONG,
  skewed: WRONG,
  expired: WRONG,
  mismatch: WRONG,
};

/** Throws an AwsError unless the local credentials signed this request and this body. */
export function checkSignature(request: SignedRequest, body: Uint8Array, service: string, now: number): void {
  const payloadHash = createHash('sha256').update(body).digest('hex');
  try {
    verifySignature(request, LOCAL_CREDENTIALS, { service, now, payloadHash });
  } catch (error) {
    if (!(error instanceof SignatureError)) throw error;
    throw new AwsError(KINDS[error.problem], error.message);
  }
}
