/** Azure Event Grid: subscriptions as data, delivery at least once, and a place for what could not be delivered. */

import { createHash } from 'node:crypto';
import type { Cloud } from '../../service.ts';
import { refusalOf, validate, type WebhookRefusal } from './webhook.ts';

/** In Event Grid's own schema. */
export interface GridEvent {
  readonly id: string;
  readonly topic: string;
  readonly subject: string;
  readonly eventType: string;
  readonly eventTime: string;
  readonly dataVersion: string;
  readonly metadataVersion: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export type Destination =
  /** A queue or a topic. */
  { readonly kind: 'servicebus'; readonly entity: string } | { readonly kind: 'webhook'; readonly url: string };

export interface Subscription {
  readonly name: string;
  readonly destination: Destination;
  readonly schema?: 'EventGrid' | 'CloudEvents';
  readonly subjectBeginsWith?: string;
  readonly subjectEndsWith?: string;
  /** As in Azure letters are not told apart, unless this is set. */
  readonly caseSensitive?: boolean;
  /** Such as Microsoft.Storage.BlobCreated; left out: all. */
  readonly eventTypes?: readonly string[];
  /** All must hold. Of the operators that Azure has, the one that is needed here; an event without the key passes it. */
  readonly advanced?: readonly {
    readonly operator: 'StringNotBeginsWith';
    /** Such as data.api. */
    readonly key: string;
    readonly values: readonly string[];
  }[];
  /** 1 to 30. */
  readonly attemptsMax?: number;
  readonly ttlMs?: number;
  /** Left out: what cannot be delivered is dropped, and reported. */
  readonly deadLetterContainer?: string;
}

export interface EventGridOptions {
  /** To a queue or a topic of Service Bus. */
  send(entity: string, message: GridMessage): void;
  /** Where dead letters go. */
  write(container: string, name: string, body: Uint8Array): Promise<void>;
}

export interface GridMessage {
  readonly body: string;
  readonly contentType: string;
  readonly messageId: string;
  readonly properties: Readonly<Record<string, string>>;
}

export interface EventGrid {
  /** A webhook is asked first whether it wants events. One of the same name is replaced. */
  subscribe(subscription: Subscription): Promise<void>;
  unsubscribe(name: string): void;
  list(): readonly Subscription[];
  /** In the transaction of the change that the event tells of. */
  publish(event: GridEvent): void;
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS eventgrid_subscriptions (name TEXT NOT NULL PRIMARY KEY, options TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS eventgrid_attempts (
    delivery TEXT NOT NULL PRIMARY KEY, count INTEGER NOT NULL, first_at INTEGER NOT NULL
  ) STRICT;
`;
const TARGET = 'eventgrid:';
const ATTEMPTS_MAX = 30;
const TTL_MS = 24 * 60 * 60_000;

export function openEventGrid(cloud: Cloud, { send, write }: EventGridOptions): EventGrid {
  const { db } = cloud.state;
  db.define(TABLES);

  const list = () =>
    db
      .all<{ options: string }>('SELECT options FROM eventgrid_subscriptions ORDER BY name')
      .map(({ options }) => JSON.parse(options) as Subscription);

  async function deliver(subscription: Subscription, event: GridEvent, count: number): Promise<WebhookRefusal | null> {
    const { destination, schema = 'EventGrid', name } = subscription;
    const body = JSON.stringify(schema === 'CloudEvents' ? toCloudEvent(event) : event);
    if (destination.kind === 'webhook')
      return refusalOf({ url: destination.url, schema, body, name, eventType: event.eventType, count });
    const properties = { 'aeg-event-type': 'Notification', 'aeg-subscription-name': name.toUpperCase() };
    const contentType = schema === 'CloudEvents' ? 'application/cloudevents+json; charset=utf-8' : 'application/json';
    send(destination.entity, { body, contentType, messageId: event.id, properties });
    return null;
  }

  async function bury(subscription: Subscription, event: GridEvent, attempts: number, why: string): Promise<void> {
    const { deadLetterContainer: container, name } = subscription;
    if (container === undefined)
      return cloud.report(
        `azure eventgrid: ${name}: the event ${event.id} was dropped after ${attempts} attempts: ${why}`,
      );
    const hour = new Date(cloud.now()).toISOString().slice(0, 13).replaceAll(/[-T]/g, '/');
    const letter = {
      ...event,
      deadLetterReason: attempts >= (subscription.attemptsMax ?? ATTEMPTS_MAX) ? 'MaxDeliveryAttemptsExceeded' : why,
      deliveryAttempts: attempts,
      lastDeliveryOutcome: why,
      publishTime: event.eventTime,
      lastDeliveryAttemptTime: new Date(cloud.now()).toISOString(),
    };
    await write(container, `${name.toUpperCase()}/${hour}/${event.id}.json`, Buffer.from(JSON.stringify([letter])));
  }

  /** Rejects what is to be tried again: the delivery of the cloud does that, later and later. */
  async function take(name: string, body: string): Promise<void> {
    const subscription = list().find((it) => it.name === name);
    if (subscription === undefined) return;
    const event = JSON.parse(body) as GridEvent;
    const delivery = createHash('sha256').update(`${name}\n${event.id}`).digest('hex');
    db.run(
      `INSERT INTO eventgrid_attempts (delivery, count, first_at) VALUES (?, 1, ?)
       ON CONFLICT (delivery) DO UPDATE SET count = count + 1`,
      delivery,
      cloud.now(),
    );
    const row = db.get<{ count: number; first_at: number }>(
      'SELECT * FROM eventgrid_attempts WHERE delivery = ?',
      delivery,
    );
    const { count = 1, first_at: firstAt = cloud.now() } = row ?? {};
    const done = () => db.run('DELETE FROM eventgrid_attempts WHERE delivery = ?', delivery);
    const refusal = await deliver(subscription, event, count - 1).catch((error: unknown): WebhookRefusal => {
      return { why: String(error), final: false };
    });
    if (refusal === null) return void done();
    const { attemptsMax = ATTEMPTS_MAX, ttlMs = TTL_MS } = subscription;
    const over = refusal.final || count >= attemptsMax || cloud.now() - firstAt >= ttlMs;
    if (!over) throw new Error(refusal.why);
    await bury(subscription, event, count, refusal.why);
    done();
  }

  cloud.delivery.to(TARGET, ({ target, body }) => take(target.slice(TARGET.length), body));

  return {
    async subscribe(subscription) {
      check(subscription);
      const { destination, name, schema = 'EventGrid' } = subscription;
      if (destination.kind === 'webhook') await validate({ url: destination.url, name, schema, at: cloud.now() });
      const sql = 'INSERT OR REPLACE INTO eventgrid_subscriptions (name, options) VALUES (?, ?)';
      db.run(sql, name, JSON.stringify(subscription));
    },
    unsubscribe: (name) => void db.run('DELETE FROM eventgrid_subscriptions WHERE name = ?', name),
    list,
    publish(event) {
      for (const subscription of list())
        if (wants(subscription, event))
          cloud.delivery.send('eventgrid', {
            target: `${TARGET}${subscription.name}`,
            body: JSON.stringify(event),
            attributes: {},
          });
    },
  };
}

export function wants(subscription: Subscription, event: GridEvent): boolean {
  const { subject, eventType } = event;
  const {
    subjectBeginsWith = '',
    subjectEndsWith = '',
    caseSensitive = false,
    eventTypes,
    advanced = [],
  } = subscription;
  const plain = (text: string) => (caseSensitive ? text : text.toLowerCase());
  return (
    plain(subject).startsWith(plain(subjectBeginsWith)) &&
    plain(subject).endsWith(plain(subjectEndsWith)) &&
    (eventTypes === undefined || eventTypes.includes(eventType)) &&
    advanced.every(({ key, values }) => {
      const text = textAt(event, key)?.toLowerCase();
      return text === undefined || !values.some((value) => text.startsWith(value.toLowerCase()));
    })
  );
}

function textAt(event: GridEvent, path: string): string | undefined {
  const found = path
    .split('.')
    .reduce<unknown>((from, name) => (from as Readonly<Record<string, unknown>> | undefined)?.[name], event);
  return typeof found === 'string' ? found : undefined;
}

export function toCloudEvent({ id, topic, subject, eventType, eventTime, data }: GridEvent) {
  return { specversion: '1.0', id, source: topic, type: eventType, subject, time: eventTime, data };
}

function check({ name, attemptsMax = ATTEMPTS_MAX, ttlMs = TTL_MS }: Subscription): void {
  const refuse = (why: string) => {
    throw new Error(`azure eventgrid: the subscription ${JSON.stringify(name)}: ${why}`);
  };
  if (!/^[A-Za-z0-9-]{3,64}$/.test(name)) refuse('a name has 3 to 64 letters, digits and hyphens');
  if (!Number.isInteger(attemptsMax) || attemptsMax < 1 || attemptsMax > ATTEMPTS_MAX)
    refuse(`attemptsMax must be from 1 to ${ATTEMPTS_MAX}, got ${attemptsMax}`);
  if (!(ttlMs > 0 && ttlMs <= TTL_MS)) refuse(`ttlMs must be from 1 to ${TTL_MS}, got ${ttlMs}`);
}
