/** Starts a local service, streams through a driver from another process, and tells the peak of that process. */

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startBlob } from '../../local/azure/blob/blob.ts';
import { openCloud } from '../../local/cloud.ts';
import { startGcs } from '../../local/google/gcs/gcs.ts';

const MI = 1024 * 1024;

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
    const args = [script, driver, JSON.stringify(service.options), String(sizeBytes)];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 600_000 });
    return JSON.parse(stdout) as Measured;
  } finally {
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

// `node test/memory/run.ts gcs 1024`: one gibibyte, which takes a minute or so.
if (import.meta.main) {
  const [, , driver = '', mebibytes = '1024'] = process.argv;
  const { same, peakUpBytes, peakBytes } = await measure(driver, Number(mebibytes) * MI);
  const peaks = [peakUpBytes, peakBytes].map((bytes) => Math.round(bytes / MI));
  process.stdout.write(
    `${driver}: ${mebibytes} MiB up and down, same: ${same}, peak RSS ${peaks.join(', then ')} MiB\n`,
  );
}
