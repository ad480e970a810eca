/** Google Cloud Storage as an object store: one bucket, with or without object versioning. */

import { type GcsStoreOptions, openBucket } from './gcs/bucket.ts';
import { get, head, list } from './gcs/read.ts';
import { abortUpload, completeUpload, createUpload, putPart } from './gcs/uploads.ts';
import { copy, put, remove } from './gcs/write.ts';
import type { ObjectStore, StoreCapabilities } from './store.ts';

export type { GcsStoreOptions } from './gcs/bucket.ts';

const MI = 1024 * 1024;
const TI = MI * MI;

/**
 * The past is never shown: generations kept by a versioned bucket can be read by who knows them, and that is all the
 * core asks for. So it need not be known whether this one is, nor is the right to look at buckets needed.
 */
const CAPABILITIES: StoreCapabilities = {
  cloud: 'gcp',
  history: 'current',
  exactToken: true,
  checksums: ['crc32c'],
  putBytesMax: 5 * TI,
  partBytesMin: 5 * MI,
  partsMax: 10_000,
  objectBytesMax: 5 * TI,
};

export interface GcsStore extends ObjectStore {
  /** Lets go of the kept connections; requests under way break off. */
  close(): void;
}

export async function openGcsStore(options: GcsStoreOptions): Promise<GcsStore> {
  const bucket = await openBucket(options);
  const { at } = bucket;
  return {
    site: options.site,
    capabilities: CAPABILITIES,
    head: (key) => at('head', key, () => head(bucket, key)),
    versions: (key) =>
      at('versions', key, async () => {
        const stands = await head(bucket, key);
        return stands ? [stands] : [];
      }),
    get: (key, phys, range) => at('get', key, () => get(bucket, key, phys, range)),
    put: (key, body, how) => at('put', key, () => put(bucket, CAPABILITIES, key, body, how)),
    delete: (key, condition) => at('delete', key, () => remove(bucket, key, condition)),
    list: (query) => at('list', query.prefix, () => list(bucket, query)),
    copy: (source, key, how, progress) => at('copy', key, () => copy(bucket, source, key, how, progress)),
    createUpload: (key) => at('createUpload', key, () => createUpload(bucket, key)),
    putPart: (key, upload, part, body, sums) =>
      at('putPart', key, () => putPart(bucket, CAPABILITIES, key, upload, part, body, sums)),
    completeUpload: (key, upload, parts) =>
      at('completeUpload', key, () => completeUpload(bucket, CAPABILITIES, key, upload, parts)),
    abortUpload: (key, upload) => at('abortUpload', key, () => abortUpload(bucket, key, upload)),
    close: () => bucket.close(),
  };
}
