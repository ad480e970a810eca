/** Rules whose absence takes more mishaps in a row than a simulated world meets: each is shown to be needed by hand. */

import { expect, it } from 'vitest';
import { DAY_MS, knownAt, openBench, replicated, stateAt } from '../../test/samples/bench.ts';
import type { KeyItem } from '../model/key-item.ts';
import { everyRule, type Rules, withoutRule } from './rules.ts';

/**
 * At a bucket without history: our write lands and nobody records it, a client writes over it, that is seen, and then
 * the client brings our write back by copying it, marker and all.
 */
async function copyOfAnUnrecordedWrite(rules: Rules) {
  const bench = openBench({ sites: { a: 'gcs', b: 'gcs' } });
  bench.put('a', 'one');
  await bench.settle({ rules });
  bench.put('a', 'two');
  const decision = await bench.decide(['a'], { rules });
  await bench.carryOut(decision, ['b']);
  const ours = (await bench.buckets.b?.head('docs/a.txt'))?.phys ?? '';
  bench.put('b', 'the client writes over it');
  await bench.decide(['b'], { rules });
  bench.restore('b', ours);
  await bench.decide(['b'], { rules });
  return { state: stateAt(bench.item, 'b'), known: knownAt(bench, 'b') };
}

it('echo-after-base: a client brings back a write of ours that was written over, and that is a new version', async () => {
  const { state, known } = await copyOfAnUnrecordedWrite(everyRule);
  expect(state.wid).toBeNull();
  expect(known.origin).toMatchObject({ site: 'b', cause: 'put' });
});

it('echo-after-base: without the rule it counts as our write, and what the client did is undone', async () => {
  const { state, known } = await copyOfAnUnrecordedWrite(withoutRule('echo-after-base'));
  expect(state.wid).not.toBeNull();
  expect(known.origin.site).toBe('a');
});

/** A key was collected, and a bucket is put back from a backup that still holds our replica of it. */
async function replicaOfAForgottenKey(rules: Rules): Promise<KeyItem | null> {
  const bench = await replicated('s3');
  bench.now += 46 * DAY_MS;
  bench.item = null;
  return (await bench.decide(['b'], { rules })).item;
}

it('quarantine: an old replica of a forgotten key is reported and not replicated', async () => {
  const item = await replicaOfAForgottenKey(everyRule);
  expect(item?.frontier).toEqual([]);
  expect(stateAt(item, 'b').quarantined).toBe(true);
});

it('quarantine: without the rule what was deleted comes back as a new version', async () => {
  const item = await replicaOfAForgottenKey(withoutRule('quarantine'));
  expect(item?.frontier).toHaveLength(1);
  expect(item?.versions[item.frontier[0] ?? '']?.kind).toBe('object');
});
