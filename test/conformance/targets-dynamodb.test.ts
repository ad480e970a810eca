/** The DynamoDB driver against a service that is not ours: TRIPLICATE_TEST_DYNAMODB is its address. */

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { DynamoDB } from '@aws-sdk/client-dynamodb';
import { beforeAll, describe, test } from 'vitest';
import { createLedgerTable, openDynamoLedger } from '#shared/ledger/dynamodb.ts';
import type { Ledger } from '#shared/ledger/ledger.ts';
import { isFault } from '#shared/model/fault.ts';
import { dynamodbConformance } from './dynamodb.ts';
import { ledgerConformance } from './ledger.ts';
import { plantDynamoRow } from './ledger-plant.ts';

const endpoint = process.env.TRIPLICATE_TEST_DYNAMODB;
const DUE_ATTEMPTS = 50;
const DUE_PAUSE_MS = 100;
const TABLE_MS_MAX = 120_000;

if (endpoint === undefined) {
  test('dynamodb keeps the contract of a ledger on a service that is not ours', (context) => {
    const reason = 'needs TRIPLICATE_TEST_DYNAMODB, the address of a DynamoDB, such as http://127.0.0.1:8000';
    console.warn(`not run: dynamodb on a service that is not ours, ${reason}`);
    context.skip(reason);
  });
} else {
  describe(`at ${endpoint}`, () => runAt(endpoint));
}

function runAt(address: string): void {
  const loopback = ['127.0.0.1', 'localhost'].includes(new URL(address).hostname);
  const options = {
    table: process.env.TRIPLICATE_TEST_DYNAMODB_TABLE ?? `triplicate-test-${randomUUID()}`,
    region: process.env.AWS_REGION ?? 'us-east-1',
    endpoint: address,
    ...(loopback ? { credentials: { accessKeyId: 'local', secretAccessKey: 'local-secret' } } : {}),
  };
  const client = new DynamoDB(options);
  const nameOf = new Map<Ledger, string>();
  const open = async (name: string) => {
    const ledger = await openDynamoLedger({ ...options, ledger: name });
    nameOf.set(ledger, name);
    return ledger;
  };

  beforeAll(async () => {
    await createLedgerTable(options).catch((error: unknown) => {
      // Some have no time to live; the ledger waits for none.
      if (!isFault(error, 'unsupported')) throw error;
    });
  }, TABLE_MS_MAX);

  ledgerConformance({
    name: 'dynamodb',
    open: () => open(randomUUID()),
    reopen: (ledger) => open(nameOf.get(ledger)!),
    plantRow: async (ledger, key, text) =>
      plantDynamoRow(
        client,
        { table: options.table, ledger: nameOf.get(ledger)!, epoch: await ledger.epoch() },
        key,
        text,
      ),
    dueLag: { attempts: DUE_ATTEMPTS, pause: () => pause(DUE_PAUSE_MS) },
    modelRuns: 20,
  });

  // Signed for anybody: a real account would want real keys.
  if (loopback) dynamodbConformance({ name: 'it', wire: () => ({ url: address }), exact: false });
}
