import { describe, expect, it } from 'vitest';
import { type Call, type FaultScope, openFaults } from './faults.ts';

const call: Call = { cloud: 'aws', service: 's3', operation: 'PutObject', from: 'aws-cli/2', key: 'photos/cat.jpg' };

describe('a rule strikes', () => {
  it.each<[FaultScope, boolean]>([
    [{}, true],
    [{ cloud: 'aws' }, true],
    [{ cloud: 'gcp' }, false],
    [{ service: 's3', operation: 'PutObject' }, true],
    [{ operation: 'GetObject' }, false],
    [{ from: 'aws-cli' }, true],
    [{ from: 'rclone' }, false],
    [{ keyPrefix: 'photos/' }, true],
    [{ keyPrefix: 'videos/' }, false],
  ])('%j: %s', (scope, expected) => {
    const faults = openFaults(1);
    faults.add({ scope, effect: { kind: 'outage' } });
    expect(faults.meet(call)).toEqual(expected ? [{ kind: 'outage' }] : []);
  });

  it('as often as it says, and is gone', () => {
    const faults = openFaults(1);
    faults.add({ effect: { kind: 'status', status: 503 }, times: 2 });
    expect([1, 2, 3].map(() => faults.meet(call).length)).toEqual([1, 1, 0]);
    expect(faults.list()).toEqual([]);
  });

  it('a share of the calls, the same for the same seed', () => {
    const struck = (seed: number) => {
      const faults = openFaults(seed);
      faults.add({ effect: { kind: 'outage' }, share: 0.3 });
      return Array.from({ length: 1000 }, () => faults.meet(call).length);
    };
    const total = struck(7).reduce((sum, each) => sum + each, 0);
    expect(total).toBeGreaterThan(240);
    expect(total).toBeLessThan(360);
    expect(struck(7)).toEqual(struck(7));
    expect(struck(7)).not.toEqual(struck(8));
  });

  it('until it is removed', () => {
    const faults = openFaults(1);
    const { id } = faults.add({ effect: { kind: 'outage' } });
    expect(faults.remove(id)).toBe(true);
    expect(faults.remove(id)).toBe(false);
    expect(faults.meet(call)).toEqual([]);
  });
});

describe('notifications', () => {
  it('usually come once, soon, now and then twice, never never', () => {
    const faults = openFaults(3);
    const runs = Array.from({ length: 5000 }, () => faults.deliveries('aws', 's3'));
    expect(runs.every((it) => it.length === 1 || it.length === 2)).toBe(true);
    const twice = runs.filter((it) => it.length === 2).length;
    expect(twice).toBeGreaterThan(20);
    expect(twice).toBeLessThan(90);
    const sorted = runs.flat().sort((a, b) => a - b);
    expect(sorted[2500]).toBeGreaterThan(6);
    expect(sorted[2500]).toBeLessThan(10);
  });

  it('come late, twice or never when a rule says so, for its cloud only', () => {
    const faults = openFaults(1);
    const ms = { kind: 'even', min: 1000, max: 1000 } as const;
    faults.add({ scope: { cloud: 'gcp' }, effect: { kind: 'delivery', ms, twice: 1, never: 0 } });
    expect(faults.deliveries('gcp', 'gcs')).toEqual([1000, 1000]);
    expect(faults.deliveries('aws', 's3')[0]).toBeLessThan(1000);
    faults.clear();
    faults.add({ scope: { cloud: 'gcp' }, effect: { kind: 'delivery', ms, twice: 0, never: 1 } });
    expect(faults.deliveries('gcp', 'gcs')).toEqual([]);
  });
});

it('clocks are ahead by the sum of what is said of them', () => {
  const faults = openFaults(1);
  faults.add({ effect: { kind: 'clock', aheadMs: 10 } });
  faults.add({ scope: { cloud: 'azure' }, effect: { kind: 'clock', aheadMs: -30 } });
  expect([faults.aheadMs('aws'), faults.aheadMs('azure')]).toEqual([10, -20]);
  expect(faults.meet(call)).toEqual([]);
});
