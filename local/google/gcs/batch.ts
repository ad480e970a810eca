/** Many small calls in one request, answered one by one, in the same order. */

import { randomUUID } from 'node:crypto';
import { type Answer, type Call, headerOf, readBytes } from './call.ts';
import { malformed, Refusal, refusalOf, toJsonError } from './errors.ts';
import { boundaryOf, readParts } from './multipart.ts';

/** https://cloud.google.com/storage/docs/batch */
const CALLS_MAX = 100;
const BYTES_MAX = 10 * 1024 * 1024;

export interface InnerRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export async function answerBatch(call: Call, handle: (request: InnerRequest) => Promise<Answer>): Promise<Answer> {
  const boundary = boundaryOf(headerOf(call.headers, 'content-type'), 'mixed');
  const whole = await readBytes(call.body, BYTES_MAX);
  const requests: { readonly id: string; readonly request: InnerRequest }[] = [];
  for await (const { headers, bytes } of readParts(one(whole), boundary)) {
    const request = readInner(await readBytes(bytes, BYTES_MAX), headers);
    requests.push({ id: headers['content-id'] ?? '', request });
  }
  if (requests.length > CALLS_MAX)
    throw new Refusal(400, 'badRequest', `The batch request has too many calls: ${requests.length} > ${CALLS_MAX}.`);
  const mark = `batch_${randomUUID()}`;
  const pieces: string[] = [];
  for (const { id, request } of requests) {
    const answer = await handle(request).catch((error: unknown) => {
      const refusal = error instanceof Refusal ? error : refusalOf(500);
      return { status: refusal.status, json: toJsonError(refusal) };
    });
    pieces.push(`--${mark}\r\n`, 'Content-Type: application/http\r\n', responseId(id), toText(answer));
  }
  const text = `${pieces.join('')}--${mark}--\r\n`;
  const headers = {
    'content-type': `multipart/mixed; boundary=${mark}`,
    'content-length': String(Buffer.byteLength(text)),
  };
  return { status: 200, headers, bytes: () => one(Buffer.from(text)) };
}

/** `<a+1>` is answered by `<response-a+1>`, by which the client finds its way. */
function responseId(id: string): string {
  if (id === '') return '';
  return id.startsWith('<') ? `Content-ID: <response-${id.slice(1)}\r\n` : `Content-ID: response-${id}\r\n`;
}

function readInner(bytes: Buffer, outer: Readonly<Record<string, string>>): InnerRequest {
  if (!/^application\/http\b/i.test(outer['content-type'] ?? ''))
    throw malformed('A part of the batch is no application/http.');
  const text = bytes.toString('latin1');
  const blank = /\r?\n\r?\n/.exec(text);
  const [line = '', ...lines] = text.slice(0, blank?.index ?? text.length).split(/\r?\n/);
  const read = /^([A-Z]+) (\S+)(?: HTTP\/1\.[01])?$/.exec(line.trim());
  if (read === null) throw malformed('A part of the batch has no request line.');
  const headers: Record<string, string> = {};
  for (const header of lines) {
    const at = header.indexOf(':');
    if (at > 0) headers[header.slice(0, at).trim().toLowerCase()] = header.slice(at + 1).trim();
  }
  // Some clients name the whole URL.
  const url = read[2]!.replace(/^https?:\/\/[^/]+/i, '');
  const body = blank === null ? Buffer.alloc(0) : bytes.subarray(blank.index + blank[0].length);
  const length = /^\d+$/.test(headers['content-length'] ?? '') ? Number(headers['content-length']) : null;
  return { method: read[1]!, url, headers, body: length === null ? trimmed(body) : body.subarray(0, length) };
}

/** The line break that some clients put before the next boundary belongs to no JSON. */
function trimmed(body: Buffer): Buffer {
  return Buffer.from(body.toString().trim());
}

function toText({ status, headers = {}, json }: Answer): string {
  const body = json === undefined ? '' : JSON.stringify(json);
  const all = {
    ...headers,
    ...(json === undefined ? {} : { 'content-type': 'application/json; charset=UTF-8' }),
    'content-length': String(Buffer.byteLength(body)),
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `\r\nHTTP/1.1 ${status} ${status < 300 ? 'OK' : 'Error'}\r\n${lines.join('')}\r\n${body}\r\n`;
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
