/**
 * Kills writers at random moments and looks whether all they had acknowledged is there. A kill ends the process and
 * not the kernel: this proves that writes are told after they are made, whole and recovered, not that disks are synced.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, expect, test } from 'vitest';
import { openSqliteLedger } from '#shared/ledger/sqlite.ts';
import { openSqliteQueue } from '#shared/queue/sqlite.ts';
import { times } from '../conformance/cases.ts';
import { receiveAll } from '../conformance/queue-bench.ts';

const ROUNDS = 200;
const LANES = 2;
const ACKNOWLEDGED_MAX = 40;
const SEED = 20_240_229;
/** A writer that prints nothing any more has failed; a round takes a fraction of a second. */
const ROUND_MS_MAX = 30_000;
const TEST_MS_MAX = 300_000;
/** Between two rounds, so that what was in flight in one is receivable in the next. */
const ROUND_CLOCK_MS = 1_000_000;

const folder = mkdtempSync(join(tmpdir(), 'triplicate-kill-'));

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Files {
  readonly ledger: string;
  readonly queue: string;
}

/** All that writers said about one pair of files, whichever round it was. */
interface Told {
  /** The last revision of each item and record. */
  readonly items: Map<string, number>;
  readonly records: Map<string, number>;
  /** `key id`. */
  readonly log: Set<string>;
  readonly sent: Set<string>;
  readonly settling: Set<string>;
  readonly settled: Set<string>;
  lines: number;
}

test(`what was acknowledged survives kill -9, ${ROUNDS} times`, { timeout: TEST_MS_MAX }, async () => {
  const lanes = times(LANES, (lane) => runLane(lane, ROUNDS / LANES, filesOf(`lane${lane}`, lane % 2 === 0), []));
  const results = await Promise.all(lanes);
  const lost = results.flatMap((result) => result.lost);
  const acknowledged = results.reduce((sum, result) => sum + result.told.lines, 0);
  const rounds = results.reduce((sum, result) => sum + result.rounds, 0);
  console.log(`kill -9: ${rounds} rounds, ${acknowledged} acknowledged, ${lost.length} lost`);
  expect(lost).toEqual([]);
  expect(rounds).toBe(ROUNDS);
  expect(acknowledged).toBeGreaterThan((ROUNDS * ACKNOWLEDGED_MAX) / 4);
  for (const { told } of results)
    for (const kind of [told.items, told.records, told.log, told.sent, told.settled])
      expect(kind.size).toBeGreaterThanOrEqual(5);
});

test('a writer that acknowledges before it writes is caught', { timeout: TEST_MS_MAX }, async () => {
  const { rounds, lost } = await runLane(LANES, ROUNDS, filesOf('early', true), ['--early']);
  console.log(`kill -9: acknowledging early was caught after ${rounds} of ${ROUNDS} rounds: ${lost[0]}`);
  expect(lost).not.toEqual([]);
});

/** Both kinds of installation: a file for each, or one for both. */
function filesOf(name: string, apart: boolean): Files {
  const ledger = join(folder, `${name}.db`);
  return { ledger, queue: apart ? join(folder, `${name}-queue.db`) : ledger };
}

/** Ends with the first round after which something is missing. */
async function runLane(lane: number, roundsMax: number, files: Files, flags: readonly string[]) {
  const chance = openChance(SEED + lane);
  const told: Told = {
    items: new Map(),
    records: new Map(),
    log: new Set(),
    sent: new Set(),
    settling: new Set(),
    settled: new Set(),
    lines: 0,
  };
  const lost: string[] = [];
  let rounds = 0;
  while (rounds < roundsMax && lost.length === 0) {
    rounds += 1;
    const at = rounds * ROUND_CLOCK_MS;
    const lines = await writeUntilKilled(files, `${rounds}`, at, 1 + chance(ACKNOWLEDGED_MAX), flags);
    for (const line of lines) hear(told, line);
    lost.push(...(await missing(files, told, at + ROUND_CLOCK_MS / 2)));
  }
  return { rounds, told, lost };
}

/** Every whole line the writer printed before it died. */
async function writeUntilKilled(
  files: Files,
  round: string,
  at: number,
  acknowledged: number,
  flags: readonly string[],
): Promise<readonly string[]> {
  const writer = join(import.meta.dirname, 'writer.ts');
  const args = ['--ledger', files.ledger, '--queue', files.queue, '--round', round, '--at', `${at}`, ...flags];
  const child = spawn(process.execPath, [writer, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: ROUND_MS_MAX,
    killSignal: 'SIGTERM',
  });
  let out = '';
  let err = '';
  child.stderr.on('data', (data) => {
    err += data;
  });
  child.stdout.on('data', (data) => {
    out += data;
    if (out.split('\n').length > acknowledged) child.kill('SIGKILL');
  });
  const [code, signal] = await once(child, 'close');
  if (signal !== 'SIGKILL') throw new Error(`round ${round}: the writer ended with ${code ?? signal}: ${err}`);
  return out.split('\n').slice(0, -1);
}

function hear(told: Told, line: string): void {
  const [what, name = '', rest = ''] = line.split(' ');
  if (what !== 'settling') told.lines += 1;
  if (what === 'item') told.items.set(name, Number(rest));
  else if (what === 'record') told.records.set(name, Number(rest));
  else if (what === 'log') told.log.add(`${name} ${rest}`);
  else if (what === 'sent') told.sent.add(name);
  else if (what === 'settling') told.settling.add(name);
  else if (what === 'settled') told.settled.add(name);
  else throw new Error(`the writer said ${JSON.stringify(line)}`);
}

/** What is not as it was acknowledged, each in words. Reads as any program would, so that the log is recovered. */
async function missing(files: Files, told: Told, at: number): Promise<readonly string[]> {
  const found: string[] = [];
  const ledger = openSqliteLedger(files.ledger);
  const queue = openSqliteQueue(files.queue, { now: () => at });
  const check = (holds: boolean, what: string) => {
    if (!holds) found.push(what);
  };

  for (const key of await ledger.listKeys({ limit: 1_000 })) {
    const { item } = await ledger.get(key);
    const whole = item?.unresolved?.reason === `${item?.rev} `.repeat(2_000) && item.due === item.rev - 1;
    check(whole, `item ${key} is torn at revision ${item?.rev}`);
  }
  for (const [key, rev] of told.items) {
    const stands = (await ledger.get(key)).item?.rev ?? 0;
    // One more may have been written and not acknowledged any more.
    check(stands === rev || stands === rev + 1, `item ${key}: revision ${rev} was acknowledged, ${stands} stands`);
    told.items.set(key, stands);
    const logged = new Set((await ledger.readLog(key)).map(({ id }) => `${key} ${id}`));
    for (const entry of told.log)
      if (entry.startsWith(`${key} `)) check(logged.has(entry), `log entry ${entry} is missing`);
  }
  for (const [id, rev] of told.records) {
    const record = await ledger.getRecord(id);
    check(record?.value === `${record?.rev}`, `record ${id} is torn`);
    const stands = record?.rev ?? 0;
    check(stands === rev || stands === rev + 1, `record ${id}: revision ${rev} was acknowledged, ${stands} stands`);
    told.records.set(id, stands);
  }

  // Half a round later everything is receivable that was not settled; its visibility ends before the next round.
  const bodies = (await receiveAll(queue, 1_000)).map(({ body }) => body);
  const there = new Set(bodies);
  check(there.size === bodies.length, 'a message is there twice');
  for (const body of told.sent) check(there.has(body) || told.settling.has(body), `message ${body} is missing`);
  // What is still there must stay until somebody is about to settle it again.
  for (const body of there) told.settling.delete(body);
  for (const body of told.settled) check(!there.has(body), `message ${body} was settled and is back`);

  await ledger.close();
  await queue.close();
  for (const file of new Set([files.ledger, files.queue])) check(isIntact(file), `${file} fails its integrity check`);
  return found;
}

function isIntact(file: string): boolean {
  const db = new DatabaseSync(file);
  const rows = db.prepare('PRAGMA integrity_check').all();
  db.close();
  return JSON.stringify(rows) === '[{"integrity_check":"ok"}]';
}

/** Lehmer's generator: a whole number from 0, below `below`. The same seed, the same numbers. */
function openChance(seed: number): (below: number) => number {
  let state = seed % 2_147_483_647;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}
