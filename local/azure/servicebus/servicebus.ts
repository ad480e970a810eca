/** Azure Service Bus: an AMQP 1.0 broker whose queues, topics and subscriptions survive kill -9. */

import { createServer, type Socket } from 'node:net';
import rhea from 'rhea';
import { listen } from '../../http.ts';
import type { Cloud, Service } from '../../service.ts';
import { KEY, KEY_NAME } from './auth.ts';
import { openBroker } from './broker.ts';
import type { QueueOptions, SubscriptionOptions } from './entities.ts';
import { MESSAGE_BYTES_MAX, serveLinks } from './links.ts';
import { type PlainMessage, readMessage, toBytes } from './wire.ts';

export interface ServiceBusOptions {
  /** 0: any free one. */
  readonly port: number;
}

export interface ServiceBusService extends Service {
  /** For `new ServiceBusClient`. */
  readonly connectionString: string;
  /** One that stands already takes the new options. */
  createQueue(name: string, options?: QueueOptions): void;
  createTopic(name: string): void;
  createSubscription(topic: string, name: string, options?: SubscriptionOptions): void;
  /** To a queue or a topic; durable when it returns, and part of a transaction that is under way. */
  send(path: string, message: PlainMessage): void;
}

const OPEN = { max_frame_size: 64 * 1024, channel_max: 4_999, idle_time_out: 120_000 };
const STOP_GRACE_MS = 100;

/** What rhea's types do not tell of. */
interface Guarded {
  input(bytes: Buffer): void;
  _process(): void;
  frame_size?: number;
  accept(socket: Socket): void;
  readonly sasl_transport?: { readonly selected?: { readonly mechanism?: unknown } };
}

export async function startServiceBus(cloud: Cloud, { port }: ServiceBusOptions): Promise<ServiceBusService> {
  const broker = openBroker(cloud);
  const sockets = new Set<Socket>();
  const container = rhea.create_container({
    id: 'local-servicebus',
    receiver_options: { autoaccept: false, autosettle: false, credit_window: 500 },
    sender_options: { autosettle: false, treat_modified_as_released: false },
  });
  const mechanisms = container.sasl_server_mechanisms;
  mechanisms.enable_anonymous();
  // Claims come later, over $cbs: until then this is nobody.
  mechanisms.MSSBCBS = mechanisms.ANONYMOUS;
  mechanisms.PLAIN = () => new PlainMechanism();
  for (const event of [
    'error',
    'protocol_error',
    'connection_error',
    'session_error',
    'sender_error',
    'receiver_error',
  ])
    container.on(event, () => {});

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const connection = container.create_connection(OPEN as never);
    guard(connection as unknown as Guarded, socket, (error) => cloud.report(`azure servicebus: ${String(error)}`));
    serveLinks(cloud, broker, connection, () => isTrusted(connection as unknown as Guarded));
    (connection as unknown as Guarded).accept(socket);
  });
  const bound = await listen(server, cloud.host, port, 'azure servicebus');

  return {
    name: 'servicebus',
    port: bound,
    connectionString: [
      `Endpoint=sb://${cloud.host}:${bound}`,
      `SharedAccessKeyName=${KEY_NAME}`,
      `SharedAccessKey=${KEY}`,
      'UseDevelopmentEmulator=true',
    ].join(';'),
    createQueue: (name, options) => broker.entities.createQueue(name, options),
    createTopic: (name) => broker.entities.createTopic(name),
    createSubscription: (topic, name, options) => broker.entities.createSubscription(topic, name, options),
    send(path, message) {
      if (broker.accept(path, [readMessage(toBytes(message))]) === null)
        throw new Error(`azure servicebus: there is no queue or topic ${path}`);
    },
    async stop() {
      broker.stop();
      const closed = new Promise((resolve) => server.close(resolve));
      const cut = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, STOP_GRACE_MS);
      await closed;
      clearTimeout(cut);
    },
  };
}

/** The library throws at some frames that make no sense, in places where nobody could catch it. */
function guard(connection: Guarded, socket: Socket, report: (error: unknown) => void): void {
  const { input, _process: run } = connection;
  const attempt = (body: () => void) => {
    try {
      body();
      if ((connection.frame_size ?? 0) > MESSAGE_BYTES_MAX) throw new Error('a frame is larger than any message');
    } catch (error) {
      report(error);
      socket.destroy();
    }
  };
  connection.input = (bytes) => attempt(() => input.call(connection, bytes));
  connection._process = () => attempt(() => run.call(connection));
}

/** User and password, as some clients send them instead of a token. */
class PlainMechanism {
  outcome: boolean | undefined;

  start(response: Buffer | undefined): void {
    const [, user, password] = (response ?? Buffer.alloc(0)).toString('utf8').split('\0');
    this.outcome = user === KEY_NAME && password === KEY;
  }
}

function isTrusted({ sasl_transport: sasl }: Guarded): boolean {
  const mechanism = sasl?.selected?.mechanism;
  return mechanism instanceof PlainMechanism && mechanism.outcome === true;
}
