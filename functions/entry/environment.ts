/** Reads what a process is told by environment variables: where the configuration, the ledger, the queues and the keys are. */

import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Fault, fault, invalid, isFault } from '../../shared/model/fault.ts';
import type { MacKeys } from '../../shared/model/marker.ts';
import type { SiteId } from '../../shared/model/site.ts';
import { readTopology, type Topology } from '../../shared/model/topology.ts';
import type { Access, Settings } from '../../shared/world/open.ts';
import { loadResolvers } from '../../shared/world/resolvers.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a process is told before it opens its world. */
export interface Told extends Omit<Settings, 'report' | 'publish'> {
  /** Where what happens is published; left out: nowhere. */
  readonly events?: 'stdout';
}

const CONFIG = 'TRIPLICATE_CONFIG';
const LEDGER = 'TRIPLICATE_LEDGER';
const MAC_KEYS = 'TRIPLICATE_MAC_KEYS';
const QUEUE = 'TRIPLICATE_QUEUE_';
const STORAGE = 'TRIPLICATE_STORAGE_';
const SERVICE_BUS = 'TRIPLICATE_SERVICE_BUS';
const PROJECT = 'TRIPLICATE_GCP_PROJECT';
const EVENTS = 'TRIPLICATE_EVENTS';

const ADDRESS = /^[a-z]+:/;
const MAC_KEY_ID = /^[!-+\--9;-~]{1,8}$/;
const SECRET_BYTES_MIN = 16;

/** Everything that is wrong in one Fault 'invalid', a line for each variable. Secrets are not repeated in it. */
export function readEnvironment(env: Environment): Told {
  const faults: Fault[] = [];
  const topology = orNote(faults, () => readConfiguration(env));
  const resolvers = topology && orNote(faults, () => readResolvers(env, topology));
  const ledger = orNote(faults, () => readAddress(LEDGER, env[LEDGER]));
  const macKeys = orNote(faults, () => readMacKeys(env[MAC_KEYS]));
  const queues = topology && orNote(faults, () => readQueues(env, topology));
  const access = orNote(faults, () => readAccess(env));
  const events = orNote(faults, () => readEvents(env));
  if (topology && resolvers && ledger !== undefined && macKeys && queues && access && events && faults.length === 0)
    return { topology, resolvers, access, ledger, queues, macKeys, ...events };
  const { field, value } = faults[0]?.details ?? {};
  throw fault('invalid', faults.map(({ message }) => message).join('\n'), { field: field ?? CONFIG, value });
}

/** How long an invocation may take, where its platform does not tell while it runs. */
export function readTimeMs(env: Environment, standardSeconds: number): number {
  const name = 'TRIPLICATE_TIME_SECONDS';
  const value = env[name] || String(standardSeconds);
  const seconds = Number(value);
  if (!Number.isInteger(seconds) || seconds < 1) throw invalid(name, value, 'whole seconds, 1 or more');
  return seconds * 1000;
}

/** Where a process answers for its health: `8080` or `127.0.0.1:8080`; null: nowhere. */
export function readHealth(env: Environment): { readonly host: string; readonly port: number } | null {
  const name = 'TRIPLICATE_HEALTH';
  const value = env[name];
  if (!value) return null;
  const [, host = '0.0.0.0', port = ''] = /^(?:(.+):)?(\d{1,5})$/.exec(value) ?? [];
  if (port === '' || Number(port) > 65_535)
    throw invalid(name, value, 'a port, or an address and a port: 127.0.0.1:8080');
  return { host, port: Number(port) };
}

function orNote<T>(faults: Fault[], read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!isFault(error, 'invalid')) throw error;
    faults.push(error);
    return undefined;
  }
}

/** The YAML itself, or the name of the file that it stands in. */
function readConfiguration(env: Environment): Topology {
  const value = env[CONFIG];
  if (!value) throw invalid(CONFIG, value, 'the name of a YAML file, or the YAML itself');
  if (isYaml(value)) return readTopology(value, CONFIG);
  let text: string;
  try {
    text = readFileSync(value, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw fault('invalid', `${CONFIG}: ${why}`, { field: CONFIG, value, cause: error });
  }
  return readTopology(text, value);
}

function isYaml(value: string): boolean {
  return /[\n{]/.test(value);
}

/** Their files lie beside the configuration; where that is no file, they are looked for where the process was started. */
function readResolvers(env: Environment, topology: Topology): NonNullable<Told['resolvers']> {
  const value = env[CONFIG] ?? '';
  return isYaml(value) ? loadResolvers(topology, '.', CONFIG) : loadResolvers(topology, dirname(value), value);
}

function readAddress(name: string, value: string | undefined): string {
  if (value !== undefined && ADDRESS.test(value)) return value;
  const example = name === LEDGER ? 'dynamodb:REGION/TABLE or sqlite:FILE' : 'sqs:URL or pubsub:PROJECT/SUBSCRIPTION';
  throw invalid(name, value, `an address such as ${example}`);
}

/** `id:base64,id:base64`, the one to write with first. */
function readMacKeys(text: string | undefined): MacKeys {
  const expected = `id:base64,... with ids of 1 to 8 characters and secrets of at least ${SECRET_BYTES_MIN} bytes`;
  if (!text) throw invalid(MAC_KEYS, text, expected);
  const keys: Record<string, Uint8Array> = {};
  const entries = text.split(',').map((entry) => entry.trim());
  for (const [index, entry] of entries.entries()) {
    const colon = entry.indexOf(':');
    const id = entry.slice(0, Math.max(0, colon));
    const secret = Buffer.from(entry.slice(colon + 1), 'base64');
    const isBase64 = secret.toString('base64').replace(/=+$/, '') === entry.slice(colon + 1).replace(/=+$/, '');
    if (!MAC_KEY_ID.test(id) || !isBase64 || secret.length < SECRET_BYTES_MIN)
      throw fault('invalid', `${MAC_KEYS}: entry ${index + 1} is not as it should be: ${expected}`, {
        field: MAC_KEYS,
      });
    if (Object.hasOwn(keys, id)) throw invalid(MAC_KEYS, id, 'every id once');
    keys[id] = secret;
  }
  return { newest: (entries[0] as string).split(':', 1)[0] as string, keys };
}

function readQueues(env: Environment, { sites }: Topology): Readonly<Record<SiteId, string>> {
  const siteOf = new Map(sites.map(({ id }) => [QUEUE + id.toUpperCase(), id]));
  const queues: Record<SiteId, string> = {};
  for (const [name, value] of withPrefix(env, QUEUE)) {
    const site = siteOf.get(name);
    if (site === undefined) throw invalid(name, value, `one of ${[...siteOf.keys()].join(', ')}`);
    queues[site] = readAddress(name, value);
  }
  return queues;
}

/** Only what the SDKs do not find by themselves. Rights that one cloud gives for the other's come in here as well. */
export function readAccess(env: Environment): Access {
  const aws = readUrl(env, 'TRIPLICATE_ENDPOINT_AWS');
  const gcs = readUrl(env, 'TRIPLICATE_ENDPOINT_GCS');
  const pubsub = readUrl(env, 'TRIPLICATE_ENDPOINT_PUBSUB');
  const firestore = readUrl(env, 'TRIPLICATE_ENDPOINT_FIRESTORE');
  const projectId = env[PROJECT];
  const serviceBus = env[SERVICE_BUS];
  const accounts = withPrefix(env, STORAGE).map(
    ([name, connectionString]) => [name.slice(STORAGE.length).toLowerCase(), { connectionString }] as const,
  );
  return {
    ...(aws === undefined ? {} : { aws: { endpoint: aws, forcePathStyle: true } }),
    ...(gcs === undefined && !projectId
      ? {}
      : { gcp: { ...(gcs === undefined ? {} : { apiEndpoint: gcs }), ...(projectId ? { projectId } : {}) } }),
    ...(accounts.length === 0 ? {} : { azure: Object.fromEntries(accounts) }),
    ...(pubsub === undefined ? {} : { pubsub: { apiEndpoint: pubsub } }),
    ...(firestore === undefined ? {} : { firestore: { apiEndpoint: firestore } }),
    ...(serviceBus ? { serviceBus: { connectionString: serviceBus } } : {}),
  };
}

function readEvents(env: Environment): Pick<Told, 'events'> {
  const value = env[EVENTS];
  if (!value) return {};
  if (value !== 'stdout') throw invalid(EVENTS, value, 'stdout, or nothing');
  return { events: value };
}

function readUrl(env: Environment, name: string): string | undefined {
  const value = env[name];
  if (!value) return undefined;
  if (!/^https?:\/\//.test(value) || !URL.canParse(value)) throw invalid(name, value, 'http:// or https:// and a host');
  return value;
}

/** What is empty counts as left out. */
function withPrefix(env: Environment, prefix: string): ReadonlyArray<readonly [string, string]> {
  return Object.entries(env).flatMap(([name, value]) => (name.startsWith(prefix) && value ? [[name, value]] : []));
}
