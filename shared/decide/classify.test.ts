/** Shows, rule by rule, whose write a newly seen version is, on S3, GCS and Azure as each of them really tells of it. */
import { describe, expect, it } from 'vitest';
import {
  added,
  type Bench,
  type BenchSite,
  bytesOf,
  causes,
  DAY_MS,
  KEY,
  knownAt,
  MAC_KEYS,
  NAMESPACE,
  newVersions,
  noted,
  openPair,
  physAt,
  replicated,
  stateAt,
} from '../../test/samples/bench.ts';
import type { LogicalVersion } from '../model/key-item.ts';
import { readMarker, writeMarker } from '../model/marker.ts';
import { contains } from '../model/version-vector.ts';
import type { MemoryFlavour } from '../store/memory.ts';
import { withoutRule } from './rules.ts';

const FLAVOURS = ['s3', 'gcs', 'azure'] as const;
const CHAINS = ['s3', 'azure'] as const;

/** A write is planned over what stands at b, and nobody has made it yet. */
async function planned(b: MemoryFlavour | BenchSite, act: (bench: Bench) => void) {
  const bench = await replicated(b);
  act(bench);
  const decision = await bench.decide(['a']);
  bench.now += 10_000;
  expect(stateAt(bench.item, 'b').intents).toHaveLength(1);
  return { bench, decision };
}

/** What the ledger says stands at b. */
function known(bench: Bench): LogicalVersion {
  return knownAt(bench, 'b');
}

describe('R0: what is known already', () => {
  it.each(FLAVOURS)('is nothing new on %s, however often it is looked at', async (flavour) => {
    const bench = await replicated(flavour);
    bench.put('b', 'two');
    await bench.decide(['b']);
    bench.now += 10_000;
    expect(await bench.classify('b')).toEqual(bench.item);
    bench.delete('b');
    await bench.decide(['b']);
    bench.now += 10_000;
    expect(await bench.classify('b')).toEqual(bench.item);
  });

  it.each(CHAINS)('includes what %s remembers from before it was first looked at', async (flavour) => {
    const bench = openPair(flavour);
    for (const text of ['one', 'two', 'three']) bench.put('b', text);
    expect(added(bench, await bench.classify('b')).sizeBytes).toBe('three'.length);
  });

  it.each(FLAVOURS)('includes that nothing stands where nothing was seen to stand: %s', async (flavour) => {
    const bench = openPair(flavour);
    bench.put('b', 'one');
    bench.delete('b');
    const item = await bench.classify('b');
    expect(item.versions).toEqual({});
    expect(stateAt(item, 'b')).toMatchObject({ vid: null, lookedAt: bench.now });
  });
});

describe('R1: what was purged', () => {
  it('brings the older version back as a new one with the old content', async () => {
    const bench = await replicated('s3');
    const old = await physAt(bench, 'b');
    bench.put('b', 'longer');
    await bench.decide(['b']);
    bench.buckets.b?.purge(KEY, await physAt(bench, 'b'));
    const version = added(bench, await bench.classify('b'));
    expect(version.origin).toEqual({ site: 'b', phys: old, cause: 'rollback' });
    expect(version).toMatchObject({ sizeBytes: 'one'.length, holders: { b: { phys: old } } });
    expect(contains(version.vv, known(bench).dot)).toBe(true);
  });

  it('is accounted for before anything newer', async () => {
    const bench = await replicated('s3');
    bench.put('b', 'longer');
    await bench.decide(['b']);
    bench.buckets.b?.purge(KEY, await physAt(bench, 'b'));
    bench.put('b', 'newest');
    const item = await bench.classify('b');
    expect(causes(bench, item)).toEqual(['rollback of object', 'put of object']);
    const [back, newest] = newVersions(bench.item, item) as [LogicalVersion, LogicalVersion];
    expect(contains(newest.vv, back.dot)).toBe(true);
    expect(stateAt(item, 'b').vid).toBe(newest.vid);
  });

  it('undoes a delete when it was the delete marker', async () => {
    const bench = await replicated('s3');
    bench.delete('b');
    await bench.decide(['b']);
    expect(known(bench).kind).toBe('tombstone');
    bench.buckets.b?.purge(KEY, await physAt(bench, 'b'));
    const version = added(bench, await bench.classify('b'));
    expect(version).toMatchObject({ kind: 'object', sizeBytes: 'one'.length, origin: { cause: 'rollback' } });
    expect(contains(version.vv, known(bench).dot)).toBe(true);
  });

  it('is a delete when nothing older is left', async () => {
    const bench = await replicated('s3');
    bench.buckets.b?.purge(KEY, await physAt(bench, 'b'));
    const item = await bench.classify('b');
    expect(causes(bench, item)).toEqual(['rollback of tombstone']);
    expect(contains(added(bench, item).vv, known(bench).dot)).toBe(true);
  });

  it('is nothing when something newer stands over it', async () => {
    const bench = await replicated('s3');
    const old = await physAt(bench, 'b');
    bench.put('b', 'longer');
    await bench.decide(['b']);
    bench.buckets.b?.purge(KEY, old);
    expect(causes(bench, await bench.classify('b'))).toEqual([]);
  });

  it('is nothing when the object was deleted before', async () => {
    const bench = await replicated('azure');
    const old = await physAt(bench, 'b');
    bench.delete('b');
    await bench.decide(['b']);
    bench.buckets.b?.purge(KEY, old);
    const item = await bench.classify('b');
    expect(causes(bench, item)).toEqual([]);
    expect(stateAt(item, 'b').vid).toBe(known(bench).vid);
  });
});

describe('R2: a write the ledger waits for', () => {
  it.each(FLAVOURS)('is ours on %s and gets no dot', async (flavour) => {
    const bench = openPair(flavour);
    bench.put('a', 'one');
    const decision = await bench.decide(['a']);
    await bench.carryOut(decision);
    const item = await bench.classify('b');
    expect(causes(bench, item)).toEqual([]);
    const phys = await physAt(bench, 'b');
    const wid = decision.writes[0]?.intent.wid;
    expect(stateAt(item, 'b')).toMatchObject({ vid: decision.winner?.vid, wid, phys, intents: [] });
    expect(item.versions[decision.winner?.vid ?? '']?.holders.b).toEqual({ phys });
    // GCS tells only one of the two; who copied the bytes told the other.
    expect(item.versions[decision.winner?.vid ?? '']?.crc64nvme).not.toBe('');
  });

  it.each(FLAVOURS)('is ours over an older version, too: %s', async (flavour) => {
    const { bench, decision } = await planned(flavour, (it) => it.put('a', 'longer'));
    await bench.carryOut(decision);
    const item = await bench.classify('b');
    expect(causes(bench, item)).toEqual([]);
    expect(stateAt(item, 'b')).toMatchObject({ vid: decision.winner?.vid, intents: [] });
  });

  it.each(CHAINS)('is found below what a client wrote over it on %s', async (flavour) => {
    const bench = openPair(flavour);
    for (const seenBefore of [false, true]) {
      bench.put('a', seenBefore ? 'two' : 'one');
      const decision = await bench.decide(['a']);
      await bench.carryOut(decision);
      bench.put('b', 'mine');
      const version = added(bench, await bench.classify('b'));
      expect(version.sizeBytes).toBe('mine'.length);
      expect(contains(version.vv, decision.winner?.dot as LogicalVersion['dot'])).toBe(true);
      await bench.settle();
    }
  });

  it('that nobody saw on GCS leaves a client’s write over it concurrent, so that neither is lost', async () => {
    const { bench, decision } = await planned('gcs', (it) => it.put('a', 'longer'));
    await bench.carryOut(decision);
    bench.put('b', 'mine');
    const version = added(bench, await bench.classify('b'));
    expect(contains(version.vv, decision.winner?.dot as LogicalVersion['dot'])).toBe(false);
  });

  it.each<[what: string, flavour: MemoryFlavour, act: (bench: Bench, ours: string) => unknown]>([
    ['patched its metadata', 'gcs', (it) => it.patch('b', 'other')],
    ['patched it there and back', 'gcs', (it) => [it.patch('b', 'other'), it.patch('b', 'plain')]],
    ['put it on hold', 'gcs', (it) => it.buckets.b?.touch(KEY)],
    ['patched it and purged ours', 's3', (it, ours) => [it.patch('b', 'other'), it.buckets.b?.purge(KEY, ours)]],
  ])('is ours below a client’s that %s before anybody looked', async (_what, flavour, act) => {
    const { bench, decision } = await planned(flavour, (it) => it.put('a', 'longer'));
    await bench.carryOut(decision);
    act(bench, await physAt(bench, 'b'));
    const item = await bench.classify('b');
    const version = added(bench, item);
    expect(contains(version.vv, decision.winner?.dot as LogicalVersion['dot'])).toBe(true);
    expect(stateAt(item, 'b')).toMatchObject({ vid: version.vid, wid: null, intents: [] });
  });
});

describe('R2a: a create-only write that lands where something stood', () => {
  it.each(FLAVOURS)('proves that a client deleted it, on %s', async (flavour) => {
    const bench = openPair(flavour);
    bench.put('a', 'one');
    const late = await bench.decide(['a']);
    bench.now += 10_000;
    bench.put('b', 'mine');
    await bench.decide(['b']);
    bench.delete('b');
    await bench.carryOut(late);
    const item = await bench.classify('b');
    // S3 remembers the delete itself.
    expect(causes(bench, item)).toEqual([flavour === 's3' ? 'delete of tombstone' : 'inferred-delete of tombstone']);
    expect(contains(added(bench, item).vv, known(bench).dot)).toBe(true);
    expect(stateAt(item, 'b').vid).toBe(late.winner?.vid);
  });
});

describe('R3: our replica copied onto itself', () => {
  it.each(['s3', 'gcs'] as const)('is the same version on %s', async (flavour) => {
    const bench = await replicated(flavour);
    const { wid, vid } = stateAt(bench.item, 'b');
    for (let copies = 0; copies < 2; copies++) {
      const { phys } = bench.restore('b', await physAt(bench, 'b'));
      const item = await bench.classify('b');
      expect(causes(bench, item)).toEqual([]);
      expect(stateAt(item, 'b')).toMatchObject({ vid, wid, phys });
      expect(item.versions[vid ?? '']?.holders.b).toEqual({ phys });
      await bench.decide(['b']);
    }
  });

  it('is a client’s version on Azure, which stores no checksum to prove the bytes', async () => {
    const bench = await replicated('azure');
    bench.restore('b', await physAt(bench, 'b'));
    expect(causes(bench, await bench.classify('b'))).toEqual(['put of object']);
  });

  it.each(FLAVOURS)('is a client’s version when it got other metadata, on %s', async (flavour) => {
    const bench = await replicated(flavour);
    bench.patch('b', 'other');
    const version = added(bench, await bench.classify('b'));
    expect(version.metaDigest).not.toBe(known(bench).metaDigest);
    expect(contains(version.vv, known(bench).dot)).toBe(true);
  });
});

describe('R4: a change in place of what we do not carry', () => {
  it.each(['ours', 'a client’s'])('is the same version, %s', async (whose) => {
    const bench = await replicated('gcs');
    if (whose !== 'ours') bench.put('b', 'mine');
    await bench.decide(['b']);
    const { vid, token } = stateAt(bench.item, 'b');
    bench.buckets.b?.touch(KEY);
    const item = await bench.classify('b');
    expect(causes(bench, item)).toEqual([]);
    const phys = await physAt(bench, 'b');
    expect(stateAt(item, 'b')).toMatchObject({ vid, phys });
    expect(stateAt(item, 'b').token).not.toBe(token);
    expect(item.versions[vid ?? '']?.holders.b).toEqual({ phys });
  });
});

describe('R5: a delete where we meant to delete', () => {
  it.each([
    ...FLAVOURS.map((flavour) => [flavour, 'us'] as const),
    ...FLAVOURS.map((flavour) => [flavour, 'a client'] as const),
  ])('has the same effect on %s, made by %s', async (flavour, who) => {
    const { bench, decision } = await planned(flavour, (it) => it.delete('a'));
    if (who === 'us') await bench.carryOut(decision);
    else bench.delete('b');
    const item = await bench.classify('b');
    expect(causes(bench, item)).toEqual([]);
    expect(stateAt(item, 'b').vid).toBe(decision.winner?.vid);
    // On S3 nothing tells whether our own is still to come.
    expect(stateAt(item, 'b').intents).toHaveLength(flavour === 's3' ? 1 : 0);
  });

  it('does not make the same bytes written again on S3 a client’s delete, for our token fits both', async () => {
    const { bench, decision } = await planned('s3', (it) => it.delete('a'));
    bench.put('b', 'one');
    await bench.decide(['b'], { down: new Set(['b']) });
    const again = known(bench);
    await bench.carryOut(decision);
    const item = await bench.classify('b');
    expect(causes(bench, item)).toEqual([]);
    expect(stateAt(item, 'b').vid).toBe(decision.winner?.vid);
    expect(contains(decision.winner?.vv ?? {}, again.dot)).toBe(false);
    expect(causes(bench, await bench.classify('b', withoutRule('delete-by-token')))).toEqual(['delete of tombstone']);
  });

  it.each(['gcs', 'azure'] as const)('over a newer version is a client’s on %s', async (flavour) => {
    const { bench } = await planned(flavour, (it) => it.delete('a'));
    bench.put('b', 'mine');
    await bench.decide(['b'], { down: new Set(['b']) });
    bench.delete('b');
    const version = added(bench, await bench.classify('b'));
    expect(version.origin.cause).toBe('delete');
    expect(contains(version.vv, known(bench).dot)).toBe(true);
  });
});

describe('R6: what a site’s own lifecycle removed', () => {
  it.each(FLAVOURS)('is missing there and deleted nowhere: %s', async (flavour) => {
    const bench = await replicated({ flavour, expiresAfterMs: DAY_MS });
    bench.now = stateAt(bench.item, 'b').modifiedAt + DAY_MS;
    bench.buckets.b?.expire(KEY);
    const item = await bench.classify('b');
    expect(causes(bench, item)).toEqual([]);
    expect(stateAt(item, 'b')).toMatchObject({ evicted: true, vid: known(bench).vid });
    expect(item.outbox.map(({ kind, site }) => `${kind} ${site}`)).toContain('evicted b');
  });

  it.each(FLAVOURS)('was a client’s delete if it came too early: %s', async (flavour) => {
    const bench = await replicated({ flavour, expiresAfterMs: DAY_MS });
    bench.now = stateAt(bench.item, 'b').modifiedAt + DAY_MS - 1_000;
    bench.delete('b');
    expect(causes(bench, await bench.classify('b'))).toEqual(['delete of tombstone']);
  });

  it.each(FLAVOURS)('is in the past of what a client writes there next: %s', async (flavour) => {
    const bench = await replicated({ flavour, expiresAfterMs: DAY_MS });
    bench.now += DAY_MS;
    bench.buckets.b?.expire(KEY);
    await bench.decide(['b']);
    const gone = known(bench);
    bench.put('b', 'mine');
    const item = await bench.classify('b');
    expect(contains(added(bench, item).vv, gone.dot)).toBe(true);
    expect(stateAt(item, 'b').evicted).toBe(false);
  });
});

describe('R7: anything else', () => {
  it.each(FLAVOURS)('is a client’s, over what stood there: %s', async (flavour) => {
    const bench = await replicated(flavour);
    const { phys, modifiedAt } = bench.put('b', 'longer');
    const item = await bench.classify('b');
    const version = added(bench, item);
    expect(version).toMatchObject({ kind: 'object', sizeBytes: 'longer'.length, hlc: { ms: modifiedAt, c: 0 } });
    expect(version).toMatchObject({ origin: { site: 'b', phys, cause: 'put' }, holders: { b: { phys } } });
    expect(contains(version.vv, known(bench).dot)).toBe(true);
    expect(stateAt(item, 'b')).toMatchObject({ vid: version.vid, phys, wid: null });
    expect(item.outbox.map(({ id }) => id)).toContain(`version/${version.vid}`);
  });

  it.each(FLAVOURS)(
    'is stamped after what it was written over, though its bucket’s clock is behind: %s',
    async (flavour) => {
      const bench = await replicated(flavour);
      bench.now -= 60_000;
      bench.put('b', 'longer');
      expect(added(bench, await bench.classify('b')).hlc).toEqual({
        ms: known(bench).hlc.ms,
        c: known(bench).hlc.c + 1,
      });
    },
  );

  it.each(FLAVOURS)('is a delete in the past of what is written afterwards: %s', async (flavour) => {
    const bench = await replicated(flavour);
    bench.delete('b');
    const gone = await bench.decide(['b']);
    bench.put('b', 'again');
    const version = added(bench, await bench.classify('b'));
    expect(gone.winner?.kind).toBe('tombstone');
    expect(contains(version.vv, known(bench).dot)).toBe(true);
  });

  it.each(CHAINS)('gets a dot for every version that %s remembers', async (flavour) => {
    const bench = await replicated(flavour);
    for (const text of ['two', 'three', 'four']) bench.put('b', text);
    const versions = newVersions(bench.item, await bench.classify('b'));
    expect(versions.map(({ sizeBytes }) => sizeBytes)).toEqual([3, 5, 4]);
    for (const [i, { vv }] of versions.entries()) {
      for (const { dot } of [known(bench), ...versions.slice(0, i)]) expect(contains(vv, dot)).toBe(true);
    }
  });

  it('sees on Azure what was written, and that it was deleted, in one look', async () => {
    const bench = await replicated('azure');
    bench.delete('b');
    await bench.decide(['b']);
    bench.put('b', 'two');
    bench.delete('b');
    const item = await bench.classify('b');
    expect(causes(bench, item)).toEqual(['put of object', 'delete of tombstone']);
    expect(stateAt(item, 'b').phys).toMatch(/^absent:.+/);
  });

  it.each(FLAVOURS)('includes an old replica of ours that a client restored: %s', async (flavour) => {
    const bench = await replicated(flavour);
    const [phys, old] = [await physAt(bench, 'b'), known(bench)];
    bench.put('a', 'longer');
    await bench.settle();
    bench.restore('b', phys);
    const version = added(bench, await bench.classify('b'));
    expect(version).toMatchObject({ sizeBytes: old.sizeBytes, metaDigest: old.metaDigest });
    for (const { dot } of [old, known(bench)]) expect(contains(version.vv, dot)).toBe(true);
  });

  it('includes the second version in a chain with the id of a write we waited for', async () => {
    const { bench, decision } = await planned('s3', (it) => it.put('a', 'longer'));
    await bench.carryOut(decision);
    const ours = await physAt(bench, 'b');
    bench.put('b', 'mine');
    bench.restore('b', ours);
    const item = await bench.classify('b');
    expect(newVersions(bench.item, item).map(({ sizeBytes }) => sizeBytes)).toEqual([4, 6]);
    expect(stateAt(item, 'b').vid).not.toBe(decision.winner?.vid);
  });

  it.each([
    ['another key', { key: 'docs/b.txt', namespace: NAMESPACE }, 'b'],
    ['another site', { key: KEY, namespace: NAMESPACE }, 'a'],
    ['another namespace', { key: KEY, namespace: 'other' }, 'b'],
  ])(
    'includes what carries the marker of %s, even with the id of a write we wait for',
    async (_what, context, site) => {
      const bench = openPair('s3');
      bench.put('a', 'one');
      const decision = await bench.decide(['a']);
      await bench.carryOut(decision);
      const made = (await bench.buckets.b?.head(KEY))?.marker as string;
      const reading = readMarker(made, { namespace: NAMESPACE, key: KEY, site: 'b' }, MAC_KEYS);
      if (reading.kind === 'foreign') throw new Error(reading.reason);
      bench.buckets.b?.empty();
      const marker = writeMarker({ ...reading.marker, site }, context, MAC_KEYS);
      bench.buckets.b?.clientPut(KEY, bytesOf('one'), { metadata: noted('plain'), marker });
      expect(causes(bench, await bench.classify('b'))).toEqual(['put of object']);
      // The very same with the marker that belongs there.
      bench.buckets.b?.clientPut(KEY, bytesOf('one'), { metadata: noted('plain'), marker: made });
      expect(stateAt(await bench.classify('b'), 'b').intents).toEqual([]);
    },
  );
});

describe('an old replica of a key that is forgotten', () => {
  async function forgotten(ageMs: number, act: (bench: Bench) => void = () => {}): Promise<Bench> {
    const bench = await replicated('s3');
    act(bench);
    bench.now = stateAt(bench.item, 'b').modifiedAt + ageMs;
    bench.item = null;
    return bench;
  }

  it('is reported and not believed', async () => {
    const item = await (await forgotten(46 * DAY_MS)).classify('b');
    expect(item.frontier).toEqual([]);
    expect(stateAt(item, 'b')).toMatchObject({ quarantined: true, vid: null });
    expect(item.outbox.map(({ kind, site }) => `${kind} ${site}`)).toEqual(['quarantined b']);
  });

  it.each([
    ['younger than deletes are remembered', 45 * DAY_MS, () => {}],
    ['of a client’s own', 46 * DAY_MS, (bench: Bench) => void bench.put('b', 'mine')],
    ['changed by a client', 46 * DAY_MS, (bench: Bench) => void bench.patch('b', 'other')],
  ])('is a new version when it is %s', async (_what, ageMs, act) => {
    const bench = await forgotten(ageMs, act);
    expect(causes(bench, await bench.classify('b'))).toEqual(['put of object']);
  });
});

describe('a write that is still awaited', () => {
  it.each(FLAVOURS)('is given up on %s when what it names is gone, if that cannot come back', async (flavour) => {
    const { bench } = await planned(flavour, (it) => it.put('a', 'longer'));
    bench.put('b', 'mine');
    expect(stateAt(await bench.classify('b'), 'b').intents).toHaveLength(flavour === 's3' ? 1 : 0);
  });

  it.each(FLAVOURS)('is given up on %s a day after its worker should have ended', async (flavour) => {
    const { bench, decision } = await planned(flavour, (it) => it.put('a', 'longer'));
    bench.now = (decision.writes[0]?.intent.leaseUntil ?? 0) + DAY_MS;
    expect(stateAt(await bench.classify('b'), 'b').intents).toHaveLength(1);
    bench.now += 1;
    expect(stateAt(await bench.classify('b'), 'b').intents).toEqual([]);
  });
});

describe('who holds the bytes of a version', () => {
  it.each(FLAVOURS)('is forgotten on %s when the bucket shows them no more', async (flavour) => {
    const bench = await replicated(flavour);
    const { vid } = known(bench);
    const phys = await physAt(bench, 'b');
    bench.put('b', 'longer');
    const over = await bench.classify('b');
    expect(over.versions[vid]?.holders.b).toEqual(flavour === 'gcs' ? undefined : { phys });
    bench.buckets.b?.purge(KEY, phys);
    expect((await bench.classify('b')).versions[vid]?.holders.b).toBeUndefined();
    expect((await bench.classify('b')).versions[vid]?.holders.a).toBeDefined();
  });
});
