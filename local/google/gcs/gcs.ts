/** The local Google Cloud Storage: JSON API, XML API and uploads of both, over one port. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { serveHttp, type TlsFiles } from '../../http.ts';
import type { Cloud, Service } from '../../service.ts';
import { answerBatch } from './batch.ts';
import { addBucket, type BucketOptions } from './buckets.ts';
import type { Answer, Call } from './call.ts';
import { noSuchCall, Refusal, refusalOf, toJsonError, toXmlError } from './errors.ts';
import { addNotification, type NotificationConfig } from './notifications.ts';
import { findRoute, type Name, openHandlers, operationOf, type Route } from './routes.ts';
import { defineTables } from './tables.ts';

export type { BucketOptions } from './buckets.ts';
export type { EventType, NotificationConfig } from './notifications.ts';

export interface GcsOptions {
  /** 0: any free one. */
  readonly port: number;
  /** For clients that speak nothing but https, such as gsutil. */
  readonly tls?: TlsFiles;
}

export interface GcsService extends Service {
  /** What clients are given as their API endpoint. */
  readonly endpoint: string;
  /** A bucket of that name must not exist yet. */
  createBucket(name: string, options?: BucketOptions): void;
  hasBucket(name: string): boolean;
  /** From now on the topic hears of this bucket. Answers the id of the configuration. */
  notify(bucket: string, config: NotificationConfig): string;
}

export async function startGcs(cloud: Cloud, { port, tls }: GcsOptions): Promise<GcsService> {
  const { db } = cloud.state;
  defineTables(db);
  const handlers = openHandlers(cloud);
  const scheme = tls ? 'https' : 'http';

  async function dispatch(route: Route | undefined, call: Call): Promise<Answer> {
    if (route === undefined) throw noSuchCall();
    if (route.operation !== 'storage.batch') return handlers[route.operation](call);
    return answerBatch(call, async ({ method, url, headers, body }) => {
      const inner = split(url);
      const found = findRoute(methodOf(method, headers), inner.path, inner.query);
      // Bytes of objects do not go through batches, nor do batches.
      if (found === undefined || found.operation === 'storage.batch') throw noSuchCall();
      return dispatch(found, { ...call, method, path: found.path, query: inner.query, headers, body: bytesOf(body) });
    });
  }

  const service = await serveHttp({
    cloud,
    service: 'gcs',
    port,
    ...(tls === undefined ? {} : { tls }),
    describe(request) {
      const { path, query } = split(request.url ?? '/');
      try {
        const route = findRoute(methodOf(request.method ?? '', request.headers), path, query);
        const key = route?.path[1] ?? query.get('name') ?? undefined;
        return { operation: route ? operationOf(route.operation) : 'unknown', ...(key === undefined ? {} : { key }) };
      } catch {
        return { operation: 'unknown' };
      }
    },
    async handle(request, response) {
      let route: Route | undefined;
      try {
        const { path, query } = split(request.url ?? '/');
        const method = methodOf(request.method ?? '', request.headers);
        route = findRoute(method, path, query);
        const base = `${scheme}://${hostOf(request, cloud)}`;
        const { headers } = request;
        const body = bodyOf(request);
        await send(response, await dispatch(route, { method, path: route?.path ?? [], query, headers, body, base }));
      } catch (error) {
        if (!(error instanceof Refusal) || response.headersSent) throw error;
        await send(response, toAnswer(error, isXml(route?.operation)));
      }
    },
    refuse(response, status, cause) {
      const { path, query } = split(response.req.url ?? '/');
      let name: Name | undefined;
      try {
        name = findRoute(response.req.method ?? '', path, query)?.operation;
      } catch {}
      const refusal = cause instanceof Refusal ? cause : refusalOf(status);
      void send(response, toAnswer(refusal, isXml(name))).catch(() => response.destroy());
    },
  });

  return {
    ...service,
    endpoint: `${scheme}://${cloud.host}:${service.port}`,
    createBucket: (name, options) => addBucket(cloud, name, options),
    hasBucket: (name) => db.get('SELECT 1 FROM gcs_buckets WHERE name = ?', name) !== undefined,
    notify: (bucket, config) => addNotification(cloud, bucket, config),
  };
}

/** By hand, since URL would resolve `a/../b`, which is a fine name of an object. */
function split(url: string): { readonly path: string; readonly query: URLSearchParams } {
  const at = url.indexOf('?');
  return { path: at < 0 ? url : url.slice(0, at), query: new URLSearchParams(at < 0 ? '' : url.slice(at + 1)) };
}

/** Some clients cannot send PATCH and say so beside a POST. */
function methodOf(method: string, headers: Readonly<Record<string, string | string[] | undefined>>): string {
  const other = headers['x-http-method-override'];
  return method === 'POST' && typeof other === 'string' ? other.toUpperCase() : method;
}

/** What the client calls us, unless that could break out of a header or a link. */
function hostOf(request: IncomingMessage, cloud: Cloud): string {
  const { host } = request.headers;
  return host && /^[A-Za-z0-9.:[\]-]{1,255}$/.test(host) ? host : `${cloud.host}:${request.socket.localPort}`;
}

/** Whoever stops reading early must not tear the connection: the answer still has to get through. */
function bodyOf(request: IncomingMessage): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => request.iterator({ destroyOnReturn: false }) };
}

async function* bytesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

function isXml(name: Name | undefined): boolean {
  return name !== undefined && /^(?:xml|storage\.multipartUploads|storage\.objectParts)\b/.test(name);
}

function toAnswer(refusal: Refusal, xml: boolean): Answer {
  const { status, details } = refusal;
  const headers = details.headers ?? {};
  if (status === 304) return { status, headers };
  return xml ? { status, headers, xml: toXmlError(refusal) } : { status, headers, json: toJsonError(refusal) };
}

async function send(response: ServerResponse, { status, headers = {}, json, xml, bytes }: Answer): Promise<void> {
  const text = json !== undefined ? JSON.stringify(json) : xml;
  const type = json !== undefined ? 'application/json; charset=UTF-8' : 'application/xml; charset=UTF-8';
  const all: Record<string, string> = { server: 'UploadServer', ...headers };
  if (text !== undefined) {
    all['content-type'] = type;
    all['content-length'] = String(Buffer.byteLength(text));
  } else if (!bytes && status !== 204 && status !== 304 && response.req.method !== 'HEAD')
    all['content-length'] ??= '0';
  response.writeHead(status, all);
  if (!bytes || response.req.method === 'HEAD') {
    response.end(text === undefined || response.req.method === 'HEAD' ? undefined : text);
    return;
  }
  for await (const piece of bytes()) {
    if (response.destroyed) return;
    if (!response.write(piece)) await drained(response);
  }
  response.end();
}

function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const go = () => {
      response.off('drain', go);
      response.off('close', go);
      resolve();
    };
    response.on('drain', go);
    response.on('close', go);
  });
}
