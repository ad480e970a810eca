import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startControl } from './control.ts';
import { type Faults, openFaults } from './faults.ts';
import type { Service } from './service.ts';

let faults: Faults;
let control: Service;

beforeEach(async () => {
  faults = openFaults(1);
  control = await startControl({ host: '127.0.0.1', port: 0, faults, describe: () => ({ aws: { bucket: 'b' } }) });
});
afterEach(() => control.stop());

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const answer = await fetch(`http://127.0.0.1:${control.port}${path}`, {
    method,
    headers,
    ...(text === undefined ? {} : { body: text }),
  });
  return { status: answer.status, body: (await answer.json()) as { id: string; error: string } };
}

it('tells what runs', async () => {
  expect(await call('GET', '/')).toEqual({ status: 200, body: { aws: { bucket: 'b' } } });
});

it('sets faults, lists them and takes them back', async () => {
  const made = await call('POST', '/faults', { scope: { cloud: 'gcp' }, effect: { kind: 'outage' }, times: 3 });
  expect(made).toMatchObject({ status: 201, body: { scope: { cloud: 'gcp' }, share: 1, times: 3 } });
  expect((await call('GET', '/faults')).body).toEqual([made.body]);
  expect(faults.meet({ cloud: 'gcp', service: 'gcs', operation: 'x' })).toEqual([{ kind: 'outage' }]);
  expect((await call('DELETE', `/faults/${made.body.id}`)).body).toEqual([]);
  expect((await call('DELETE', `/faults/${made.body.id}`)).status).toBe(404);
  await call('POST', '/faults', { effect: { kind: 'silence' } });
  await call('DELETE', '/faults');
  expect(faults.list()).toEqual([]);
});

describe('a mistake is told by its field, and changes nothing', () => {
  const spread = { kind: 'tail', median: 10, p99: 5 };
  it.each([
    [{}, 'effect', 'expected an object, got undefined'],
    [{ effect: { kind: 'flood' } }, 'effect.kind', 'one of outage'],
    [{ effect: { kind: 'outage', status: 1 } }, 'effect.status', 'no such key here'],
    [{ effect: { kind: 'status', status: 200 } }, 'effect.status', 'an integer >= 400'],
    [{ effect: { kind: 'wait', ms: spread } }, 'effect.ms.p99', 'a number >= 10'],
    [
      { effect: { kind: 'delivery', ms: { kind: 'even', min: 0, max: 1 }, twice: 2, never: 0 } },
      'effect.twice',
      '0 to 1',
    ],
    [{ effect: { kind: 'outage' }, scope: { cloud: 'ibm' } }, 'scope.cloud', 'one of aws, gcp, azure'],
    [{ effect: { kind: 'outage' }, share: -1 }, 'share', 'a number >= 0'],
    [{ effect: { kind: 'outage' }, times: 0 }, 'times', 'an integer >= 1'],
    [{ effect: { kind: 'outage' }, often: 1 }, 'often', 'no such key here'],
  ])('%j', async (body, field, text) => {
    const answer = await call('POST', '/faults', body);
    expect(answer).toMatchObject({ status: 400, body: { field, error: expect.stringContaining(text) } });
    expect(faults.list()).toEqual([]);
  });

  it('what is no JSON, too long, elsewhere or from a web page', async () => {
    expect((await call('POST', '/faults', '{"effect":')).status).toBe(400);
    expect((await call('POST', '/faults', ' '.repeat(70_000))).body.error).toContain('more than 65536 bytes');
    expect((await call('GET', '/fault')).status).toBe(404);
    expect((await call('PUT', '/faults', {})).status).toBe(405);
    const page = await call('POST', '/faults', { effect: { kind: 'outage' } }, { origin: 'https://example.com' });
    expect(page.status).toBe(403);
    expect(faults.list()).toEqual([]);
  });
});
