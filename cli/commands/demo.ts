/** `triplicate demo`: shows on stand-ins for your buckets what Triplicate does. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { everyRule } from '../../shared/decide/rules.ts';
import { openSqliteLedger } from '../../shared/ledger/sqlite.ts';
import { isFault } from '../../shared/model/fault.ts';
import { fromNativeKey } from '../../shared/model/key-map.ts';
import { toObjectChangeText } from '../../shared/model/object-change.ts';
import type { Cloud, Site, SiteId } from '../../shared/model/site.ts';
import { readTopology, type Topology } from '../../shared/model/topology.ts';
import { openSqliteQueue } from '../../shared/queue/sqlite.ts';
import { plantSentinel } from '../../shared/replicate/sentinel.ts';
import { withCanonicalNames } from '../../shared/store/layers/canonical.ts';
import { type MemoryFlavour, type MemoryStore, openMemoryStore } from '../../shared/store/memory.ts';
import { checkStores } from '../../shared/world/check.ts';
import { openSystemClock, openSystemRandom } from '../../shared/world/system.ts';
import { type Command, type Context, EXIT, Mistake } from '../command.ts';
import { openPrinter, type SiteTold, type Told } from '../demo/print.ts';
import { type Clouds, readSetting, type Setting, tellStory } from '../demo/story.ts';
import { CONFIGURATION, readIfThere, readText } from '../files.ts';

export const demo: Command = {
  name: 'demo',
  summary: 'tell a story with stand-ins in memory, checked step by step',
  takes: '',
  about: [
    'Replicates a few objects between in-memory stand-ins for the buckets of your configuration, provokes a conflict',
    'and a crash, and checks every result by reading the buckets back. No cloud is contacted.',
    '',
    'Ledger and queue are SQLite files in .triplicate/demo/, in a folder of their own for every run.',
  ],
  examples: [
    [
      'triplicate demo',
      'the sites of triplicate.yaml here; where there is none, the example that comes with Triplicate',
    ],
    ['triplicate demo --fresh --json', 'forget earlier runs, and print events as JSON, one a line'],
  ],
  options: [
    { name: 'config', takes: 'FILE', about: 'another configuration than triplicate.yaml in the current directory' },
    { name: 'fresh', about: 'remove what earlier runs have left in .triplicate/demo first' },
    { name: 'json', about: 'print events as JSON, one a line' },
  ],
  run: (given, context) =>
    run(readConfiguration(context, given.text('config')), given.has('fresh'), given.has('json'), context),
};

const EXAMPLE = 'triplicate.example.yaml';
const STATE = join('.triplicate', 'demo');
/** The least that S3 and GCS accept, as do their stand-ins. */
const PART_BYTES = 5 * 1024 ** 2;

const STAND_INS: Readonly<Record<Cloud, StandIn>> = {
  aws: { flavour: 's3', versioned: true, service: 'S3, versioned' },
  gcp: { flavour: 'gcs', versioned: false, service: 'GCS' },
  azure: { flavour: 'azure', versioned: true, service: 'Azure Blob, versioned' },
};

interface StandIn {
  readonly flavour: MemoryFlavour;
  readonly versioned: boolean;
  readonly service: string;
}

async function run({ name, setting }: Configuration, fresh: boolean, json: boolean, context: Context): Promise<number> {
  const print = openPrinter(json);
  const tell = (told: Told) => context.out(print(told));
  const folder = makeFolder(context, fresh);
  const clouds = openClouds(setting.topology, join(context.folder, folder), tell);
  tell({ kind: 'start', configuration: name, folder, sites: setting.topology.sites.map(toSiteTold) });
  try {
    for (const { id } of setting.topology.sites) await plantSentinel(clouds.world, id);
    const totals = await tellStory(setting, clouds, tell);
    tell({ kind: 'end', ...totals });
    return totals.failed === 0 ? EXIT.fine : EXIT.found;
  } finally {
    await clouds.world.ledger.close();
    await clouds.world.queue.close();
  }
}

/** Stand-ins for the buckets, and everything else as it will be with real ones: each change they tell of is queued. */
function openClouds(configured: Topology, folder: string, tell: (told: Told) => void): Clouds {
  const system = openSystemClock();
  const random = openSystemRandom();
  let aheadMs = 0;
  const now = () => system.now() + aheadMs;
  const limits = { ...configured.limits, stageOverBytes: PART_BYTES, partBytes: PART_BYTES };
  const ledger = openSqliteLedger(join(folder, 'ledger.sqlite'));
  const queue = openSqliteQueue(join(folder, 'queue.sqlite'), { now });
  const sends: Array<Promise<void>> = [];
  const buckets = new Map<SiteId, MemoryStore>();
  for (const { id: site, cloud } of configured.sites) {
    const { flavour, versioned } = STAND_INS[cloud];
    const bucket = openMemoryStore({ site, flavour, versioned, now });
    bucket.onEvent(({ key: name, kind, phys }) => {
      const key = fromNativeKey(cloud, name);
      if (key === null) return;
      const change = toObjectChangeText({ site, key, kind, ...(phys === undefined ? {} : { phys }) });
      const send = queue.send(change);
      // Whoever awaits delivery hears of it; until then nobody listens.
      send.catch(() => {});
      sends.push(send);
    });
    buckets.set(site, bucket);
  }
  const stores = Object.fromEntries([...buckets].map(([site, bucket]) => [site, withCanonicalNames(bucket)]));
  checkStores(configured, stores);
  return {
    buckets,
    world: {
      topology: { ...configured, limits },
      stores,
      ledger,
      queue,
      clock: { now },
      random,
      macKeys: { newest: 'run', keys: { run: Buffer.from(random.id(), 'base64url') } },
      resolvers: {},
      rules: everyRule,
      report: (notice) => tell({ kind: 'notice', ...notice }),
    },
    delivered: async () => (await Promise.all(sends)).length,
    putClockForward: (ms) => {
      aheadMs += ms;
    },
  };
}

function toSiteTold({ id, cloud, bucket, region, mode }: Site): SiteTold {
  return { id, service: STAND_INS[cloud].service, bucket, region, mode };
}

interface Configuration {
  readonly name: string;
  readonly setting: Setting;
}

function readConfiguration(context: Context, config: string | undefined): Configuration {
  const { name, text } =
    config === undefined ? readDefault(context) : { name: config, text: readText(context.folder, config) };
  const topology = orMistake('', () => readTopology(text, name));
  return { name, setting: orMistake(`${name}: `, () => readSetting(topology)) };
}

function orMistake<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (isFault(error, 'invalid')) throw new Mistake(`${place}${error.message}`);
    throw error;
  }
}

function readDefault({ folder }: Context): { readonly name: string; readonly text: string } {
  const text = readIfThere(folder, CONFIGURATION);
  if (text !== null) return { name: CONFIGURATION, text };
  return { name: EXAMPLE, text: readText(join(import.meta.dirname, '..', '..'), EXAMPLE) };
}

/** One for every run, so that nothing is taken for known of buckets that have forgotten it. */
function makeFolder({ folder, now }: Context, fresh: boolean): string {
  if (fresh) rmSync(join(folder, STATE), { recursive: true, force: true });
  mkdirSync(join(folder, STATE), { recursive: true });
  const startedAt = new Date(now()).toISOString().replace(/\..*|[-:]/g, '');
  const made = mkdtempSync(join(folder, STATE, `run-${startedAt}-`));
  return join(STATE, basename(made));
}
