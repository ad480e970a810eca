/** Speaks DynamoDB's protocol without its SDK, so that what no SDK would send can be sent too. */

import { createHash, createHmac } from 'node:crypto';

export interface Wire {
  readonly url: string;
  readonly accessKeyId?: string;
  readonly secret?: string;
}

export interface Answer {
  readonly status: number;
  /** Without its namespace; absent when it was answered. */
  readonly error?: string;
  readonly message?: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export async function send(wire: Wire, operation: string, body: unknown): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(wire.url, { method: 'POST', body: text, headers: sign(wire, operation, text) });
  return readAnswer(response);
}

export async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  const read = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
  const { __type: type, message, Message, ...body } = read;
  if (response.status === 200) return { status: 200, body: read };
  const error = String(type ?? '').replace(/^.*#/, '');
  return { status: response.status, error, message: String(message ?? Message ?? ''), body };
}

export function sign({ url, accessKeyId = 'local', secret = 'local-secret' }: Wire, operation: string, body: string) {
  const now = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const scope = `${now.slice(0, 8)}/us-east-1/dynamodb/aws4_request`;
  const headers: Record<string, string> = {
    'content-type': 'application/x-amz-json-1.0',
    host: new URL(url).host,
    'x-amz-date': now,
    'x-amz-target': `DynamoDB_20120810.${operation}`,
  };
  const names = Object.keys(headers).sort();
  const canonical = ['POST', '/', '', ...names.map((it) => `${it}:${headers[it]}`), '', names.join(';'), sha256(body)];
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const key = [...scope.split('/')].reduce<string | Buffer>((last, part) => hmac(last, part), `AWS4${secret}`);
  const signature = hmac(key, ['AWS4-HMAC-SHA256', now, scope, sha256(canonical.join('\n'))].join('\n')).toString(
    'hex',
  );
  const credential = `Credential=${accessKeyId}/${scope}`;
  headers.authorization = `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return headers;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
