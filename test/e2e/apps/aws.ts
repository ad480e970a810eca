/** A program on AWS, by the SDK for S3. */

import { Agent } from 'node:http';
import type { Readable } from 'node:stream';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { LocalConfig } from '../../../local/config.ts';
import { type About, type App, headersOf, type Kept, OURS, unlessMissing, withoutMarker } from './app.ts';

export interface AwsApp extends App {
  /** Takes the newest delete marker away, so that what it hid is back. */
  undelete(name: string): Promise<void>;
  versionText(name: string, phys: string): Promise<string>;
}

export function openAwsApp({ aws }: LocalConfig): AwsApp {
  const { endpoint, region, accessKeyId, secretAccessKey, bucket } = aws;
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    requestHandler: { httpAgent: new Agent({ keepAlive: true, maxSockets: 16 }), requestTimeout: 120_000 },
  });
  const at = (name: string) => ({ Bucket: bucket, Key: name });

  async function* pages(): AsyncGenerator<ListObjectVersionsCommandOutput> {
    let next: { KeyMarker?: string; VersionIdMarker?: string } | null = {};
    while (next !== null) {
      const page: ListObjectVersionsCommandOutput = await client.send(
        // Else a control character in a key would break the XML.
        new ListObjectVersionsCommand({ Bucket: bucket, EncodingType: 'url', ...next }),
      );
      yield page;
      const { IsTruncated, NextKeyMarker, NextVersionIdMarker } = page;
      next = IsTruncated
        ? {
            ...(NextKeyMarker !== undefined && { KeyMarker: nameOf(NextKeyMarker) }),
            ...(NextVersionIdMarker !== undefined && { VersionIdMarker: NextVersionIdMarker }),
          }
        : null;
    }
  }

  return {
    site: 'aws',
    async put(name, bytes, about = {}) {
      const body = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
      return physOf(await client.send(new PutObjectCommand({ ...at(name), Body: body, ...toInput(about) })));
    },
    async upload(name, body, sizeBytes) {
      return physOf(await client.send(new PutObjectCommand({ ...at(name), Body: body, ContentLength: sizeBytes })));
    },
    async patch(name, about) {
      const input = { ...at(name), CopySource: sourceOf(bucket, name), MetadataDirective: 'REPLACE' as const };
      return physOf(await client.send(new CopyObjectCommand({ ...input, ...toInput(about) })));
    },
    async copy(from, to) {
      return physOf(await client.send(new CopyObjectCommand({ ...at(to), CopySource: sourceOf(bucket, from) })));
    },
    async remove(name) {
      await client.send(new DeleteObjectCommand(at(name)));
    },
    async undelete(name) {
      for await (const { DeleteMarkers = [] } of pages()) {
        const marker = DeleteMarkers.find(({ Key, IsLatest }) => nameOf(Key) === name && IsLatest);
        if (marker === undefined) continue;
        await client.send(new DeleteObjectCommand({ ...at(name), VersionId: marker.VersionId }));
        return;
      }
      throw new Error(`${name} is not deleted`);
    },
    async versionText(name, phys) {
      const VersionId = phys.replace(/^v:/, '');
      const { Body } = await client.send(new GetObjectCommand({ ...at(name), VersionId }));
      return (await Body?.transformToString()) ?? '';
    },
    async head(name) {
      const found = await unlessMissing(client.send(new HeadObjectCommand(at(name))), statusOf);
      if (found === null) return null;
      const { ContentType, ContentEncoding, ContentLanguage, ContentDisposition, CacheControl } = found;
      return {
        phys: physOf(found),
        sizeBytes: found.ContentLength ?? -1,
        headers: headersOf({
          contentType: ContentType,
          // The SDK has taken the coding of the wire off, and leaves what was never there.
          contentEncoding: ContentEncoding === '' ? undefined : ContentEncoding,
          contentLanguage: ContentLanguage,
          contentDisposition: ContentDisposition,
          cacheControl: CacheControl,
        }),
        ...withoutMarker(found.Metadata),
      };
    },
    async open(name) {
      const { Body } = await client.send(new GetObjectCommand(at(name)));
      return Body as Readable;
    },
    async list() {
      const standing = new Map<string, string>();
      for await (const { Versions = [] } of pages())
        for (const { Key = '', VersionId = '', IsLatest } of Versions)
          if (IsLatest && !nameOf(Key).startsWith(OURS)) standing.set(nameOf(Key), `v:${VersionId}`);
      return standing;
    },
    async history() {
      const all: Kept[] = [];
      for await (const { Versions = [], DeleteMarkers = [] } of pages()) {
        // The SDK sorts them into two lists; within one name the newest comes first in each.
        const toKept =
          (isDelete: boolean) =>
          (it: { readonly Key?: string | undefined; readonly VersionId?: string | undefined }) => {
            return { name: nameOf(it.Key), phys: `v:${it.VersionId}`, isDelete };
          };
        all.push(...Versions.map(toKept(false)), ...DeleteMarkers.map(toKept(true)));
      }
      return all.filter(({ name }) => !name.startsWith(OURS)).reverse();
    },
    close: () => client.destroy(),
  };
}

function nameOf(listed = ''): string {
  return decodeURIComponent(listed.replaceAll('+', ' '));
}

function physOf({ VersionId = '' }: { readonly VersionId?: string | undefined }): string {
  return `v:${VersionId}`;
}

function sourceOf(bucket: string, name: string): string {
  return `${bucket}/${name.split('/').map(encodeURIComponent).join('/')}`;
}

function toInput({ headers = {}, user }: About) {
  const { contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl } = headers;
  return {
    ...(contentType !== undefined && { ContentType: contentType }),
    ...(contentEncoding !== undefined && { ContentEncoding: contentEncoding }),
    ...(contentLanguage !== undefined && { ContentLanguage: contentLanguage }),
    ...(contentDisposition !== undefined && { ContentDisposition: contentDisposition }),
    ...(cacheControl !== undefined && { CacheControl: cacheControl }),
    ...(user !== undefined && { Metadata: { ...user } }),
  };
}

function statusOf(error: unknown): unknown {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}
