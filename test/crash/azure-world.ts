/** The local Azure on a folder, with events of a container going to a queue, as the writer and its judge open it. */

import { startBlob } from '../../local/azure/blob/blob.ts';
import { type EventGrid, openEventGrid } from '../../local/azure/eventgrid/eventgrid.ts';
import { startServiceBus } from '../../local/azure/servicebus/servicebus.ts';
import { openCloud } from '../../local/cloud.ts';

export async function openAzure(folder: string) {
  const cloud = openCloud({ name: 'azure', folder });
  const bus = await startServiceBus(cloud, { port: 0 });
  let grid: EventGrid | undefined;
  const blob = await startBlob(cloud, { port: 0, publish: (event) => grid?.publish(event) });
  grid = openEventGrid(cloud, { send: bus.send, write: blob.write });
  bus.createQueue('work');
  bus.createQueue('events');
  await blob.createContainer('box');
  await grid.subscribe({ name: 'all', destination: { kind: 'servicebus', entity: 'events' } });
  return {
    cloud,
    blob,
    bus,
    async stop() {
      await blob.stop();
      await bus.stop();
      await cloud.close();
    },
  };
}

/** What a version consists of: anybody can tell whether it is whole. */
export function bytesOf(version: string): Buffer {
  const size = 1 + ((Number(version.split('-')[1]) * 7_919) % 150_000);
  return Buffer.alloc(size, `${version};`);
}
