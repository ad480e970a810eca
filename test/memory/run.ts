/** What a client needs to stream an object to a store and back: `node test/memory/run.ts gcs 1024` (MiB). */

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { REGION } from '../../local/aws/account.ts';
import { startS3 } from '../../local/aws/s3/s3.ts';
import { startBlob } from '../../local/azure/blob/blob.ts';
import { openCloud } from '../../local/cloud.ts';
import { startGcs } from '../../local/google/gcs/gcs.ts';

const MI = 1024 * 1024;
const MINUTES_MAX = 10;
/** Collects the pieces of a body soon after they were read; left alone, Node lets some 50 MiB of them pile up first. */
const COLLECT_SOON = '--max-semi-space-size=1';

export interface Measured {
  /** Whether what came back is what was sent. */
  readonly same: boolean;
  readonly peakUpBytes: number;
  readonly peakBytes: number;
}

type Started = { readonly options: object; stop(): Promise<void> };

const SERVICES: Readonly<Record<string, (folder: string) => Promise<Started>>> = {
  async azblob(folder) {
    const cloud = openCloud({ name: 'azure', folder });
    const blob = await startBlob(cloud, { port: 0 });
    await blob.createContainer('box');
    const options = { site: 'z', container: 'box', connectionString: blob.connectionString };
    return { options, stop: () => blob.stop().then(cloud.close) };
  },
  async file(folder) {
    return { options: { site: 'f', directory: join(folder, 'files') }, stop: async () => {} };
  },
  async s3(folder) {
    const cloud = openCloud({ name: 'aws', folder });
    const s3 = await startS3(cloud, { port: 0 });
    s3.createBucket('box', { versioning: true });
    return {
      options: {
        site: 's',
        bucket: 'box',
        region: REGION,
        endpoint: `http://127.0.0.1:${s3.port}`,
        forcePathStyle: true,
        credentials: { accessKeyId: 'local', secretAccessKey: 'local-secret' },
      },
      stop: () => s3.stop().then(cloud.close),
    };
  },
  async gcs(folder) {
    const cloud = openCloud({ name: 'gcp', folder });
    const gcs = await startGcs(cloud, { port: 0 });
    gcs.createBucket('box');
    return {
      options: { site: 'g', bucket: 'box', apiEndpoint: gcs.endpoint },
      stop: () => gcs.stop().then(cloud.close),
    };
  },
};

export const drivers: readonly string[] = Object.keys(SERVICES);

export async function measure(driver: string, sizeBytes: number): Promise<Measured> {
  const start = SERVICES[driver];
  if (!start) throw new Error(`no driver ${driver}, only ${drivers.join(', ')}`);
  const folder = mkdtempSync(join(tmpdir(), 'triplicate-memory-'));
  const service = await start(folder);
  try {
    const script = join(import.meta.dirname, 'stream.ts');
    const args = [COLLECT_SOON, script, driver, JSON.stringify(service.options)];
    // Reading TypeScript takes memory that a deployed program does not need: the first run does it for the second.
    const env = { ...process.env, NODE_COMPILE_CACHE: join(folder, 'compiled') };
    const run = (size: number) =>
      promisify(execFile)(process.execPath, [...args, String(size)], { env, timeout: MINUTES_MAX * 60_000 });
    await run(1);
    return JSON.parse((await run(sizeBytes)).stdout) as Measured;
  } finally {
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === import.meta.filename) {
  const [, , driver = '', mib = '1024'] = process.argv;
  const { same, peakUpBytes, peakBytes } = await measure(driver, Number(mib) * MI);
  const peaks = [peakUpBytes, peakBytes].map((bytes) => Math.round(bytes / MI));
  console.log(`${mib} MiB up and down: ${same ? 'whole' : 'NOT WHOLE'}, at most ${peaks.join(', then ')} MiB resident`);
  // What the local services share keeps waiting for others.
  process.exit(same ? 0 : 1);
}
