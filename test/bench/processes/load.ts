/** The user: writes objects to S3 with the plain SDK, and afterwards holds what stands in the other clouds against them. */

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import type { LocalConfig } from '../../../local/config.ts';
import { openContainer, openGcsBucket, openS3 } from '../clients.ts';
import { bytesOf, eachOf, keyOf, md5Of, piecesOf, type Sample } from '../samples.ts';
import { nowMs, serveParent } from '../serve.ts';

export interface Writing extends Sample {
  readonly atOnce: number;
  /** Changes a second, evenly; left out: as many as it can. */
  readonly rate?: number;
}

export interface Written {
  readonly firstAt: number;
  readonly lastAt: number;
  /** When each was acknowledged, by its number. */
  readonly ackAt: Float64Array;
}

/** What does not stand as it should, a few of them in words. */
export interface Verdict {
  readonly equal: number;
  readonly wrong: readonly string[];
}

const WRONG_MAX = 10;
/** Larger ones are streamed. */
const WHOLE_BYTES_MAX = 8 * 1024 * 1024;

let config: LocalConfig;
let s3: ReturnType<typeof openS3>;

serveParent(
  {
    start(given: LocalConfig): void {
      config = given;
      s3 = openS3(given.aws);
    },

    async write({ atOnce, rate, ...sample }: Writing): Promise<Written> {
      const ackAt = new Float64Array(sample.objects);
      const firstAt = nowMs();
      await eachOf(sample.objects, atOnce, async (index) => {
        const waitMs = rate === undefined ? 0 : firstAt + (index * 1000) / rate - nowMs();
        if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
        await put(sample, index);
        ackAt[index] = nowMs();
      });
      return { firstAt, lastAt: Math.max(...ackAt), ackAt };
    },

    async remove(sample: Sample, atOnce: number): Promise<void> {
      await eachOf(sample.objects, atOnce, async (index) => {
        await s3.send(new DeleteObjectCommand({ Bucket: config.aws.bucket, Key: keyOf(sample, index) }));
      });
    },

    verify: async (sample: Sample): Promise<Readonly<Record<'gcp' | 'azure', Verdict>>> => ({
      gcp: await compare(sample, await listGoogle(sample.prefix), readGoogle),
      azure: await compare(sample, await listAzure(sample.prefix), readAzure),
    }),
  },
  () => s3?.destroy(),
);

async function put(sample: Omit<Sample, 'objects'>, index: number): Promise<void> {
  const large = sample.sizeBytes > WHOLE_BYTES_MAX;
  await s3.send(
    new PutObjectCommand({
      Bucket: config.aws.bucket,
      Key: keyOf(sample, index),
      Body: large ? Readable.from(piecesOf(sample, index)) : bytesOf(sample, index),
      ContentLength: sample.sizeBytes,
      ContentType: 'application/octet-stream',
      Metadata: { number: String(index) },
    }),
  );
}

interface Listed {
  readonly sizeBytes: number;
  /** In hexadecimal; undefined: the service keeps none of this one. */
  readonly md5: string | undefined;
}

async function compare(
  sample: Sample,
  listed: ReadonlyMap<string, Listed>,
  read: (key: string) => Promise<string>,
): Promise<Verdict> {
  const wrong: string[] = [];
  let equal = 0;
  for (let index = 0; index < sample.objects; index++) {
    const key = keyOf(sample, index);
    const found = listed.get(key);
    const expected = md5Of(sample, index);
    const stands = found && (found.md5 ?? (await read(key)));
    if (found?.sizeBytes === sample.sizeBytes && stands === expected) equal += 1;
    else if (wrong.length < WRONG_MAX)
      wrong.push(`${key}: ${found ? `${found.sizeBytes} bytes, ${stands}` : 'missing'}`);
  }
  return { equal, wrong };
}

async function listGoogle(prefix: string): Promise<ReadonlyMap<string, Listed>> {
  const [files] = await openGcsBucket(config.gcp).getFiles({ prefix: `${prefix}/` });
  return new Map(files.map(({ name, metadata: { size, md5Hash } }) => [name, toListed(Number(size), md5Hash)]));
}

async function listAzure(prefix: string): Promise<ReadonlyMap<string, Listed>> {
  const listed = new Map<string, Listed>();
  for await (const { name, properties } of openContainer(config.azure).listBlobsFlat({ prefix: `${prefix}/` }))
    listed.set(name, toListed(properties.contentLength ?? 0, properties.contentMD5));
  return listed;
}

function toListed(sizeBytes: number, md5: string | Uint8Array | undefined): Listed {
  if (md5 === undefined) return { sizeBytes, md5 };
  return { sizeBytes, md5: Buffer.from(md5 as string, 'base64').toString('hex') };
}

async function readGoogle(key: string): Promise<string> {
  return hashOf(openGcsBucket(config.gcp).file(key).createReadStream());
}

async function readAzure(key: string): Promise<string> {
  const { readableStreamBody } = await openContainer(config.azure).getBlobClient(key).download();
  return hashOf(readableStreamBody as AsyncIterable<Uint8Array>);
}

async function hashOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('md5');
  for await (const piece of stream) hash.update(piece);
  return hash.digest('hex');
}
