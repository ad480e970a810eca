/** DynamoDB on this machine: AWS JSON 1.0 over HTTP, tables in SQLite, every acknowledged write durable. */

import { createHash, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { crc32 } from 'node:zlib';
import { type SharedPort, serveHttp } from '../../http.ts';
import type { Cloud, Service } from '../../service.ts';
import { LOCAL_CREDENTIALS, SignatureError, verifySignature } from '../sigv4.ts';
import { DynamoError } from './errors.ts';
import { type Consumed, openOperations } from './operations.ts';

export interface DynamodbOptions {
  /** 0: any free one. Or one that it shares with the other services of AWS. */
  readonly port: number | SharedPort;
  /** So late a global index shows what happened to its table; as soon as the table when left out. */
  readonly indexLagMs?: number;
}

export interface DynamodbService extends Service {
  /** For a client's `endpoint`. */
  readonly url: string;
  /** What AWS would have charged since the start. */
  consumed(): Consumed;
}

const TARGET = 'DynamoDB_20120810.';
/** A batch of 25 items of 400 KB, in base64. */
const BODY_BYTES_MAX = 16 * 1024 * 1024;
const EXPIRY_SWEEP_MS = 60_000;

export async function startDynamodb(cloud: Cloud, { port, indexLagMs = 0 }: DynamodbOptions): Promise<DynamodbService> {
  const operations = openOperations(cloud, indexLagMs);
  const service = await serveHttp({
    cloud,
    service: 'dynamodb',
    port,
    describe: (request) => ({ operation: operationOf(request) ?? 'unknown' }),
    async handle(request, response) {
      if (request.method === 'GET')
        return send(response, 200, 'healthy: dynamodb.us-east-1.amazonaws.com ', 'text/plain');
      try {
        const body = await readBody(request);
        checkSignature(cloud, request, body);
        const operation = operationOf(request);
        const run = operation === null ? undefined : operations.find(operation);
        if (run === undefined) throw new DynamoError('UnknownOperationException', '');
        send(response, 200, JSON.stringify(run(readJson(body))));
      } catch (error) {
        if (!(error instanceof DynamoError)) throw error;
        sendError(response, error);
      }
    },
    refuse: (response, status) => sendError(response, errorFor(status)),
  });
  const sweep = setInterval(() => operations.expire(), EXPIRY_SWEEP_MS).unref();
  return {
    ...service,
    url: `http://${cloud.host}:${service.port}`,
    consumed: operations.consumed,
    async stop() {
      clearInterval(sweep);
      await service.stop();
    },
  };
}

function operationOf(request: IncomingMessage): string | null {
  const target = request.headers['x-amz-target'];
  return typeof target === 'string' && target.startsWith(TARGET) ? target.slice(TARGET.length) : null;
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    // The rest is read and dropped, so that the client gets to read the answer.
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk as Buffer);
  }
  if (bytes > BODY_BYTES_MAX)
    throw new DynamoError('RequestEntityTooLargeException', 'Request Entity Too Large', {}, 413);
  return Buffer.concat(chunks);
}

function readJson(body: Buffer): unknown {
  try {
    const raw: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    if (typeof raw === 'object' && raw !== null) return raw;
  } catch {
    // Told below, together with JSON that is no structure.
  }
  throw new DynamoError('SerializationException', 'Start of structure or map found where not expected');
}

function checkSignature(cloud: Cloud, request: IncomingMessage, body: Buffer): void {
  const payloadHash = createHash('sha256').update(body).digest('hex');
  try {
    const verified = verifySignature(request, LOCAL_CREDENTIALS, {
      service: 'dynamodb',
      now: cloud.now(),
      payloadHash,
    });
    if (verified.payloadHash !== payloadHash) throw new DynamoError('InvalidSignatureException', MISMATCH);
  } catch (error) {
    if (error instanceof SignatureError) throw toSignatureError(error);
    throw error;
  }
}

const MISMATCH =
  'The request signature we calculated does not match the signature you provided. ' +
  'Check your AWS Secret Access Key and signing method. Consult the service documentation for details.';

function toSignatureError({ problem, message }: SignatureError): DynamoError {
  switch (problem) {
    case 'missing':
      return new DynamoError('MissingAuthenticationTokenException', 'Request is missing Authentication Token');
    case 'unknown-key':
      return new DynamoError('UnrecognizedClientException', 'The security token included in the request is invalid.');
    case 'malformed':
    case 'unsupported':
      return new DynamoError('IncompleteSignatureException', message);
    case 'mismatch':
      return new DynamoError('InvalidSignatureException', MISMATCH);
    default:
      return new DynamoError('InvalidSignatureException', message);
  }
}

/** What the service says for a status that somebody asked for. */
function errorFor(status: number): DynamoError {
  if (status === 429 || status === 400)
    return new DynamoError(
      'ProvisionedThroughputExceededException',
      'The level of configured provisioned throughput for the table was exceeded. ' +
        'Consider increasing your provisioning level with the UpdateTable API.',
    );
  if (status === 403)
    return new DynamoError('AccessDeniedException', 'User is not authorized to perform this operation');
  if (status === 503) return new DynamoError('ServiceUnavailableException', 'Service is unavailable', {}, 503);
  return new DynamoError('InternalServerError', 'Internal server error', {}, status);
}

function sendError(response: ServerResponse, { type, message, status, more }: DynamoError): void {
  send(response, status, JSON.stringify({ __type: type, message, ...more }));
}

function send(response: ServerResponse, status: number, text: string, type = 'application/x-amz-json-1.0'): void {
  const body = Buffer.from(text);
  response.writeHead(status, {
    'content-type': type,
    'content-length': body.length,
    'x-amzn-requestid': randomUUID().replaceAll('-', '').toUpperCase(),
    'x-amz-crc32': crc32(body),
  });
  response.end(body);
}
