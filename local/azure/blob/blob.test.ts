import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  BlobSASPermissions,
  BlobServiceClient,
  type BlockBlobClient,
  ContainerSASPermissions,
} from '@azure/storage-blob';
import { afterAll, describe, expect, test } from 'vitest';
import { crc64nvme } from '#shared/model/crc.ts';
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

describe('a block from a URL', () => {
  const BLOCK_BYTES = 100_000;

  async function writeInBlocks(blob: BlockBlobClient, bytes: Buffer, ids: readonly string[]): Promise<void> {
    for (const [index, id] of ids.entries())
      await blob.stageBlock(id, bytes.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES), BLOCK_BYTES);
    await blob.commitBlockList([...ids]);
  }

  function readableUrl(blob: BlockBlobClient): Promise<string> {
    return blob.generateSasUrl({ permissions: BlobSASPermissions.parse('r'), expiresOn: new Date('2100-01-01') });
  }

  test('holds the range of the source and tells its CRC-64, across blocks and of a blob written whole', async () => {
    const bytes = randomBytes(300_000);
    const [whole, blocks, target] = ['whole', 'blocks', 'target'].map((name) => box.getBlockBlobClient(`from ${name}`));
    if (!whole || !blocks || !target) throw new Error('three clients were made');
    await whole.upload(bytes, bytes.length);
    const ids = ['1', '2', '3'].map((id) => Buffer.from(id).toString('base64'));
    await writeInBlocks(blocks, bytes, ids);
    const [first = '', second = ''] = ids;
    for (const source of [whole, blocks]) {
      const url = await readableUrl(source);
      const told = [
        await target.stageBlockFromURL(first, url, 50_000, 200_000),
        await target.stageBlockFromURL(second, url, 250_000, 50_000),
      ];
      const parts = [bytes.subarray(50_000, 250_000), bytes.subarray(250_000)];
      expect(told.map(({ xMsContentCrc64 = [] }) => Buffer.from(xMsContentCrc64).readBigUInt64LE())).toEqual(
        parts.map((part) => crc64nvme(part)),
      );
      await target.commitBlockList([first, second]);
      expect(Buffer.compare(await target.downloadToBuffer(), bytes.subarray(50_000))).toBe(0);
    }
  });

  test('is still there when its source is gone and the service has been started again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'triplicate-blob-'));
    const opened = async () => {
      const state = openCloud({ name: 'azure', folder });
      const service = await startBlob(state, { port: 0 });
      const container = BlobServiceClient.fromConnectionString(service.connectionString).getContainerClient('box');
      return { service, container, close: () => service.stop().then(state.close) };
    };
    const bytes = randomBytes(200_000);
    const ids = ['1', '2'].map((id) => Buffer.from(id).toString('base64'));
    const before = await opened();
    await before.service.createContainer('box');
    const [source, target] = [before.container.getBlockBlobClient('s'), before.container.getBlockBlobClient('t')];
    await writeInBlocks(source, bytes, ids);
    const url = await readableUrl(source);
    await target.stageBlockFromURL(ids[0] ?? '', url, 0, 150_000);
    await target.commitBlockList(ids.slice(0, 1));
    await source.delete();
    await before.close();
    const again = await opened();
    const read = await again.container.getBlobClient('t').downloadToBuffer();
    await again.close();
    rmSync(folder, { recursive: true });
    expect(Buffer.compare(read, bytes.subarray(0, 150_000))).toBe(0);
  });

  test('is refused without the right to read the source', async () => {
    const source = box.getBlockBlobClient('closed');
    await source.upload('x', 1);
    const id = Buffer.from('1').toString('base64');
    const copying = box.getBlockBlobClient('never').stageBlockFromURL(id, source.url, 0, 1);
    await expect(copying).rejects.toMatchObject({ code: 'CannotVerifyCopySource' });
  });
});

describe('no event', () => {
  test('is raised by what is refused or changes no bytes', async () => {
    const one = box.getBlockBlobClient('quiet');
    const id = Buffer.from('1').toString('base64');
    await one.upload('x', 1);
    await box.createIfNotExists();
    const quiet = await eventsOf(async () => {
      const conditions = { ifNoneMatch: '*' };
      await expect(one.upload('y', 1, { conditions })).rejects.toMatchObject({ statusCode: 409 });
      await expect(one.deleteIfExists({ conditions: { ifMatch: '"0"' } })).rejects.toMatchObject({ statusCode: 412 });
      await expect(box.getBlockBlobClient('none').delete()).rejects.toMatchObject({ statusCode: 404 });
      await one.setMetadata({ a: 'b' });
      await one.setHTTPHeaders({ blobContentType: 'text/html' });
      await one.setTags({ a: 'b' });
      await one.createSnapshot();
      await one.stageBlock(id, 'x', 1);
      await client.getContainerClient('gone').create();
      await client.getContainerClient('gone').getBlockBlobClient('uncommitted').stageBlock(id, 'x', 1);
      await client.getContainerClient('gone').delete();
    });
    expect(quiet).toEqual([]);
  });
});

describe('an event', () => {
  test('tells of a delete without an eTag, of a batch of deletes one by one, and of a changed tier', async () => {
    const names = ['d 1', 'd/2', 'd3'];
    for (const name of names)
      await box.getBlockBlobClient(name).upload('x', 1, { blobHTTPHeaders: { blobContentType: 'text/a' } });
    const [tier] = await eventsOf(() => box.getBlobClient('d3').setAccessTier('Cool'));
    expect(tier).toMatchObject({ eventType: 'Microsoft.Storage.BlobTierChanged', data: { api: 'SetBlobTier' } });
    const [deleted] = await eventsOf(() => box.deleteBlob('d 1'));
    expect(deleted).toMatchObject({
      eventType: 'Microsoft.Storage.BlobDeleted',
      data: { api: 'DeleteBlob', contentType: 'text/a' },
    });
    expect(deleted?.data).not.toHaveProperty('eTag');
    expect(deleted?.data).not.toHaveProperty('contentLength');
    const batch = await eventsOf(() =>
      client.getBlobBatchClient().deleteBlobs(names.slice(1).map((name) => box.getBlobClient(name))),
    );
    expect(batch.map((it) => it.subject.split('/blobs/')[1]).sort()).toEqual(['d/2', 'd3']);
  });

  test('is told of each of many racing writes, with its own eTag', async () => {
    const one = box.getBlockBlobClient('raced');
    const answers: (string | undefined)[] = [];
    const raised = await eventsOf(async () => {
      const all = await Promise.all(
        Array.from({ length: 16 }, (_, index) => one.upload(`${index}`, `${index}`.length)),
      );
      answers.push(...all.map(({ etag }) => etag?.replaceAll('"', '')));
    });
    expect(raised.map(({ data }) => data.eTag).sort()).toEqual(answers.sort());
    const ids = raised.map(({ data }) => data.requestId);
    expect(new Set(ids).size).toBe(16);
  });
});

describe('faults', () => {
  const write = (key: string) => box.getBlockBlobClient(key).upload('x', 1);

  test('refuse with the error of Azure, and nothing happens', async () => {
    cloud.faults.add({
      scope: { service: 'blob', operation: 'PutBlob' },
      effect: { kind: 'status', status: 503 },
      times: 1,
    });
    await expect(write('busy')).rejects.toMatchObject({ statusCode: 503, code: 'ServerBusy' });
    expect(await box.getBlobClient('busy').exists()).toBe(false);
  });

  test('lose the answer to a write that happened and was told of', async () => {
    cloud.faults.add({ scope: { keyPrefix: 'box/lost' }, effect: { kind: 'lost-answer' }, times: 1 });
    const raised = await eventsOf(() => expect(write('lost')).rejects.toThrow());
    expect(raised).toHaveLength(1);
    expect(await box.getBlobClient('lost').exists()).toBe(true);
  });

  test('put the clock ahead', async () => {
    const rule = cloud.faults.add({ effect: { kind: 'clock', aheadMs: 3_600_000 } });
    const { lastModified } = await write('ahead');
    cloud.faults.remove(rule.id);
    expect(lastModified!.getTime()).toBeGreaterThan(Date.now() + 3_500_000);
  });
});

describe('bad requests', () => {
  test.each([
    ['GET', '/devstoreaccount1/box/%E0%A4%A', {}],
    ['PUT', '/devstoreaccount1/box/a?comp=nonsense', {}],
    ['PUT', '/devstoreaccount1/..%2f..%2fetc/passwd', {}],
    ['PUT', '/devstoreaccount1/box/forged', { authorization: 'SharedKey devstoreaccount1:AAAA' }],
    ['DELETE', '/', {}],
    ['POST', '/devstoreaccount1/?comp=batch', { 'content-type': 'multipart/mixed' }],
  ])('%s %s gets an error and harms nothing', async (method, path, headers) => {
    const raised = await eventsOf(async () => {
      const response = await fetch(`http://127.0.0.1:${blob.port}${path}`, { method, headers });
      expect(response.status).toBeGreaterThanOrEqual(400);
      await response.arrayBuffer();
    });
    expect(raised).toEqual([]);
    expect(await box.exists()).toBe(true);
  });

  test('a path that cannot be decoded gets the error of Azure', async () => {
    const response = await fetch(`http://127.0.0.1:${blob.port}/devstoreaccount1/box/%E0%A4%A`);
    expect(response.status).toBe(400);
    expect(response.headers.get('x-ms-error-code')).toBe('InvalidInput');
    expect(await response.text()).toContain('<Error><Code>InvalidInput</Code>');
  });

  test('a body that breaks off is not kept', async () => {
    const socket = createConnection(blob.port, '127.0.0.1');
    const permissions = ContainerSASPermissions.parse('w');
    const sas = await box.generateSasUrl({ permissions, expiresOn: new Date(Date.now() + 60_000) });
    const { pathname, search } = new URL(sas);
    const head = `PUT ${pathname}/torn${search} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-ms-blob-type: BlockBlob\r\nContent-Length: 100\r\n\r\n`;
    await new Promise((resolve) => socket.end(`${head}only this`, () => resolve(null)));
    await new Promise((resolve) => socket.on('close', resolve).resume());
    expect(await box.getBlobClient('torn').exists()).toBe(false);
  });
});
