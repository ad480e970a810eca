/** The control API of the local world: what runs, and what is to go wrong. JSON over HTTP, for people and test programs. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { isFault } from '#shared/model/fault.ts';
import type { Faults } from './faults.ts';
import { listen } from './http.ts';
import { readFault } from './read-fault.ts';
import type { Service } from './service.ts';

export interface ControlOptions {
  readonly host: string;
  readonly port: number;
  readonly faults: Faults;
  /** What `GET /` tells: every endpoint, key and name. */
  describe(): object;
}

type Answer = readonly [status: number, body: unknown];
type Call = (control: ControlOptions, id: string, body: unknown) => Answer;

const ROUTES: Readonly<Record<string, Readonly<Record<string, Call>>>> = {
  '/': { GET: ({ describe }) => [200, describe()] },
  '/faults': {
    GET: ({ faults }) => [200, faults.list()],
    POST: ({ faults }, _id, body) => [201, faults.add(readFault(body))],
    DELETE: ({ faults }) => {
      faults.clear();
      return [200, []];
    },
  },
  '/faults/': {
    DELETE: ({ faults }, id) =>
      faults.remove(id) ? [200, faults.list()] : [404, { error: `no fault is called ${id}` }],
  },
};

const BODY_BYTES_MAX = 64 * 1024;

export async function startControl(options: ControlOptions): Promise<Service> {
  const server = createServer((request, response) => void respond(options, request, response));
  const port = await listen(server, options.host, options.port, 'the control API');
  return {
    name: 'control',
    port,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function respond(options: ControlOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [status, body] = await answer(options, request);
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body, null, 2)}\n`);
}

async function answer(options: ControlOptions, request: IncomingMessage): Promise<Answer> {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  const id = pathname.startsWith('/faults/') ? pathname.slice('/faults/'.length) : '';
  const calls = ROUTES[id === '' ? pathname : '/faults/'];
  if (calls === undefined) return [404, { error: `nothing is at ${pathname}: / and /faults are` }];
  const call = calls[request.method ?? ''];
  if (call === undefined) return [405, { error: `${request.method} is not for ${pathname}` }];
  // A page in a browser may send requests here, too; none of them changes anything.
  if (request.headers.origin !== undefined) return [403, { error: 'not for pages of other origins' }];
  try {
    return call(options, id, request.method === 'POST' ? await readBody(request) : undefined);
  } catch (error) {
    if (isFault(error)) return [400, { error: error.message, field: error.details.field }];
    if (error instanceof SyntaxError) return [400, { error: `not JSON: ${error.message}` }];
    throw error;
  }
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of request) {
    size += (piece as Uint8Array).length;
    if (size > BODY_BYTES_MAX) throw new SyntaxError(`more than ${BODY_BYTES_MAX} bytes`);
    pieces.push(piece as Uint8Array);
  }
  return JSON.parse(Buffer.concat(pieces).toString('utf8'));
}
