/** One call to the service and its answer, the same whether it came by HTTP or inside a batch. */

import type { IncomingHttpHeaders } from 'node:http';
import { invalidValue, malformed, Refusal } from './errors.ts';

export interface Call {
  readonly method: string;
  /** What the route left open, decoded: bucket, object, ... */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: AsyncIterable<Uint8Array>;
  /** `http://host:port` as the client sees it, for the links in answers. */
  readonly base: string;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly xml?: string;
  /** Opened only when the answer is really sent, since it holds files open. */
  readonly bytes?: () => AsyncIterable<Uint8Array>;
}

export type Handler = (call: Call) => Answer | Promise<Answer>;

export type Json = { readonly [name: string]: unknown };

const JSON_BYTES_MAX = 1024 * 1024;

export async function readBytes(body: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  // Read to the end even when it is too much: only then does the client listen to the answer.
  for await (const piece of body) {
    size += piece.length;
    if (size <= bytesMax) pieces.push(piece);
    else pieces.length = 0;
  }
  if (size > bytesMax) throw new Refusal(413, 'uploadTooLarge', 'Request is too large.', { xmlCode: 'EntityTooLarge' });
  return Buffer.concat(pieces);
}

/** The JSON object in a request; no bytes at all count as an empty one. */
export async function readJson(body: AsyncIterable<Uint8Array>): Promise<Json> {
  return parseJson(await readBytes(body, JSON_BYTES_MAX));
}

export function parseJson(bytes: Uint8Array): Json {
  if (bytes.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw malformed('Parse Error');
  }
  // Go clients write `null` where they have nothing to say.
  if (value === null) return {};
  if (!isJson(value)) throw malformed('Parse Error');
  return value;
}

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Python clients write `True`. */
export const isTrue = (value: string | null): boolean => value?.toLowerCase() === 'true';

export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** A 64-bit number as Google writes it, or a refusal that names it. */
export function readNumber(name: string, text: string): bigint {
  const value = /^-?\d{1,19}$/.test(text) ? BigInt(text) : null;
  if (value === null || value >= 2n ** 63n || value < -(2n ** 63n))
    throw invalidValue(`Invalid value '${text.slice(0, 40)}' for ${name}: not a valid 64-bit integer.`);
  return value;
}

/** How many entries a page may have: what was asked for, at most a thousand. */
export function pageSize(query: URLSearchParams): number {
  const text = query.get('maxResults');
  if (text === null) return PAGE_MAX;
  const asked = Number(readNumber('maxResults', text));
  if (asked < 0) throw invalidValue(`Invalid value '${text}' for maxResults: it must not be negative.`);
  return asked === 0 ? PAGE_MAX : Math.min(asked, PAGE_MAX);
}

const PAGE_MAX = 1000;
