/** Notifications of the local S3: what is told of which change, in the form of AWS, and never of what was refused. */

import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectTaggingCommand,
  GetBucketNotificationConfigurationCommand,
  type NotificationConfiguration,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openTestS3, refusalOf, type TestS3 } from '../../../test/local/s3.ts';
import type { Message } from '../../delivery.ts';

const QUEUE = 'arn:aws:sqs:us-east-1:000000000000:changes';
const TOPIC = 'arn:aws:sns:us-east-1:000000000000:changes';

let world: TestS3;
let s3: S3Client;
let received: Message[] = [];

beforeAll(async () => {
  world = await openTestS3();
  s3 = world.client;
  world.cloud.delivery.to('arn:aws:', (message) => void received.push(message));
  // Each exactly once, so that a test can count.
  world.cloud.faults.add({ effect: { kind: 'delivery', ms: { kind: 'even', min: 0, max: 2 }, twice: 0, never: 0 } });
  for (const name of ['plain', 'filtered', 'configured', 'quiet']) world.service.createBucket(name);
  world.service.createBucket('versioned', { versioning: true });
  for (const name of ['plain', 'versioned']) world.service.notify(name, [{ target: QUEUE, id: 'all' }]);
  await world.cloud.delivery.settled();
});

beforeEach(() => {
  received = [];
});

afterAll(async () => {
  await world.stop();
  expect(world.reports).toEqual([]);
});

const put = (Bucket: string, Key: string, Body = 'x', more = {}) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));

/** What was told, in the order of the sequencers. */
async function told() {
  await world.cloud.delivery.settled();
  const records = received.flatMap(({ body }) => JSON.parse(body).Records ?? []);
  const orderOf = (record: { s3: { object: { sequencer?: string } } }) => record.s3.object.sequencer ?? '';
  return records.sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
}

describe('a notification', () => {
  it('tells of a write as AWS does', async () => {
    const { ETag } = await put('plain', 'dir/evt key+1\u00e9(2)!.txt', 'hello');
    const [record, ...more] = await told();
    expect(more).toEqual([]);
    expect(record).toEqual({
      eventVersion: '2.1',
      eventSource: 'aws:s3',
      awsRegion: 'us-east-1',
      eventTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      eventName: 'ObjectCreated:Put',
      userIdentity: { principalId: 'AWS:local' },
      requestParameters: { sourceIPAddress: '127.0.0.1' },
      responseElements: { 'x-amz-request-id': expect.any(String), 'x-amz-id-2': expect.any(String) },
      s3: {
        s3SchemaVersion: '1.0',
        configurationId: 'all',
        bucket: { name: 'plain', ownerIdentity: { principalId: 'LOCAL' }, arn: 'arn:aws:s3:::plain' },
        object: {
          key: 'dir/evt+key%2B1%C3%A9%282%29%21.txt',
          size: 5,
          eTag: ETag?.replaceAll('"', ''),
          sequencer: expect.stringMatching(/^[0-9A-F]{18}$/),
        },
      },
    });
  });

  it('tells of every kind of change, in sequence, with versions where there are any', async () => {
    const Bucket = 'versioned';
    const first = await put(Bucket, 'k');
    const copy = await s3.send(
      new CopyObjectCommand({ Bucket, Key: 'k', CopySource: 'versioned/k', MetadataDirective: 'REPLACE' }),
    );
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'k' }));
    const part = await s3.send(new UploadPartCommand({ Bucket, Key: 'k', UploadId, PartNumber: 1, Body: 'part' }));
    const MultipartUpload = { Parts: [{ ...part, PartNumber: 1 }] };
    const whole = await s3.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'k', UploadId, MultipartUpload }));
    const marker = await s3.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'k', VersionId: first.VersionId }));
    expect(
      (await told()).map((record) => [record.eventName, record.s3.object.versionId, record.s3.object.size]),
    ).toEqual([
      ['ObjectCreated:Put', first.VersionId, 1],
      ['ObjectCreated:Copy', copy.VersionId, 1],
      ['ObjectCreated:CompleteMultipartUpload', whole.VersionId, 4],
      ['ObjectRemoved:DeleteMarkerCreated', marker.VersionId, undefined],
      ['ObjectRemoved:Delete', first.VersionId, undefined],
    ]);
  });

  it('tells of a delete without versions, and nothing of what was refused or changed nothing', async () => {
    await put('plain', 'gone');
    await put('plain', 'gone', 'y', { IfNoneMatch: '*' }).catch(() => {});
    await s3.send(new DeleteObjectCommand({ Bucket: 'plain', Key: 'gone', IfMatch: '"other"' })).catch(() => {});
    await s3.send(new DeleteObjectTaggingCommand({ Bucket: 'plain', Key: 'gone' }));
    await s3.send(new DeleteObjectCommand({ Bucket: 'plain', Key: 'gone' }));
    await s3.send(new DeleteObjectCommand({ Bucket: 'plain', Key: 'gone' }));
    await put('quiet', 'x');
    const records = await told();
    expect(records.map(({ eventName }) => eventName)).toEqual(['ObjectCreated:Put', 'ObjectRemoved:Delete']);
    expect(Object.keys(records[1].s3.object).sort()).toEqual(['key', 'sequencer']);
  });

  it('grows in sequence even when the clock goes back', async () => {
    const { id } = world.cloud.faults.add({ effect: { kind: 'clock', aheadMs: 60_000 } });
    await put('plain', 'clock', '1');
    world.cloud.faults.remove(id);
    await put('plain', 'clock', '22');
    expect((await told()).map((record) => record.s3.object.size)).toEqual([1, 2]);
  });

  it('goes where its rule says', async () => {
    world.service.notify('filtered', [
      { target: QUEUE, id: 'pictures', events: ['s3:ObjectCreated:*'], prefix: 'in/', suffix: '.jpg' },
      { target: TOPIC, id: 'removals', events: ['s3:ObjectRemoved:Delete'] },
    ]);
    await world.cloud.delivery.settled();
    expect(received.map(({ body }) => JSON.parse(body).Event)).toEqual(['s3:TestEvent', 's3:TestEvent']);
    received = [];
    for (const key of ['in/a.jpg', 'in/a.png', 'out/a.jpg']) await put('filtered', key);
    await s3.send(new DeleteObjectCommand({ Bucket: 'filtered', Key: 'in/a.jpg' }));
    await world.cloud.delivery.settled();
    const seen = received.map(({ target, body }) => [target, JSON.parse(body).Records[0].s3.configurationId]);
    expect(seen.sort()).toEqual([
      [TOPIC, 'removals'],
      [QUEUE, 'pictures'],
    ]);
  });
});

describe('a configuration', () => {
  const set = (NotificationConfiguration: NotificationConfiguration) =>
    s3.send(new PutBucketNotificationConfigurationCommand({ Bucket: 'configured', NotificationConfiguration }));
  const get = async () => {
    const { $metadata: _, ...told } = await s3.send(
      new GetBucketNotificationConfigurationCommand({ Bucket: 'configured' }),
    );
    return told;
  };
  const filter = (Name: 'prefix' | 'suffix', Value: string) => ({ Key: { FilterRules: [{ Name, Value }] } });

  it('comes back as it was set, and its destinations are told', async () => {
    const wish: NotificationConfiguration = {
      QueueConfigurations: [
        {
          Id: 'q',
          QueueArn: QUEUE,
          Events: ['s3:ObjectCreated:Put', 's3:ObjectRemoved:*'],
          Filter: filter('prefix', 'a&b/'),
        },
      ],
      TopicConfigurations: [{ Id: 't', TopicArn: TOPIC, Events: ['s3:ObjectTagging:*'] }],
    };
    await set(wish);
    const told = await get();
    expect(told).toMatchObject({ TopicConfigurations: wish.TopicConfigurations });
    expect(told.QueueConfigurations?.[0]).toMatchObject({ Id: 'q', QueueArn: QUEUE });
    expect(told.QueueConfigurations?.[0]?.Filter?.Key?.FilterRules?.[0]?.Value).toBe('a&b/');
    await world.cloud.delivery.settled();
    expect(JSON.parse(received[0]?.body ?? '{}')).toMatchObject({
      Service: 'Amazon S3',
      Event: 's3:TestEvent',
      Bucket: 'configured',
    });
    await set({});
    expect(await get()).toEqual({});
  });

  const refused: readonly (readonly [string, NotificationConfiguration, string])[] = [
    [
      'an event nobody knows',
      { QueueConfigurations: [{ QueueArn: QUEUE, Events: ['s3:Surprise' as never] }] },
      '400 InvalidArgument',
    ],
    [
      'a queue in order',
      { QueueConfigurations: [{ QueueArn: `${QUEUE}.fifo`, Events: ['s3:ObjectCreated:*'] }] },
      '400 InvalidArgument',
    ],
    [
      'two rules for the same',
      {
        QueueConfigurations: [
          { QueueArn: QUEUE, Events: ['s3:ObjectCreated:*'], Filter: filter('prefix', 'a') },
          { QueueArn: QUEUE, Events: ['s3:ObjectCreated:Put'], Filter: filter('prefix', 'ab') },
        ],
      },
      '400 InvalidArgument',
    ],
    ['EventBridge', { EventBridgeConfiguration: {} }, '501 NotImplemented'],
    [
      'a function',
      {
        LambdaFunctionConfigurations: [
          { LambdaFunctionArn: 'arn:aws:lambda:us-east-1:000000000000:function:f', Events: ['s3:ObjectCreated:*'] },
        ],
      },
      '501 NotImplemented',
    ],
  ];
  it.each(refused)('with %s is refused', async (_what, wish, expected) => {
    expect(await refusalOf(set(wish))).toBe(expected);
    expect(await get()).toEqual({});
  });
});
