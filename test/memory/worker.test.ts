/** A worker copies large objects in little memory: few parts of a size that only terabytes need, and many objects at once. */
import { createHash, type Hash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { complaints, digestOf } from '../e2e/compare.ts';
import { peakMebibytes } from '../e2e/processes/child.ts';
import { startCloudsProcess, startWorkerProcess } from '../e2e/processes/start.ts';
import { openApps, openReplication } from '../e2e/scene.ts';
import { until } from '../e2e/wait.ts';

const MI = 1024 * 1024;
const MINUTES_MAX = 2;
/** With nothing that bounds them the second peaks at 1,027 MiB instead of some 270. */
const CASES = [
  {
    what: 'an object in few parts',
    objects: 1,
    sizeBytes: 200 * MI,
    peakMebibytes: 256,
    limits: { partBytes: 64 * MI },
  },
  { what: 'many objects that are held whole', objects: 20, sizeBytes: 15 * MI, peakMebibytes: 350, limits: {} },
] as const;

it.each(CASES)('$what: to two clouds at once', { timeout: MINUTES_MAX * 60_000 }, async (one) => {
  const options = { ledger: 'sqlite', limits: one.limits } as const;
  const folder = mkdtempSync(join(tmpdir(), 'triplicate-memory-'));
  const clouds = await startCloudsProcess(join(folder, 'state'));
  const apps = openApps(clouds.config);
  const { world, close } = await openReplication(clouds.config, folder, options, () => {});
  const digests = new Map<string, string>();
  for (let n = 0; n < one.objects; n++) {
    const key = `${one.what}/${n}`;
    const written = createHash('sha256');
    await apps.aws.upload(key, Readable.from(blocks(key, one.sizeBytes / MI, written)), one.sizeBytes);
    digests.set(key, written.digest('hex'));
  }
  const worker = await startWorkerProcess(clouds.config, folder, options);
  try {
    await until('all are everywhere', () => complaints(apps, world), { waitMs: MINUTES_MAX * 60_000 });
    for (const [key, digest] of digests)
      expect([await digestOf(apps.gcp, key), await digestOf(apps.azure, key)], key).toEqual([digest, digest]);
    expect(peakMebibytes(worker.pid) ?? 0).toBeLessThan(one.peakMebibytes);
  } finally {
    await worker.kill();
    await close();
    for (const app of Object.values(apps)) app.close();
    await clouds.child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
});

function* blocks(key: string, mebibytes: number, written: Hash): Generator<Buffer> {
  for (let n = 0; n < mebibytes; n++) {
    const block = Buffer.alloc(MI, createHash('sha256').update(`${key} ${n}`).digest());
    written.update(block);
    yield block;
  }
}
