/** `node test/memory/imports.ts`: what the imports of a cold start cost, with and without those of its world. */

import { spawnSync } from 'node:child_process';

const RUNS = 3;
const ENTRY = new URL('../../functions/entry/', import.meta.url);

/** An environment that is well formed; nothing is opened, so nobody has to be there. */
const ENVIRONMENT = {
  TRIPLICATE_CONFIG: [
    'namespace: measured',
    'sites:',
    '  - { id: fra, cloud: aws, region: eu-central-1, bucket: one-bucket }',
    '  - { id: ams, cloud: gcp, region: europe-west4, bucket: another-bucket }',
    '  - { id: dub, cloud: azure, region: northeurope, bucket: account/container }',
    'routes: [{ prefix: "", sites: [fra, ams, dub] }]',
  ].join('\n'),
  TRIPLICATE_LEDGER: 'dynamodb:eu-central-1/ledger',
  TRIPLICATE_MAC_KEYS: `one:${Buffer.alloc(16).toString('base64')}`,
  TRIPLICATE_QUEUE_FRA: 'sqs:https://sqs.eu-central-1.amazonaws.com/1/changes',
  TRIPLICATE_QUEUE_AMS: 'pubsub:project-one/changes',
  TRIPLICATE_QUEUE_DUB: 'servicebus:namespace/changes',
};

const STORES = ['s3', 'gcs', 'azblob'].map((name) => `../../shared/store/${name}.ts`);
const SDKS = ['@aws-sdk/client-s3', '@google-cloud/storage', '@azure/storage-blob', '@aws-sdk/client-dynamodb'];
const QUEUES = { aws: '@aws-sdk/client-sqs', gcp: '@google-cloud/pubsub', azure: '@azure/service-bus' };

const rows = [
  ['node alone', []],
  ...(['aws', 'gcp', 'azure'] as const).flatMap((cloud) => [
    [`entry/${cloud}.ts`, [`./${cloud}.ts`]] as const,
    [`  and its world`, [`./${cloud}.ts`, ...STORES, ...SDKS, QUEUES[cloud]]] as const,
  ]),
  ['entry/worker.ts and its world', ['../runtime/serve.ts', ...STORES, ...SDKS, ...Object.values(QUEUES)]],
] as const;

for (const [name, modules] of rows) {
  // The least of some runs: other work on the machine only adds.
  const runs = Array.from({ length: RUNS }, () => measure(modules));
  const ms = Math.min(...runs.map((it) => it.ms));
  const mib = Math.min(...runs.map((it) => it.mib));
  process.stdout.write(`${name.padEnd(32)} ${ms.toFixed(0).padStart(6)} ms ${mib.toFixed(0).padStart(6)} MiB\n`);
}

/** Milliseconds of processor time since the start of the process, and what it has resident then. */
function measure(modules: readonly string[]): { readonly ms: number; readonly mib: number } {
  const imports = modules.map(
    (it) => `await import(${JSON.stringify(it.startsWith('.') ? new URL(it, ENTRY).href : it)});`,
  );
  const tell =
    'const { user, system } = process.cpuUsage(); const rss = process.memoryUsage.rss();' +
    'process.stderr.write(JSON.stringify([(user + system) / 1000, rss])); process.exit();';
  const args = ['--input-type=module', '--eval', `${imports.join('')}${tell}`];
  const { stderr } = spawnSync(process.execPath, args, { cwd: ENTRY, env: { ...process.env, ...ENVIRONMENT } });
  const [ms = 0, rss = 0] = JSON.parse(/\[[^\]]*\]$/.exec(stderr.toString())?.[0] ?? '[]') as number[];
  return { ms, mib: rss / 1024 ** 2 };
}
