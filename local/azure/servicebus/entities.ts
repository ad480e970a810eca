/** Queues, topics and subscriptions: what there is, what it is called, and whom a message of a topic is for. */

import type { Database } from '../../state/sqlite.ts';
import { MalformedMessage } from './bytes.ts';

export interface QueueOptions {
  readonly maxDeliveryCount?: number;
  readonly lockDurationMs?: number;
  /** Of messages that bring none of their own. */
  readonly defaultTtlMs?: number;
  readonly deadLetterOnExpiry?: boolean;
  readonly sessions?: boolean;
  /** A message id seen within this time is accepted and dropped. */
  readonly duplicateWindowMs?: number;
}

export type Filter =
  | { readonly kind: 'true' }
  /** All of what is given has to be equal. */
  | {
      readonly kind: 'correlation';
      readonly correlationId?: string;
      readonly messageId?: string;
      readonly to?: string;
      readonly replyTo?: string;
      readonly subject?: string;
      readonly sessionId?: string;
      readonly contentType?: string;
      readonly properties?: Readonly<Record<string, string | number | boolean>>;
    };

export interface SubscriptionOptions extends QueueOptions {
  readonly filter?: Filter;
}

/** What holds messages: a queue, a subscription, or the dead letters of one. */
export interface Entity {
  /** Lower case, as looked up. */
  readonly id: string;
  /** As it was created. */
  readonly path: string;
  readonly maxDeliveryCount: number;
  readonly lockDurationMs: number;
  readonly defaultTtlMs: number | null;
  readonly deadLetterOnExpiry: boolean;
  readonly sessions: boolean;
  readonly duplicateWindowMs: number;
  /** Null where messages go no further: these are the dead letters. */
  readonly deadLetters: string | null;
}

export interface Topic {
  readonly path: string;
  readonly subscriptions: readonly { readonly entity: Entity; readonly filter: Filter }[];
}

export interface Entities {
  createQueue(name: string, options?: QueueOptions): void;
  createTopic(name: string): void;
  createSubscription(topic: string, name: string, options?: SubscriptionOptions): void;
  entity(path: string): Entity | undefined;
  topic(path: string): Topic | undefined;
  list(): readonly Entity[];
}

/** What a filter looks at. */
export interface Filtered {
  readonly message_id?: unknown;
  readonly correlation_id?: unknown;
  readonly to?: unknown;
  readonly reply_to?: unknown;
  readonly subject?: unknown;
  readonly group_id?: unknown;
  readonly content_type?: unknown;
  readonly application_properties?: Readonly<Record<string, unknown>>;
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS servicebus_entities (
    id TEXT NOT NULL PRIMARY KEY, path TEXT NOT NULL, topic TEXT, filter TEXT, options TEXT, last INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
`;
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,258}[A-Za-z0-9])?$/;
const DEAD_LETTERS = '/$DeadLetterQueue';
/** Service Bus allows no longer lock. */
const LOCK_MS_MAX = 5 * 60_000;

interface Row {
  readonly id: string;
  readonly path: string;
  /** Of a subscription. */
  readonly topic: string | null;
  readonly filter: string | null;
  /** Null: a topic. */
  readonly options: string | null;
}

export function openEntities(db: Database): Entities {
  db.define(TABLES);
  let rows = new Map<string, Row>();
  const read = () => {
    rows = new Map(db.all<Row>('SELECT * FROM servicebus_entities').map((row) => [row.id, row]));
  };
  read();

  function create(path: string, topic: string | null, filter: Filter | null, options: QueueOptions | null): void {
    if (!NAME.test(path)) throw new Error(`azure servicebus: ${JSON.stringify(path)} is no name of an entity`);
    const lockMs = options?.lockDurationMs ?? 1;
    if (lockMs < 1 || lockMs > LOCK_MS_MAX)
      throw new Error(`azure servicebus: lockDurationMs of ${path} must be from 1 to ${LOCK_MS_MAX}, got ${lockMs}`);
    db.run(
      `INSERT INTO servicebus_entities (id, path, topic, filter, options) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET filter = excluded.filter, options = excluded.options`,
      path.toLowerCase(),
      path,
      topic,
      filter && JSON.stringify(filter),
      options && JSON.stringify(options),
    );
    if (options !== null)
      db.run(
        'INSERT OR IGNORE INTO servicebus_entities (id, path, options) VALUES (?, ?, ?)',
        (path + DEAD_LETTERS).toLowerCase(),
        path + DEAD_LETTERS,
        JSON.stringify({ maxDeliveryCount: Number.MAX_SAFE_INTEGER, lockDurationMs: options.lockDurationMs }),
      );
    read();
  }

  const toEntity = ({ id, path, options }: Row): Entity => {
    const given = JSON.parse(options ?? '{}') as QueueOptions;
    return {
      id,
      path,
      maxDeliveryCount: given.maxDeliveryCount ?? 10,
      lockDurationMs: given.lockDurationMs ?? 60_000,
      defaultTtlMs: given.defaultTtlMs ?? null,
      deadLetterOnExpiry: given.deadLetterOnExpiry ?? false,
      sessions: given.sessions ?? false,
      duplicateWindowMs: given.duplicateWindowMs ?? 0,
      deadLetters: path.endsWith(DEAD_LETTERS) ? null : id + DEAD_LETTERS.toLowerCase(),
    };
  };

  return {
    createQueue: (name, options = {}) => create(name, null, null, options),
    createTopic: (name) => create(name, null, null, null),
    createSubscription(topic, name, { filter, ...options } = {}) {
      const row = rows.get(topic.toLowerCase());
      if (row === undefined || row.options !== null) throw new Error(`azure servicebus: there is no topic ${topic}`);
      create(`${row.path}/Subscriptions/${name}`, row.id, filter ?? { kind: 'true' }, options);
    },
    entity(path) {
      const row = rows.get(idOf(path));
      return row === undefined || row.options === null ? undefined : toEntity(row);
    },
    topic(path) {
      const topic = rows.get(idOf(path));
      if (topic === undefined || topic.options !== null) return undefined;
      const all = [...rows.values()].filter((row) => row.topic === topic.id);
      return {
        path: topic.path,
        subscriptions: all.map((row) => ({ entity: toEntity(row), filter: JSON.parse(row.filter ?? '{}') as Filter })),
      };
    },
    list: () => [...rows.values()].filter((row) => row.options !== null).map(toEntity),
  };
}

export function matches(filter: Filter, message: Filtered): boolean {
  if (filter.kind === 'true') return true;
  const { properties = {}, kind: _kind, ...wanted } = filter;
  const own: Record<string, unknown> = {
    correlationId: message.correlation_id,
    messageId: message.message_id,
    to: message.to,
    replyTo: message.reply_to,
    subject: message.subject,
    sessionId: message.group_id,
    contentType: message.content_type,
  };
  const fits = Object.entries(wanted).every(([name, value]) => own[name] === value);
  return fits && Object.entries(properties).every(([name, value]) => message.application_properties?.[name] === value);
}

/** Links may name an entity by its whole address. */
function idOf(path: string): string {
  try {
    return decodeURIComponent(path)
      .replace(/^(?:sb|amqps?):\/\/[^/]+\//i, '')
      .replace(/^\/+|\/+$/g, '')
      .toLowerCase();
  } catch (error) {
    throw new MalformedMessage('the address of a link cannot be decoded', { cause: error });
  }
}
