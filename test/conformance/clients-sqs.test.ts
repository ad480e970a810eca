/** The AWS command line, which somebody else wrote, against the local SQS and SNS: what it finds wrong is wrong. */

import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startSns } from '../../local/aws/sns/sns.ts';
import { startSqs } from '../../local/aws/sqs/sqs.ts';
import { type OpenCloud, openCloud } from '../../local/cloud.ts';

const TEST_MS_MAX = 120_000;
const CALL_MS_MAX = 60_000;
const run = promisify(execFile);
const found = spawnSync('aws', ['--version']).status === 0;

let cloud: OpenCloud;
let services: { readonly port: number; stop(): Promise<void> }[];

beforeAll(async () => {
  cloud = openCloud({ name: 'aws' });
  cloud.faults.add({ effect: { kind: 'delivery', ms: { kind: 'even', min: 0, max: 0 }, twice: 0, never: 0 } });
  services = [await startSqs(cloud, { port: 0 }), await startSns(cloud, { port: 0 })];
});

afterAll(async () => {
  await Promise.all(services.map((it) => it.stop()));
  await cloud.close();
});

async function aws(service: 'sqs' | 'sns', ...words: readonly string[]) {
  const { port } = services[service === 'sqs' ? 0 : 1]!;
  const endpoint = ['--endpoint-url', `http://127.0.0.1:${port}`, '--region', 'us-east-1', '--output', 'json'];
  const keys = { AWS_ACCESS_KEY_ID: 'local', AWS_SECRET_ACCESS_KEY: 'local-secret', AWS_PAGER: '' };
  const env = { ...process.env, ...keys, AWS_EC2_METADATA_DISABLED: 'true' };
  const { stdout } = await run('aws', [service, ...words, ...endpoint], { env, timeout: CALL_MS_MAX });
  return stdout.trim() === '' ? null : JSON.parse(stdout);
}

describe('the AWS command line', () => {
  it('makes a topic and a queue, publishes and receives', { timeout: TEST_MS_MAX }, async (context) => {
    if (!found) {
      const reason = 'needs the AWS command line, aws, on the PATH';
      console.warn(`not run: SQS and SNS through a client that is not ours, ${reason}`);
      return context.skip(reason);
    }
    const tagged = ['--attributes', 'VisibilityTimeout=45', '--tags', 'of=mine'];
    const { QueueUrl: url } = await aws('sqs', 'create-queue', '--queue-name', 'shell', ...tagged);
    const queue = ['--queue-url', url];
    const { Attributes } = await aws('sqs', 'get-queue-attributes', ...queue, '--attribute-names', 'All');
    expect(Attributes).toMatchObject({ VisibilityTimeout: '45', QueueArn: expect.stringMatching(/:shell$/) });
    const { TopicArn: topic } = await aws('sns', 'create-topic', '--name', 'shell');
    const subscribe = ['--topic-arn', topic, '--protocol', 'sqs', '--notification-endpoint', Attributes.QueueArn];
    await aws('sns', 'subscribe', ...subscribe, '--attributes', 'RawMessageDelivery=true');
    const attribute = '{"a":{"DataType":"Number","StringValue":"7"}}';
    await aws('sns', 'publish', '--topic-arn', topic, '--message', 'é <published>', '--message-attributes', attribute);
    const wait = ['--wait-time-seconds', '10', '--message-attribute-names', 'All', '--attribute-names', 'All'];
    const { Messages: published } = await aws('sqs', 'receive-message', ...queue, ...wait);
    expect(published).toMatchObject([
      {
        Body: 'é <published>',
        Attributes: { ApproximateReceiveCount: '1' },
        MessageAttributes: { a: { DataType: 'Number', StringValue: '7' } },
      },
    ]);
    await aws('sqs', 'delete-message', ...queue, '--receipt-handle', published[0].ReceiptHandle);
    const entries = '[{"Id":"x","MessageBody":"one"},{"Id":"y","MessageBody":"two"}]';
    expect(await aws('sqs', 'send-message-batch', ...queue, '--entries', entries)).toMatchObject({
      Successful: [{ Id: 'x' }, { Id: 'y' }],
    });
    await aws('sqs', 'purge-queue', ...queue);
    expect(await aws('sqs', 'receive-message', ...queue)).toBeNull();
    await expect(aws('sqs', 'get-queue-url', '--queue-name', 'nobody')).rejects.toThrow(/NonExistentQueue/);
    await expect(aws('sns', 'get-topic-attributes', '--topic-arn', `${topic}x`)).rejects.toThrow(/\(NotFound\)/);
  });
});
