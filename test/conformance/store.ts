/** What every ObjectStore driver must prove, in memory and against the real clouds alike. */

import { afterAll, beforeAll, describe, it } from 'vitest';
import type { ObjectStore } from '#shared/store/store.ts';
import type { Case, StoreClient } from './store-bench.ts';
import { READS } from './store-reads.ts';
import { UPLOADS } from './store-uploads.ts';
import { WRITES } from './store-writes.ts';

export type { StoreClient } from './store-bench.ts';

export interface StoreHarness {
  readonly name: string;
  /** Called once; all tests share the store, each under a prefix of its own. */
  open(): Promise<OpenedStore>;
  /** What an application can do beside us. Tests that need it do not run without, and say so. */
  client?(store: ObjectStore): StoreClient;
  readonly skip?: readonly Skip[];
}

export interface OpenedStore {
  readonly store: ObjectStore;
  /** Keeps runs apart that share a bucket: no object may stand below it. Empty when absent. */
  readonly prefix?: string;
  close?(): Promise<void>;
}

/** Every skip names a test that exists, and is printed. */
export interface Skip {
  readonly test: string;
  readonly reason: string;
}

const CASES: readonly Case[] = [...READS, ...WRITES, ...UPLOADS];

export function storeConformance(harness: StoreHarness): void {
  const skips = new Map((harness.skip ?? []).map(({ test, reason }) => [test, reason]));
  for (const [test, reason] of skips) {
    if (!CASES.some((it) => it.test === test)) throw new Error(`${harness.name}: no test is called "${test}"`);
    if (reason.trim() === '') throw new Error(`${harness.name}: the skip of "${test}" gives no reason`);
  }

  describe(`${harness.name} keeps the contract of an object store`, () => {
    let opened: OpenedStore | undefined;

    beforeAll(async () => {
      opened = await harness.open();
    });
    afterAll(async () => {
      await opened?.close?.();
    });

    for (const [index, { test, needs, run }] of CASES.entries()) {
      const reason = skips.get(test) ?? (needs === 'client' && !harness.client ? 'needs a client' : undefined);
      it(test, async (context) => {
        const { capabilities } = opened!.store;
        const skipped = reason === undefined ? {} : { reason };
        context.task.meta.shown = { contract: 'object store', driver: harness.name, test, capabilities, ...skipped };
        if (reason !== undefined) {
          console.warn(`not run: ${harness.name}: ${test}, ${reason}`);
          return context.skip(reason);
        }
        const { store, prefix = '' } = opened!;
        const client = harness.client?.(store);
        const key = (name = 'key') => `${prefix}t${index}/${name}`;
        await run({ store, can: store.capabilities, client, key });
      });
    }
  });
}
