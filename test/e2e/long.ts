/** What takes too long for every run: an object of several GiB, a minute of two writers, 2,000 objects, with kills. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import { JOB_PREFIX, jobName, partsPrefix, readCopyJob, readCopyPart } from '#shared/model/copy-job.ts';
import type { World } from '#shared/world/world.ts';
import { complaints, digestOf } from './compare.ts';
import { type Child, peakMebibytes } from './processes/child.ts';
import { startCloudsProcess, startWorkerProcess } from './processes/start.ts';
import { openApps, openReplication, type SceneOptions } from './scene.ts';
import { until } from './wait.ts';

const MI = 1024 * 1024;
const HOURS_MS = 4 * 3_600_000;
const KEY = 'large/object.bin';
const PARTS_LISTED = 10_000;
const PEAK_MEBIBYTES_MAX = 256;
/** Long enough for a part on a busy machine, short enough to wait for those of the worker that is killed. */
const LEASE_MS = 40_000;

const { values } = parseArgs({
  options: {
    mebibytes: { type: 'string', default: '3072' },
    objects: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '60' },
    /** Of a part of the large object; left out: what Triplicate does unless told otherwise. */
    part: { type: 'string' },
    only: { type: 'string', default: 'large,kill,storm' },
  },
});

const steps = values.only.split(',');
const folder = mkdtempSync(join(tmpdir(), 'triplicate-long-'));
try {
  if (steps.includes('large')) await copyLarge(Number(values.mebibytes));
  if (steps.includes('kill')) runTests('kill', { TRIPLICATE_E2E_OBJECTS: values.objects });
  if (steps.includes('storm')) runTests('storm', { TRIPLICATE_E2E_WRITERS_MS: `${Number(values.seconds) * 1_000}` });
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function copyLarge(mebibytes: number): Promise<void> {
  const part = values.part === undefined ? {} : { partBytes: Number(values.part) * MI };
  const options: SceneOptions = { ledger: 'sqlite', limits: { leaseMs: LEASE_MS, ...part }, visibilityMs: LEASE_MS };
  const clouds = await startCloudsProcess(join(folder, 'state'));
  const apps = openApps(clouds.config);
  const peaks: number[] = [];
  let worker: Child | null = null;
  const { world, close } = await openReplication(clouds.config, folder, options, () => {});
  try {
    const written = createHash('sha256');
    const writing = performance.now();
    await apps.aws.upload(KEY, Readable.from(blocks(mebibytes, (block) => written.update(block))), mebibytes * MI);
    tell(`${mebibytes} MiB written to S3`, writing);

    const copying = performance.now();
    worker = await startWorkerProcess(clouds.config, folder, options);
    const third = Math.floor((mebibytes * MI) / world.topology.limits.partBytes / 3);
    const enough = async () => ((await partsDone(world)).size >= third ? [] : ['too few parts']);
    await until('a third of the parts is copied', enough, { waitMs: HOURS_MS });
    peaks.push(peakMebibytes(worker.pid) ?? Number.NaN);
    await worker.kill();
    const before = await partsDone(world);
    tell(`worker killed with ${before.size} parts done`, copying);

    worker = await startWorkerProcess(clouds.config, folder, options);
    let lasting = [...before];
    await until(
      'it is everywhere',
      async () => {
        const now = await partsDone(world);
        // A job that has ended takes its parts with it; until then each must be what it was.
        if (now.size > 0) lasting = lasting.filter(([id, receipt]) => (now.get(id) ?? receipt) === receipt);
        return complaints(apps, world);
      },
      { waitMs: HOURS_MS },
    );
    peaks.push(peakMebibytes(worker.pid) ?? Number.NaN);
    tell(`in all three clouds; ${lasting.length} of ${before.size} parts were not copied again`, copying);

    const reading = performance.now();
    const digest = written.digest('hex');
    for (const app of [apps.gcp, apps.azure])
      if ((await digestOf(app, KEY)) !== digest) throw new Error(`${app.site} holds other bytes`);
    tell('read back and the same', reading);
    console.log(`peak RSS of the two workers: ${peaks.join(' and ')} MiB`);
    if (lasting.length < before.size) throw new Error('parts that were done have been copied again');
    if (peaks.some((peak) => peak > PEAK_MEBIBYTES_MAX)) throw new Error(`more than ${PEAK_MEBIBYTES_MAX} MiB`);
  } finally {
    await worker?.kill();
    await close();
    for (const app of Object.values(apps)) app.close();
    await clouds.child.kill();
  }
}

/** Receipts of the parts that are done, by their records. */
async function partsDone({ ledger }: World): Promise<ReadonlyMap<string, string>> {
  const done = new Map<string, string>();
  for (const record of await ledger.listRecords({ prefix: JOB_PREFIX, limit: PARTS_LISTED })) {
    const job = readCopyJob(record.value);
    if ('closedAt' in job) continue;
    const prefix = partsPrefix(jobName(job.key, job.vid, job.site));
    for (const { id, value } of await ledger.listRecords({ prefix, limit: PARTS_LISTED })) {
      const part = readCopyPart(value);
      if (part.kind === 'done') done.set(id, part.receipt);
    }
  }
  return done;
}

/** No two alike, and never all of them in memory. */
function* blocks(count: number, see: (block: Buffer) => void): Generator<Buffer> {
  for (let i = 0; i < count; i++) {
    const block = Buffer.alloc(MI, createHash('sha256').update(String(i)).digest());
    see(block);
    yield block;
  }
}

function tell(what: string, since: number): void {
  console.log(`${what}, ${((performance.now() - since) / 1_000).toFixed(1)} s`);
}

function runTests(name: string, env: Readonly<Record<string, string>>): void {
  const args = ['node_modules/vitest/vitest.mjs', 'run', `test/e2e/${name}.test.ts`, '--reporter=verbose'];
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  if (status !== 0) process.exitCode = 1;
}
