/** A program on Azure, by the SDK for Blob Storage. */

import { Readable } from 'node:stream';
import { BlobServiceClient } from '@azure/storage-blob';
import type { LocalConfig } from '../../../local/config.ts';
import { type About, type App, headersOf, type Kept, OURS, unlessMissing, withoutMarker } from './app.ts';

const MI = 1024 * 1024;

export function openAzureApp({ azure }: LocalConfig): App {
  const box = BlobServiceClient.fromConnectionString(azure.connectionString).getContainerClient(azure.container);
  const blobOf = (name: string) => box.getBlockBlobClient(name);

  async function list(): Promise<ReadonlyMap<string, string>> {
    const standing = new Map<string, string>();
    for await (const { name, properties } of box.listBlobsFlat())
      if (!name.startsWith(OURS)) standing.set(name, physOf(properties));
    return standing;
  }

  return {
    site: 'azure',
    async put(name, bytes, about = {}) {
      const body = Buffer.from(bytes);
      return physOf(await blobOf(name).upload(body, body.length, toOptions(about)));
    },
    upload: async (name, body) => physOf(await blobOf(name).uploadStream(body, 8 * MI, 2)),
    async patch(name, { headers, user }) {
      const blob = blobOf(name);
      const told = headers === undefined ? null : await blob.setHTTPHeaders(toBlobHeaders(headers));
      const said = user === undefined ? null : await blob.setMetadata({ ...user });
      return physOf(said ?? told ?? {});
    },
    async copy(from, to) {
      const copied = await (await blobOf(to).beginCopyFromURL(blobOf(from).url)).pollUntilDone();
      return physOf(copied);
    },
    async remove(name) {
      await blobOf(name).delete();
    },
    async head(name) {
      const found = await unlessMissing(blobOf(name).getProperties(), statusOf);
      if (found === null) return null;
      const { contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl, metadata } = found;
      const entries = Object.entries(metadata ?? {}).map(([key, value]) => [key.toLowerCase(), value] as const);
      return {
        phys: physOf(found),
        sizeBytes: found.contentLength ?? -1,
        headers: headersOf({ contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl }),
        ...withoutMarker(Object.fromEntries(entries)),
      };
    },
    async open(name) {
      const { readableStreamBody } = await blobOf(name).download();
      return Readable.from(readableStreamBody ?? []);
    },
    list,
    history: async () =>
      [...(await list())].map(([name, phys]): Kept => {
        return { name, phys, isDelete: false };
      }),
    close: () => {},
  };
}

/** Answers put the tag in quotes, listings do not. */
function physOf({ etag = '' }: { readonly etag?: string | undefined }): string {
  return etag.startsWith('"') ? etag : `"${etag}"`;
}

function toBlobHeaders(headers: NonNullable<About['headers']>) {
  const { contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl } = headers;
  return {
    ...(contentType !== undefined && { blobContentType: contentType }),
    ...(contentEncoding !== undefined && { blobContentEncoding: contentEncoding }),
    ...(contentLanguage !== undefined && { blobContentLanguage: contentLanguage }),
    ...(contentDisposition !== undefined && { blobContentDisposition: contentDisposition }),
    ...(cacheControl !== undefined && { blobCacheControl: cacheControl }),
  };
}

function toOptions({ headers, user }: About) {
  return {
    ...(headers !== undefined && { blobHTTPHeaders: toBlobHeaders(headers) }),
    ...(user !== undefined && { metadata: { ...user } }),
  };
}

function statusOf(error: unknown): unknown {
  return (error as { statusCode?: number }).statusCode;
}
