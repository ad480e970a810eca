/**
 * One of several processes that race on one SQLite file: wins so many revisions of one item, as many new log entries,
 * and takes messages from the queue until it is empty. Prints the bodies it took as a JSON array.
 */

import { writeSync } from 'node:fs';
import { openSqliteLedger } from '#shared/ledger/sqlite.ts';
import { openSqliteQueue } from '#shared/queue/sqlite.ts';
import { entry, item } from '../conformance/ledger-samples.ts';

const [file = '', wins = '0'] = process.argv.slice(2);
const ledger = openSqliteLedger(file);
const queue = openSqliteQueue(file, { now: () => 1 });

let won = 0;
while (won < Number(wins)) {
  const { item: old, epoch } = await ledger.get('k');
  const rev = old?.rev ?? 0;
  if ((await ledger.compareAndSet(item('k'), { rev, epoch })) !== 'done') continue;
  won += 1;
  if (!(await ledger.appendLog(entry('k', `rev ${rev + 1}`, 1)))) throw new Error(`revision ${rev + 1} was won twice`);
}

const bodies: string[] = [];
let taken = await queue.receive({ max: 3, visibilityMs: 1_000 });
while (taken.length > 0) {
  bodies.push(...taken.map(({ body }) => body));
  taken = await queue.receive({ max: 3, visibilityMs: 1_000 });
}
writeSync(1, JSON.stringify(bodies));
await ledger.close();
await queue.close();
