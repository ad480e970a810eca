/** What tests of the S3 driver need beside it: a new bucket, and an application that changes metadata there. */

import {
  CopyObjectCommand,
  CreateBucketCommand,
  HeadObjectCommand,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { ObjectMetadata } from '#shared/model/object.ts';
import type { S3StoreOptions } from '#shared/store/s3.ts';
import type { StoreClient } from './store.ts';

/** Where the bucket is, and who asks. */
export type S3Target = Required<Pick<S3StoreOptions, 'endpoint' | 'region' | 'credentials'>>;

export async function createBucket(target: S3Target, bucket: string, versioned: boolean): Promise<void> {
  const client = new S3Client({ ...target, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  const VersioningConfiguration = { Status: 'Enabled' as const };
  if (versioned) await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }));
  client.destroy();
}

/** An application, with the tools of an application: an object copied onto itself with other metadata. */
export function openPatcher(target: S3Target, bucket: string): StoreClient {
  return {
    async patchMetadata(key: string, { headers, user }: ObjectMetadata) {
      const client = new S3Client({ ...target, forcePathStyle: true });
      const { Metadata = {} } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
      await client.send(
        new CopyObjectCommand({
          Bucket: bucket,
          Key: key,
          CopySource: `${bucket}/${encodeURIComponent(key)}`,
          MetadataDirective: 'REPLACE',
          ContentType: headers.contentType,
          ContentEncoding: headers.contentEncoding,
          ContentLanguage: headers.contentLanguage,
          ContentDisposition: headers.contentDisposition,
          CacheControl: headers.cacheControl,
          Metadata: { ...user, ...(Metadata.triplicate !== undefined && { triplicate: Metadata.triplicate }) },
        }),
      );
      client.destroy();
    },
  };
}
