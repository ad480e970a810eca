/** One local cloud in a process of its own, which counts every request it is given. */

import type { DynamodbService } from '../../../local/aws/dynamodb/dynamodb.ts';
import { startAws } from '../../../local/aws/start.ts';
import { startAzure } from '../../../local/azure/start.ts';
import { openCloud } from '../../../local/cloud.ts';
import { ANY_PORTS, type LocalConfig } from '../../../local/config.ts';
import type { Delivery } from '../../../local/delivery.ts';
import { type CloudName, type Effect, type Faults, openFaults } from '../../../local/faults.ts';
import { startGoogle } from '../../../local/google/start.ts';
import type { Database } from '../../../local/state/sqlite.ts';
import type { Counts } from '../counts.ts';
import { nowMs, serveParent } from '../serve.ts';
import { type Multiplying, multiplyGcs, multiplyS3 } from '../thin.ts';

export interface CloudStart {
  readonly name: CloudName;
  readonly seed: number;
  /** Left out: in memory. */
  readonly folder?: string;
}

const STARTS = { aws: startAws, gcp: startGoogle, azure: startAzure } as const;

let counts: Record<string, number> = {};
/** What the ledger was charged since the last time. */
let takeUnits = (): Counts => ({});
let faults: Faults | null = null;
let db: Database | null = null;
let stop = async () => {};
/** By key: when the first notification of it lay in its queue. */
const arrivedAt = new Map<string, number>();

/** S3 alone names the key in the body, and S3 is where benchmarks write. */
function watched(delivery: Delivery): Delivery {
  return {
    ...delivery,
    to: (prefix, take) =>
      delivery.to(prefix, async (message) => {
        await take(message);
        const key = decodeURIComponent(/"key":"([^"]+)"/.exec(message.body)?.[1] ?? '');
        if (key !== '' && !arrivedAt.has(key)) arrivedAt.set(key, nowMs());
      }),
  };
}

function unitsOf(dynamodb: DynamodbService): () => Counts {
  let before = dynamodb.consumed();
  return () => {
    const now = dynamodb.consumed();
    const units = {
      'dynamodb read units': now.readUnits - before.readUnits,
      'dynamodb write units': now.writeUnits - before.writeUnits,
    };
    before = now;
    return Object.fromEntries(Object.entries(units).filter(([, count]) => count > 0));
  };
}

serveParent(
  {
    async start({ name, seed, folder }: CloudStart): Promise<LocalConfig[CloudName]> {
      const inner = openFaults(seed);
      faults = inner;
      const counting: Faults = {
        ...inner,
        meet(call) {
          const kind = `${call.service} ${call.operation}`;
          counts[kind] = (counts[kind] ?? 0) + 1;
          return inner.meet(call);
        },
      };
      const cloud = openCloud({
        name,
        faults: counting,
        report: (line) => console.error(line),
        ...(folder && { folder }),
      });
      db = cloud.state.db;
      const running = await STARTS[name]({ ...cloud, delivery: watched(cloud.delivery) }, ANY_PORTS);
      if ('dynamodb' in running) takeUnits = unitsOf(running.dynamodb);
      stop = async () => {
        await running.stop();
        await cloud.close();
      };
      return running.config;
    },
    /** Since it was last asked. */
    takeCounts(): Counts {
      const taken = { ...counts, ...takeUnits() };
      counts = {};
      return taken;
    },
    /** Of the keys that begin so. */
    arrivals: (prefix: string): ReadonlyArray<readonly [key: string, at: number]> =>
      [...arrivedAt].filter(([key]) => key.startsWith(prefix)),
    multiply(service: 's3' | 'gcs', wish: Multiplying): string {
      if (db === null) throw new Error('this cloud has not been started');
      return service === 's3' ? multiplyS3(db, wish) : multiplyGcs(db, wish);
    },
    addFault: (effect: Effect) => faults?.add({ effect }).id,
    clearFaults: () => faults?.clear(),
  },
  () => stop(),
);
