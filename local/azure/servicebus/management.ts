/** What is asked at $management: a table of its operations, from peeking to the state of a session. */

import rhea from 'rhea';
import type { Entity } from './entities.ts';
import type { Incoming, Messages, Outcome } from './messages.ts';
import { toOutcomeProperties } from './wire.ts';

/** One entity as seen from its $management. */
export interface Managed {
  readonly messages: Messages;
  /** Absent for a topic. */
  readonly entity: Entity | undefined;
  /** Answers the sequence number. */
  accept(message: Incoming): number;
  read(bytes: Buffer): Incoming;
}

export type Body = Readonly<Record<string, unknown>>;

export interface Answer {
  readonly status: number;
  readonly body: Body;
}

export class Refusal extends Error {
  readonly status: number;
  readonly condition: string;

  constructor(status: number, condition: string, message: string) {
    super(message);
    this.status = status;
    this.condition = condition;
  }
}

const { types } = rhea;
const PEEK_MAX = 250;
const DONE: Answer = { status: 200, body: {} };
const DISPOSITIONS: Readonly<Record<string, Outcome['kind']>> = {
  completed: 'complete',
  abandoned: 'abandon',
  defered: 'defer',
  suspended: 'dead',
};

const OPERATIONS: Readonly<Record<string, (at: Managed & { readonly entity: Entity }, body: Body) => Answer>> = {
  'renew-lock'({ messages, entity }, body) {
    const times = tokensOf(body).map((both) => {
      const until = firstOf(both, (token) => messages.renew(entity, token));
      if (until === null) throw lockLost();
      return until;
    });
    return { status: 200, body: { expirations: types.wrap_array(times, 0x83, undefined) } };
  },
  'peek-message'({ messages, entity }, body) {
    const max = Math.min(numberOf(body['message-count'], 'message-count'), PEEK_MAX);
    const session = body['session-id'];
    const from = numberOf(body['from-sequence-number'], 'from-sequence-number');
    const found = messages.peek(entity, from, max, typeof session === 'string' ? session : undefined);
    if (found.length === 0) return { status: 204, body: {} };
    return { status: 200, body: { messages: found.map(({ bytes }) => ({ message: bytes })) } };
  },
  'cancel-scheduled-message'({ messages, entity }, body) {
    if (!messages.cancel(entity, seqsOf(body))) throw notFound('a scheduled message was not found');
    return DONE;
  },
  'receive-by-sequence-number'({ messages, entity }, body) {
    const forget = numberOf(body['receiver-settle-mode'] ?? 1, 'receiver-settle-mode') === 0;
    const held = messages.takeDeferred(entity, seqsOf(body), forget);
    if (held === null) throw notFound('a deferred message was not found');
    const found = held.map(({ token, bytes }) => ({
      'lock-token': types.wrap_uuid(token === null ? Buffer.alloc(16) : Buffer.from(token, 'hex')),
      message: bytes,
    }));
    return { status: 200, body: { messages: found } };
  },
  'update-disposition'({ messages, entity }, body) {
    const kind = DISPOSITIONS[String(body['disposition-status'])];
    if (kind === undefined) throw badRequest('disposition-status');
    const text = (name: string) => (typeof body[name] === 'string' ? body[name] : undefined);
    const outcome = {
      kind,
      properties: toOutcomeProperties(body['properties-to-modify']),
      reason: text('deadletter-reason'),
      description: text('deadletter-description'),
    } as Outcome;
    for (const both of tokensOf(body))
      if (firstOf(both, (token) => messages.settle(entity, token, outcome) || null) === null) throw lockLost();
    return DONE;
  },
  'renew-session-lock'({ messages, entity }, body) {
    const until = messages.renewSession(entity, sessionOf(body));
    if (until === null) throw new Refusal(410, 'com.microsoft:session-lock-lost', 'The session lock has expired.');
    return { status: 200, body: { expiration: types.wrap_timestamp(until) } };
  },
  'get-session-state'({ messages, entity }, body) {
    const state = messages.sessionState(entity, sessionOf(body));
    return { status: 200, body: { 'session-state': state === null ? null : types.wrap_binary(state) } };
  },
  'set-session-state'({ messages, entity }, body) {
    const state = body['session-state'];
    messages.setSessionState(entity, sessionOf(body), Buffer.isBuffer(state) ? state : null);
    return DONE;
  },
};

export function manage(at: Managed, operation: string, body: Body): Answer {
  if (operation === 'schedule-message') return schedule(at, body);
  const run = Object.hasOwn(OPERATIONS, operation) ? OPERATIONS[operation] : undefined;
  if (run === undefined || at.entity === undefined)
    throw new Refusal(501, 'amqp:not-implemented', `the operation ${operation} is not offered here`);
  at.messages.tick(at.entity);
  return run({ ...at, entity: at.entity }, body);
}

function schedule({ accept, read }: Managed, body: Body): Answer {
  const list = body.messages;
  if (!Array.isArray(list)) throw badRequest('messages');
  const all = list.map((it: { readonly message?: unknown }) => {
    if (!Buffer.isBuffer(it?.message)) throw badRequest('messages');
    return read(it.message);
  });
  const seqs = all.map((message) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(BigInt(accept(message)));
    return bytes;
  });
  return { status: 200, body: { 'sequence-numbers': types.wrap_array(seqs, 0x81, undefined) } };
}

/** A lock token comes in the byte order of a .NET GUID; that of a deferred message in its own. */
function tokensOf(body: Body): readonly (readonly [string, string])[] {
  const tokens = body['lock-tokens'];
  if (!Array.isArray(tokens) || tokens.length === 0) throw badRequest('lock-tokens');
  return tokens.map((token: unknown) => {
    if (!Buffer.isBuffer(token) || token.length !== 16) throw badRequest('lock-tokens');
    const guid = Buffer.from(token);
    guid.subarray(0, 4).reverse();
    guid.subarray(4, 6).reverse();
    guid.subarray(6, 8).reverse();
    return [guid.toString('hex'), token.toString('hex')] as const;
  });
}

function firstOf<T>(both: readonly [string, string], ask: (token: string) => T | null): T | null {
  return ask(both[0]) ?? ask(both[1]);
}

function seqsOf(body: Body): readonly number[] {
  const seqs = body['sequence-numbers'];
  if (!Array.isArray(seqs) || seqs.length === 0) throw badRequest('sequence-numbers');
  return seqs.map((it: unknown) => numberOf(it, 'sequence-numbers'));
}

function sessionOf(body: Body): string {
  const id = body['session-id'];
  if (typeof id !== 'string') throw badRequest('session-id');
  return id;
}

function numberOf(value: unknown, field: string): number {
  const number = Buffer.isBuffer(value) && value.length === 8 ? Number(value.readBigInt64BE()) : Number(value);
  if (!Number.isSafeInteger(number)) throw badRequest(field);
  return number;
}

function badRequest(field: string): Refusal {
  return new Refusal(400, 'com.microsoft:argument-error', `${field} is missing or makes no sense`);
}

function notFound(text: string): Refusal {
  return new Refusal(404, 'com.microsoft:message-not-found', text);
}

function lockLost(): Refusal {
  return new Refusal(410, 'com.microsoft:message-lock-lost', LOCK_LOST);
}

export const LOCK_LOST =
  'The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.';
