/** A ledger by its address: `sqlite:.triplicate/ledger.sqlite`, `dynamodb:eu-central-1/table`, `firestore:project`. */

import { invalid } from '../model/fault.ts';
import type { DynamoLedgerOptions } from './dynamodb.ts';
import type { FirestoreLedgerOptions } from './firestore.ts';
import type { Ledger } from './ledger.ts';

/** How to reach the clouds, where that is not what their SDKs find by themselves. */
export interface LedgerAccess {
  readonly aws?: Pick<DynamoLedgerOptions, 'endpoint' | 'credentials'>;
  readonly firestore?: Pick<FirestoreLedgerOptions, 'apiEndpoint'>;
}

/** As SqliteLedgerOptions.soon and DynamoLedgerOptions.soon. */
export type Soon = (run: () => void) => void;

type Opener = (place: string, access: LedgerAccess, soon?: Soon) => Promise<Ledger>;

const EXPECTED = 'memory:, sqlite:FILE, dynamodb:REGION/TABLE or firestore:PROJECT[/DATABASE]';

const OPENERS: Readonly<Record<string, Opener>> = {
  async memory() {
    const { openMemoryLedger } = await import('./memory.ts');
    return openMemoryLedger();
  },
  async sqlite(file, _access, soon) {
    if (file === '') throw invalid('ledger', 'sqlite:', EXPECTED);
    const { openSqliteLedger } = await import('./sqlite.ts');
    return openSqliteLedger(file, soon === undefined ? {} : { soon });
  },
  async dynamodb(place, { aws = {} }, soon) {
    const [, region, table] = /^([a-z0-9-]+)\/([A-Za-z0-9_.-]{3,255})$/.exec(place) ?? [];
    if (region === undefined || table === undefined) throw invalid('ledger', `dynamodb:${place}`, EXPECTED);
    const { openDynamoLedger } = await import('./dynamodb.ts');
    return openDynamoLedger({ ...aws, region, table, ...(soon === undefined ? {} : { soon }) });
  },
  async firestore(place, { firestore = {} }) {
    const [, projectId, databaseId] = /^([a-z][a-z0-9:.-]{2,62})(?:\/([a-z0-9()-]{1,63}))?$/.exec(place) ?? [];
    if (projectId === undefined) throw invalid('ledger', `firestore:${place}`, EXPECTED);
    const { openFirestoreLedger } = await import('./firestore.ts');
    return openFirestoreLedger({ ...firestore, projectId, ...(databaseId === undefined ? {} : { databaseId }) });
  },
};

export async function openLedger(address: string, access: LedgerAccess = {}, soon?: Soon): Promise<Ledger> {
  const at = address.indexOf(':');
  const open = at < 0 ? undefined : OPENERS[address.slice(0, at)];
  if (open === undefined) throw invalid('ledger', address, EXPECTED);
  return open(address.slice(at + 1), access, soon);
}
