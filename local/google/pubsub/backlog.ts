/** The messages and who still has to acknowledge them: leases, redelivery, order, dead letters, retention. */

import type { Cloud } from '../../service.ts';
import { invalidAckIds, refused, shortName, sizeOf } from './check.ts';
import { type Filter, readFilter } from './filter.ts';
import type { Registry, StoredSubscription } from './registry.ts';
import { type PubsubMessage, type ReceivedMessage, toMs, toTime } from './wire.ts';

export interface Lease {
  /** Null: no bound. */
  readonly messages: number;
  readonly bytes: number;
  readonly deadlineMs: number;
}

export interface Leased extends ReceivedMessage {
  readonly bytes: number;
}

export interface Backlog {
  /** Durable and in every subscription of the topic once it returns; answers the ids. */
  publish(topic: string, messages: readonly Content[]): readonly string[];
  lease(subscription: StoredSubscription, wanted: Lease): readonly Leased[];
  /** Answers the ids that hold nothing any more; only subscriptions with exactly once delivery care. */
  acknowledge(subscription: StoredSubscription, ackIds: readonly string[]): readonly string[];
  /** 0: give it back at once. Answers as `acknowledge`. */
  modify(subscription: StoredSubscription, ackIds: readonly string[], seconds: number): readonly string[];
  /** Gives back what was leased for too long and drops what is too old. */
  tidy(): void;
  seek(subscription: StoredSubscription, at: number): void;
  /** Forgets everything that the subscription had. */
  drop(subscription: StoredSubscription): void;
  /** When the next lease ends, null: none; and, for one subscription, when the next message can be leased. */
  nextDue(subscription?: StoredSubscription): number | null;
  count(subscription: StoredSubscription): { readonly waiting: number; readonly inFlight: number };
}

export type Content = Pick<PubsubMessage, 'data' | 'attributes' | 'orderingKey'>;

export interface BacklogEvents {
  /** After the commit: there may be something to lease. */
  changed(subscription: number): void;
  /** After the commit: this lease is over. */
  released(ackId: string): void;
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS pubsub_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, data BLOB NOT NULL, attributes TEXT NOT NULL,
    ordering_key TEXT NOT NULL, published_at INTEGER NOT NULL, bytes INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS pubsub_messages_topic ON pubsub_messages (topic, published_at);
  CREATE TABLE IF NOT EXISTS pubsub_backlog (
    subscription INTEGER NOT NULL, message INTEGER NOT NULL, ordering_key TEXT NOT NULL, published_at INTEGER NOT NULL,
    bytes INTEGER NOT NULL, due INTEGER NOT NULL, held INTEGER NOT NULL DEFAULT 0, acked INTEGER NOT NULL DEFAULT 0,
    deliveries INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (subscription, message)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS pubsub_backlog_due ON pubsub_backlog (subscription, held, due, message) WHERE acked = 0;
  CREATE INDEX IF NOT EXISTS pubsub_backlog_held ON pubsub_backlog (due) WHERE held = 1;
  CREATE INDEX IF NOT EXISTS pubsub_backlog_key ON pubsub_backlog (subscription, ordering_key, message)
    WHERE acked = 0 AND ordering_key <> '';
  CREATE INDEX IF NOT EXISTS pubsub_backlog_age ON pubsub_backlog (subscription, published_at);
  CREATE INDEX IF NOT EXISTS pubsub_backlog_message ON pubsub_backlog (message);
`;

const TIDY_MAX = 1_000;

interface Row {
  readonly subscription: number;
  readonly message: number;
  readonly ordering_key: string;
  readonly published_at: number;
  readonly bytes: number;
  readonly due: number;
  readonly held: number;
  readonly deliveries: number;
  readonly failures: number;
}

interface MessageRow {
  readonly id: number;
  readonly topic: string;
  readonly data: Uint8Array;
  readonly attributes: string;
  readonly ordering_key: string;
  readonly published_at: number;
  readonly bytes: number;
}

export function openBacklog(cloud: Cloud, registry: Registry, events: BacklogEvents): Backlog {
  const { db } = cloud.state;
  db.define(TABLES);
  const filters = new Map<string, Filter>();

  function passes({ filter }: StoredSubscription, attributes: Readonly<Record<string, string>>): boolean {
    if (filter === '') return true;
    const test = filters.get(filter) ?? readFilter(filter);
    filters.set(filter, test);
    return test(attributes);
  }

  function enqueue(subscription: StoredSubscription, message: Omit<MessageRow, 'data' | 'attributes' | 'topic'>): void {
    db.run(
      `INSERT OR IGNORE INTO pubsub_backlog (subscription, message, ordering_key, published_at, bytes, due)
       VALUES (?, ?, ?, ?, ?, ?)`,
      subscription.id,
      message.id,
      subscription.enableMessageOrdering ? message.ordering_key : '',
      message.published_at,
      message.bytes,
      message.published_at,
    );
  }

  function publish(topic: string, messages: readonly Content[]): readonly string[] {
    return db.transaction(() => {
      const { messageRetentionDuration: retention } = registry.topic(topic);
      const subscriptions = registry.subscriptionsOf(topic).filter(({ detached }) => !detached);
      const at = cloud.now();
      const ids = messages.map((content) => {
        const attributes = JSON.stringify(content.attributes);
        const bytes = sizeOf(content);
        const { rowId: id } = db.run(
          `INSERT INTO pubsub_messages (topic, data, attributes, ordering_key, published_at, bytes)
           VALUES (?, ?, ?, ?, ?, ?)`,
          topic,
          content.data,
          attributes,
          content.orderingKey,
          at,
          bytes,
        );
        const takers = subscriptions.filter((it) => passes(it, content.attributes));
        for (const taker of takers) enqueue(taker, { id, ordering_key: content.orderingKey, published_at: at, bytes });
        if (takers.length === 0) forget(id);
        return String(id);
      });
      if (retention !== null)
        for (const { id } of db.all<{ id: number }>(
          'SELECT id FROM pubsub_messages WHERE topic = ? AND published_at <= ? LIMIT ?',
          topic,
          at - toMs(retention),
          TIDY_MAX,
        ))
          forget(id);
      for (const { id } of subscriptions) db.afterCommit(() => events.changed(id));
      return ids;
    });
  }

  /** Removes a message that nobody needs: no subscription still has it, and its topic does not keep it. */
  function forget(id: number): void {
    if (db.get('SELECT 1 FROM pubsub_backlog WHERE message = ? LIMIT 1', id) !== undefined) return;
    const row = db.get<MessageRow>('SELECT topic, published_at FROM pubsub_messages WHERE id = ?', id);
    if (row === undefined) return;
    const retention = registry.hasTopic(row.topic) ? registry.topic(row.topic).messageRetentionDuration : null;
    if (retention !== null && row.published_at > cloud.now() - toMs(retention)) return;
    db.run('DELETE FROM pubsub_messages WHERE id = ?', id);
  }

  function remove({ subscription, message, held, deliveries }: Row): void {
    db.run('DELETE FROM pubsub_backlog WHERE subscription = ? AND message = ?', subscription, message);
    forget(message);
    if (held === 1) db.afterCommit(() => events.released(toAckId({ subscription, message, deliveries })));
  }

  function rowOf(subscription: number, message: number): Row | undefined {
    return db.get<Row>(
      'SELECT * FROM pubsub_backlog WHERE subscription = ? AND message = ? AND acked = 0',
      subscription,
      message,
    );
  }

  /** The message was given back, or nobody acknowledged it in time. */
  function fail(subscription: StoredSubscription, row: Row): void {
    const failures = row.failures + 1;
    const { deadLetterPolicy: dead, retryPolicy: retry } = subscription;
    const isLast = dead !== null && failures >= dead.maxDeliveryAttempts && registry.hasTopic(dead.deadLetterTopic);
    if (isLast) toDeadLetters(subscription, row, failures);
    else {
      const wait = retry === null ? 0 : backoffOf(retry, failures);
      giveBack(row, cloud.now() + wait, failures);
    }
    // Whatever came behind it with its key comes again behind it.
    if (row.ordering_key !== '' && !isLast)
      for (const later of db.all<Row>(
        `SELECT * FROM pubsub_backlog
         WHERE subscription = ? AND ordering_key = ? AND message > ? AND acked = 0 AND held = 1 AND ordering_key <> ''`,
        row.subscription,
        row.ordering_key,
        row.message,
      ))
        giveBack(later, cloud.now(), later.failures);
    db.afterCommit(() => events.changed(row.subscription));
  }

  function giveBack({ subscription, message, deliveries }: Row, due: number, failures: number): void {
    db.run(
      'UPDATE pubsub_backlog SET held = 0, due = ?, failures = ? WHERE subscription = ? AND message = ?',
      due,
      failures,
      subscription,
      message,
    );
    db.afterCommit(() => events.released(toAckId({ subscription, message, deliveries })));
  }

  function toDeadLetters({ name, deadLetterPolicy }: StoredSubscription, row: Row, attempts: number): void {
    const message = messageOf(row.message);
    const [, project = ''] = name.split('/');
    publish(deadLetterPolicy?.deadLetterTopic ?? '', [
      {
        ...message,
        attributes: {
          ...message.attributes,
          CloudPubSubDeadLetterSourceDeliveryCount: String(attempts),
          CloudPubSubDeadLetterSourceSubscription: shortName(name),
          CloudPubSubDeadLetterSourceSubscriptionProject: project,
          CloudPubSubDeadLetterSourceTopicPublishTime: new Date(row.published_at).toISOString(),
        },
      },
    ]);
    remove(row);
  }

  function messageOf(id: number): PubsubMessage {
    const row = db.get<MessageRow>('SELECT * FROM pubsub_messages WHERE id = ?', id);
    if (row === undefined) throw new Error(`the message ${id} is gone although a subscription has it`);
    return {
      data: Buffer.from(row.data),
      attributes: JSON.parse(row.attributes),
      messageId: String(row.id),
      publishTime: toTime(row.published_at),
      orderingKey: row.ordering_key,
    };
  }

  function expire(subscription: StoredSubscription | null): void {
    const now = cloud.now();
    const rows =
      subscription === null
        ? db.all<Row>('SELECT * FROM pubsub_backlog WHERE held = 1 AND due <= ? ORDER BY due LIMIT ?', now, TIDY_MAX)
        : db.all<Row>(
            'SELECT * FROM pubsub_backlog WHERE subscription = ? AND acked = 0 AND held = 1 AND due <= ? LIMIT ?',
            subscription.id,
            now,
            TIDY_MAX,
          );
    for (const { subscription: id, message } of rows) {
      const owner = subscription ?? registry.byId(id);
      // An earlier one of this round may have changed it.
      const row = rowOf(id, message);
      if (owner !== null && row !== undefined && row.held === 1 && row.due <= now) fail(owner, row);
    }
  }

  function dropOld({ id, messageRetentionDuration: retention }: StoredSubscription): void {
    if (retention === null) return;
    const before = cloud.now() - toMs(retention);
    for (const row of db.all<Row>(
      'SELECT * FROM pubsub_backlog WHERE subscription = ? AND published_at <= ? LIMIT ?',
      id,
      before,
      TIDY_MAX,
    ))
      remove(row);
  }

  /** What this id still holds. A lease that has run out counts with `late`, as long as the message was not given again. */
  function held(subscription: StoredSubscription, ackId: string, late: boolean): Row | null {
    const place = readAckId(ackId);
    if (place === null || place.subscription !== subscription.id) {
      if (!subscription.enableExactlyOnceDelivery) throw refused(`Invalid ack id (ack_id=${ackId})`);
      return null;
    }
    const row = rowOf(subscription.id, place.message);
    if (row === undefined || row.deliveries !== place.deliveries) return null;
    // Of a key nothing counts that has to come again behind what failed.
    return (late && row.ordering_key === '') || (row.held === 1 && row.due > cloud.now()) ? row : null;
  }

  /** All of them are dealt with, whatever becomes of the others; answers those that held nothing. */
  function each(
    subscription: StoredSubscription,
    ackIds: readonly string[],
    late: boolean,
    act: (row: Row) => void,
  ): readonly string[] {
    return db.transaction(() => {
      const rows = ackIds.map((ackId) => [ackId, held(subscription, ackId, late)] as const);
      const seen = new Set<number>();
      for (const [, row] of rows) {
        if (row === null || seen.has(row.message)) continue;
        seen.add(row.message);
        act(row);
      }
      return rows.flatMap(([ackId, row]) => (row === null ? [ackId] : []));
    });
  }

  return {
    publish,

    lease(subscription, { messages, bytes, deadlineMs }) {
      return db.transaction(() => {
        expire(subscription);
        dropOld(subscription);
        const now = cloud.now();
        const { id } = subscription;
        const rows = subscription.enableMessageOrdering
          ? db.all<Row>(IN_ORDER, id, now, now, messages)
          : db.all<Row>(AS_THEY_COME, id, now, messages);
        const leased: Leased[] = [];
        let total = 0;
        for (const row of rows) {
          total += row.bytes;
          if (total > bytes && leased.length > 0) break;
          const deliveries = row.deliveries + 1;
          db.run(
            'UPDATE pubsub_backlog SET held = 1, due = ?, deliveries = ? WHERE subscription = ? AND message = ?',
            now + deadlineMs,
            deliveries,
            id,
            row.message,
          );
          leased.push({
            ackId: toAckId({ ...row, deliveries }),
            message: messageOf(row.message),
            deliveryAttempt: subscription.deadLetterPolicy === null ? 0 : row.failures + 1,
            bytes: row.bytes,
          });
        }
        return leased;
      });
    },

    acknowledge(subscription, ackIds) {
      return each(subscription, ackIds, !subscription.enableExactlyOnceDelivery, (row) => {
        if (!subscription.retainAckedMessages) return remove(row);
        const { message, deliveries } = row;
        db.run(
          'UPDATE pubsub_backlog SET acked = 1, held = 0 WHERE subscription = ? AND message = ?',
          subscription.id,
          message,
        );
        db.afterCommit(() => events.released(toAckId({ subscription: subscription.id, message, deliveries })));
        db.afterCommit(() => events.changed(subscription.id));
      });
    },

    modify(subscription, ackIds, seconds) {
      return each(subscription, ackIds, false, (row) => {
        if (seconds === 0) return fail(subscription, row);
        const due = cloud.now() + seconds * 1000;
        db.run(
          'UPDATE pubsub_backlog SET due = ? WHERE subscription = ? AND message = ?',
          due,
          subscription.id,
          row.message,
        );
      });
    },

    tidy: () => db.transaction(() => expire(null)),

    seek(subscription, at) {
      db.transaction(() => {
        const { id, topic } = subscription;
        const before = db.all<Row>('SELECT * FROM pubsub_backlog WHERE subscription = ? AND published_at < ?', id, at);
        for (const row of before)
          if (!subscription.retainAckedMessages) remove(row);
          else
            db.run(
              'UPDATE pubsub_backlog SET acked = 1, held = 0 WHERE subscription = ? AND message = ?',
              id,
              row.message,
            );
        db.run(
          `UPDATE pubsub_backlog SET acked = 0, held = 0, due = ?, failures = 0
           WHERE subscription = ? AND published_at >= ? AND acked = 1`,
          cloud.now(),
          id,
          at,
        );
        const kept = db.all<MessageRow>(
          'SELECT * FROM pubsub_messages WHERE topic = ? AND published_at >= ?',
          topic,
          at,
        );
        for (const message of kept)
          if (passes(subscription, JSON.parse(message.attributes))) enqueue(subscription, message);
        db.afterCommit(() => events.changed(id));
      });
    },

    drop({ id }) {
      db.transaction(() => {
        for (const row of db.all<Row>('SELECT * FROM pubsub_backlog WHERE subscription = ?', id)) remove(row);
      });
    },

    nextDue(subscription) {
      const row =
        subscription === undefined
          ? db.get<{ due: number | null }>('SELECT min(due) AS due FROM pubsub_backlog WHERE held = 1')
          : db.get<{ due: number | null }>(
              'SELECT min(due) AS due FROM pubsub_backlog WHERE subscription = ? AND acked = 0 AND held = 0',
              subscription.id,
            );
      return row?.due ?? null;
    },

    count({ id }) {
      const row = db.get<{ inFlight: number; messages: number }>(
        `SELECT count(*) AS messages, count(*) FILTER (WHERE held = 1 AND due > ?) AS inFlight
         FROM pubsub_backlog WHERE subscription = ? AND acked = 0`,
        cloud.now(),
        id,
      );
      const { inFlight = 0, messages = 0 } = row ?? {};
      return { waiting: messages - inFlight, inFlight };
    },
  };
}

const AS_THEY_COME = `
  SELECT * FROM pubsub_backlog WHERE subscription = ? AND acked = 0 AND held = 0 AND due <= ? ORDER BY due, message LIMIT ?
`;

/** Of a key nothing while a part of it is in flight, and nothing before what must wait. */
const IN_ORDER = `
  SELECT * FROM pubsub_backlog AS it
  WHERE subscription = ? AND acked = 0 AND held = 0 AND due <= ? AND (ordering_key = '' OR NOT EXISTS (
    SELECT 1 FROM pubsub_backlog AS other
    WHERE other.subscription = it.subscription AND other.ordering_key = it.ordering_key AND other.ordering_key <> ''
      AND other.acked = 0 AND (other.held = 1 OR (other.message < it.message AND other.due > ?))
  ))
  ORDER BY message LIMIT ?
`;

function backoffOf(retry: NonNullable<StoredSubscription['retryPolicy']>, failures: number): number {
  const min = retry.minimumBackoff === null ? 0 : toMs(retry.minimumBackoff);
  const max = retry.maximumBackoff === null ? 600_000 : toMs(retry.maximumBackoff);
  return Math.min(max, min * 2 ** Math.min(failures - 1, 30));
}

function toAckId(it: { readonly subscription: number; readonly message: number; readonly deliveries: number }): string {
  return Buffer.from(`${it.subscription}:${it.message}:${it.deliveries}`).toString('base64url');
}

function readAckId(ackId: string) {
  const text = Buffer.from(ackId, 'base64url').toString();
  const [, subscription, message, deliveries] = /^(\d{1,15}):(\d{1,15}):(\d{1,15})$/.exec(text) ?? [];
  if (deliveries === undefined) return null;
  return { subscription: Number(subscription), message: Number(message), deliveries: Number(deliveries) };
}

/** Throws when one of them held nothing and the subscription promises to tell. */
export function tellInvalid(subscription: StoredSubscription, invalid: readonly string[]): void {
  if (subscription.enableExactlyOnceDelivery && invalid.length > 0) throw invalidAckIds(invalid);
}
