/** The links of one connection: tokens, senders, receivers and $management, each meeting the faults. */

import rhea, {
  type Connection,
  type Delivery,
  type EventContext,
  type Receiver,
  type Sender,
  type Session,
} from 'rhea';
import type { RequestEffect } from '../../faults.ts';
import type { Cloud } from '../../service.ts';
import { allows, type Claim, readToken } from './auth.ts';
import type { Broker, Consumer } from './broker.ts';
import { MalformedMessage } from './bytes.ts';
import type { Entity } from './entities.ts';
import { type Body, LOCK_LOST, manage, Refusal } from './management.ts';
import type { Outcome } from './messages.ts';
import { decode, plainOf, type ReadMessage, readBatch, readMessage, toOutcomeProperties } from './wire.ts';

export const MESSAGE_BYTES_MAX = 1024 * 1024;

const { types } = rhea;
/** Made when the library is loaded, and so unknown to its types. */
const outcomes = rhea.message as unknown as Record<
  'accepted' | 'rejected',
  (fields?: object) => { described(): never }
>;
const BATCH_FORMAT = 0x80013700;
const SETTLED = 1;
const SESSION_FILTER = 'com.microsoft:session-filter';
/** .NET counts in ten millionths of a second from the year 1. */
const TICKS_AT_EPOCH = 621_355_968_000_000_000n;
const MANAGEMENT = '/$management';
/** Who may use an entity may use what belongs to it. */
const OF_ENTITY = /(?:\/\$(?:management|deadletterqueue))+$/i;

interface Condition {
  readonly condition: string;
  readonly description: string;
}

const CONDITIONS: Readonly<Record<number, string>> = {
  400: 'com.microsoft:argument-error',
  401: 'amqp:unauthorized-access',
  403: 'amqp:unauthorized-access',
  404: 'amqp:not-found',
  408: 'com.microsoft:timeout',
  409: 'com.microsoft:entity-already-exists',
  429: 'com.microsoft:server-busy',
  500: 'amqp:internal-error',
  503: 'com.microsoft:server-busy',
};

/** What rhea's types do not tell of. */
interface OpenLink {
  readonly local: { readonly attach: Record<string, unknown> };
  readonly remote: {
    readonly attach: { readonly snd_settle_mode?: number; readonly properties?: Record<string, unknown> };
  };
}

export function serveLinks(cloud: Cloud, broker: Broker, connection: Connection, trusted: () => boolean): void {
  const claims: Claim[] = [];
  const replies = new Map<string, Sender>();
  const consumers = new Map<Sender, Consumer>();

  const mayUse = (path: string) =>
    trusted() || allows(claims, path, cloud.now()) || allows(claims, path.replace(OF_ENTITY, ''), cloud.now());

  /** Answers what is to be said instead, or null: go on. Never answers when the other side is to hear nothing more. */
  async function meet(operation: string, key: string): Promise<{ refused: Condition | null; lost: boolean }> {
    // The user agent is among the properties.
    const from = `${connection.container_id} ${JSON.stringify(connection.properties ?? {})}`;
    const effects: readonly RequestEffect[] = cloud.faults.meet({
      cloud: cloud.name,
      service: 'servicebus',
      operation,
      from,
      key,
    });
    let lost = false;
    for (const effect of effects) {
      if (effect.kind === 'outage' || effect.kind === 'cut') cut();
      if (effect.kind === 'outage' || effect.kind === 'cut' || effect.kind === 'silence') return new Promise(() => {});
      if (effect.kind === 'wait') await new Promise((resolve) => setTimeout(resolve, cloud.faults.draw(effect.ms)));
      if (effect.kind === 'lost-answer') lost = true;
      if (effect.kind === 'status') {
        const condition = CONDITIONS[effect.status] ?? 'amqp:internal-error';
        return { refused: { condition, description: `the local world refuses ${operation} on purpose` }, lost };
      }
    }
    return { refused: null, lost };
  }

  const cut = () => (connection as Connection & { socket?: { destroy(): void } }).socket?.destroy();

  function guarded(run: () => Promise<void>): void {
    run().catch((error: unknown) => {
      cloud.report(`azure servicebus: ${String(error)}`);
      cut();
    });
  }

  function refuseLink(link: (Sender | Receiver) & OpenLink, condition: string, description: string): undefined {
    // An attach that is about to be refused names nothing at the other end.
    link.local.attach[link.is_sender() ? 'source' : 'target'] = undefined;
    link.close({ condition, description });
  }

  connection.on('session_open', ({ session }: EventContext) => {
    keepRaw(session as Session);
    tellEachAlone(session as Session);
  });

  connection.on('sender_open', (context: EventContext) => {
    const sender = context.sender as Sender & OpenLink;
    const address = String(sender.source?.address ?? '');
    sender.set_source(sender.source);
    if (sender.target) sender.set_target(sender.target);
    if (address === '$cbs' || address.toLowerCase().endsWith(MANAGEMENT)) {
      replies.set(String(sender.target?.address ?? sender.name), sender);
      sender.on('settled', ({ delivery }: EventContext) => forget(delivery as Delivery));
      return;
    }
    guarded(async () => {
      const entity = broker.entities.entity(address);
      if (!mayUse(address)) return refuseLink(sender, 'amqp:unauthorized-access', `no valid token for ${address}`);
      if (entity === undefined) return refuseLink(sender, 'amqp:not-found', missing(address));
      openConsumer(sender, entity);
    });
  });

  function openConsumer(sender: Sender & OpenLink, entity: Entity) {
    const forget = sender.remote.attach.snd_settle_mode === SETTLED;
    if (forget) sender.local.attach.snd_settle_mode = SETTLED;
    let sessionId: string | undefined;
    const filter = (sender.source.filter ?? {}) as Record<string, unknown>;
    if (entity.sessions) {
      if (!(SESSION_FILTER in filter))
        return refuseLink(sender, 'amqp:not-allowed', `${entity.path} has sessions: a receiver has to ask for one`);
      const wanted = plainOf({ it: filter[SESSION_FILTER] }).it;
      const session = broker.messages.lockSession(entity, typeof wanted === 'string' ? wanted : null);
      if (session === null) {
        const any = typeof wanted !== 'string';
        const condition = any ? 'com.microsoft:timeout' : 'com.microsoft:session-cannot-be-locked';
        return refuseLink(sender, condition, any ? 'no session has messages' : 'another receiver holds the session');
      }
      sessionId = session.id;
      sender.set_source({ address: sender.source.address, filter: { [SESSION_FILTER]: session.id } } as never);
      const ticks = Buffer.alloc(8);
      ticks.writeBigInt64BE(BigInt(session.lockedUntil) * 10_000n + TICKS_AT_EPOCH);
      sender.local.attach.properties = { 'com.microsoft:locked-until-utc': types.wrap_long(ticks) };
    }
    /** All that were ever handed to the link, beside those given back unused. */
    let issued = 0;
    let ready = true;
    const counted = sender as unknown as Counted;
    answerDrains(counted);
    const room = () => (ready && sender.sendable() ? counted.credit + counted.delivery_count - issued : 0);
    const consumer: Consumer = {
      entity,
      forget,
      sessionId,
      room,
      deliver({ token, seq, bytes }) {
        issued++;
        const tag = token === null ? Buffer.from(String(seq)) : Buffer.from(token, 'hex');
        sender.send(bytes as never, tag as never, 0);
      },
    };
    broker.add(consumer);
    consumers.set(sender, consumer);

    const flow = () =>
      guarded(async () => {
        ready = false;
        const { refused } = await meet('Receive', entity.path);
        ready = true;
        if (refused !== null) {
          leave(sender);
          return refuseLink(sender, refused.condition, refused.description);
        }
        broker.pump(entity);
        if (!counted._draining) return;
        issued += Math.max(0, counted.credit + counted.delivery_count - issued);
        sender.set_drained(true);
        (connection as unknown as { _register(): void })._register();
      });
    sender.on('sender_flow', flow);
    const on = (event: string, read: (delivery: Delivery) => Outcome) =>
      sender.on(event, ({ delivery }: EventContext) =>
        guarded(() => settle(entity, delivery as Delivery, read(delivery as Delivery))),
      );
    on('accepted', () => ({ kind: 'complete' }));
    on('released', () => ({ kind: 'abandon', properties: [] }));
    on('modified', (delivery) => {
      const state = delivery.remote_state as { undeliverable_here?: boolean; message_annotations?: unknown };
      const properties = toOutcomeProperties(state.message_annotations);
      return { kind: state.undeliverable_here ? 'defer' : 'abandon', properties };
    });
    on('rejected', (delivery) => {
      const { error } = delivery.remote_state as { error?: { info?: unknown; description?: string } };
      const info = plainOf((error?.info ?? {}) as Record<string, unknown>);
      const { DeadLetterReason: reason, DeadLetterErrorDescription: description, ...properties } = info;
      return {
        kind: 'dead',
        reason: reason === undefined ? undefined : String(reason),
        description: description === undefined ? error?.description : String(description),
        properties: toOutcomeProperties(properties),
      };
    });
    sender.on('sender_close', () => leave(sender));
  }

  async function settle(entity: Entity, delivery: Delivery, outcome: Outcome): Promise<void> {
    const tag = delivery.tag as unknown as Buffer;
    if (delivery.settled || tag.length !== 16) return forget(delivery);
    const { refused, lost } = await meet('Settle', entity.path);
    broker.messages.tick(entity);
    const done = refused === null && broker.messages.settle(entity, tag.toString('hex'), outcome);
    if (lost) return void cut();
    const error = refused ?? (done ? null : { condition: 'com.microsoft:message-lock-lost', description: LOCK_LOST });
    forget(delivery, outcomeOf(error));
    broker.pump(entity);
  }

  function leave(sender: Sender): void {
    const consumer = consumers.get(sender);
    consumers.delete(sender);
    if (consumer === undefined) return;
    broker.remove(consumer);
    if (consumer.sessionId !== undefined) broker.messages.releaseSession(consumer.entity, consumer.sessionId);
    broker.pump(consumer.entity);
  }

  connection.on('session_close', ({ session }: EventContext) => {
    for (const sender of [...consumers.keys()]) if (sender.session === session) leave(sender);
  });
  connection.on('disconnected', () => {
    for (const sender of [...consumers.keys()]) leave(sender);
  });

  connection.on('receiver_open', (context: EventContext) => {
    const receiver = context.receiver as Receiver & OpenLink;
    const address = String(receiver.target?.address ?? '');
    receiver.set_target(receiver.target);
    if (receiver.source) receiver.set_source(receiver.source);
    receiver.local.attach.max_message_size = MESSAGE_BYTES_MAX;
    if (address === '$cbs') return;
    if (!mayUse(address)) return refuseLink(receiver, 'amqp:unauthorized-access', `no valid token for ${address}`);
    const path = address.toLowerCase().endsWith(MANAGEMENT) ? address.slice(0, -MANAGEMENT.length) : address;
    if (broker.entities.entity(path) === undefined && broker.entities.topic(path) === undefined)
      refuseLink(receiver, 'amqp:not-found', missing(path));
  });

  connection.on('message', (context: EventContext) => {
    const delivery = context.delivery as Delivery;
    const bytes = context.message as unknown as Buffer;
    const { format } = delivery as Delivery & { format: number };
    const address = String((context.receiver as Receiver).target?.address ?? '');
    guarded(async () => {
      const answer = (error: Condition | null) => {
        delivery.update(true, outcomeOf(error));
      };
      if (address === '$cbs') return putToken(bytes, () => answer(null));
      if (address.toLowerCase().endsWith(MANAGEMENT))
        return request(address.slice(0, -MANAGEMENT.length), bytes, () => answer(null));
      const { refused, lost } = await meet('Send', address);
      const error = refused ?? accept(address, bytes, format);
      if (lost) cut();
      else answer(error);
    });
  });

  function accept(address: string, bytes: Buffer, format: number): Condition | null {
    if (!mayUse(address))
      return { condition: 'amqp:unauthorized-access', description: `no valid token for ${address}` };
    if (bytes.length > MESSAGE_BYTES_MAX)
      return { condition: 'amqp:link:message-size-exceeded', description: `at most ${MESSAGE_BYTES_MAX} bytes` };
    try {
      const all = format === BATCH_FORMAT ? readBatch(bytes) : [readMessage(bytes)];
      const wrong = all.find(({ sessionId }) => needsSession(address, sessionId));
      if (wrong)
        return { condition: 'amqp:not-allowed', description: `${address} has sessions: a session id is needed` };
      if (broker.accept(address, all) === null) return { condition: 'amqp:not-found', description: missing(address) };
      return null;
    } catch (error) {
      if (error instanceof MalformedMessage) return { condition: 'amqp:decode-error', description: error.message };
      throw error;
    }
  }

  const needsSession = (path: string, id: string | null) =>
    id === null && broker.entities.entity(path)?.sessions === true;

  function reply(to: unknown, correlation: unknown, properties: Record<string, unknown>, body: unknown): void {
    replies.get(String(to))?.send({
      to: String(to),
      correlation_id: correlation as string,
      application_properties: properties,
      body,
    } as never);
  }

  async function putToken(bytes: Buffer, accepted: () => void): Promise<void> {
    const message = decode(bytes);
    const { refused, lost } = await meet('PutToken', String(message.application_properties?.name ?? ''));
    const claim = refused?.description ?? readToken(message.body, cloud.now());
    if (typeof claim !== 'string') {
      const at = claims.findIndex(({ path }) => path === claim.path);
      claims.splice(at < 0 ? claims.length : at, 1, claim);
    }
    if (lost) return void cut();
    accepted();
    const [code, text] = typeof claim === 'string' ? [401, claim] : [202, 'Accepted'];
    const properties = { 'status-code': types.wrap_int(code), 'status-description': text };
    reply(message.reply_to, message.message_id, properties, '');
  }

  async function request(path: string, bytes: Buffer, accepted: () => void): Promise<void> {
    const message = decode(bytes);
    const operation = String(message.application_properties?.operation ?? '').replace(/^com\.microsoft:/, '');
    const { refused, lost } = await meet(operation, path);
    const entity = broker.entities.entity(path);
    let status = 200;
    let body: Body = {};
    let error: Condition | null = null;
    try {
      if (refused !== null) throw new Refusal(503, refused.condition, refused.description);
      if (!mayUse(path + MANAGEMENT)) throw new Refusal(401, 'amqp:unauthorized-access', `no valid token for ${path}`);
      const body_ = (message.body ?? {}) as Body;
      const acceptOne = (it: ReadMessage) => broker.accept(path, [it]) ?? 0;
      const at = { messages: broker.messages, entity, accept: acceptOne as never, read: readMessage };
      ({ status, body } = manage(at, operation, body_));
    } catch (caught) {
      if (caught instanceof Refusal) {
        status = caught.status;
        error = { condition: caught.condition, description: caught.message };
      } else if (caught instanceof MalformedMessage) {
        status = 400;
        error = { condition: 'amqp:decode-error', description: caught.message };
      } else throw caught;
    }
    if (lost) return void cut();
    accepted();
    const properties = {
      statusCode: types.wrap_int(status),
      statusDescription: error?.description ?? 'OK',
      ...(error === null ? {} : { errorCondition: types.wrap_symbol(error.condition) }),
    };
    reply(message.reply_to, message.message_id, properties, body);
    if (entity !== undefined) broker.pump(entity);
  }
}

/** What rhea's types do not tell of. */
interface Counted {
  credit: number;
  delivery_count: number;
  _draining: boolean;
  _drained: boolean;
  _get_drain(): boolean;
}

/** Who drains waits for the answer, also when the last message has used the last credit meanwhile. */
function answerDrains(sender: Counted): void {
  sender._get_drain = () => {
    if (!sender._draining || !sender._drained) return false;
    sender.delivery_count += sender.credit;
    sender.credit = 0;
    return true;
  };
}

/** Makes the library hand messages on as they came, and stop where they grow without end. */
function keepRaw(session: Session): void {
  interface Transfer {
    readonly performative: { message_format?: number; readonly more?: boolean };
    readonly payload?: Buffer;
  }
  let open = 0;
  const inner = session as unknown as { on_transfer(frame: Transfer): void };
  const take = inner.on_transfer.bind(session);
  inner.on_transfer = (frame) => {
    // Only messages of the format 0 would be decoded.
    if (frame.performative.message_format === 0 || frame.performative.message_format === undefined)
      frame.performative.message_format = RAW;
    open = frame.performative.more ? open + (frame.payload?.length ?? 0) : 0;
    if (open > 2 * MESSAGE_BYTES_MAX) throw new Error('a message grows without end');
    take(frame);
  };
}

const RAW = 1;

/** Settlements of one turn that differ would be told as if they were all like the first: each goes out alone. */
function tellEachAlone(session: Session): void {
  interface Half {
    process(session: Session): void;
    pending_dispositions?: unknown[];
    updated: unknown[];
  }
  const { outgoing, incoming } = session as unknown as { outgoing: Half; incoming: Half };
  for (const [half, list] of [[outgoing, 'pending_dispositions'] as const, [incoming, 'updated'] as const]) {
    const run = half.process.bind(half);
    half.process = (own) => {
      const all = half[list] ?? [];
      half[list] = all.slice(0, 1);
      run(own);
      for (const one of all.slice(1)) {
        half[list] = [one];
        run(own);
      }
    };
  }
}

function outcomeOf(error: Condition | null): never {
  return (error === null ? outcomes.accepted() : outcomes.rejected({ error })).described();
}

/**
 * Of what the broker has settled nobody speaks again, though a receiver of the second mode never says so. Whatever is kept
 * for such a word fills the session, which has room for 2,048 deliveries and then stands still.
 */
function forget(delivery: Delivery, outcome?: never): void {
  delivery.update(true, outcome);
  (delivery as { remote_settled: boolean }).remote_settled = true;
}

function missing(path: string): string {
  return `The messaging entity '${path}' could not be found.`;
}
