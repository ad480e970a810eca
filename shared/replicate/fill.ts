/** Fills stage objects part by part: each part is read once for all targets that lack it, and leased while it is copied. */

import { type CopyPart, partCount, partId, readCopyPart, stageKey } from '../model/copy-job.ts';
import { type Checksums, openChecksums } from '../model/crc.ts';
import { fault, isFault } from '../model/fault.ts';
import type { LogicalVersion } from '../model/key-item.ts';
import type { ByteRange, ObjectStore, PartReceipt } from '../store/store.ts';
import type { World } from '../world/world.ts';
import { type Budget, budgetOf, HELD_BYTES, roomOf } from './budget.ts';
import { type OpenJob, PARTS_LISTED } from './jobs.ts';
import { fromHolder, openPinned } from './read.ts';
import { type Run, setAside } from './run.ts';
import { split } from './split.ts';
import { isTimeUp } from './time.ts';

export type DonePart = Extract<CopyPart, { kind: 'done' }>;

/**
 * done: all parts, in order. busy: others are at some of them. gone: the source or the stage no longer exists.
 * out-of-time: the next part would not end in time. failed: the site, or the source, does not answer.
 */
export interface Filled {
  readonly kind: 'done' | 'busy' | 'gone' | 'out-of-time' | 'failed';
  readonly parts: readonly DonePart[];
}

const MIB = 1024 * 1024;
/** Parts of one object under way at once. */
const PARTS_AT_ONCE = 4;
/** A larger part is not held: it streams, its readers no further apart than this. */
export const HELD_PART_BYTES_MAX = 16 * MIB;
const STREAM_BYTES = MIB;
/** So many leases lost in a row say that what is known of the others is old. */
const LOST_MAX = 4;

/**
 * Writes to the ledger what has become of a part. Asked for together with the lease of the next one, since a ledger may
 * make one write to disk of both.
 */
type Keep = () => Promise<void>;
const NOTHING: Keep = async () => {};

/** What is known of one target's parts. */
interface Fill {
  readonly open: OpenJob;
  readonly count: number;
  readonly known: Map<number, { readonly rev: number; readonly part: CopyPart }>;
  ended: Exclude<Filled['kind'], 'done' | 'busy'> | null;
  lost: number;
}

/** Jobs for other sources, or in parts of another size, cannot share a read. */
export async function fillStages(
  world: World,
  run: Run,
  version: LogicalVersion,
  jobs: readonly OpenJob[],
): Promise<ReadonlyMap<OpenJob, Filled>> {
  const alike = Map.groupBy(jobs, ({ job: { source, partBytes } }) => JSON.stringify([source, partBytes]));
  const groups = await Promise.all([...alike.values()].map((group) => fillAlike(world, run, version, group)));
  return new Map(groups.flat());
}

async function fillAlike(
  world: World,
  run: Run,
  version: LogicalVersion,
  jobs: readonly OpenJob[],
): Promise<ReadonlyArray<readonly [OpenJob, Filled]>> {
  const [first] = jobs as readonly [OpenJob];
  const { partBytes, sizeBytes } = first.job;
  const count = partCount(sizeBytes, partBytes);
  const fills = jobs.map((open): Fill => ({ open, count, known: new Map(), ended: null, lost: 0 }));
  await Promise.all(fills.map((fill) => guarded(run, fill, () => refresh(world, fill))));

  const lanes = partBytes > HELD_PART_BYTES_MAX ? PARTS_AT_ONCE : Math.floor(HELD_BYTES / partBytes);
  const parts = partsFrom(run, count);
  const budget = budgetOf(world.ledger);
  await inLanes(Math.min(PARTS_AT_ONCE, lanes), parts, async (part, keepLast) => {
    if (!fills.some((fill) => isFree(world, run, fill, part))) return keepLast().then(() => NOTHING);
    // Leased only when there is room for it, so that nobody waits for a part that waits.
    return budget.within(partBytes > HELD_PART_BYTES_MAX ? HELD_BYTES / PARTS_AT_ONCE : partBytes, async () => {
      const claiming = fills.map((fill) => guarded(run, fill, () => claim(world, run, fill, part)));
      const [claims] = await Promise.all([Promise.all(claiming), keepLast()]);
      const mine = fills.filter((_, index) => claims[index] === true);
      if (mine.length === 0) return NOTHING;
      const range = { start: (part - 1) * partBytes, end: Math.min(part * partBytes, sizeBytes) };
      return copyPart(world, run, version, mine, part, range, budget);
    });
  });

  return Promise.all(
    fills.map(async (fill) => {
      const missing = () => fill.ended === null && doneParts(fill).length < count;
      // Others may have ended theirs by now, and then nobody but us goes on.
      if (missing()) await guarded(run, fill, () => refresh(world, fill));
      const kind = fill.ended ?? (missing() ? 'busy' : 'done');
      return [fill.open, { kind, parts: doneParts(fill) }] as const;
    }),
  );
}

/** From the first one on; who only helps begins anywhere, out of the way of the others. */
function partsFrom(run: Run, count: number): readonly number[] {
  const start = run.helps === true ? Buffer.from(run.worker).reduce((sum, byte) => (sum * 31 + byte) % count, 0) : 0;
  return Array.from({ length: count }, (_, index) => ((start + index) % count) + 1);
}

function doneParts({ known, count }: Fill): readonly DonePart[] {
  return Array.from({ length: count }, (_, index) => known.get(index + 1)?.part).filter((it) => it?.kind === 'done');
}

async function refresh(world: World, { open: { name, job }, known }: Fill): Promise<void> {
  const first = partId(name, job.upload, 1);
  const prefix = first.slice(0, first.lastIndexOf('/') + 1);
  for (const { id, rev, value } of await world.ledger.listRecords({ prefix, limit: PARTS_LISTED }))
    known.set(Number(id.slice(prefix.length)), { rev, part: readCopyPart(value) });
}

/** As far as is known, nobody has copied it, and nobody is at it. */
function isFree(world: World, run: Run, { ended, known }: Fill, part: number): boolean {
  const it = known.get(part)?.part;
  if (ended !== null || it?.kind === 'done') return false;
  return it === undefined || it.until <= world.clock.now() || it.token === run.worker;
}

/** True: the part is ours to copy. */
async function claim(world: World, run: Run, fill: Fill, part: number): Promise<boolean> {
  const { name, job } = fill.open;
  if (fill.ended !== null) return false;
  const now = world.clock.now();
  if (!isFree(world, run, fill, part)) return false;
  if (isTimeUp(world, run.partMs)) {
    fill.ended = 'out-of-time';
    return false;
  }
  const id = partId(name, job.upload, part);
  const lease: CopyPart = { kind: 'leased', token: run.worker, until: now + world.topology.limits.leaseMs };
  for (;;) {
    const rev = fill.known.get(part)?.rev ?? 0;
    if (await world.ledger.swapRecord(id, rev, JSON.stringify(lease))) {
      fill.known.set(part, { rev: rev + 1, part: lease });
      fill.lost = 0;
      return true;
    }
    fill.lost += 1;
    if (fill.lost % LOST_MAX === 0) await refresh(world, fill);
    else {
      const found = await world.ledger.getRecord(id);
      if (found !== null) fill.known.set(part, { rev: found.rev, part: readCopyPart(found.value) });
    }
    const known = fill.known.get(part);
    // A lease that has ended may be taken over by one more try; by whom, the ledger decides.
    if (known === undefined || known.rev === rev || !isFree(world, run, fill, part)) return false;
  }
}

async function copyPart(
  world: World,
  run: Run,
  version: LogicalVersion,
  fills: readonly Fill[],
  part: number,
  range: ByteRange,
  budget: Budget,
): Promise<Keep> {
  const began = world.clock.now();
  const { source, partBytes } = (fills[0] as Fill).open.job;
  const sizeBytes = range.end - range.start;
  const from = world.stores[source.site] as ObjectStore;
  const given = await fromHolder(run, version, source, async () => {
    const { body } = await openPinned(world, from, source, range);
    if (sizeBytes > HELD_PART_BYTES_MAX) return streamed(body, sizeBytes, fills.length);
    return held(body, roomOf(budget, partBytes), sizeBytes, budget.spare);
  });
  let whole = given !== null;
  const receipts = new Map<Fill, PartReceipt>();
  if (given !== null) {
    const sent = await Promise.allSettled(
      fills.map((fill, index) =>
        guarded(run, fill, async () => {
          const { name, store, job } = fill.open;
          const receipt = await given.send(index, (...body) =>
            store.putPart(stageKey(name), job.upload, part, ...body),
          );
          receipts.set(fill, receipt);
        }),
      ),
    );
    whole = (await fromHolder(run, version, source, given.ended)) !== null;
    given.release(sent.every(({ status }) => status === 'fulfilled') && fills.every(({ ended }) => ended === null));
    for (const outcome of sent) if (outcome.status === 'rejected') throw outcome.reason;
  }
  for (const fill of whole ? [] : fills) fill.ended = run.down.has(source.site) ? 'failed' : 'gone';
  if (world.deadlineAt !== undefined) run.partMs = Math.max(run.partMs, world.clock.now() - began);
  const sums = given?.sums();
  return async () => {
    const kept = fills.map((fill) => {
      const receipt = receipts.get(fill);
      // A stream that broke may have broken for its readers only.
      if (!whole || sums === undefined || receipt === undefined) return letGo(world, run, fill, part);
      return guarded(run, fill, () => record(world, fill, part, receipt, sums));
    });
    await Promise.all(kept);
  };
}

type Body = Parameters<ObjectStore['putPart']>[3];

/** The bytes of one part on their way to some targets. */
interface Given {
  send(index: number, put: (body: Body, sums?: Checksums) => Promise<PartReceipt>): Promise<PartReceipt>;
  sums(): Checksums;
  /** Answers when the source has given everything, and fails as it failed. */
  ended(): Promise<true>;
  release(untouched: boolean): void;
}

async function held(
  body: AsyncIterable<Uint8Array>,
  room: Uint8Array,
  sizeBytes: number,
  spare: Uint8Array[],
): Promise<Given> {
  const open = openChecksums();
  let size = 0;
  for await (const piece of body) {
    if (size + piece.length > sizeBytes) throw tooMany(sizeBytes);
    open.update(piece);
    room.set(piece, size);
    size += piece.length;
  }
  const sums = open.result();
  return {
    send: (_, put) => put(room.subarray(0, size), sums),
    sums: () => sums,
    ended: async () => true,
    // Bytes that are still on their way after a failure must not change under it.
    release: (untouched) => void (untouched && spare.push(room)),
  };
}

function streamed(body: AsyncIterable<Uint8Array>, sizeBytes: number, ways: number): Given {
  const { branches, sums, ended } = split(body, ways, STREAM_BYTES);
  return {
    async send(index, put) {
      const branch = branches[index] as (typeof branches)[number];
      return put({ sizeBytes, bytes: branch.bytes, sums }).finally(branch.leave);
    },
    sums,
    ended: () => ended.then(() => true as const),
    release: () => {},
  };
}

function tooMany(sizeBytes: number) {
  return fault('corrupt', `more than the ${sizeBytes} bytes of a part came`, { field: 'sizeBytes', value: sizeBytes });
}

async function record(
  world: World,
  fill: Fill,
  part: number,
  { receipt, sizeBytes }: PartReceipt,
  { crc32c, crc64nvme }: Checksums,
): Promise<void> {
  const { name, job } = fill.open;
  const done: DonePart = { kind: 'done', receipt, sizeBytes, crc32c, crc64nvme };
  const rev = fill.known.get(part)?.rev ?? 0;
  // Who was slower than its lease leaves the part to whoever took it over.
  if (await world.ledger.swapRecord(partId(name, job.upload, part), rev, JSON.stringify(done)))
    fill.known.set(part, { rev: rev + 1, part: done });
}

/** A part that was not copied is free at once, and not only when its lease ends. */
async function letGo(world: World, run: Run, fill: Fill, part: number): Promise<void> {
  const known = fill.known.get(part);
  if (known?.part.kind !== 'leased' || known.part.token !== run.worker) return;
  const free: CopyPart = { ...known.part, until: 0 };
  const { name, job } = fill.open;
  try {
    await world.ledger.swapRecord(partId(name, job.upload, part), known.rev, JSON.stringify(free));
  } catch (error) {
    if (!isFault(error)) throw error;
  }
}

/** A target that fails ends for this run, and the others go on. */
async function guarded<Answer>(run: Run, fill: Fill, act: () => Promise<Answer>): Promise<Answer | null> {
  try {
    return await act();
  } catch (error) {
    if (!isFault(error)) throw error;
    fill.ended = isFault(error, 'not-found') ? 'gone' : 'failed';
    if (fill.ended === 'gone') return null;
    setAside(run, fill.open.store.site, error.retry);
    return null;
  }
}

/** So many at once, in order; after a failure none is begun any more, and it is thrown when all have ended. */
async function inLanes(
  lanes: number,
  parts: readonly number[],
  copy: (part: number, keepLast: Keep) => Promise<Keep>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const lane = async () => {
    let keepLast = NOTHING;
    while (next < parts.length && !failed) {
      try {
        keepLast = await copy(parts[next++] as number, keepLast);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
    await keepLast();
  };
  const settled = await Promise.allSettled(Array.from({ length: Math.max(1, lanes) }, lane));
  for (const outcome of settled) if (outcome.status === 'rejected') throw outcome.reason;
}
