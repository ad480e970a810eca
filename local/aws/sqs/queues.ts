/** The queues themselves: made, found, described, changed and deleted. */

import type { Cloud } from '../../service.ts';
import {
  type Attributes,
  allowsSource,
  initialAttributes,
  isAttribute,
  readAttributes,
  redrivePolicyOf,
} from './attributes.ts';
import { invalidParameter, noSuchQueue, sqsError } from './errors.ts';
import { arnOf, isFifoName, isQueueName, readQueueArn, readQueueUrl } from './names.ts';

export interface QueueRecord {
  readonly id: number;
  readonly name: string;
  readonly arn: string;
  readonly fifo: boolean;
  readonly attributes: Attributes;
  readonly tags: Readonly<Record<string, string>>;
  readonly createdAt: number;
  readonly modifiedAt: number;
  readonly purgedAt: number | null;
}

export interface Queues {
  create(name: string, attributes: Attributes, tags: Readonly<Record<string, string>>): QueueRecord;
  find(name: string): QueueRecord | undefined;
  findByArn(arn: string): QueueRecord | undefined;
  /** These two throw what SQS answers when there is none. */
  byUrl(url: string): QueueRecord;
  byName(name: string): QueueRecord;
  /** In the order of their names. */
  all(): readonly QueueRecord[];
  /** Whose dead letters come here. */
  sourcesOf(queue: QueueRecord): readonly QueueRecord[];
  describe(queue: QueueRecord, names: readonly string[]): Attributes;
  change(queue: QueueRecord, attributes: Attributes): void;
  tag(queue: QueueRecord, tags: Readonly<Record<string, string>>): void;
  untag(queue: QueueRecord, keys: readonly string[]): void;
  purge(queue: QueueRecord): void;
  remove(queue: QueueRecord): void;
  /** Messages that stayed longer than the queue keeps them go. */
  expire(queue: QueueRecord): void;
}

export const TABLES = `
  CREATE TABLE IF NOT EXISTS sqs_queues (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, attributes TEXT NOT NULL, tags TEXT NOT NULL,
    created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL, purged_at INTEGER
  ) STRICT;
  CREATE TABLE IF NOT EXISTS sqs_deleted (name TEXT NOT NULL PRIMARY KEY, at INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS sqs_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL REFERENCES sqs_queues (id) ON DELETE CASCADE,
    message_id TEXT NOT NULL, body TEXT NOT NULL, attributes TEXT NOT NULL, system TEXT NOT NULL,
    sent_at INTEGER NOT NULL, visible_at INTEGER NOT NULL,
    held INTEGER NOT NULL DEFAULT 0, held_since INTEGER, receives INTEGER NOT NULL DEFAULT 0,
    deliveries INTEGER NOT NULL DEFAULT 0, first_received_at INTEGER,
    group_id TEXT, deduplication_id TEXT, source_arn TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS sqs_messages_visible ON sqs_messages (queue, visible_at, id);
  CREATE INDEX IF NOT EXISTS sqs_messages_sent ON sqs_messages (queue, sent_at);
  CREATE INDEX IF NOT EXISTS sqs_messages_group ON sqs_messages (queue, group_id, visible_at) WHERE group_id IS NOT NULL;
  CREATE TABLE IF NOT EXISTS sqs_seen (
    queue INTEGER NOT NULL REFERENCES sqs_queues (id) ON DELETE CASCADE,
    deduplication_id TEXT NOT NULL, message_id TEXT NOT NULL, sequence INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (queue, deduplication_id)
  ) STRICT, WITHOUT ROWID;
`;

const PAUSE_MS = 60_000;
const TAGS_MAX = 50;

interface Row {
  readonly id: number;
  readonly name: string;
  readonly attributes: string;
  readonly tags: string;
  readonly created_at: number;
  readonly modified_at: number;
  readonly purged_at: number | null;
}

interface Counts {
  readonly visible: number;
  readonly held: number;
  readonly delayed: number;
}

export function openQueues(cloud: Cloud): Queues {
  const { db } = cloud.state;
  db.define(TABLES);

  const find = (name: string): QueueRecord | undefined => {
    const row = db.get<Row>('SELECT * FROM sqs_queues WHERE name = ?', name);
    return row === undefined ? undefined : toRecord(row);
  };
  const all = (): readonly QueueRecord[] => db.all<Row>('SELECT * FROM sqs_queues ORDER BY name').map(toRecord);
  const findByArn = (arn: string): QueueRecord | undefined => {
    const name = readQueueArn(arn);
    return name === null ? undefined : find(name);
  };
  const byName = (name: string): QueueRecord => {
    const queue = find(name);
    if (queue === undefined) throw noSuchQueue();
    return queue;
  };

  /** A dead-letter queue must exist, be of the same kind, and allow it. */
  function checkRedrive(arn: string, fifo: boolean, attributes: Attributes): void {
    const policy = redrivePolicyOf(attributes);
    if (policy === null) return;
    const target = findByArn(policy.deadLetterTargetArn);
    const refuse = (reason: string) => invalidParameter(attributes.RedrivePolicy, 'RedrivePolicy', reason);
    if (target === undefined) throw refuse('Dead letter target does not exist.');
    if (target.fifo !== fifo) throw refuse(`Dead-letter queue must be same type of queue as the source.`);
    if (!allowsSource(target.attributes, arn))
      throw refuse(`Queue ${arn} is not allowed by the RedriveAllowPolicy of the dead letter target.`);
  }

  function counts(queue: QueueRecord): Counts {
    return db.get<Counts>(
      `SELECT count(*) FILTER (WHERE visible_at <= ?1) AS visible,
         count(*) FILTER (WHERE visible_at > ?1 AND held = 1) AS held,
         count(*) FILTER (WHERE visible_at > ?1 AND held = 0) AS delayed
       FROM sqs_messages WHERE queue = ?2`,
      cloud.now(),
      queue.id,
    )!;
  }

  function expire({ id, attributes }: QueueRecord): void {
    const before = cloud.now() - Number(attributes.MessageRetentionPeriod) * 1000;
    db.run('DELETE FROM sqs_messages WHERE queue = ? AND sent_at <= ?', id, before);
  }

  const setTags = (id: number, tags: Readonly<Record<string, string>>) => {
    if (Object.keys(tags).length > TAGS_MAX)
      throw sqsError('InvalidParameterValue', `Too many tags added for queue: at most ${TAGS_MAX} are allowed.`);
    db.run('UPDATE sqs_queues SET tags = ? WHERE id = ?', JSON.stringify(tags), id);
  };

  return {
    create(name, given, tags) {
      if (!isQueueName(name))
        throw sqsError(
          'InvalidParameterValue',
          'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length',
        );
      const fifo = isFifoName(name);
      if (fifo && given.FifoQueue === undefined)
        throw sqsError(
          'InvalidParameterValue',
          'The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with ' +
            '.fifo suffix and be 1 to 80 in length, and FifoQueue must be true.',
        );
      const attributes = readAttributes(given, fifo);
      const present = find(name);
      if (present !== undefined) {
        const other = Object.keys(attributes).find((it) => (present.attributes[it] ?? '') !== attributes[it]);
        if (other === undefined) return present;
        const text = `A queue already exists with the same name and a different value for attribute ${other}`;
        throw sqsError('QueueNameExists', text);
      }
      return db.transaction(() => {
        const now = cloud.now();
        const deleted = db.get<{ at: number }>('SELECT at FROM sqs_deleted WHERE name = ?', name);
        if (deleted !== undefined && now - deleted.at < PAUSE_MS)
          throw sqsError(
            'QueueDeletedRecently',
            'You must wait 60 seconds after deleting a queue before you can create another with the same name.',
          );
        db.run('DELETE FROM sqs_deleted WHERE at <= ?', now - PAUSE_MS);
        checkRedrive(arnOf(name), fifo, attributes);
        const { rowId } = db.run(
          'INSERT INTO sqs_queues (name, attributes, tags, created_at, modified_at) VALUES (?, ?, ?, ?, ?)',
          name,
          JSON.stringify({ ...initialAttributes(fifo), ...withoutEmpty(attributes) }),
          '{}',
          now,
          now,
        );
        setTags(rowId, tags);
        return byName(name);
      });
    },
    find,
    findByArn,
    byName,
    byUrl(url) {
      const name = readQueueUrl(url);
      if (name === null) throw sqsError('InvalidAddress', `The address ${url} is not valid for this endpoint.`);
      return byName(name);
    },
    all,
    sourcesOf: ({ arn }) => all().filter((it) => redrivePolicyOf(it.attributes)?.deadLetterTargetArn === arn),
    describe(queue, names) {
      expire(queue);
      const { visible, held, delayed } = counts(queue);
      const everything: Attributes = {
        ...queue.attributes,
        QueueArn: queue.arn,
        ApproximateNumberOfMessages: String(visible),
        ApproximateNumberOfMessagesNotVisible: String(held),
        ApproximateNumberOfMessagesDelayed: String(delayed),
        CreatedTimestamp: String(Math.floor(queue.createdAt / 1000)),
        LastModifiedTimestamp: String(Math.floor(queue.modifiedAt / 1000)),
      };
      if (names.includes('All')) return everything;
      const unknown = names.find((it) => !Object.hasOwn(everything, it) && !isAttribute(it));
      if (unknown !== undefined) throw sqsError('InvalidAttributeName', `Unknown Attribute ${unknown}.`);
      return Object.fromEntries(Object.entries(everything).filter(([name]) => names.includes(name)));
    },
    change(queue, given) {
      if (given.FifoQueue !== undefined && queue.fifo)
        throw sqsError(
          'InvalidAttributeValue',
          'Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.',
        );
      const attributes = readAttributes(given, queue.fifo);
      checkRedrive(queue.arn, queue.fifo, attributes);
      const changed = JSON.stringify(withoutEmpty({ ...queue.attributes, ...attributes }));
      db.run('UPDATE sqs_queues SET attributes = ?, modified_at = ? WHERE id = ?', changed, cloud.now(), queue.id);
    },
    tag: (queue, tags) => setTags(queue.id, { ...queue.tags, ...tags }),
    untag: (queue, keys) =>
      setTags(queue.id, Object.fromEntries(Object.entries(queue.tags).filter(([key]) => !keys.includes(key)))),
    purge({ id, name, purgedAt }) {
      const now = cloud.now();
      if (purgedAt !== null && now - purgedAt < PAUSE_MS)
        throw sqsError('PurgeQueueInProgress', `Only one PurgeQueue operation on ${name} is allowed every 60 seconds.`);
      db.transaction(() => {
        db.run('DELETE FROM sqs_messages WHERE queue = ?', id);
        db.run('DELETE FROM sqs_seen WHERE queue = ?', id);
        db.run('UPDATE sqs_queues SET purged_at = ? WHERE id = ?', now, id);
      });
    },
    remove({ id, name }) {
      db.transaction(() => {
        db.run('DELETE FROM sqs_queues WHERE id = ?', id);
        db.run('INSERT OR REPLACE INTO sqs_deleted (name, at) VALUES (?, ?)', name, cloud.now());
      });
    },
    expire,
  };
}

/** Attributes set to nothing are no attributes. */
function withoutEmpty(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== ''));
}

function toRecord(row: Row): QueueRecord {
  return {
    id: row.id,
    name: row.name,
    arn: arnOf(row.name),
    fifo: isFifoName(row.name),
    attributes: JSON.parse(row.attributes),
    tags: JSON.parse(row.tags),
    createdAt: row.created_at,
    modifiedAt: row.modified_at,
    purgedAt: row.purged_at,
  };
}
