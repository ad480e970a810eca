/** The Firestore driver against a service that is not ours: Google's emulator at TRIPLICATE_TEST_FIRESTORE, or Google itself. */

import { randomUUID } from 'node:crypto';
import { test } from 'vitest';
import { openConnection } from '#shared/ledger/firestore/connection.ts';
import { toId } from '#shared/ledger/firestore/ids.ts';
import { openFirestoreLedger } from '#shared/ledger/firestore.ts';
import type { Ledger } from '#shared/ledger/ledger.ts';
import { ledgerConformance } from './ledger.ts';

const { TRIPLICATE_TEST_FIRESTORE: target, TRIPLICATE_TEST_FIRESTORE_PROJECT: projectId = 'triplicate-test' } =
  process.env;
const COLLECTION = 'triplicate-test';

if (target === undefined) {
  test('firestore keeps the contract of a ledger on a service that is not ours', (context) => {
    const reason =
      "needs TRIPLICATE_TEST_FIRESTORE=http://host:port of Google's emulator (gcloud emulators firestore start), or =google " +
      'and TRIPLICATE_TEST_FIRESTORE_PROJECT';
    console.warn(`not run: firestore on a service that is not ours, ${reason}`);
    context.skip(reason);
  });
} else {
  runAt(target);
}

function runAt(place: string): void {
  const options = { projectId, answerMs: 60_000, ...(place === 'google' ? {} : { apiEndpoint: place }) };
  const nameOf = new Map<Ledger, string>();

  async function open(name: string): Promise<Ledger> {
    const ledger = await openFirestoreLedger({ ...options, collection: COLLECTION, ledger: name });
    nameOf.set(ledger, name);
    return ledger;
  }

  ledgerConformance({
    name: `firestore at ${place}`,
    open: () => open(randomUUID()),
    reopen: (ledger) => open(nameOf.get(ledger)!),
    async plantRow(ledger, key, text) {
      const connection = openConnection(options);
      const name = connection.nameOf(`${COLLECTION}/${nameOf.get(ledger)}/items/${toId(key)}`);
      const fields = { name: { stringValue: key }, rev: { integerValue: 1 }, item: { stringValue: text } };
      await connection.write('plant', key, { update: { name, fields } });
      await connection.close();
    },
    modelRuns: 10,
  });
}
