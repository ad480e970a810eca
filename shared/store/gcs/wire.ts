/** HTTP to Google Cloud Storage: kept connections, one try per request, a deadline, bytes exactly as they are stored. */

import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  Agent as PlainAgent,
  request as plainRequest,
} from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import { pipeline, Readable } from 'node:stream';
import { fault } from '../../model/fault.ts';
import { bytesOf, connectionFailure, sizeOf } from '../body.ts';
import type { StreamedPart } from '../store.ts';
import { toFault } from './faults.ts';

export interface WireRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Pieces are sent one after the other as they are, without a copy of them all. */
  readonly body?: Uint8Array | readonly Uint8Array[] | StreamedPart;
  /** Statuses that are answers; every other one is a Fault. */
  readonly expected: readonly number[];
  /** Whether it may have happened although no answer tells so. */
  readonly writes: boolean;
  readonly limitMs?: number;
}

export interface WireAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface OpenAnswer {
  readonly headers: IncomingHttpHeaders;
  readonly body: AsyncIterable<Uint8Array>;
  /** Lets go of the bytes that nobody will read. */
  discard(): void;
}

export interface Wire {
  send(request: WireRequest): Promise<WireAnswer>;
  /** The answer's bytes stream; what stands still for too long on the way is Fault 'timeout'. */
  open(request: WireRequest): Promise<OpenAnswer>;
  close(): void;
}

export interface WireOptions {
  readonly requestTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly headersFor: (url: string) => Promise<Readonly<Record<string, string>>>;
}

/** No error and no answer that is read whole is larger, and a list of a thousand objects is far smaller. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

export function openWire({ requestTimeoutMs, idleTimeoutMs, headersFor }: WireOptions): Wire {
  const plain = new PlainAgent({ keepAlive: true });
  const secure = new SecureAgent({ keepAlive: true });

  async function begin({ method, url, headers, body }: WireRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const own = await headersFor(url);
    const length = body === undefined ? {} : { 'content-length': String(lengthOf(body)) };
    const options = { method, headers: { ...own, ...length, ...headers }, signal };
    return new Promise((resolve, reject) => {
      const outgoing = url.startsWith('https:')
        ? secureRequest(url, { ...options, agent: secure })
        : plainRequest(url, { ...options, agent: plain });
      outgoing.once('response', resolve);
      // Not once: a request that is aborted after its answer began tells of it here as well.
      outgoing.on('error', reject);
      if (body === undefined || body instanceof Uint8Array) outgoing.end(body);
      else if (isPieces(body)) {
        outgoing.cork();
        for (const piece of body) outgoing.write(piece);
        outgoing.end();
      }
      // Whichever end breaks, the other one learns of it.
      else pipeline(Readable.from(bytesOf(body), { objectMode: false }), outgoing, (error) => error && reject(error));
    });
  }

  async function send(request: WireRequest): Promise<WireAnswer> {
    const watch = openWatch(request.limitMs ?? requestTimeoutMs);
    try {
      const response = await begin(request, watch.signal);
      const { statusCode: status = 0, headers } = response;
      const answer = { status, headers, body: await readAll(response) };
      if (!request.expected.includes(status)) throw toFault(answer, request.writes);
      return answer;
    } catch (error) {
      throw told(error, request, watch);
    } finally {
      watch.stop();
    }
  }

  async function open(request: WireRequest): Promise<OpenAnswer> {
    const watch = openWatch(idleTimeoutMs);
    try {
      const response = await begin(request, watch.signal);
      const { statusCode: status = 0, headers } = response;
      if (!request.expected.includes(status)) throw toFault({ status, body: await readAll(response) }, request.writes);
      return {
        headers,
        body: watched(response, request, watch),
        discard() {
          watch.stop();
          response.destroy();
        },
      };
    } catch (error) {
      watch.stop();
      throw told(error, request, watch);
    }
  }

  return {
    send,
    open,
    close() {
      plain.destroy();
      secure.destroy();
    },
  };
}

function isPieces(body: Uint8Array | readonly Uint8Array[] | StreamedPart): body is readonly Uint8Array[] {
  return Array.isArray(body);
}

function lengthOf(body: Uint8Array | readonly Uint8Array[] | StreamedPart): number {
  return isPieces(body) ? body.reduce((sum, { length }) => sum + length, 0) : sizeOf(body);
}

/** Time runs only while we wait for the service, not while the reader works. */
async function* watched(response: IncomingMessage, request: WireRequest, watch: Watch): AsyncGenerator<Uint8Array> {
  watch.restart();
  try {
    for await (const piece of response) {
      watch.stop();
      yield piece as Uint8Array;
      watch.restart();
    }
  } catch (error) {
    throw told(error, request, watch);
  } finally {
    watch.stop();
  }
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > ANSWER_BYTES_MAX) throw fault('internal', `an answer of more than ${ANSWER_BYTES_MAX} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function told(error: unknown, { writes }: WireRequest, { signal }: Watch): Error {
  if (error instanceof Error && error.name === 'Fault') return error;
  const kind = signal.aborted ? 'timeout' : connectionFailure(error, writes);
  const message = error instanceof Error ? error.message : String(error);
  return fault(kind, `Google Cloud Storage did not answer: ${message}`, { cause: error });
}

interface Watch {
  readonly signal: AbortSignal;
  restart(): void;
  stop(): void;
}

function openWatch(limitMs: number): Watch {
  const controller = new AbortController();
  const arm = () => setTimeout(() => controller.abort(), limitMs);
  let timer = arm();
  return {
    signal: controller.signal,
    restart() {
      clearTimeout(timer);
      timer = arm();
    },
    stop: () => clearTimeout(timer),
  };
}
