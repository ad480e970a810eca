import { storeConformance } from '../../test/conformance/store.ts';
import { type MemoryFlavour, type MemoryStore, openMemoryStore } from './memory.ts';

const flavours: readonly MemoryFlavour[] = ['s3', 'gcs', 'azure'];

for (const flavour of flavours)
  for (const versioned of [true, false])
    storeConformance({
      name: `memory ${flavour}, ${versioned ? 'versioned' : 'not versioned'}`,
      open: async () => ({ store: openMemoryStore({ site: 'm', flavour, versioned, now: () => 1_700_000_000_000 }) }),
      client: (store) => ({
        patchMetadata: async (key, metadata) => (store as MemoryStore).clientPatchMetadata(key, metadata),
      }),
    });
