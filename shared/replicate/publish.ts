/** Puts a stage object in its place by one conditional copy, which may take more invocations than one. */

import { stageKey } from '../model/copy-job.ts';
import { fault, isFault } from '../model/fault.ts';
import type { Intent, KeyItem, LogicalVersion } from '../model/key-item.ts';
import type { CopyProgress } from '../store/store.ts';
import type { World } from '../world/world.ts';
import { closeJob, keepJob, type OpenJob } from './jobs.ts';
import type { Run } from './run.ts';
import { attempt, putOptions, type Target } from './write.ts';

/** Of its lease a write may spend so much on copying: then it stops, while nobody else may begin. */
const SHARE_OF_LEASE = 0.75;
/** A copy that was begun under an earlier write is gone on with while that write is remembered for so much longer. */
const REMEMBERED_MS = 12 * 3_600_000;

export async function publish(
  world: World,
  run: Run,
  item: KeyItem,
  version: LogicalVersion,
  target: Target,
  staged: OpenJob,
): Promise<void> {
  const { metadata, sizeBytes, staged: made } = staged.job;
  if (made === null) throw fault('internal', `job ${staged.name} is not staged`);
  const { crc32c, crc64nvme, phys } = made;
  const begun = begunCopy(world, item, target, staged);
  // The marker of a copy under way is the one it was begun with: what lands is that write, whoever ends it.
  const writing: Target = begun === null ? target : { site: target.site, intent: begun };
  if (writing !== target) run.refused.add(target.intent.wid);
  const options = putOptions(world, run.key, version, writing, metadata, { sizeBytes, crc32c, crc64nvme });
  const progress = progressOf(world, staged, writing, begun === null);
  let lost = false;
  const ended = await attempt(world, run, writing, async (store) => {
    try {
      if (begun === null && staged.job.publishing !== null)
        await store.abortUpload(run.key, staged.job.publishing.progress);
      return await store.copy({ key: stageKey(staged.name), phys }, run.key, options, progress);
    } catch (error) {
      lost = isFault(error, 'not-found');
      throw error;
    }
  });
  if (progress.stopped()) run.outOfTime = true;
  // After no answer the stage may be needed again; when it is not, the reaper removes it.
  if (lost || ended === 'done') await closeJob(world, staged.name, staged.store);
}

/** The write that began the copy under way, if that copy may still be ended as this write. */
function begunCopy(world: World, item: KeyItem, { site, intent }: Target, { job }: OpenJob): Intent | null {
  const earlier = item.sites[site]?.intents.find(({ wid }) => wid === job.publishing?.wid);
  if (earlier === undefined || earlier.wid === intent.wid) return null;
  const same = earlier.basePhys === intent.basePhys && earlier.baseToken === intent.baseToken;
  return same && earlier.leaseUntil + REMEMBERED_MS > world.clock.now() ? earlier : null;
}

function progressOf(
  world: World,
  staged: OpenJob,
  { intent: { wid } }: Target,
  anew: boolean,
): CopyProgress & { stopped(): boolean } {
  const stopAt = Math.min(
    world.deadlineAt ?? Number.POSITIVE_INFINITY,
    world.clock.now() + world.topology.limits.leaseMs * SHARE_OF_LEASE,
  );
  let open = staged;
  let stopped = false;
  return {
    get from() {
      return anew && open === staged ? null : (open.job.publishing?.progress ?? null);
    },
    async save(progress) {
      const kept = await keepJob(world, open, { publishing: { wid, progress } });
      if (kept === null) throw fault('conflict', `somebody else goes on with job ${open.name}`);
      open = kept;
    },
    isTimeUp() {
      stopped ||= world.clock.now() >= stopAt;
      return stopped;
    },
    stopped: () => stopped,
  };
}
