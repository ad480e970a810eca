/** The local Azure and a client in one process, writing until it is killed; prints a line after every write that was answered. */

import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ServiceBusClient } from '@azure/service-bus';
import { BlobServiceClient } from '@azure/storage-blob';
import { bytesOf, openAzure } from './azure-world.ts';

const { values } = parseArgs({
  options: { folder: { type: 'string', default: '' }, round: { type: 'string', default: '0' } },
});

const KEYS = 4;
/** The parent kills long before; an orphan ends here. */
const STEPS_MAX = 2_000;

const print = (...words: readonly (string | number)[]) => void writeSync(1, `${words.join(' ')}\n`);

const azure = await openAzure(values.folder);
const box = BlobServiceClient.fromConnectionString(azure.blob.connectionString).getContainerClient('box');
const bus = new ServiceBusClient(azure.bus.connectionString);
const sender = bus.createSender('work');
const block = Buffer.from('block-1').toString('base64');

async function writeBlobs(): Promise<void> {
  for (let step = 0; step < STEPS_MAX; step++) {
    const version = `${values.round}-${step}`;
    const key = `key-${step % KEYS}`;
    const body = bytesOf(version);
    const blob = box.getBlockBlobClient(key);
    if (step % 3 !== 2) await blob.upload(body, body.length);
    else {
      await blob.stageBlock(block, body, body.length);
      await blob.commitBlockList([block]);
    }
    print('blob', key, version);
  }
}

async function sendMessages(): Promise<void> {
  for (let step = 0; step < STEPS_MAX; step++) {
    await sender.sendMessages({ body: `${values.round}-${step}` });
    print('message', `${values.round}-${step}`);
  }
}

await Promise.all([writeBlobs(), sendMessages()]);
