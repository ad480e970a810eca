import { describe, expect, it } from 'vitest';
import { NOTICES } from '../../shared/model/notice.ts';
import { antiEntropy } from '../../shared/replicate/anti-entropy.ts';
import { collect } from '../../shared/replicate/collect.ts';
import { openJudge } from '../../test/samples/published.ts';
import { DAY_MS, openScene, type Scene } from '../../test/scenario/world.ts';
import { type CloudEvent, EVENT_NAMES, toCloudEvent } from './cloud-event.ts';

const judge = openJudge();

/** All that a scene has published, in that order, notices last. */
function published(scene: Scene): readonly CloudEvent[] {
  const notices = scene.notices.map((notice) => ({ kind: 'noticed', at: scene.now, notice }) as const);
  return [...scene.happenings, ...notices].map((happening) => toCloudEvent(happening, 'scene'));
}

function named(events: readonly CloudEvent[], name: string): readonly CloudEvent[] {
  return events.filter(({ type }) => type === `io.triplicate.${name}.v1`);
}

function quietly(scene: Scene, act: () => void): void {
  scene.deaf = true;
  act();
  scene.deaf = false;
}

describe('what is published', () => {
  it('tells of a write when it is seen, and once when it stands everywhere', async () => {
    const scene = await openScene();
    scene.put('gcp', 'a b.txt', 'hello');
    await scene.rest();
    const events = published(scene);
    expect(events.flatMap(judge)).toEqual([]);
    expect(events.map(({ type, subject }) => [type, subject])).toEqual([
      ['io.triplicate.version.seen.v1', 'a b.txt'],
      ['io.triplicate.version.replicated.v1', 'a b.txt'],
    ]);
    const [seen, replicated] = events;
    expect(seen).toMatchObject({
      source: '/triplicate/scene',
      data: { site: 'gcp', cause: 'put', kind: 'object', sizeBytes: 5, crc32c: 'mnG7TA==' },
    });
    expect(replicated?.data).toMatchObject({ version: seen?.data.version, sites: ['aws', 'gcp', 'az'] });
  });

  it('tells of a delete, and of its end', async () => {
    const scene = await openScene();
    scene.put('aws', 'k', 'text');
    await scene.rest();
    scene.buckets.aws?.clientDelete('k');
    await scene.rest();
    scene.now += 400 * DAY_MS;
    const report = await antiEntropy(scene.world);
    scene.now += 400 * DAY_MS;
    await collect(scene.world, ['k'], scene.now);
    expect(report.kind).toBe('finished');
    const events = published(scene);
    expect(events.flatMap(judge)).toEqual([]);
    expect(named(events, 'version.replicated').map(({ data }) => data.kind)).toEqual(['object', 'tombstone']);
    expect(named(events, 'delete.forgotten')).toHaveLength(1);
  });

  it('tells of a conflict: who won, and under which name the loser is kept', async () => {
    const scene = await openScene({ routes: [{ policy: { kind: 'keep-both' } }] });
    quietly(scene, () => {
      scene.put('aws', 'plan.txt', 'one');
      scene.put('gcp', 'plan.txt', 'another');
    });
    await antiEntropy(scene.world);
    await scene.rest();
    const events = published(scene);
    expect(events.flatMap(judge)).toEqual([]);
    const [resolved] = named(events, 'conflict.resolved');
    const [copied] = named(events, 'conflict.copied');
    expect(resolved?.data).toMatchObject({ key: 'plan.txt', how: 'keep-both, write-wins, uncertain' });
    expect(copied?.data.copyOf).toEqual({ key: 'plan.txt', version: resolved?.data.loser });
    expect(copied?.subject).toMatch(/^plan~conflict-/);
  });

  it('tells of a key that nobody may decide about, and of the alarm', async () => {
    const scene = await openScene({ routes: [{ policy: { kind: 'custom', name: 'nobody' } }] });
    quietly(scene, () => {
      scene.put('aws', 'k', 'one');
      scene.put('gcp', 'k', 'another');
    });
    await antiEntropy(scene.world);
    await scene.rest();
    const events = published(scene);
    expect(events.flatMap(judge)).toEqual([]);
    expect(named(events, 'conflict.unresolved')).toHaveLength(1);
    expect(named(events, 'conflict.unresolved')[0]?.data.versions).toHaveLength(2);
    expect(named(events, 'notice.raised').map(({ data }) => data.what)).toContain('unresolved');
  });

  it('has the same id whenever it is told again, and another for every key', async () => {
    const scene = await openScene();
    for (const key of ['a', 'b']) scene.put('aws', key, 'same text, same moment');
    await scene.rest();
    const ids = published(scene).map(({ id }) => id);
    expect(new Set(ids).size).toBe(4);
    expect(published(scene).map(({ id }) => id)).toEqual(ids);
  });

  it('leaves out the subject where a key holds what no attribute may hold', () => {
    const notice = { severity: 'alarm', what: 'siblings', site: 'aws', detail: 'too many' } as const;
    for (const [key, subject] of [
      ['ä/🎉', 'ä/🎉'],
      ['line\nbreak', undefined],
      ['\ufffe', undefined],
    ] as const) {
      const event = toCloudEvent({ kind: 'noticed', at: 0, notice: { ...notice, key } }, 'scene');
      expect(judge(event)).toEqual([]);
      expect([event.subject, event.data.key]).toEqual([subject, key]);
    }
  });
});

describe('every kind of entry in the log', () => {
  const entry = { key: 'k', at: 1_750_000_000_000, vid: 'aws:5', by: 'gcp:6', site: 'aws', note: 'because' };
  it.each([
    ['version', 'version/aws:5'],
    ['superseded', 'superseded/aws:5'],
    ['resolved', 'version/~:5'],
    ['unresolved', 'unresolved/aws:5,gcp:6'],
    ['evicted', 'evicted/aws/v:1'],
    ['quarantined', 'quarantined/aws/v:1'],
    ['collected', 'collected/aws:5'],
  ] as const)('%s has its schema, and keeps to it', (kind, id) => {
    const copyOf = { key: 'of', vid: 'aws:4' };
    expect(judge(toCloudEvent({ kind: 'logged', entry: { ...entry, kind, id }, copyOf }, 'scene'))).toEqual([]);
  });

  it('is among the schemas, and no schema is left over', () => {
    expect([...judge.names].sort()).toEqual([...EVENT_NAMES].sort());
  });
});

it('every notice can be published', () => {
  for (const what of NOTICES) {
    const notice = { severity: 'warning', what, detail: 'something' } as const;
    expect(judge(toCloudEvent({ kind: 'noticed', at: 0, notice }, 'scene'))).toEqual([]);
  }
});

describe('the judge', () => {
  const notice = { severity: 'alarm', what: 'brake', detail: 'stopped' } as const;
  const good = toCloudEvent({ kind: 'noticed', at: 0, notice }, 'scene');
  it.each([
    ['another version of CloudEvents', { ...good, specversion: '0.3' }],
    ['no id', { ...good, id: '' }],
    ['a type nobody knows', { ...good, type: 'io.triplicate.else.v1' }],
    ['the schema of another type', { ...good, dataschema: 'urn:triplicate:schema:version.seen.v1' }],
    ['data that lacks something', { ...good, data: { severity: 'alarm', what: 'brake' } }],
    ['data with something wrong', { ...good, data: { ...good.data, severity: 'loud' } }],
    ['data with something unknown', { ...good, data: { ...good.data, more: 1 } }],
  ])('refuses %s', (_what, event) => {
    expect(judge(good)).toEqual([]);
    expect(judge(event)).not.toEqual([]);
  });
});
