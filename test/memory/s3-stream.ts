/** How much memory a client needs to stream an object to S3 and back: `node test/memory/s3-stream.ts 1024` (MiB). */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Measured {
  readonly peakMib: number;
  /** All bytes came back, and are those that were sent. */
  readonly whole: boolean;
}

const MINUTES_MAX = 10;
/** Collects the pieces of a body soon after they were read; left alone, Node lets some 50 MiB of them pile up first. */
const COLLECT_SOON = '--max-semi-space-size=1';

export async function measure(mib: number): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'triplicate-memory-'));
  const server = spawn(process.execPath, [join(import.meta.dirname, 's3-server.ts'), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [port] = await once(server.stdout, 'data');
    const client = [COLLECT_SOON, join(import.meta.dirname, 's3-client.ts'), String(port).trim()];
    // Reading TypeScript takes memory that a deployed program does not need: the first run does it for the second.
    const env = { ...process.env, NODE_COMPILE_CACHE: join(folder, 'compiled') };
    const run = (size: number) =>
      promisify(execFile)(process.execPath, [...client, String(size)], { env, timeout: MINUTES_MAX * 60_000 });
    await run(1);
    return JSON.parse((await run(mib)).stdout) as Measured;
  } finally {
    server.kill('SIGKILL');
    await once(server, 'exit');
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === import.meta.filename) {
  const mib = Number(process.argv[2] ?? 1024);
  const { peakMib, whole } = await measure(mib);
  console.log(`${mib} MiB up and down: ${whole ? 'whole' : 'NOT WHOLE'}, at most ${peakMib} MiB resident`);
  process.exitCode = whole ? 0 : 1;
}
