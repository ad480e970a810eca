/** Azure Functions, programming model v4: Service Bus queues, timers, and the webhook that Event Grid can call. */

import { app, type HttpRequest, type HttpResponseInit, type InvocationContext } from '@azure/functions';
import { fault } from '../../shared/model/fault.ts';
import type { Fields } from '../../shared/model/read.ts';
import type { Handed } from '../../shared/replicate/consume.ts';
import { type FunctionOptions, type Functions, openFunctions, sourceOf, TASKS, type Task } from './invocation.ts';

export interface AzureFunctionsOptions extends FunctionOptions {
  /** What an invocation may take: nobody tells it while it runs. */
  readonly timeMs: number;
  /** Queues by the site whose notifications arrive there. */
  readonly queues: Readonly<Record<string, string>>;
  /** The app setting, or their common prefix, that tells where the namespace is. */
  readonly connection: string;
  readonly schedules?: Readonly<Record<Task, string>>;
}

export interface AzureHandlers {
  readonly changes: (messages: unknown, context: InvocationContext) => Promise<void>;
  readonly webhook: (request: HttpRequest) => Promise<HttpResponseInit>;
  readonly task: (task: Task) => () => Promise<void>;
}

const SCHEDULES: Readonly<Record<Task, string>> = {
  sweep: '0 * * * * *',
  pass: '0 17 * * * *',
  verify: '0 47 * * * *',
};

export function registerAzureFunctions(options: AzureFunctionsOptions): void {
  const { queues, connection, schedules = SCHEDULES } = options;
  const handlers = openAzureFunctions(options);
  for (const [site, queueName] of Object.entries(queues))
    app.serviceBusQueue(`changes-${site}`, {
      connection,
      queueName,
      // Every message is settled by its lock token: put back with a delay, or set aside with a reason.
      autoCompleteMessages: false,
      cardinality: 'many',
      handler: handlers.changes,
    });
  for (const task of TASKS) app.timer(task, { schedule: schedules[task], handler: handlers.task(task) });
  app.http('event-grid', { methods: ['OPTIONS', 'POST'], authLevel: 'function', handler: handlers.webhook });
}

export function openAzureFunctions({ timeMs, queues, ...options }: AzureFunctionsOptions): AzureHandlers {
  const functions = openFunctions(options);
  return {
    async changes(messages, { functionName, triggerMetadata = {} }) {
      const name = queues[functionName.replace(/^changes-/, '')] ?? functionName;
      const source = sourceOf(await functions.opened(), name);
      const many = Array.isArray(messages);
      const handed = many
        ? messages.map((body, index) => readMessage(body, (field) => listOf(triggerMetadata[`${field}Array`])[index]))
        : [readMessage(messages, (field) => triggerMetadata[field])];
      const how = { remainingMs: timeMs, removes: false };
      const taken = await Promise.all(handed.map((it) => functions.take(source, it, how)));
      const left = taken.filter((it) => !it).length;
      // The host gives back what is still locked. What was settled stays settled.
      if (left > 0) throw fault('unavailable', `${left} of ${taken.length} messages are not done and come again`);
    },
    webhook: (request) => answerEventGrid(functions, timeMs, request),
    task: (task) => () => functions.run(task, timeMs),
  };
}

/** The host has parsed a body that is JSON, and tells everything else about the message beside it. */
function readMessage(message: unknown, told: (field: string) => unknown): Handed {
  const lockToken = told('lockToken');
  if (typeof lockToken !== 'string')
    throw fault('invalid', 'triggerMetadata.lockToken: expected a text: a message cannot be settled without', {
      field: 'triggerMetadata.lockToken',
      value: lockToken,
    });
  const properties = told('applicationProperties') ?? told('userProperties');
  return {
    id: String(told('messageId') ?? ''),
    body: textOf(message),
    attributes: typeof properties === 'object' && properties !== null ? (properties as Fields) : {},
    deliveries: Number(told('deliveryCount')) || 1,
    sentAt: Date.parse(String(told('enqueuedTimeUtc'))) || 0,
    handle: lockToken,
  };
}

function textOf(body: unknown): string {
  if (typeof body === 'string') return body;
  return body instanceof Uint8Array ? Buffer.from(body).toString() : (JSON.stringify(body) ?? '');
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

const VALIDATION = 'Microsoft.EventGrid.SubscriptionValidationEvent';

/**
 * Both handshakes, and then events. One that is not done at once goes to the queue, where it has its attempts and its dead
 * letters; so Event Grid has to deliver again only what the queue did not take.
 */
async function answerEventGrid(functions: Functions, timeMs: number, request: HttpRequest): Promise<HttpResponseInit> {
  if (request.method === 'OPTIONS') {
    const origin = request.headers.get('webhook-request-origin');
    if (origin === null) return { status: 400, body: 'expected the header WebHook-Request-Origin\n' };
    return { status: 200, headers: { 'WebHook-Allowed-Origin': origin, 'WebHook-Allowed-Rate': '*' } };
  }
  const document = parse(await request.text());
  if (document === undefined) return { status: 400, body: 'expected JSON\n' };
  const events: readonly unknown[] = Array.isArray(document) ? document : [document];
  const handshake = events.find((it) => (it as Fields | null)?.eventType === VALIDATION) as Fields | undefined;
  if (handshake !== undefined) {
    const { validationCode } = (handshake.data ?? {}) as Fields;
    return { status: 200, jsonBody: { validationResponse: validationCode } };
  }
  const taken = await Promise.all(events.map((event) => takeEvent(functions, timeMs, event)));
  return { status: taken.every((it) => it) ? 200 : 503 };
}

async function takeEvent(functions: Functions, timeMs: number, event: unknown): Promise<boolean> {
  const { world, sources } = await functions.opened();
  const [source] = Object.values(sources);
  if (source === undefined)
    throw fault('invalid', 'queue: expected one for events that are not done at once, got none');
  const { id, eventTime, time } = (event ?? {}) as Fields;
  const body = JSON.stringify(event);
  const sentAt = Date.parse(String(eventTime ?? time)) || 0;
  const handed = { id: String(id), body, attributes: {}, deliveries: 1, sentAt };
  try {
    const settlement = await functions.work(source, handed, timeMs);
    if (settlement?.kind === 'done') return true;
    await source.queue.send(body, settlement?.kind === 'again' ? { delayMs: settlement.delayMs } : {});
    return true;
  } catch (error) {
    functions.tell(world, error);
    return false;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
