/** Large objects: parts go to a stage object, by any number of workers, and one conditional step publishes it. */

import {
  type ClosedJob,
  type CopyJob,
  type CopyPart,
  JOB_PREFIX,
  jobId,
  jobName,
  partBytesFor,
  partCount,
  partId,
  partsPrefix,
  readCopyJob,
  readCopyPart,
  stageKey,
} from '../model/copy-job.ts';
import { combineChecksums } from '../model/crc.ts';
import { isFault } from '../model/fault.ts';
import type { LogicalVersion } from '../model/key-item.ts';
import type { SiteId } from '../model/site.ts';
import type { ObjectStore, PartReceipt } from '../store/store.ts';
import type { World } from '../world/world.ts';
import { agrees, fromHolder, matchesStored, readPinned, sourcesOf } from './read.ts';
import type { Run } from './run.ts';
import { isTimeUp } from './time.ts';
import { attempt, putOptions, type Target } from './write.ts';

const PARTS_LISTED = 10_000;
const JOBS_REAPED = 1_000;

interface OpenJob {
  readonly name: string;
  readonly job: CopyJob;
  readonly rev: number;
}

export async function copyByParts(world: World, run: Run, version: LogicalVersion, target: Target): Promise<void> {
  const published = await whenStaged(world, run, version, target);
  if (published === null) run.refused.add(target.intent.wid);
}

async function whenStaged(world: World, run: Run, version: LogicalVersion, target: Target): Promise<true | null> {
  const store = world.stores[target.site] as ObjectStore;
  try {
    if (isTimeUp(world)) return leave(run, store.site);
    const open = await openJob(world, run, version, store);
    if (open === null) return null;
    const staged = open.job.staged === null ? await fillStage(world, run, version, store, open) : open;
    if (staged?.job.staged == null) return null;
    const { phys, crc32c, crc64nvme } = staged.job.staged;
    const options = putOptions(world, run.key, version, target, staged.job.metadata, {
      sizeBytes: version.sizeBytes,
      crc32c,
      crc64nvme,
    });
    let lost = false;
    const ended = await attempt(world, run, target, async (it) => {
      try {
        return await it.copy({ key: stageKey(staged.name), phys }, run.key, options);
      } catch (error) {
        lost = isFault(error, 'not-found');
        throw error;
      }
    });
    if (lost || ended !== 'not-done') await closeJob(world, staged.name, store);
    return true;
  } catch (error) {
    if (!isFault(error)) throw error;
    run.down.add(target.site);
    if (error.retry !== 'never') run.backSoon.add(target.site);
    return null;
  }
}

/** Not written to any more in this run, so that the key stays due; what is done counts for the next one. */
function leave(run: Run, site: SiteId): null {
  run.outOfTime = true;
  run.down.add(site);
  run.backSoon.add(site);
  return null;
}

/** The job of this version for this site: found, or begun by whoever is first. */
async function openJob(world: World, run: Run, version: LogicalVersion, store: ObjectStore): Promise<OpenJob | null> {
  const name = jobName(run.key, version.vid, store.site);
  const found = await world.ledger.getRecord(jobId(name));
  const known = found === null ? null : readCopyJob(found.value);
  if (found !== null && known !== null && !('closedAt' in known)) return { name, job: known, rev: found.rev };
  for (const source of sourcesOf(version, run)) {
    const from = world.stores[source.site] as ObjectStore;
    const first = await fromHolder(run, version, source, () => readPinned(world, from, source, { start: 0, end: 1 }));
    if (first === null) continue;
    const upload = await store.createUpload(stageKey(name));
    const { limits } = world.topology;
    const job: CopyJob = {
      key: run.key,
      vid: version.vid,
      site: store.site,
      source,
      metadata: first.version.metadata,
      stored: first.version.checksums,
      sizeBytes: version.sizeBytes,
      partBytes: partBytesFor(version.sizeBytes, Math.max(limits.partBytes, store.capabilities.partBytesMin)),
      upload,
      createdAt: world.clock.now(),
      staged: null,
    };
    if (await world.ledger.swapRecord(jobId(name), found?.rev ?? 0, JSON.stringify(job)))
      return { name, job, rev: (found?.rev ?? 0) + 1 };
    await store.abortUpload(stageKey(name), upload);
    return null;
  }
  return null;
}

/** Copies the parts nobody has yet; null while others are still at theirs, or when the job had to be given up. */
async function fillStage(
  world: World,
  run: Run,
  version: LogicalVersion,
  store: ObjectStore,
  open: OpenJob,
): Promise<OpenJob | null> {
  const { name, job, rev } = open;
  const count = partCount(job.sizeBytes, job.partBytes);
  const done: Array<Extract<CopyPart, { kind: 'done' }>> = [];
  let busy = false;
  for (let part = 1; part <= count; part++) {
    const copied = await copyPart(world, run, version, store, open, part);
    if (copied === 'gone') {
      await closeJob(world, name, store);
      return null;
    }
    if (copied === 'out-of-time') return leave(run, store.site);
    if (copied !== 'busy') done.push(copied);
    // Who has no end of time leaves the rest to the other one; of those whose time ends each does what it can.
    else if (world.deadlineAt !== undefined) busy = true;
    else if (world.rules['parts-complete']) return null;
  }
  if (busy || isTimeUp(world)) return leave(run, store.site);
  const sums = combineChecksums(done.map(({ sizeBytes, crc32c, crc64nvme }) => ({ sizeBytes, crc32c, crc64nvme })));
  if (world.rules['parts-complete'] && !(agrees(version, sums) && matchesStored(job.stored, sums))) {
    world.report({
      severity: 'alarm',
      what: 'corrupt-source',
      site: job.source.site,
      key: run.key,
      detail: `parts of ${version.vid} do not add up to it`,
    });
    run.down.add(job.source.site);
    await closeJob(world, name, store);
    return null;
  }
  const receipts: PartReceipt[] = done.map(({ receipt, sizeBytes }, i) => ({ part: i + 1, receipt, sizeBytes }));
  const phys = await complete(store, name, job, receipts);
  if (phys === null) {
    await closeJob(world, name, store);
    return null;
  }
  const staged: CopyJob = { ...job, staged: { phys, crc32c: sums.crc32c, crc64nvme: sums.crc64nvme } };
  return (await world.ledger.swapRecord(jobId(name), rev, JSON.stringify(staged)))
    ? { name, job: staged, rev: rev + 1 }
    : null;
}

/** null: the upload is gone, perhaps completed by a worker whose answer was lost. The parts are copied again. */
async function complete(
  store: ObjectStore,
  name: string,
  job: CopyJob,
  receipts: readonly PartReceipt[],
): Promise<string | null> {
  try {
    return (await store.completeUpload(stageKey(name), job.upload, receipts)).phys;
  } catch (error) {
    if (isFault(error, 'not-found')) return null;
    throw error;
  }
}

/** busy: another worker has it. gone: the source or the stage no longer exists. out-of-time: it would not end in time. */
async function copyPart(
  world: World,
  run: Run,
  version: LogicalVersion,
  store: ObjectStore,
  { name, job }: OpenJob,
  part: number,
): Promise<Extract<CopyPart, { kind: 'done' }> | 'busy' | 'gone' | 'out-of-time'> {
  const id = partId(name, job.upload, part);
  const found = await world.ledger.getRecord(id);
  const known = found === null ? null : readCopyPart(found.value);
  if (known?.kind === 'done') return known;
  const now = world.clock.now();
  if (known !== null && known.until > now && known.token !== run.worker) return 'busy';
  if (isTimeUp(world, run.partMs)) return 'out-of-time';
  const lease: CopyPart = { kind: 'leased', token: run.worker, until: now + world.topology.limits.leaseMs };
  if (!(await world.ledger.swapRecord(id, found?.rev ?? 0, JSON.stringify(lease)))) return 'busy';

  const from = world.stores[job.source.site] as ObjectStore;
  const range = { start: (part - 1) * job.partBytes, end: Math.min(part * job.partBytes, job.sizeBytes) };
  const read = await fromHolder(run, version, job.source, () => readPinned(world, from, job.source, range));
  if (read === null) return run.down.has(job.source.site) ? 'busy' : 'gone';
  try {
    const { receipt, sizeBytes } = await store.putPart(stageKey(name), job.upload, part, read.bytes);
    const { crc32c, crc64nvme } = read.checksums;
    const done = { kind: 'done', receipt, sizeBytes, crc32c, crc64nvme } as const;
    if (world.deadlineAt !== undefined) run.partMs = Math.max(run.partMs, world.clock.now() - now);
    return (await world.ledger.swapRecord(id, (found?.rev ?? 0) + 1, JSON.stringify(done))) ? done : 'busy';
  } catch (error) {
    if (isFault(error, 'not-found')) return 'gone';
    throw error;
  }
}

/** Removes what a job left: its parts, its upload, its stage object. What fails here, the reaper removes later. */
export async function closeJob(world: World, name: string, store: ObjectStore): Promise<void> {
  try {
    const found = await world.ledger.getRecord(jobId(name));
    const job = found === null ? null : readCopyJob(found.value);
    for (const record of await world.ledger.listRecords({ prefix: partsPrefix(name), limit: PARTS_LISTED }))
      await world.ledger.swapRecord(record.id, record.rev, null);
    if (found === null || job === null || 'closedAt' in job) return;
    await store.abortUpload(stageKey(name), job.upload);
    await store.delete(stageKey(name), { kind: 'always' });
    const closed: ClosedJob = { closedAt: world.clock.now() };
    await world.ledger.swapRecord(found.id, found.rev, JSON.stringify(closed));
  } catch (error) {
    if (!isFault(error)) throw error;
  }
}

/** For the sweep: jobs nobody needs any more, and the last trace of those that ended long ago. */
export async function reapJobs(world: World, olderThanMs: number): Promise<void> {
  const now = world.clock.now();
  for (const record of await world.ledger.listRecords({ prefix: JOB_PREFIX, limit: JOBS_REAPED })) {
    const job = readCopyJob(record.value);
    if ('closedAt' in job) {
      if (job.closedAt < now - olderThanMs) await world.ledger.swapRecord(record.id, record.rev, null);
      continue;
    }
    const { item } = await world.ledger.get(job.key);
    const wanted = item?.frontier.includes(job.vid) === true && item.sites[job.site]?.vid !== job.vid;
    const store = world.stores[job.site];
    if (!wanted && store !== undefined && job.createdAt < now - world.topology.limits.leaseMs)
      await closeJob(world, jobName(job.key, job.vid, job.site), store);
  }
}
