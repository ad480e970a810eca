/** The clouds' own SDKs as anybody would open them, with connections that are kept. */

import { S3Client } from '@aws-sdk/client-s3';
import { BlobServiceClient } from '@azure/storage-blob';
import { Storage } from '@google-cloud/storage';
import type { LocalConfig } from '../../local/config.ts';
import { createLedgerTable } from '../../shared/ledger/dynamodb.ts';

const SOCKETS_MAX = 64;

export function openS3({ endpoint, region, accessKeyId, secretAccessKey }: LocalConfig['aws']): S3Client {
  return new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    requestHandler: { httpAgent: { keepAlive: true, maxSockets: SOCKETS_MAX } },
  });
}

/** A deployment makes it; here nobody else does. */
export async function createTable({ aws }: LocalConfig): Promise<void> {
  const { table, region, endpoint, accessKeyId, secretAccessKey } = aws;
  await createLedgerTable({ table, region, endpoint, credentials: { accessKeyId, secretAccessKey } });
}

export function openGcsBucket({ storageEndpoint, projectId, bucket }: LocalConfig['gcp']) {
  const storage = new Storage({ apiEndpoint: storageEndpoint, projectId, useAuthWithCustomEndpoint: false });
  return storage.bucket(bucket);
}

export function openContainer({ connectionString, container }: LocalConfig['azure']) {
  return BlobServiceClient.fromConnectionString(connectionString).getContainerClient(container);
}
