import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { v1 } from '@google-cloud/pubsub';
import { credentials } from '@grpc/grpc-js';
import { afterAll, afterEach, expect, test } from 'vitest';
import { openCloud } from '../../cloud.ts';
import { startPubsub } from './pubsub.ts';

const folder = mkdtempSync(join(tmpdir(), 'triplicate-pubsub-'));
const here = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
const CHILD = `
  const { openCloud } = await import(${here('../../cloud.ts')});
  const { startPubsub } = await import(${here('./pubsub.ts')});
  const cloud = openCloud({ name: 'gcp', folder: ${JSON.stringify(folder)} });
  console.log((await startPubsub(cloud, { port: 0 })).port);
`;
const TOPIC = 'projects/local-project/topics/news';
const SUBSCRIPTION = 'projects/local-project/subscriptions/news';
const CALL = { timeout: 5_000, retry: null };
const ROUNDS = 3;
const WORKERS = 8;

let child: ChildProcess | null = null;

afterEach(() => child?.kill('SIGKILL'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function start() {
  const started = spawn(process.execPath, ['--input-type=module', '-e', CHILD], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child = started;
  const [line] = await once(started.stdout, 'data');
  const options = {
    projectId: 'local-project',
    apiEndpoint: '127.0.0.1',
    port: Number(String(line)),
    sslCreds: credentials.createInsecure(),
    clientOptions: { universeDomain: 'googleapis.com' },
  };
  const publisher = new v1.PublisherClient(options);
  const subscriber = new v1.SubscriberClient(options);
  const kill = async () => {
    const gone = once(started, 'exit');
    started.kill('SIGKILL');
    await gone;
    await Promise.all([publisher.close(), subscriber.close()]);
  };
  return { publisher, subscriber, kill };
}

test('what was answered before kill -9 stands after it, and nothing stands halfway', async () => {
  const published = new Set<string>();
  const acknowledged = new Set<string>();
  /** Nobody knows whether they were published, or acknowledged. */
  const maybePublished = new Set<string>();
  const maybeAcknowledged = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const { publisher, subscriber, kill } = await start();
    if (round === 0) {
      await publisher.createTopic({ name: TOPIC }, CALL);
      await subscriber.createSubscription({ name: SUBSCRIPTION, topic: TOPIC, ackDeadlineSeconds: 10 }, CALL);
    }
    let going = true;
    const publishAll = async (worker: number) => {
      for (let index = 0; going; index++) {
        // Two in one request stand or fall together.
        const pair = ['first', 'second'].map((half) => `${round}/${worker}/${index}/${half}`);
        try {
          await publisher.publish({ topic: TOPIC, messages: pair.map((text) => ({ data: Buffer.from(text) })) }, CALL);
          for (const text of pair) published.add(text);
        } catch {
          for (const text of pair) maybePublished.add(text);
        }
      }
    };
    const acknowledgeSome = async () => {
      while (going) {
        let text = '';
        try {
          const [{ receivedMessages }] = await subscriber.pull({ subscription: SUBSCRIPTION, maxMessages: 1 }, CALL);
          const [received] = receivedMessages ?? [];
          if (received === undefined) continue;
          text = Buffer.from(received.message?.data ?? '').toString();
          await subscriber.acknowledge({ subscription: SUBSCRIPTION, ackIds: [received.ackId ?? ''] }, CALL);
          acknowledged.add(text);
        } catch {
          if (text !== '') maybeAcknowledged.add(text);
        }
      }
    };
    const workers = [...Array.from({ length: WORKERS }, (_, worker) => publishAll(worker)), acknowledgeSome()];
    const enough = published.size + 200;
    await expect.poll(() => published.size, { timeout: 20_000 }).toBeGreaterThan(enough);
    going = false;
    await kill();
    await Promise.all(workers);
  }

  const cloud = openCloud({ name: 'gcp', folder });
  const later = { ...cloud, now: () => Date.now() + 60_000 };
  const pubsub = await startPubsub(later, { port: 0 });
  const options = {
    projectId: 'local-project',
    apiEndpoint: '127.0.0.1',
    port: pubsub.port,
    clientOptions: { universeDomain: 'googleapis.com' },
  };
  const subscriber = new v1.SubscriberClient({ ...options, sslCreds: credentials.createInsecure() });
  const found: string[] = [];
  for (;;) {
    const request = { subscription: SUBSCRIPTION, maxMessages: 1_000, returnImmediately: true };
    const [{ receivedMessages }] = await subscriber.pull(request, CALL);
    if ((receivedMessages ?? []).length === 0) break;
    found.push(...(receivedMessages ?? []).map(({ message }) => Buffer.from(message?.data ?? '').toString()));
  }
  const all = new Set(found);
  expect(all.size).toBe(found.length);
  const isSettled = (text: string) => acknowledged.has(text) || maybeAcknowledged.has(text);
  const other = (text: string) =>
    text.endsWith('first') ? text.replace('first', 'second') : text.replace('second', 'first');
  expect([...published].filter((text) => !all.has(text) && !isSettled(text))).toEqual([]);
  expect(found.filter((text) => acknowledged.has(text))).toEqual([]);
  expect(found.filter((text) => !published.has(text) && !maybePublished.has(text))).toEqual([]);
  expect(found.filter((text) => !all.has(other(text)) && !isSettled(other(text)))).toEqual([]);
  expect(acknowledged.size).toBeGreaterThan(0);
  await subscriber.close();
  await pubsub.stop();
  await cloud.close();
});
