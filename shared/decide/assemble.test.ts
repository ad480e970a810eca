/** Shows that a lost item comes back from the buckets as it was, and that what clients did meanwhile is new, never lost. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Bench,
  type BenchOptions,
  bytesOf,
  DAY_MS,
  KEY,
  knownAt,
  noted,
  openBench,
  physAt,
  replicated,
  stateAt,
} from '../../test/samples/bench.ts';
import { anyStory, play } from '../../test/samples/story.ts';
import type { KeyItem, LogicalVersion } from '../model/key-item.ts';
import { readKeyItem } from '../model/read-key-item.ts';
import type { DeletePolicy } from '../model/topology.ts';
import { compare, contains } from '../model/version-vector.ts';
import { assemble } from './assemble.ts';
import { resolve } from './resolve.ts';
import { everyRule } from './rules.ts';

const SITES = { a: 's3', b: 'gcs', c: 'azure' } as const;
const IDS = ['a', 'b', 'c'];
const CHAINS = ['s3', 'azure'] as const;
const FLAVOURS = ['s3', 'gcs', 'azure'] as const;
const FLOOR_MS = 2_000;

/** The item made again from what the buckets hold, as a rebuild does it. */
async function rebuilt(bench: Bench, tombstones = [...bench.tombstones.values()]): Promise<KeyItem | null> {
  const found = await Promise.all(Object.keys(bench.buckets).map((site) => bench.standing(site)));
  const on = { now: bench.now, rules: everyRule, dotFloor: bench.now + FLOOR_MS };
  const item = assemble(KEY, found, tombstones, on);
  return item && readKeyItem(JSON.parse(JSON.stringify(item)));
}

function frontierOf(item: KeyItem | null): LogicalVersion[] {
  return (item?.frontier ?? []).map((vid) => item?.versions[vid] as LogicalVersion);
}

/** The only version of its frontier. */
function winnerOf(item: KeyItem | null): LogicalVersion {
  const [winner, ...others] = frontierOf(item);
  expect(others).toEqual([]);
  return winner as LogicalVersion;
}

describe('an item made again from the buckets', () => {
  it('has the frontier of the lost one, where all was replicated one after the other', async () => {
    const anyChange = fc.record({
      site: fc.constantFrom(...IDS),
      act: fc.constantFrom('put', 'put', 'patch', 'delete'),
    });
    const property = fc.asyncProperty(fc.array(anyChange, { minLength: 1, maxLength: 8 }), async (changes) => {
      const bench = openBench({ sites: SITES });
      for (const [i, { site, act }] of changes.entries()) {
        bench.now += 5_000;
        const stands = (await bench.buckets[site]?.head(KEY)) != null;
        if (act === 'put' || !stands) bench.put(site, `text ${i}`);
        else if (act === 'patch') bench.patch(site, `note ${i}`);
        else bench.delete(site);
        await bench.settle();
      }
      const [lost, item] = [bench.item, await rebuilt(bench)];
      expect(item?.frontier).toEqual(lost?.frontier);
      if (lost === null) return;
      const { vv, hlc, kind, metaDigest, sizeBytes } = winnerOf(lost);
      expect(winnerOf(item)).toMatchObject({ vv, hlc, kind, metaDigest, sizeBytes });
      const vids = IDS.map((site) => stateAt(item, site).vid);
      // That nothing stands on GCS says nothing of what stood there.
      if (kind === 'tombstone') vids[1] ??= lost.frontier[0] ?? null;
      expect(vids).toEqual(IDS.map(() => lost.frontier[0]));
    });
    await fc.assert(property, { numRuns: 150 });
  });

  it('never brings back what was overwritten or lost: where all sites agree, the policy finds it again', async () => {
    const anyDeletes = fc.constantFrom<DeletePolicy[]>('write-wins', 'delete-wins', 'by-clock');
    const contentOf = ({ kind, sizeBytes, metaDigest }: LogicalVersion) => ({ kind, sizeBytes, metaDigest });
    const property = fc.asyncProperty(anyStory(IDS), anyDeletes, async (steps, deletes) => {
      const bench = openBench({ sites: SITES, deletes });
      await play(bench, steps);
      const lost = await bench.settle();
      if (lost === null || lost.unresolved !== null) return;
      // Not here: bytes written twice, of which on S3 the second may be a client's write that ours went over unseen. The
      // buckets alone cannot tell, and it is kept.
      const tokens = (await bench.standing('a')).entries
        .map(({ version }) => version.token)
        .filter((it) => it !== null);
      fc.pre(new Set(tokens).size === tokens.length);
      const policies = { policy: { kind: 'lww' }, deletes, skewBoundMs: 0 } as const;
      const resolution = resolve(frontierOf(await rebuilt(bench)), policies, everyRule);
      if (resolution.kind !== 'winner') throw new Error('lww decides by itself');
      expect(contentOf(resolution.winner)).toEqual(contentOf(winnerOf(lost)));
    });
    await fc.assert(property, { numRuns: 150, interruptAfterTimeLimit: 20_000 });
  });

  it('gives only dots that no earlier ledger can have given', async () => {
    const property = fc.asyncProperty(anyStory(IDS), async (steps) => {
      const bench = openBench({ sites: SITES });
      await play(bench, steps);
      const item = await rebuilt(bench);
      for (const [site, n] of Object.entries(bench.item?.dots ?? {})) {
        if (item !== null && IDS.includes(site)) expect(item.dots[site]).toBeGreaterThanOrEqual(Math.min(n, bench.now));
      }
      for (const { vid, dot } of Object.values(item?.versions ?? {})) {
        if (bench.log.has(`version/${vid}`)) continue;
        expect(dot.n).toBeGreaterThan(bench.now);
      }
    });
    await fc.assert(property, { numRuns: 100, interruptAfterTimeLimit: 20_000 });
  });

  it('is none where nothing is known', async () => {
    const bench = openBench({ sites: SITES });
    expect(await rebuilt(bench)).toBeNull();
    bench.put('b', 'x');
    bench.delete('b');
    expect(await rebuilt(bench)).toBeNull();
  });

  it('is to be looked at at once', async () => {
    const bench = await replicated('s3');
    expect((await rebuilt(bench))?.due).toBe(bench.now);
  });
});

describe('what clients did while the ledger was lost', () => {
  it.each(CHAINS)('is a new version over our replica, on %s', async (flavour) => {
    const bench = await replicated(flavour);
    const { phys } = bench.put('b', 'mine');
    const winner = winnerOf(await rebuilt(bench));
    expect(winner).toMatchObject({ dot: { s: 'b' }, sizeBytes: 'mine'.length, holders: { b: { phys } } });
    expect(winner.dot.n).toBeGreaterThanOrEqual(bench.now + FLOOR_MS);
    expect(contains(winner.vv, knownAt(bench, 'b').dot)).toBe(true);
  });

  it.each(CHAINS)('includes that one restored an old replica of ours, on %s', async (flavour) => {
    const bench = await replicated(flavour);
    const old = await physAt(bench, 'b');
    bench.put('a', 'longer');
    await bench.settle();
    const { phys } = bench.restore('b', old);
    const winner = winnerOf(await rebuilt(bench));
    expect(winner).toMatchObject({ dot: { s: 'b' }, sizeBytes: 'one'.length, origin: { site: 'b', phys } });
    expect(contains(winner.vv, knownAt(bench, 'b').dot)).toBe(true);
  });

  it.each(FLAVOURS)('does not include our replica copied onto itself, on %s', async (flavour) => {
    const bench = await replicated(flavour);
    bench.restore('b', await physAt(bench, 'b'));
    expect((await rebuilt(bench))?.frontier).toEqual(bench.item?.frontier);
  });

  it('is beside our replica where GCS shows only what stands', async () => {
    const bench = await replicated('gcs');
    bench.put('b', 'mine');
    const frontier = frontierOf(await rebuilt(bench));
    expect(frontier.map(({ sizeBytes }) => sizeBytes)).toEqual(['one'.length, 'mine'.length]);
  });

  it.each(FLAVOURS)('includes that one changed the metadata of our replica, on %s', async (flavour) => {
    const bench = await replicated(flavour);
    bench.patch('b', 'other');
    const winner = winnerOf(await rebuilt(bench));
    expect(winner.dot.s).toBe('b');
    expect(winner.metaDigest).not.toBe(knownAt(bench, 'b').metaDigest);
    expect(contains(winner.vv, knownAt(bench, 'b').dot)).toBe(true);
  });

  it.each(CHAINS)('includes that one deleted our replica, on %s', async (flavour) => {
    const bench = await replicated(flavour);
    bench.delete('b');
    const winner = winnerOf(await rebuilt(bench));
    expect(winner).toMatchObject({ kind: 'tombstone', dot: { s: 'b' } });
    expect(contains(winner.vv, knownAt(bench, 'b').dot)).toBe(true);
  });

  it('is kept when it lies hidden below a late write of ours, whose token on S3 fitted both', async () => {
    const bench = await replicated('s3');
    bench.put('a', 'longer');
    const late = await bench.decide(['a']);
    bench.put('b', 'one', 'other');
    await bench.carryOut(late);
    const frontier = frontierOf(await rebuilt(bench));
    expect(frontier.map(({ sizeBytes }) => sizeBytes).sort()).toEqual(['one'.length, 'longer'.length]);
    expect(frontier.map(({ vid }) => vid)).toContain(late.winner?.vid);
  });

  it.each<[what: string, marker: (own: string) => string]>([
    ['no marker at all', () => 'x'],
    ['a marker cut short', (own) => own.slice(0, -4)],
    ['a forged marker', (own) => `${own.slice(0, 10)}AAAA${own.slice(14)}`],
  ])('is a version of a client’s when it carries %s', async (_what, marker) => {
    const bench = await replicated('s3');
    const own = (await bench.buckets.b?.head(KEY))?.marker as string;
    bench.buckets.b?.clientPut(KEY, bytesOf('one'), { metadata: noted('plain'), marker: own });
    expect((await rebuilt(bench))?.frontier).toEqual(bench.item?.frontier);
    bench.buckets.b?.clientPut(KEY, bytesOf('one'), { metadata: noted('plain'), marker: marker(own) });
    expect(winnerOf(await rebuilt(bench)).dot.s).toBe('b');
  });
});

describe('a delete', () => {
  it.each(FLAVOURS)('is found again by its trace, whoever forgot it: %s', async (flavour) => {
    const bench = await replicated(flavour);
    bench.delete('b');
    const lost = await bench.settle();
    const item = await rebuilt(bench);
    expect(winnerOf(item)).toMatchObject({ kind: 'tombstone', vid: lost.frontier[0], vv: winnerOf(lost).vv });
  });

  it.each(FLAVOURS)('is in the past of what was written again since: %s', async (flavour) => {
    const bench = await replicated(flavour);
    bench.delete('b');
    await bench.settle();
    bench.put('a', 'again');
    const lost = await bench.settle();
    expect((await rebuilt(bench))?.frontier).toEqual(lost.frontier);
    expect(contains(winnerOf(lost).vv, [...bench.tombstones.values()][0]?.dot as LogicalVersion['dot'])).toBe(true);
  });

  it.each(CHAINS)('is no delete where the site’s own lifecycle was due, on %s', async (flavour) => {
    const bench = await replicated({ flavour, expiresAfterMs: DAY_MS });
    bench.now = stateAt(bench.item, 'b').modifiedAt + DAY_MS;
    bench.buckets.b?.expire(KEY);
    const item = await rebuilt(bench);
    expect(item?.frontier).toEqual(bench.item?.frontier);
    expect(stateAt(item, 'b')).toMatchObject({ evicted: true, vid: bench.item?.frontier[0] });
  });
});

describe('buckets joined for the first time', () => {
  async function seeded(texts: Readonly<Record<string, string>>, options: Partial<BenchOptions> = {}) {
    const bench = openBench({ sites: { a: 's3', b: 's3', c: 'azure' }, ...options });
    for (const [site, text] of Object.entries(texts)) bench.put(site, text);
    return rebuilt(bench);
  }

  it('hold one version where their objects are equal', async () => {
    const item = await seeded({ a: 'x', b: 'x', c: 'x' });
    const winner = winnerOf(item);
    expect(Object.keys(winner.holders)).toEqual(IDS);
    for (const site of IDS) expect(stateAt(item, site).vid).toBe(winner.vid);
    expect(item?.outbox.map(({ id }) => id)).toEqual([`version/${winner.vid}`]);
  });

  it('hold concurrent versions where their objects differ', async () => {
    const item = await seeded({ a: 'x', b: 'y', c: 'x' });
    const [one, two] = frontierOf(item) as [LogicalVersion, LogicalVersion];
    expect(item?.frontier).toHaveLength(2);
    expect(compare(one, two)).toBe('concurrent');
    expect(Object.keys(one.holders)).toEqual(['a', 'c']);
    expect(Object.keys(two.holders)).toEqual(['b']);
  });

  it('lack it where none stands', async () => {
    const item = await seeded({ b: 'x' });
    expect(winnerOf(item).dot.s).toBe('b');
    expect(stateAt(item, 'a')).toMatchObject({ vid: null, phys: 'absent:', lookedAt: expect.any(Number) });
  });

  it('count only what stands there now, not their past', async () => {
    const bench = openBench({ sites: { a: 's3', b: 'azure' } });
    for (const text of ['one', 'two', 'three']) bench.put('a', text);
    const item = await rebuilt(bench);
    expect(Object.keys(item?.versions ?? {})).toEqual(item?.frontier);
    expect(winnerOf(item).sizeBytes).toBe('three'.length);
  });
});
