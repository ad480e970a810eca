import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, expect, test } from 'vitest';
import { CREDENTIALS } from '../../../test/samples/sqs.ts';
import { openCloud } from '../../cloud.ts';
import { startSns } from '../sns/sns.ts';
import { startSqs } from './sqs.ts';

const folder = mkdtempSync(join(tmpdir(), 'triplicate-queues-'));
const ROUNDS = 4;
const ACKNOWLEDGED = 40;
const SENDERS = 4;
const server = join(import.meta.dirname, '../../../test/crash/queues.ts');
const running = new Set<ChildProcess>();

afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

async function start() {
  const child = spawn(process.execPath, [server, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  running.add(child);
  const [line] = await once(child.stdout!, 'data');
  const [sqsPort, snsPort] = String(line).trim().split(' ');
  const to = (port?: string) => ({
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${port}`,
    credentials: CREDENTIALS,
  });
  const sqs = new SQSClient({ ...to(sqsPort), maxAttempts: 1 });
  const sns = new SNSClient({ ...to(snsPort), maxAttempts: 1 });
  return {
    sqs,
    sns,
    async kill() {
      child.kill('SIGKILL');
      await once(child, 'exit');
      running.delete(child);
      sqs.destroy();
      sns.destroy();
    },
  };
}

test('what was acknowledged survives kill -9: what was sent, published and deleted', async () => {
  const cloud = openCloud({ name: 'aws', folder });
  const first = await startSqs(cloud, { port: 0 });
  const topics = await startSns(cloud, { port: 0 });
  const queue = first.createQueue('durable', { VisibilityTimeout: '0' });
  const topic = topics.createTopic('durable');
  topics.subscribeQueue(topic, queue.arn, { RawMessageDelivery: 'true' });
  await Promise.all([first.stop(), topics.stop()]);
  await cloud.close();

  const [sent, deleted, deleting] = [new Set<string>(), new Set<string>(), new Set<string>()];
  const sentDirectly = new Set<string>();
  let next = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const { sqs, sns, kill } = await start();
    const enough = sent.size + ACKNOWLEDGED;
    let killed: Promise<void> | null = null;
    const sender = async () => {
      while (killed === null) {
        const body = `message ${next++}`;
        if (next % 2 === 0) {
          sentDirectly.add(body);
          await sqs.send(new SendMessageCommand({ QueueUrl: queue.url, MessageBody: body }));
        } else await sns.send(new PublishCommand({ TopicArn: topic, Message: body }));
        sent.add(body);
        // In the middle of what the others are doing.
        if (sent.size >= enough) killed ??= kill();
      }
    };
    const remover = async () => {
      while (killed === null) {
        const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: queue.url }));
        const [{ Body: body = '', ReceiptHandle = '' } = {}] = Messages;
        if (body === '' || deleted.size > sent.size / 2) continue;
        deleting.add(body);
        await sqs.send(new DeleteMessageCommand({ QueueUrl: queue.url, ReceiptHandle }));
        deleted.add(body);
      }
    };
    await Promise.allSettled([remover(), ...Array.from({ length: SENDERS }, sender)]);
    expect(killed).not.toBeNull();
    await killed;
  }

  const { sqs, kill } = await start();
  const missing = new Set([...sent].filter((body) => !deleting.has(body)));
  const came = new Set<string>();
  for (let rounds = 0; missing.size > 0 && rounds < 200; rounds++) {
    const asked = { QueueUrl: queue.url, MaxNumberOfMessages: 10, VisibilityTimeout: 60, WaitTimeSeconds: 1 };
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand(asked));
    for (const { Body: body = '' } of Messages) {
      missing.delete(body);
      came.add(body);
    }
  }
  await kill();
  expect(sent.size).toBeGreaterThanOrEqual(ROUNDS * ACKNOWLEDGED);
  expect(deleted.size).toBeGreaterThan(0);
  expect([...missing]).toEqual([]);
  // What went through the topic may come twice.
  expect([...deleted].filter((body) => sentDirectly.has(body) && came.has(body))).toEqual([]);
});
