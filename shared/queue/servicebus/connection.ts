/** The SDK's client behind a Service Bus queue: receivers that are used again, peeks page by page, errors as Faults. */

import type {
  ServiceBusClient,
  ServiceBusReceivedMessage,
  ServiceBusReceiver,
  ServiceBusSender,
} from '@azure/service-bus';
import { type Fault, type FaultKind, fault, invalid, isFault } from '../../model/fault.ts';

/** The type of the SDK's second argument; @azure/identity gives them. */
type Credential = ConstructorParameters<typeof ServiceBusClient>[1] & { getToken: unknown };

export type ServiceBusConnectionOptions =
  | { readonly connectionString: string }
  /** `name.servicebus.windows.net`. */
  | { readonly namespace: string; readonly credential: Credential };

export type SubQueue = 'main' | 'dead';

export interface Connection {
  sender(): Promise<ServiceBusSender>;
  /** Nobody else receives by this receiver meanwhile. */
  receive(from: SubQueue, max: number, waitMs: number): Promise<readonly ServiceBusReceivedMessage[]>;
  /** Settles and renews what any receiver was given. */
  settler(from: SubQueue): Promise<ServiceBusReceiver>;
  /** In order of arrival, those in flight among them; `max` at most. */
  peek(from: SubQueue, max: number): Promise<readonly ServiceBusReceivedMessage[]>;
  close(): Promise<void>;
}

/** One may wait for messages while the other gives some. */
const RECEIVERS_MAX = 2;
/** The AMQP library keeps what was not settled over its own link, up to 2048: then the link would give nothing more. */
const RECEIVED_MAX = 1_000;
const PEEK_MAX = 250;
const OTHERS_MS = 10;
const RETRY = { maxRetries: 2, retryDelayInMs: 200, timeoutInMs: 10_000 };

export function openConnection(options: ServiceBusConnectionOptions, queue: string): Connection {
  if (queue === '') throw invalid('queue', queue, 'the name of a queue');
  let opening: Promise<ServiceBusClient> | null = null;
  let sending: ServiceBusSender | null = null;
  const settlers: Partial<Record<SubQueue, Promise<ServiceBusReceiver>>> = {};
  const received = new WeakMap<ServiceBusReceiver, number>();
  const free: Record<SubQueue, ServiceBusReceiver[]> = { main: [], dead: [] };
  const count: Record<SubQueue, number> = { main: 0, dead: 0 };
  const waiting: Record<SubQueue, ((receiver: ServiceBusReceiver) => void)[]> = { main: [], dead: [] };
  const closing = new AbortController();
  const abortSignal = closing.signal;

  function closed(): Fault {
    return fault('invalid', 'the queue is closed', { op: 'open', site: queue });
  }

  function client(): Promise<ServiceBusClient> {
    if (abortSignal.aborted) throw closed();
    opening ??= import('@azure/service-bus').then(({ ServiceBusClient: Client }) =>
      'connectionString' in options
        ? new Client(options.connectionString, { retryOptions: RETRY })
        : new Client(options.namespace, options.credential as never, { retryOptions: RETRY }),
    );
    return opening;
  }

  async function open(from: SubQueue): Promise<ServiceBusReceiver> {
    const settings = {
      receiveMode: 'peekLock',
      skipParsingBodyAsJson: true,
      maxAutoLockRenewalDurationInMs: 0,
      ...(from === 'dead' ? { subQueueType: 'deadLetter' as const } : {}),
    } as const;
    return (await client()).createReceiver(queue, settings);
  }

  async function take(from: SubQueue): Promise<ServiceBusReceiver> {
    if (abortSignal.aborted) throw closed();
    const receiver = free[from].pop();
    if (receiver !== undefined) return receiver;
    if (count[from] < RECEIVERS_MAX) {
      count[from]++;
      return open(from);
    }
    return new Promise((resolve) => waiting[from].push(resolve));
  }

  /** Instead of one that has received its share another one comes. */
  async function giveBack(from: SubQueue, worn: ServiceBusReceiver): Promise<void> {
    const isWorn = (received.get(worn) ?? 0) >= RECEIVED_MAX && !abortSignal.aborted;
    const receiver = isWorn ? await open(from) : worn;
    if (isWorn) worn.close().catch(() => {});
    const next = waiting[from].shift();
    if (next !== undefined) next(receiver);
    else free[from].push(receiver);
  }

  return {
    async sender() {
      const own = await client();
      sending ??= own.createSender(queue);
      return sending;
    },
    async receive(from, max, maxWaitTimeInMs) {
      const receiver = await take(from);
      try {
        // Asked for several, the SDK waits a whole second for the others once it has the first.
        const first = await receiver.receiveMessages(1, { maxWaitTimeInMs, abortSignal });
        const many = first.length > 0 && max > 1;
        // What went wrong here shows at the next call: the first message must not wait for its lock to end.
        const more = () =>
          receiver.receiveMessages(max - 1, { maxWaitTimeInMs: OTHERS_MS, abortSignal }).catch(() => []);
        const all = many ? [...first, ...(await more())] : first;
        received.set(receiver, (received.get(receiver) ?? 0) + all.length);
        return all.map(settledByToken);
      } catch (error) {
        throw abortSignal.aborted ? closed() : error;
      } finally {
        await giveBack(from, receiver);
      }
    },
    settler(from) {
      // It never receives, so it has no link that could wear out.
      settlers[from] ??= open(from);
      return settlers[from];
    },
    async peek(from, max) {
      const receiver = await this.settler(from);
      const all: ServiceBusReceivedMessage[] = [];
      for (let start = 0n; all.length < max; ) {
        const page = await receiver.peekMessages(Math.min(PEEK_MAX, max - all.length), {
          fromSequenceNumber: toLong(start),
        });
        const last = page.at(-1)?.sequenceNumber;
        if (last === undefined) break;
        all.push(...page);
        start = BigInt(last.toString()) + 1n;
      }
      return all;
    },
    async close() {
      // Closing the client alone leaves a receive waiting, and its timers keep the process.
      closing.abort();
      if (opening !== null) await (await opening).close();
    },
  };
}

/**
 * Settles by the lock token alone, not over the link that brought the message. A link that the SDK opened again under its
 * old name would never answer; and the AMQP library tells of neighbours settled in one turn as if all had been settled
 * like the first, so that a message put back beside one that is done would be lost.
 */
function settledByToken(message: ServiceBusReceivedMessage): ServiceBusReceivedMessage {
  return Object.assign(message, { delivery: {} });
}

type Long = NonNullable<ServiceBusReceivedMessage['sequenceNumber']>;

/** As much of a Long as the SDK looks at: it does not hand out the package that makes them. */
function toLong(value: bigint): Long {
  const toBytesBE = () => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(value);
    return [...bytes];
  };
  return { __isLong__: true, toBytesBE } as unknown as Long;
}

/** Of a call that may have happened although it failed, `timeout` says so. */
const KINDS: Readonly<Record<string, FaultKind>> = {
  MessagingEntityNotFound: 'not-found',
  MessageNotFound: 'not-found',
  MessageSizeExceeded: 'too-large',
  MessagingEntityDisabled: 'unavailable',
  QuotaExceeded: 'throttled',
  ServiceBusy: 'throttled',
  ServiceTimeout: 'timeout',
  ServiceCommunicationProblem: 'timeout',
  UnauthorizedAccess: 'forbidden',
  ECONNREFUSED: 'unreachable',
  ENOTFOUND: 'unreachable',
  EAI_AGAIN: 'unreachable',
};

export function toFault(error: unknown, op: string, queue: string): Error {
  if (isFault(error)) return error;
  // What a call that was tried again failed of at last.
  if (error instanceof AggregateError) return toFault(error.errors.at(-1), op, queue);
  const { code, message, retryable, name } = (error ?? {}) as Partial<Record<string, unknown>>;
  const text = typeof message === 'string' ? message : String(error);
  const refused = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN/.exec(text)?.[0];
  const aborted = name === 'AbortError' || name === 'OperationTimeoutError';
  const kind =
    KINDS[refused ?? ''] ?? KINDS[String(code)] ?? (aborted ? 'timeout' : retryable ? 'unavailable' : 'internal');
  return fault(kind, `the queue ${queue} of Service Bus: ${op}: ${text}`, { op, site: queue, cause: error });
}

export function isLockLost(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return code === 'MessageLockLost' || code === 'MessageNotFound';
}
