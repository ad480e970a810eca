/** Azurite's blob server without its port: the request listener, and the two stores that have to be made durable. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { computeChecksums } from './checksums.ts';
import { flatten, shareCopies } from './copies.ts';

/** As LokiJS keeps it; `$loki` is its number within the collection. */
export interface LokiDocument {
  readonly $loki: number;
  readonly [field: string]: unknown;
}

export type LokiChange = 'insert' | 'update' | 'delete';

export interface LokiCollection {
  readonly name: string;
  data: LokiDocument[];
  maxId: number;
  idIndex: number[] | null;
  readonly uniqueNames: readonly string[];
  ensureId(): void;
  ensureAllIndexes(force: boolean): void;
  ensureUniqueIndex(field: string): void;
  on(change: LokiChange, then: (document: LokiDocument) => void): void;
}

export interface LokiStore {
  db: { readonly collections: readonly LokiCollection[] };
  init(): Promise<void>;
}

interface BlobServer {
  readonly metadataStore: LokiStore;
  readonly extentMetadataStore: LokiStore;
  readonly httpServer: {
    listeners(event: 'request'): ((request: IncomingMessage, response: ServerResponse) => void)[];
  };
  beforeStart(): Promise<void>;
  afterClose(): Promise<void>;
}

export interface Azurite {
  /** The description of blobs, and where their bytes are. */
  readonly stores: readonly LokiStore[];
  /** Once the stores hold what they held before: the first thing it does is to throw away what nobody uses. */
  start(): Promise<void>;
  answer(request: IncomingMessage, response: ServerResponse): void;
  stop(): Promise<void>;
}

export const ACCOUNT = 'devstoreaccount1';
/** Known to everybody, as Azurite's documentation gives it away. */
export const ACCOUNT_KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
/** Where its handlers look for what they know of a request. */
export const CONTEXT = 'azurite_blob_context';

const EXTENT_WRITERS = 50;
const BLOBS = '$BLOBS_COLLECTION$';
const MEMORY_BYTES_MAX = 4 * 1024 ** 3;

function loadFrom(file: string, name: string) {
  return createRequire(file)(name);
}

/** Its classes are patched once, however many of it there are in a process. */
let isPatched = false;

/** `folder` null: the bytes live in memory. */
export function openAzurite(folder: string | null): Azurite {
  const load = createRequire(import.meta.url);
  const parts = 'azurite/dist/src';
  const { default: Server } = load(`${parts}/blob/BlobServer.js`);
  const { default: Configuration } = load(`${parts}/blob/BlobConfiguration.js`);
  const { MemoryExtentChunkStore } = load(`${parts}/common/persistence/MemoryExtentStore.js`);
  const Loki = loadFrom(load.resolve('azurite'), 'lokijs');
  load(`${parts}/common/utils/utils.js`).computeTransactionalChecksums = computeChecksums;
  if (!isPatched) {
    const { default: BlockBlobHandler } = load(`${parts}/blob/handlers/BlockBlobHandler.js`);
    const { default: MetadataStore } = load(`${parts}/blob/persistence/LokiBlobMetadataStore.js`);
    const { extractStoragePartsFromPath: readPath } = load(
      `${parts}/blob/middlewares/blobStorageContext.middleware.js`,
    );
    shareCopies({ handler: BlockBlobHandler.prototype, metadataStore: MetadataStore.prototype, readPath });
    isPatched = true;
  }

  const configuration = new Configuration();
  const location = { locationId: 'Default', locationPath: folder, maxConcurrency: EXTENT_WRITERS };
  Object.assign(configuration, {
    skipApiVersionCheck: true,
    enableAccessLog: false,
    isMemoryPersistence: folder === null,
    memoryStore: new MemoryExtentChunkStore(MEMORY_BYTES_MAX),
    persistencePathArray: folder === null ? [] : [location],
  });
  const server: BlobServer = new Server(configuration);
  const stores = [server.metadataStore, server.extentMetadataStore];
  // Its own way of saving writes everything every few seconds: what was acknowledged since would be lost.
  for (const store of stores) store.db = new Loki('', { persistenceMethod: 'memory' });
  const listener = server.httpServer.listeners('request')[0];
  if (listener === undefined) throw new Error('this Azurite has no request listener: another version was expected');
  return {
    stores,
    async start() {
      const blobs = server.metadataStore.db.collections.find(({ name }) => name === BLOBS);
      for (const change of ['insert', 'update'] as const) blobs?.on(change, flatten);
      await server.beforeStart();
    },
    answer: (request, response) => listener(request, response),
    stop: () => server.afterClose(),
  };
}
