import { ListDeadLetterSourceQueuesCommand, SetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { afterAll, describe, expect, test } from 'vitest';
import { bodiesOf, openSqsBench, refusal } from '../../../test/samples/sqs.ts';

const bench = await openSqsBench();
const { attributesOf, client, newQueue, receive, send } = bench;

afterAll(() => bench.close());

describe('dead letters', () => {
  test('move when they were received too often, and tell from where', async () => {
    const dead = newQueue();
    const arn = (await attributesOf(dead)).QueueArn!;
    const policy = JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: '2' });
    const url = newQueue({ RedrivePolicy: policy });
    await send(url, 'poison');
    for (let round = 0; round < 2; round++) expect(await receive(url, { VisibilityTimeout: 0 })).toHaveLength(1);
    await send(url, 'good');
    expect(bodiesOf(await receive(url, { VisibilityTimeout: 0 }))).toEqual(['good']);
    const [letter] = await receive(dead);
    expect(letter).toMatchObject({
      Body: 'poison',
      Attributes: { DeadLetterQueueSourceArn: (await attributesOf(url)).QueueArn, ApproximateReceiveCount: '3' },
    });
    const sources = await client.send(new ListDeadLetterSourceQueuesCommand({ QueueUrl: dead }));
    expect(sources.queueUrls).toEqual([url]);
  });

  test('go where a queue exists that allows it', async () => {
    const dead = newQueue({ RedriveAllowPolicy: '{"redrivePermission":"denyAll"}' });
    const arn = (await attributesOf(dead)).QueueArn!;
    const set = (policy: unknown) =>
      refusal(
        client.send(
          new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { RedrivePolicy: JSON.stringify(policy) } }),
        ),
      );
    const url = newQueue();
    const refused = 'InvalidParameterValue InvalidParameterValue 400';
    expect(await set({ deadLetterTargetArn: arn, maxReceiveCount: 1 })).toBe(refused);
    expect(await set({ deadLetterTargetArn: `${arn}-not-there`, maxReceiveCount: 1 })).toBe(refused);
    expect(await set({ deadLetterTargetArn: 'dummy', maxReceiveCount: 1 })).toBe(refused);
    expect(await set({ deadLetterTargetArn: arn })).toBe(refused);
    expect(await set({ deadLetterTargetArn: arn, maxReceiveCount: 1_001 })).toBe(refused);
    await client.send(new SetQueueAttributesCommand({ QueueUrl: dead, Attributes: { RedriveAllowPolicy: '' } }));
    expect(await set({ deadLetterTargetArn: arn, maxReceiveCount: 1 })).toBe('no error');
  });

  test('of a queue that is its own dead-letter queue stay where they are', async () => {
    const url = newQueue();
    const { QueueArn: arn } = await attributesOf(url);
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: 1 });
    await client.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { RedrivePolicy } }));
    await send(url, 'm');
    for (let round = 0; round < 3; round++)
      expect(bodiesOf(await receive(url, { VisibilityTimeout: 0 }))).toEqual(['m']);
  });
});
