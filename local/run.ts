/** `triplicate local`: the three clouds in this process until Ctrl-C, and a file that tells programs where they are. */

import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type LocalConfig, type Ports, USUAL_PORTS } from './config.ts';
import { type LedgerKind, startReplication, toLocalSettings } from './replication.ts';
import { startLocalWorld } from './world.ts';

interface Options {
  readonly state: string;
  readonly memory: boolean;
  readonly replication: boolean;
  readonly ledger: LedgerKind;
  readonly host: string;
  readonly ports: Ports;
  readonly seed: number;
}

const LEDGERS: readonly LedgerKind[] = ['sqlite', 'dynamodb', 'firestore', 'memory'];

/** A mistake of the person who started this, told in a sentence. */
class Mistake extends Error {}

/** Answers the exit code, once the signal has come and everything has stopped. */
export async function runLocal(args: readonly string[], stopped: Promise<unknown>): Promise<number> {
  try {
    await run(readOptions(args), stopped);
    return 0;
  } catch (error) {
    if (error instanceof Mistake) {
      console.error(error.message);
      return 2;
    }
    console.error(error instanceof Error ? `triplicate local: ${error.message}` : error);
    return 1;
  }
}

async function run(
  { state, memory, replication, ledger, host, ports, seed }: Options,
  stopped: Promise<unknown>,
): Promise<void> {
  const startedAt = performance.now();
  const report = (line: string) => console.error(line);
  if (host !== '127.0.0.1' && host !== 'localhost' && host !== '::1')
    report(`WARNING: listening on ${host}. Whoever reaches it can read, change and delete everything here.`);
  const world = await startLocalWorld({
    host,
    ports,
    seed,
    report,
    ...(memory ? {} : { folder: join(state, 'clouds') }),
  });
  const file = join(state, 'local.json');
  try {
    const worker = replication ? await startReplication(world.config, { kind: ledger, folder: state }, report) : null;
    const kept = worker === null || ledger === 'memory' ? null : { kind: ledger, folder: resolve(state) };
    const address = kept === null ? null : toLocalSettings(world.config, kept).ledger;
    writeConfig(state, file, { ...world.config, ledger: address });
    tell(world.config, file, replication, performance.now() - startedAt);
    await stopped;
    console.log('Stopping.');
    await worker?.stop();
  } finally {
    rmSync(file, { force: true });
    await world.stop();
  }
}

/** Whoever waits for the file finds all of it. */
function writeConfig(folder: string, file: string, config: LocalConfig): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${file}.new`, `${JSON.stringify(config, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}

function tell({ aws, gcp, azure, control }: LocalConfig, file: string, replication: boolean, ms: number): void {
  const rows = [
    ['AWS', aws.endpoint, `bucket ${aws.bucket}`],
    ['Google Cloud', gcp.storageEndpoint, `bucket ${gcp.bucket}`],
    ['Azure', azure.blobEndpoint, `container ${azure.container}`],
    ['control', control, 'faults, and all of this as JSON'],
  ];
  console.log(
    `Three clouds are up after ${(ms / 1000).toFixed(1)} s${replication ? ', and Triplicate replicates between them' : ''}.\n`,
  );
  for (const [name = '', where = '', what = ''] of rows)
    console.log(`  ${name.padEnd(13)} ${where.padEnd(44)} ${what}`);
  console.log(`\nEvery endpoint, key and name is in ${file}. Ctrl-C stops it.`);
}

function readOptions(args: readonly string[]): Options {
  const { values } = parse(args);
  const ports: Record<string, number> = { ...USUAL_PORTS };
  if (values['any-ports']) for (const name of Object.keys(ports)) ports[name] = 0;
  for (const text of values.port ?? []) {
    const [, name = '', number = ''] = /^(\w+)=(\d{1,5})$/.exec(text) ?? [];
    if (!(name in ports) || Number(number) > 65_535)
      throw new Mistake(`--port ${text}: expected NAME=N, with a name of ${Object.keys(USUAL_PORTS).join(', ')}.`);
    ports[name] = Number(number);
  }
  const seed = Number(values.seed ?? 1);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new Mistake(`--seed ${values.seed}: expected a whole number.`);
  const ledger = values.ledger ?? (values.memory ? 'memory' : 'sqlite');
  if (!LEDGERS.includes(ledger as LedgerKind))
    throw new Mistake(`--ledger ${ledger}: expected one of ${LEDGERS.join(', ')}.`);
  return {
    state: values.state ?? '.triplicate',
    memory: values.memory ?? false,
    ledger: ledger as LedgerKind,
    replication: !(values['no-replication'] ?? false),
    host: values.host ?? '127.0.0.1',
    ports: ports as unknown as Ports,
    seed,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        state: { type: 'string' },
        memory: { type: 'boolean' },
        'no-replication': { type: 'boolean' },
        ledger: { type: 'string' },
        host: { type: 'string' },
        port: { type: 'string', multiple: true },
        'any-ports': { type: 'boolean' },
        seed: { type: 'string' },
      },
    });
  } catch (error) {
    throw new Mistake(`${(error as Error).message}; triplicate local --help tells which options there are.`);
  }
}
