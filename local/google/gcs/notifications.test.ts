/** Notifications: who hears of what, with which attributes; and that they live and die with the change they tell of. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type GcsBench, openGcs } from '../../../test/local/gcs.ts';

const TOPIC = 'projects/local-project/topics/changes';

let bench: GcsBench;
beforeAll(async () => {
  bench = await openGcs();
});
afterEach(() => void bench.published.splice(0));
afterAll(async () => {
  await bench.close();
  expect(bench.reports).toEqual([]);
});

async function told(): Promise<
  { type: string; attributes: Readonly<Record<string, string>>; object: Record<string, unknown> }[]
> {
  await bench.settled();
  return bench.published
    .map(({ attributes, body }) => ({
      type: String(attributes.eventType),
      attributes,
      object: body ? JSON.parse(body) : {},
    }))
    .sort((a, b) => (a.type < b.type ? -1 : 1));
}

const save = async (bucket: string, name: string, body = 'x') => {
  const file = bench.storage.bucket(bucket).file(name);
  await file.save(body, { resumable: false });
  return String(file.metadata.generation);
};

describe('a change', () => {
  it('of a new object is told with all attributes, and the object as payload', async () => {
    bench.gcs.createBucket('first');
    const id = bench.gcs.notify('first', { topic: TOPIC, attributes: { own: 'value' } });
    const generation = await save('first', 'a b/ü');
    const [event, ...more] = await told();
    expect(more).toEqual([]);
    expect(bench.published[0]?.target).toBe(TOPIC);
    expect(event?.attributes).toEqual({
      own: 'value',
      notificationConfig: `projects/_/buckets/first/notificationConfigs/${id}`,
      eventType: 'OBJECT_FINALIZE',
      payloadFormat: 'JSON_API_V1',
      bucketId: 'first',
      objectId: 'a b/ü',
      objectGeneration: generation,
      eventTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/),
    });
    const { json } = await bench.ask('GET', `/storage/v1/b/first/o/${encodeURIComponent('a b/ü')}`);
    expect(event?.object).toEqual(json);
  });

  it('that replaces is told twice: the old one deleted, the new one final', async () => {
    bench.gcs.createBucket('replaced');
    bench.gcs.notify('replaced', { topic: TOPIC });
    const first = await save('replaced', 'x');
    await bench.settled();
    bench.published.splice(0);
    const second = await save('replaced', 'x');
    const [deleted, final, ...more] = await told();
    expect(more).toEqual([]);
    expect(deleted).toMatchObject({
      type: 'OBJECT_DELETE',
      attributes: { objectGeneration: first, overwrittenByGeneration: second },
      object: { generation: first, timeDeleted: expect.any(String) },
    });
    expect(final).toMatchObject({
      type: 'OBJECT_FINALIZE',
      attributes: { objectGeneration: second, overwroteGeneration: first },
      object: { generation: second },
    });
    expect(final?.attributes.overwrittenByGeneration).toBeUndefined();
  });

  it('in a versioned bucket archives, and purging a noncurrent generation deletes', async () => {
    bench.gcs.createBucket('archived', { versioning: true });
    bench.gcs.notify('archived', { topic: TOPIC });
    const first = await save('archived', 'x');
    const second = await save('archived', 'x');
    const file = bench.storage.bucket('archived').file('x');
    await file.delete();
    await bench.storage
      .bucket('archived')
      .file('x', { generation: Number(first) })
      .delete();
    const events = (await told()).map(({ type, attributes }) => [
      type,
      attributes.objectGeneration,
      attributes.overwrittenByGeneration,
    ]);
    expect(events.sort()).toEqual(
      [
        ['OBJECT_ARCHIVE', first, second],
        ['OBJECT_ARCHIVE', second, undefined],
        ['OBJECT_DELETE', first, undefined],
        ['OBJECT_FINALIZE', first, undefined],
        ['OBJECT_FINALIZE', second, undefined],
      ].sort(),
    );
  });

  it('of metadata, by copy, compose and resumable upload is told', async () => {
    bench.gcs.createBucket('all-ways');
    await save('all-ways', 'source');
    bench.gcs.notify('all-ways', { topic: TOPIC });
    const bucket = bench.storage.bucket('all-ways');
    await bucket.file('source').setMetadata({ metadata: { a: '1' } });
    await bucket.file('source').copy(bucket.file('copied'));
    await bucket.combine(['source', 'copied'], 'composed');
    await bucket.file('resumed').save('x', { resumable: true });
    const events = (await told()).map(({ type, attributes, object }) => [
      type,
      attributes.objectId,
      object.metageneration,
    ]);
    expect(events.sort()).toEqual([
      ['OBJECT_FINALIZE', 'composed', '1'],
      ['OBJECT_FINALIZE', 'copied', '1'],
      ['OBJECT_FINALIZE', 'resumed', '1'],
      ['OBJECT_METADATA_UPDATE', 'source', '2'],
    ]);
  });

  it('that was refused is told to nobody', async () => {
    bench.gcs.createBucket('refused');
    bench.gcs.notify('refused', { topic: TOPIC });
    const path = '/upload/storage/v1/b/refused/o?uploadType=media&name=x';
    expect((await bench.ask('POST', `${path}&ifGenerationMatch=5`, { body: 'x' })).status).toBe(412);
    expect((await bench.ask('POST', path, { headers: { 'x-goog-hash': 'crc32c=AAAAAA==' }, body: 'x' })).status).toBe(
      400,
    );
    expect((await bench.ask('DELETE', '/storage/v1/b/refused/o/x')).status).toBe(404);
    expect(await told()).toEqual([]);
  });

  it('is told after a restart when it was not before', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gcs-'));
    const first = await openGcs({ folder });
    first.faults.clear();
    first.faults.add({ effect: { kind: 'delivery', ms: { kind: 'even', min: 300, max: 300 }, twice: 0, never: 0 } });
    first.gcs.createBucket('late');
    first.gcs.notify('late', { topic: TOPIC });
    await first.storage.bucket('late').file('x').save('x', { resumable: false });
    await first.close();
    expect(first.published).toEqual([]);
    const second = await openGcs({ folder });
    await second.settled();
    expect(second.published.map((it) => it.attributes.objectId)).toEqual(['x']);
    await second.close();
    await rm(folder, { recursive: true });
  });
});

describe('a configuration', () => {
  it('by the SDK chooses types and prefixes, and a payload or none', async () => {
    bench.gcs.createBucket('chosen');
    const bucket = bench.storage.bucket('chosen');
    const [notification] = await bucket.createNotification(TOPIC, {
      eventTypes: ['OBJECT_DELETE'],
      objectNamePrefix: 'in/',
      payloadFormat: 'NONE',
      customAttributes: { a: '1' },
    });
    for (const name of ['in/x', 'out/x']) {
      await save('chosen', name);
      await bucket.file(name).delete();
    }
    const events = await told();
    expect(events.map(({ type, attributes }) => [type, attributes.objectId, attributes.payloadFormat])).toEqual([
      ['OBJECT_DELETE', 'in/x', 'NONE'],
    ]);
    expect(bench.published[0]?.body).toBe('');
    const [configs] = await bucket.getNotifications();
    expect(configs).toHaveLength(1);
    expect((await notification.getMetadata())[0]).toMatchObject({
      kind: 'storage#notification',
      id: '1',
      topic: `//pubsub.googleapis.com/${TOPIC}`,
      event_types: ['OBJECT_DELETE'],
      object_name_prefix: 'in/',
      payload_format: 'NONE',
      custom_attributes: { a: '1' },
    });
    await notification.delete();
    await save('chosen', 'in/y');
    await bucket.file('in/y').delete();
    expect(await told()).toHaveLength(1);
    await expect(notification.getMetadata()).rejects.toMatchObject({ code: 404 });
  });

  it.each([
    ['no topic', { payload_format: 'NONE' }],
    ['a topic of another form', { topic: TOPIC, payload_format: 'NONE' }],
    ['no payload format', { topic: `//pubsub.googleapis.com/${TOPIC}` }],
    ['another payload format', { topic: `//pubsub.googleapis.com/${TOPIC}`, payload_format: 'XML' }],
    [
      'another type',
      { topic: `//pubsub.googleapis.com/${TOPIC}`, payload_format: 'NONE', event_types: ['OBJECT_SOLD'] },
    ],
    [
      'too many attributes',
      {
        topic: `//pubsub.googleapis.com/${TOPIC}`,
        payload_format: 'NONE',
        custom_attributes: Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`a${i}`, ''])),
      },
    ],
  ])('with %s is refused', async (_what, json) => {
    if (!bench.gcs.hasBucket('strict')) bench.gcs.createBucket('strict');
    expect((await bench.ask('POST', '/storage/v1/b/strict/notificationConfigs', { json })).status).toBe(400);
    expect((await bench.ask('GET', '/storage/v1/b/strict/notificationConfigs')).json.items).toBeUndefined();
  });
});
