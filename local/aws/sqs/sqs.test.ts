import { createHash } from 'node:crypto';
import {
  ChangeMessageVisibilityBatchCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteQueueCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  ListQueueTagsCommand,
  PurgeQueueCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  TagQueueCommand,
  UntagQueueCommand,
} from '@aws-sdk/client-sqs';
import { afterAll, describe, expect, test } from 'vitest';
import { bodiesOf, openSqsBench, refusal } from '../../../test/samples/sqs.ts';

const bench = await openSqsBench();
const { advance, attributesOf, client, counts, newQueue, receive, send, sqs } = bench;

afterAll(() => bench.close());

describe('a queue', () => {
  test('is there once, has what it was given, and is found by its name', async () => {
    const create = (attributes: Record<string, string>) =>
      client.send(new CreateQueueCommand({ QueueName: 'named', Attributes: attributes, tags: { of: 'mine' } }));
    const { QueueUrl: url } = await create({ VisibilityTimeout: '10' });
    expect(url).toBe(`http://127.0.0.1:${sqs.port}/000000000000/named`);
    expect((await create({ VisibilityTimeout: '10' })).QueueUrl).toBe(url);
    expect((await create({})).QueueUrl).toBe(url);
    expect(await refusal(create({ VisibilityTimeout: '11' }))).toBe('QueueNameExists QueueAlreadyExists 400');
    expect((await client.send(new GetQueueUrlCommand({ QueueName: 'named' }))).QueueUrl).toBe(url);
    expect(await attributesOf(url!)).toEqual({
      ApproximateNumberOfMessages: '0',
      ApproximateNumberOfMessagesDelayed: '0',
      ApproximateNumberOfMessagesNotVisible: '0',
      CreatedTimestamp: String(Math.floor(bench.now() / 1000)),
      DelaySeconds: '0',
      LastModifiedTimestamp: String(Math.floor(bench.now() / 1000)),
      MaximumMessageSize: '1048576',
      MessageRetentionPeriod: '345600',
      QueueArn: 'arn:aws:sqs:us-east-1:000000000000:named',
      ReceiveMessageWaitTimeSeconds: '0',
      SqsManagedSseEnabled: 'true',
      VisibilityTimeout: '10',
    });
    expect((await client.send(new ListQueueTagsCommand({ QueueUrl: url }))).Tags).toEqual({ of: 'mine' });
  });

  test('has attributes that can be changed, within their limits', async () => {
    const url = newQueue();
    const set = (Attributes: Record<string, string>) =>
      client.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes }));
    await set({ VisibilityTimeout: '7', Policy: '{"Version":"2012-10-17"}' });
    expect(await attributesOf(url)).toMatchObject({ VisibilityTimeout: '7', Policy: '{"Version":"2012-10-17"}' });
    await set({ Policy: '' });
    expect(await attributesOf(url)).not.toHaveProperty('Policy');
    for (const wrong of [{ VisibilityTimeout: '43201' }, { DelaySeconds: '-1' }, { MaximumMessageSize: '1048577' }])
      expect(await refusal(set(wrong))).toBe('InvalidAttributeValue InvalidAttributeValue 400');
    expect(await refusal(set({ Nonsense: '1' }))).toBe('InvalidAttributeName InvalidAttributeName 400');
    expect(await refusal(set({ ContentBasedDeduplication: 'true' }))).toMatch(/^InvalidAttributeName/);
    expect(await attributesOf(url)).toMatchObject({ VisibilityTimeout: '7' });
  });

  test('is told by pages, and by the beginning of its name', async () => {
    for (const name of ['page-a', 'page-b', 'page-c']) sqs.createQueue(name);
    const list = async (NextToken?: string) =>
      client.send(new ListQueuesCommand({ QueueNamePrefix: 'page-', MaxResults: 2, NextToken }));
    const first = await list();
    expect(first.QueueUrls).toEqual(['page-a', 'page-b'].map((name) => sqs.queueUrl(name)));
    expect((await list(first.NextToken)).QueueUrls).toEqual([sqs.queueUrl('page-c')]);
    expect(await client.send(new ListQueuesCommand({ QueueNamePrefix: 'nobody' }))).not.toHaveProperty('QueueUrls');
  });

  test('has tags', async () => {
    const url = newQueue();
    await client.send(new TagQueueCommand({ QueueUrl: url, Tags: { a: '1', b: '2', __proto__x: '3' } }));
    await client.send(new UntagQueueCommand({ QueueUrl: url, TagKeys: ['b'] }));
    const { Tags } = await client.send(new ListQueueTagsCommand({ QueueUrl: url }));
    expect(Tags).toEqual({ a: '1', __proto__x: '3' });
  });

  test('is gone when it was deleted, and its name rests for a minute', async () => {
    const url = newQueue();
    await send(url, 'm');
    await client.send(new DeleteQueueCommand({ QueueUrl: url }));
    const gone = 'QueueDoesNotExist AWS.SimpleQueueService.NonExistentQueue 400';
    expect(await refusal(send(url, 'm'))).toBe(gone);
    expect(await refusal(receive(url))).toBe(gone);
    const name = url.split('/').at(-1)!;
    expect(await refusal(client.send(new CreateQueueCommand({ QueueName: name })))).toMatch(/^QueueDeletedRecently/);
    advance(60_000);
    sqs.createQueue(name);
    expect(await receive(url)).toEqual([]);
  });

  test('is empty when it was purged, which goes once a minute', async () => {
    const url = newQueue();
    await send(url, 'a', 'b');
    await receive(url, { MaxNumberOfMessages: 1 });
    const purge = () => client.send(new PurgeQueueCommand({ QueueUrl: url }));
    await purge();
    expect(await counts(url)).toBe('0 0 0');
    expect(await refusal(purge())).toBe('PurgeQueueInProgress AWS.SimpleQueueService.PurgeQueueInProgress 403');
  });

  test('forgets what was kept for longer than it keeps', async () => {
    const url = newQueue({ MessageRetentionPeriod: '60' });
    await send(url, 'old');
    advance(59_999);
    await send(url, 'new');
    advance(1);
    expect(bodiesOf(await receive(url))).toEqual(['new']);
  });
});

describe('a message', () => {
  test('arrives with its attributes, and the checksums that the SDK checks', async () => {
    const url = newQueue();
    const attributes = {
      text: { DataType: 'String', StringValue: 'é😀\r\n' },
      number: { DataType: 'Number.int', StringValue: '-1.5e3' },
      bytes: { DataType: 'Binary', BinaryValue: Uint8Array.of(0, 255, 1) },
    };
    const sent = await client.send(
      new SendMessageCommand({
        QueueUrl: url,
        MessageBody: 'body',
        MessageAttributes: attributes,
        MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: 'Root=1' } },
      }),
    );
    // Computed by hand after the description of AWS, not by the code under test.
    const part = (text: string | Uint8Array) => {
      const bytes = Buffer.from(text as string);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return Buffer.concat([length, bytes]);
    };
    const whole = Buffer.concat([
      ...[part('bytes'), part('Binary'), Buffer.of(2), part(Uint8Array.of(0, 255, 1))],
      ...[part('number'), part('Number.int'), Buffer.of(1), part('-1.5e3')],
      ...[part('text'), part('String'), Buffer.of(1), part('é😀\r\n')],
    ]);
    const md5 = createHash('md5').update(whole).digest('hex');
    const trace = Buffer.concat([part('AWSTraceHeader'), part('String'), Buffer.of(1), part('Root=1')]);
    expect(sent.MD5OfMessageAttributes).toBe(md5);
    expect(sent.MD5OfMessageSystemAttributes).toBe(createHash('md5').update(trace).digest('hex'));
    advance(1_500);
    const [message] = await receive(url, { MessageAttributeNames: ['All'] });
    expect(message).toEqual({
      MessageId: sent.MessageId,
      ReceiptHandle: expect.any(String),
      Body: 'body',
      MD5OfBody: '841a2d689ad86bd1611447453c22c6fc',
      MD5OfMessageAttributes: md5,
      MessageAttributes: attributes,
      Attributes: {
        SenderId: expect.any(String),
        SentTimestamp: String(bench.now() - 1_500),
        ApproximateReceiveCount: '1',
        ApproximateFirstReceiveTimestamp: String(bench.now()),
        AWSTraceHeader: 'Root=1',
      },
    });
  });

  test('shows the attributes that are asked for, and no others', async () => {
    const url = newQueue({ VisibilityTimeout: '0' });
    const text = { DataType: 'String', StringValue: 'x' };
    const MessageAttributes = { 'a.one': text, 'a.two': text, b: text };
    await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'm', MessageAttributes }));
    const names = async (...MessageAttributeNames: string[]) =>
      Object.keys((await receive(url, { MessageAttributeNames }))[0]?.MessageAttributes ?? {});
    expect(await names('a.*')).toEqual(['a.one', 'a.two']);
    expect(await names('b')).toEqual(['b']);
    expect(await names()).toEqual([]);
    const [bare] = await receive(url, { MessageSystemAttributeNames: ['SentTimestamp'] });
    expect(Object.keys(bare!.Attributes!)).toEqual(['SentTimestamp']);
  });

  test('is refused where SQS takes no such thing, and then nothing is sent', async () => {
    const url = newQueue({ MaximumMessageSize: '1024' });
    const put = (more: object) =>
      refusal(client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'm', ...more })));
    const attribute = (name: string, value: object) => put({ MessageAttributes: { [name]: value } });
    const value = 'InvalidParameterValue InvalidParameterValue 400';
    expect(await put({ MessageBody: '' })).toMatch(/ MissingParameter 400$/);
    expect(await put({ MessageBody: 'x'.repeat(1_025) })).toBe(value);
    expect(await put({ MessageBody: 'a\u0001' })).toBe('InvalidMessageContents InvalidMessageContents 400');
    expect(await put({ MessageBody: '\uffff' })).toMatch(/^InvalidMessageContents/);
    expect(await put({ DelaySeconds: 901 })).toBe(value);
    expect(await put({ DelaySeconds: -1 })).toBe(value);
    expect(await put({ MessageDeduplicationId: 'x' })).toBe(value);
    expect(await attribute('AWS.name', { DataType: 'String', StringValue: 'x' })).toBe(value);
    expect(await attribute('a..b', { DataType: 'String', StringValue: 'x' })).toBe(value);
    expect(await attribute('a', { DataType: 'Text', StringValue: 'x' })).toBe(value);
    expect(await attribute('a', { DataType: 'String', StringValue: '' })).toBe(value);
    expect(await attribute('a', { DataType: 'Number', StringValue: 'x' })).toBe(value);
    expect(await attribute('a', { DataType: 'Binary', StringValue: 'x' })).toBe(value);
    expect(await attribute('a', { DataType: 'String', StringValue: 'x'.repeat(1_020) })).toBe(value);
    const eleven = Object.fromEntries([...'abcdefghijk'].map((it) => [it, { DataType: 'String', StringValue: 'x' }]));
    expect(await put({ MessageAttributes: eleven })).toBe(value);
    expect(await counts(url)).toBe('0 0 0');
  });

  test('of a mebibyte is the largest one', async () => {
    const url = newQueue();
    const largest = 'é'.repeat(512 * 1024);
    await send(url, largest);
    expect(bodiesOf(await receive(url))).toEqual([largest]);
    expect(await refusal(send(url, `${largest}x`))).toMatch(/InvalidParameterValue 400$/);
  });

  test('with a delay comes after it, whoever set the delay', async () => {
    const url = newQueue({ DelaySeconds: '5' });
    await send(url, 'of the queue');
    await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'own', DelaySeconds: 2 }));
    await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'none', DelaySeconds: 0 }));
    expect(await counts(url)).toBe('1 0 2');
    expect(bodiesOf(await receive(url))).toEqual(['none']);
    advance(1_999);
    expect(await receive(url)).toEqual([]);
    advance(1);
    expect(bodiesOf(await receive(url))).toEqual(['own']);
    advance(3_000);
    expect(bodiesOf(await receive(url))).toEqual(['of the queue']);
  });
});

describe('batches', () => {
  test('send, hide and delete each message for itself', async () => {
    const url = newQueue();
    const Entries = [
      { Id: 'a', MessageBody: 'a' },
      { Id: 'bad', MessageBody: '\u0002' },
      { Id: 'b', MessageBody: 'b', MessageAttributes: { n: { DataType: 'Number', StringValue: '1' } } },
    ];
    const sent = await client.send(new SendMessageBatchCommand({ QueueUrl: url, Entries }));
    expect(sent.Successful?.map((it) => it.Id)).toEqual(['a', 'b']);
    expect(sent.Failed).toEqual([
      { Id: 'bad', SenderFault: true, Code: 'InvalidMessageContents', Message: expect.any(String) },
    ]);
    const [a, b] = await receive(url);
    const hidden = await client.send(
      new ChangeMessageVisibilityBatchCommand({
        QueueUrl: url,
        Entries: [
          { Id: 'a', ReceiptHandle: a!.ReceiptHandle, VisibilityTimeout: 0 },
          { Id: 'x', ReceiptHandle: 'garbage', VisibilityTimeout: 0 },
        ],
      }),
    );
    expect(hidden.Successful).toEqual([{ Id: 'a' }]);
    expect(hidden.Failed).toMatchObject([{ Id: 'x', Code: 'ReceiptHandleIsInvalid' }]);
    expect(bodiesOf(await receive(url))).toEqual(['a']);
    const deleted = await client.send(
      new DeleteMessageBatchCommand({ QueueUrl: url, Entries: [{ Id: 'b', ReceiptHandle: b!.ReceiptHandle }] }),
    );
    expect(deleted.Successful).toEqual([{ Id: 'b' }]);
    expect(await counts(url)).toBe('0 1 0');
  });

  test('are refused whole where they are no batch', async () => {
    const url = newQueue();
    const put = (...Entries: { Id: string; MessageBody: string }[]) =>
      refusal(client.send(new SendMessageBatchCommand({ QueueUrl: url, Entries })));
    const of = (name: string) => `${name} AWS.SimpleQueueService.${name} 400`;
    const entry = (Id: string, MessageBody = 'm') => ({ Id, MessageBody });
    expect(await put()).toBe(of('EmptyBatchRequest'));
    expect(await put(entry('a'), entry('a'))).toBe(of('BatchEntryIdsNotDistinct'));
    expect(await put(entry('a.b'))).toBe(of('InvalidBatchEntryId'));
    expect(await put(...[...'abcdefghijk'].map((id) => entry(id)))).toBe(of('TooManyEntriesInBatchRequest'));
    const half = 'x'.repeat(512 * 1024);
    expect(await put(entry('a', half), entry('b', `${half}x`))).toBe(of('BatchRequestTooLong'));
    expect(await counts(url)).toBe('0 0 0');
  });
});
