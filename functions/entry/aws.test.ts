import {
  DeleteMessageBatchCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EntryWorld, startEntryWorld } from '../../test/samples/entry-world.ts';

let world: EntryWorld;
let sqs: SQSClient;
let lambda: typeof import('./aws.ts');

beforeAll(async () => {
  world = await startEntryWorld();
  Object.assign(process.env, world.environment);
  const { endpoint, region } = world.clouds.config.aws;
  sqs = new SQSClient({ endpoint, region });
  lambda = await import('./aws.ts');
});
afterAll(async () => {
  sqs.destroy();
  await world.stop();
});

function toRecord({ MessageId, ReceiptHandle, Body, Attributes, MessageAttributes = {} }: Message) {
  const attributes = Object.entries(MessageAttributes).map(([name, { StringValue, DataType }]) => [
    name,
    { stringValue: StringValue, stringListValues: [], binaryListValues: [], dataType: DataType },
  ]);
  return {
    messageId: MessageId,
    receiptHandle: ReceiptHandle,
    body: Body,
    attributes: Attributes,
    messageAttributes: Object.fromEntries(attributes),
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:triplicate-changes',
    awsRegion: 'us-east-1',
  };
}

/** One round of the poller that Lambda has at its queue; answers how many messages it took, and which failed. */
async function poll() {
  const { queueUrl: QueueUrl } = world.clouds.config.aws;
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({
      QueueUrl,
      MaxNumberOfMessages: 10,
      VisibilityTimeout: 360,
      WaitTimeSeconds: 1,
      MessageAttributeNames: ['All'],
      MessageSystemAttributeNames: ['All'],
    }),
  );
  if (Messages.length === 0) return { taken: 0, failed: [] };
  const context = { getRemainingTimeInMillis: () => 60_000 };
  const { batchItemFailures } = await lambda.changes({ Records: Messages.map(toRecord) }, context);
  const failed = batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
  const Entries = Messages.filter(({ MessageId = '' }) => !failed.includes(MessageId)).map(
    ({ MessageId, ReceiptHandle }) => ({
      Id: MessageId,
      ReceiptHandle,
    }),
  );
  if (Entries.length > 0) await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
  return { taken: Messages.length, failed };
}

async function pollUntilCalm(): Promise<readonly string[]> {
  const failed: string[] = [];
  for (let round = 0; round < 20; round++) {
    const answer = await poll();
    if (answer.taken === 0) return failed;
    failed.push(...answer.failed);
  }
  return expect.unreachable('the queue never came to rest');
}

describe('the function deployed to Lambda', () => {
  it('carries what an application writes to S3 into the other clouds', async () => {
    await world.write('aws', 'dir/a file+more.txt', 'first');
    await world.write('aws', 'another', 'second');
    expect(await pollUntilCalm()).toEqual([]);
    expect(await world.read('gcp', 'dir/a file+more.txt')).toBe('first');
    expect(await world.read('azure', 'dir/a file+more.txt')).toBe('first');
    expect(await world.read('azure', 'another')).toBe('second');
  });

  it('sets aside what nobody can read, with the reason', async () => {
    const { queueUrl: QueueUrl, deadLetterQueueUrl } = world.clouds.config.aws;
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: '{"Records": [{}]}' }));
    await world.write('aws', 'beside it', 'arrives');
    expect(await pollUntilCalm()).toEqual([]);
    expect(await world.read('gcp', 'beside it')).toBe('arrives');
    const asked = { QueueUrl: deadLetterQueueUrl, MessageAttributeNames: ['All'] };
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand(asked));
    expect(Messages.map(({ Body }) => Body)).toEqual(['{"Records": [{}]}']);
    expect(Messages[0]?.MessageAttributes?.triplicate?.StringValue).toContain('body.Records[0].eventSource: expected');
  });

  it('finds by a pass what no message told', async () => {
    await world.write('gcp', 'unheard', 'found');
    const context = { getRemainingTimeInMillis: () => 60_000 };
    await lambda.pass({}, context);
    expect(await world.read('aws', 'unheard')).toBe('found');
    expect(await world.read('azure', 'unheard')).toBe('found');
  });

  it('works for the others while one cloud is away, and makes good for it afterwards', async () => {
    const rule = world.clouds.faults.add({ scope: { cloud: 'gcp' }, effect: { kind: 'status', status: 503 } });
    await world.write('aws', 'during', 'the outage');
    expect(await pollUntilCalm()).toEqual([]);
    expect(await world.read('azure', 'during')).toBe('the outage');
    world.clouds.faults.remove(rule.id);
    for (let tries = 0; tries < 100 && (await world.read('gcp', 'during')) === null; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      await lambda.sweep({}, { getRemainingTimeInMillis: () => 60_000 });
    }
    await world.arrived('during', 'the outage');
  }, 30_000);
});

it('is not deployed without a queue of its cloud', async () => {
  const { queuesOf } = await import('./open.ts');
  const { readEnvironment } = await import('./environment.ts');
  const { TRIPLICATE_QUEUE_FRA: _left, ...environment } = world.environment;
  expect(() => queuesOf('aws', readEnvironment(environment))).toThrow(/^TRIPLICATE_QUEUE_FRA: expected an address/);
});
