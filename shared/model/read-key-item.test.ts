/** Shows that every field of a stored item is checked, and that the message leads to the one that is wrong. */
import { describe, expect, it } from 'vitest';
import { Fault } from './fault.ts';
import { readDot, readKeyItem, readStamp, readVersionVector } from './read-key-item.ts';

/** Two versions, two sites, one resolver, and something in every field. */
function fullItem() {
  const version = (s: string, n: number, vv: Record<string, number>) => ({
    vid: `${s}:${n}`,
    dot: { s, n },
    vv,
    kind: 'object',
    hlc: { ms: 1754200000000, c: 2 },
    sizeBytes: 5,
    crc32c: 'mnG7TA==',
    crc64nvme: 'M3eFcAZSQlc=',
    metaDigest: 'ZGlnZXN0',
    origin: { site: s, phys: 'v:1', cause: s === '~' ? 'merge' : 'put' },
    holders: { aws: { phys: 'v:1' }, gcp: { phys: '7.1', key: '.triplicate/s/1' } },
  });
  const site = (vid: string | null) => ({
    phys: vid === null ? 'absent:' : 'v:1',
    token: vid === null ? null : '"etag"',
    body: '',
    modifiedAt: 1754200000000,
    vid,
    past: {},
    wid: vid === null ? null : 'w1',
    lookedAt: 1754200000001,
    evicted: false,
    quarantined: false,
    intents: [
      {
        wid: 'w2',
        vid: '~:2',
        kind: 'copy',
        basePhys: 'v:1',
        baseToken: null,
        worker: 'one',
        leaseUntil: 1754200900000,
      },
    ],
    seen: ['absent:', 'v:1'],
  });
  return {
    schema: 1,
    key: 'docs/a.txt',
    rev: 3,
    epoch: 0,
    dots: { aws: 1, '~': 2 },
    frontier: ['~:2'],
    versions: { 'aws:1': version('aws', 1, { aws: 1 }), '~:2': version('~', 2, { aws: 1, '~': 2 }) },
    sites: { aws: site('aws:1'), gcp: site(null) },
    outbox: [
      { key: 'docs/a.txt', id: '1', kind: 'superseded', at: 5, vid: 'aws:1', by: '~:2', site: 'aws', note: 'because' },
    ],
    due: 1754200000000,
    unresolved: { reason: 'nobody may decide', since: 4, siblings: ['aws:1', 'gcp:2'] },
    copyOf: { key: 'docs/b.txt', vid: 'gcp:9' },
    tombstoneAt: 6,
  };
}

type Item = ReturnType<typeof fullItem>;

/** The item as it comes out of a store, with one value set (`undefined` removes it). */
function itemWith(path: readonly (string | number)[], value: unknown): unknown {
  const item = fullItem();
  let at = item as unknown as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
  at[path.at(-1) as string] = value;
  return JSON.parse(JSON.stringify(item));
}

function messageOf(value: unknown): string {
  try {
    readKeyItem(value);
  } catch (error) {
    if (error instanceof Fault && error.kind === 'invalid') return error.message;
    throw error;
  }
  return 'fine';
}

describe('readKeyItem', () => {
  it('answers the very item it was given', () => {
    const item = JSON.parse(JSON.stringify(fullItem()));
    expect(readKeyItem(item)).toBe(item);
    expect(item).toEqual(fullItem());
  });

  it('accepts what may be empty, null or absent', () => {
    const item = {
      ...fullItem(),
      ...{ dots: {}, frontier: [], versions: {}, sites: {}, outbox: [], due: null, unresolved: null, copyOf: null },
      tombstoneAt: null,
    };
    expect(messageOf(item)).toBe('fine');
    expect(messageOf(itemWith(['versions', 'aws:1', 'crc32c'], ''))).toBe('fine');
    expect(messageOf(itemWith(['versions', 'aws:1', 'crc64nvme'], ''))).toBe('fine');
    expect(messageOf(itemWith(['versions', 'aws:1', 'holders'], {}))).toBe('fine');
    expect(messageOf(itemWith(['outbox', 0, 'by'], undefined))).toBe('fine');
    expect(messageOf(itemWith(['unlisted'], true))).toBe('fine');
  });

  const wrong: readonly (readonly [message: string, path: readonly (string | number)[], value: unknown])[] = [
    ['item.schema: expected 1, got 2', ['schema'], 2],
    ['item.key: expected a string that is not empty, got ""', ['key'], ''],
    ['item.key: expected at most 1024 characters, got ', ['key'], 'k'.repeat(1025)],
    ['item.rev: expected an integer >= 0, got -1', ['rev'], -1],
    ['item.epoch: expected an integer >= 0, got null', ['epoch'], null],
    ['item.dots.aws: expected an integer >= 1, got 0', ['dots', 'aws'], 0],
    ['item.dots: expected only keys that are a site id, one to eight of a-z and 0-9, or ~', ['dots', 'A'], 1],
    ['item.frontier[0]: expected the vid of one of the versions, got "aws:9"', ['frontier', 0], 'aws:9'],
    ['item.frontier[0]: expected the vid of one of the versions, got "__proto__"', ['frontier', 0], '__proto__'],
    ['item.versions["aws:1"].vid: expected the name of its dot, "aws:1"', ['versions', 'aws:1', 'vid'], 'aws:2'],
    ['item.versions["aws:1"].dot.s: expected a site id, one to eight', ['versions', 'aws:1', 'dot', 's'], 'ninechars'],
    ['item.versions["aws:1"].dot.n: expected an integer >= 1, got 0', ['versions', 'aws:1', 'dot', 'n'], 0],
    [
      'item.versions["aws:1"].vv: expected its own dot aws:1 inside, got {"gcp":4}',
      ['versions', 'aws:1', 'vv'],
      { gcp: 4 },
    ],
    ['item.versions["aws:1"].vv.aws: expected an integer >= 1, got "x"', ['versions', 'aws:1', 'vv', 'aws'], 'x'],
    ['item.versions["aws:1"].kind: expected one of object, tombstone', ['versions', 'aws:1', 'kind'], 'file'],
    ['item.versions["aws:1"].hlc.ms: expected an integer >= 0, got 1.5', ['versions', 'aws:1', 'hlc', 'ms'], 1.5],
    ['item.versions["aws:1"].hlc.c: expected an integer >= 0', ['versions', 'aws:1', 'hlc', 'c'], undefined],
    ['item.versions["aws:1"].sizeBytes: expected an integer >= 0', ['versions', 'aws:1', 'sizeBytes'], -1],
    [
      'item.versions["aws:1"].crc32c: expected an empty string or base64 of 4',
      ['versions', 'aws:1', 'crc32c'],
      'mnG7TB==',
    ],
    [
      'item.versions["aws:1"].crc32c: expected an empty string or base64 of 4',
      ['versions', 'aws:1', 'crc32c'],
      'mnG7-A==',
    ],
    [
      'item.versions["aws:1"].crc32c: expected an empty string or base64 of 4',
      ['versions', 'aws:1', 'crc32c'],
      'mnG7é===',
    ],
    [
      'item.versions["aws:1"].crc64nvme: expected an empty string or base',
      ['versions', 'aws:1', 'crc64nvme'],
      'mnG7TA==',
    ],
    ['item.versions["aws:1"].crc64nvme: expected an empty', ['versions', 'aws:1', 'crc64nvme'], 'M3eFcAZSQlb='],
    ['item.versions["aws:1"].metaDigest: expected a string, got null', ['versions', 'aws:1', 'metaDigest'], null],
    ['item.versions["aws:1"].origin.site: expected a site id', ['versions', 'aws:1', 'origin', 'site'], ''],
    ['item.versions["aws:1"].origin.phys: expected a string', ['versions', 'aws:1', 'origin', 'phys'], 1],
    [
      'item.versions["aws:1"].origin.cause: expected one of put, delete,',
      ['versions', 'aws:1', 'origin', 'cause'],
      'post',
    ],
    ['item.versions["aws:1"].holders: expected only keys that are a site', ['versions', 'aws:1', 'holders', '~'], {}],
    ['item.versions["aws:1"].holders.aws.phys: expected a string', ['versions', 'aws:1', 'holders', 'aws'], {}],
    [
      'item.versions["aws:1"].holders.gcp.key: expected a string that is',
      ['versions', 'aws:1', 'holders', 'gcp', 'key'],
      '',
    ],
    [
      'item.versions["aws:1"].holders.gcp.at: expected no such key here',
      ['versions', 'aws:1', 'holders', 'gcp', 'at'],
      1,
    ],
    ['item.sites: expected only keys that are a site id, one to eight of a-z and 0-9, got "~"', ['sites', '~'], {}],
    ['item.sites.aws.vid: expected the vid of one of the versions, got "aws:3"', ['sites', 'aws', 'vid'], 'aws:3'],
    ['item.sites.aws.phys: expected a string that is not empty', ['sites', 'aws', 'phys'], ''],
    ['item.sites.aws.token: expected a string, got 5', ['sites', 'aws', 'token'], 5],
    ['item.sites.aws.body: expected a string', ['sites', 'aws', 'body'], null],
    ['item.sites.aws.modifiedAt: expected an integer >= 0', ['sites', 'aws', 'modifiedAt'], '2026'],
    ['item.sites.aws.wid: expected a string that is not empty', ['sites', 'aws', 'wid'], ''],
    ['item.sites.aws.lookedAt: expected an integer >= 0', ['sites', 'aws', 'lookedAt'], undefined],
    ['item.sites.aws.evicted: expected true or false', ['sites', 'aws', 'evicted'], 'no'],
    ['item.sites.aws.quarantined: expected true or false', ['sites', 'aws', 'quarantined'], null],
    ['item.sites.aws.seen[1]: expected a string', ['sites', 'aws', 'seen', 1], 2],
    ['item.sites.aws.intents: expected an array', ['sites', 'aws', 'intents'], {}],
    ['item.sites.aws.intents[0].wid: expected a string', ['sites', 'aws', 'intents', 0, 'wid'], null],
    [
      'item.sites.aws.intents[0].vid: expected the name of a dot, as in "a:1"',
      ['sites', 'aws', 'intents', 0, 'vid'],
      'a:01',
    ],
    ['item.sites.aws.intents[0].kind: expected one of copy, delete', ['sites', 'aws', 'intents', 0, 'kind'], 'move'],
    ['item.sites.aws.intents[0].basePhys: expected a string', ['sites', 'aws', 'intents', 0, 'basePhys'], null],
    ['item.sites.aws.intents[0].baseToken: expected a string', ['sites', 'aws', 'intents', 0, 'baseToken'], 4],
    ['item.sites.aws.intents[0].worker: expected a string', ['sites', 'aws', 'intents', 0, 'worker'], undefined],
    [
      'item.sites.aws.intents[0].leaseUntil: expected an integer >= 0',
      ['sites', 'aws', 'intents', 0, 'leaseUntil'],
      -5,
    ],
    ['item.outbox[0].key: expected a string', ['outbox', 0, 'key'], undefined],
    ['item.outbox[0].id: expected a string that is not empty', ['outbox', 0, 'id'], ''],
    ['item.outbox[0].kind: expected one of version, superseded, resolved,', ['outbox', 0, 'kind'], 'lost'],
    ['item.outbox[0].at: expected an integer >= 0', ['outbox', 0, 'at'], null],
    ['item.outbox[0].vid: expected the name of a dot', ['outbox', 0, 'vid'], 'aws'],
    ['item.outbox[0].by: expected the name of a dot', ['outbox', 0, 'by'], 'aws:0'],
    ['item.outbox[0].site: expected a site id', ['outbox', 0, 'site'], 'EU'],
    ['item.outbox[0].note: expected a string', ['outbox', 0, 'note'], undefined],
    ['item.due: expected an integer >= 0, got "soon"', ['due'], 'soon'],
    ['item.unlisted: expected true, and only where due is set, got false', ['unlisted'], false],
    ['item.unlisted: expected true, and only where due is set, got null', ['unlisted'], null],
    ['item.unresolved.since: expected an integer >= 0', ['unresolved', 'since'], null],
    ['item.unresolved.reason: expected a string', ['unresolved', 'reason'], null],
    ['item.unresolved.siblings[1]: expected the name of a dot', ['unresolved', 'siblings', 1], 'gcp'],
    ['item.copyOf.key: expected a string', ['copyOf', 'key'], null],
    ['item.copyOf.vid: expected the name of a dot', ['copyOf', 'vid'], '~:x'],
    ['item.tombstoneAt: expected an integer >= 0', ['tombstoneAt'], undefined],
    ['item.colour: expected no such key here, only schema, key, rev,', ['colour'], 'red'],
  ];

  it.each(wrong)('says "%s"', (message, path, value) => {
    expect(messageOf(itemWith(path, value))).toContain(message);
  });

  it('wants nothing unlisted that is not due', () => {
    expect(messageOf({ ...fullItem(), due: null, unlisted: true })).toContain('item.unlisted: expected true, and only');
  });

  it('wants each version under its own vid', () => {
    const item: Item = fullItem();
    const versions = { ...item.versions, 'aws:4': item.versions['aws:1'] };
    expect(messageOf({ ...item, versions })).toBe(
      'item.versions["aws:4"].vid: expected the same as its key, "aws:4", got "aws:1"',
    );
  });

  it('refuses a name that would reach the prototype', () => {
    const text = JSON.stringify(fullItem()).replace('"sites":{', '"sites":{"__proto__":{},');
    expect(messageOf(JSON.parse(text))).toContain(
      'item.sites: expected only keys that are a site id, one to eight of a-z and 0-9, got "__proto__"',
    );
  });

  it('refuses what is no item at all', () => {
    for (const value of [null, undefined, 'item', 4, []])
      expect(messageOf(value)).toContain('item: expected an object, got');
  });
});

describe('a clock on its own', () => {
  it.each<[string, () => unknown]>([
    ['vv: expected an object, got "x"', () => readVersionVector('x', 'vv')],
    ['vv.a: expected an integer >= 1, got "x"', () => readVersionVector({ a: 'x' }, 'vv')],
    [
      'vv.a: expected an integer <= 9007199254740991, got 9007199254740992',
      () => readVersionVector({ a: 2 ** 53 }, 'vv'),
    ],
    ['hlc.c: expected an integer >= 0, got -1', () => readStamp({ ms: 1, c: -1 }, 'hlc')],
    ['dot.n: expected an integer >= 1, got undefined', () => readDot({ s: 'a' }, 'dot')],
  ])('says "%s"', (message, read) => {
    expect(read).toThrow(expect.objectContaining({ kind: 'invalid', message }));
  });

  it('may be empty, or of the resolver', () => {
    expect(readVersionVector({}, 'vv')).toEqual({});
    expect(readVersionVector({ '~': 1 }, 'vv')).toEqual({ '~': 1 });
  });
});
