/** One HTTP endpoint: listens where it was told, lets every request meet the faults, and never dies of a bad one. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { Transform } from 'node:stream';
import type { Call, RequestEffect } from './faults.ts';
import type { Cloud, Service } from './service.ts';

export interface HttpEndpoint {
  readonly cloud: Cloud;
  /** As in a fault's scope. */
  readonly service: string;
  readonly port: Port;
  /** For clients that speak nothing but https. Left out: plain http. */
  readonly tls?: TlsFiles;
  /** What the request is, for the faults. Must not throw: a request that makes no sense is 'unknown'. */
  describe(request: IncomingMessage): Described | Promise<Described>;
  /** May write to `response` as it likes; what it throws becomes the cloud's own internal error by `refuse`. */
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Answers with the cloud's own error for this status. `cause` is what went wrong inside, if anything did. */
  refuse(response: ServerResponse, status: number, cause?: unknown): void;
}

/** A number, of which 0 is any free one, or a port that several services answer on. */
export type Port = number | SharedPort;

export interface SharedPort {
  readonly port: number;
  add(endpoint: HttpEndpoint): void;
  /** After the services on it. */
  stop(): Promise<void>;
}

export interface Described {
  readonly operation: string;
  readonly key?: string;
}

/** A certificate and its key, as PEM. */
export interface TlsFiles {
  readonly key: string;
  readonly cert: string;
}

/** S3 refuses headers of more than 8 KiB, the others at 16 KiB and more. */
const HEADER_BYTES_MAX = 16 * 1024;
const STOP_GRACE_MS = 500;

export async function serveHttp(endpoint: HttpEndpoint): Promise<Service> {
  const { cloud, service, port, tls } = endpoint;
  if (typeof port !== 'number') {
    port.add(endpoint);
    return { name: service, port: port.port, stop: async () => {} };
  }
  const listener = await openListener(cloud, port, service, () => endpoint, tls);
  return { name: service, ...listener };
}

/** One port for several services, as each request says for whom it is; `pick` answers one of the names that were added. */
export async function openSharedPort(
  cloud: Cloud,
  port: number,
  pick: (request: IncomingMessage) => string,
): Promise<SharedPort> {
  const endpoints = new Map<string, HttpEndpoint>();
  const listener = await openListener(cloud, port, 'endpoint', (request) => endpoints.get(pick(request)));
  return { ...listener, add: (endpoint) => void endpoints.set(endpoint.service, endpoint) };
}

async function openListener(
  cloud: Cloud,
  wanted: number,
  what: string,
  endpointOf: (request: IncomingMessage) => HttpEndpoint | undefined,
  tls?: TlsFiles,
): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const options = { maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: 0, keepAliveTimeout: 30_000 };
  const server = tls ? createTlsServer({ ...options, ...tls }) : createServer(options);
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const endpoint = endpointOf(request);
    if (endpoint === undefined) response.writeHead(501).end();
    else void respond(endpoint, request, response);
  };
  server.on('request', answer);
  // `Expect: 100-continue`: the body is asked for by the handler reading it, not before.
  server.on('checkContinue', (request, response) => {
    let asked = false;
    const ask = () => {
      if (!asked && !response.headersSent) response.writeContinue();
      asked = true;
    };
    request.once('resume', ask);
    // A loop over the request reads without ever resuming it.
    request.on('newListener', (event) => {
      if (event === 'readable' || event === 'data') ask();
    });
    answer(request, response);
  });
  const port = await listen(server, cloud.host, wanted, `${cloud.name} ${what}`);
  return {
    port,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      const cut = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, STOP_GRACE_MS);
      await closed;
      clearTimeout(cut);
    },
  };
}

/** Answers the port; a port that somebody else has is an error that names it. */
export function listen(
  server: {
    listen(port: number, host: string): unknown;
    once(event: string, then: (error: Error) => void): unknown;
    address(): unknown;
    removeListener(event: string, then: (error: Error) => void): unknown;
  },
  host: string,
  port: number,
  what: string,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      const why = taken ? 'the port is taken: give another one, or stop what listens there' : error.message;
      reject(new Error(`${what} cannot listen on ${host}:${port}: ${why}`, { cause: error }));
    };
    server.once('error', failed);
    server.once('listening', () => {
      server.removeListener('error', failed);
      resolve((server.address() as AddressInfo).port);
    });
    server.listen(port, host);
  });
}

async function respond(endpoint: HttpEndpoint, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { cloud, service } = endpoint;
  request.on('error', () => {});
  response.on('error', () => {});
  // What was answered before its body was read to the end is read now, or the next request would wait behind it.
  response.once('finish', () => request.resume());
  const from = request.headers['user-agent'];
  const call: Call = {
    cloud: cloud.name,
    service,
    ...(from === undefined ? {} : { from }),
    ...(await endpoint.describe(request)),
  };
  const effects = cloud.faults.meet(call);
  if (effects.length > 0 && !(await survive(endpoint, effects, request, response))) return;
  try {
    await endpoint.handle(request, response);
  } catch (error) {
    if (request.destroyed && !response.writable) return;
    if (response.headersSent) response.destroy();
    else endpoint.refuse(response, 500, error);
    if (!isHangUp(error)) cloud.report(`${cloud.name} ${service}: ${call.operation}: ${String(error)}`);
  }
}

/** Applies what strikes this request; answers whether it is still to be handled. */
async function survive(
  { cloud, refuse }: HttpEndpoint,
  effects: readonly RequestEffect[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  for (const effect of effects) {
    switch (effect.kind) {
      case 'outage':
        request.socket.destroy();
        return false;
      case 'silence':
        return false;
      case 'status':
        request.resume();
        refuse(response, effect.status);
        return false;
      case 'wait':
        await new Promise((resolve) => setTimeout(resolve, cloud.faults.draw(effect.ms)));
        break;
      case 'lost-answer':
        cutAfter(response, request.socket, 0);
        break;
      case 'cut':
        cutAfter(response, request.socket, effect.afterBytes);
        break;
      case 'slow':
        slowDown(response, effect.bytesPerSecond);
        break;
    }
  }
  return true;
}

/** The request happens; of the answer's body only so much leaves, and of the head nothing when that is none. */
function cutAfter(response: ServerResponse, socket: Socket, bytes: number): void {
  let left = bytes;
  const write = response.write.bind(response);
  const send = (chunk: unknown): boolean => {
    const piece = chunk === undefined || chunk === null ? Buffer.alloc(0) : Buffer.from(chunk as Uint8Array);
    if (piece.length >= left) {
      if (left > 0) write(piece.subarray(0, left));
      left = 0;
      setImmediate(() => socket.destroy());
      return false;
    }
    left -= piece.length;
    return write(piece);
  };
  response.write = ((chunk: unknown) => send(chunk)) as typeof response.write;
  response.end = ((chunk: unknown) => {
    send(typeof chunk === 'function' ? undefined : chunk);
    setImmediate(() => socket.destroy());
    return response;
  }) as typeof response.end;
}

function slowDown(response: ServerResponse, bytesPerSecond: number): void {
  const write = response.write.bind(response);
  const end = response.end.bind(response);
  const slow = new Transform({
    highWaterMark: 16 * 1024,
    transform(chunk: Buffer, _encoding, done) {
      setTimeout(() => done(null, chunk), (chunk.length / bytesPerSecond) * 1000);
    },
  });
  slow.on('data', (chunk) => write(chunk));
  slow.on('end', () => end());
  slow.on('drain', () => response.emit('drain'));
  response.write = ((chunk: Uint8Array | string) => slow.write(chunk)) as typeof response.write;
  response.end = ((chunk?: unknown) => {
    if (chunk === undefined || chunk === null || typeof chunk === 'function') slow.end();
    else slow.end(chunk as Uint8Array);
    return response;
  }) as typeof response.end;
}

function isHangUp(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  return ['ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR'].includes(code);
}
