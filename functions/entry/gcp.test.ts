import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getTestServer } from '@google-cloud/functions-framework/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type EntryWorld, startEntryWorld } from '../../test/samples/entry-world.ts';

let world: EntryWorld;
let server: Server;

beforeAll(async () => {
  world = await startEntryWorld();
  Object.assign(process.env, world.environment);
  await import('./gcp.ts');
  server = getTestServer('changes').listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(async () => {
  server.close();
  await world.stop();
});

it('the function deployed to Google Cloud carries what Pub/Sub pushes to it', async () => {
  const { projectId, topic } = world.clouds.config.gcp;
  const { port } = server.address() as AddressInfo;
  const { pubsub } = world.clouds.google;
  const subscription = `projects/${projectId}/subscriptions/push`;
  const pushConfig = { pushEndpoint: `http://127.0.0.1:${port}/`, attributes: {}, oidcToken: null, noWrapper: null };
  pubsub.createSubscription({ name: subscription, topic: `projects/${projectId}/topics/${topic}`, pushConfig });
  await world.write('gcp', 'dir/a file+more.txt', 'pushed');
  await world.arrived('dir/a file+more.txt', 'pushed');
  for (let tries = 0; tries < 100 && pubsub.undelivered(subscription) > 0; tries++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  expect(pubsub.undelivered(subscription)).toBe(0);
});
