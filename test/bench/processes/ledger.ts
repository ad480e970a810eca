/** One ledger, as hard as one process can drive it. */

import type { LocalConfig } from '../../../local/config.ts';
import { type LedgerKind, toLocalSettings } from '../../../local/replication.ts';
import type { Ledger } from '../../../shared/ledger/ledger.ts';
import { openLedger } from '../../../shared/ledger/open.ts';
import { soon } from '../../../shared/world/system.ts';
import { rich } from '../../conformance/ledger-samples.ts';
import { createTable } from '../clients.ts';
import { eachOf } from '../samples.ts';
import { nowMs, serveParent } from '../serve.ts';

export interface LedgerRates {
  /** Calls a second, one after the other, and 64 at once. */
  readonly get: number;
  readonly compareAndSet: number;
  readonly getTogether: number;
  readonly compareAndSetTogether: number;
}

const TOGETHER = 64;

serveParent(
  {
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
