import { describe, expect, it } from 'vitest';
import { fault } from '../shared/model/fault.ts';
import { openScene } from '../test/scenario/world.ts';
import { isChosen, startVerifier, verify, verifyHourly } from './verifier.ts';

const bytes = new TextEncoder().encode('rotten');

describe('a verifier', () => {
  it('goes through all keys, repairs what it can, and counts', async () => {
    const scene = await openScene();
    for (let i = 0; i < 40; i++) scene.put('aws', `a/${i}`, `text ${i}`);
    scene.put('aws', 'b/1', 'elsewhere');
    await scene.rest();
    scene.buckets.gcp?.rot('a/7', bytes);
    scene.buckets.az?.rot('b/1', bytes);
    const told: string[] = [];
    const totals = await verify(scene.world, { prefix: 'a/', deepShare: 1, tell: ({ key }) => told.push(key) });
    expect(totals).toEqual({ keys: 40, sound: 39, deep: 40, repaired: 1, left: 0, unknown: 0 });
    expect(new Set(told).size).toBe(40);
    expect(await scene.read('gcp', 'a/7')).toBe('text 7');
    expect(await scene.read('az', 'b/1')).toBe('rotten');
  });

  it('reads only a share, and every key in time', async () => {
    const scene = await openScene();
    for (let i = 0; i < 60; i++) scene.put('aws', `k${i}`, `text ${i}`);
    await scene.rest();
    scene.buckets.gcp?.rot('k31', bytes);
    let rounds = 0;
    while ((await verify(scene.world, { deepShare: 0.25, round: rounds })).repaired === 0) rounds += 1;
    expect(rounds).toBeGreaterThanOrEqual(0);
    expect(await scene.read('gcp', 'k31')).toBe('text 31');
  });

  it('ends early when told to, and says where to go on', async () => {
    const scene = await openScene();
    for (let i = 0; i < 30; i++) scene.put('aws', `k${String(i).padStart(2, '0')}`, 'text');
    await scene.rest();
    let asked = 0;
    const totals = await verify(scene.world, { deepShare: 0, concurrency: 5, enough: () => ++asked > 2 });
    expect(totals).toMatchObject({ keys: 10, next: 'k09' });
  });
});

describe('a verifier that runs by itself', () => {
  const HOUR_MS = 3_600_000;

  it('asks after every key in the course of some days, a share each hour', async () => {
    const scene = await openScene();
    for (let i = 0; i < 20; i++) scene.put('aws', `k${i}`, `text ${i}`);
    await scene.rest();
    scene.buckets.gcp?.clientDelete('k13');
    let hours = 0;
    let most = 0;
    for (let repaired = 0; repaired === 0 && hours < 24 * 30; hours++) {
      scene.now += HOUR_MS;
      const totals = await verifyHourly(scene.world, () => false);
      most = Math.max(most, totals.keys);
      repaired = totals.repaired;
    }
    expect(hours).toBeLessThan(24 * 30);
    expect(most).toBeLessThan(20);
  });

  it('begins when its hour has come, goes on, and ends when it is stopped', async () => {
    const scene = await openScene();
    const waiting: Array<() => void> = [];
    const after = (ms: number, run: () => void) => {
      expect(ms).toBe(HOUR_MS);
      waiting.push(run);
      return () => void waiting.splice(0);
    };
    const verifier = startVerifier(scene.world, { timer: { after } });
    expect(waiting).toHaveLength(1);
    waiting.shift()?.();
    while (waiting.length === 0) await new Promise(setImmediate);
    scene.before = ({ place }) => {
      if (place === 'ledger') throw fault('unavailable', 'the ledger is away', { op: 'listKeys' });
    };
    waiting.shift()?.();
    while (waiting.length === 0) await new Promise(setImmediate);
    expect(scene.notices).toContainEqual(expect.objectContaining({ what: 'ledger-down' }));
    await verifier.stop();
    expect(waiting).toEqual([]);
  });
});

it('keys are chosen evenly, by share', () => {
  for (const share of [0, 0.05, 0.5, 1]) {
    const chosen = Array.from({ length: 20_000 }, (_, i) => isChosen(`photos/${i}.jpg`, 3, share)).filter(
      Boolean,
    ).length;
    expect(Math.abs(chosen / 20_000 - share)).toBeLessThan(0.01);
  }
});
