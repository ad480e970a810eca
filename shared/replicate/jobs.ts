/** Records of large copies: begun by whoever is first, closed when they are over, reaped when nobody needs them. */

import {
  type ClosedJob,
  type CopyJob,
  JOB_PREFIX,
  jobId,
  jobName,
  partBytesFor,
  partsPrefix,
  readCopyJob,
  stageKey,
} from '../model/copy-job.ts';
import { isFault } from '../model/fault.ts';
import type { LogicalVersion } from '../model/key-item.ts';
import type { SiteId } from '../model/site.ts';
import type { ObjectStore } from '../store/store.ts';
import type { World } from '../world/world.ts';
import { fromHolder, readPinned, sourcesOf } from './read.ts';
import type { Run } from './run.ts';

export const PARTS_LISTED = 10_000;
const JOBS_REAPED = 1_000;

export interface OpenJob {
  readonly name: string;
  readonly store: ObjectStore;
  readonly job: CopyJob;
  readonly rev: number;
  /** By this very call. */
  readonly begun?: true;
}

/** The job of this version for this site, if there is one. */
export async function findJob(world: World, key: string, vid: string, site: SiteId): Promise<OpenJob | null> {
  const name = jobName(key, vid, site);
  const { job, rev } = await jobOf(world, name);
  return job === null ? null : { name, store: world.stores[site] as ObjectStore, job, rev };
}

/** Null: there is none, or it has ended; its revision is told all the same. */
async function jobOf(world: World, name: string): Promise<{ readonly job: CopyJob | null; readonly rev: number }> {
  const found = await world.ledger.getRecord(jobId(name));
  if (found === null) return { job: null, rev: 0 };
  const job = readCopyJob(found.value);
  return { job: 'closedAt' in job ? null : job, rev: found.rev };
}

/** The job of this version for this site: found, or begun by whoever is first. */
export async function openJob(
  world: World,
  run: Run,
  version: LogicalVersion,
  store: ObjectStore,
): Promise<OpenJob | null> {
  const name = jobName(run.key, version.vid, store.site);
  const { job: known, rev } = await jobOf(world, name);
  if (known !== null) return { name, store, job: known, rev };
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
      publishing: null,
    };
    if (await world.ledger.swapRecord(jobId(name), rev, JSON.stringify(job)))
      return { name, store, job, rev: rev + 1, begun: true };
    await store.abortUpload(stageKey(name), upload);
    return null;
  }
  return null;
}

/** The job with something more known of it; null: somebody else has changed it since. */
export async function keepJob(world: World, open: OpenJob, known: Partial<CopyJob>): Promise<OpenJob | null> {
  const job: CopyJob = { ...open.job, ...known };
  const kept = await world.ledger.swapRecord(jobId(open.name), open.rev, JSON.stringify(job));
  return kept ? { ...open, job, rev: open.rev + 1 } : null;
}

/** Removes what a job left: its parts, its uploads, its stage object. What fails here, the reaper removes later. */
export async function closeJob(world: World, name: string, store: ObjectStore): Promise<void> {
  try {
    const { job, rev } = await jobOf(world, name);
    for (const record of await world.ledger.listRecords({ prefix: partsPrefix(name), limit: PARTS_LISTED }))
      await world.ledger.swapRecord(record.id, record.rev, null);
    if (job === null) return;
    await store.abortUpload(stageKey(name), job.upload);
    if (job.publishing !== null) await store.abortUpload(job.key, job.publishing.progress);
    await store.delete(stageKey(name), { kind: 'always' });
    const closed: ClosedJob = { closedAt: world.clock.now() };
    await world.ledger.swapRecord(jobId(name), rev, JSON.stringify(closed));
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
