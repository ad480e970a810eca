/** Google Cloud Functions and Cloud Run: what Pub/Sub pushes or Eventarc delivers, and tasks that Cloud Scheduler asks for. */

import * as framework from '@google-cloud/functions-framework';
import { readOpen } from '../../events/json.ts';
import { isFault } from '../../shared/model/fault.ts';
import { at, type Fields, type Path, readOptional, readText } from '../../shared/model/read.ts';
import type { Handed } from '../../shared/replicate/consume.ts';
import { type FunctionOptions, type Functions, openFunctions, sourceOf, TASKS } from './invocation.ts';

export interface CloudFunctionsOptions extends FunctionOptions {
  /** What an invocation may take: nobody tells it while it runs. */
  readonly timeMs: number;
}

/**
 * Registers `changes` for pushes by HTTP, `events` for CloudEvents, and `sweep`, `pass` and `verify` for a schedule. What is not to
 * be delivered again is answered by 204; 503 means again, after the pause that the subscription's retry policy asks for.
 */
export function registerCloudFunctions({ timeMs, ...options }: CloudFunctionsOptions): void {
  const functions = openFunctions(options);
  framework.http('changes', async ({ body }, response) => {
    const pushed = readPush(body, 'body');
    if (isFault(pushed)) response.status(400).send(`${pushed.message}\n`);
    else response.status((await take(functions, pushed, timeMs)) ? 204 : 503).end();
  });
  framework.cloudEvent('events', async (event: unknown) => {
    if (!(await take(functions, readCloudEvent(event), timeMs))) throw new Error('not done: deliver it again');
  });
  for (const task of TASKS)
    framework.http(task, async (_request, response) => {
      await functions.run(task, timeMs);
      response.status(204).end();
    });
}

interface Pushed {
  readonly handed: Handed;
  /** The name of the subscription or of the topic. */
  readonly queue: string;
}

async function take(functions: Functions, { handed, queue }: Pushed, timeMs: number): Promise<boolean> {
  const source = sourceOf(await functions.opened(), queue);
  return functions.take(source, handed, { remainingMs: timeMs, removes: true });
}

/** `{"message": {...}, "subscription": "projects/P/subscriptions/S", "deliveryAttempt": 5}`. */
function readPush(value: unknown, path: Path) {
  try {
    return readWrapped(readOpen(value, path), path);
  } catch (error) {
    // Not of Pub/Sub: whoever sent it is told.
    if (isFault(error, 'invalid')) return error;
    throw error;
  }
}

/** Of Pub/Sub, by way of Eventarc; or of Cloud Storage itself, and then the event is all there is. */
function readCloudEvent(event: unknown): Pushed {
  const { id, type, time, source, data } = event as Fields;
  const topic = nameOf(String(source));
  if (type === 'google.cloud.pubsub.topic.v1.messagePublished') {
    const wrapped = readWrapped(readOpen(data, 'data'), 'data');
    return { ...wrapped, queue: topic };
  }
  const handed = {
    id: String(id),
    body: JSON.stringify(event),
    attributes: {},
    deliveries: 1,
    sentAt: Date.parse(String(time)) || 0,
  };
  return { handed, queue: topic };
}

function readWrapped({ message, subscription, deliveryAttempt }: Fields, path: Path): Pushed {
  const messagePath = at(path, 'message');
  const { messageId, data, attributes, publishTime } = readOpen(message, messagePath);
  const text = readOptional(data, at(messagePath, 'data'), readMaybeEmpty) ?? '';
  const handed = {
    id: readText(messageId, at(messagePath, 'messageId')),
    body: Buffer.from(text, 'base64').toString(),
    attributes: attributes === undefined ? {} : readOpen(attributes, at(messagePath, 'attributes')),
    deliveries: Number(deliveryAttempt) || 1,
    sentAt: Date.parse(String(publishTime)) || 0,
  };
  return { handed, queue: nameOf(String(subscription)) };
}

function readMaybeEmpty(value: unknown, path: Path): string {
  return value === '' ? '' : readText(value, path);
}

function nameOf(resource: string): string {
  return resource.slice(resource.lastIndexOf('/') + 1);
}
