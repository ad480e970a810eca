import Module from 'node:module';
import type { InvocationContext as Context, FunctionOptions } from '@azure/functions';
import { ServiceBusClient, type ServiceBusReceivedMessage } from '@azure/service-bus';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type EntryWorld, startEntryWorld } from '../../test/samples/entry-world.ts';

interface Registered {
  readonly bindings: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly handler: FunctionOptions['handler'];
}

/** What the entry tells the host, by the names of the functions. */
const registered = new Map<string, Registered>();
let world: EntryWorld;
let host: ServiceBusClient;

/** The host stands behind a module that only it has. */
const core = {
  version: 'test',
  setProgrammingModel() {},
  registerHook() {},
  registerFunction({ name, bindings }: Registered & { readonly name: string }, handler: Registered['handler']) {
    registered.set(name, { bindings, handler });
  },
  log() {},
};

beforeAll(async () => {
  world = await startEntryWorld();
  Object.assign(process.env, world.environment);
  const loader = Module as unknown as { _load(request: string, ...rest: unknown[]): unknown };
  const load = loader._load;
  loader._load = function (this: unknown, request: string, ...rest: unknown[]) {
    return request === '@azure/functions-core' ? core : load.call(this, request, ...rest);
  };
  await import('./azure.ts');
  host = new ServiceBusClient(world.clouds.config.azure.serviceBusConnectionString);
});
afterAll(async () => {
  await host.close();
  await world.stop();
});

it('the host of Azure Functions is told of a queue, two timers and a webhook', () => {
  const told = [...registered].map(([name, { bindings }]) => [name, Object.values(bindings)[0]]);
  expect(told).toMatchObject([
    [
      'changes-dub',
      {
        type: 'serviceBusTrigger',
        queueName: world.clouds.config.azure.queue,
        connection: 'TRIPLICATE_SERVICE_BUS',
        autoCompleteMessages: false,
        cardinality: 'many',
      },
    ],
    ['sweep', { type: 'timerTrigger', schedule: '0 * * * * *' }],
    ['pass', { type: 'timerTrigger', schedule: '0 17 * * * *' }],
    ['verify', { type: 'timerTrigger', schedule: '0 47 * * * *' }],
    ['event-grid', { type: 'httpTrigger', authLevel: 'function', methods: ['OPTIONS', 'POST'] }],
  ]);
});

it('the function deployed to Azure carries what Event Grid told the queue', async () => {
  const { InvocationContext } = await import('@azure/functions');
  const receiver = host.createReceiver(world.clouds.config.azure.queue, { skipParsingBodyAsJson: true });
  await world.write('azure', 'dir/a file+more.txt', 'told');
  const handler = registered.get('changes-dub')?.handler as (given: unknown, context: Context) => Promise<unknown>;
  // Of the sentinel Event Grid has told before.
  for (let isCalm = false; !isCalm; ) {
    const messages = await receiver.receiveMessages(10, { maxWaitTimeInMs: 1_000 });
    isCalm = messages.length === 0;
    const context = new InvocationContext({ functionName: 'changes-dub', triggerMetadata: metadataOf(messages) });
    const bodies = messages.map(({ body }) => JSON.parse(String(body)));
    await handler(bodies, context);
  }
  await world.arrived('dir/a file+more.txt', 'told');
  expect(await receiver.peekMessages(10)).toEqual([]);
});

function metadataOf(messages: readonly ServiceBusReceivedMessage[]) {
  return {
    messageIdArray: messages.map(({ messageId }) => messageId),
    lockTokenArray: messages.map(({ lockToken }) => lockToken),
    deliveryCountArray: messages.map(({ deliveryCount = 0 }) => deliveryCount + 1),
    enqueuedTimeUtcArray: messages.map(({ enqueuedTimeUtc }) => enqueuedTimeUtc?.toISOString()),
    applicationPropertiesArray: messages.map(({ applicationProperties = {} }) => applicationProperties),
  };
}
