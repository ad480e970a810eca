import {
  CancelMessageMoveTaskCommand,
  DeleteQueueCommand,
  ListMessageMoveTasksCommand,
  SendMessageCommand,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { afterAll, describe, expect, test } from 'vitest';
import { bodiesOf, openSqsBench, refusal } from '../../../test/samples/sqs.ts';
import { startSqs } from './sqs.ts';

const bench = await openSqsBench();
const { attributesOf, client, counts, newQueue, receive, send } = bench;

afterAll(() => bench.close());

const arnOf = async (url: string) => (await attributesOf(url)).QueueArn!;

/** A queue whose messages die when they are received a second time, and the queue for the dead. */
async function newPair() {
  const dead = newQueue();
  const deadArn = await arnOf(dead);
  const url = newQueue({ RedrivePolicy: JSON.stringify({ deadLetterTargetArn: deadArn, maxReceiveCount: 1 }) });
  return { url, dead, deadArn };
}

async function kill(url: string, ...bodies: readonly string[]): Promise<void> {
  await send(url, ...bodies);
  await receive(url, { VisibilityTimeout: 0 });
  expect(await receive(url)).toEqual([]);
}

const start = async (
  SourceArn: string,
  more: { DestinationArn?: string; MaxNumberOfMessagesPerSecond?: number } = {},
) => (await client.send(new StartMessageMoveTaskCommand({ SourceArn, ...more }))).TaskHandle!;

const tasks = async (SourceArn: string) =>
  (await client.send(new ListMessageMoveTasksCommand({ SourceArn, MaxResults: 10 }))).Results ?? [];

const ended = (arn: string) => expect.poll(async () => (await tasks(arn))[0]?.Status).not.toBe('RUNNING');

describe('a move of dead letters', () => {
  test('brings each back to where it came from, as a new message', async () => {
    const { url, dead, deadArn } = await newPair();
    const otherUrl = newQueue({ RedrivePolicy: JSON.stringify({ deadLetterTargetArn: deadArn, maxReceiveCount: 1 }) });
    await client.send(
      new SendMessageCommand({
        QueueUrl: url,
        MessageBody: 'with attributes',
        MessageAttributes: { a: { DataType: 'String', StringValue: 'x' } },
      }),
    );
    const [first] = await receive(url, { VisibilityTimeout: 0 });
    expect(await receive(url)).toEqual([]);
    await kill(otherUrl, 'of the other');
    const waiting = receive(url, { WaitTimeSeconds: 20, MessageAttributeNames: ['All'] });
    await start(deadArn);
    const [back] = await waiting;
    expect(back).toMatchObject({
      Body: 'with attributes',
      Attributes: { ApproximateReceiveCount: '1' },
      MessageAttributes: { a: { DataType: 'String', StringValue: 'x' } },
    });
    expect(back!.MessageId).not.toBe(first!.MessageId);
    await ended(deadArn);
    expect(bodiesOf(await receive(otherUrl))).toEqual(['of the other']);
    expect(await counts(dead)).toBe('0 0 0');
    expect(await tasks(deadArn)).toEqual([
      {
        Status: 'COMPLETED',
        SourceArn: deadArn,
        ApproximateNumberOfMessagesMoved: 2,
        ApproximateNumberOfMessagesToMove: 2,
        StartedTimestamp: bench.now(),
      },
    ]);
  });

  test('goes elsewhere when told to, more than one step knows at once', async () => {
    const { url, deadArn } = await newPair();
    const all = Array.from({ length: 10 }, (_, index) => `m${index}`);
    for (let round = 0; round < 15; round++) await kill(url, ...all);
    const elsewhere = newQueue();
    await start(deadArn, { DestinationArn: await arnOf(elsewhere) });
    await ended(deadArn);
    expect(await counts(elsewhere)).toBe('150 0 0');
  });

  test('is slow when told to, one at a time, and can be cancelled', async () => {
    const { url, dead, deadArn } = await newPair();
    await kill(url, 'a', 'b', 'c');
    const handle = await start(deadArn, { MaxNumberOfMessagesPerSecond: 1 });
    expect(await refusal(start(deadArn))).toMatch(/InvalidParameterValue 400$/);
    expect(await tasks(deadArn)).toMatchObject([
      { Status: 'RUNNING', TaskHandle: handle, MaxNumberOfMessagesPerSecond: 1 },
    ]);
    const cancel = (TaskHandle: string) => client.send(new CancelMessageMoveTaskCommand({ TaskHandle }));
    await cancel(handle);
    expect(await tasks(deadArn)).toMatchObject([{ Status: 'CANCELLED' }]);
    expect(Number((await counts(dead)).split(' ')[0])).toBeGreaterThan(0);
    expect(await refusal(cancel(handle))).toMatch(/^UnsupportedOperation/);
    expect(await refusal(cancel('nonsense'))).toMatch(/InvalidParameterValue 400$/);
    const foreign = JSON.stringify({ taskId: 'x', sourceArn: deadArn });
    expect(await refusal(cancel(Buffer.from(foreign).toString('base64')))).toMatch(
      /^ResourceNotFoundException .* 404$/,
    );
  });

  test('fails where nobody knows the way', async () => {
    const { url, dead, deadArn } = await newPair();
    await send(dead, 'sent here');
    await start(deadArn);
    await ended(deadArn);
    expect(await tasks(deadArn)).toMatchObject([{ Status: 'FAILED', FailureReason: 'CouldNotDetermineMessageSource' }]);
    expect(await counts(dead)).toBe('1 0 0');
    await client.send(new DeleteQueueCommand({ QueueUrl: url }));
    expect(await refusal(start(deadArn))).toMatch(/InvalidParameterValue 400$/);
    expect(await refusal(start(`${deadArn}-not-there`))).toMatch(/^ResourceNotFoundException .* 404$/);
    const pair = await newPair();
    const nowhere = start(pair.deadArn, { DestinationArn: `${deadArn}-not-there` });
    expect(await refusal(nowhere)).toMatch(/^ResourceNotFoundException/);
  });

  test('goes on where it was when the service stopped', async () => {
    const { url, dead, deadArn } = await newPair();
    await kill(url, 'a', 'b', 'c');
    await start(deadArn, { MaxNumberOfMessagesPerSecond: 1 });
    await bench.sqs.stop();
    const again = await startSqs({ ...bench.cloud, now: bench.now }, { port: bench.sqs.port });
    await expect.poll(() => counts(dead), { timeout: 10_000 }).toBe('0 0 0');
    await ended(deadArn);
    expect(await tasks(deadArn)).toMatchObject([{ Status: 'COMPLETED', ApproximateNumberOfMessagesMoved: 3 }]);
    await again.stop();
  });
});
