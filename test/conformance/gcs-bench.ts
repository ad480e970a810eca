/** What tests of the GCS driver need beside it: a new bucket, and an application that changes metadata there. */

import { Storage } from '@google-cloud/storage';
import type { GcsStoreOptions } from '#shared/store/gcs.ts';
import type { StoreClient } from './store.ts';

/** Where the bucket is, and who asks. */
export type GcsTarget = Pick<GcsStoreOptions, 'apiEndpoint' | 'projectId' | 'credentials'>;

export async function createBucket(target: GcsTarget, bucket: string, versioned: boolean): Promise<void> {
  await new Storage(target).createBucket(bucket, { versioning: { enabled: versioned } });
}

/** An application, with the tools of an application: a patch in place, of every field that it means to change. */
export function openPatcher(target: GcsTarget, bucket: string): StoreClient {
  return {
    async patchMetadata(key, { headers, user }) {
      const file = new Storage(target).bucket(bucket).file(key);
      const [{ metadata = {} }] = await file.getMetadata();
      const gone = Object.fromEntries(Object.keys(metadata).map((name) => [name, null]));
      const { triplicate } = metadata;
      await file.setMetadata({
        ...headers,
        metadata: { ...gone, ...user, ...(triplicate !== undefined && { triplicate }) },
      });
    },
  };
}
