/** One gRPC endpoint of the local Google Cloud: Google's own protos, every call meets the faults, errors are statuses. */

import type { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer, type Socket } from 'node:net';
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerErrorResponse,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  status,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { fromJSON, type PackageDefinition } from '@grpc/proto-loader';
import type { RequestEffect } from '../faults.ts';
import { listen } from '../http.ts';
import type { Cloud, Service } from '../service.ts';

export type StatusName = keyof typeof status;

/** The google.rpc.ErrorInfo that goes with an error: what clients read instead of its text. */
export interface ErrorInfo {
  readonly reason: string;
  readonly domain: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What a handler throws to refuse a call; anything else it throws becomes INTERNAL and is reported. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError';
  readonly status: StatusName;
  readonly info: ErrorInfo | undefined;

  constructor(name: StatusName, message: string, info?: ErrorInfo) {
    super(message);
    this.status = name;
    this.info = info;
  }
}

export function grpcError(name: StatusName, message: string, info?: ErrorInfo): GrpcError {
  return new GrpcError(name, message, info);
}

/** The number of the status that this error stands for; null: none. */
export function statusNumber(error: unknown): number | null {
  return error instanceof GrpcError ? status[error.status] : null;
}

/** What a handler may want to know of its call. */
export interface Caller {
  /** When it gives up or its connection breaks. At once when it has already. */
  onGone(then: () => void): void;
}

/** A call of which both sides are streams. */
export interface Conversation<Request, Response> extends Caller {
  /** Never more than one at a time; the next waits until this one is dealt with. */
  onRequest(then: (request: Request) => void): void;
  /** The client has said everything. */
  onEnd(then: () => void): void;
  /** Answers whether the client keeps up; if not, wait for `onDrain`. */
  send(response: Response): boolean;
  onDrain(then: () => void): void;
  /** Ends the call; without an error as OK. */
  end(error?: GrpcError): void;
}

/**
 * Handlers by the name of the method, each as its proto says. Requests come decoded with every default filled in: names in
 * camelCase, 64-bit integers and enums as strings, bytes as buffers. Methods left out answer UNIMPLEMENTED.
 */
export interface Methods {
  readonly unary?: Readonly<Record<string, (request: never, caller: Caller) => unknown>>;
  /** One request, any number of answers. */
  readonly answers?: Readonly<
    Record<string, (request: never, caller: Caller) => Iterable<unknown> | AsyncIterable<unknown>>
  >;
  readonly conversations?: Readonly<Record<string, (conversation: Conversation<never, never>) => void>>;
}

export interface GrpcEndpoint {
  readonly cloud: Cloud;
  /** As in a fault's scope. */
  readonly service: string;
  /** 0: any free one. */
  readonly port: number;
  /** A JSON file with protos in an installed package, such as `@google-cloud/pubsub/build/protos/protos.json`. */
  readonly protos: string;
  /** By full name: `google.pubsub.v1.Publisher`. */
  readonly services: Readonly<Record<string, Methods>>;
  /** What the request is about, for the faults. Must not throw. */
  keyOf?(operation: string, request: unknown): string | undefined;
  /** Larger requests are refused before they reach a handler. */
  readonly requestBytesMax?: number;
}

const DECODING = {
  keepCase: false,
  longs: String,
  enums: String,
  bytes: Buffer,
  defaults: true,
  oneofs: true,
} as const;
const REQUEST_BYTES_MAX = 32 * 1024 * 1024;
const STOP_GRACE_MS = 500;

/** What the HTTP statuses of the fault rules are in gRPC, as Google maps them. */
const STATUS_OF_HTTP: Readonly<Record<number, StatusName>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  409: 'ABORTED',
  412: 'FAILED_PRECONDITION',
  429: 'RESOURCE_EXHAUSTED',
  499: 'CANCELLED',
  500: 'INTERNAL',
  501: 'UNIMPLEMENTED',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

export async function serveGrpc(endpoint: GrpcEndpoint): Promise<Service> {
  const { cloud, service } = endpoint;
  const sockets = new Map<string, Socket>();
  const server = new Server({
    'grpc.max_receive_message_length': endpoint.requestBytesMax ?? REQUEST_BYTES_MAX,
    'grpc.max_send_message_length': -1,
  });
  const protos = loadProtos(endpoint.protos);
  for (const [name, methods] of Object.entries(endpoint.services)) {
    const found = protos[name];
    if (found === undefined) throw new Error(`${endpoint.protos} has no service ${name}`);
    const definition = strict(found as ServiceDefinition);
    server.addService(definition, implement(endpoint, definition, methods, sockets));
  }
  // The connections are accepted here and handed on, so that a fault can cut the one that a call came by.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const front = createServer((socket) => {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    socket.setNoDelay(true);
    sockets.set(peer, socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(peer));
    injector.injectConnection(socket);
  });
  const port = await listen(front, cloud.host, endpoint.port, `${cloud.name} ${service}`);
  return {
    name: service,
    port,
    async stop() {
      const closed = new Promise((resolve) => front.close(resolve));
      injector.drain(STOP_GRACE_MS);
      const cut = setTimeout(() => {
        for (const socket of sockets.values()) socket.destroy();
      }, STOP_GRACE_MS);
      await closed;
      clearTimeout(cut);
      server.forceShutdown();
    },
  };
}

/** Everything in a JSON file of protos, by full name: services, and messages with their codecs. */
export function loadProtos(path: string): PackageDefinition {
  const [scope = '', name = '', ...rest] = path.split('/');
  const home = `/node_modules/${scope}/${name}/`;
  // Packages do not let everything be resolved by its name, but all of it lies beside what they do.
  const entry = createRequire(import.meta.url)
    .resolve(`${scope}/${name}`)
    .replaceAll('\\', '/');
  const file = `${entry.slice(0, entry.lastIndexOf(home))}${home}${rest.join('/')}`;
  return fromJSON(JSON.parse(readFileSync(file, 'utf8')), DECODING);
}

/** The decoder takes a field that breaks off for a shorter one; Google does not. */
function strict(definition: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      const requestDeserialize = (bytes: Buffer) => {
        checkFields(bytes);
        return method.requestDeserialize(bytes);
      };
      return [name, { ...method, requestDeserialize }];
    }),
  );
}

const VARINT_BYTES_MAX = 10;

/** Walks over the fields of a message in protobuf's wire format; throws where one goes beyond the end. */
function checkFields(bytes: Buffer): void {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let index = 0; index < VARINT_BYTES_MAX; index++) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) return value;
    }
    throw new Error('the request breaks off');
  };
  while (at < bytes.length) {
    const kind = varint() % 8;
    if (kind === 0) varint();
    else if (kind === 1 || kind === 5) at += kind === 1 ? 8 : 4;
    else if (kind === 2) {
      const length = varint();
      at += length;
    } else throw new Error(`the request has a field of the kind ${kind}`);
    if (at > bytes.length) throw new Error('the request breaks off');
  }
}

type Handlers = Record<string, UntypedHandleCall>;

function implement(
  endpoint: GrpcEndpoint,
  definition: ServiceDefinition,
  methods: Methods,
  sockets: ReadonlyMap<string, Socket>,
): Handlers {
  const handlers: Handlers = {};
  const sizeOf = (name: string) => (message: unknown) => definition[name]?.responseSerialize(message).length ?? 0;
  const named = (name: string, kind: string) => {
    const method = definition[name];
    const found = `${method?.requestStream ? 'stream' : 'one'} to ${method?.responseStream ? 'stream' : 'one'}`;
    if (method === undefined || found !== kind)
      throw new Error(`${name} is no method of ${kind} in ${endpoint.protos}`);
  };
  for (const [name, handle] of Object.entries(methods.unary ?? {})) {
    named(name, 'one to one');
    handlers[name] = ((call: UnaryCall, callback: (error: ServerErrorResponse | null, value?: unknown) => void) =>
      void unary(endpoint, name, call, sockets, sizeOf(name), handle as never, callback)) as UntypedHandleCall;
  }
  for (const [name, handle] of Object.entries(methods.answers ?? {})) {
    named(name, 'one to stream');
    handlers[name] = ((call: StreamCall) =>
      void answers(endpoint, name, call, sockets, sizeOf(name), handle as never)) as UntypedHandleCall;
  }
  for (const [name, handle] of Object.entries(methods.conversations ?? {})) {
    named(name, 'stream to stream');
    handlers[name] = ((call: BothCall) =>
      void converse(endpoint, name, call, sockets, sizeOf(name), handle as never)) as UntypedHandleCall;
  }
  return handlers;
}

type UnaryCall = ServerUnaryCall<unknown, unknown>;
type StreamCall = ServerWritableStream<unknown, unknown>;
type BothCall = ServerDuplexStream<unknown, unknown>;
type AnyCall = UnaryCall | StreamCall | BothCall;

async function unary(
  endpoint: GrpcEndpoint,
  operation: string,
  call: UnaryCall,
  sockets: ReadonlyMap<string, Socket>,
  sizeOf: (message: unknown) => number,
  handle: (request: unknown, caller: Caller) => unknown,
  callback: (error: ServerErrorResponse | null, value?: unknown) => void,
): Promise<void> {
  const socket = sockets.get(call.getPeer());
  try {
    const struck = await meet(endpoint, operation, call, call.request, socket);
    if (struck === null || call.cancelled) return;
    const answer = await handle(call.request, callerOf(call));
    if (struck.bytesMax !== null) socket?.destroy();
    else {
      if (struck.bytesPerSecond !== null) await pause((sizeOf(answer) / struck.bytesPerSecond) * 1000);
      callback(null, answer);
    }
  } catch (error) {
    callback(toStatus(endpoint, operation, error));
  }
}

async function answers(
  endpoint: GrpcEndpoint,
  operation: string,
  call: StreamCall,
  sockets: ReadonlyMap<string, Socket>,
  sizeOf: (message: unknown) => number,
  handle: (request: unknown, caller: Caller) => Iterable<unknown> | AsyncIterable<unknown>,
): Promise<void> {
  const socket = sockets.get(call.getPeer());
  call.on('error', () => {});
  try {
    const struck = await meet(endpoint, operation, call, call.request, socket);
    if (struck === null || call.cancelled) return;
    let sent = 0;
    for await (const answer of handle(call.request, callerOf(call))) {
      if (call.cancelled) return;
      if (struck.bytesMax !== null && sent + sizeOf(answer) > struck.bytesMax) return void socket?.destroy();
      if (struck.bytesPerSecond !== null) await pause((sizeOf(answer) / struck.bytesPerSecond) * 1000);
      if (struck.bytesMax !== null) sent += sizeOf(answer);
      if (!call.write(answer)) await drained(call);
    }
    if (struck.bytesMax !== null) socket?.destroy();
    else call.end();
  } catch (error) {
    if (!call.cancelled) call.emit('error', toStatus(endpoint, operation, error));
  }
}

async function converse(
  endpoint: GrpcEndpoint,
  operation: string,
  call: BothCall,
  sockets: ReadonlyMap<string, Socket>,
  sizeOf: (message: unknown) => number,
  handle: (conversation: Conversation<unknown, unknown>) => void,
): Promise<void> {
  const socket = sockets.get(call.getPeer());
  call.on('error', () => {});
  let sent = 0;
  let ended = false;
  const end = (error?: unknown) => {
    if (ended) return;
    ended = true;
    if (error === undefined) call.end();
    else call.emit('error', toStatus(endpoint, operation, error));
  };
  const guarded =
    <T extends readonly unknown[]>(then: (...values: T) => void) =>
    (...values: T) => {
      if (ended) return;
      try {
        then(...values);
      } catch (error) {
        end(error);
      }
    };
  try {
    const struck = await meet(endpoint, operation, call, undefined, socket);
    if (struck === null || call.cancelled) return;
    handle({
      ...callerOf(call),
      onRequest: (then) => call.on('data', guarded(then)),
      onEnd: (then) => call.on('end', guarded(then)),
      onDrain: (then) => call.on('drain', guarded(then)),
      send(response) {
        if (ended || call.cancelled) return false;
        sent += struck.bytesMax === null ? 0 : sizeOf(response);
        if (struck.bytesMax !== null && sent > struck.bytesMax) {
          socket?.destroy();
          return false;
        }
        return call.write(response);
      },
      end,
    });
  } catch (error) {
    end(error);
  }
}

interface Struck {
  /** The connection is cut when more than this was answered; 0 loses the answer. */
  readonly bytesMax: number | null;
  readonly bytesPerSecond: number | null;
}

/** What strikes this call; null: it is not to be handled. Throws the status that a rule asks for. */
async function meet(
  { cloud, service, keyOf }: GrpcEndpoint,
  operation: string,
  call: AnyCall,
  request: unknown,
  socket: Socket | undefined,
): Promise<Struck | null> {
  const from = ['user-agent', 'x-goog-api-client'].flatMap((name) => call.metadata.get(name)).join(' ');
  const key = keyOf?.(operation, request);
  const where = { cloud: cloud.name, service, operation, from, ...(key === undefined ? {} : { key }) };
  const struck: { bytesMax: number | null; bytesPerSecond: number | null } = { bytesMax: null, bytesPerSecond: null };
  for (const effect of cloud.faults.meet(where)) {
    if (effect.kind === 'silence') return null;
    if (effect.kind === 'outage') {
      socket?.destroy();
      return null;
    }
    await apply(effect, struck, (spread) => cloud.faults.draw(spread));
  }
  return struck;
}

async function apply(
  effect: RequestEffect,
  struck: { bytesMax: number | null; bytesPerSecond: number | null },
  draw: (spread: Extract<RequestEffect, { kind: 'wait' }>['ms']) => number,
): Promise<void> {
  if (effect.kind === 'status')
    throw grpcError(
      STATUS_OF_HTTP[effect.status] ?? 'UNKNOWN',
      `The service answered ${effect.status} as it was told to.`,
    );
  if (effect.kind === 'wait') await pause(draw(effect.ms));
  if (effect.kind === 'lost-answer') struck.bytesMax = 0;
  if (effect.kind === 'cut') struck.bytesMax = effect.afterBytes;
  if (effect.kind === 'slow') struck.bytesPerSecond = effect.bytesPerSecond;
}

function callerOf(call: AnyCall): Caller {
  return {
    onGone(then) {
      if (call.cancelled) then();
      else (call as EventEmitter).once('cancelled', then);
    },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function drained(call: StreamCall): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      call.off('drain', done);
      call.off('cancelled', done);
      resolve();
    };
    call.on('drain', done);
    call.on('cancelled', done);
  });
}

/** A map, which the types of the loader do not know. */
const MAP_OF_TEXT = { keyType: 'string', type: 'string', id: 3 };

/** google.rpc.Status with one ErrorInfo, as it travels in grpc-status-details-bin. */
const DETAILS = fromJSON(
  {
    nested: {
      Any: { fields: { type_url: { type: 'string', id: 1 }, value: { type: 'bytes', id: 2 } } },
      Status: {
        fields: {
          code: { type: 'int32', id: 1 },
          message: { type: 'string', id: 2 },
          details: { rule: 'repeated', type: 'Any', id: 3 },
        },
      },
      ErrorInfo: {
        fields: {
          reason: { type: 'string', id: 1 },
          domain: { type: 'string', id: 2 },
          metadata: MAP_OF_TEXT,
        },
      },
    },
  },
  { keepCase: true },
) as unknown as Readonly<Record<'Status' | 'ErrorInfo', { serialize(value: unknown): Buffer }>>;

function toStatus({ cloud, service }: GrpcEndpoint, operation: string, error: unknown): ServerErrorResponse {
  const known = error instanceof GrpcError ? error : grpcError('INTERNAL', 'Internal error encountered.');
  if (known !== error) cloud.report(`${cloud.name} ${service}: ${operation}: ${String(error)}`);
  const metadata = new Metadata();
  const code = status[known.status];
  if (known.info !== undefined) {
    const info = {
      type_url: 'type.googleapis.com/google.rpc.ErrorInfo',
      value: DETAILS.ErrorInfo.serialize(known.info),
    };
    metadata.set(
      'grpc-status-details-bin',
      DETAILS.Status.serialize({ code, message: known.message, details: [info] }),
    );
  }
  return Object.assign(new Error(known.message), { code, details: known.message, metadata });
}
