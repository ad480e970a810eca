import { expect, it } from 'vitest';
import { storeConformance } from '../../../test/conformance/store.ts';
import { readWhole } from '../../replicate/read.ts';
import { openMemoryStore } from '../memory.ts';
import { withArrivals } from './arrivals.ts';

const KI = 1024;
const memory = () => openMemoryStore({ site: 'm', flavour: 's3', versioned: true, now: () => 1_700_000_000_000 });

storeConformance({
  name: 'memory that tells of arrivals',
  open: async () => ({ store: withArrivals(memory(), () => {}) }),
});

it('tells of all bytes of a large body or range, and of none of a small one', async () => {
  let told = 0;
  const store = withArrivals(memory(), (bytes) => {
    told += bytes;
  });
  const put = (key: string, sizeBytes: number) =>
    store.put(key, new Uint8Array(sizeBytes), {
      condition: { kind: 'if-absent' },
      metadata: { headers: {}, user: {} },
    });
  const large = await put('large', 1000 * KI);
  const small = await put('small', 10 * KI);
  await readWhole(store, 'small', small.phys);
  await readWhole(store, 'large', large.phys, { start: 0, end: 10 * KI });
  expect(told).toBe(0);
  await readWhole(store, 'large', large.phys);
  expect(told).toBe(1000 * KI);
  await readWhole(store, 'large', large.phys, { start: 500 * KI, end: 900 * KI });
  expect(told).toBe(1400 * KI);
});
