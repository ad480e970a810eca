/** `npm start`: shows on stand-ins for your buckets what Triplicate does. Arguments, files and exit codes are here alone. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkStores } from '#shared/world/check.ts';
import { everyRule } from '../shared/decide/rules.ts';
import { openSqliteLedger } from '../shared/ledger/sqlite.ts';
import { isFault } from '../shared/model/fault.ts';
import { fromNativeKey } from '../shared/model/key-map.ts';
import { toObjectChangeText } from '../shared/model/object-change.ts';
import type { Cloud, Site, SiteId } from '../shared/model/site.ts';
import { readTopology, type Topology } from '../shared/model/topology.ts';
import { openSqliteQueue } from '../shared/queue/sqlite.ts';
import { plantSentinel } from '../shared/replicate/sentinel.ts';
import { withCanonicalNames } from '../shared/store/layers/canonical.ts';
import { type MemoryFlavour, type MemoryStore, openMemoryStore } from '../shared/store/memory.ts';
import { openSystemClock, openSystemRandom } from '../shared/world/system.ts';
import { openPrinter, type SiteTold, type Told } from './print.ts';
import { type Clouds, readSetting, type Setting, tellStory } from './story.ts';

const USAGE = `Usage: npm start -- [options]

Replicates a few objects between in-memory stand-ins for the buckets of your configuration, provokes
a conflict and a crash, and checks every result by reading the buckets back. No cloud is contacted.

  --config FILE   the configuration; without it triplicate.yaml in the current directory,
                  and where there is none the example that comes with Triplicate
  --fresh         remove .triplicate in the current directory first, and with it earlier runs
  --json          print events as JSON, one a line
  --help          print this

Ledger and queue are SQLite files in .triplicate/, in a folder of their own for every run.
Exit code: 0 if every check passed, 1 if one failed, 2 for a mistake in options or configuration.`;

const CONFIGURATION = 'triplicate.yaml';
const EXAMPLE = 'triplicate.example.yaml';
const STATE = '.triplicate';
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

interface Arguments {
  readonly config: string | null;
  readonly fresh: boolean;
  readonly json: boolean;
  readonly help: boolean;
}

/** A mistake of the person who started this, told in a sentence, or a line for each. */
class Mistake extends Error {}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever read the output has seen enough.
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});
process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  try {
    const { config, fresh, json, help } = readArguments(args);
    if (help) {
      console.log(USAGE);
      return 0;
    }
    return await run(readConfiguration(config), fresh, json);
  } catch (error) {
    if (error instanceof Mistake) {
      console.error(error.message);
      return 2;
    }
    console.error(isFault(error) || isFileError(error) ? `triplicate: ${placeOf(error)}${error.message}` : error);
    return 1;
  }
}

async function run({ name, setting }: Configuration, fresh: boolean, json: boolean): Promise<number> {
  const print = openPrinter(json);
  const tell = (told: Told) => console.log(print(told));
  const folder = makeFolder(fresh);
  const clouds = openClouds(setting.topology, folder, tell);
  tell({ kind: 'start', configuration: name, folder, sites: setting.topology.sites.map(toSiteTold) });
  try {
    for (const { id } of setting.topology.sites) await plantSentinel(clouds.world, id);
    const totals = await tellStory(setting, clouds, tell);
    tell({ kind: 'end', ...totals });
    return totals.failed === 0 ? 0 : 1;
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

function readArguments(args: readonly string[]): Arguments {
  const flags = { '--fresh': false, '--json': false, '--help': false };
  let config: string | null = null;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] === '-h' ? '--help' : (args[at] as string);
    if (Object.hasOwn(flags, arg)) flags[arg as keyof typeof flags] = true;
    else if (arg.startsWith('--config=')) config = arg.slice('--config='.length);
    else if (arg === '--config') config = args[++at] ?? '';
    else throw new Mistake(`There is no option ${arg}; --help tells which there are.`);
    if (config === '') throw new Mistake('--config needs the name of a file.');
  }
  return { config, fresh: flags['--fresh'], json: flags['--json'], help: flags['--help'] };
}

interface Configuration {
  readonly name: string;
  readonly setting: Setting;
}

function readConfiguration(config: string | null): Configuration {
  const { name, text } = config === null ? readDefault() : { name: config, text: readText(config) };
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

function readDefault(): { readonly name: string; readonly text: string } {
  try {
    return { name: CONFIGURATION, text: readFileSync(CONFIGURATION, 'utf8') };
  } catch (error) {
    if (!isFileError(error) || error.code !== 'ENOENT')
      throw new Mistake(`${CONFIGURATION} cannot be read: ${reasonOf(error)}.`);
    return { name: EXAMPLE, text: readText(join(import.meta.dirname, '..', EXAMPLE)) };
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Mistake(`${file} cannot be read: ${reasonOf(error)}.`);
  }
}

/** One for every run, so that nothing is taken for known of buckets that have forgotten it. */
function makeFolder(fresh: boolean): string {
  if (fresh) rmSync(STATE, { recursive: true, force: true });
  mkdirSync(STATE, { recursive: true });
  const startedAt = new Date().toISOString().replace(/\..*|[-:]/g, '');
  return mkdtempSync(join(STATE, `run-${startedAt}-`));
}

function placeOf(error: Error): string {
  if (!isFault(error)) return '';
  const { site, op, key } = error.details;
  return [site, op, key]
    .filter((it) => it !== undefined)
    .join(' ')
    .concat(': ');
}

function isFileError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && 'syscall' in error;
}

/** `ENOENT: no such file or directory, open 'x'` without what was said already. */
function reasonOf(error: unknown): string {
  return isFileError(error) ? error.message.replace(/, \w+(?: '.*')?$/s, '') : String(error);
}
