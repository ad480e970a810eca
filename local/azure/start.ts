/** The local Azure: a container, and a queue that Event Grid tells of what happens in it. */

import { type LocalConfig, NAMES, type Ports } from '../config.ts';
import type { Cloud } from '../service.ts';
import { ACCOUNT } from './blob/azurite.ts';
import { type BlobService, startBlob } from './blob/blob.ts';
import { type EventGrid, openEventGrid } from './eventgrid/eventgrid.ts';
import { type ServiceBusService, startServiceBus } from './servicebus/servicebus.ts';

export interface RunningAzure {
  readonly config: LocalConfig['azure'];
  readonly blob: BlobService;
  readonly eventGrid: EventGrid;
  readonly serviceBus: ServiceBusService;
  stop(): Promise<void>;
}

/** How a replicator names its requests (`requestIdsOf` in shared/store/open.ts): that of the namespace local-world. */
const OWN_REQUESTS = 'triplicate-local-world-';
/** The most that Service Bus takes: the driver counts attempts, and says itself when a message is dead. */
const DELIVERIES_MAX = 2000;

export async function startAzure(cloud: Cloud, ports: Pick<Ports, 'blob' | 'serviceBus'>): Promise<RunningAzure> {
  const { bucket: container, changes: queue, dead } = NAMES;
  const serviceBus = await startServiceBus(cloud, { port: ports.serviceBus });
  const eventGrid = openEventGrid(cloud, {
    send: (entity, message) => serviceBus.send(entity, message),
    write: (to, name, body) => blob.write(to, name, body),
  });
  const starting = startBlob(cloud, { port: ports.blob, publish: (event) => eventGrid.publish(event) });
  const blob = await starting.catch(async (error: unknown) => {
    await serviceBus.stop();
    throw error;
  });
  serviceBus.createQueue(queue, { maxDeliveryCount: DELIVERIES_MAX });
  await blob.createContainer(container);
  await blob.createContainer(dead);
  await eventGrid.subscribe({
    name: queue,
    destination: { kind: 'servicebus', entity: queue },
    schema: 'CloudEvents',
    subjectBeginsWith: `/blobServices/default/containers/${container}/`,
    deadLetterContainer: dead,
    // Triplicate's own writes it knows of already.
    advanced: [{ operator: 'StringNotBeginsWith', key: 'data.clientRequestId', values: [OWN_REQUESTS] }],
  });
  return {
    config: {
      blobEndpoint: `http://${cloud.host}:${blob.port}/${ACCOUNT}`,
      connectionString: blob.connectionString,
      serviceBusConnectionString: serviceBus.connectionString,
      account: ACCOUNT,
      container,
      queue,
    },
    blob,
    eventGrid,
    serviceBus,
    async stop() {
      await Promise.all([blob.stop(), serviceBus.stop()]);
    },
  };
}
