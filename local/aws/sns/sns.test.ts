import { createVerify, X509Certificate } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  ConfirmSubscriptionCommand,
  CreateTopicCommand,
  DeleteTopicCommand,
  GetSubscriptionAttributesCommand,
  GetTopicAttributesCommand,
  ListSubscriptionsByTopicCommand,
  ListTagsForResourceCommand,
  ListTopicsCommand,
  PublishBatchCommand,
  PublishCommand,
  type PublishCommandInput,
  SetSubscriptionAttributesCommand,
  SetTopicAttributesCommand,
  SNSClient,
  SubscribeCommand,
  TagResourceCommand,
  UnsubscribeCommand,
  UntagResourceCommand,
} from '@aws-sdk/client-sns';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { bodiesOf, CREDENTIALS, openSqsBench, refusal } from '../../../test/samples/sqs.ts';
import { startSns } from './sns.ts';

const bench = await openSqsBench();
const { cloud } = bench;
// Once and at once, unless a test says otherwise.
cloud.faults.add({ effect: { kind: 'delivery', ms: { kind: 'even', min: 0, max: 0 }, twice: 0, never: 0 } });
const sns = await startSns(cloud, { port: 0 });
const origin = `http://127.0.0.1:${sns.port}`;
const client = new SNSClient({ region: 'us-east-1', endpoint: origin, credentials: CREDENTIALS, maxAttempts: 1 });
let names = 0;

afterAll(async () => {
  client.destroy();
  await sns.stop();
  await bench.close();
});

const newTopic = (attributes: Record<string, string> = {}) => sns.createTopic(`topic-${++names}`, attributes);

async function newQueue() {
  const url = bench.newQueue();
  return { url, arn: (await bench.attributesOf(url)).QueueArn! };
}

async function subscribed(attributes: Record<string, string> = {}, topicAttributes: Record<string, string> = {}) {
  const [topic, queue] = [newTopic(topicAttributes), await newQueue()];
  const asked = { TopicArn: topic, Protocol: 'sqs', Endpoint: queue.arn, Attributes: attributes };
  const { SubscriptionArn: subscription = '' } = await client.send(new SubscribeCommand(asked));
  return { topic, queue, subscription };
}

const publish = async (topic: string, Message: string, more: Partial<PublishCommandInput> = {}) =>
  client.send(new PublishCommand({ TopicArn: topic, Message, ...more }));

async function received(queue: { readonly url: string }) {
  await cloud.delivery.settled();
  return bench.receive(queue.url, { MessageAttributeNames: ['All'], VisibilityTimeout: 0 });
}

/** Checks a letter as anybody outside would: by the certificate that it names. */
async function isGenuine(letter: Record<string, string>, digest = 'RSA-SHA1'): Promise<boolean> {
  const names =
    'SubscribeURL' in letter
      ? ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type']
      : ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'];
  const text = names
    .filter((name) => name in letter)
    .map((name) => `${name}\n${letter[name]}\n`)
    .join('');
  const pem = await (await fetch(letter.SigningCertURL!)).text();
  const { publicKey, subject } = new X509Certificate(pem);
  expect(subject).toBe('CN=sns.amazonaws.com');
  return createVerify(digest).update(text).verify(publicKey, letter.Signature!, 'base64');
}

describe('a topic', () => {
  test('is there once, and has attributes and tags', async () => {
    const create = (Attributes: Record<string, string> = {}) =>
      client.send(new CreateTopicCommand({ Name: 'mine', Attributes, Tags: [{ Key: 'a', Value: '1' }] }));
    const { TopicArn: arn } = await create({ DisplayName: 'shown' });
    expect(arn).toBe('arn:aws:sns:us-east-1:000000000000:mine');
    expect((await create()).TopicArn).toBe(arn);
    expect(await refusal(create({ DisplayName: 'other' }))).toBe('InvalidParameterException InvalidParameter 400');
    await client.send(
      new SetTopicAttributesCommand({ TopicArn: arn, AttributeName: 'SignatureVersion', AttributeValue: '2' }),
    );
    const { Attributes } = await client.send(new GetTopicAttributesCommand({ TopicArn: arn }));
    expect(Attributes).toMatchObject({
      DisplayName: 'shown',
      SignatureVersion: '2',
      SubscriptionsConfirmed: '0',
      TopicArn: arn,
    });
    await client.send(new TagResourceCommand({ ResourceArn: arn, Tags: [{ Key: 'b', Value: '2' }] }));
    await client.send(new UntagResourceCommand({ ResourceArn: arn, TagKeys: ['a'] }));
    const { Tags } = await client.send(new ListTagsForResourceCommand({ ResourceArn: arn }));
    expect(Tags).toEqual([{ Key: 'b', Value: '2' }]);
    const { Topics = [] } = await client.send(new ListTopicsCommand({}));
    expect(Topics).toContainEqual({ TopicArn: arn });
    await client.send(new DeleteTopicCommand({ TopicArn: arn }));
    expect(await refusal(publish(arn!, 'm'))).toBe('NotFoundException NotFound 404');
  });

  test('is listed by pages', async () => {
    for (let index = 0; index < 101; index++) newTopic();
    const all: (string | undefined)[] = [];
    let NextToken: string | undefined;
    do {
      const page = await client.send(new ListTopicsCommand({ NextToken }));
      all.push(...(page.Topics ?? []).map((it) => it.TopicArn));
      NextToken = page.NextToken;
    } while (NextToken !== undefined);
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBeGreaterThan(100);
  });

  test('with a name or an attribute that SNS does not take is refused', async () => {
    const wrong = 'InvalidParameterException InvalidParameter 400';
    for (const Name of ['a.b', 'x'.repeat(257), 'a b', 'ordered.fifo'])
      expect(await refusal(client.send(new CreateTopicCommand({ Name })))).toBe(wrong);
    expect(await refusal(client.send(new CreateTopicCommand({ Name: 'n', Attributes: { Nonsense: '1' } })))).toBe(
      wrong,
    );
    expect(
      await refusal(client.send(new CreateTopicCommand({ Name: 'n', Attributes: { SignatureVersion: '3' } }))),
    ).toBe(wrong);
    expect(await refusal(client.send(new GetTopicAttributesCommand({ TopicArn: 'no-arn' })))).toBe(wrong);
    expect(
      await refusal(client.send(new GetTopicAttributesCommand({ TopicArn: sns.createTopic('n').replace(/n$/, 'x') }))),
    ).toMatch(/^NotFound/);
  });
});

describe('a queue that subscribed', () => {
  test('gets what is published in a signed envelope', async () => {
    const { topic, queue, subscription } = await subscribed();
    const MessageAttributes = {
      kind: { DataType: 'String', StringValue: 'put' },
      bytes: { DataType: 'Binary', BinaryValue: Uint8Array.of(1, 2) },
    };
    const { MessageId } = await publish(topic, 'text: é😀 <&>\n', { Subject: 'about', MessageAttributes });
    const [message] = await received(queue);
    expect(message).not.toHaveProperty('MessageAttributes');
    const letter = JSON.parse(message!.Body!);
    expect(letter).toEqual({
      Type: 'Notification',
      MessageId,
      TopicArn: topic,
      Subject: 'about',
      Message: 'text: é😀 <&>\n',
      Timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      SignatureVersion: '1',
      Signature: expect.any(String),
      SigningCertURL: expect.stringMatching(/\/SimpleNotificationService-[0-9a-f]+\.pem$/),
      UnsubscribeURL: `${origin}/?Action=Unsubscribe&SubscriptionArn=${encodeURIComponent(subscription)}`,
      MessageAttributes: { kind: { Type: 'String', Value: 'put' }, bytes: { Type: 'Binary', Value: 'AQI=' } },
    });
    expect(await isGenuine(letter)).toBe(true);
    expect(await isGenuine({ ...letter, Message: 'forged' })).toBe(false);
  });

  test('gets signatures of the second version where the topic says so', async () => {
    const { topic, queue } = await subscribed({}, { SignatureVersion: '2' });
    await publish(topic, 'm');
    const letter = JSON.parse((await received(queue))[0]!.Body!);
    expect(letter.SignatureVersion).toBe('2');
    expect(await isGenuine(letter, 'RSA-SHA256')).toBe(true);
  });

  test('gets the bare message and its attributes where it asked for that', async () => {
    const { topic, queue } = await subscribed({ RawMessageDelivery: 'true' });
    const MessageAttributes = {
      n: { DataType: 'Number', StringValue: '7' },
      b: { DataType: 'Binary', BinaryValue: Uint8Array.of(0, 9) },
    };
    await publish(topic, 'bare', { MessageAttributes });
    expect(await received(queue)).toMatchObject([{ Body: 'bare', MessageAttributes }]);
  });

  test('gets only what its filter lets through, also after the filter was changed', async () => {
    const { topic, queue, subscription } = await subscribed({
      RawMessageDelivery: 'true',
      FilterPolicy: '{"kind":["put"],"size":[{"numeric":[">",10]}]}',
    });
    const put = (body: string, kind: string, size: string) =>
      publish(topic, body, {
        MessageAttributes: {
          kind: { DataType: 'String', StringValue: kind },
          size: { DataType: 'Number', StringValue: size },
        },
      });
    await put('small', 'put', '1');
    await put('wanted', 'put', '11');
    await put('other', 'delete', '11');
    await publish(topic, 'bare');
    expect(bodiesOf(await received(queue))).toEqual(['wanted']);
    const set = (AttributeName: string, AttributeValue: string) =>
      client.send(
        new SetSubscriptionAttributesCommand({ SubscriptionArn: subscription, AttributeName, AttributeValue }),
      );
    await set('FilterPolicyScope', 'MessageBody');
    await set('FilterPolicy', '{"a":{"b":["c"]}}');
    await publish(topic, '{"a":{"b":"c"}}');
    await publish(topic, '{"a":{"b":"d"}}');
    expect(bodiesOf(await received(queue))).toEqual(['wanted', '{"a":{"b":"c"}}']);
    expect(await refusal(set('FilterPolicy', '{"a":"b"}'))).toBe('InvalidParameterException InvalidParameter 400');
    expect(await refusal(set('RawMessageDelivery', 'maybe'))).toMatch(/^InvalidParameter/);
    expect(await refusal(set('RedrivePolicy', '{}'))).toMatch(/^InvalidParameter/);
  });

  test('subscribes once, and gets nothing after it left', async () => {
    const { topic, queue, subscription } = await subscribed({ RawMessageDelivery: 'true' });
    const again = (Attributes: Record<string, string>) =>
      client.send(new SubscribeCommand({ TopicArn: topic, Protocol: 'sqs', Endpoint: queue.arn, Attributes }));
    expect((await again({})).SubscriptionArn).toBe(subscription);
    expect(await refusal(again({ RawMessageDelivery: 'false' }))).toMatch(/^InvalidParameter/);
    const { Subscriptions } = await client.send(new ListSubscriptionsByTopicCommand({ TopicArn: topic }));
    expect(Subscriptions).toEqual([
      { SubscriptionArn: subscription, TopicArn: topic, Protocol: 'sqs', Endpoint: queue.arn, Owner: '000000000000' },
    ]);
    const { Attributes } = await client.send(new GetSubscriptionAttributesCommand({ SubscriptionArn: subscription }));
    expect(Attributes).toMatchObject({ PendingConfirmation: 'false', RawMessageDelivery: 'true' });
    await client.send(new UnsubscribeCommand({ SubscriptionArn: subscription }));
    await publish(topic, 'm');
    expect(await received(queue)).toEqual([]);
    expect(await refusal(client.send(new GetSubscriptionAttributesCommand({ SubscriptionArn: subscription })))).toMatch(
      /^NotFound/,
    );
  });

  test('gets a batch, each message for itself', async () => {
    const { topic, queue } = await subscribed({ RawMessageDelivery: 'true' });
    const batch = (...Entries: { Id: string; Message: string; Subject?: string }[]) =>
      client.send(new PublishBatchCommand({ TopicArn: topic, PublishBatchRequestEntries: Entries }));
    const { Successful, Failed } = await batch(
      { Id: 'a', Message: 'a' },
      { Id: 'bad', Message: 'b', Subject: 'two\nlines' },
      { Id: 'c', Message: 'c' },
    );
    expect(Successful?.map((it) => it.Id)).toEqual(['a', 'c']);
    expect(Failed).toMatchObject([{ Id: 'bad', Code: 'InvalidParameter', SenderFault: true }]);
    expect([...bodiesOf(await received(queue))].sort()).toEqual(['a', 'c']);
    const entry = (Id: string, Message = 'm') => ({ Id, Message });
    expect(await refusal(batch(entry('a'), entry('a')))).toMatch(/^BatchEntryIdsNotDistinct/);
    expect(await refusal(batch(entry('a.b')))).toMatch(/^InvalidBatchEntryId/);
    expect(await refusal(batch(...[...'abcdefghijk'].map((id) => entry(id))))).toMatch(/^TooManyEntries/);
    const half = 'x'.repeat(131_073);
    expect(await refusal(batch(entry('a', half), entry('b', half)))).toMatch(/^BatchRequestTooLong/);
  });

  test('gets its own text of a message that has one for each protocol', async () => {
    const { topic, queue } = await subscribed({ RawMessageDelivery: 'true' });
    await publish(topic, '{"default":"for all","sqs":"for queues"}', { MessageStructure: 'json' });
    await publish(topic, '{"default":"for all","http":"no"}', { MessageStructure: 'json' });
    expect([...bodiesOf(await received(queue))].sort()).toEqual(['for all', 'for queues']);
  });

  test('gets notifications of other services through the topic', async () => {
    const { topic, queue } = await subscribed();
    cloud.state.db.transaction(() =>
      cloud.delivery.send('s3', { target: topic, body: '{"Records":[]}', attributes: {} }),
    );
    const [message] = await received(queue);
    expect(JSON.parse(message!.Body!)).toMatchObject({ Type: 'Notification', Message: '{"Records":[]}' });
  });

  test('and what is published wrongly reaches nobody', async () => {
    const { topic, queue } = await subscribed();
    const wrong = 'InvalidParameterException InvalidParameter 400';
    const attribute = (value: { DataType: string; StringValue?: string }) => ({ MessageAttributes: { a: value } });
    expect(await refusal(publish(topic, 'x'.repeat(262_145)))).toBe(wrong);
    expect(await refusal(publish(topic, 'm', { Subject: 'x'.repeat(101) }))).toBe(wrong);
    expect(await refusal(publish(topic, 'no json', { MessageStructure: 'json' }))).toBe(wrong);
    expect(await refusal(publish(topic, '{"sqs":"x"}', { MessageStructure: 'json' }))).toBe(wrong);
    expect(await refusal(publish(topic, 'm', { MessageDeduplicationId: 'x' }))).toBe(wrong);
    expect(await refusal(publish(topic, 'm', attribute({ DataType: 'String', StringValue: '' })))).toBe(
      'InvalidParameterValueException ParameterValueInvalid 400',
    );
    expect(await refusal(publish(topic, 'm', attribute({ DataType: 'Nonsense', StringValue: 'x' })))).toMatch(
      /ParameterValueInvalid/,
    );
    expect(await refusal(publish(topic, ''))).toMatch(/ 400$/);
    expect(await received(queue)).toEqual([]);
  });
});

describe('an address that subscribed', () => {
  const servers: Server[] = [];

  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  interface Called {
    readonly headers: IncomingHttpHeaders;
    readonly body: string;
  }

  /** Answers with these, one after the other, and then 200. */
  async function newAddress(...statuses: number[]): Promise<{ readonly url: string; readonly calls: Called[] }> {
    const calls: Called[] = [];
    const server = createServer(async (request, response) => {
      let body = '';
      for await (const piece of request.setEncoding('utf8')) body += piece;
      calls.push({ headers: request.headers, body });
      response.writeHead(statuses.shift() ?? 200).end();
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/in`, calls };
  }

  async function subscribe(topic: string, url: string, Attributes: Record<string, string> = {}) {
    const asked = { TopicArn: topic, Protocol: 'http', Endpoint: url, Attributes };
    return (await client.send(new SubscribeCommand(asked))).SubscriptionArn;
  }

  const until = (calls: readonly Called[], count: number) => expect.poll(() => calls.length).toBe(count);

  test('is asked first, and called once it said yes', async () => {
    const [topic, { url, calls }] = [newTopic(), await newAddress()];
    expect(await subscribe(topic, url)).toBe('pending confirmation');
    await publish(topic, 'too early');
    await until(calls, 1);
    const ask = JSON.parse(calls[0]!.body);
    expect(calls[0]!.headers).toMatchObject({
      'x-amz-sns-message-type': 'SubscriptionConfirmation',
      'x-amz-sns-topic-arn': topic,
      'content-type': 'text/plain; charset=UTF-8',
    });
    expect(ask).toMatchObject({ Type: 'SubscriptionConfirmation', TopicArn: topic, Token: expect.any(String) });
    expect(await isGenuine(ask)).toBe(true);
    const wrong = await fetch(ask.SubscribeURL.replace(ask.Token, 'guessed'));
    expect([wrong.status, await wrong.text()]).toEqual([400, expect.stringContaining('<Code>InvalidParameter</Code>')]);
    expect((await fetch(ask.SubscribeURL)).status).toBe(200);
    const { MessageId } = await publish(topic, 'now', { Subject: 's' });
    await until(calls, 2);
    const letter = JSON.parse(calls[1]!.body);
    expect(letter).toMatchObject({ Type: 'Notification', Message: 'now', MessageId });
    expect(await isGenuine(letter)).toBe(true);
    expect(calls[1]!.headers['x-amz-sns-message-type']).toBe('Notification');
    expect((await fetch(letter.UnsubscribeURL)).status).toBe(200);
    await publish(topic, 'too late');
    await cloud.delivery.settled();
    expect(calls).toHaveLength(2);
  });

  test('may confirm by a signed call, and get the bare message', async () => {
    const [topic, { url, calls }] = [newTopic(), await newAddress()];
    await subscribe(topic, url, { RawMessageDelivery: 'true' });
    await until(calls, 1);
    const { Token } = JSON.parse(calls[0]!.body);
    await client.send(new ConfirmSubscriptionCommand({ TopicArn: topic, Token }));
    await publish(topic, 'bare');
    await until(calls, 2);
    expect(calls[1]).toMatchObject({ body: 'bare', headers: { 'x-amz-sns-rawdelivery': 'true' } });
  });

  test('is called again when it failed, and not when it refused', async () => {
    const [topic, { url, calls }] = [newTopic(), await newAddress(200, 500, 200, 404)];
    await subscribe(topic, url, { RawMessageDelivery: 'true' });
    await until(calls, 1);
    await fetch(JSON.parse(calls[0]!.body).SubscribeURL);
    await publish(topic, 'failed once');
    await until(calls, 3);
    expect(calls.slice(1).map((it) => it.body)).toEqual(['failed once', 'failed once']);
    await publish(topic, 'refused');
    await until(calls, 4);
    await publish(topic, 'next');
    await until(calls, 5);
    expect(calls[4]!.body).toBe('next');
  });

  test('is on this machine, and of a kind that can be called', async () => {
    const topic = newTopic();
    const refused = async (Protocol: string, Endpoint: string) =>
      refusal(client.send(new SubscribeCommand({ TopicArn: topic, Protocol, Endpoint })));
    const cases = [
      ['http', 'http://example.com/'],
      ['http', 'http://127.0.0.1.example.com/'],
      ['http', 'https://127.0.0.1/'],
      ['http', 'nonsense'],
      ['email', 'a@b.c'],
      ['sqs', `${bench.newQueue()}`],
      ['sqs', 'arn:aws:sqs:us-east-1:000000000000:ordered.fifo'],
    ] as const;
    for (const [protocol, endpoint] of cases) expect(await refused(protocol, endpoint)).toMatch(/^InvalidParameter/);
  });
});

describe('whoever asks wrongly', () => {
  const post = async (body: string, headers: Record<string, string> = {}) => {
    const type = { 'content-type': 'application/x-www-form-urlencoded' };
    const response = await fetch(origin, { method: 'POST', body, headers: { ...type, ...headers } });
    return `${response.status} ${/<Code>(.*)<\/Code>/.exec(await response.text())?.[1]}`;
  };

  test('is told so by SNS, and nothing happens', async () => {
    expect(await post('Action=ListTopics')).toBe('403 MissingAuthenticationToken');
    expect(await post('Action=CreateTopic&Name=x', { authorization: 'AWS4-HMAC-SHA256 nonsense' })).toBe(
      '403 IncompleteSignature',
    );
    expect(await post(`${'a.'.repeat(50)}b=1`)).toBe('400 MalformedInput');
    expect(await post('x'.repeat(4 * 1024 * 1024 + 1))).toBe('413 RequestEntityTooLarge');
    expect(await post('Action=ConfirmSubscription')).toBe('400 ValidationError');
    const stranger = new SNSClient({
      region: 'us-east-1',
      endpoint: origin,
      credentials: { ...CREDENTIALS, secretAccessKey: 'guessed' },
      maxAttempts: 1,
    });
    expect(await refusal(stranger.send(new CreateTopicCommand({ Name: 'stolen' })))).toMatch(
      /SignatureDoesNotMatch 403$/,
    );
    stranger.destroy();
    const { Topics = [] } = await client.send(new ListTopicsCommand({}));
    expect(Topics.filter((it) => /:(x|stolen)$/.test(it.TopicArn ?? ''))).toEqual([]);
    expect((await fetch(`${origin}/SimpleNotificationService-00.pem`)).status).toBe(403);
  });

  test('meets the faults by the name of the call', async () => {
    const topic = newTopic();
    const { id } = cloud.faults.add({ scope: { operation: 'Publish' }, effect: { kind: 'status', status: 429 } });
    expect(await refusal(publish(topic, 'm'))).toBe('ThrottledException Throttled 429');
    expect(await refusal(client.send(new GetTopicAttributesCommand({ TopicArn: topic })))).toBe('no error');
    cloud.faults.remove(id);
  });
});
