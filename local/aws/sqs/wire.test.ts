import { ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { XMLParser } from 'fast-xml-parser';
import { afterAll, describe, expect, test } from 'vitest';
import { signed } from '../../../test/samples/sign.ts';
import { bodiesOf, CREDENTIALS, openSqsBench, refusal } from '../../../test/samples/sqs.ts';

const bench = await openSqsBench();
const { attributesOf, client, cloud, counts, newQueue, receive, send } = bench;
const origin = `http://127.0.0.1:${bench.sqs.port}`;
const FORM = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };

afterAll(() => bench.close());

/** The query protocol, as clients spoke it before 2023. */
async function query(url: string, fields: Record<string, string>) {
  const body = new URLSearchParams({ Version: '2012-11-05', ...fields }).toString();
  const response = await signed({ url, service: 'sqs', at: bench.now(), headers: FORM, body });
  return { status: response.status, ...read(await response.text()) };
}

/** Whatever an answer may hold. */
interface Answer {
  readonly [name: string]: Answer;
}

function read(text: string): { readonly xml: string; readonly answer: Answer } {
  const parser = new XMLParser({ parseTagValue: false, ignoreAttributes: true, processEntities: true });
  const { '?xml': _, ...answer } = parser.parse(text);
  return { xml: text, answer };
}

async function post(headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer>) {
  const response = await signed({ url: origin, service: 'sqs', at: bench.now(), headers, body });
  return { status: response.status, code: response.headers.get('x-amzn-query-error'), body: await response.text() };
}

describe('the query protocol', () => {
  test('makes queues, and sends and receives with attributes', async () => {
    const made = await query(origin, {
      Action: 'CreateQueue',
      QueueName: 'old',
      'Attribute.1.Name': 'VisibilityTimeout',
      'Attribute.1.Value': '7',
      'Tag.1.Key': 'k',
      'Tag.1.Value': 'v',
    });
    const url = `${origin}/000000000000/old`;
    expect(made.answer).toMatchObject({
      CreateQueueResponse: {
        CreateQueueResult: { QueueUrl: url },
        ResponseMetadata: { RequestId: expect.any(String) },
      },
    });
    const sent = await query(url, {
      Action: 'SendMessage',
      MessageBody: 'a <b> & "c"',
      'MessageAttribute.1.Name': 'one',
      'MessageAttribute.1.Value.DataType': 'String',
      'MessageAttribute.1.Value.StringValue': 'first',
      'MessageAttribute.2.Name': 'two',
      'MessageAttribute.2.Value.DataType': 'Binary',
      'MessageAttribute.2.Value.BinaryValue': 'AQI=',
    });
    const got = await query(url, {
      Action: 'ReceiveMessage',
      'AttributeName.1': 'ApproximateReceiveCount',
      'MessageAttributeName.1': 'All',
      WaitTimeSeconds: '0',
    });
    const { MessageId, MD5OfMessageAttributes } = sent.answer.SendMessageResponse!.SendMessageResult!;
    const message = got.answer.ReceiveMessageResponse!.ReceiveMessageResult!.Message!;
    expect(message).toMatchObject({
      MessageId,
      Body: 'a <b> & "c"',
      Attribute: { Name: 'ApproximateReceiveCount', Value: '1' },
      MD5OfMessageAttributes,
      MessageAttribute: [
        { Name: 'one', Value: { DataType: 'String', StringValue: 'first' } },
        { Name: 'two', Value: { DataType: 'Binary', BinaryValue: 'AQI=' } },
      ],
    });
    const hidden = {
      Action: 'ChangeMessageVisibility',
      ReceiptHandle: String(message.ReceiptHandle),
      VisibilityTimeout: '0',
    };
    expect((await query(origin, { ...hidden, QueueUrl: url })).status).toBe(200);
    const [again] = await receive(url, { MessageAttributeNames: ['All'] });
    expect(again).toMatchObject({ Body: 'a <b> & "c"', MD5OfMessageAttributes });
    expect((await query(url, { Action: 'DeleteMessage', ReceiptHandle: again!.ReceiptHandle! })).status).toBe(200);
    expect(await counts(url)).toBe('0 0 0');
  });

  test('speaks in batches and lists', async () => {
    const url = newQueue();
    const { answer } = await query(url, {
      Action: 'SendMessageBatch',
      'SendMessageBatchRequestEntry.1.Id': 'a',
      'SendMessageBatchRequestEntry.1.MessageBody': 'first',
      'SendMessageBatchRequestEntry.2.Id': 'b',
      'SendMessageBatchRequestEntry.2.MessageBody': '\u0001',
      'SendMessageBatchRequestEntry.10.Id': 'c',
      'SendMessageBatchRequestEntry.10.MessageBody': 'second',
    });
    expect(answer.SendMessageBatchResponse!.SendMessageBatchResult).toMatchObject({
      SendMessageBatchResultEntry: [{ Id: 'a' }, { Id: 'c' }],
      BatchResultErrorEntry: { Id: 'b', Code: 'InvalidMessageContents', SenderFault: 'true' },
    });
    const one = await query(url, { Action: 'GetQueueAttributes', 'AttributeName.1': 'ApproximateNumberOfMessages' });
    expect(one.xml).toContain('<Attribute><Name>ApproximateNumberOfMessages</Name><Value>2</Value></Attribute>');
    const all = await query(origin, { Action: 'ListQueues', QueueNamePrefix: url.split('/').at(-1)! });
    expect(all.xml).toContain(`<QueueUrl>${url}</QueueUrl>`);
  });

  test('may stand in the address', async () => {
    const url = newQueue();
    const asked = `${url}?Action=GetQueueAttributes&AttributeName.1=QueueArn`;
    const response = await signed({ url: asked, service: 'sqs', at: bench.now(), method: 'GET' });
    expect(await response.text()).toContain(`<Value>${(await attributesOf(url)).QueueArn}</Value>`);
  });

  test('tells of errors in its own way', async () => {
    const url = newQueue();
    const errorOf = async (fields: Record<string, string>, at = url) => {
      const { status, answer } = await query(at, fields);
      const { Type, Code, Message } = answer.ErrorResponse!.Error!;
      return `${status} ${Type} ${Code}: ${Message}`;
    };
    expect(await errorOf({ Action: 'FooBar' })).toBe(
      '400 Sender InvalidAction: The action FooBar is not valid for this endpoint.',
    );
    expect(await errorOf({ Action: 'SendMessage' })).toBe(
      '400 Sender MissingParameter: The request must contain the parameter MessageBody.',
    );
    expect(await errorOf({ Action: 'GetQueueAttributes', 'AttributeName.1': '<&>' })).toBe(
      '400 Sender InvalidAttributeName: Unknown Attribute <&>.',
    );
    expect(await errorOf({ Action: 'PurgeQueue' }, `${origin}/000000000000/not-there`)).toMatch(
      /^400 Sender AWS.SimpleQueueService.NonExistentQueue: /,
    );
    expect(await errorOf({ Action: 'SendMessage', MessageBody: 'm', DelaySeconds: 'soon' })).toMatch(/MalformedInput/);
    expect(await errorOf({ Action: 'SendMessage', MessageBody: 'm', 'MessageAttribute.1.Name': 'a' })).toMatch(
      /MalformedInput/,
    );
    for (const path of ['/../etc', '/000000000000/..%2fx', '/1/2/3', '/111111111111/q1'])
      expect(await errorOf({ Action: 'PurgeQueue' }, origin + path)).toMatch(/^400 Sender /);
  });
});

describe('the JSON protocol', () => {
  const JSON_TYPE = { 'content-type': 'application/x-amz-json-1.0' };
  const call = (action: string, body: string | Uint8Array<ArrayBuffer>) =>
    post({ ...JSON_TYPE, 'x-amz-target': `AmazonSQS.${action}` }, body);

  test('tells of errors with their name, and with the name they had before', async () => {
    const { status, code, body } = await call('GetQueueUrl', '{"QueueName":"nobody"}');
    expect([status, code]).toEqual([400, 'AWS.SimpleQueueService.NonExistentQueue;Sender']);
    expect(JSON.parse(body)).toEqual({
      __type: 'com.amazonaws.sqs#QueueDoesNotExist',
      message: 'The specified queue does not exist.',
    });
  });

  test.each([
    ['', 'MissingParameter;Sender'],
    ['{', 'MalformedInput;Sender'],
    ['null', 'MalformedInput;Sender'],
    ['[]', 'MalformedInput;Sender'],
    ['"text"', 'MalformedInput;Sender'],
    ['{"QueueUrl":7,"MessageBody":"m"}', 'MalformedInput;Sender'],
    ['{"QueueUrl":"not an address","MessageBody":"m"}', 'InvalidAddress;Sender'],
    ['{"QueueUrl":"/000000000000/../x","MessageBody":"m"}', 'InvalidAddress;Sender'],
    ['{"QueueUrl":"URL"}', 'MissingParameter;Sender'],
    ['{"QueueUrl":"URL","MessageBody":{"a":1}}', 'MalformedInput;Sender'],
    ['{"QueueUrl":"URL","MessageBody":"m","DelaySeconds":"1"}', 'MalformedInput;Sender'],
    ['{"QueueUrl":"URL","MessageBody":"m","DelaySeconds":1.5}', 'MalformedInput;Sender'],
    ['{"QueueUrl":"URL","MessageBody":"m","MessageAttributes":[]}', 'MalformedInput;Sender'],
    ['{"QueueUrl":"URL","MessageBody":"m","MessageAttributes":{"a":{}}}', 'MissingParameter;Sender'],
    ['{"QueueUrl":"URL","MessageBody":"\\ud83d"}', 'InvalidMessageContents;Sender'],
  ])('refuses %s', async (body, code) => {
    const url = newQueue();
    const answer = await call('SendMessage', body.replace('URL', url));
    expect([answer.status, answer.code]).toEqual([400, code]);
    expect(await counts(url)).toBe('0 0 0');
  });

  test('refuses what is no text, what is too long, and calls that there are not', async () => {
    expect(await call('SendMessage', Uint8Array.of(0x7b, 0x22, 0xff))).toMatchObject({ code: 'MalformedInput;Sender' });
    expect(await call('SendMessage', ' '.repeat(8 * 1024 * 1024 + 1))).toMatchObject({ status: 413 });
    expect(await call('__proto__', '{}')).toMatchObject({ status: 400, code: 'InvalidAction;Sender' });
    expect(await call('AddPermission', '{}')).toMatchObject({ status: 400, code: 'InvalidAction;Sender' });
  });

  test('leaves alone what it does not know, and names that mean something elsewhere', async () => {
    const url = newQueue();
    const MessageAttributes = '{"__proto__":{"DataType":"String","StringValue":"x"}}';
    const sent = `{"QueueUrl":"${url}","MessageBody":"m","Unknown":[1],"MessageAttributes":${MessageAttributes}}`;
    expect((await call('SendMessage', sent)).status).toBe(200);
    const got = await call('ReceiveMessage', `{"QueueUrl":"${url}","MessageAttributeNames":["All"]}`);
    expect(JSON.parse(got.body).Messages[0].MD5OfMessageAttributes).toMatch(/^[0-9a-f]{32}$/);
    expect(got.body).toContain('"__proto__"');
  });
});

describe('a signature', () => {
  const clientOf = (credentials: { accessKeyId: string; secretAccessKey: string }) =>
    new SQSClient({ region: 'us-east-1', endpoint: origin, credentials, maxAttempts: 1 });

  test('of somebody else, over another body or of another time is refused', async () => {
    const url = newQueue();
    const put = new SendMessageCommand({ QueueUrl: url, MessageBody: 'm' });
    const refused = async (credentials: { accessKeyId: string; secretAccessKey: string }) => {
      const stranger = clientOf(credentials);
      try {
        return await refusal(stranger.send(put));
      } finally {
        stranger.destroy();
      }
    };
    expect(await refused({ ...CREDENTIALS, secretAccessKey: 'guessed' })).toMatch(/SignatureDoesNotMatch 403$/);
    expect(await refused({ ...CREDENTIALS, accessKeyId: 'who' })).toMatch(/InvalidClientTokenId 403$/);
    const fields = `Action=SendMessage&MessageBody=m&QueueUrl=${encodeURIComponent(url)}`;
    const raw = async (more: { sent?: string; at?: number; service?: string }) =>
      (await signed({ url: origin, service: 'sqs', at: bench.now(), headers: FORM, body: fields, ...more })).status;
    expect(await raw({ sent: fields.replace('=m', '=x') })).toBe(403);
    expect(await raw({ at: bench.now() - 16 * 60_000 })).toBe(403);
    expect(await raw({ service: 's3' })).toBe(403);
    expect((await fetch(origin, { method: 'POST', headers: FORM, body: fields })).status).toBe(403);
    expect(await counts(url)).toBe('0 0 0');
  });
});

describe('faults', () => {
  test('strike a call by its name and its queue, in either protocol', async () => {
    const [url, other] = [newQueue(), newQueue()];
    const keyPrefix = url.split('/').at(-1)!;
    const scope = { service: 'sqs', operation: 'SendMessage', keyPrefix };
    const { id } = cloud.faults.add({ scope, effect: { kind: 'status', status: 503 } });
    expect((await query(url, { Action: 'SendMessage', MessageBody: 'm' })).xml).toContain(
      '<Code>ServiceUnavailable</Code>',
    );
    expect(await refusal(send(url, 'm'))).toMatch(/ServiceUnavailable 503$/);
    await send(other, 'm');
    expect(await receive(url)).toEqual([]);
    cloud.faults.remove(id);
    await send(url, 'm');
    expect(bodiesOf(await receive(url))).toEqual(['m']);
  });

  test('an answer that is lost leaves the message in flight', async () => {
    const url = newQueue();
    await send(url, 'm');
    const effect = { kind: 'lost-answer' } as const;
    const { id } = cloud.faults.add({ scope: { operation: 'ReceiveMessage' }, effect });
    await expect(client.send(new ReceiveMessageCommand({ QueueUrl: url }))).rejects.toThrow();
    cloud.faults.remove(id);
    expect(await counts(url)).toBe('0 1 0');
  });
});
