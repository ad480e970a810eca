/** An object store in one bucket of Amazon S3, or of a service that speaks as S3 does. */

import { Fault, fault } from '../model/fault.ts';
import type { SiteId } from '../model/site.ts';
import { NO_METADATA } from './flavours.ts';
import { type Connection, openConnection, type S3ConnectionOptions } from './s3/client.ts';
import { copyObject } from './s3/copy.ts';
import { openLooks } from './s3/look.ts';
import {
  beginUpload,
  dropUpload,
  joinParts,
  PARTS_MAX,
  readReceipts,
  sendPart,
  sendStreamedPart,
  toReceipt,
} from './s3/multipart.ts';
import { openReads } from './s3/read.ts';
import { putStream } from './s3/stream.ts';
import { afterWrite, putBytes, removeObject } from './s3/write.ts';
import type { ObjectStore, StoreCapabilities, WriteCondition } from './store.ts';

export type { S3Credentials } from './s3/client.ts';

export interface S3StoreOptions extends S3ConnectionOptions {
  readonly site: SiteId;
  /** Above this a body without a known length is sent by parts, and held in memory part by part: 5 MiB at least. */
  readonly streamPartBytes?: number;
  /** Above this a copy is made by parts. */
  readonly copyBytesMax?: number;
  readonly copyPartBytes?: number;
}

export interface S3Store extends ObjectStore {
  /** Ends its connections, and the calls that are under way on them. */
  close(): void;
}

const MI = 1024 * 1024;
const GI = 1024 * MI;
const ALWAYS: WriteCondition = { kind: 'always' };

/**
 * Asks the bucket whether it keeps versions: then the store shows them as a chain, else only what stands. A bucket whose
 * versions are suspended is refused, since it forgets the one version that it calls "null" without a trace.
 *
 * It needs s3:GetBucketVersioning, s3:ListBucket, s3:ListBucketVersions and, on objects, Get, GetVersion, Put, Delete,
 * AbortMultipartUpload and ListMultipartUploadParts. Without s3:ListBucket S3 does not tell "nothing there" from "not for you".
 */
export async function openS3Store(options: S3StoreOptions): Promise<S3Store> {
  const { site, streamPartBytes = 8 * MI, copyBytesMax = 5 * GI, copyPartBytes = 512 * MI } = options;
  const connection = await openConnection(options);
  const versioned = await keepsVersions(connection).catch((error) => {
    connection.close();
    throw error;
  });
  const looks = openLooks(connection, versioned);
  const read = openReads(connection, looks, versioned);
  const capabilities: StoreCapabilities = {
    cloud: 'aws',
    history: versioned ? 'chain' : 'current',
    exactToken: false,
    checksums: ['crc64nvme'],
    putBytesMax: 5 * GI,
    partBytesMin: 5 * MI,
    partsMax: PARTS_MAX,
    objectBytesMax: 50_000 * GI,
  };

  /** Faults about what was given are made before any call, and leave with their place as well. */
  async function at<Answer>(op: string, key: string, run: () => Promise<Answer>): Promise<Answer> {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      throw fault(error.kind, error.message, { ...error.details, retry: error.retry, site, op, key });
    }
  }

  return {
    site,
    capabilities,

    head: (key) => at('head', key, () => looks.look(key, 'head')),

    versions: (key) => at('versions', key, () => looks.versions(key)),

    get: (key, phys, range) => at('get', key, () => read(key, phys, range)),

    put: (key, body, put) =>
      at('put', key, () =>
        body instanceof Uint8Array
          ? putBytes(connection, looks, key, body, put)
          : putStream(connection, looks, key, body, put, {
              partBytes: streamPartBytes,
              putBytesMax: capabilities.putBytesMax,
            }),
      ),

    delete: (key, condition) => at('delete', key, () => removeObject(connection, looks, versioned, key, condition)),

    list: (query) => at('list', query.prefix, () => looks.list(query)),

    copy: (source, key, put, progress) =>
      at('copy', key, () =>
        copyObject(connection, looks, read, versioned, source, key, put, { copyBytesMax, copyPartBytes }, progress),
      ),

    createUpload: (key) => at('createUpload', key, () => beginUpload(connection, 'createUpload', key)),

    putPart: (key, upload, part, body, sums) =>
      at('putPart', key, async () =>
        toReceipt(
          body instanceof Uint8Array
            ? await sendPart(connection, 'putPart', key, upload, part, body, sums)
            : await sendStreamedPart(connection, 'putPart', key, upload, part, body),
        ),
      ),

    completeUpload: (key, upload, receipts) =>
      at('completeUpload', key, async () => {
        const parts = readReceipts(receipts);
        const written = await joinParts(connection, 'completeUpload', key, upload, parts, ALWAYS);
        const nothing = { metadata: NO_METADATA, marker: undefined };
        return afterWrite(connection, looks, 'completeUpload', key, nothing, written);
      }),

    abortUpload: (key, upload) => at('abortUpload', key, () => dropUpload(connection, key, upload)),

    close: connection.close,
  };
}

async function keepsVersions({ sdk, bucket, site, send }: Connection): Promise<boolean> {
  const { Status } = await send({ op: 'open', writes: false }, ({ client, abortSignal }) =>
    client.send(new sdk.GetBucketVersioningCommand({ Bucket: bucket }), { abortSignal }),
  );
  if (Status !== 'Suspended') return Status === 'Enabled';
  const text = `bucket ${bucket}: its versions are suspended; switch them on, or use a bucket that never had any`;
  throw fault('unsupported', text, { site, op: 'open', field: 'bucket', value: bucket });
}
