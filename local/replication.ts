/** Triplicate itself beside the local clouds: the same worker and sweeper as anywhere, reading what local.json says. */

import { join } from 'node:path';
import { openSource } from '../functions/replicator.ts';
import { startWorker } from '../functions/runtime/worker.ts';
import { startSweeper } from '../functions/sweeper.ts';
import { everyRule } from '../shared/decide/rules.ts';
import { openMemoryLedger } from '../shared/ledger/memory.ts';
import { openSqliteLedger } from '../shared/ledger/sqlite.ts';
import { readTopology, type Topology } from '../shared/model/topology.ts';
import { openMemoryQueue } from '../shared/queue/memory.ts';
import { openPubsubQueue } from '../shared/queue/pubsub.ts';
import { openServiceBusQueue } from '../shared/queue/servicebus.ts';
import { openSqsQueue } from '../shared/queue/sqs.ts';
import { plantSentinel } from '../shared/replicate/sentinel.ts';
import { type OpenStore, openStore, type StoreAccess } from '../shared/store/open.ts';
import { checkStores } from '../shared/world/check.ts';
import { openSystemClock, openSystemRandom, openSystemTimer } from '../shared/world/system.ts';
import type { World } from '../shared/world/world.ts';
import type { LocalConfig } from './config.ts';

export interface RunningReplication {
  readonly world: World;
  stop(): Promise<void>;
}

/** A real set of sites has a secret of its own. This one protects nothing but your own experiments. */
const LOCAL_SECRET = Buffer.from('every local world signs its markers with these very words');

export function toLocalTopology({ aws, gcp, azure }: LocalConfig): Topology {
  const text = [
    'namespace: local-world',
    'sites:',
    `  - { id: aws, cloud: aws, region: ${aws.region}, bucket: ${aws.bucket} }`,
    `  - { id: gcp, cloud: gcp, region: local, bucket: ${gcp.bucket} }`,
    `  - { id: azure, cloud: azure, region: local, bucket: ${azure.account}/${azure.container} }`,
    'routes:',
    '  - { prefix: "", sites: [aws, gcp, azure] }',
  ];
  return readTopology(text.join('\n'), 'local world');
}

export function toLocalAccess({ aws, gcp, azure }: LocalConfig): StoreAccess {
  const { endpoint, accessKeyId, secretAccessKey } = aws;
  return {
    aws: { endpoint, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } },
    gcp: { projectId: gcp.projectId, apiEndpoint: gcp.storageEndpoint },
    azure: { [azure.account]: { connectionString: azure.connectionString } },
  };
}

/** `folder` null: the ledger is in memory. */
export async function startReplication(
  config: LocalConfig,
  folder: string | null,
  report: (line: string) => void,
): Promise<RunningReplication> {
  const clock = openSystemClock();
  const random = openSystemRandom();
  const timer = openSystemTimer();
  const topology = toLocalTopology(config);
  const access = toLocalAccess(config);
  const opened: Array<readonly [string, OpenStore]> = await Promise.all(
    topology.sites.map(async (site) => [site.id, await openStore(site, access, { clock, random, timer })] as const),
  );
  const stores = Object.fromEntries(opened.map(([site, { store }]) => [site, store]));
  checkStores(topology, stores);
  const ledger = folder === null ? openMemoryLedger() : openSqliteLedger(join(folder, 'ledger.sqlite'));
  const world: World = {
    topology,
    stores,
    ledger,
    queue: openMemoryQueue({ now: () => clock.now() }),
    clock,
    random,
    macKeys: { newest: 'local', keys: { local: LOCAL_SECRET } },
    resolvers: {},
    rules: everyRule,
    report: ({ severity, what, site, key, detail }) =>
      report([`${severity}: ${what}`, site, key, detail].filter((it) => it !== undefined).join(' | ')),
  };
  for (const { id } of topology.sites) await plantSentinel(world, id);
  const sources = await openSources(config, topology);
  const worker = startWorker(world, sources, { timer });
  const sweeper = startSweeper(world, { timer });
  return {
    world,
    async stop() {
      await Promise.all([worker.stop(), sweeper.stop()]);
      await Promise.all(sources.map(({ queue }) => queue.close()));
      await ledger.close();
      for (const [, { close }] of opened) close();
    },
  };
}

async function openSources({ aws, gcp, azure }: LocalConfig, topology: Topology) {
  const { accessKeyId, secretAccessKey, endpoint, region, queueUrl, deadLetterQueueUrl } = aws;
  const sqs = await openSqsQueue({
    queueUrl,
    deadLetterQueueUrl,
    region,
    endpoint,
    credentials: { accessKeyId, secretAccessKey },
  });
  const { projectId, topic, subscription, deadLetterTopic, deadLetterSubscription } = gcp;
  const pubsub = openPubsubQueue({
    projectId,
    topic,
    subscription,
    deadLetterTopic,
    deadLetterSubscription,
    apiEndpoint: `http://${gcp.pubsubEndpoint}`,
  });
  const serviceBus = await openServiceBusQueue({
    connectionString: azure.serviceBusConnectionString,
    queue: azure.queue,
  });
  return [
    openSource('aws', sqs, topology),
    openSource('gcp', pubsub, topology),
    openSource('azure', serviceBus, topology),
  ];
}
