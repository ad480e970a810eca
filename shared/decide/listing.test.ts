/** Which keys that are due a decision leaves out of the ledger's index. */
import { describe, expect, it } from 'vitest';
import { openBench } from '../../test/samples/bench.ts';
import type { Decision } from './decide.ts';

const SITES = { a: 's3', b: 'gcs', c: 'azure' } as const;

describe('a key that is due', () => {
  const covered = true;
  const isUnlisted = ({ item }: Decision) => [item.due !== null, item.unlisted ?? false];

  it('is left out of the index while a kept message and this worker see to it, and is in it for all others', async () => {
    const bench = openBench({ sites: SITES });
    bench.put('a', 'one');
    const first = await bench.decide(['a'], { covered });
    expect(isUnlisted(first)).toEqual([true, true]);
    expect(isUnlisted(await bench.decide([]))).toEqual([true, false]);
    // Once in, it stays in until it is done.
    bench.put('a', 'two');
    expect(isUnlisted(await bench.decide(['a'], { covered }))).toEqual([true, false]);
    expect((await bench.settle({ covered })).due).toBeNull();
    bench.put('a', 'three');
    expect(isUnlisted(await bench.decide(['a'], { covered }))).toEqual([true, true]);
    const item = await bench.settle({ covered });
    expect([item.due, 'unlisted' in item]).toEqual([null, false]);
  });

  it('is put into it as soon as nothing is left for this worker to do', async () => {
    const bench = openBench({ sites: SITES });
    bench.put('a', 'one');
    const first = await bench.decide(['a'], { covered });
    await bench.carryOut(first, ['b']);
    const down = new Set(['c']);
    expect(isUnlisted(await bench.decide(['b'], { covered, down }))).toEqual([true, false]);
  });

  it('is in it from the beginning where another worker is at it', async () => {
    const bench = openBench({ sites: SITES });
    bench.put('a', 'one');
    await bench.decide(['a'], { covered });
    const met = await bench.decide(['a'], { covered, worker: 'another' });
    expect(met.writes).toEqual([]);
    expect(isUnlisted(met)).toEqual([true, false]);
  });

  it('is in it from the beginning where the object is large, or a loser that is to be kept', async () => {
    const large = 'x'.repeat(64 * 1024);
    const limits = { stageOverBytes: 64 * 1024 - 1 };
    const bench = openBench({ sites: SITES, limits });
    bench.put('a', large);
    expect(isUnlisted(await bench.decide(['a'], { covered }))).toEqual([true, false]);
    const two = openBench({ sites: SITES, limits, policy: { kind: 'keep-both' } });
    two.put('a', large);
    two.now += 60_000;
    two.put('b', 'small');
    const decision = await two.decide(['a', 'b'], { covered });
    expect(decision.keep).toHaveLength(1);
    expect(isUnlisted(decision)).toEqual([true, false]);
  });
});
