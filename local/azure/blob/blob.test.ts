import { BlobServiceClient } from '@azure/storage-blob';
import { afterAll, describe, expect, test } from 'vitest';
import { type OpenCloud, openCloud } from '../../cloud.ts';
import { type BlobService, startBlob } from './blob.ts';
import type { StorageEvent } from './events.ts';

const events: StorageEvent[] = [];
const cloud: OpenCloud = openCloud({ name: 'azure', report: (line) => console.warn(line) });
const blob: BlobService = await startBlob(cloud, { port: 0, publish: (event) => events.push(event) });
const client = BlobServiceClient.fromConnectionString(blob.connectionString, {
  retryOptions: { maxTries: 1 },
  userAgentOptions: { userAgentPrefix: 'test-client' },
});
await blob.createContainer('box');
await blob.createContainer('box');
const box = client.getContainerClient('box');

afterAll(async () => {
  await blob.stop();
  await cloud.close();
});

async function eventsOf(run: () => Promise<unknown>): Promise<readonly StorageEvent[]> {
  const before = events.length;
  await run();
  return events.slice(before);
}

describe('blobs', () => {
  test('are written, read and listed by the SDK', async () => {
    const one = box.getBlockBlobClient('dir/é +%.txt');
    await one.upload('hello', 5, { metadata: { a: 'b' } });
    expect((await one.downloadToBuffer()).toString()).toBe('hello');
    const names = [];
    for await (const { name } of box.listBlobsFlat()) names.push(name);
    expect(names).toEqual(['dir/é +%.txt']);
  });

  test('raise an event each time they are created, whichever way, with the properties of that write', async () => {
    const one = box.getBlockBlobClient('dir/a b.txt');
    const [put] = await eventsOf(() => one.upload('hello', 5, { blobHTTPHeaders: { blobContentType: 'text/plain' } }));
    const { etag } = await one.getProperties();
    expect(put).toMatchObject({
      eventType: 'Microsoft.Storage.BlobCreated',
      subject: '/blobServices/default/containers/box/blobs/dir/a b.txt',
      data: {
        api: 'PutBlob',
        eTag: etag?.replaceAll('"', ''),
        contentType: 'text/plain',
        contentLength: 5,
        blobType: 'BlockBlob',
        url: one.url,
      },
    });
    const id = Buffer.from('1').toString('base64');
    expect(await eventsOf(() => one.stageBlock(id, 'longer', 6))).toEqual([]);
    const [list] = await eventsOf(() => one.commitBlockList([id]));
    expect(list?.data).toMatchObject({ api: 'PutBlockList', contentLength: 6 });
    const copied = await eventsOf(async () => box.getBlobClient('copy').syncCopyFromURL(one.url));
    expect(copied.map(({ data }) => data.api)).toEqual(['CopyBlob']);
    const sequence = [put, list, copied[0]].map((it) => String(it?.data.sequencer));
    expect([...sequence].sort()).toEqual(sequence);
  });
});
