/** The Azure Blob driver against an account that is not ours: Azurite by itself, or Azure. */

import { BlobServiceClient } from '@azure/storage-blob';
import { it } from 'vitest';
import { openAzureBlobStore } from '#shared/store/azblob.ts';
import { storeConformance } from './store.ts';

const { TRIPLICATE_TEST_AZURE: connectionString } = process.env;

if (connectionString === undefined) {
  it('the Azure Blob driver keeps the contract at another account', (context) => {
    const reason = 'needs TRIPLICATE_TEST_AZURE, the connection string of an account or of an Azurite';
    console.warn(`not run: Azure Blob at another account, ${reason}`);
    context.skip(reason);
  });
} else {
  runAt(BlobServiceClient.fromConnectionString(connectionString), connectionString);
}

function runAt(account: BlobServiceClient, address: string): void {
  const container = `triplicate-${Date.now().toString(36)}`;
  storeConformance({
    name: `Azure Blob at ${account.url}`,
    async open() {
      await account.getContainerClient(container).createIfNotExists();
      return { store: await openAzureBlobStore({ site: 'target', container, connectionString: address }) };
    },
    client: () => ({
      async patchMetadata(key, { headers, user }) {
        const blob = account.getContainerClient(container).getBlobClient(key);
        const { metadata } = await blob.getProperties();
        await blob.setHTTPHeaders({
          blobContentType: headers.contentType ?? '',
          blobContentEncoding: headers.contentEncoding ?? '',
          blobContentLanguage: headers.contentLanguage ?? '',
          blobContentDisposition: headers.contentDisposition ?? '',
          blobCacheControl: headers.cacheControl ?? '',
        });
        await blob.setMetadata({ ...user, ...(metadata?.triplicate && { triplicate: metadata.triplicate }) });
      },
    }),
  });
}
