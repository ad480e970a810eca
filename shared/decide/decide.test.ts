/** Shows what every decision keeps to, in any story of clients and workers, and how the side roads of deciding end. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Bench,
  type BenchOptions,
  deepFreeze,
  KEY,
  knownAt,
  newVersions,
  openBench,
  stateAt,
} from '../../test/samples/bench.ts';
import { anyStory, type Made, play, type Told } from '../../test/samples/story.ts';
import type { KeyItem, LogicalVersion } from '../model/key-item.ts';
import { ABSENT, isAbsent } from '../model/object.ts';
import { readKeyItem } from '../model/read-key-item.ts';
import type { ConflictPolicy, DeletePolicy } from '../model/topology.ts';
import { contains, type Dot } from '../model/version-vector.ts';
import type { Decision } from './decide.ts';
import { INTENTS_MAX } from './plan.ts';

const SITES = { a: 's3', b: 'gcs', c: 'azure' } as const;
const IDS = ['a', 'b', 'c'];

const anyPolicy = fc.constantFrom<ConflictPolicy[]>(
  { kind: 'lww' },
  { kind: 'prefer-site', order: ['c', 'a'] },
  { kind: 'keep-both' },
  { kind: 'custom', name: 'f' },
);
const anyDeletes = fc.constantFrom<DeletePolicy[]>('write-wins', 'delete-wins', 'by-clock');

interface Watch {
  /** For each decision, in order. */
  readonly each?: (made: Made, told: Told, bench: Bench) => void;
  readonly end?: (bench: Bench) => Promise<void>;
}

/** Plays random stories, each under a watch of its own. */
function inEveryStory(open: () => Watch, policy: fc.Arbitrary<ConflictPolicy> = anyPolicy): Promise<void> {
  const property = fc.asyncProperty(anyStory(IDS), policy, anyDeletes, async (steps, chosen, deletes) => {
    const bench = openBench({ sites: SITES, policy: chosen, deletes });
    const { each = () => {}, end = async () => {} } = open();
    await play(bench, steps, (made, told) => each(made, told, bench));
    await end(bench);
  });
  return fc.assert(property, { numRuns: 150, interruptAfterTimeLimit: 20_000 });
}

/** Versions of this decision that were born at a bucket. */
function born({ before, decision }: Made): LogicalVersion[] {
  return newVersions(before, decision.item).filter(({ origin }) => origin.site !== '~');
}

function dotOf(vid: string): Dot {
  const [s, n] = vid.split(':') as [string, string];
  return { s, n: Number(n) };
}

function remembered({ before, decision }: Made): string[] {
  const known = new Set(before?.outbox.map(({ id }) => id));
  return decision.item.outbox.map(({ id }) => id).filter((id) => !known.has(id));
}

/** A conflict between a and b, not seen yet: b wrote last. */
function conflict(options: Partial<BenchOptions>): Bench {
  const bench = openBench({ sites: SITES, ...options });
  bench.put('a', 'one');
  bench.now += 60_000;
  bench.put('b', 'another');
  return bench;
}

function widsAt(item: KeyItem | null, site: string): string[] {
  return (item?.sites[site]?.intents ?? []).map(({ wid }) => wid);
}

function sitesOf({ writes }: Decision): string[] {
  return writes.map(({ site }) => site);
}

describe('every decision', () => {
  it('gives each version a dot of its own, growing at its site, though the clock goes back', async () => {
    await inEveryStory(() => {
      const given = new Set<string>();
      return {
        each({ before, decision: { item } }, _told, bench) {
          for (const [site, n] of Object.entries(before?.dots ?? {})) expect(item.dots[site]).toBeGreaterThanOrEqual(n);
          for (const { vid, dot } of newVersions(before, item)) {
            expect(given.has(vid)).toBe(false);
            given.add(vid);
            expect(dot.n).toBeGreaterThan(before?.dots[dot.s] ?? 0);
            expect(dot.n).toBeGreaterThanOrEqual(bench.now);
          }
        },
      };
    });
  });

  it('has all that was seen to stand in a bucket in the past of what a client wrote there', async () => {
    await inEveryStory(() => {
      const seen = new Map<string, Set<string>>(IDS.map((site) => [site, new Set()]));
      return {
        each(made) {
          for (const { vv, origin } of born(made)) {
            for (const vid of seen.get(origin.site) ?? []) expect(contains(vv, dotOf(vid))).toBe(true);
          }
          for (const [site, { vid }] of Object.entries(made.decision.item.sites)) {
            if (vid !== null) seen.get(site)?.add(vid);
          }
        },
      };
    });
  });

  it('has what stood just before it, seen or not, in the past of a client’s version in a bucket with history', async () => {
    let pairs = 0;
    await inEveryStory(() => {
      const vids = new Map<string, string>();
      return {
        each(made, { stood }, bench) {
          for (const [place, vid] of bench.ours) vids.set(place, vid);
          for (const { origin, vid } of newVersions(made.before, made.decision.item)) {
            vids.set(`${origin.site} ${origin.phys}`, vid);
          }
          for (const { vv, origin } of born(made)) {
            if (origin.site === 'b' || origin.cause === 'rollback') continue;
            const history = stood[origin.site] ?? [];
            const below = history[history.indexOf(origin.phys) - 1] ?? ABSENT;
            const before = vids.get(`${origin.site} ${below}`);
            // Azure does not tell that something was deleted before it was written again.
            if (before === undefined || isAbsent(below)) continue;
            pairs += 1;
            expect(contains(vv, dotOf(before))).toBe(true);
          }
        },
      };
    });
    expect(pairs).toBeGreaterThan(20);
  });

  it('changes nothing when another worker makes it again on the same look', async () => {
    await inEveryStory(() => ({
      each({ looks, decision, logged }, _told, bench) {
        const again = bench.decideOn(looks, { worker: 'another', logged });
        expect(again.item).toEqual({ ...decision.item, rev: again.item.rev });
        expect(again).toMatchObject({ changed: false, writes: [] });
      },
    }));
  });

  it('logs every version when it is found and every loser when it lost, each of them once', async () => {
    await inEveryStory(() => {
      const once = new Set<string>();
      return {
        each(made) {
          const ids = remembered(made).filter((id) => !id.startsWith('unresolved/'));
          for (const id of ids) expect(once.has(id)).toBe(false);
          for (const id of ids) once.add(id);
          const fresh = newVersions(made.before, made.decision.item);
          for (const { vid } of fresh) expect(ids).toContain(`version/${vid}`);
          // Who leaves the frontier was overwritten by what is new, or has lost.
          for (const vid of made.before?.frontier ?? []) {
            if (made.decision.item.frontier.includes(vid)) continue;
            const overwritten = fresh.some(({ vv }) => contains(vv, dotOf(vid)));
            expect(overwritten || ids.includes(`superseded/${vid}`)).toBe(true);
          }
        },
      };
    });
  });

  it('leaves an item that can be stored, with no more than eight open writes per site', async () => {
    await inEveryStory(() => ({
      each({ decision: { item } }) {
        expect(readKeyItem(JSON.parse(JSON.stringify(item)))).toEqual(item);
        for (const { intents } of Object.values(item.sites)) expect(intents.length).toBeLessThanOrEqual(INTENTS_MAX);
      },
    }));
  });

  it('plans a delete only for sites that somebody looked at', async () => {
    await inEveryStory(() => ({
      each({ decision: { winner, writes, item } }) {
        if (winner?.kind !== 'tombstone') return;
        for (const { site } of writes) expect(stateAt(item, site).lookedAt).toBeGreaterThan(0);
      },
    }));
  });

  it('plans nothing for sites outside the route, whatever was seen there', async () => {
    const anyRoute = fc.subarray(IDS, { minLength: 1 });
    const property = fc.asyncProperty(anyStory(IDS), anyRoute, anyPolicy, async (steps, sites, policy) => {
      const bench = openBench({ sites: SITES, policy });
      const outside = IDS.filter((site) => !sites.includes(site));
      const check = ({ decision }: Made) => {
        for (const site of [...sitesOf(decision), ...decision.look]) expect(sites).toContain(site);
        for (const site of outside) expect(widsAt(decision.item, site)).toEqual([]);
      };
      await play(bench, steps, check, { route: { ...bench.route, sites } });
    });
    await fc.assert(property, { numRuns: 150, interruptAfterTimeLimit: 20_000 });
  });

  it('leads in the end to one content at every site', async () => {
    const automatic = fc.constantFrom<ConflictPolicy[]>({ kind: 'lww' }, { kind: 'prefer-site', order: ['c', 'a'] });
    let ends = 0;
    await inEveryStory(
      () => ({
        async end(bench) {
          const item = await bench.settle();
          if (item === null || item.unresolved !== null) return;
          const heads = await Promise.all(Object.values(bench.buckets).map((store) => store.head(KEY)));
          const contents = heads.map((head) => head && [head.sizeBytes, head.metadata.user.note]);
          expect(contents).toEqual([contents[0], contents[0], contents[0]]);
          expect(item).toMatchObject({ due: null, outbox: [] });
          ends += 1;
        },
      }),
      automatic,
    );
    expect(ends).toBeGreaterThan(100);
  });
});

describe('a decision', () => {
  it('touches neither the item nor the looks it is made of', async () => {
    // The bench freezes both before every decision, down to the last value; here is the proof that it does.
    const bench = conflict({});
    const looks = await Promise.all([bench.look('a'), bench.look('b')]);
    const before = JSON.stringify(looks);
    bench.decideOn(looks);
    const item = bench.item as KeyItem;
    const stored = JSON.stringify(item);
    bench.decideOn(looks, { worker: 'another', spent: new Set(['w1']) });
    expect(JSON.stringify(looks)).toBe(before);
    expect(JSON.stringify(item)).toBe(stored);
    expect(() => item.frontier.push('x:1')).toThrow(TypeError);
    expect(() => Object.assign(stateAt(item, 'a'), { vid: null })).toThrow(TypeError);
    expect(() => Object.assign(looks[0] as object, { kind: 'current' })).toThrow(TypeError);
  });

  it('leaves an unknown key unknown where nothing stands', async () => {
    const bench = openBench({ sites: SITES });
    const decision = await bench.decide(IDS);
    expect(decision).toMatchObject({ changed: false, winner: null, writes: [], settled: true });
    expect(bench.item).toBeNull();
  });

  it('has the key looked at again when its lease ends, and does not put that off by being made again', async () => {
    const bench = openBench({ sites: SITES });
    bench.put('a', 'one');
    await bench.decide(['a']);
    const due = bench.now + bench.topology.limits.leaseMs;
    expect(bench.item?.due).toBe(due);
    bench.now += 1_000;
    await bench.decide(['a'], { worker: 'another' });
    expect(bench.item?.due).toBe(due);
    expect((await bench.settle()).due).toBeNull();
  });

  it('binds the answer to our own write at once', async () => {
    const bench = openBench({ sites: SITES });
    bench.put('a', 'one');
    const decision = await bench.decide(['a']);
    await bench.carryOut(decision);
    const intent = decision.writes.find(({ site }) => site === 'b')?.intent;
    const look = await bench.look('b');
    if (look.kind !== 'current' || look.entry === null || intent === undefined) throw new Error('written to GCS');
    const after = bench.decideOn([{ kind: 'answer', site: 'b', intent, entry: look.entry }]);
    expect(stateAt(after.item, 'b')).toMatchObject({ vid: decision.winner?.vid, wid: intent.wid, intents: [] });
    expect(Object.keys(after.item.versions)).toHaveLength(1);
  });

  it('takes equal content at a site for the winner, unwritten, once it has seen that it stands there now', async () => {
    const bench = openBench({ sites: { a: 'gcs', b: 'gcs' } });
    bench.put('b', 'same');
    await bench.decide(['b'], { down: new Set(['a']) });
    bench.now += 60_000;
    bench.put('a', 'same');
    const first = await bench.decide(['a']);
    expect(first).toMatchObject({ winner: { dot: { s: 'a' } }, writes: [], look: ['b'], settled: false });
    expect(await bench.decide(['b'])).toMatchObject({ writes: [], look: [], settled: true });
    expect(knownAt(bench, 'b').vid).toBe(first.winner?.vid);
  });

  it('plans nothing for a site that is down, and comes back to it', async () => {
    const bench = openBench({ sites: SITES });
    bench.put('a', 'one');
    const decision = await bench.decide(['a'], { down: new Set(['b']) });
    expect(sitesOf(decision)).toEqual(['c']);
    expect(decision.settled).toBe(false);
    await bench.settle();
    expect(knownAt(bench, 'b').vid).toBe(decision.winner?.vid);
  });

  it('repeats a write under a new id, eight times at most', async () => {
    const bench = openBench({ sites: SITES });
    bench.put('a', 'one');
    for (let i = 1; i <= INTENTS_MAX + 2; i++) {
      const { writes } = await bench.decide(['a']);
      expect(widsAt(bench.item, 'b')).toHaveLength(Math.min(i, INTENTS_MAX));
      expect(writes).toHaveLength(i <= INTENTS_MAX ? 2 : 0);
    }
    expect(new Set(widsAt(bench.item, 'b')).size).toBe(INTENTS_MAX);
    const spent = new Set(widsAt(bench.item, 'b').slice(0, 3));
    await bench.decide(['b'], { spent });
    expect(widsAt(bench.item, 'b')).toHaveLength(INTENTS_MAX - 3 + 1);
  });

  it('asks to look where a delete would be written blindly', async () => {
    const bench = openBench({ sites: SITES });
    bench.put('a', 'one');
    await bench.decide(['a'], { down: new Set(['b', 'c']) });
    bench.delete('a');
    const decision = await bench.decide(['a']);
    expect(decision).toMatchObject({ writes: [], look: ['b', 'c'], settled: false, winner: { kind: 'tombstone' } });
    expect(await bench.decide(['b', 'c'])).toMatchObject({ writes: [], look: [], settled: true });
  });

  it('remembers since when a delete is all there is', async () => {
    const bench = openBench({ sites: SITES });
    bench.put('a', 'one');
    await bench.settle();
    bench.delete('a');
    await bench.decide(['a']);
    expect(bench.item?.tombstoneAt).toBeNull();
    await bench.settle();
    const at = bench.item?.tombstoneAt;
    expect(at).toBe(bench.now);
    bench.now += 60_000;
    await bench.decide(IDS);
    expect(bench.item?.tombstoneAt).toBe(at);
    bench.put('b', 'again');
    expect((await bench.settle()).tombstoneAt).toBeNull();
  });
});

describe('a conflict', () => {
  it('makes the loser part of the winner’s past, with one line in the log', async () => {
    const bench = conflict({});
    const { winner } = await bench.decide(['a', 'b']);
    const loser = knownAt(bench, 'a');
    expect(winner?.dot.s).toBe('b');
    expect(bench.item?.frontier).toEqual([winner?.vid]);
    expect(contains(winner?.vv ?? {}, loser.dot)).toBe(true);
    await bench.settle();
    const lines = [...bench.log.values()].filter(({ kind }) => kind === 'superseded');
    expect(lines).toEqual([expect.objectContaining({ vid: loser.vid, by: winner?.vid, note: 'lww, write-wins' })]);
  });

  it('waits under keep-both until the loser is kept, and writes nothing before', async () => {
    const bench = conflict({ policy: { kind: 'keep-both' } });
    const waiting = await bench.decide(['a', 'b']);
    const loser = knownAt(bench, 'a');
    expect(waiting).toMatchObject({ winner: null, writes: [], settled: false, keep: [{ vid: loser.vid }] });
    expect(bench.item?.frontier).toHaveLength(2);
    const decided = await bench.decide([], { kept: new Set([loser.vid]) });
    expect(decided.winner?.dot.s).toBe('b');
    expect(sitesOf(decided)).toEqual(['a', 'c']);
  });

  it('of a conflict copy ends by the clock alone, so that copies never have copies', async () => {
    const bench = conflict({ policy: { kind: 'keep-both' } });
    await bench.decide(['a']);
    bench.item = deepFreeze({ ...(bench.item as KeyItem), copyOf: { key: 'docs/b.txt', vid: 'a:1' } });
    expect(await bench.decide(['b'])).toMatchObject({ keep: [], winner: { dot: { s: 'b' } } });
  });

  it('under a policy of the user asks it, and takes only an answer about these very siblings', async () => {
    const bench = conflict({ policy: { kind: 'custom', name: 'f' } });
    const asked = await bench.decide(['a', 'b']);
    const siblings = asked.ask?.siblings.map(({ vid }) => vid) ?? [];
    expect(siblings).toEqual([knownAt(bench, 'b').vid, knownAt(bench, 'a').vid]);
    expect(asked).toMatchObject({ winner: null, writes: [], settled: false });
    const vid = siblings[1] as string;
    const stale = await bench.decide([], { answer: { kind: 'pick', vid, siblings: [vid] } });
    expect(stale.ask?.siblings).toHaveLength(2);
    const decided = await bench.decide([], { answer: { kind: 'pick', vid, siblings } });
    expect(decided.winner?.vid).toBe(vid);
    expect(sitesOf(decided)).toEqual(['b', 'c']);
  });

  it('may end with a merge, which came after all siblings and has a dot of the resolver', async () => {
    const bench = conflict({ policy: { kind: 'custom', name: 'f' } });
    const siblings = (await bench.decide(['a', 'b'])).ask?.siblings ?? [];
    const holders = { a: { phys: 'v:merged', key: '.triplicate/merge/1' } };
    const content = { sizeBytes: 7, crc32c: '', crc64nvme: '', metaDigest: 'd', holders };
    const answer = { kind: 'merge' as const, content, siblings: siblings.map(({ vid }) => vid) };
    const decision = await bench.decide([], { answer });
    const { winner, item } = decision;
    expect(winner).toMatchObject({ dot: { s: '~' }, ...content, origin: { site: '~', cause: 'merge' } });
    for (const { dot } of siblings) expect(contains(winner?.vv ?? {}, dot)).toBe(true);
    expect(sitesOf(decision)).toEqual(IDS);
    expect(item.outbox.filter(({ by }) => by === winner?.vid)).toHaveLength(2);
  });

  it('that the policy leaves open stays so, with nothing written, until there is a new version', async () => {
    const bench = conflict({ policy: { kind: 'custom', name: 'f' } });
    const siblings = (await bench.decide(['a', 'b'])).ask?.siblings.map(({ vid }) => vid) ?? [];
    await bench.decide([], { answer: { kind: 'defer', reason: 'too hard', siblings } });
    for (let round = 0; round < 3; round++) {
      expect(await bench.decide(IDS)).toMatchObject({ winner: null, ask: null, writes: [], settled: true });
      expect(bench.item?.unresolved).toMatchObject({ reason: 'too hard', siblings: bench.item?.frontier });
    }
    expect([...bench.log.keys()].filter((id) => id.startsWith('unresolved/'))).toHaveLength(1);
    bench.put('c', 'a third');
    expect((await bench.decide(['c'])).ask?.siblings).toHaveLength(3);
    expect(bench.item?.unresolved).toBeNull();
  });
});

describe('a winner whose bytes nobody has', () => {
  it('is looked for everywhere, then left to people, and gives way to a new version', async () => {
    const bench = openBench({ sites: SITES });
    const { phys } = bench.put('a', 'one');
    const { vid } = (await bench.decide(['a'], { down: new Set(['b', 'c']) })).winner as LogicalVersion;
    const gone = [{ vid, site: 'a', phys }];
    expect(await bench.decide([], { gone })).toMatchObject({ lookEverywhere: true, writes: [], settled: false });
    expect(bench.item?.versions[vid]?.holders).toEqual({});
    const given = await bench.decide(['b', 'c'], { lookedEverywhere: true });
    expect(given).toMatchObject({ lookEverywhere: false, writes: [], settled: true });
    expect(bench.item?.unresolved?.siblings).toEqual([vid]);
    expect([...bench.log.keys()]).toContain(`unresolved/${vid}`);
    bench.now += 60_000;
    bench.put('b', 'new');
    const next = await bench.decide(['b'], { lookedEverywhere: true });
    expect(next.winner?.dot.s).toBe('b');
    expect(sitesOf(next)).toEqual(['a', 'c']);
    expect(bench.item?.unresolved).toBeNull();
  });

  it('is not forgotten because of a holder that has other bytes by now', async () => {
    const bench = openBench({ sites: SITES });
    bench.put('a', 'one');
    const { winner } = await bench.decide(['a']);
    const gone = [{ vid: winner?.vid as string, site: 'a', phys: 'v:older' }];
    expect((await bench.decide([], { gone })).lookEverywhere).toBe(false);
  });
});

describe('the item of a key that nobody leaves in peace', () => {
  const flavours = ['s3', 'azure', 's3', 'gcs', 'azure', 's3', 'azure', 's3'] as const;
  const sites = Object.fromEntries(flavours.map((flavour, i) => [`site000${i}`, flavour]));
  // As long as those that services give out.
  const nextId = (site: string, count: number) => `${site}-${String(count).padStart(20, 'x')}`;

  it('stays below 64 KiB and can be stored, after hundreds of looks at eight sites', async () => {
    const anyLong = anyStory(Object.keys(sites), 300, 500);
    const property = fc.asyncProperty(anyLong, anyPolicy, async (steps, policy) => {
      await play(openBench({ sites, policy, nextId }), steps, ({ decision }) => {
        const text = JSON.stringify(decision.item);
        expect(Buffer.byteLength(text)).toBeLessThan(64 * 1024);
        readKeyItem(JSON.parse(text));
      });
    });
    await fc.assert(property, { numRuns: 10, endOnFailure: true });
  });
});
