/** Which world the commands are about: triplicate.yaml and the environment, or the local world that runs here. */

import { join } from 'node:path';
import type { LocalConfig } from '../local/config.ts';
import { isFault } from '../shared/model/fault.ts';
import type { MacKeys } from '../shared/model/marker.ts';
import type { Site, SiteId } from '../shared/model/site.ts';
import { readTopology } from '../shared/model/topology.ts';
import type { Access, Settings } from '../shared/world/open.ts';
import { type Context, Mistake } from './command.ts';
import { CONFIGURATION, readIfThere, readText } from './files.ts';

export const LOCAL = join('.triplicate', 'local.json');

export interface Configured {
  /** The file it was read from. */
  readonly where: string;
  /** The local world tells everything itself; otherwise the environment does. */
  readonly isLocal: boolean;
  readonly settings: Omit<Settings, 'report' | 'onSiteDown'>;
}

const SECRET_BYTES_MIN = 16;
const MAC_KEYS = 'TRIPLICATE_MAC_KEYS';
const LEDGER = 'TRIPLICATE_LEDGER';

/** Throws a Mistake that says what is missing and how it is told. */
export async function readConfigured({ folder, env }: Context, file: string | undefined): Promise<Configured> {
  const where = file ?? (readIfThere(folder, CONFIGURATION) === null ? LOCAL : CONFIGURATION);
  const text = file === undefined ? readIfThere(folder, where) : readText(folder, where);
  if (text === null)
    throw new Mistake(
      `There is neither ${CONFIGURATION} nor ${LOCAL} here. Start three local clouds with triplicate local, or copy ` +
        'triplicate.example.yaml to triplicate.yaml and make it yours; --config names another file.',
    );
  return where.endsWith('.json') ? readLocal(where, text) : readOwn(where, text, env);
}

async function readLocal(where: string, text: string): Promise<Configured> {
  const config = parse(where, text);
  if (config.ledger === undefined || config.ledger === null)
    throw new Mistake(
      `${where}: this local world keeps its ledger to itself, as it was started with --memory or --no-replication. ` +
        'Start it without, to look into it from here.',
    );
  const { toLocalSettings } = await import('../local/replication.ts');
  const settings = toLocalSettings(config, { kind: 'memory', folder: '' });
  return { where, isLocal: true, settings: { ...settings, ledger: config.ledger } };
}

function parse(where: string, text: string): LocalConfig {
  try {
    const config = JSON.parse(text) as Partial<LocalConfig> | null;
    if (config?.aws && config.gcp && config.azure) return config as LocalConfig;
  } catch {
    // Told below.
  }
  throw new Mistake(`${where} is not what triplicate local writes: stop it, and start it again.`);
}

function readOwn(where: string, text: string, env: Context['env']): Configured {
  const topology = orMistake(() => readTopology(text, where));
  const ledger = env[LEDGER];
  if (!ledger)
    throw new Mistake(
      `${LEDGER} is not set: where is the ledger of ${where}? Set it to dynamodb:REGION/TABLE, firestore:PROJECT or sqlite:FILE.`,
    );
  const queues: Record<SiteId, string> = {};
  for (const { id } of topology.sites) {
    const address = env[queueVariable(id)];
    if (address) queues[id] = address;
  }
  return {
    where,
    isLocal: false,
    settings: {
      topology,
      access: readAccess(topology.sites, env),
      ledger,
      queues,
      macKeys: readMacKeys(env[MAC_KEYS]),
    },
  };
}

export function queueVariable(site: SiteId): string {
  return `TRIPLICATE_QUEUE_${site.toUpperCase()}`;
}

/** AWS and Google are found by their SDKs; Azure's wants to be told. */
function readAccess(sites: readonly Site[], env: Context['env']): Access {
  const azure: Record<string, { connectionString: string }> = {};
  for (const { cloud, bucket } of sites) {
    const [account = ''] = bucket.split('/');
    const connectionString =
      env[`AZURE_STORAGE_CONNECTION_STRING_${account.toUpperCase()}`] ?? env.AZURE_STORAGE_CONNECTION_STRING;
    if (cloud === 'azure' && connectionString) azure[account] = { connectionString };
  }
  const bus = env.AZURE_SERVICEBUS_CONNECTION_STRING;
  return { azure, ...(bus ? { serviceBus: { connectionString: bus } } : {}) };
}

/** `id:base64[,id:base64]`, the newest first. Never echoes a secret. */
export function readMacKeys(text: string | undefined): MacKeys {
  const how = `expected id:base64, or several with commas between them and the newest first; each of ${SECRET_BYTES_MIN} bytes or more`;
  if (!text) throw new Mistake(`${MAC_KEYS} is not set: ${how}. They sign what Triplicate writes, so keep them safe.`);
  const keys: Record<string, Uint8Array> = {};
  for (const [index, part] of text.split(',').entries()) {
    const [, id = '', secret = ''] = /^\s*([!-+\--9;-~]{1,8}):([A-Za-z0-9+/_-]+={0,2})\s*$/.exec(part) ?? [];
    const bytes = Buffer.from(secret, 'base64');
    if (bytes.length < SECRET_BYTES_MIN || Object.hasOwn(keys, id))
      throw new Mistake(`${MAC_KEYS}, key ${index + 1}: ${how}.`);
    keys[id] = bytes;
  }
  return { newest: Object.keys(keys)[0] as string, keys };
}

function orMistake<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (isFault(error, 'invalid')) throw new Mistake(error.message);
    throw error;
  }
}
