import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  ReceiveMessageCommand,
} from '@aws-sdk/client-sqs';
import { afterAll, describe, expect, test } from 'vitest';
import { bodiesOf, openSqsBench, refusal } from '../../../test/samples/sqs.ts';

const bench = await openSqsBench();
const { advance, attributesOf, client, counts, newQueue, receive, send } = bench;

afterAll(() => bench.close());

describe('visibility', () => {
  const hide = (url: string, handle: string, VisibilityTimeout: number) =>
    client.send(new ChangeMessageVisibilityCommand({ QueueUrl: url, ReceiptHandle: handle, VisibilityTimeout }));
  const remove = (url: string, handle: string) =>
    client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: handle }));

  test('hides a message that was received, to the millisecond', async () => {
    const url = newQueue();
    await send(url, 'm');
    const [first] = await receive(url, { VisibilityTimeout: 2 });
    expect(await counts(url)).toBe('0 1 0');
    advance(1_999);
    expect(await receive(url)).toEqual([]);
    advance(1);
    expect(await counts(url)).toBe('1 0 0');
    const [second] = await receive(url);
    expect(second!.Attributes).toMatchObject({ ApproximateReceiveCount: '2' });
    expect(second!.MessageId).toBe(first!.MessageId);
    expect(second!.ReceiptHandle).not.toBe(first!.ReceiptHandle);
  });

  test('can be changed while the message is in flight, up to twelve hours in all', async () => {
    const url = newQueue();
    await send(url, 'm');
    const [{ ReceiptHandle: handle = '' } = {}] = await receive(url, { VisibilityTimeout: 10 });
    await hide(url, handle, 5);
    advance(5_000);
    const [{ ReceiptHandle: again = '' } = {}] = await receive(url, { VisibilityTimeout: 10 });
    advance(1_000);
    expect(await refusal(hide(url, again, 43_200))).toMatch(/InvalidParameterValue 400$/);
    await hide(url, again, 43_199);
    expect(await refusal(hide(url, again, 43_201))).toMatch(/InvalidParameterValue 400$/);
    await hide(url, again, 0);
    expect(bodiesOf(await receive(url))).toEqual(['m']);
  });

  test('of an expired receipt is not changed, and SQS does not say so', async () => {
    const url = newQueue();
    await send(url, 'm');
    const [{ ReceiptHandle: handle = '' } = {}] = await receive(url, { VisibilityTimeout: 1 });
    advance(1_000);
    await hide(url, handle, 100);
    expect(await counts(url)).toBe('1 0 0');
    await remove(url, handle);
    expect(await counts(url)).toBe('0 0 0');
    expect(await refusal(hide(url, handle, 1))).toMatch(/InvalidParameterValue 400$/);
    await remove(url, handle);
  });

  test('an older receipt deletes nothing', async () => {
    const url = newQueue();
    await send(url, 'm');
    const [{ ReceiptHandle: old = '' } = {}] = await receive(url, { VisibilityTimeout: 0 });
    const [{ ReceiptHandle: latest = '' } = {}] = await receive(url);
    await remove(url, old);
    expect(await counts(url)).toBe('0 1 0');
    await remove(url, latest);
    expect(await counts(url)).toBe('0 0 0');
  });

  test('receipts that nobody was given, and receipts of another queue, are refused', async () => {
    const [url, other] = [newQueue(), newQueue()];
    await send(other, 'm');
    const [{ ReceiptHandle: handle = '' } = {}] = await receive(other);
    for (const wrong of ['garbage', '', handle, '1.1.1.', Buffer.from('1.99.1.x').toString('base64')])
      expect(await refusal(remove(url, wrong))).toMatch(/^(ReceiptHandleIsInvalid|Missing)/);
    expect(await counts(other)).toBe('0 1 0');
  });

  test('what a receiver asks for has limits', async () => {
    const url = newQueue();
    const wrong = [{ MaxNumberOfMessages: 11 }, { MaxNumberOfMessages: 0 }, { WaitTimeSeconds: 21 }];
    for (const more of [...wrong, { WaitTimeSeconds: -1 }, { VisibilityTimeout: 43_201 }])
      expect(await refusal(receive(url, more))).toBe('InvalidParameterValue InvalidParameterValue 400');
  });
});

describe('a receiver that waits', () => {
  test('is woken by a message at once', async () => {
    const url = newQueue({ ReceiveMessageWaitTimeSeconds: '20' });
    const before = performance.now();
    const received = receive(url);
    await send(url, 'm');
    expect(bodiesOf(await received)).toEqual(['m']);
    expect(performance.now() - before).toBeLessThan(10_000);
  });

  test('is woken when a message in flight is put back, and when its queue goes', async () => {
    const url = newQueue();
    await send(url, 'm');
    const [message] = await receive(url);
    const waiting = receive(url, { WaitTimeSeconds: 20 });
    await client.send(
      new ChangeMessageVisibilityCommand({
        QueueUrl: url,
        ReceiptHandle: message!.ReceiptHandle,
        VisibilityTimeout: 0,
      }),
    );
    expect(bodiesOf(await waiting)).toEqual(['m']);
    const last = receive(url, { WaitTimeSeconds: 20 });
    await client.send(new DeleteQueueCommand({ QueueUrl: url }));
    expect(await last).toEqual([]);
  });

  test('takes nothing with it when it hangs up', async () => {
    const url = newQueue();
    const hangUp = new AbortController();
    const asked = new ReceiveMessageCommand({ QueueUrl: url, WaitTimeSeconds: 20 });
    const gone = client.send(asked, { abortSignal: hangUp.signal });
    // By the answer to a later call the earlier one is waiting.
    await attributesOf(url);
    hangUp.abort();
    await expect(gone).rejects.toThrow();
    const waiting = receive(url, { WaitTimeSeconds: 20 });
    await send(url, 'm');
    expect(bodiesOf(await waiting)).toEqual(['m']);
  });

  test('of many each gets one', async () => {
    const url = newQueue();
    const all = Array.from({ length: 10 }, () => receive(url, { WaitTimeSeconds: 20, MaxNumberOfMessages: 1 }));
    await send(url, ...'abcdefghij');
    expect((await Promise.all(all)).flatMap(bodiesOf).sort()).toEqual([...'abcdefghij']);
  });
});
