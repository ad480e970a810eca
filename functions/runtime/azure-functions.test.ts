import { readFileSync } from 'node:fs';
import { HttpRequest, InvocationContext } from '@azure/functions';
import { ServiceBusClient, type ServiceBusReceivedMessage } from '@azure/service-bus';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { startServiceBus } from '../../local/azure/servicebus/servicebus.ts';
import { openCloud } from '../../local/cloud.ts';
import { fault } from '../../shared/model/fault.ts';
import { openServiceBusQueue } from '../../shared/queue/servicebus.ts';
import { openSystemTimer } from '../../shared/world/system.ts';
import type { Timer } from '../../shared/world/world.ts';
import { until } from '../../test/samples/until.ts';
import { openScene } from '../../test/scenario/world.ts';
import { openSource } from '../replicator.ts';
import { openAzureFunctions, registerAzureFunctions } from './azure-functions.ts';

const cloud = openCloud({ name: 'azure' });
let time = Date.now();
const now = () => time;
const bus = await startServiceBus({ ...cloud, now }, { port: 0 });
const host = new ServiceBusClient(bus.connectionString);
const closing: Array<() => Promise<void>> = [];
let queues = 0;

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(async () => {
  await host.close();
  await bus.stop();
  await cloud.close();
});

/** The time of an invocation is up when the test says so. */
function openManualTimer() {
  const waiting: Array<() => void> = [];
  const timer: Timer = {
    after(_ms, run) {
      waiting.push(run);
      return () => {};
    },
  };
  return {
    timer,
    ring() {
      for (const run of waiting.splice(0)) run();
    },
  };
}

async function open({ timer = openSystemTimer() } = {}) {
  const scene = await openScene();
  scene.deaf = true;
  const { world } = scene;
  // As Event Grid names an Azure bucket: account and container.
  const site = world.topology.sites.find(({ id }) => id === 'az');
  Object.assign(site ?? {}, { bucket: 'mystorageaccount/testcontainer' });
  const queueName = `changes-${++queues}`;
  bus.createQueue(queueName, { maxDeliveryCount: 2_000, lockDurationMs: 5 * 60_000 });
  const queue = openServiceBusQueue({ connectionString: bus.connectionString, queue: queueName, now, waitMs: 5 });
  closing.push(() => queue.close());
  const sources = { [queueName]: openSource('azure', queue, world.topology) };
  const handlers = openAzureFunctions({
    open: async () => ({ world, sources }),
    timer,
    timeMs: 60_000,
    queues: { az: queueName },
    connection: 'TRIPLICATE_SERVICE_BUS',
  });
  const receiver = host.createReceiver(queueName, { skipParsingBodyAsJson: true });
  closing.push(() => receiver.close());
  /** What the host does: takes messages, calls the function, gives back what is still locked if that fails. */
  async function invoke(many: boolean): Promise<unknown> {
    const messages = await receiver.receiveMessages(10, { maxWaitTimeInMs: 500 });
    const init = {
      functionName: 'changes-az',
      triggerMetadata: many ? metadataOfMany(messages) : metadataOf(messages[0]),
    };
    const bodies = messages.map(({ body }) => parsed(String(body)));
    return handlers.changes(many ? bodies : bodies[0], new InvocationContext(init)).catch((error: unknown) => error);
  }
  return { scene, queue, queueName, handlers, invoke };
}

/** The host gives what is JSON as a value, and anything else as text. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function metadataOf(message: ServiceBusReceivedMessage | undefined) {
  const { messageId, lockToken, deliveryCount = 0, enqueuedTimeUtc, applicationProperties = {} } = message ?? {};
  const told = { messageId, lockToken, deliveryCount: deliveryCount + 1 };
  return { ...told, enqueuedTimeUtc: enqueuedTimeUtc?.toISOString(), applicationProperties };
}

function metadataOfMany(messages: readonly ServiceBusReceivedMessage[]) {
  const each = messages.map(metadataOf);
  const names = ['messageId', 'lockToken', 'deliveryCount', 'enqueuedTimeUtc', 'applicationProperties'] as const;
  return Object.fromEntries(names.map((name) => [`${name}Array`, each.map((it) => it[name])]));
}

function fixture(name: string) {
  return JSON.parse(readFileSync(new URL(`../../events/fixtures/${name}`, import.meta.url), 'utf8'));
}

function told(key: string): Readonly<Record<string, unknown>> {
  const event = fixture('azure-cloudevent-created.json');
  return { ...event, subject: `/blobServices/default/containers/testcontainer/blobs/${key}` };
}

describe('a function that Service Bus triggers', () => {
  it('carries what one message tells, and settles it', async () => {
    const { scene, queue, queueName, invoke } = await open();
    scene.put('az', 'dir/new file.txt', 'words');
    bus.send(queueName, { body: JSON.stringify(told('dir/new file.txt')), messageId: 'e1' });
    expect(await invoke(false)).toBeUndefined();
    expect(await scene.readAll('dir/new file.txt')).toEqual(['words', 'words', 'words']);
    expect(await queue.depth()).toEqual({ waiting: 0, inFlight: 0, dead: 0 });
  });

  it('tells apart what is done, what comes again later, and what nobody can read', async () => {
    const { scene, queue, queueName, invoke } = await open();
    scene.put('az', 'good', 'arrives');
    scene.put('az', 'bad', 'arrives later');
    for (const body of [JSON.stringify(told('bad')), 'nonsense', JSON.stringify(told('good'))])
      bus.send(queueName, { body, messageId: body.slice(0, 9) });
    let outage = true;
    scene.before = ({ place, args }) => {
      if (outage && place === 'ledger' && args[0] === 'bad') throw fault('unavailable', 'the ledger is away');
    };
    expect(await invoke(true)).toBeUndefined();
    expect(await scene.readAll('good')).toEqual(['arrives', 'arrives', 'arrives']);
    expect(await queue.deadLetters({ limit: 10 })).toMatchObject([
      { body: 'nonsense', reason: expect.stringMatching(/^body: expected JSON/), attempts: 1 },
    ]);
    outage = false;
    time += 1_000;
    expect(await invoke(true)).toBeUndefined();
    expect(await scene.read('gcp', 'bad')).toBe('arrives later');
    expect(await queue.depth()).toEqual({ waiting: 0, inFlight: 0, dead: 1 });
  });

  it('fails when a message is not done, and leaves the others settled', async () => {
    const { timer, ring } = openManualTimer();
    const { scene, queue, queueName, invoke } = await open({ timer });
    scene.put('az', 'good', 'arrives');
    scene.put('az', 'stuck', 'does not');
    for (const key of ['stuck', 'good']) bus.send(queueName, { body: JSON.stringify(told(key)), messageId: key });
    scene.before = ({ place, op, args }) =>
      place !== 'ledger' && op === 'get' && args[0] === 'stuck' ? new Promise(() => {}) : undefined;
    const invoked = invoke(true);
    // Two were there; what the host holds counts as waiting for everybody else.
    await until(async () => (await queue.depth()).waiting === 1);
    ring();
    expect(await invoked).toMatchObject({ message: '1 of 2 messages are not done and come again' });
    expect(await scene.read('gcp', 'good')).toBe('arrives');
    expect((await queue.depth()).dead).toBe(0);
  });

  it('refuses a message that it could not settle', async () => {
    const { handlers } = await open();
    const context = new InvocationContext({ functionName: 'changes-az', triggerMetadata: {} });
    await expect(handlers.changes('{}', context)).rejects.toThrow('triggerMetadata.lockToken: expected a text');
  });

  it('sweeps, passes and verifies when a timer asks', async () => {
    const { scene, handlers } = await open();
    scene.put('aws', 'unheard', 'found');
    await handlers.task('pass')();
    expect(await scene.readAll('unheard')).toEqual(['found', 'found', 'found']);
    await handlers.task('sweep')();
    scene.count();
    await handlers.task('verify')();
    expect(Object.keys(scene.count())).toContain('ledger listKeys');
  });
});

describe('a webhook of Event Grid', () => {
  const url = 'http://localhost/api/event-grid';
  const post = (body: unknown) =>
    new HttpRequest({ method: 'POST', url, body: { string: typeof body === 'string' ? body : JSON.stringify(body) } });

  it('shakes hands as Event Grid asks, and as CloudEvents do', async () => {
    const { handlers } = await open();
    expect(await handlers.webhook(post(fixture('azure-validation.json')))).toEqual({
      status: 200,
      jsonBody: { validationResponse: '512d38b6-c7b8-40c8-89fe-f46f9e9622b6' },
    });
    const headers = { 'WebHook-Request-Origin': 'eventgrid.azure.net' };
    expect(await handlers.webhook(new HttpRequest({ method: 'OPTIONS', url, headers }))).toEqual({
      status: 200,
      headers: { 'WebHook-Allowed-Origin': 'eventgrid.azure.net', 'WebHook-Allowed-Rate': '*' },
    });
    expect(await handlers.webhook(new HttpRequest({ method: 'OPTIONS', url }))).toMatchObject({ status: 400 });
    expect(await handlers.webhook(post('{'))).toMatchObject({ status: 400 });
  });

  it('carries what it is told, alone or several together', async () => {
    const { scene, handlers, queue } = await open();
    for (const key of ['a', 'b', 'c']) scene.put('az', key, `text ${key}`);
    expect(await handlers.webhook(post(told('a')))).toEqual({ status: 200 });
    expect(await handlers.webhook(post([told('b'), told('c')]))).toEqual({ status: 200 });
    for (const key of ['a', 'b', 'c']) expect(await scene.read('aws', key)).toBe(`text ${key}`);
    expect((await queue.depth()).waiting).toBe(0);
  });

  it('leaves to the queue what is not done at once, and the queue sets aside what nobody can read', async () => {
    const { scene, handlers, queue, invoke } = await open();
    scene.put('az', 'bad', 'arrives later');
    let outage = true;
    scene.before = ({ place }) => {
      if (outage && place === 'ledger') throw fault('unavailable', 'the ledger is away');
    };
    expect(await handlers.webhook(post([told('bad'), { specversion: '1.0' }]))).toEqual({ status: 200 });
    outage = false;
    time += 1_000;
    await invoke(true);
    expect(await scene.read('gcp', 'bad')).toBe('arrives later');
    expect(await queue.deadLetters({ limit: 10 })).toMatchObject([{ reason: expect.stringMatching(/^body\.type/) }]);
  });

  it('asks Event Grid to deliver again only when the queue is away as well', async () => {
    const { scene, handlers } = await open();
    scene.before = ({ place }) => {
      if (place === 'ledger') throw fault('unavailable', 'the ledger is away');
    };
    const rule = cloud.faults.add({ scope: { service: 'servicebus' }, effect: { kind: 'status', status: 503 } });
    expect(await handlers.webhook(post(told('bad')))).toEqual({ status: 503 });
    cloud.faults.remove(rule.id);
    expect(scene.notices).toContainEqual(expect.objectContaining({ what: 'queue-down' }));
  });
});

it('registers with the host, which is not there in a test, without a mistake', () => {
  const open = () => expect.unreachable('nothing is invoked');
  registerAzureFunctions({
    open,
    timer: openSystemTimer(),
    timeMs: 1,
    queues: { az: 'changes' },
    connection: 'SETTING',
  });
});
