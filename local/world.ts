/** Three clouds in one process: opens them, sets up a bucket in each and a queue that hears of it, and closes them again. */

import { join } from 'node:path';
import { type RunningAws, startAws } from './aws/start.ts';
import { type RunningAzure, startAzure } from './azure/start.ts';
import { openCloud } from './cloud.ts';
import type { LocalConfig, Ports } from './config.ts';
import { startControl } from './control.ts';
import { type CloudName, type Faults, openFaults } from './faults.ts';
import { type RunningGoogle, startGoogle } from './google/start.ts';

export interface LocalOptions {
  /** Left out: everything is in memory. */
  readonly folder?: string;
  readonly host?: string;
  readonly ports: Ports;
  /** The same seed and the same calls meet the same faults. */
  readonly seed?: number;
  readonly report?: (line: string) => void;
}

export interface LocalWorld {
  readonly config: LocalConfig;
  readonly faults: Faults;
  readonly aws: RunningAws;
  readonly google: RunningGoogle;
  readonly azure: RunningAzure;
  stop(): Promise<void>;
}

/** What has been opened is closed again when something after it could not be. */
export async function startLocalWorld(options: LocalOptions): Promise<LocalWorld> {
  const { folder, host = '127.0.0.1', ports, seed = 1, report = () => {} } = options;
  const faults = openFaults(seed);
  const open: Array<() => Promise<void>> = [];
  const closing = async () => {
    for (const close of open.splice(0).reverse()) await close();
  };
  const cloudOf = (name: CloudName) => {
    const cloud = openCloud({
      name,
      host,
      faults,
      report,
      ...(folder === undefined ? {} : { folder: join(folder, name) }),
    });
    open.push(() => cloud.close());
    return cloud;
  };
  async function started<Running extends { stop(): Promise<void> }>(starting: Promise<Running>): Promise<Running> {
    const running = await starting;
    open.push(() => running.stop());
    return running;
  }
  try {
    const aws = await started(startAws(cloudOf('aws'), ports));
    const google = await started(startGoogle(cloudOf('gcp'), ports));
    const azure = await started(startAzure(cloudOf('azure'), ports));
    const clouds = { aws: aws.config, gcp: google.config, azure: azure.config };
    const control = await started(startControl({ host, port: ports.control, faults, describe: () => config }));
    const url = `http://${host}:${control.port}`;
    const config: LocalConfig = { ...clouds, control: url, dashboard: `${url}/` };
    return { config, faults, aws, google, azure, stop: closing };
  } catch (error) {
    await closing();
    throw error;
  }
}
