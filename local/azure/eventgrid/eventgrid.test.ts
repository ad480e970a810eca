import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ServiceBusClient } from '@azure/service-bus';
import { BlobServiceClient } from '@azure/storage-blob';
import { afterAll, describe, expect, test } from 'vitest';
import { openAzureBlobStore } from '../../../shared/store/azblob.ts';
import { requestIdsOf } from '../../../shared/store/open.ts';
import { openCloud } from '../../cloud.ts';
import { startBlob } from '../blob/blob.ts';
import { startServiceBus } from '../servicebus/servicebus.ts';
import { type EventGrid, type GridEvent, openEventGrid } from './eventgrid.ts';

const reported: string[] = [];
const cloud = openCloud({ name: 'azure', report: (line) => reported.push(line) });
const soon = { kind: 'delivery', ms: { kind: 'even', min: 0, max: 1 }, twice: 0, never: 0 } as const;
cloud.faults.add({ effect: soon });
let grid: EventGrid;
const blob = await startBlob(cloud, { port: 0, publish: (event) => grid.publish(event) });
const bus = await startServiceBus(cloud, { port: 0 });
grid = openEventGrid(cloud, { send: bus.send, write: blob.write });
bus.createQueue('events');
for (const name of ['box', 'dead']) await blob.createContainer(name);
const storage = BlobServiceClient.fromConnectionString(blob.connectionString);
const client = new ServiceBusClient(bus.connectionString);

/** What the webhook was asked, and how it answers. */
const asked: { method: string; type: unknown; body: string }[] = [];
let answer = (_request: IncomingMessage, body: string, response: ServerResponse): void => {
  response.end(body);
};
const webhook = createServer(async (request, response) => {
  let body = '';
  for await (const piece of request) body += piece;
  asked.push({ method: request.method ?? '', type: request.headers['aeg-event-type'], body });
  answer(request, body, response);
}).listen(0, '127.0.0.1');
const url = () => `http://127.0.0.1:${(webhook.address() as AddressInfo).port}/hook`;

afterAll(async () => {
  webhook.close();
  await client.close();
  await blob.stop();
  await bus.stop();
  await cloud.close();
});

const put = (name: string, container = 'box') =>
  storage.getContainerClient(container).getBlockBlobClient(name).upload('x', 1);

const agree = (_request: IncomingMessage, body: string, response: ServerResponse): void => {
  const code = body === '' ? undefined : JSON.parse(body)[0]?.data.validationCode;
  response.setHeader('webhook-allowed-origin', '*');
  response.end(JSON.stringify(code === undefined ? {} : { validationResponse: code }));
};

describe('events of blobs', () => {
  test('come to a queue of Service Bus as CloudEvents, filtered by type and subject', async () => {
    await grid.subscribe({
      name: 'to-queue',
      destination: { kind: 'servicebus', entity: 'events' },
      schema: 'CloudEvents',
      subjectBeginsWith: '/blobServices/default/containers/BOX/blobs/logs/',
      subjectEndsWith: '.txt',
      eventTypes: ['Microsoft.Storage.BlobCreated'],
    });
    await put('logs/a.txt');
    await put('logs/a.csv');
    await put('other/a.txt');
    await storage.getContainerClient('box').deleteBlob('logs/a.csv');
    await cloud.delivery.settled();
    const all = await client.createReceiver('events').receiveMessages(5, { maxWaitTimeInMs: 50 });
    expect(all.map(({ body }) => body)).toMatchObject([
      {
        specversion: '1.0',
        type: 'Microsoft.Storage.BlobCreated',
        subject: '/blobServices/default/containers/box/blobs/logs/a.txt',
        data: { api: 'PutBlob', contentLength: 1 },
      },
    ]);
    expect(all[0]?.contentType).toContain('application/cloudevents+json');
    grid.unsubscribe('to-queue');
  });

  test('are left out by the name of the request that did it, and come where it has none', async () => {
    const store = await openAzureBlobStore({
      site: 'azure',
      container: 'box',
      connectionString: blob.connectionString,
      requestIds: requestIdsOf('one'),
    });
    await grid.subscribe({
      name: 'of-others',
      destination: { kind: 'servicebus', entity: 'events' },
      schema: 'CloudEvents',
      advanced: [{ operator: 'StringNotBeginsWith', key: 'data.clientRequestId', values: [requestIdsOf('ONE')] }],
    });
    const how = { condition: { kind: 'always' }, metadata: { headers: {}, user: {} } } as const;
    await store.put('ours.txt', Buffer.from('x'), how);
    await put('theirs.txt');
    await store.delete('ours.txt', { kind: 'always' });
    await cloud.delivery.settled();
    const all = await client.createReceiver('events').receiveMessages(5, { maxWaitTimeInMs: 50 });
    expect(all.map(({ body }) => body.subject)).toEqual(['/blobServices/default/containers/box/blobs/theirs.txt']);
    grid.unsubscribe('of-others');
  });

  test('come to a webhook that agreed, in either schema', async () => {
    answer = agree;
    for (const schema of ['EventGrid', 'CloudEvents'] as const) {
      asked.length = 0;
      await grid.subscribe({ name: 'hook', destination: { kind: 'webhook', url: url() }, schema });
      await put(`hook-${schema}`);
      await cloud.delivery.settled();
      const [handshake, event] = asked;
      expect(handshake?.method).toBe(schema === 'EventGrid' ? 'POST' : 'OPTIONS');
      const body = JSON.parse(event?.body ?? '');
      expect(schema === 'EventGrid' ? body[0].eventType : body.type).toBe('Microsoft.Storage.BlobCreated');
    }
    grid.unsubscribe('hook');
  });

  test('do not come to a webhook that did not agree', async () => {
    answer = (_request, _body, response) => response.end('{}');
    for (const schema of ['EventGrid', 'CloudEvents'] as const)
      await expect(
        grid.subscribe({ name: 'hook', destination: { kind: 'webhook', url: url() }, schema }),
      ).rejects.toThrow('handshake');
    expect(grid.list()).toEqual([]);
  });

  test('are tried again, and set aside when nothing helps', async () => {
    answer = agree;
    const destination = { kind: 'webhook', url: url() } as const;
    await grid.subscribe({
      name: 'failing',
      destination,
      attemptsMax: 2,
      deadLetterContainer: 'dead',
      subjectBeginsWith: '/blobServices/default/containers/box/',
    });
    asked.length = 0;
    answer = (_request, _body, response) => response.writeHead(503).end();
    await put('tried');
    const dead = storage.getContainerClient('dead');
    const letters = async () => {
      const names = [];
      for await (const { name } of dead.listBlobsFlat()) names.push(name);
      return names;
    };
    await expect.poll(letters, { timeout: 5_000 }).toHaveLength(1);
    expect(asked).toHaveLength(2);
    const [name] = await letters();
    const [letter] = JSON.parse((await dead.getBlobClient(name!).downloadToBuffer()).toString());
    expect(letter).toMatchObject({
      deadLetterReason: 'MaxDeliveryAttemptsExceeded',
      deliveryAttempts: 2,
      subject: '/blobServices/default/containers/box/blobs/tried',
    } satisfies Partial<GridEvent> & Record<string, unknown>);
    asked.length = 0;
    answer = (_request, _body, response) => response.writeHead(400).end();
    await put('refused');
    await expect.poll(letters, { timeout: 5_000 }).toHaveLength(2);
    expect(asked).toHaveLength(1);
    grid.unsubscribe('failing');
  });
});

test('a subscription that makes no sense is refused', async () => {
  const destination = { kind: 'servicebus', entity: 'events' } as const;
  await expect(grid.subscribe({ name: 'a/b', destination })).rejects.toThrow('name');
  await expect(grid.subscribe({ name: 'abc', destination, attemptsMax: 31 })).rejects.toThrow('attemptsMax');
});
