/** One ledger, as hard as one process can drive it. */

import { DatabaseSync } from 'node:sqlite';
import type { LocalConfig } from '../../../local/config.ts';
import { type LedgerKind, toLocalSettings } from '../../../local/replication.ts';
import type { Ledger } from '../../../shared/ledger/ledger.ts';
import { openLedger } from '../../../shared/ledger/open.ts';
import { soon } from '../../../shared/world/system.ts';
import { rich } from '../../conformance/ledger-samples.ts';
import { createTable } from '../clients.ts';
import { eachOf } from '../samples.ts';
import { nowMs, serveParent } from '../serve.ts';
import { KEY, NUMBERS, S3_VERSION, templateOf } from '../thin.ts';

export interface LedgerRates {
  /** Calls a second, one after the other, and 64 at once. */
  readonly get: number;
  readonly compareAndSet: number;
  readonly getTogether: number;
  readonly compareAndSetTogether: number;
}

const TOGETHER = 64;
const ROWS_AT_ONCE = 50_000;

/** What the template is called in the ledger, and how many there shall be of it. */
export interface ThinLedger {
  readonly path: string;
  readonly prefix: string;
  readonly count: number;
  readonly s3Version: string;
  readonly generation: string;
}

serveParent(
  {
    /** Nobody else may have the file open. */
    multiply({ path, prefix, count, s3Version, generation }: ThinLedger): void {
      const db = new DatabaseSync(path);
      const key = templateOf(prefix);
      // What a row says of its key and its versions is said of those of another one.
      const said = (column: string) =>
        `replace(replace(replace(t.${column}, ?, ${KEY}), ?, ${S3_VERSION}), ?, CAST(? - i AS TEXT))`;
      const values = [key, prefix, s3Version, generation, BigInt(generation)];
      const items = db.prepare(
        `INSERT INTO ledger_items (key, rev, due, item) ${NUMBERS}
          SELECT ${KEY}, rev, due, ${said('item')} FROM numbers, (SELECT * FROM ledger_items WHERE key = ?) AS t`,
      );
      const log = db.prepare(
        `INSERT INTO ledger_log (key, id, at, entry) ${NUMBERS}
          SELECT ${KEY}, id, at, ${said('entry')} FROM numbers, (SELECT * FROM ledger_log WHERE key = ?) AS t`,
      );
      db.exec('PRAGMA synchronous = OFF');
      for (let first = 1; first < count; first += ROWS_AT_ONCE) {
        const end = Math.min(first + ROWS_AT_ONCE, count);
        db.exec('BEGIN IMMEDIATE');
        const { changes } = items.run(first, end, prefix, ...values, key);
        if (Number(changes) !== end - first) throw new Error(`the ledger does not know ${key}`);
        log.run(first, end, prefix, ...values, key);
        db.exec('COMMIT');
      }
      db.close();
    },

    async measure(config: LocalConfig, kind: LedgerKind, folder: string, calls: number): Promise<LedgerRates> {
      if (kind === 'dynamodb') await createTable(config);
      const { ledger: address, access } = toLocalSettings(config, { kind, folder });
      const ledger = await openLedger(address, access, soon);
      try {
        const alone = Math.ceil(calls / 4);
        await write(ledger, 'warm', Math.ceil(calls / 10), TOGETHER);
        return {
          compareAndSet: await rate(alone, () => write(ledger, 'alone', alone, 1)),
          get: await rate(alone, () => read(ledger, 'alone', alone, 1)),
          compareAndSetTogether: await rate(calls, () => write(ledger, 'together', calls, TOGETHER)),
          getTogether: await rate(calls, () => read(ledger, 'together', calls, TOGETHER)),
        };
      } finally {
        await ledger.close();
      }
    },
  },
  () => {},
);

async function rate(calls: number, run: () => Promise<void>): Promise<number> {
  const startedAt = nowMs();
  await run();
  return calls / ((nowMs() - startedAt) / 1000);
}

function write(ledger: Ledger, prefix: string, calls: number, atOnce: number): Promise<void> {
  return eachOf(calls, atOnce, async (index) => {
    const swap = await ledger.compareAndSet(rich(`${prefix}/${index}`), { rev: 0, epoch: 1 });
    if (swap !== 'done') throw new Error(`a write to the ledger was ${swap}`);
  });
}

function read(ledger: Ledger, prefix: string, calls: number, atOnce: number): Promise<void> {
  return eachOf(calls, atOnce, async (index) => {
    const { item } = await ledger.get(`${prefix}/${index}`);
    if (item === null) throw new Error('the ledger has forgotten what it was told');
  });
}
