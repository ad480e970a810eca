/** A queue by its address: `sqs:https://...`, `pubsub:project/subscription`, `servicebus:namespace/queue`, `sqlite:FILE`. */

import { invalid } from '../model/fault.ts';
import type { PubsubQueueOptions } from './pubsub.ts';
import type { Queue } from './queue.ts';
import type { ServiceBusQueueOptions } from './servicebus.ts';
import type { SqsQueueOptions } from './sqs.ts';

/** How to reach the clouds, where that is not what their SDKs find by themselves. */
export interface QueueAccess {
  readonly aws?: Pick<SqsQueueOptions, 'endpoint' | 'credentials'>;
  readonly pubsub?: Pick<PubsubQueueOptions, 'apiEndpoint'>;
  /** Instead of the namespace's own name: a connection string, or who signs in there. */
  readonly serviceBus?: { readonly connectionString: string } | Pick<ServiceBusNamespace, 'credential'>;
}

type ServiceBusNamespace = Extract<ServiceBusQueueOptions, { readonly namespace: string }>;

type Opener = (place: string, access: QueueAccess, now: () => number) => Promise<Queue>;

const EXPECTED = 'sqlite:FILE, sqs:URL, pubsub:PROJECT/SUBSCRIPTION or servicebus:NAMESPACE/QUEUE';

/** Beside the subscription stand a topic of its name, and both once more for dead letters, as the deployment makes them. */
const DEAD_SUFFIX = '-dead';

const OPENERS: Readonly<Record<string, Opener>> = {
  async sqlite(file, _access, now) {
    if (file === '') throw invalid('queue', 'sqlite:', EXPECTED);
    const { openSqliteQueue } = await import('./sqlite.ts');
    return openSqliteQueue(file, { now });
  },
  async sqs(queueUrl, { aws = {} }) {
    const region = /^https?:\/\/sqs\.([a-z0-9-]+)\./.exec(queueUrl)?.[1] ?? 'us-east-1';
    if (!URL.canParse(queueUrl)) throw invalid('queue', `sqs:${queueUrl}`, EXPECTED);
    const { openSqsQueue } = await import('./sqs.ts');
    return openSqsQueue({ ...aws, queueUrl, region });
  },
  async pubsub(place, { pubsub = {} }) {
    const [, projectId, name] = /^([a-z][a-z0-9:.-]+)\/([A-Za-z][\w.~+%-]+)$/.exec(place) ?? [];
    if (projectId === undefined || name === undefined) throw invalid('queue', `pubsub:${place}`, EXPECTED);
    const { openPubsubQueue } = await import('./pubsub.ts');
    const dead = name + DEAD_SUFFIX;
    return openPubsubQueue({
      ...pubsub,
      projectId,
      topic: name,
      subscription: name,
      deadLetterTopic: dead,
      deadLetterSubscription: dead,
    });
  },
  async servicebus(place, { serviceBus }) {
    const [, namespace, queue] = /^([A-Za-z0-9.-]+)\/(.+)$/.exec(place) ?? [];
    if (namespace === undefined || queue === undefined) throw invalid('queue', `servicebus:${place}`, EXPECTED);
    if (serviceBus === undefined)
      throw invalid('queue', `servicebus:${place}`, 'a connection string or a credential for Service Bus beside it');
    const { openServiceBusQueue } = await import('./servicebus.ts');
    return openServiceBusQueue(
      'connectionString' in serviceBus ? { ...serviceBus, queue } : { ...serviceBus, namespace, queue },
    );
  },
};

export async function openQueue(address: string, access: QueueAccess, now: () => number): Promise<Queue> {
  const at = address.indexOf(':');
  const open = at < 0 ? undefined : OPENERS[address.slice(0, at)];
  if (open === undefined) throw invalid('queue', address, EXPECTED);
  return open(address.slice(at + 1), access, now);
}
