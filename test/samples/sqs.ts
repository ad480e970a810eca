/** A local SQS whose clock stands still, the real client at it, and shorthand for what tests ask. */

import {
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  type ReceiveMessageCommandInput,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { type SqsService, startSqs } from '../../local/aws/sqs/sqs.ts';
import { type OpenCloud, openCloud } from '../../local/cloud.ts';

export interface SqsBench {
  readonly cloud: OpenCloud;
  readonly sqs: SqsService;
  readonly client: SQSClient;
  now(): number;
  advance(ms: number): void;
  /** The address of a queue that nobody else uses. */
  newQueue(attributes?: Record<string, string>, suffix?: string): string;
  send(url: string, ...bodies: readonly string[]): Promise<void>;
  /** Up to ten, with everything that SQS tells of them. */
  receive(url: string, more?: Partial<ReceiveMessageCommandInput>): Promise<readonly Message[]>;
  attributesOf(url: string): Promise<Record<string, string>>;
  /** `visible in-flight delayed`. */
  counts(url: string): Promise<string>;
  close(): Promise<void>;
}

export const CREDENTIALS = { accessKeyId: 'local', secretAccessKey: 'local-secret' };

export async function openSqsBench(): Promise<SqsBench> {
  const cloud = openCloud({ name: 'aws' });
  let time = Date.now();
  let queues = 0;
  const sqs = await startSqs({ ...cloud, now: () => time + cloud.faults.aheadMs('aws') }, { port: 0 });
  const client = new SQSClient({
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${sqs.port}`,
    credentials: CREDENTIALS,
    // The second one when the clocks have drifted apart.
    maxAttempts: 2,
  });

  async function attributesOf(url: string): Promise<Record<string, string>> {
    const asked = new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] });
    return (await client.send(asked)).Attributes ?? {};
  }

  return {
    cloud,
    sqs,
    client,
    now: () => time,
    advance(ms) {
      time += ms;
    },
    newQueue: (attributes = {}, suffix = '') => sqs.createQueue(`q${++queues}${suffix}`, attributes).url,
    async send(url, ...bodies) {
      for (const body of bodies) await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: body }));
    },
    async receive(url, more = {}) {
      const asked = { MaxNumberOfMessages: 10, MessageSystemAttributeNames: ['All' as const], ...more };
      return (await client.send(new ReceiveMessageCommand({ QueueUrl: url, ...asked }))).Messages ?? [];
    },
    attributesOf,
    async counts(url) {
      const all = await attributesOf(url);
      return ['', 'NotVisible', 'Delayed'].map((kind) => all[`ApproximateNumberOfMessages${kind}`]).join(' ');
    },
    async close() {
      client.destroy();
      await sqs.stop();
      await cloud.close();
    },
  };
}

export function bodiesOf(messages: readonly Message[]): readonly (string | undefined)[] {
  return messages.map((it) => it.Body);
}

/** `name code status` of the error that a call is answered with. */
export async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'no error';
  } catch (error) {
    const { name, Code, $metadata } = error as { name: string; Code?: string; $metadata?: { httpStatusCode?: number } };
    return `${name} ${Code} ${$metadata?.httpStatusCode}`;
  }
}
