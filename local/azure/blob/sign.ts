/** Signs a request with the key of the storage account, for what the local world itself stores. */

import { createHmac } from 'node:crypto';
import { ACCOUNT, ACCOUNT_KEY } from './azurite.ts';

const VERSION = '2025-11-05';
const TIMEOUT_MS = 10_000;

export interface StoragePut {
  readonly endpoint: string;
  /** Encoded, without the account: `container/blob?comp=...`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/** Answers the status. */
export async function putSigned({ endpoint, path, headers = {}, body }: StoragePut): Promise<number> {
  const url = new URL(`${endpoint}/${ACCOUNT}/${path}`);
  const all: Record<string, string> = {
    ...headers,
    'x-ms-date': new Date().toUTCString(),
    'x-ms-version': VERSION,
  };
  const names = Object.keys(all)
    .filter((name) => name.startsWith('x-ms-'))
    .sort();
  const query = [...url.searchParams].sort().map(([name, value]) => `\n${name}:${value}`);
  const length = body === undefined || body.length === 0 ? '' : String(body.length);
  const text = [
    ...['PUT', '', '', length, '', all['content-type'] ?? '', '', '', '', '', '', ''],
    ...names.map((name) => `${name}:${all[name]}`),
    `/${ACCOUNT}${url.pathname}${query.join('')}`,
  ].join('\n');
  const signature = createHmac('sha256', Buffer.from(ACCOUNT_KEY, 'base64')).update(text).digest('base64');
  const response = await fetch(url, {
    method: 'PUT',
    headers: { ...all, authorization: `SharedKey ${ACCOUNT}:${signature}` },
    body: (body ?? new Uint8Array()) as Uint8Array<ArrayBuffer>,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  await response.arrayBuffer();
  return response.status;
}
