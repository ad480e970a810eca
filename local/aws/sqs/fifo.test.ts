import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  type Message,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
} from '@aws-sdk/client-sqs';
import { afterAll, describe, expect, test } from 'vitest';
import { bodiesOf, openSqsBench, refusal } from '../../../test/samples/sqs.ts';

const bench = await openSqsBench();
const { advance, attributesOf, client, counts, newQueue, receive } = bench;

afterAll(() => bench.close());

const newFifo = (attributes: Record<string, string> = {}) => newQueue({ FifoQueue: 'true', ...attributes }, '.fifo');

let ids = 0;
const put = (url: string, body: string, group: string, MessageDeduplicationId = `id-${++ids}`) =>
  client.send(
    new SendMessageCommand({ QueueUrl: url, MessageBody: body, MessageGroupId: group, MessageDeduplicationId }),
  );

const remove = (url: string, { ReceiptHandle }: Message) =>
  client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle }));

describe('a FIFO queue', () => {
  test('keeps the order of each group, and holds a group back while one of it is in flight', async () => {
    const url = newFifo();
    const numbers = [];
    for (const [body, group] of [...['a1', 'b1', 'a2', 'b2', 'a3']].map((it) => [it, it.charAt(0)] as const))
      numbers.push((await put(url, body, group)).SequenceNumber!);
    expect(numbers).toEqual([...numbers].sort());
    expect(new Set(numbers).size).toBe(5);
    const [first] = await receive(url, { MaxNumberOfMessages: 1 });
    expect(first).toMatchObject({
      Body: 'a1',
      Attributes: { MessageGroupId: 'a', SequenceNumber: numbers[0], MessageDeduplicationId: expect.any(String) },
    });
    const rest = await receive(url);
    expect(bodiesOf(rest)).toEqual(['b1', 'b2']);
    expect(await receive(url)).toEqual([]);
    await remove(url, first!);
    expect(bodiesOf(await receive(url))).toEqual(['a2', 'a3']);
    advance(30_000);
    expect(bodiesOf(await receive(url))).toEqual(['b1', 'a2', 'b2', 'a3']);
  });

  test('gives a message that was put back before the ones behind it', async () => {
    const url = newFifo();
    for (const body of ['1', '2']) await put(url, body, 'g');
    const [first] = await receive(url, { MaxNumberOfMessages: 1 });
    const back = { QueueUrl: url, ReceiptHandle: first!.ReceiptHandle, VisibilityTimeout: 0 };
    await client.send(new ChangeMessageVisibilityCommand(back));
    expect(bodiesOf(await receive(url))).toEqual(['1', '2']);
  });

  test('wakes who waits for a group when its message was deleted', async () => {
    const url = newFifo();
    for (const body of ['1', '2']) await put(url, body, 'g');
    const [first] = await receive(url, { MaxNumberOfMessages: 1 });
    const waiting = receive(url, { WaitTimeSeconds: 20 });
    await remove(url, first!);
    expect(bodiesOf(await waiting)).toEqual(['2']);
  });

  test('takes a message once within five minutes, also after it was deleted', async () => {
    const url = newFifo();
    const first = await put(url, 'once', 'g', 'same');
    const [message] = await receive(url);
    await remove(url, message!);
    advance(299_999);
    const again = await put(url, 'twice', 'g', 'same');
    expect([again.MessageId, again.SequenceNumber]).toEqual([first.MessageId, first.SequenceNumber]);
    expect(await receive(url)).toEqual([]);
    advance(1);
    await put(url, 'later', 'g', 'same');
    expect(bodiesOf(await receive(url))).toEqual(['later']);
  });

  test('may know messages by their content, and in each group for itself', async () => {
    const byContent = newFifo({ ContentBasedDeduplication: 'true' });
    const bare = (body: string) =>
      client.send(new SendMessageCommand({ QueueUrl: byContent, MessageBody: body, MessageGroupId: 'g' }));
    for (const body of ['same', 'same', 'other']) await bare(body);
    expect(bodiesOf(await receive(byContent))).toEqual(['same', 'other']);
    const byGroup = newFifo({ DeduplicationScope: 'messageGroup' });
    for (const group of ['a', 'b', 'b']) await put(byGroup, `of ${group}`, group, 'same');
    expect(bodiesOf(await receive(byGroup))).toEqual(['of a', 'of b']);
  });

  test('refuses what only standard queues take, and receipts that have expired', async () => {
    const url = newFifo();
    const value = 'InvalidParameterValue InvalidParameterValue 400';
    const sent = (more: object) =>
      refusal(client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'm', ...more })));
    expect(await sent({})).toMatch(/MissingParameter 400$/);
    expect(await sent({ MessageGroupId: 'g' })).toBe(value);
    expect(await sent({ MessageGroupId: 'g g', MessageDeduplicationId: 'x' })).toBe(value);
    expect(await sent({ MessageGroupId: 'g', MessageDeduplicationId: 'x', DelaySeconds: 2 })).toBe(value);
    const { Failed } = await client.send(
      new SendMessageBatchCommand({ QueueUrl: url, Entries: [{ Id: 'a', MessageBody: 'm' }] }),
    );
    expect(Failed).toMatchObject([{ Id: 'a', Code: 'MissingParameter' }]);
    await put(url, 'm', 'g');
    const [message] = await receive(url, { VisibilityTimeout: 1 });
    advance(1_000);
    expect(await refusal(remove(url, message!))).toBe(value);
    expect(await counts(url)).toBe('1 0 0');
    const set = (Attributes: Record<string, string>) =>
      refusal(client.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes })));
    expect(await set({ FifoQueue: 'true' })).toBe('InvalidAttributeValue InvalidAttributeValue 400');
    const create = (QueueName: string, Attributes: Record<string, string>) =>
      refusal(client.send(new CreateQueueCommand({ QueueName, Attributes })));
    expect(await create('bare.fifo', {})).toBe(value);
    expect(await create('standard', { FifoQueue: 'true' })).toBe('InvalidAttributeName InvalidAttributeName 400');
  });

  test('sets aside what was received too often, in a queue of its kind', async () => {
    const dead = newFifo();
    const { QueueArn: arn } = await attributesOf(dead);
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: 1 });
    const url = newFifo({ RedrivePolicy });
    for (const body of ['poison', 'good']) await put(url, body, 'g');
    expect(bodiesOf(await receive(url, { MaxNumberOfMessages: 1, VisibilityTimeout: 1 }))).toEqual(['poison']);
    advance(1_000);
    expect(bodiesOf(await receive(url))).toEqual(['good']);
    expect(bodiesOf(await receive(dead))).toEqual(['poison']);
    const standard = newQueue();
    const wrong = { QueueUrl: standard, Attributes: { RedrivePolicy } };
    expect(await refusal(client.send(new SetQueueAttributesCommand(wrong)))).toMatch(/InvalidParameterValue 400$/);
  });
});
