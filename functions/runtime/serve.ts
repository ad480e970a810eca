/** Triplicate as one process: a worker for the queues, a sweeper for what is left over, and an address to ask how it is. */

import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fault, isFault } from '../../shared/model/fault.ts';
import type { OpenWorld } from '../../shared/world/open.ts';
import type { Timer } from '../../shared/world/world.ts';
import { openSource } from '../replicator.ts';
import { startSweeper } from '../sweeper.ts';
import { startVerifier } from '../verifier.ts';
import { startWorker, type WorkerState } from './worker.ts';

export interface ServeOptions {
  readonly timer: Timer;
  /** Messages under way at once. */
  readonly concurrency?: number;
  readonly sweepEveryMs?: number;
  /** 0: never. */
  readonly passEveryMs?: number;
  readonly verifyEveryMs?: number;
  /** Where `/healthz` and `/readyz` answer; left out: nowhere. 0: any port that is free. */
  readonly health?: { readonly host: string; readonly port: number };
}

export interface Serving {
  readonly state: WorkerState;
  /** Of the health endpoint. */
  readonly port: number | null;
  /** Answers 503 at `/readyz` from now on, takes no more messages, lets those under way end. */
  stop(graceMs?: number): Promise<void>;
}

/** As many receives may fail one after another before others should take over. */
const FAILING_MAX = 5;

export async function startServing({ world, queues }: OpenWorld, options: ServeOptions): Promise<Serving> {
  const { timer, concurrency, sweepEveryMs, passEveryMs, verifyEveryMs, health } = options;
  const sources = world.topology.sites.flatMap(({ id, cloud }) => {
    const queue = queues[id];
    return queue === undefined ? [] : [openSource(cloud, queue, world.topology)];
  });
  const server =
    health === undefined ? null : createServer((request, response) => void respond(request.url ?? '', response));
  const port = server === null || health === undefined ? null : await listen(server, health.host, health.port);
  const worker = startWorker(world, sources, { timer, ...(concurrency === undefined ? {} : { concurrency }) });
  const sweeper = startSweeper(world, {
    timer,
    ...(sweepEveryMs === undefined ? {} : { sweepEveryMs }),
    ...(passEveryMs === undefined ? {} : { passEveryMs }),
  });

  const verifier = startVerifier(world, { timer, ...(verifyEveryMs === undefined ? {} : { everyMs: verifyEveryMs }) });

  async function respond(url: string, response: ServerResponse): Promise<void> {
    const [status, body] = await answer(url);
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(`${JSON.stringify(body)}\n`);
  }

  /** Alive as long as it answers; ready while it takes messages and the ledger answers. */
  async function answer(url: string): Promise<readonly [status: number, body: object]> {
    const { state } = worker;
    const path = url.split('?')[0];
    const unready = (reason: string) => [503, { ok: false, reason, ...state }] as const;
    if (path === '/healthz') return [200, { ok: true, ...state }];
    if (path !== '/readyz') return [404, { ok: false, reason: '/healthz and /readyz are here' }];
    if (state.stopping) return unready('stopping');
    if (state.failing >= FAILING_MAX) return unready('a queue does not answer');
    try {
      return [200, { ok: true, epoch: await world.ledger.epoch(), ...state }];
    } catch (error) {
      return unready(isFault(error) ? error.message : 'the ledger does not answer');
    }
  }

  return {
    state: worker.state,
    port,
    async stop(graceMs) {
      await Promise.all([worker.stop(graceMs), sweeper.stop(), verifier.stop()]);
      server?.closeAllConnections();
      await new Promise<unknown>((resolve) => (server === null ? resolve(null) : server.close(resolve)));
    },
  };
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'the port is taken: give another one' : error.message;
      reject(fault('invalid', `cannot listen on ${host}:${port}: ${why}`, { op: 'health', cause: error }));
    });
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}
