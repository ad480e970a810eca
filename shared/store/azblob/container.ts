/** One container through the SDK: loaded when it is needed, without retries, every request with a deadline. */

import type {
  BlobServiceClient,
  BlockBlobClient,
  ContainerClient,
  HttpAuthorization,
  StoragePipelineOptions,
} from '@azure/storage-blob';
import { Fault, fault, invalid } from '../../model/fault.ts';
import type { SiteId } from '../../model/site.ts';
import { placed } from '../body.ts';
import { nameOf } from './describe.ts';
import { toFault } from './faults.ts';

export type AzureCredential =
  | { readonly kind: 'shared-key'; readonly accountName: string; readonly accountKey: string }
  /** Any `TokenCredential` of @azure/identity. */
  | { readonly kind: 'token'; readonly credential: TokenSource };

export interface TokenSource {
  getToken(scopes: string | string[]): Promise<{ readonly token: string; readonly expiresOnTimestamp: number } | null>;
}

export interface AzureBlobStoreOptions {
  readonly site: SiteId;
  readonly container: string;
  /** The account's blob endpoint, with a shared access signature as its query if that is what we were given. */
  readonly url?: string;
  readonly connectionString?: string;
  readonly credential?: AzureCredential;
  /** Whether the account keeps versions; found out by writing and removing one object when absent. */
  readonly history?: 'chain' | 'current';
  /** Put before the SDK's own, so that the service's logs tell who asked. */
  readonly userAgent?: string;
  /** What the id of every request begins with. Event Grid tells it of each write, so that a filter can leave ours out. */
  readonly requestIds?: string;
  /** For one request and its answer, bodies that stream aside. */
  readonly requestTimeoutMs?: number;
  /** How long a body may stand still on its way to us. */
  readonly idleTimeoutMs?: number;
}

export interface Container {
  readonly site: SiteId;
  readonly client: ContainerClient;
  readonly idleTimeoutMs: number;
  /** Whether version ids count. Where they do not, a blob is identified by its entity tag alone. */
  readonly versioned: boolean;
  blob(key: string): BlockBlobClient;
  /** Where the service itself may read a version from, and with whose rights. */
  sourceOf(key: string, versionId: string | undefined): Promise<CopySource>;
  /** One request: its failure becomes a Fault, its time is limited. */
  call<Answer>(
    request: RequestKind,
    run: (signal: AbortSignal) => Promise<Answer>,
    bodyBytes?: number,
  ): Promise<Answer>;
  /** A whole operation: every Fault leaves it with site, operation and key. */
  at<Answer>(op: string, key: string, run: () => Promise<Answer>): Promise<Answer>;
}

export interface CopySource {
  readonly url: string;
  readonly authorization?: HttpAuthorization;
}

/** Only a write can have happened unseen; what is staged shows nowhere, and what is staged by a copy takes its time. */
export type RequestKind = 'read' | 'write' | 'stage' | 'copy';

const REQUEST_TIMEOUT_MS = 60_000;
const COPY_TIMEOUT_MS = 10 * 60_000;
const SOURCE_RIGHTS_MS = 60 * 60_000;
/** Slower than this is no connection. */
const BYTES_PER_MS_MIN = 64;
const TOKEN_SCOPE = 'https://storage.azure.com/.default';

export async function openContainer(options: AzureBlobStoreOptions): Promise<Container> {
  const { site, credential, requestTimeoutMs = REQUEST_TIMEOUT_MS, idleTimeoutMs = REQUEST_TIMEOUT_MS } = options;
  const sdk = await import('@azure/storage-blob');
  const pipeline: StoragePipelineOptions = {
    // One try: a repeated conditional write would meet its own first success and be refused. Repeating is a layer.
    retryOptions: { maxTries: 1 },
    ...(options.userAgent !== undefined && { userAgentOptions: { userAgentPrefix: options.userAgent } }),
  };
  const client = openService().getContainerClient(options.container);
  if (options.requestIds !== undefined) nameRequests(client, options.requestIds);

  function openService(): BlobServiceClient {
    const { url, connectionString } = options;
    if (connectionString !== undefined) return sdk.BlobServiceClient.fromConnectionString(connectionString, pipeline);
    if (url === undefined) throw invalid('url', url, 'the blob endpoint of the account, or a connectionString');
    if (credential?.kind === 'token') return new sdk.BlobServiceClient(url, credential.credential, pipeline);
    if (credential?.kind !== 'shared-key') return new sdk.BlobServiceClient(url, undefined, pipeline);
    const { accountName, accountKey } = credential;
    return new sdk.BlobServiceClient(url, new sdk.StorageSharedKeyCredential(accountName, accountKey), pipeline);
  }

  return {
    site,
    client,
    idleTimeoutMs,
    versioned: false,

    blob: (key) => client.getBlockBlobClient(nameOf(key)),

    async sourceOf(key, versionId) {
      const blob = client.getBlobClient(nameOf(key));
      const { url } = versionId === undefined ? blob : blob.withVersion(versionId);
      if (client.credential instanceof sdk.StorageSharedKeyCredential) {
        const rights = sdk.generateBlobSASQueryParameters(
          {
            containerName: options.container,
            blobName: key,
            ...(versionId !== undefined && { versionId }),
            permissions: sdk.BlobSASPermissions.parse('r'),
            expiresOn: new Date(Date.now() + SOURCE_RIGHTS_MS),
          },
          client.credential,
        );
        return { url: `${url}${url.includes('?') ? '&' : '?'}${rights.toString()}` };
      }
      if (credential?.kind !== 'token') return { url };
      const value = (await credential.credential.getToken(TOKEN_SCOPE))?.token;
      if (value === undefined)
        throw fault('forbidden', 'the credential gave no token to read the source of a copy with');
      return { url, authorization: { scheme: 'Bearer', value } };
    },

    async call(kind, run, bodyBytes = 0) {
      const limitMs = kind === 'copy' ? COPY_TIMEOUT_MS : requestTimeoutMs;
      const watch = openWatch(limitMs + Math.ceil(bodyBytes / BYTES_PER_MS_MIN));
      try {
        return await run(watch.signal);
      } catch (error) {
        throw error instanceof Fault ? error : toFault(error, {}, kind === 'write');
      } finally {
        watch.stop();
      }
    },

    async at(op, key, run) {
      try {
        return await run();
      } catch (error) {
        throw placed(error, { site, op, key });
      }
    },
  };
}

/** All clients of a container share one pipeline, which the SDK gives no option to add to. */
function nameRequests(client: ContainerClient, prefix: string): void {
  const { pipeline } = (client as unknown as { readonly storageClientContext: { readonly pipeline: Pipeline } })
    .storageClientContext;
  pipeline.addPolicy({
    name: 'nameRequests',
    sendRequest(request, next) {
      request.headers.set('x-ms-client-request-id', `${prefix}${request.requestId}`);
      return next(request);
    },
  });
}

interface Pipeline {
  addPolicy(policy: {
    readonly name: string;
    sendRequest<Answer>(request: Request, next: (request: Request) => Promise<Answer>): Promise<Answer>;
  }): void;
}

interface Request {
  readonly requestId: string;
  readonly headers: { set(name: string, value: string): void };
}

/** A signal that aborts when nobody restarts or stops the watch in time. */
export interface Watch {
  readonly signal: AbortSignal;
  restart(): void;
  stop(): void;
}

export function openWatch(limitMs: number): Watch {
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
