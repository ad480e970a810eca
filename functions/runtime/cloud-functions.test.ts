import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getTestServer } from '@google-cloud/functions-framework/testing';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { openCloud } from '../../local/cloud.ts';
import { startPubsub } from '../../local/google/pubsub/pubsub.ts';
import { fault } from '../../shared/model/fault.ts';
import { openPubsubQueue } from '../../shared/queue/pubsub.ts';
import { openSystemTimer } from '../../shared/world/system.ts';
import { openScene, type Scene } from '../../test/scenario/world.ts';
import { openSource } from '../replicator.ts';
import { registerCloudFunctions } from './cloud-functions.ts';

const cloud = openCloud({ name: 'gcp' });
const pubsub = await startPubsub(cloud, { port: 0 });
const topic = (name: string) => `projects/p/topics/${name}`;
for (const name of ['changes', 'changes-dead']) {
  pubsub.createTopic(topic(name));
  pubsub.createSubscription({ name: `projects/p/subscriptions/${name}`, topic: topic(name) });
}
const queue = openPubsubQueue({
  projectId: 'p',
  topic: 'changes',
  subscription: 'changes',
  deadLetterTopic: 'changes-dead',
  deadLetterSubscription: 'changes-dead',
  apiEndpoint: `http://127.0.0.1:${pubsub.port}`,
});
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
afterAll(async () => {
  await queue.close();
  await pubsub.stop();
  await cloud.close();
});

/** The function as the framework serves it; answers the status of a POST. */
async function serve(scene: Scene, name: string, timeMs = 60_000) {
  const { world } = scene;
  const sources = { changes: openSource('gcp', queue, world.topology) };
  registerCloudFunctions({ open: async () => ({ world, sources }), timer: openSystemTimer(), timeMs });
  const server = getTestServer(name).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return async (body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<number> => {
    const init = {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    };
    const answer = await fetch(`http://127.0.0.1:${port}/`, init);
    await answer.arrayBuffer();
    return answer.status;
  };
}

function fixture(name: string) {
  return JSON.parse(readFileSync(new URL(`../../events/fixtures/${name}`, import.meta.url), 'utf8'));
}

/** As Pub/Sub pushes what Cloud Storage tells; `attributes` instead of what it usually says. */
function push(key: string, attributes: Readonly<Record<string, string>> = {}) {
  const told = fixture('gcs-push.json');
  const { message } = told;
  const own = { eventType: 'OBJECT_FINALIZE', bucketId: 'bucket-gcp', objectId: key, objectGeneration: '7' };
  message.attributes = { ...message.attributes, ...own, ...attributes };
  delete message.data;
  return { ...told, message, subscription: 'projects/p/subscriptions/changes', deliveryAttempt: 1 };
}

async function openDeaf(): Promise<Scene> {
  const scene = await openScene();
  scene.deaf = true;
  return scene;
}

async function takeDead() {
  const letters = await queue.deadLetters({ limit: 10 });
  if (letters.length > 0) await queue.redrive({ limit: 10 });
  for (const { receipt } of await queue.receive({ max: 10, visibilityMs: 10_000 }))
    await queue.settle(receipt, { kind: 'done' });
  return letters;
}

describe('a function that Pub/Sub pushes to', () => {
  it('carries what it is told', async () => {
    const scene = await openDeaf();
    scene.put('gcp', 'photo 1.jpg', 'a picture');
    const post = await serve(scene, 'changes');
    expect(await post(push('photo 1.jpg'))).toBe(204);
    expect(await scene.readAll('photo 1.jpg')).toEqual(['a picture', 'a picture', 'a picture']);
  });

  it('asks for it again when something was away', async () => {
    const scene = await openDeaf();
    scene.put('gcp', 'k', 'text');
    let outage = true;
    scene.before = ({ place }) => {
      if (outage && place === 'ledger') throw fault('unavailable', 'the ledger is away');
    };
    const post = await serve(scene, 'changes');
    expect(await post(push('k'))).toBe(503);
    outage = false;
    expect(await post(push('k'))).toBe(204);
    expect(await scene.read('aws', 'k')).toBe('text');
    expect(await takeDead()).toEqual([]);
  });

  it('sets aside what nobody can read, with the reason, and does not ask for it again', async () => {
    const post = await serve(await openDeaf(), 'changes');
    expect(await post({ ...push('k', { bucketId: 'somebody-elses' }), deliveryAttempt: 2 })).toBe(204);
    expect(await takeDead()).toMatchObject([{ reason: expect.stringContaining('somebody-elses'), attempts: 2 }]);
  });

  it('asks for it again when it could not even be set aside', async () => {
    const scene = await openDeaf();
    const post = await serve(scene, 'changes');
    cloud.faults.add({
      scope: { service: 'pubsub', operation: 'Publish' },
      effect: { kind: 'status', status: 503 },
      times: 3,
    });
    expect(await post(push('k', { bucketId: 'somebody-elses' }))).toBe(503);
    expect(scene.notices).toContainEqual(expect.objectContaining({ what: 'queue-down' }));
    cloud.faults.clear();
  });

  it('answers in time', async () => {
    const scene = await openDeaf();
    scene.put('gcp', 'k', 'text');
    scene.before = ({ place, op }) => (place !== 'ledger' && op === 'get' ? new Promise(() => {}) : undefined);
    const post = await serve(scene, 'changes', 300);
    expect(await post(push('k'))).toBe(503);
  });

  it('tells a stranger what it expected', async () => {
    const post = await serve(await openDeaf(), 'changes');
    for (const body of [{}, { message: 1 }, { message: {} }, { message: { messageId: '1', data: 5 } }])
      expect(await post(body)).toBe(400);
  });
});

describe('a function that Eventarc delivers to', () => {
  const headersOf = ({ id, source, type, specversion, time, subject }: Readonly<Record<string, string>>) =>
    Object.fromEntries(
      Object.entries({ id, source, type, specversion, time, subject }).flatMap(([name, value]) =>
        value === undefined ? [] : [[`ce-${name}`, value]],
      ),
    );

  it('carries what Cloud Storage tells itself', async () => {
    const scene = await openDeaf();
    scene.put('gcp', 'Friends/photo 1.jpg', 'a picture');
    const event = fixture('gcs-cloudevent.json');
    const data = { ...event.data, bucket: 'bucket-gcp' };
    const post = await serve(scene, 'events');
    expect(await post(data, headersOf(event))).toBe(204);
    expect(await scene.read('az', 'Friends/photo 1.jpg')).toBe('a picture');
  });

  const published = {
    id: '9',
    specversion: '1.0',
    type: 'google.cloud.pubsub.topic.v1.messagePublished',
    source: '//pubsub.googleapis.com/projects/p/topics/changes',
    time: '2026-01-01T00:00:00Z',
  };

  it('carries what came by way of Pub/Sub', async () => {
    const scene = await openDeaf();
    scene.put('gcp', 'k', 'text');
    const post = await serve(scene, 'events');
    const { message } = push('k');
    expect(await post({ message }, headersOf(published))).toBe(204);
    expect(await post({ ...published, data: { message } }, { 'content-type': 'application/cloudevents+json' })).toBe(
      204,
    );
    expect(await scene.read('aws', 'k')).toBe('text');
  });

  it('fails when it is to come again, and sets aside what cannot', async () => {
    const scene = await openDeaf();
    scene.before = ({ place }) => {
      if (place === 'ledger') throw fault('unavailable', 'the ledger is away');
    };
    const post = await serve(scene, 'events');
    expect(await post({ message: push('k').message }, headersOf(published))).toBe(500);
    expect(await post({ message: push('k', { objectGeneration: 'seven' }).message }, headersOf(published))).toBe(204);
    expect(await takeDead()).toMatchObject([{ reason: expect.stringContaining('attributes.objectGeneration') }]);
  });
});

it('sweeps, passes and verifies when Cloud Scheduler asks', async () => {
  const scene = await openDeaf();
  scene.put('aws', 'unheard', 'found');
  expect(await (await serve(scene, 'pass'))({})).toBe(204);
  expect(await scene.readAll('unheard')).toEqual(['found', 'found', 'found']);
  expect(await (await serve(scene, 'sweep'))({})).toBe(204);
  scene.count();
  expect(await (await serve(scene, 'verify'))({})).toBe(204);
  expect(Object.keys(scene.count())).toContain('ledger listKeys');
});
