/** One of several threads that open the same new files in step. Answers what went wrong. */

import { parentPort, workerData } from 'node:worker_threads';
import { openSqliteLedger } from '#shared/ledger/sqlite.ts';
import { openSqliteQueue } from '#shared/queue/sqlite.ts';

export interface OpenerData {
  readonly files: readonly string[];
  readonly threads: number;
  /** How often somebody has come to a file. */
  readonly arrivals: SharedArrayBuffer;
}

/** Many seconds of them. */
const SPINS_MAX = 2_000_000_000;

const { files, threads, arrivals } = workerData as OpenerData;
const arrived = new Int32Array(arrivals);
const faults: string[] = [];

for (const [index, file] of files.entries()) {
  const everybody = (index + 1) * threads;
  let count = Atomics.add(arrived, 0, 1) + 1;
  // Spinning, because threads that were woken come one after the other.
  for (let spin = 0; count < everybody; spin++) {
    if (spin === SPINS_MAX) throw new Error('the other openers do not come');
    count = Atomics.load(arrived, 0);
  }
  try {
    const ledger = openSqliteLedger(file);
    const queue = openSqliteQueue(file, { now: () => 1 });
    await queue.send('m');
    await ledger.close();
    await queue.close();
  } catch (error) {
    faults.push(String(error));
  }
}
parentPort?.postMessage(faults);
