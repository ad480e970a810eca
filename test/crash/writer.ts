/**
 * Writes to a ledger and a queue until it is killed, and prints a line after every call that was answered. It runs
 * with --early to be caught: then it prints before it calls.
 */

import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openSqliteLedger } from '#shared/ledger/sqlite.ts';
import { openSqliteQueue } from '#shared/queue/sqlite.ts';
import { entry, noted } from '../conformance/ledger-samples.ts';

/** `round` tells apart what several writers made, `at` is the queue's clock, which stands still meanwhile. */
const { values } = parseArgs({
  options: {
    ledger: { type: 'string', default: '' },
    queue: { type: 'string', default: '' },
    round: { type: 'string', default: '0' },
    at: { type: 'string', default: '0' },
    early: { type: 'boolean', default: false },
  },
});

const KEYS = 5;
/** The parent kills long before; an orphan ends here. */
const STEPS_MAX = 2_000;

const ledger = openSqliteLedger(values.ledger);
const queue = openSqliteQueue(values.queue, { now: () => Number(values.at) });

function print(...words: readonly (string | number)[]): void {
  writeSync(1, `${words.join(' ')}\n`);
}

async function acknowledged(words: readonly (string | number)[], call: () => Promise<unknown>): Promise<void> {
  if (values.early) print(...words);
  const answer = await call();
  if (answer === false || answer === 'lost' || answer === 'fenced') throw new Error(`${words.join(' ')}: ${answer}`);
  if (!values.early) print(...words);
}

async function writeItem(key: string): Promise<void> {
  const { item, epoch } = await ledger.get(key);
  const rev = item?.rev ?? 0;
  // Long enough for several pages, so that half of it would show.
  const next = noted(key, `${rev + 1} `.repeat(2_000), { due: rev });
  await acknowledged(['item', key, rev + 1], () => ledger.compareAndSet(next, { rev, epoch }));
}

async function writeRecord(id: string): Promise<void> {
  const rev = (await ledger.getRecord(id))?.rev ?? 0;
  await acknowledged(['record', id, rev + 1], () => ledger.swapRecord(id, rev, `${rev + 1}`));
}

/** What is about to be settled is printed before: settled but not acknowledged is no loss. */
async function settleSome(): Promise<void> {
  const deliveries = await queue.receive({ max: 3, visibilityMs: 1_000 });
  for (const [index, { body, receipt }] of deliveries.entries()) {
    if (index === 2) continue;
    print('settling', body);
    await acknowledged(['settled', body], () => queue.settle(receipt, { kind: 'done' }));
  }
}

const round = Number(values.round);
for (let step = 1; step <= STEPS_MAX; step++) {
  const turn = round + step;
  const key = `k${turn % KEYS}`;
  const id = `${round}.${step}`;
  await writeItem(key);
  await acknowledged(['log', key, id], () => ledger.appendLog(entry(key, id, turn)));
  await acknowledged(['sent', id], () => queue.send(id));
  if (turn % 2 === 0) await settleSome();
  if (turn % 3 === 0) await writeRecord(`r${turn % KEYS}`);
}
