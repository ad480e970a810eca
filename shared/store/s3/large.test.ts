import { ListMultipartUploadsCommand, ListPartsCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, describe, expect, it } from 'vitest';
import { REGION } from '../../../local/aws/account.ts';
import { startS3 } from '../../../local/aws/s3/s3.ts';
import { openCloud } from '../../../local/cloud.ts';
import {
  copyOnto,
  encode,
  IF_ABSENT,
  ifToken,
  options,
  refused,
  sumsOf,
} from '../../../test/conformance/store-bench.ts';
import { openS3Store } from '../s3.ts';
import type { ObjectStore } from '../store.ts';

const MI = 1024 * 1024;
const PART = 5 * MI;
const cloud = openCloud({ name: 'aws', report: (line) => console.warn(line) });
const service = await startS3(cloud, { port: 0 });
const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
const target = { endpoint: `http://127.0.0.1:${service.port}`, region: REGION, credentials, forcePathStyle: true };
const limits = { streamPartBytes: PART, copyBytesMax: PART, copyPartBytes: PART };
service.createBucket('kept', { versioning: true });
service.createBucket('plain');
const kept = await openS3Store({ ...target, ...limits, site: 's', bucket: 'kept' });
const plain = await openS3Store({ ...target, ...limits, site: 's', bucket: 'plain' });
const both = { versioned: kept, 'not versioned': plain };
const app = new S3Client(target);

afterAll(async () => {
  kept.close();
  plain.close();
  app.destroy();
  await service.stop();
  await cloud.close();
});

/** In pieces that fit no part, and never the same twice. */
async function* pieces(sizeBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < sizeBytes; ) {
    const piece = Buffer.alloc(Math.min(1_000_003, sizeBytes - at), `${at};`);
    at += piece.length;
    yield piece;
  }
}

async function drained(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of body) all.push(piece);
  return Buffer.concat(all);
}

const bucketOf = (store: ObjectStore) => (store === kept ? 'kept' : 'plain');

async function unfinished(bucket: string): Promise<number> {
  const { Uploads = [] } = await app.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
  return Uploads.length;
}

describe.each(Object.entries(both))('a body that comes as a stream, %s', (name, store) => {
  const bucket = name === 'versioned' ? 'kept' : 'plain';

  it.each([0, 1, PART, PART + 1, 12 * MI])('of %i bytes arrives whole', async (sizeBytes) => {
    const key = `stream ${sizeBytes}`;
    const bytes = await drained(pieces(sizeBytes));
    const checksums = sumsOf(bytes);
    const written = await store.put(key, pieces(sizeBytes), options({ checksums, marker: 'bQ' }));
    expect(written).toMatchObject({ sizeBytes, marker: 'bQ', checksums: { crc64nvme: checksums.crc64nvme } });
    expect(await store.head(key)).toEqual(written);
    const read = await store.get(key, written.phys);
    expect((await drained(read.body)).equals(bytes)).toBe(true);
    expect(read.version).toEqual(written);
  });

  it('and has another checksum than expected is refused, and nothing is left of it', async () => {
    const wrong = sumsOf(encode('other'));
    for (const checksums of [{ crc32c: wrong.crc32c }, { crc64nvme: wrong.crc64nvme }])
      await refused(store.put('wrong', pieces(6 * MI), options({ checksums })), 'corrupt');
    expect(await store.head('wrong')).toBeNull();
    expect(await unfinished(bucket)).toBe(0);
  });

  it('knows no content type where none was given', async () => {
    const metadata = { headers: {}, user: {} };
    expect((await store.put('type', pieces(6 * MI), options({ metadata }))).metadata).toEqual(metadata);
  });

  it('and fails in the middle fails as it does, and nothing is left of it', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield* pieces(6 * MI);
      throw new Error('the source broke off');
    }
    await expect(store.put('broken', broken(), options())).rejects.toThrow('the source broke off');
    expect(await store.head('broken')).toBeNull();
    expect(await unfinished(bucket)).toBe(0);
  });

  it('keeps its condition until the end', async () => {
    const first = await store.put('late', pieces(6 * MI), options({ condition: IF_ABSENT }));
    await refused(store.put('late', pieces(6 * MI), options({ condition: IF_ABSENT })), 'precondition');
    const second = await store.put('late', pieces(7 * MI), options({ condition: ifToken(first) }));
    await refused(store.put('late', pieces(6 * MI), options({ condition: ifToken(first) })), 'precondition');
    expect(await store.head('late')).toEqual(second);
    expect(await unfinished(bucket)).toBe(0);
  });
});

describe.each(Object.entries(both))('a copy too large for one call, %s', (_name, store) => {
  it('is made by parts, with metadata, marker, checksum and condition', async () => {
    const bytes = await drained(pieces(12 * MI));
    const source = await store.put('large', bytes, options());
    const checksums = sumsOf(bytes);
    const copied = await copyOnto(store, source, 'large copy', { condition: IF_ABSENT, marker: 'bQ', checksums });
    expect(copied).toMatchObject({ marker: 'bQ', checksums: { crc64nvme: checksums.crc64nvme } });
    expect((await drained((await store.get('large copy', copied.phys)).body)).equals(bytes)).toBe(true);
    await refused(copyOnto(store, source, 'large copy', { condition: IF_ABSENT }), 'precondition');
    await refused(copyOnto(store, { ...source, phys: `${source.phys}x` }, 'other'), 'not-found');
    const wrong = { checksums: { crc64nvme: sumsOf(encode('other')).crc64nvme } };
    await refused(copyOnto(store, source, 'other', wrong), 'corrupt');
    expect(await store.head('other')).toBeNull();
  });

  it('goes on in later calls with the parts that are missing, as the write it was begun as', async () => {
    const bytes = await drained(pieces(22 * MI));
    const source = await store.put('long', bytes, options());
    const progress = { from: null as string | null, left: 2, isTimeUp: () => progress.left-- <= 0, save };
    async function save(text: string): Promise<void> {
      progress.from = text;
    }
    const pinned = { key: source.key, phys: source.phys };
    const how = options({ condition: IF_ABSENT, marker: 'bQ', checksums: sumsOf(bytes) });
    await refused(store.copy(pinned, 'long copy', how, progress), 'timeout');
    const upload = progress.from as string;
    const parts = await app.send(new ListPartsCommand({ Bucket: bucketOf(store), Key: 'long copy', UploadId: upload }));
    expect(parts.Parts?.length).toBe(2);
    expect(await store.head('long copy')).toBeNull();
    progress.left = 3;
    const copied = await store.copy(pinned, 'long copy', how, progress);
    expect(copied).toMatchObject({ marker: 'bQ', checksums: { crc64nvme: sumsOf(bytes).crc64nvme } });
    expect(await unfinished(bucketOf(store))).toBe(0);
  });
});
