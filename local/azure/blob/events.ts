/** What Azure Storage tells Event Grid of: which request, done to which blob, raises which event. */

import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Database } from '../../state/sqlite.ts';
import type { LokiChange, LokiDocument } from './azurite.ts';

/** In Event Grid's own schema; times have seven digits after the point. */
export interface StorageEvent {
  readonly id: string;
  readonly topic: string;
  readonly subject: string;
  readonly eventType: string;
  readonly eventTime: string;
  readonly dataVersion: '';
  readonly metadataVersion: '1';
  readonly data: Readonly<Record<string, unknown>>;
}

/** The request that a change happens for. */
export interface StorageCall {
  /** Azure's name of the operation. */
  readonly operation: string;
  /** `container/blob`, decoded. */
  readonly key: string;
  /** Of the URL it came by. */
  readonly origin: string;
  readonly clientRequestId: string | undefined;
  readonly requestId: () => string | undefined;
}

const BLOBS = '$BLOBS_COLLECTION$';
const TABLES = `
  CREATE TABLE IF NOT EXISTS azurite_sequence (id INTEGER PRIMARY KEY CHECK (id = 1), last INTEGER NOT NULL) STRICT;
  INSERT OR IGNORE INTO azurite_sequence VALUES (1, 0);
`;

type EventType = 'BlobCreated' | 'BlobDeleted' | 'BlobTierChanged';

/** What a change of a blob means, by the operation that makes it. Whatever is not here raises nothing, as in Azure. */
const RAISES: Readonly<Record<string, Partial<Record<LokiChange, readonly [EventType, api: string]>>>> = {
  PutBlob: { insert: ['BlobCreated', 'PutBlob'] },
  PutBlockList: { insert: ['BlobCreated', 'PutBlockList'], update: ['BlobCreated', 'PutBlockList'] },
  CopyBlob: { insert: ['BlobCreated', 'CopyBlob'] },
  DeleteBlob: { delete: ['BlobDeleted', 'DeleteBlob'] },
  SetBlobTier: { update: ['BlobTierChanged', 'SetBlobTier'] },
  BlobBatch: { delete: ['BlobDeleted', 'DeleteBlob'], update: ['BlobTierChanged', 'SetBlobTier'] },
};

const FIELDS: Readonly<Record<EventType, readonly string[]>> = {
  BlobCreated: ['eTag', 'contentType', 'contentLength', 'blobType'],
  BlobDeleted: ['contentType', 'blobType'],
  BlobTierChanged: ['contentType', 'contentLength', 'blobType'],
};

interface Properties {
  readonly etag?: string;
  readonly contentType?: string;
  readonly contentLength?: number;
  readonly blobType?: string;
}

export interface EventMaker {
  /** Undefined: nobody is told. Takes the next place in the order of events, so call it in the transaction of the change. */
  eventOf(change: BlobChange): StorageEvent;
  /** Undefined: nobody is told of this. */
  changeOf(call: StorageCall, collection: string, change: LokiChange, document: LokiDocument): BlobChange | undefined;
}

export interface BlobChange {
  readonly call: StorageCall;
  readonly type: EventType;
  readonly api: string;
  readonly account: string;
  readonly container: string;
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export function openEvents(db: Database, now: () => number): EventMaker {
  db.define(TABLES);

  function nextSequencer(): string {
    db.run('UPDATE azurite_sequence SET last = last + 1');
    const last = db.get<{ last: number }>('SELECT last FROM azurite_sequence')?.last ?? 0;
    return last.toString(16).toUpperCase().padStart(32, '0');
  }

  return {
    changeOf(call, collection, change, document) {
      const raised = RAISES[call.operation]?.[change];
      if (raised === undefined || collection !== BLOBS) return undefined;
      if (document.snapshot !== '' || document.isCommitted !== true) return undefined;
      const { etag = '', contentType, contentLength, blobType } = document.properties as Properties;
      const all: Record<string, unknown> = {
        eTag: etag.replaceAll('"', ''),
        contentType: contentType ?? 'application/octet-stream',
        contentLength,
        blobType,
      };
      const [type, api] = raised;
      return {
        call,
        type,
        api,
        account: String(document.accountName),
        container: String(document.containerName),
        name: String(document.name),
        data: Object.fromEntries(FIELDS[type].map((field) => [field, all[field]])),
      };
    },
    eventOf({ call, type, api, account, container, name, data }) {
      const provider = '/subscriptions/local/resourceGroups/local/providers/Microsoft.Storage/storageAccounts';
      return {
        id: randomUUID(),
        topic: `${provider}/${account}`,
        subject: `/blobServices/default/containers/${container}/blobs/${name}`,
        eventType: `Microsoft.Storage.${type}`,
        eventTime: new Date(now()).toISOString().replace('Z', '0000Z'),
        dataVersion: '',
        metadataVersion: '1',
        data: {
          api,
          ...(call.clientRequestId === undefined ? {} : { clientRequestId: call.clientRequestId }),
          requestId: call.requestId(),
          ...data,
          url: [call.origin, account, container, ...name.split('/').map(encodeURIComponent)].join('/'),
          sequencer: nextSequencer(),
          storageDiagnostics: { batchId: randomUUID() },
        },
      };
    },
  };
}

/** By method and `comp`; `restype=container` and paths without a blob come first. Reads are told for the faults only. */
const BLOB_OPERATIONS: Readonly<Record<string, string>> = {
  'PUT ': 'PutBlob',
  'PUT block': 'PutBlock',
  'PUT blocklist': 'PutBlockList',
  'PUT tier': 'SetBlobTier',
  'PUT metadata': 'SetBlobMetadata',
  'PUT properties': 'SetBlobProperties',
  'PUT tags': 'SetBlobTags',
  'PUT snapshot': 'SnapshotBlob',
  'PUT lease': 'LeaseBlob',
  'PUT appendblock': 'AppendBlock',
  'PUT page': 'PutPage',
  'PUT copy': 'AbortCopyBlob',
  'GET ': 'GetBlob',
  'GET metadata': 'GetBlobMetadata',
  'GET tags': 'GetBlobTags',
  'GET blocklist': 'GetBlockList',
  'GET pagelist': 'GetPageRanges',
  'HEAD ': 'GetBlobProperties',
  'DELETE ': 'DeleteBlob',
};
const CONTAINER_OPERATIONS: Readonly<Record<string, string>> = {
  'PUT ': 'CreateContainer',
  'DELETE ': 'DeleteContainer',
  'GET ': 'GetContainerProperties',
  'HEAD ': 'GetContainerProperties',
  'GET list': 'ListBlobs',
  'PUT metadata': 'SetContainerMetadata',
  'PUT lease': 'LeaseContainer',
  'POST batch': 'BlobBatch',
};

/** Never throws: what makes no sense is called 'unknown'. */
export function readCall(request: IncomingMessage): Omit<StorageCall, 'requestId'> {
  const url = URL.parse(request.url ?? '/', `http://${request.headers.host ?? 'localhost'}`);
  const clientRequestId = request.headers['x-ms-client-request-id'];
  const base = { clientRequestId: typeof clientRequestId === 'string' ? clientRequestId : undefined };
  if (url === null) return { ...base, operation: 'unknown', key: '', origin: '' };
  const [, , container = '', ...rest] = url.pathname.split('/');
  const name = rest.join('/');
  const call = `${request.method} ${url.searchParams.get('comp') ?? ''}`;
  const table = name === '' ? CONTAINER_OPERATIONS : BLOB_OPERATIONS;
  let operation = container === '' ? (call === 'POST batch' ? 'BlobBatch' : 'ListContainers') : table[call];
  if (operation === 'PutBlob' && request.headers['x-ms-copy-source'] !== undefined) operation = 'CopyBlob';
  return {
    ...base,
    operation: operation ?? 'unknown',
    key: decode(`${container}/${name}`),
    origin: url.origin,
  };
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
