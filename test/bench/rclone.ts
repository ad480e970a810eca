/** rclone as a peer: the very same endpoints, its settings as arguments that the report repeats. */

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import type { LocalConfig } from '../../local/config.ts';

export interface RcloneRun {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** The sum of the processes; null where the system does not tell. */
  readonly peakRssBytes: number | null;
}

export type RcloneTarget = 'gcp' | 'azure';
type Remote = 'aws' | RcloneTarget;

const LOOK_MS = 20;
const RUN_MS_MAX = 20 * 60_000;

export function rcloneVersion(): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn('rclone', ['version'], { stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.on('data', (piece) => {
      text += piece;
    });
    child.on('error', () => resolve(null));
    child.on('close', () => resolve(text.split('\n')[0]?.replace('rclone ', '') ?? null));
  });
}

export type RcloneCommand = 'copy' | 'sync' | 'check';

/** One command for each target, all at once: nobody would wait for one to begin the other. */
export function rcloneEach(
  config: LocalConfig,
  command: RcloneCommand,
  prefix: string,
  targets: readonly RcloneTarget[],
  settings: readonly string[],
): Promise<RcloneRun> {
  const source = toPlace(config, 'aws', prefix);
  return together(
    config,
    targets.map((target) => [command, source, toPlace(config, target, prefix), ...settings]),
  );
}

/** From anywhere to anywhere else, below another prefix there. */
export function rcloneBetween(
  config: LocalConfig,
  from: readonly [Remote, prefix: string],
  to: readonly [Remote, prefix: string],
  settings: readonly string[],
): Promise<RcloneRun> {
  return together(config, [['copy', toPlace(config, ...from), toPlace(config, ...to), ...settings]]);
}

async function together(config: LocalConfig, commands: ReadonlyArray<readonly string[]>): Promise<RcloneRun> {
  const startedAt = performance.now();
  const runs = await Promise.all(commands.map((args) => run(config, args)));
  const seconds = (performance.now() - startedAt) / 1000;
  const rss = runs.map(({ peakRssBytes }) => peakRssBytes);
  return {
    seconds,
    cpuSeconds: runs.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
    peakRssBytes: rss.includes(null) ? null : rss.reduce<number>((sum, it) => sum + (it ?? 0), 0),
  };
}

function toPlace({ aws, gcp, azure }: LocalConfig, remote: Remote, prefix: string): string {
  const buckets = { aws: aws.bucket, gcp: gcp.bucket, azure: azure.container } as const;
  return `${remote}:${buckets[remote]}/${prefix}`;
}

function run(config: LocalConfig, args: readonly string[]): Promise<Omit<RcloneRun, 'seconds'>> {
  return new Promise((resolve, reject) => {
    // The shell tells what its children have used.
    const child = spawn('sh', ['-c', '"$0" "$@" </dev/null; code=$?; echo; times; exit $code', 'rclone', ...args], {
      env: { PATH: process.env.PATH ?? '', HOME: '/nonexistent', ...environmentOf(config) },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: RUN_MS_MAX,
    });
    let out = '';
    let errors = '';
    let peak: number | null = null;
    child.stdout.on('data', (piece) => {
      out += piece;
    });
    child.stderr.on('data', (piece) => {
      errors += piece;
    });
    const looking = setInterval(() => {
      peak = Math.max(peak ?? 0, peakOfChildren(child.pid ?? 0) ?? 0) || null;
    }, LOOK_MS);
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(looking);
      if (code === 0) resolve({ cpuSeconds: childSeconds(out), peakRssBytes: peak });
      else reject(new Error(`rclone ${args.join(' ')} ended with ${code}:\n${errors.slice(-2000)}`));
    });
  });
}

/** The last line of `times`: user and system time of the children, such as 0m1.25s 0m0.31s. */
function childSeconds(text: string): number {
  const times = [...(text.trim().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
  return times.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0);
}

function peakOfChildren(pid: number): number | null {
  const list = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(list)) return null;
  try {
    const children = readFileSync(list, 'utf8').trim().split(' ').filter(Boolean);
    return children.reduce((sum, child) => sum + peakOf(child), 0);
  } catch {
    return null;
  }
}

function peakOf(pid: string): number {
  const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1] ?? 0) * 1024;
}

function environmentOf({ aws, gcp, azure }: LocalConfig): Record<string, string> {
  const key = /AccountKey=([^;]+)/.exec(azure.connectionString)?.[1] ?? '';
  return {
    RCLONE_CONFIG: '/nonexistent/rclone.conf',
    RCLONE_CONFIG_AWS_TYPE: 's3',
    RCLONE_CONFIG_AWS_PROVIDER: 'Other',
    RCLONE_CONFIG_AWS_ENDPOINT: aws.endpoint,
    RCLONE_CONFIG_AWS_REGION: aws.region,
    RCLONE_CONFIG_AWS_ACCESS_KEY_ID: aws.accessKeyId,
    RCLONE_CONFIG_AWS_SECRET_ACCESS_KEY: aws.secretAccessKey,
    RCLONE_CONFIG_AWS_FORCE_PATH_STYLE: 'true',
    RCLONE_CONFIG_GCP_TYPE: 'google cloud storage',
    RCLONE_CONFIG_GCP_ANONYMOUS: 'true',
    RCLONE_CONFIG_GCP_ENDPOINT: `${gcp.storageEndpoint}/storage/v1/`,
    RCLONE_CONFIG_GCP_BUCKET_POLICY_ONLY: 'true',
    RCLONE_CONFIG_GCP_NO_CHECK_BUCKET: 'true',
    RCLONE_CONFIG_AZURE_TYPE: 'azureblob',
    RCLONE_CONFIG_AZURE_USE_EMULATOR: 'true',
    RCLONE_CONFIG_AZURE_ACCOUNT: azure.account,
    RCLONE_CONFIG_AZURE_KEY: key,
    RCLONE_CONFIG_AZURE_ENDPOINT: azure.blobEndpoint,
  };
}
