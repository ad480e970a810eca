/** The connection to one bucket: the SDK's client with its own retries off, and every call under a deadline. */

import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { type Asked, toFault } from './faults.ts';

export type Sdk = typeof import('@aws-sdk/client-s3');

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface S3ConnectionOptions {
  readonly site: string;
  readonly bucket: string;
  readonly region: string;
  /** Another service that speaks S3, or a private endpoint; AWS when absent. */
  readonly endpoint?: string;
  /** The bucket stands in the path and not in the host name. */
  readonly forcePathStyle?: boolean;
  /** What the SDK finds in its environment when absent. */
  readonly credentials?: S3Credentials | (() => Promise<S3Credentials>);
  /** Connections kept open and used again, and how many calls are under way at once. */
  readonly connectionsMax?: number;
  readonly connectMs?: number;
  /** For one answer to come, beside the time that the bytes of the call need. */
  readonly answerMs?: number;
  /** For the next bytes of a body to come, and for its reader to ask for them. */
  readonly stallMs?: number;
  /** For a copy within the service, of at most 5 GiB at once. */
  readonly copyMs?: number;
}

export interface Connection {
  readonly sdk: Sdk;
  readonly site: string;
  readonly bucket: string;
  readonly stallMs: number;
  readonly copyMs: number;
  /** Answers, or throws the Fault that the table has for what the SDK threw. */
  send<Output>(asked: Omit<Asked, 'site'>, run: (call: Call) => Promise<Output>, limits?: CallLimits): Promise<Output>;
  close(): void;
}

export interface Call {
  readonly client: S3Client;
  readonly abortSignal: AbortSignal;
  /** Ends the call and its body, also after it has been answered. */
  readonly abort: () => void;
}

export interface CallLimits {
  /** How many go with the request. */
  readonly bodyBytes?: number;
  readonly ms?: number;
}

const CONNECTIONS_MAX = 64;
const CONNECT_MS = 5_000;
const ANSWER_MS = 30_000;
const STALL_MS = 60_000;
const COPY_MS = 15 * 60_000;

/** Slower than this is no connection. */
const BYTES_PER_MS_MIN = 64;

export async function openConnection(options: S3ConnectionOptions): Promise<Connection> {
  const { site, bucket, region, endpoint, forcePathStyle, credentials } = options;
  const { connectionsMax = CONNECTIONS_MAX, connectMs = CONNECT_MS, answerMs = ANSWER_MS } = options;
  const { stallMs = STALL_MS, copyMs = COPY_MS } = options;
  const sdk = await import('@aws-sdk/client-s3');
  const agent = { keepAlive: true, maxSockets: connectionsMax };
  const config: S3ClientConfig = {
    region,
    ...(endpoint !== undefined && { endpoint }),
    ...(forcePathStyle !== undefined && { forcePathStyle }),
    ...(credentials !== undefined && { credentials }),
    // A conditional write that is repeated after its answer was lost is refused for having succeeded.
    maxAttempts: 1,
    // Both are done here, where the bytes pass anyway, and a mismatch is a Fault.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Its wait opens a connection of its own for every body.
    expectContinueHeader: false,
    // It warns on the console of bodies that it could not send twice; nothing is sent twice here.
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    followRegionRedirects: false,
    requestHandler: {
      httpAgent: agent,
      httpsAgent: agent,
      connectionTimeout: connectMs,
      // A copy within the service is silent for minutes; the deadline of the call bounds it, and that of the body a read.
      socketTimeout: 0,
      // The SDK warns on the console of calls that wait for a connection; here waiting is what the bound is for.
      socketAcquisitionWarningTimeout: 2 ** 31 - 1,
    },
  };
  const client = new sdk.S3Client(config);
  leaveOutInventedType(client);

  return {
    sdk,
    site,
    bucket,
    stallMs,
    copyMs,

    async send(asked, run, { bodyBytes = 0, ms = answerMs } = {}) {
      const controller = new AbortController();
      const abort = () => controller.abort();
      const timer = setTimeout(abort, ms + Math.ceil(bodyBytes / BYTES_PER_MS_MIN));
      try {
        return await run({ client, abortSignal: controller.signal, abort });
      } catch (error) {
        throw toFault(error, { ...asked, site });
      } finally {
        clearTimeout(timer);
      }
    },

    close: () => client.destroy(),
  };
}

/** The SDK names a content type for bytes that were given without one; then it would be the object's for good. */
function leaveOutInventedType(client: S3Client): void {
  client.middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        const { ContentType } = args.input as { readonly ContentType?: string };
        const headers = (args.request as { headers?: Record<string, string> }).headers;
        if (commandName === 'PutObjectCommand' && ContentType === undefined && headers) delete headers['content-type'];
        return next(args);
      },
    { step: 'build', name: 'leaveOutInventedType' },
  );
}
