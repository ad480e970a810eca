import { describe, expect, it } from 'vitest';
import type { Cloud, Site } from '#shared/model/site.ts';
import { DEFAULT_LIMITS, type Topology } from '#shared/model/topology.ts';
import type { StoreEvent } from '#shared/store/memory.ts';
import { type Notification, readMessage, toMessage, truthOf } from './wire.ts';

const NAME = 'a b/100%+ä~x?.txt';
const SITES: Readonly<Record<Cloud, Site>> = {
  aws: { id: 'a', cloud: 'aws', region: 'here', bucket: 'bucket-a', mode: 'active' },
  gcp: { id: 'b', cloud: 'gcp', region: 'here', bucket: 'bucket-b', mode: 'active' },
  azure: { id: 'c', cloud: 'azure', region: 'here', bucket: 'accountc/container', mode: 'active' },
};
const TOPOLOGY: Topology = { namespace: 'sim', sites: Object.values(SITES), routes: [], limits: DEFAULT_LIMITS };
const PHYS: Readonly<Record<Cloud, string>> = { aws: 'v:a1', gcp: 'g:7.1', azure: 'c1:"0xc1"' };

function told(cloud: Cloud, turn: number, event: Partial<StoreEvent> = {}): Notification {
  const site = SITES[cloud];
  return {
    site,
    versioned: true,
    event: { key: NAME, kind: 'put', cause: 'put', phys: PHYS[cloud], ...event },
    key: NAME,
    at: 1_750_000_000_000,
    turn,
  };
}

describe('what simulated buckets tell', () => {
  it.each(['aws', 'gcp', 'azure'] as const)('is read by the readers of %s in every form', (cloud) => {
    for (let turn = 0; turn < 4; turn++) {
      for (const event of [
        {},
        { kind: 'delete', cause: 'delete' },
        { kind: 'delete', cause: 'purge' },
        { kind: 'delete', cause: 'lifecycle' },
      ] as const) {
        const [change, ...others] = readMessage('clouds', toMessage('clouds', told(cloud, turn, event)), TOPOLOGY);
        expect(others).toEqual([]);
        expect(change).toMatchObject({ site: SITES[cloud].id, key: NAME, kind: event.kind ?? 'put' });
      }
    }
  });

  it('takes turns between forms, so that hints differ as they do in life', () => {
    const hints = [0, 1, 2, 3].map(
      (turn) => readMessage('clouds', toMessage('clouds', told('gcp', turn)), TOPOLOGY)[0]?.phys,
    );
    expect(hints).toEqual(['g:7.1', 'g:7.1', 'g:7.1', undefined]);
    expect(readMessage('clouds', toMessage('clouds', told('azure', 0)), TOPOLOGY)[0]?.phys).toBe('"0xc1"');
  });

  it('of what was replaced in GCS tells nothing that has to be looked at, but where it cannot be told apart', () => {
    const gone = { kind: 'delete', cause: 'put', phys: 'g:6.1' } as const;
    const messages = [0, 1, 2, 3].map((turn) => toMessage('clouds', told('gcp', turn, gone)));
    expect(messages.map((text) => readMessage('clouds', text, TOPOLOGY).length)).toEqual([0, 0, 1, 0]);
    expect(messages.map((text) => truthOf('clouds', text) === null)).toEqual([true, true, false, true]);
  });

  it('is the same in our own words', () => {
    expect(readMessage('own', toMessage('own', told('azure', 0)), TOPOLOGY)).toEqual([
      { site: 'c', key: NAME, kind: 'put', phys: PHYS.azure },
    ]);
  });
});

describe('a reader that errs', () => {
  const text = toMessage('clouds', told('aws', 0));
  it.each([
    ['about the key', text.replace('a+b', 'a b+')],
    ['about the bucket', text.replace('bucket-a', 'bucket-z')],
    ['about the kind', text.replace('ObjectCreated', 'ObjectRemoved')],
    ['about the version', text.replace('versionId\\":\\"a1', 'versionId\\":\\"a2')],
    ['about the form', text.replace('eventVersion\\":\\"2', 'eventVersion\\":\\"3')],
  ])('%s is noticed', (_what, changed) => {
    expect(changed).not.toBe(text);
    expect(() => readMessage('clouds', changed, TOPOLOGY)).toThrow(/^a message was (misread|refused)/);
  });
});
