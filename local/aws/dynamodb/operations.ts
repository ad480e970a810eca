/** The operations by name: each reads its input by its shape and runs in one transaction of the database. */

import type { Cloud } from '../../service.ts';
import { DynamoError } from './errors.ts';
import { placeOfItem } from './keys.ts';
import { query, scan } from './listings.ts';
import { batchGet, getItem } from './reads.ts';
import { checkLegacy, REQUESTS } from './requests.ts';
import { openRows } from './rows.ts';
import { readInput } from './shapes.ts';
import { openTableOperations } from './table-operations.ts';
import { openTables } from './tables.ts';
import { defineTransactions, transactGet, transactWrite } from './transactions.ts';
import { batchWrite, write } from './writes.ts';

type Run = (raw: unknown) => object;

export interface Operations {
  find(name: string): Run | undefined;
  /** Deletes what has outlived its time. */
  expire(): void;
  /** What AWS would have charged since the start. */
  consumed(): Consumed;
}

export interface Consumed {
  readonly readUnits: number;
  readonly writeUnits: number;
}

interface Metered {
  readonly ConsumedCapacity?: Charge | readonly Charge[];
}

interface Charge {
  readonly CapacityUnits: number;
}

const READING = /Get|^Query$|^Scan$/;
const EXPIRED_AT_ONCE = 100;

export function openOperations(cloud: Cloud, indexLagMs: number): Operations {
  const { db } = cloud.state;
  const tables = openTables(db);
  const rows = openRows(db, () => cloud.now(), indexLagMs);
  defineTransactions(db);

  /** The shapes have made sure of what the types say. */
  const runs: Readonly<Record<string, (input: never) => object>> = {
    ...openTableOperations(tables, rows, () => cloud.now()),
    PutItem: (input) => write(tables, rows, 'Put', input),
    UpdateItem: (input) => write(tables, rows, 'Update', input),
    DeleteItem: (input) => write(tables, rows, 'Delete', input),
    GetItem: (input) => getItem(tables, rows, input),
    Query: (input) => query(tables, rows, input),
    Scan: (input) => scan(tables, rows, input),
    BatchGetItem: (input) => batchGet(tables, rows, input),
    BatchWriteItem: (input) => batchWrite(tables, rows, input),
    TransactWriteItems: (input) => transactWrite(db, tables, rows, cloud.now(), input),
    TransactGetItems: (input) => transactGet(tables, rows, input),
  };

  const spent = { readUnits: 0, writeUnits: 0 };

  function meter(name: string, call: () => object): Metered {
    const which = READING.test(name) ? 'readUnits' : 'writeUnits';
    try {
      const answer = call() as Metered;
      const tables = [answer.ConsumedCapacity ?? []].flat();
      spent[which] += tables.reduce((sum, { CapacityUnits }) => sum + CapacityUnits, 0);
      return answer;
    } catch (error) {
      if (error instanceof DynamoError) spent[which] += error.units;
      throw error;
    }
  }

  return {
    find(name) {
      const run = Object.hasOwn(runs, name) ? runs[name] : undefined;
      const shape = Object.hasOwn(REQUESTS, name) ? REQUESTS[name] : undefined;
      if (run === undefined || shape === undefined) return undefined;
      return (raw) => {
        checkLegacy(raw);
        const input = readInput(shape, raw);
        if (!Object.hasOwn(shape, 'ReturnConsumedCapacity')) return db.transaction(() => run(input as never));
        const asked = (input.ReturnConsumedCapacity ?? 'NONE') !== 'NONE';
        const metered = asked ? input : { ...input, ReturnConsumedCapacity: 'TOTAL' };
        const answer = meter(name, () => db.transaction(() => run(metered as never)));
        if (asked) return answer;
        const { ConsumedCapacity: _, ...rest } = answer;
        return rest;
      };
    },

    consumed: () => ({ ...spent }),

    expire() {
      for (const table of tables.all())
        if (table.timeToLive !== null)
          db.transaction(() => {
            for (const item of rows.expired(table, cloud.now(), EXPIRED_AT_ONCE))
              rows.store(table, placeOfItem(item, table.keys), item, null);
          });
    },
  };
}
