import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EntryWorld, startEntryWorld } from '../../test/samples/entry-world.ts';
import { openJudge } from '../../test/samples/published.ts';

const ENTRY = new URL('./worker.ts', import.meta.url).pathname;
const children: ChildProcess[] = [];
let world: EntryWorld;

beforeAll(async () => {
  world = await startEntryWorld();
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await world.stop();
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function start(environment: Readonly<Record<string, string>>): ChildProcess {
  const env = { PATH: process.env.PATH ?? '', ...environment };
  const child = spawn(process.execPath, [ENTRY], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  return child;
}

async function isReady(port: number): Promise<boolean> {
  for (let tries = 0; tries < 1_200; tries++) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    if (answer?.ok) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

describe('a container', () => {
  it('replicates between all clouds, says that it is well, and ends when it is asked to', async () => {
    const port = await freePort();
    const child = start({ ...world.environment, TRIPLICATE_HEALTH: `127.0.0.1:${port}`, TRIPLICATE_EVENTS: 'stdout' });
    let said = '';
    child.stdout?.on('data', (chunk) => {
      said += chunk;
    });
    expect(await isReady(port)).toBe(true);
    for (const cloud of ['aws', 'gcp', 'azure'] as const)
      await world.write(cloud, `from-${cloud}`, `written in ${cloud}`);
    for (const cloud of ['aws', 'gcp', 'azure'] as const) await world.arrived(`from-${cloud}`, `written in ${cloud}`);
    child.kill('SIGTERM');
    expect(await once(child, 'close')).toEqual([0, null]);
    const events = said.split('\n').flatMap((line) => (line.startsWith('{"specversion"') ? [JSON.parse(line)] : []));
    expect(events.flatMap(openJudge())).toEqual([]);
    const seen = events.filter(({ type }) => type === 'io.triplicate.version.seen.v1').map(({ subject }) => subject);
    expect(new Set(seen)).toEqual(new Set(['from-aws', 'from-gcp', 'from-azure']));
  }, 180_000);

  it('says what is missing in its environment, and ends', async () => {
    const { TRIPLICATE_LEDGER: _ledger, TRIPLICATE_MAC_KEYS: _keys, ...environment } = world.environment;
    const child = start(environment);
    let said = '';
    child.stderr?.on('data', (chunk) => {
      said += chunk;
    });
    const [code] = await once(child, 'close');
    expect(code).toBe(1);
    expect(said).toContain('TRIPLICATE_LEDGER: expected an address');
    expect(said).toContain('TRIPLICATE_MAC_KEYS: expected id:base64');
  });
});
