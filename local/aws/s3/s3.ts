/** The S3 of the local AWS: REST and XML over HTTP, with AWS's rules for versions, conditions, checksums and signatures. */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Port, serveHttp } from '../../http.ts';
import type { Cloud, Service } from '../../service.ts';
import { ACCOUNT, REGION } from '../account.ts';
import {
  type Credentials,
  LOCAL_CREDENTIALS,
  SignatureError,
  type SignatureProblem,
  verifySignature,
} from '../sigv4.ts';
import { addBucket, setRules } from './buckets.ts';
import type { Answer, S3 } from './call.ts';
import { openNotifier, type Rule } from './notify.ts';
import { checkHeaders } from './properties.ts';
import { type Code, codeOfStatus, Refusal, refusal } from './refusal.ts';
import { findRoute, type Route } from './routes.ts';
import { TABLES } from './tables.ts';
import { readTarget, type Target } from './target.ts';
import { toErrorXml } from './xml.ts';

export interface S3Options {
  readonly port: Port;
  /** Left out: those of the local world. */
  readonly credentials?: Credentials;
}

export interface NotificationRule {
  /** arn:aws:sqs:... or arn:aws:sns:... */
  readonly target: string;
  /** Left out: everything created or removed. */
  readonly events?: readonly string[];
  readonly prefix?: string;
  readonly suffix?: string;
  readonly id?: string;
}

export interface S3Service extends Service {
  /** What stands already stays as it is. */
  createBucket(name: string, options?: { readonly versioning?: boolean }): void;
  /** In place of the rules there were; every new destination gets an s3:TestEvent, as AWS sends it. */
  notify(bucket: string, rules: readonly NotificationRule[]): void;
}

const USUAL_EVENTS = ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'];

export async function startS3(cloud: Cloud, { port, credentials = LOCAL_CREDENTIALS }: S3Options): Promise<S3Service> {
  cloud.state.db.define(TABLES);
  const s3: S3 = { cloud, notifier: openNotifier(cloud, REGION) };
  const http = await serveHttp({
    cloud,
    service: 's3',
    port,
    describe,
    handle: (request, response) => handle(s3, credentials, request, response),
    refuse: (response, status, cause) =>
      sendRefusal(response, cause instanceof Refusal ? cause : refusal(codeOfStatus(status)), openIds()),
  });
  return {
    ...http,
    createBucket: (name, { versioning = false } = {}) => addBucket(s3, name, versioning ? 'Enabled' : 'Off'),
    notify(bucket, rules) {
      const full = rules.map(({ target, events = USUAL_EVENTS, prefix = '', suffix = '', id = '' }): Rule => {
        return { target, events, prefix, suffix, id };
      });
      setRules(s3, bucket, full, { ...openIds(), principal: ACCOUNT, address: '127.0.0.1' });
    },
  };
}

interface Ids {
  readonly requestId: string;
  readonly hostId: string;
}

function openIds(): Ids {
  const bytes = randomBytes(56);
  return { requestId: bytes.toString('hex', 0, 8).toUpperCase(), hostId: bytes.toString('base64') };
}

function describe(request: IncomingMessage): { operation: string; key?: string } {
  try {
    const target = readTarget(request.url ?? '', request.headers.host);
    const route = routeOf(request, target);
    return target.key === '' ? { operation: route.name } : { operation: route.name, key: target.key };
  } catch {
    return { operation: 'unknown' };
  }
}

function routeOf({ method = '', headers }: IncomingMessage, target: Target): Route {
  return findRoute(method, target, headers['x-amz-copy-source'] !== undefined);
}

async function handle(
  s3: S3,
  credentials: Credentials,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const ids = openIds();
  try {
    const target = readTarget(request.url ?? '', request.headers.host);
    const now = s3.cloud.now();
    const signature = verifySignature(request, credentials, { service: 's3', region: REGION, now });
    const route = routeOf(request, target);
    const call = { s3, request, operation: route.name, ...target, ...ids, signature };
    checkHeaders(call);
    await send(response, await route.run(call), ids);
  } catch (error) {
    const known = error instanceof SignatureError ? toRefusal(error) : error;
    if (!(known instanceof Refusal) || response.headersSent) throw error;
    sendRefusal(response, known, ids, request);
  }
}

async function send(response: ServerResponse, { status = 200, headers = {}, body }: Answer, ids: Ids): Promise<void> {
  const isText = typeof body === 'string';
  writeHead(response, status, ids, {
    ...(isText ? { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(body) } : {}),
    ...(body === undefined && headers['content-length'] === undefined && status !== 204 && status !== 304
      ? { 'content-length': 0 }
      : {}),
    ...headers,
  });
  if (body === undefined || isText) response.end(body);
  else await stream(response, body);
}

async function stream(response: ServerResponse, body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const piece of body) {
    if (response.destroyed) return;
    if (response.write(piece)) continue;
    const gone = new AbortController();
    const stop = () => gone.abort();
    response.once('close', stop);
    try {
      await once(response, 'drain', { signal: gone.signal });
    } catch {
      return;
    } finally {
      response.removeListener('close', stop);
    }
  }
  response.end();
}

function sendRefusal(response: ServerResponse, error: Refusal, ids: Ids, request = response.req): void {
  const { code, status, message, details, headers } = error;
  const resource = (request.url ?? '').split('?', 1)[0] ?? '';
  const body = toErrorXml([
    ['Code', code],
    ['Message', message],
    ...Object.entries(details).map(([name, value]) => [name, value] as const),
    ['Resource', resource],
    ['RequestId', ids.requestId],
    ['HostId', ids.hostId],
  ]);
  const { expect } = request.headers;
  writeHead(response, status, ids, {
    'content-type': 'application/xml',
    'content-length': Buffer.byteLength(body),
    // Whoever asked before sending a body, and was told no, does not send it.
    ...(expect === undefined || request.complete ? {} : { connection: 'close' }),
    ...headers,
  });
  response.end(body);
}

function writeHead(response: ServerResponse, status: number, ids: Ids, headers: Answer['headers'] = {}): void {
  const known = Object.entries(headers).filter(([, value]) => value !== undefined);
  response.writeHead(status, {
    'x-amz-request-id': ids.requestId,
    'x-amz-id-2': ids.hostId,
    server: 'AmazonS3',
    ...Object.fromEntries(known),
  });
}

const CODES: Readonly<Record<SignatureProblem, readonly [header: Code, query: Code]>> = {
  missing: ['AccessDenied', 'AccessDenied'],
  unsupported: ['InvalidRequest', 'InvalidRequest'],
  malformed: ['AuthorizationHeaderMalformed', 'AuthorizationQueryParametersError'],
  'wrong-scope': ['AuthorizationHeaderMalformed', 'AuthorizationQueryParametersError'],
  'unknown-key': ['InvalidAccessKeyId', 'InvalidAccessKeyId'],
  'unsigned-header': ['AccessDenied', 'AccessDenied'],
  skewed: ['RequestTimeTooSkewed', 'RequestTimeTooSkewed'],
  expired: ['AccessDenied', 'AccessDenied'],
  mismatch: ['SignatureDoesNotMatch', 'SignatureDoesNotMatch'],
};

function toRefusal({ problem, presigned, message, details }: SignatureError): Refusal {
  return refusal(CODES[problem][presigned ? 1 : 0], { message, details });
}
