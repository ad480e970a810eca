/** Large objects: parts go to a stage object, by any number of workers, and one conditional step publishes it. */

import { stageKey } from '../model/copy-job.ts';
import { combineChecksums } from '../model/crc.ts';
import { isFault } from '../model/fault.ts';
import type { KeyItem, LogicalVersion } from '../model/key-item.ts';
import type { SiteId } from '../model/site.ts';
import type { ObjectStore, PartReceipt } from '../store/store.ts';
import type { World } from '../world/world.ts';
import { type Filled, fillStages } from './fill.ts';
import { askForHelp } from './help.ts';
import { closeJob, keepJob, type OpenJob, openJob } from './jobs.ts';
import { publish } from './publish.ts';
import { agrees, matchesStored } from './read.ts';
import { type Run, setAside } from './run.ts';
import { isTimeUp } from './time.ts';
import type { Target } from './write.ts';

/** To all targets at once, since each part is read once for all that lack it. */
export async function copyByParts(
  world: World,
  run: Run,
  item: KeyItem,
  version: LogicalVersion,
  targets: readonly Target[],
): Promise<void> {
  const jobs = new Map<SiteId, OpenJob>();
  await Promise.all(
    targets.map((target) =>
      tried(run, target, async () => {
        if (isTimeUp(world)) return leave(run, target.site);
        const open = await openJob(world, run, version, world.stores[target.site] as ObjectStore);
        if (open !== null) jobs.set(target.site, open);
        return open;
      }),
    ),
  );
  const begun = [...jobs.values()].find((open) => open.begun);
  if (begun !== undefined) await askForHelp(world, begun);
  const unfilled = [...jobs.values()].filter(({ job }) => job.staged === null);
  const filled = await fillStages(world, run, version, unfilled);
  await Promise.all(
    targets.map((target) =>
      tried(run, target, async () => {
        const open = jobs.get(target.site);
        // Told already.
        if (open === undefined) return true;
        const fill = filled.get(open);
        const staged = fill === undefined ? open : await stage(world, run, version, open, fill);
        if (staged === null) return null;
        await publish(world, run, item, version, target, staged);
        return true;
      }),
    ),
  );
}

/** What came to nothing will not happen, so that nobody waits for it. */
async function tried(run: Run, { site, intent }: Target, act: () => Promise<unknown>): Promise<void> {
  try {
    if ((await act()) === null) run.refused.add(intent.wid);
  } catch (error) {
    if (!isFault(error)) throw error;
    setAside(run, site, error.retry);
    run.refused.add(intent.wid);
  }
}

/** Not written to any more in this run, so that the key stays due; what is done counts for the next one. */
function leave(run: Run, site: SiteId): null {
  run.outOfTime = true;
  setAside(run, site);
  return null;
}

/** The stage object of a filled job; null: it is not to be had in this run. */
async function stage(
  world: World,
  run: Run,
  version: LogicalVersion,
  open: OpenJob,
  filled: Filled,
): Promise<OpenJob | null> {
  const { name, store, job } = open;
  const endsInTime = world.deadlineAt !== undefined;
  if (filled.kind === 'gone') {
    await closeJob(world, name, store);
    return null;
  }
  if (filled.kind === 'failed') return null;
  if (filled.kind === 'out-of-time' || (filled.kind === 'busy' && endsInTime)) return leave(run, store.site);
  // Whoever copies the last part goes on; and the key is due soon, in case that nobody does.
  if (filled.kind === 'busy' && world.rules['parts-complete']) {
    setAside(run, store.site);
    return null;
  }
  if (isTimeUp(world)) return leave(run, store.site);
  const { parts } = filled;
  const sums = combineChecksums(parts.map(({ sizeBytes, crc32c, crc64nvme }) => ({ sizeBytes, crc32c, crc64nvme })));
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
  const receipts: PartReceipt[] = parts.map(({ receipt, sizeBytes }, i) => ({ part: i + 1, receipt, sizeBytes }));
  const made = await complete(open, receipts);
  // Each part was checked on its way; this is what the service says of them all.
  if (made === null || (world.rules['parts-complete'] && !matchesStored(made.checksums, sums))) {
    await closeJob(world, name, store);
    return null;
  }
  const { crc32c, crc64nvme } = sums;
  return keepJob(world, open, { staged: { phys: made.phys, crc32c, crc64nvme } });
}

/** null: the upload is gone, perhaps completed by a worker whose answer was lost. The parts are copied again. */
async function complete({ name, store, job }: OpenJob, receipts: readonly PartReceipt[]) {
  try {
    return await store.completeUpload(stageKey(name), job.upload, receipts);
  } catch (error) {
    if (isFault(error, 'not-found')) return null;
    throw error;
  }
}
