/** Random stories around one key: what clients do at buckets, and workers that look, decide and write, late or not at all. */

import fc from 'fast-check';
import type { Decision, Seen } from '#shared/decide/decide.ts';
import type { Look } from '#shared/decide/look.ts';
import { isFault } from '#shared/model/fault.ts';
import type { KeyItem } from '#shared/model/key-item.ts';
import type { SiteId } from '#shared/model/site.ts';
import { type Bench, KEY, physAt } from './bench.ts';

export type Step =
  | { readonly kind: 'put'; readonly site: SiteId; readonly text: string }
  | { readonly kind: 'delete' | 'touch' | 'purge'; readonly site: SiteId }
  | { readonly kind: 'patch'; readonly site: SiteId; readonly note: string }
  /** The version that stood so many changes ago. */
  | { readonly kind: 'restore'; readonly site: SiteId; readonly age: number }
  /** Looks at these sites, and writes at those at once; what is not written may be written late. */
  | { readonly kind: 'work'; readonly at: readonly SiteId[]; readonly to: readonly SiteId[]; readonly worker: string }
  | { readonly kind: 'late'; readonly age: number }
  | { readonly kind: 'clock'; readonly ms: number };

/** One decision of a story, with what it was made of. */
export interface Made {
  readonly before: KeyItem | null;
  readonly looks: readonly Look[];
  readonly decision: Decision;
  readonly logged: ReadonlySet<string>;
}

export interface Told {
  /** What each bucket showed, one physical version after the other. */
  readonly stood: Readonly<Record<SiteId, readonly string[]>>;
}

const HOUR_MS = 3_600_000;

export function anyStory(sites: readonly SiteId[], minLength = 1, maxLength = 30): fc.Arbitrary<Step[]> {
  const site = fc.constantFrom(...sites);
  const some = fc.subarray([...sites]);
  const of = <Kind extends string>(kind: Kind) => ({ kind: fc.constant(kind) });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ ...of('put'), site, text: fc.constantFrom('x', 'y', 'longer') }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('delete', 'touch', 'purge'), site }) },
    { weight: 2, arbitrary: fc.record({ ...of('patch'), site, note: fc.constantFrom('plain', 'other') }) },
    { weight: 2, arbitrary: fc.record({ ...of('restore'), site, age: fc.nat(3) }) },
    { weight: 10, arbitrary: fc.record({ ...of('work'), at: some, to: some, worker: fc.constantFrom('v', 'w') }) },
    { weight: 2, arbitrary: fc.record({ ...of('late'), age: fc.nat(3) }) },
    { weight: 3, arbitrary: fc.record({ ...of('clock'), ms: fc.integer({ min: -HOUR_MS, max: HOUR_MS }) }) },
  );
  return fc.array(step, { minLength, maxLength, size: 'max' });
}

export async function play(
  bench: Bench,
  steps: readonly Step[],
  check: (made: Made, told: Told) => void = () => {},
  changes: Partial<Seen> = {},
): Promise<Told> {
  const stood: Record<SiteId, string[]> = Object.fromEntries(Object.keys(bench.buckets).map((site) => [site, []]));
  const decisions: Decision[] = [];
  const look = async () => {
    for (const [site, physes] of Object.entries(stood)) {
      const phys = await physAt(bench, site);
      if (physes.at(-1) !== phys) physes.push(phys);
    }
  };
  for (const step of steps) {
    if (step.kind === 'clock') bench.now += step.ms;
    else if (step.kind === 'late') await carryOut(bench, decisions.at(-1 - step.age));
    else if (step.kind === 'work') {
      const looks = await Promise.all(step.at.map((site) => bench.look(site)));
      const before = bench.item;
      const logged = new Set(bench.log.keys());
      const decision = bench.decideOn(looks, { ...changes, worker: step.worker });
      decisions.push(decision);
      check({ before, looks, decision, logged }, { stood });
      await bench.carryOut(decision, step.to);
    } else await act(bench, step, stood[step.site] as string[]);
    await look();
  }
  return { stood };
}

async function carryOut(bench: Bench, decision: Decision | undefined): Promise<void> {
  if (decision !== undefined) await bench.carryOut(decision);
}

type Act = Exclude<Step, { readonly kind: 'work' | 'late' | 'clock' }>;

/** What makes no sense there, such as deleting nothing, is refused and changes nothing. */
async function act(bench: Bench, step: Act, stood: readonly string[]): Promise<void> {
  const { site } = step;
  try {
    if (step.kind === 'put') bench.put(site, step.text);
    else if (step.kind === 'delete') bench.delete(site);
    else if (step.kind === 'patch') bench.patch(site, step.note);
    else if (step.kind === 'restore') bench.restore(site, stood.at(-1 - step.age) ?? '');
    else if (step.kind === 'touch') bench.buckets[site]?.touch(KEY);
    else bench.buckets[site]?.purge(KEY, await physAt(bench, site));
  } catch (error) {
    if (!isFault(error)) throw error;
  }
}
