/** Signs a raw request for the local AWS by hand, for what no SDK would send. */

import { createHash, createHmac } from 'node:crypto';

export interface Draft {
  readonly url: string;
  readonly service: string;
  readonly at: number;
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** Another body than the one that is signed. */
  readonly sent?: string;
}

/** Signature Version 4, in the few lines that a request without special characters in its path and query needs. */
export function signed({
  url,
  service,
  at,
  method = 'POST',
  headers = {},
  body = '',
  sent = '',
}: Draft): Promise<Response> {
  const { host, pathname, searchParams } = new URL(url);
  const date = new Date(at).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const given = { ...headers, host, 'x-amz-date': date };
  const names = Object.keys(given).sort();
  const query = [...searchParams]
    .map((pair) => pair.map(encodeURIComponent).join('='))
    .sort()
    .join('&');
  const lines = names.map((name) => `${name}:${given[name as keyof typeof given]}`);
  const path = pathname.split('/').map(encodeURIComponent).join('/');
  const canonical = [method, path, query, ...lines, '', names.join(';'), sha256(body)].join('\n');
  const scope = [date.slice(0, 8), 'us-east-1', service, 'aws4_request'];
  const key = scope.reduce<Uint8Array>(hmac, Buffer.from('AWS4local-secret'));
  const text = ['AWS4-HMAC-SHA256', date, scope.join('/'), sha256(canonical)].join('\n');
  const signature = Buffer.from(hmac(key, text)).toString('hex');
  const { host: _, ...others } = given;
  const authorization = `AWS4-HMAC-SHA256 Credential=local/${scope.join('/')}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return fetch(url, {
    method,
    headers: { ...others, authorization },
    ...(method === 'POST' ? { body: sent || body } : {}),
  });
}

function hmac(key: Uint8Array, text: string): Uint8Array {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
