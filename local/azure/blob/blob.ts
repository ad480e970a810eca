/** Azure Blob Storage: Azurite inside this process, with faults, events and writes that survive kill -9. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { mkdirSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { serveHttp } from '../../http.ts';
import type { Cloud, Service } from '../../service.ts';
import { ACCOUNT, ACCOUNT_KEY, CONTEXT, openAzurite } from './azurite.ts';
import { refuseStorage } from './errors.ts';
import { openEvents, readCall, type StorageCall, type StorageEvent } from './events.ts';
import { openJournal } from './journal.ts';
import { putSigned } from './sign.ts';

export interface BlobOptions {
  /** 0: any free one. */
  readonly port: number;
  /** Told of what Event Grid is told of, in the transaction of the change. */
  readonly publish?: (event: StorageEvent) => void;
}

export interface BlobService extends Service {
  /** For `BlobServiceClient.fromConnectionString`. */
  readonly connectionString: string;
  /** One that stands already is left as it is. */
  createContainer(name: string): Promise<void>;
  /** Writes a block blob, as the world itself has to now and then. */
  write(container: string, name: string, body: Uint8Array): Promise<void>;
}

/**
 * Not as in Azure: there are no versions of blobs, and what Azurite lacks is missing (Put Blob From URL, change feed).
 * A wrong clock moves the times that blobs and answers carry; whether a shared access signature has expired it does not.
 */
export async function startBlob(cloud: Cloud, { port, publish }: BlobOptions): Promise<BlobService> {
  const folder = cloud.state.folder === null ? null : join(cloud.state.folder, 'extents');
  if (folder !== null) mkdirSync(folder, { recursive: true });
  const calls = new AsyncLocalStorage<StorageCall>();
  const open = new Set<ServerResponse>();
  let failure: unknown;

  const events = openEvents(cloud.state.db, cloud.now);
  const journal = openJournal({
    db: cloud.state.db,
    watch(collection, change, document) {
      const call = calls.getStore();
      if (call === undefined || publish === undefined) return undefined;
      const told = events.changeOf(call, collection, change, document);
      return told && (() => publish(events.eventOf(told)));
    },
    fail(error) {
      failure = error;
      cloud.report(`azure blob: nothing can be stored any more: ${String(error)}`);
      for (const response of open) response.destroy();
    },
  });

  const azurite = openAzurite(folder);
  await journal.follow(azurite.stores);
  if (folder !== null) journal.sweep(folder);
  await azurite.start();

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (failure !== undefined)
      throw new Error('the state of the storage account cannot be written', { cause: failure });
    if (!isDecodable(request.url ?? '')) return refuseStorage(response, 400, cloud.now());
    open.add(response);
    const context = newContext(() => cloud.faults.aheadMs(cloud.name));
    Object.assign(response, { locals: { [CONTEXT]: context } });
    const call = { ...readCall(request), requestId: () => context.contextID };
    try {
      await calls.run(call, () => {
        const closed = new Promise((resolve) => response.once('close', resolve));
        azurite.answer(request, response);
        return closed;
      });
    } finally {
      open.delete(response);
    }
  }

  const service = await serveHttp({
    cloud,
    service: 'blob',
    port,
    describe: readCall,
    handle,
    refuse: (response, status) => refuseStorage(response, status, cloud.now()),
  });
  const endpoint = `http://${cloud.host}:${service.port}`;

  async function put(what: string, path: string, expected: readonly number[], rest = {}): Promise<void> {
    const status = await putSigned({ endpoint, path, ...rest });
    if (!expected.includes(status)) throw new Error(`azure blob: ${what} was answered with ${status}`);
  }

  return {
    ...service,
    connectionString: [
      'DefaultEndpointsProtocol=http',
      `AccountName=${ACCOUNT}`,
      `AccountKey=${ACCOUNT_KEY}`,
      `BlobEndpoint=${endpoint}/${ACCOUNT}`,
    ].join(';'),
    createContainer: (name) => put(`creating the container ${name}`, `${name}?restype=container`, [201, 409]),
    write(container, name, body) {
      const headers = { 'x-ms-blob-type': 'BlockBlob', 'content-type': 'application/json' };
      const path = `${container}/${name.split('/').map(encodeURIComponent).join('/')}`;
      return put(`writing ${container}/${name}`, path, [201], { headers, body });
    },
    async stop() {
      await service.stop();
      await azurite.stop();
    },
  };
}

/** What Azurite's handlers know of a request; every time they stamp is its start, by a clock that may be wrong. */
function newContext(aheadMs: () => number): { readonly contextID?: string } {
  let startTime: Date | undefined;
  return {
    get startTime() {
      return startTime;
    },
    set startTime(time: Date | undefined) {
      startTime = time && new Date(time.getTime() + aheadMs());
    },
  } as { readonly contextID?: string };
}

/** Azurite would answer as Express does, with a page of its own, and write to the console. */
function isDecodable(url: string): boolean {
  try {
    return decodeURIComponent(url.split('?', 1)[0] ?? '') !== '';
  } catch {
    return false;
  }
}
