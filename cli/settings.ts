/** Which world the commands are about: triplicate.yaml and the environment, or the local world that runs here. */

import { join, resolve } from 'node:path';
import type { Told } from '../functions/entry/environment.ts';
import type { LocalConfig } from '../local/config.ts';
import { isFault } from '../shared/model/fault.ts';
import { readTopology, type Topology } from '../shared/model/topology.ts';
import type { Access } from '../shared/world/open.ts';
import { type Context, Mistake } from './command.ts';
import { CONFIGURATION, readIfThere, readText } from './files.ts';

export const LOCAL = join('.triplicate', 'local.json');

export interface Configured {
  /** The file it was read from. */
  readonly where: string;
  /** The local world tells everything itself; otherwise the environment does. */
  readonly isLocal: boolean;
  readonly settings: Told;
}

/** Throws a Mistake that says what is missing and how it is told. */
export async function readConfigured({ folder, env }: Context, file: string | undefined): Promise<Configured> {
  const where = file ?? (readIfThere(folder, CONFIGURATION) === null ? LOCAL : CONFIGURATION);
  const text = file === undefined ? readIfThere(folder, where) : readText(folder, where);
  if (text === null)
    throw new Mistake(
      `There is neither ${CONFIGURATION} nor ${LOCAL} here. Start three local clouds with triplicate local, or copy ` +
        'triplicate.example.yaml to triplicate.yaml and make it yours; --config names another file.',
    );
  return where.endsWith('.json') ? readLocal(where, text) : readOwn(resolve(folder, where), where, env);
}

/** How to reach buckets that need not be part of any configuration, and the regions of those that are. */
export async function readAccess(
  context: Context,
  file: string | undefined,
): Promise<{ readonly access: Access; readonly regions: Readonly<Record<string, string>> }> {
  const { folder, env } = context;
  const where = file ?? (readIfThere(folder, CONFIGURATION) === null ? LOCAL : CONFIGURATION);
  const text = file === undefined ? readIfThere(folder, where) : readText(folder, where);
  if (text !== null && where.endsWith('.json')) {
    const { toLocalSettings } = await import('../local/replication.ts');
    const { access, topology } = toLocalSettings(parse(where, text), { kind: 'memory', folder: '' });
    return { access, regions: regionsOf(topology) };
  }
  const { readAccess: readOwnAccess } = await import('../functions/entry/environment.ts');
  const regions = text === null ? {} : regionsOf(orMistake(() => readTopology(text, where)));
  return { access: orMistake(() => readOwnAccess(env)), regions };
}

function regionsOf({ sites }: Topology): Readonly<Record<string, string>> {
  return Object.fromEntries(sites.map(({ cloud, bucket, region }) => [`${cloud} ${bucket}`, region]));
}

function orMistake<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (isFault(error, 'invalid')) throw new Mistake(error.message);
    throw error;
  }
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

async function readOwn(file: string, where: string, env: Context['env']): Promise<Configured> {
  const { readEnvironment } = await import('../functions/entry/environment.ts');
  try {
    return { where, isLocal: false, settings: readEnvironment({ ...env, TRIPLICATE_CONFIG: file }) };
  } catch (error) {
    if (!isFault(error, 'invalid')) throw error;
    const lines = error.message.replaceAll(file, where);
    const advice = /^TRIPLICATE_/m.test(lines)
      ? `\ndocs/operations.md tells what ${where} needs in the environment.`
      : '';
    throw new Mistake(lines + advice);
  }
}
