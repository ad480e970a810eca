import { expect, it } from 'vitest';
import { type StoreHarness, storeConformance } from '../../test/conformance/store.ts';
import { type MemoryFlavour, type MemoryStore, openMemoryStore } from './memory.ts';

const flavours: readonly MemoryFlavour[] = ['s3', 'gcs', 'azure'];

function harness(flavour: MemoryFlavour, versioned: boolean): StoreHarness {
  return {
    name: `memory ${flavour}, ${versioned ? 'versioned' : 'not versioned'}`,
    open: async () => ({ store: openMemoryStore({ site: 'm', flavour, versioned, now: () => 1_700_000_000_000 }) }),
    client: (store) => ({
      patchMetadata: async (key, metadata) => (store as MemoryStore).clientPatchMetadata(key, metadata),
    }),
  };
}

for (const flavour of flavours) for (const versioned of [true, false]) storeConformance(harness(flavour, versioned));

it.each([
  ['no such test', 'a reason'],
  ['an empty object has no bytes and all the rest', ' '],
])('the suite takes no skip of "%s" because "%s"', (test, reason) => {
  expect(() => storeConformance({ ...harness('s3', true), skip: [{ test, reason }] })).toThrow(
    /^memory s3, versioned:/,
  );
});
