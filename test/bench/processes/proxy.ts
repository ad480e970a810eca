/** Links that are long: a TCP proxy before each endpoint, which holds every piece back for half of the way there and back. */

import { connect, createServer, type Socket } from 'node:net';
import type { Link } from '../links.ts';
import { serveParent } from '../serve.ts';

export interface Opening extends Link {
  readonly port: number;
  readonly seed: number;
}

/** A piece is as many segments as its bytes need; it comes late when one of them is lost. */
const SEGMENT_BYTES = 1448;

/** What a lost segment costs at the least: the first time that TCP waits before it sends again. */
const AGAIN_MS = 200;

const servers: ReturnType<typeof createServer>[] = [];

serveParent(
  {
    /** Answers the port of the proxy. */
    open({ port, ms, loss, seed }: Opening): Promise<number> {
      let state = seed;
      const isLost = (bytes: number) => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return state / 2 ** 32 < 1 - (1 - loss) ** Math.ceil(bytes / SEGMENT_BYTES);
      };
      const server = createServer((near) => {
        const far = connect(port, '127.0.0.1');
        for (const socket of [near, far]) socket.setNoDelay(true);
        forward(near, far, ms / 2, isLost);
        forward(far, near, ms / 2, isLost);
      });
      servers.push(server);
      return new Promise((resolve, reject) => {
        server.on('error', reject);
        server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
      });
    },
  },
  () => {
    for (const server of servers) server.close();
  },
);

/** In order: what comes behind a piece that is sent again waits for it. */
function forward(from: Socket, to: Socket, ms: number, isLost: (bytes: number) => boolean): void {
  const waiting: { readonly at: number; readonly run: () => void }[] = [];
  let last = 0;
  let isSet = false;
  const drain = () => {
    isSet = false;
    const now = performance.now();
    while (waiting[0] && waiting[0].at <= now) waiting.shift()?.run();
    if (waiting[0]) set(waiting[0].at - now);
  };
  const set = (inMs: number) => {
    isSet = true;
    setTimeout(drain, inMs);
  };
  const later = (run: () => void, extra = 0) => {
    last = Math.max(last, performance.now() + ms + extra);
    waiting.push({ at: last, run });
    if (!isSet) set(last - performance.now());
  };
  from.on('data', (piece) => later(() => to.write(piece), isLost(piece.length) ? AGAIN_MS : 0));
  from.on('end', () => later(() => to.end()));
  from.on('close', () => later(() => to.destroy()));
  from.on('error', () => to.destroy());
}
