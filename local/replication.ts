/** Triplicate itself beside the local clouds: the same worker and sweeper as anywhere, told where local.json says. */

import { join } from 'node:path';
import { openSource } from '../functions/replicator.ts';
import { startWorker } from '../functions/runtime/worker.ts';
import { startSweeper } from '../functions/sweeper.ts';
import { readTopology } from '../shared/model/topology.ts';
import { plantSentinel } from '../shared/replicate/sentinel.ts';
import { openWorld, type Settings } from '../shared/world/open.ts';
import { openSystemTimer } from '../shared/world/system.ts';
import type { Notice, World } from '../shared/world/world.ts';
import type { LocalConfig } from './config.ts';

export interface RunningReplication {
  readonly world: World;
  stop(): Promise<void>;
}

/** A real set of sites has a secret of its own. This one protects nothing but your own experiments. */
const LOCAL_SECRET = Buffer.from('every local world signs its markers with these very words');

export type LedgerKind = 'memory' | 'sqlite' | 'dynamodb' | 'firestore';

export interface LedgerChoice {
  readonly kind: LedgerKind;
  /** Where that of SQLite lies. */
  readonly folder: string;
}

export function toLocalSettings(config: LocalConfig, ledger: LedgerChoice): Omit<Settings, 'report'> {
  const { aws, gcp, azure } = config;
  const topology = [
    'namespace: local-world',
    'sites:',
    `  - { id: aws, cloud: aws, region: ${aws.region}, bucket: ${aws.bucket} }`,
    `  - { id: gcp, cloud: gcp, region: local, bucket: ${gcp.bucket} }`,
    `  - { id: azure, cloud: azure, region: local, bucket: ${azure.account}/${azure.container} }`,
    'routes:',
    '  - { prefix: "", sites: [aws, gcp, azure] }',
  ];
  const { endpoint, accessKeyId, secretAccessKey } = aws;
  return {
    topology: readTopology(topology.join('\n'), 'local world'),
    access: {
      aws: { endpoint, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } },
      gcp: { projectId: gcp.projectId, apiEndpoint: gcp.storageEndpoint },
      azure: { [azure.account]: { connectionString: azure.connectionString } },
      pubsub: { apiEndpoint: `http://${gcp.pubsubEndpoint}` },
      firestore: { apiEndpoint: `http://${gcp.firestoreEndpoint}` },
      serviceBus: { connectionString: azure.serviceBusConnectionString },
    },
    ledger: ADDRESSES[ledger.kind](config, ledger.folder),
    queues: {
      aws: `sqs:${aws.queueUrl}`,
      gcp: `pubsub:${gcp.projectId}/${gcp.subscription}`,
      azure: `servicebus:local/${azure.queue}`,
    },
    macKeys: { newest: 'local', keys: { local: LOCAL_SECRET } },
  };
}

const ADDRESSES: Readonly<Record<LedgerKind, (config: LocalConfig, folder: string) => string>> = {
  memory: () => 'memory:',
  sqlite: (_config, folder) => `sqlite:${join(folder, 'ledger.sqlite')}`,
  dynamodb: ({ aws }) => `dynamodb:${aws.region}/${aws.table}`,
  firestore: ({ gcp }) => `firestore:${gcp.projectId}`,
};

export async function startReplication(
  config: LocalConfig,
  ledger: LedgerChoice,
  report: (line: string) => void,
): Promise<RunningReplication> {
  const timer = openSystemTimer();
  const told = ({ severity, what, site, key, detail }: Notice) =>
    report([`${severity}: ${what}`, site, key, detail].filter((it) => it !== undefined).join(' | '));
  if (ledger.kind === 'dynamodb') await createTable(config);
  const { world, queues, close } = await openWorld({ ...toLocalSettings(config, ledger), report: told });
  for (const { id } of world.topology.sites) await plantSentinel(world, id);
  const sources = world.topology.sites.flatMap(({ id, cloud }) => {
    const queue = queues[id];
    return queue === undefined ? [] : [openSource(cloud, queue, world.topology)];
  });
  const worker = startWorker(world, sources, { timer });
  const sweeper = startSweeper(world, { timer });
  return {
    world,
    async stop() {
      await Promise.all([worker.stop(), sweeper.stop()]);
      await close();
    },
  };
}

/** A deployment makes it; here nobody else does. */
async function createTable({ aws }: LocalConfig): Promise<void> {
  const { table, region, endpoint, accessKeyId, secretAccessKey } = aws;
  const { createLedgerTable } = await import('../shared/ledger/dynamodb.ts');
  await createLedgerTable({ table, region, endpoint, credentials: { accessKeyId, secretAccessKey } });
}
