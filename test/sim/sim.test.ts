/** The simulator can be trusted: it repeats itself, remembers what it found, and notices every rule that is removed. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { everyRule, RULES, type RuleName } from '#shared/decide/rules.ts';
import { KNOWN_SEEDS } from './known-seeds.ts';
import { PROOFS, PROVED_ELSEWHERE, toRow } from './mutations.ts';
import { runSeed } from './run.ts';
import { readScenario } from './scenario.ts';

describe('a simulated run', () => {
  it('is the same for the same seed, told or not', async () => {
    for (const seed of [3, 1234, 98_765]) {
      const lines: string[] = [];
      const told = await runSeed(seed, { trace: (line) => lines.push(line) });
      const again: string[] = [];
      await runSeed(seed, { trace: (line) => again.push(line) });
      expect(again).toEqual(lines);
      expect((await runSeed(seed)).digest).toBe(told.digest);
    }
  });

  it('is another one for another seed', async () => {
    const digests = await Promise.all([1, 2, 3, 4, 5].map(async (seed) => (await runSeed(seed)).digest));
    expect(new Set(digests).size).toBe(5);
  });

  it('meets every kind of site, policy and fault within a few hundred seeds', () => {
    const scenarios = Array.from({ length: 400 }, (_, i) => readScenario(i + 1));
    const kinds = new Set(
      scenarios.flatMap(({ sites }) =>
        sites.map(({ flavour, versioned, site }) => `${flavour} ${versioned} ${site.mode}`),
      ),
    );
    expect([...kinds].sort()).toEqual([
      'azure false active',
      'azure true active',
      'gcs false active',
      'gcs true active',
      's3 false passive',
      's3 true active',
    ]);
    const policies = new Set(scenarios.map(({ topology }) => topology.routes[0]?.policy.kind));
    expect([...policies].sort()).toEqual(['custom', 'keep-both', 'lww', 'lww-safe', 'prefer-site']);
    expect(new Set(scenarios.map(({ topology }) => topology.routes[0]?.deletes)).size).toBe(3);
    for (const fault of Object.keys(scenarios[0]?.faults ?? {}) as Array<keyof (typeof scenarios)[0]['faults']>) {
      expect(
        scenarios.some(({ faults }) => faults[fault] > 0),
        fault,
      ).toBe(true);
      expect(
        scenarios.some(({ faults }) => faults[fault] === 0),
        fault,
      ).toBe(true);
    }
  });
});

describe('a seed that once failed', () => {
  for (const [seed, found] of KNOWN_SEEDS) {
    it(`${seed} passes: ${found}`, async () => {
      // As it was found, when buckets told in our own words, and as it is now.
      for (const wire of ['own', 'clouds'] as const) expect((await runSeed(seed, { wire })).violations).toEqual([]);
    });
  }
});

describe('without a safety rule', () => {
  it('there is a proof for every one', () => {
    const proved = [...PROOFS.map(({ rule }) => rule), ...Object.keys(PROVED_ELSEWHERE)].sort();
    expect(proved).toEqual(Object.keys(RULES).sort());
    expect(Object.values(everyRule).every(Boolean)).toBe(true);
  });

  it('docs/PROTOCOL.md tells what breaks, and after how many seeds', () => {
    const protocol = readFileSync(new URL('../../docs/PROTOCOL.md', import.meta.url), 'utf8');
    const byHand = Object.entries(PROVED_ELSEWHERE).map(([rule, where]) => ({ rule: rule as RuleName, where }));
    for (const proof of [...PROOFS, ...byHand]) expect(protocol).toContain(toRow(proof));
    for (const [seed] of KNOWN_SEEDS) expect(protocol).toContain(`| ${seed} |`);
  });

  for (const { rule, seed, invariant } of PROOFS) {
    it(`${rule} seed ${seed} breaks ${invariant}`, async () => {
      const { violations } = await runSeed(seed, { without: rule as RuleName });
      expect(violations.map((violation) => violation.invariant)).toContain(invariant);
      expect((await runSeed(seed)).violations).toEqual([]);
    });
  }
});
