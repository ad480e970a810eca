/** What many people have instead: a loop that lists a bucket of S3 and copies each object to Google and Azure by their SDKs. */

import { GetObjectCommand, paginateListObjectsV2 } from '@aws-sdk/client-s3';
import type { LocalConfig } from '../../../local/config.ts';
import { openContainer, openGcsBucket, openS3 } from '../clients.ts';
import { serveParent } from '../serve.ts';

serveParent(
  {
    /** Answers how many objects it copied. */
    async copy(config: LocalConfig, prefix: string, atOnce: number): Promise<number> {
      const s3 = openS3(config.aws);
      const google = openGcsBucket(config.gcp);
      const azure = openContainer(config.azure);
      const { bucket: Bucket } = config.aws;
      let copied = 0;

      async function copyOne(Key: string): Promise<void> {
        const { Body, ContentType = '', Metadata = {} } = await s3.send(new GetObjectCommand({ Bucket, Key }));
        const bytes = Buffer.from((await Body?.transformToByteArray()) ?? []);
        await Promise.all([
          google.file(Key).save(bytes, {
            resumable: false,
            validation: 'crc32c',
            metadata: { contentType: ContentType, metadata: Metadata },
          }),
          azure.getBlockBlobClient(Key).upload(bytes, bytes.length, {
            blobHTTPHeaders: { blobContentType: ContentType },
            metadata: Metadata,
          }),
        ]);
        copied += 1;
      }

      const open = new Set<Promise<void>>();
      for await (const { Contents = [] } of paginateListObjectsV2({ client: s3 }, { Bucket, Prefix: `${prefix}/` }))
        for (const { Key = '' } of Contents) {
          const copying = copyOne(Key).finally(() => open.delete(copying));
          open.add(copying);
          if (open.size >= atOnce) await Promise.race(open);
        }
      await Promise.all(open);
      s3.destroy();
      return copied;
    },
  },
  () => {},
);
