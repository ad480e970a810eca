/** AWS Lambda: batches of SQS, of which only what failed comes again, and tasks that EventBridge has a schedule for. */

import middy from '@middy/core';
import { readOpen } from '../../events/json.ts';
import { at, type Fields, readArray, readText } from '../../shared/model/read.ts';
import type { Handed } from '../../shared/replicate/consume.ts';
import { type FunctionOptions, type Functions, openFunctions, sourceOf, type Task } from './invocation.ts';

/** What we ask of the context that Lambda gives. */
export interface LambdaContext {
  getRemainingTimeInMillis(): number;
}

/** The event source mapping must be set to ReportBatchItemFailures, or failures are taken for successes. */
export interface BatchAnswer {
  readonly batchItemFailures: ReadonlyArray<{ readonly itemIdentifier: string }>;
}

export interface LambdaHandlers {
  readonly changes: (event: unknown, context: LambdaContext) => Promise<BatchAnswer>;
  readonly sweep: (event: unknown, context: LambdaContext) => Promise<void>;
  readonly pass: (event: unknown, context: LambdaContext) => Promise<void>;
  readonly verify: (event: unknown, context: LambdaContext) => Promise<void>;
}

/** Of one batch, so many messages are worked on at once. */
const AT_ONCE = 16;
/** With less than this left no message is begun. */
const LEAST_MS = 1_000;

export function openLambda(options: FunctionOptions): LambdaHandlers {
  const functions = openFunctions(options);
  return {
    changes: toHandler((event, context) => takeBatch(functions, event, context)),
    sweep: toTask(functions, 'sweep'),
    pass: toTask(functions, 'pass'),
    verify: toTask(functions, 'verify'),
  };
}

type Handler<Answer> = (event: unknown, context: LambdaContext) => Promise<Answer>;

/** An error before the answer fails the whole batch: Lambda gives all of it again. */
function toHandler<Answer>(handle: Handler<Answer>): Handler<Answer> {
  // Our own bound comes first and tells which messages are not done; middy's would tell of none.
  return middy({ timeoutEarlyInMillis: 0 }).handler(handle as never) as unknown as Handler<Answer>;
}

function toTask(functions: Functions, task: Task): Handler<void> {
  return toHandler(async (_event, context) => functions.run(task, context.getRemainingTimeInMillis()));
}

interface Item {
  readonly handed: Handed;
  readonly queue: string;
}

async function takeBatch(functions: Functions, event: unknown, context: LambdaContext): Promise<BatchAnswer> {
  const items = readBatch(event);
  const opened = await functions.opened();
  const waiting = [...items];
  const failed = new Set<string>();
  async function takeSome(): Promise<void> {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
      const remainingMs = context.getRemainingTimeInMillis();
      const taking = { remainingMs, removes: true };
      const isTaken =
        remainingMs > LEAST_MS && (await functions.take(sourceOf(opened, item.queue), item.handed, taking));
      if (!isTaken) failed.add(item.handed.id);
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, takeSome));
  return { batchItemFailures: [...failed].map((itemIdentifier) => ({ itemIdentifier })) };
}

function readBatch(event: unknown): readonly Item[] {
  const items: Item[] = [];
  const { Records } = readOpen(event, 'event');
  readArray(Records, at('event', 'Records'), (record, path) => {
    const { messageId, receiptHandle, body, attributes, messageAttributes, eventSourceARN } = readOpen(record, path);
    const { ApproximateReceiveCount, SentTimestamp } = readOpen(attributes, at(path, 'attributes'));
    const handed = {
      id: readText(messageId, at(path, 'messageId')),
      body: readText(body, at(path, 'body')),
      attributes: readAttributes(messageAttributes),
      deliveries: Number(ApproximateReceiveCount) || 1,
      sentAt: Number(SentTimestamp) || 0,
      handle: readText(receiptHandle, at(path, 'receiptHandle')),
    };
    items.push({ handed, queue: String(eventSourceARN).split(':').at(-1) ?? '' });
  });
  return items;
}

function readAttributes(value: unknown): Readonly<Record<string, string>> {
  const texts = Object.entries((value ?? {}) as Fields).flatMap(([name, attribute]) => {
    const { stringValue } = attribute as { readonly stringValue?: unknown };
    return typeof stringValue === 'string' ? [[name, stringValue] as const] : [];
  });
  return Object.fromEntries(texts);
}
