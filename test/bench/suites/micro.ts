/** Parts by themselves: ledgers, the simulation, and what a process costs before it has done anything. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { LedgerKind } from '../../../local/replication.ts';
import { openChild } from '../child.ts';
import type { LedgerRates } from '../processes/ledger.ts';
import type { Figure, SuiteResult } from '../result.ts';
import { said } from '../said.ts';
import { median } from '../statistics.ts';
import type { Context } from '../suites.ts';
import { openBenchWorld } from '../world.ts';

interface Load {
  readonly name: string;
  readonly ms: number;
  readonly kilobytes: number;
  readonly files: number;
}

const ROOT = join(import.meta.dirname, '..', '..', '..');
const LEDGERS: readonly LedgerKind[] = ['memory', 'sqlite', 'dynamodb', 'firestore'];
const STORES = ['store/s3', 'store/gcs', 'store/azblob'].map((it) => `shared/${it}.ts`);
const STORE_SDKS = ['@aws-sdk/client-s3', '@google-cloud/storage', '@azure/storage-blob'];
/** What the first call opens, for three sites: all three stores, and the ledger and the queue of its own cloud. */
const OPENED: Readonly<Record<'aws' | 'gcp' | 'azure', readonly string[]>> = {
  aws: ['shared/ledger/dynamodb.ts', 'shared/queue/sqs.ts', '@aws-sdk/client-dynamodb', '@aws-sdk/client-sqs'],
  gcp: ['shared/ledger/firestore.ts', 'shared/queue/pubsub.ts', '@google-cloud/firestore', '@google-cloud/pubsub'],
  azure: ['shared/ledger/dynamodb.ts', 'shared/queue/servicebus.ts', '@aws-sdk/client-dynamodb', '@azure/service-bus'],
};
const FUNCTIONS = { aws: 'Lambda', gcp: 'Cloud Functions', azure: 'Azure Functions' } as const;

const LOADS: Readonly<Record<string, readonly string[]>> = {
  'node alone': [],
  ...Object.fromEntries(
    (['aws', 'gcp', 'azure'] as const).flatMap((cloud) => {
      const entry = `functions/entry/${cloud}.ts`;
      return [
        [`${FUNCTIONS[cloud]}: its entry`, [entry]],
        [`${FUNCTIONS[cloud]}: with what its first call opens`, [entry, ...STORES, ...STORE_SDKS, ...OPENED[cloud]]],
      ];
    }),
  ),
  'worker: what its entry loads': ['functions/runtime/serve.ts', 'functions/entry/environment.ts'],
};

/** Of nobody: only to be read by the entries. */
const ENVIRONMENT: Readonly<Record<string, string>> = {
  TRIPLICATE_CONFIG: [
    'namespace: loading',
    'sites:',
    '  - { id: aws, cloud: aws, region: us-east-1, bucket: one }',
    '  - { id: gcp, cloud: gcp, region: us-central1, bucket: two }',
    '  - { id: azure, cloud: azure, region: eastus, bucket: three/three }',
    'routes: [{ prefix: "", sites: [aws, gcp, azure] }]',
  ].join('\n'),
  TRIPLICATE_LEDGER: 'dynamodb:us-east-1/ledger',
  TRIPLICATE_QUEUE_AWS: 'sqs:https://sqs.us-east-1.amazonaws.com/123/changes',
  TRIPLICATE_QUEUE_GCP: 'pubsub:project/changes',
  TRIPLICATE_QUEUE_AZURE: 'servicebus:namespace/changes',
  TRIPLICATE_MAC_KEYS: `new:${Buffer.alloc(16, 7).toString('base64')}`,
  TRIPLICATE_SERVICE_BUS: 'Endpoint=sb://namespace.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=b',
};
const LOAD_ROUNDS = 5;

export async function micro({ scale, seed, say }: Context): Promise<SuiteResult> {
  const ledgers: [string, LedgerRates][] = [];
  for (const kind of LEDGERS) {
    const world = await openBenchWorld({ seed });
    const child = openChild('ledger');
    try {
      const rates = await child.ask<LedgerRates>('measure', world.config, kind, world.folder, scale.ledgerCalls);
      ledgers.push([kind, rates]);
      say(`micro: ledger ${kind}: ${rates.compareAndSetTogether.toFixed(0)} writes/s`);
    } finally {
      await child.stop();
      await world.close();
    }
  }
  const simulated = simulate(scale.simulatedRuns);
  say(`micro: ${simulated.toFixed(0)} simulated runs/s`);
  const loads = Object.entries(LOADS).map(([name, modules]) => load(name, modules));
  return {
    name: 'micro',
    title: 'Parts by themselves',
    how: [
      said(
        `Ledgers: ${scale.ledgerCalls} calls 64 at once and a quarter of that one by one, items`,
        'with something in every field. SQLite syncs to disk; DynamoDB and Firestore are the',
        'local ones, so their figures are of the driver and the local endpoint together.',
      ),
      `Simulated runs: npm run sim -- --runs ${scale.simulatedRuns}, on all cores, the start of the process included.`,
      said(
        `Loading: from the start of the process until the modules are there, median of ${LOAD_ROUNDS}, by plain Node,`,
        'which also strips the types: nothing is bundled, since no bundler is among the dependencies. Bytes and files',
        'are those of our sources and of the modules of the SDKs that Node read, before any bundler could leave some out.',
      ),
    ],
    figures: [
      ...ledgers.flatMap(([name, rates]): Figure[] =>
        Object.entries(rates).map(([call, value]) => ({
          name: `micro.ledger.${name}.${call}`,
          value,
          unit: 'calls/s',
          better: 'more',
        })),
      ),
      { name: 'micro.simulated-runs', value: simulated, unit: 'runs/s', better: 'more' },
      ...loads.flatMap(({ name, ms, kilobytes }): Figure[] => {
        const id = `micro.load.${name.replaceAll(/[^\w]+/g, '-').toLowerCase()}`;
        return [
          { name: id, value: ms, unit: 'ms', better: 'less' },
          { name: `${id}.size`, value: kilobytes, unit: 'KiB', better: 'less' },
        ];
      }),
    ],
    tables: [
      {
        title: 'Ledger calls per second',
        columns: ['', 'get', 'compareAndSet', 'get, 64 at once', 'compareAndSet, 64 at once'],
        rows: ledgers.map(([name, it]) => [name, it.get, it.compareAndSet, it.getTogether, it.compareAndSetTogether]),
      },
      { title: 'Simulation', columns: ['', 'runs per second'], rows: [['npm run sim', simulated]] },
      {
        title: 'Loading',
        columns: ['', 'ms', 'KiB of source', 'files'],
        rows: loads.map(({ name, ms, kilobytes, files }) => [name, ms, kilobytes, files]),
      },
    ],
    charts: [
      {
        kind: 'bars',
        name: 'micro-ledger',
        title: 'compareAndSet, 64 at once',
        unit: 'calls/s',
        bars: ledgers.map(([label, rates]) => ({ label, value: rates.compareAndSetTogether })),
      },
      {
        kind: 'bars',
        name: 'micro-loading',
        title: 'Loading, before anything is done',
        unit: 'ms',
        bars: loads.map(({ name, ms }) => ({ label: name, value: ms })),
      },
    ],
    targets: [],
    notRun: [],
  };
}

function simulate(runs: number): number {
  const startedAt = performance.now();
  const { status, stdout } = spawnSync(process.execPath, ['test/sim/main.ts', '--runs', String(runs), '--from', '1'], {
    cwd: ROOT,
  });
  if (status !== 0) throw new Error(`the simulation failed:\n${stdout}`);
  return runs / ((performance.now() - startedAt) / 1000);
}

/** The hook counts what is loaded; its own cost is in the figure of node alone as well. */
function load(name: string, modules: readonly string[]): Load {
  const urls = modules.map((it) => (it.endsWith('.ts') ? `file://${join(ROOT, it)}` : it));
  const script = `
    import { registerHooks } from 'node:module';
    let bytes = 0, files = 0;
    registerHooks({ load(url, context, next) {
      const told = next(url, context);
      if (url.startsWith('file:')) { files++; bytes += told.source?.length ?? 0; }
      return told;
    } });
    ${urls.map((url) => `await import(${JSON.stringify(url)});`).join('\n')}
    process.stderr.write(JSON.stringify([performance.now(), bytes, files]));
    process.exit();`;
  const runs = Array.from({ length: LOAD_ROUNDS }, () => {
    const { stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: ROOT,
      env: { ...process.env, ...ENVIRONMENT },
    });
    const told = /\[[\d.,]+\]$/.exec(stderr.toString())?.[0];
    if (told === undefined) throw new Error(`${name} cannot be loaded: ${stderr}`);
    return JSON.parse(told) as [number, number, number];
  });
  const [, bytes, files] = runs[0] as [number, number, number];
  return { name, ms: median(runs.map(([ms]) => ms)), kilobytes: bytes / 1024, files };
}
