import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type OpenCloud, openCloud } from './cloud.ts';
import type { Effect } from './faults.ts';
import { serveHttp } from './http.ts';
import type { Service } from './service.ts';

const TEXT = 'x'.repeat(10_000);

let cloud: OpenCloud;
let service: Service;
let handled: number;
const reports: string[] = [];

beforeEach(async () => {
  handled = 0;
  reports.length = 0;
  cloud = openCloud({ name: 'aws', report: (line) => reports.push(line) });
  service = await serveHttp({
    cloud,
    service: 's3',
    port: 0,
    describe: ({ method, url }) => ({ operation: method === 'PUT' ? 'PutObject' : 'GetObject', key: url ?? '' }),
    async handle(incoming, response) {
      for await (const _ of incoming);
      handled += 1;
      if (incoming.url === '/broken') throw new Error('a bug');
      response.end(TEXT);
    },
    refuse(response, status) {
      response.writeHead(status).end(`refused ${status}`);
    },
  });
});

afterEach(async () => {
  await service.stop();
  await cloud.close();
});

const url = (path = '/key') => `http://127.0.0.1:${service.port}${path}`;
const strike = (effect: Effect) => cloud.faults.add({ effect, times: 1 });

describe('a request', () => {
  it('is answered', async () => {
    expect(await (await fetch(url())).text()).toBe(TEXT);
  });

  it('that meets an outage is cut off, and nothing happens', async () => {
    strike({ kind: 'outage' });
    await expect(fetch(url())).rejects.toThrow();
    expect(handled).toBe(0);
  });

  it('that meets silence waits until its own deadline', async () => {
    strike({ kind: 'silence' });
    await expect(fetch(url(), { signal: AbortSignal.timeout(50) })).rejects.toThrow(/timeout/);
    expect(handled).toBe(0);
  });

  it('that meets a status gets the cloud own error for it', async () => {
    strike({ kind: 'status', status: 429 });
    const answer = await fetch(url(), { method: 'PUT', body: TEXT });
    expect([answer.status, await answer.text(), handled]).toEqual([429, 'refused 429', 0]);
  });

  it('whose answer is lost has happened all the same', async () => {
    strike({ kind: 'lost-answer' });
    await expect(fetch(url(), { method: 'PUT', body: TEXT })).rejects.toThrow();
    expect(handled).toBe(1);
  });

  it('whose answer is cut gets only so many bytes', async () => {
    strike({ kind: 'cut', afterBytes: 100 });
    let bytes = 0;
    const read = async () => {
      for await (const piece of (await fetch(url())).body ?? []) bytes += piece.length;
    };
    await expect(read()).rejects.toThrow();
    expect(bytes).toBe(100);
  });

  it('whose answer is slow gets all of it', async () => {
    strike({ kind: 'slow', bytesPerSecond: 200_000 });
    expect(await (await fetch(url())).text()).toBe(TEXT);
  });

  it('that meets a bug gets an internal error, and the bug is reported', async () => {
    expect(await (await fetch(url('/broken'))).text()).toBe('refused 500');
    expect(reports).toEqual(['aws s3: GetObject: Error: a bug']);
  });

  it('with endless headers is refused, and the next one is served', async () => {
    const outgoing = request(url(), { headers: { 'x-much': 'x'.repeat(20_000) } }).end();
    const [answer] = await once(outgoing, 'response');
    expect(answer.statusCode).toBe(431);
    expect((await fetch(url())).status).toBe(200);
  });

  it('that is no HTTP at all is refused, and the next one is served', async () => {
    const socket = connect(service.port, '127.0.0.1');
    socket.end('\x00\x01 nonsense\r\n\r\n');
    const [piece] = await once(socket, 'data');
    expect(String(piece)).toMatch(/^HTTP\/1.1 400/);
    expect((await fetch(url())).status).toBe(200);
  });
});

it('a taken port is named', async () => {
  const again = serveHttp({
    cloud,
    service: 'gcs',
    port: service.port,
    describe: () => ({ operation: 'x' }),
    handle: async () => {},
    refuse: () => {},
  });
  await expect(again).rejects.toThrow(`aws gcs cannot listen on 127.0.0.1:${service.port}: the port is taken`);
});
