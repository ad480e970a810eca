/** A local S3 of its own for a test, the SDK that talks to it, and the notifications it sent. */

import { createHash, createHmac } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { S3Client, type S3ClientConfig, S3ServiceException } from '@aws-sdk/client-s3';
import { type S3Service, startS3 } from '../../local/aws/s3/s3.ts';
import { type CloudOptions, type OpenCloud, openCloud } from '../../local/cloud.ts';

export interface TestS3 {
  readonly cloud: OpenCloud;
  readonly service: S3Service;
  readonly endpoint: string;
  readonly client: S3Client;
  /** What went wrong inside: a test that expects nothing of the sort looks here. */
  readonly reports: readonly string[];
  connect(config?: S3ClientConfig): S3Client;
  stop(): Promise<void>;
}

export async function openTestS3(options: Partial<CloudOptions> = {}): Promise<TestS3> {
  const reports: string[] = [];
  const cloud = openCloud({ name: 'aws', report: (line) => reports.push(line), ...options });
  const service = await startS3(cloud, { port: 0 });
  const endpoint = `http://127.0.0.1:${service.port}`;
  const clients: S3Client[] = [];
  const connect = (config: S3ClientConfig = {}) => {
    const client = new S3Client({
      endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local-secret' },
      forcePathStyle: true,
      maxAttempts: 1,
      ...config,
    });
    clients.push(client);
    return client;
  };
  return {
    cloud,
    service,
    endpoint,
    client: connect(),
    reports,
    connect,
    async stop() {
      for (const client of clients) client.destroy();
      await service.stop();
      await cloud.close();
    },
  };
}

/** Status and code of a refused call; fails where it was not refused. */
export async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof S3ServiceException) return `${error.$metadata.httpStatusCode} ${error.name}`;
    throw error;
  }
  return 'not refused';
}

export interface Ask {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** What is signed as the body, where it is not the SHA-256 of it. */
  readonly payloadHash?: string;
  readonly secret?: string;
  /** Sent without being signed. */
  readonly unsigned?: Readonly<Record<string, string>>;
}

export interface Told {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** Of an error. */
  readonly code: string;
  /** What the next chunk of a streamed body signs. */
  readonly signature: string;
  readonly date: string;
}

export const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
export const sha256 = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest('hex');
export const signingKey = (day: string, secret = 'local-secret') =>
  [day, 'us-east-1', 's3', 'aws4_request'].reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`));

/** One signed request written by hand; `target` is what stands in its first line, signed as it is. */
export async function ask(port: number, method: string, target: string, wish: Ask = {}): Promise<Told> {
  const { prepared, signature, date, body } = prepare(port, method, target, wish);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ host: '127.0.0.1', port, method, path: target, headers: prepared }, (answer) => {
      const pieces: Buffer[] = [];
      answer.on('data', (piece) => pieces.push(piece));
      answer.on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(pieces).toString();
        const code = /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? '';
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text, code, signature, date });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** The headers of a request with its signature. */
export function prepare(port: number, method: string, target: string, wish: Ask, at = new Date()) {
  const { headers = {}, body = '', unsigned = {}, secret } = wish;
  const payloadHash = wish.payloadHash ?? sha256(body);
  const date = at.toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const day = date.slice(0, 8);
  const [path = '', query = ''] = target.split('?');
  const named: Record<string, string> = {
    host: `127.0.0.1:${port}`,
    ...headers,
    'x-amz-date': date,
    'x-amz-content-sha256': payloadHash,
  };
  const names = Object.keys(named).sort();
  const pairs = query.split('&').filter((pair) => pair !== '');
  const canonical = [
    method,
    path,
    pairs
      .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
      .sort()
      .join('&'),
    ...names.map((name) => `${name}:${named[name]}`),
    '',
    names.join(';'),
    payloadHash,
  ].join('\n');
  const scope = `${day}/us-east-1/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n');
  const signature = hmac(signingKey(day, secret), text).toString('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=local/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  const length = method === 'PUT' || method === 'POST' ? { 'content-length': String(Buffer.byteLength(body)) } : {};
  const prepared: Record<string, string> = { ...length, ...named, ...unsigned, authorization };
  return { prepared, signature, date, body };
}
