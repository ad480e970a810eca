/** A worker copies an object in parts of a size that only terabytes need, in as little memory as any other. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { complaints, digestOf } from '../e2e/compare.ts';
import { peakMebibytes } from '../e2e/processes/child.ts';
import { type Clouds, startCloudsProcess, startWorkerProcess } from '../e2e/processes/start.ts';
import { openApps, openReplication } from '../e2e/scene.ts';
import { until } from '../e2e/wait.ts';

const MI = 1024 * 1024;
const KEY = 'large.bin';
const SIZE_MEBIBYTES = 200;
const PART_BYTES = 64 * MI;
const PEAK_MEBIBYTES_MAX = 256;
const MINUTES_MAX = 5;

const folder = mkdtempSync(join(tmpdir(), 'triplicate-parts-'));
let clouds: Clouds;

beforeAll(async () => {
  clouds = await startCloudsProcess(join(folder, 'state'));
});

afterAll(async () => {
  await clouds.child.kill();
  rmSync(folder, { recursive: true, force: true });
});

it('an object in few parts streams to two clouds at once', { timeout: MINUTES_MAX * 60_000 }, async () => {
  const options = { ledger: 'sqlite', limits: { partBytes: PART_BYTES } } as const;
  const apps = openApps(clouds.config);
  const { world, close } = await openReplication(clouds.config, folder, options, () => {});
  const written = createHash('sha256');
  function* blocks(): Generator<Buffer> {
    for (let n = 0; n < SIZE_MEBIBYTES; n++) {
      const block = Buffer.alloc(MI, createHash('sha256').update(String(n)).digest());
      written.update(block);
      yield block;
    }
  }
  await apps.aws.upload(KEY, Readable.from(blocks()), SIZE_MEBIBYTES * MI);
  const worker = await startWorkerProcess(clouds.config, folder, options);
  try {
    await until('it is everywhere', () => complaints(apps, world), { waitMs: MINUTES_MAX * 60_000 });
    const digest = written.digest('hex');
    expect([await digestOf(apps.gcp, KEY), await digestOf(apps.azure, KEY)]).toEqual([digest, digest]);
    expect(peakMebibytes(worker.pid) ?? 0).toBeLessThan(PEAK_MEBIBYTES_MAX);
  } finally {
    await worker.kill();
    await close();
    for (const app of Object.values(apps)) app.close();
  }
});
