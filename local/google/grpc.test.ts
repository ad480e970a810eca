import { connect, type Socket } from 'node:net';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { openCloud } from '../cloud.ts';
import type { RequestEffect } from '../faults.ts';
import { type Conversation, grpcError, type Methods, serveGrpc } from './grpc.ts';

const PUBLISHER = 'google.pubsub.v1.Publisher';
const PROTOS = '@google-cloud/pubsub/build/protos/protos.json';
const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** A service that answers GetTopic; the request and the answer are a topic's name in field 1. */
async function serve(methods: Methods, service = PUBLISHER) {
  const lines: string[] = [];
  const cloud = openCloud({ name: 'gcp', report: (line) => lines.push(line) });
  stops.push(() => cloud.close());
  const options = { cloud, service: 'pubsub', port: 0, protos: PROTOS, services: { [service]: methods } };
  const server = await serveGrpc({ ...options, keyOf: (_name, request) => (request as { topic?: string })?.topic });
  stops.push(() => server.stop());
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure(), {
    'grpc.primary_user_agent': 'tester',
    'grpc.max_reconnect_backoff_ms': 100,
    'grpc.initial_reconnect_backoff_ms': 10,
  });
  stops.push(async () => client.close());
  return { cloud, server, client, lines };
}

const text = (value: string) => Buffer.concat([Buffer.from([10, value.length]), Buffer.from(value)]);
const asIs = (bytes: Buffer) => bytes;

function ask(client: Client, method = `/${PUBLISHER}/GetTopic`, bytes: Buffer = text('t'), deadlineMs = 5_000) {
  return new Promise<string>((resolve, reject) => {
    const deadline = { deadline: Date.now() + deadlineMs };
    client.makeUnaryRequest(method, asIs, asIs, bytes, new Metadata(), deadline, (error, answer) =>
      error === null ? resolve((answer ?? Buffer.alloc(0)).toString()) : reject(error),
    );
  });
}

async function codeOf(call: Promise<unknown>): Promise<unknown> {
  return call.catch((error: ServiceError) => status[error.code]);
}

describe('an endpoint', () => {
  test('answers, and says INVALID_ARGUMENT, INTERNAL or UNIMPLEMENTED when it does not', async () => {
    const { client, lines } = await serve({
      unary: {
        GetTopic: ({ topic }: { topic: string }) => ({ name: `<${topic}>` }),
        DeleteTopic() {
          throw grpcError('INVALID_ARGUMENT', 'no');
        },
        ListTopics() {
          throw new Error('a mistake of ours');
        },
      },
    });
    expect(await ask(client)).toContain('<t>');
    expect(await codeOf(ask(client, `/${PUBLISHER}/DeleteTopic`))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(ask(client, `/${PUBLISHER}/ListTopics`))).toBe('INTERNAL');
    expect(lines).toEqual(['gcp pubsub: ListTopics: Error: a mistake of ours']);
    expect(await codeOf(ask(client, `/${PUBLISHER}/CreateTopic`))).toBe('UNIMPLEMENTED');
    expect(await codeOf(ask(client, '/google.pubsub.v1.Nobody/GetTopic'))).toBe('UNIMPLEMENTED');
  });

  test('survives what is no request', async () => {
    const { client, server } = await serve({ unary: { GetTopic: () => ({ name: 'here' }) } });
    expect(await codeOf(ask(client, undefined, Buffer.from([10, 200, 1, 1])))).toBe('INTERNAL');
    for (const bytes of [
      'GET / HTTP/1.1\r\n\r\n',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff',
      '',
    ]) {
      const socket: Socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => {}).resume();
      socket.end(Buffer.from(bytes, 'latin1'));
      await new Promise((resolve) => socket.once('close', resolve));
    }
    expect(await ask(client)).toContain('here');
  });

  test('names the port that somebody else has', async () => {
    const { cloud, server } = await serve({});
    const options = { cloud, service: 'pubsub', port: server.port, protos: PROTOS, services: {} };
    await expect(serveGrpc(options)).rejects.toThrow(`127.0.0.1:${server.port}: the port is taken`);
  });

  test('refuses to serve what the protos do not know', async () => {
    await expect(serve({ unary: { GetTopik: () => ({}) } })).rejects.toThrow('GetTopik');
    await expect(serve({ answers: { GetTopic: () => [] } })).rejects.toThrow('GetTopic');
    await expect(serve({}, 'google.pubsub.v1.Publisha')).rejects.toThrow('Publisha');
  });
});

describe('a fault', () => {
  const cases: readonly (readonly [effect: RequestEffect, code: string, happened: boolean])[] = [
    [{ kind: 'status', status: 503 }, 'UNAVAILABLE', false],
    [{ kind: 'status', status: 429 }, 'RESOURCE_EXHAUSTED', false],
    [{ kind: 'outage' }, 'UNAVAILABLE', false],
    [{ kind: 'silence' }, 'DEADLINE_EXCEEDED', false],
    [{ kind: 'lost-answer' }, 'UNAVAILABLE', true],
    [{ kind: 'cut', afterBytes: 1 }, 'UNAVAILABLE', true],
  ];

  test.each(cases)('%j strikes the call it is meant for and no other', async (effect, code, happened) => {
    let calls = 0;
    const { client, cloud } = await serve({
      unary: {
        GetTopic() {
          calls += 1;
          return { name: 'here' };
        },
      },
    });
    await ask(client);
    const scope = { service: 'pubsub', operation: 'GetTopic', from: 'tester', keyPrefix: 'struck' };
    cloud.faults.add({ scope, effect, times: 1 });
    expect(await ask(client)).toContain('here');
    expect(await codeOf(ask(client, undefined, text('struck'), 500))).toBe(code);
    expect(calls).toBe(happened ? 3 : 2);
    expect(await ask(client, undefined, text('struck'))).toContain('here');
  });

  test('that waits or slows lets the call through', async () => {
    const { client, cloud } = await serve({ unary: { GetTopic: () => ({ name: 'here' }) } });
    cloud.faults.add({ effect: { kind: 'wait', ms: { kind: 'even', min: 5, max: 10 } } });
    cloud.faults.add({ effect: { kind: 'slow', bytesPerSecond: 10_000 } });
    expect(await ask(client)).toContain('here');
  });

  test('cuts a conversation after so many bytes', async () => {
    const { client, cloud } = await serve(
      {
        conversations: {
          StreamingPull(conversation: Conversation<unknown, unknown>) {
            conversation.onRequest(
              () => void conversation.send({ subscriptionProperties: { messageOrderingEnabled: true } }),
            );
          },
        },
      },
      'google.pubsub.v1.Subscriber',
    );
    cloud.faults.add({ effect: { kind: 'cut', afterBytes: 9 } });
    const call = client.makeBidiStreamRequest('/google.pubsub.v1.Subscriber/StreamingPull', asIs, asIs, new Metadata());
    let answers = 0;
    const ended = new Promise<ServiceError>((resolve) => call.on('error', resolve));
    call.on('data', () => {
      answers += 1;
      call.write(text('s'));
    });
    call.write(text('s'));
    expect(status[(await ended).code]).toBe('UNAVAILABLE');
    expect(answers).toBe(2);
  });
});
