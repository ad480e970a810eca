/** Which topics and subscriptions there are, and how they are set up. */

import type { Database } from '../../state/sqlite.ts';
import { grpcError } from '../grpc.ts';
import {
  ACK_DEADLINE_DEFAULT,
  checkName,
  checkProject,
  checkSubscription,
  checkTopic,
  existsAlready,
  notFound,
  refused,
} from './check.ts';
import type { Page, Subscription, Topic } from './wire.ts';

export interface StoredSubscription extends Subscription {
  /** Never given twice, unlike the name. */
  readonly id: number;
}

export interface Registry {
  createTopic(topic: Topic): Topic;
  topic(name: string): Topic;
  hasTopic(name: string): boolean;
  listTopics(project: string, page: Page): { readonly topics: readonly Topic[]; readonly nextPageToken: string };
  updateTopic(topic: Topic, paths: readonly string[]): Topic;
  /** Its subscriptions stay, without a topic. */
  deleteTopic(name: string): void;
  createSubscription(subscription: Subscription): StoredSubscription;
  subscription(name: string): StoredSubscription;
  subscriptionsOf(topic: string): readonly StoredSubscription[];
  byId(id: number): StoredSubscription | null;
  all(): readonly StoredSubscription[];
  listSubscriptions(
    project: string,
    page: Page,
  ): { readonly subscriptions: readonly Subscription[]; readonly nextPageToken: string };
  listNames(topic: string, page: Page): { readonly subscriptions: readonly string[]; readonly nextPageToken: string };
  updateSubscription(subscription: Subscription, paths: readonly string[]): StoredSubscription;
  /** Without any check. */
  replace(subscription: StoredSubscription): void;
  deleteSubscription(name: string): void;
}

export const DELETED_TOPIC = '_deleted-topic_';
const RETENTION_DEFAULT = { seconds: '604800', nanos: 0 };
const EXPIRATION_DEFAULT = { ttl: { seconds: '2678400', nanos: 0 } };
const BACKOFF_MIN_DEFAULT = { seconds: '10', nanos: 0 };
const BACKOFF_MAX_DEFAULT = { seconds: '600', nanos: 0 };
const ATTEMPTS_DEFAULT = 5;
const PAGE_DEFAULT = 100;
const PAGE_MAX = 1_000;

const TABLES = `
  CREATE TABLE IF NOT EXISTS pubsub_topics (name TEXT NOT NULL PRIMARY KEY, config TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS pubsub_subscriptions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, topic TEXT NOT NULL, config TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS pubsub_subscriptions_topic ON pubsub_subscriptions (topic, name);
`;

const TOPIC_FIELDS = ['labels', 'messageRetentionDuration', 'messageStoragePolicy'];
const TOPIC_FIXED = [
  'name',
  'kmsKeyName',
  'schemaSettings',
  'ingestionDataSourceSettings',
  'messageTransforms',
  'tags',
];
const SUBSCRIPTION_FIELDS = [
  ...['ackDeadlineSeconds', 'deadLetterPolicy', 'enableExactlyOnceDelivery', 'expirationPolicy', 'labels'],
  ...['messageRetentionDuration', 'pushConfig', 'retainAckedMessages', 'retryPolicy'],
];
const SUBSCRIPTION_FIXED = [
  'name',
  'topic',
  'filter',
  'enableMessageOrdering',
  'detached',
  'tags',
  'messageTransforms',
];

export function openRegistry(db: Database): Registry {
  db.define(TABLES);

  interface Row {
    readonly id: number;
    readonly topic: string;
    readonly config: string;
  }
  const toStored = ({ id, topic, config }: Row): StoredSubscription => ({ ...JSON.parse(config), id, topic });

  function topic(name: string): Topic {
    checkName('topics', name);
    const row = db.get<{ config: string }>('SELECT config FROM pubsub_topics WHERE name = ?', name);
    if (row === undefined) throw notFound(name);
    return JSON.parse(row.config);
  }

  function hasTopic(name: string): boolean {
    return db.get('SELECT 1 FROM pubsub_topics WHERE name = ?', name) !== undefined;
  }

  function subscription(name: string): StoredSubscription {
    checkName('subscriptions', name);
    const row = db.get<Row>('SELECT id, topic, config FROM pubsub_subscriptions WHERE name = ?', name);
    if (row === undefined) throw notFound(name);
    return toStored(row);
  }

  function replace({ id, ...config }: StoredSubscription): void {
    const text = JSON.stringify(config);
    db.run('UPDATE pubsub_subscriptions SET topic = ?, config = ? WHERE id = ?', config.topic, text, id);
  }

  return {
    topic,
    hasTopic,
    subscription,
    replace,

    createTopic(wanted) {
      checkTopic(wanted);
      return db.transaction(() => {
        if (hasTopic(wanted.name)) throw existsAlready(wanted.name);
        const made = { ...wanted, state: 'ACTIVE' };
        db.run('INSERT INTO pubsub_topics (name, config) VALUES (?, ?)', made.name, JSON.stringify(made));
        return made;
      });
    },

    listTopics(project, page) {
      checkProject(project);
      const { rows, nextPageToken } = pageOf(page, (after, limit) =>
        db.all<{ name: string; config: string }>(
          "SELECT name, config FROM pubsub_topics WHERE name > ? AND name LIKE ? || '/%' ORDER BY name LIMIT ?",
          after,
          project,
          limit,
        ),
      );
      return { topics: rows.map(({ config }) => JSON.parse(config) as Topic), nextPageToken };
    },

    updateTopic(wanted, paths) {
      return db.transaction(() => {
        const current = topic(wanted.name);
        const updated = withFields('Topic', current, wanted, paths, TOPIC_FIELDS, TOPIC_FIXED);
        checkTopic(updated);
        db.run('UPDATE pubsub_topics SET config = ? WHERE name = ?', JSON.stringify(updated), wanted.name);
        return updated;
      });
    },

    deleteTopic(name) {
      db.transaction(() => {
        topic(name);
        db.run('DELETE FROM pubsub_topics WHERE name = ?', name);
        db.run('UPDATE pubsub_subscriptions SET topic = ? WHERE topic = ?', DELETED_TOPIC, name);
      });
    },

    createSubscription(wanted) {
      checkSubscription(wanted, hasTopic);
      return db.transaction(() => {
        if (db.get('SELECT 1 FROM pubsub_subscriptions WHERE name = ?', wanted.name) !== undefined)
          throw existsAlready(wanted.name);
        topic(wanted.topic);
        const made = withDefaults({ ...wanted, detached: false, state: 'ACTIVE' });
        const { rowId: id } = db.run(
          'INSERT INTO pubsub_subscriptions (name, topic, config) VALUES (?, ?, ?)',
          made.name,
          made.topic,
          JSON.stringify(made),
        );
        return { ...made, id };
      });
    },

    subscriptionsOf: (name) =>
      db
        .all<Row>('SELECT id, topic, config FROM pubsub_subscriptions WHERE topic = ? ORDER BY name', name)
        .map(toStored),

    byId(id) {
      const row = db.get<Row>('SELECT id, topic, config FROM pubsub_subscriptions WHERE id = ?', id);
      return row === undefined ? null : toStored(row);
    },

    all: () => db.all<Row>('SELECT id, topic, config FROM pubsub_subscriptions ORDER BY name').map(toStored),

    listSubscriptions(project, page) {
      checkProject(project);
      const { rows, nextPageToken } = pageOf(page, (after, limit) =>
        db.all<Row & { name: string }>(
          `SELECT id, name, topic, config FROM pubsub_subscriptions
           WHERE name > ? AND name LIKE ? || '/%' ORDER BY name LIMIT ?`,
          after,
          project,
          limit,
        ),
      );
      return { subscriptions: rows.map(toStored), nextPageToken };
    },

    listNames(name, page) {
      topic(name);
      const { rows, nextPageToken } = pageOf(page, (after, limit) =>
        db.all<{ name: string }>(
          'SELECT name FROM pubsub_subscriptions WHERE topic = ? AND name > ? ORDER BY name LIMIT ?',
          name,
          after,
          limit,
        ),
      );
      return { subscriptions: rows.map((row) => row.name), nextPageToken };
    },

    updateSubscription(wanted, paths) {
      return db.transaction(() => {
        const current = subscription(wanted.name);
        const updated = withFields('Subscription', current, wanted, paths, SUBSCRIPTION_FIELDS, SUBSCRIPTION_FIXED);
        checkSubscription(updated, hasTopic);
        const stored = { ...withDefaults(updated), id: current.id };
        replace(stored);
        return stored;
      });
    },

    deleteSubscription(name) {
      db.run('DELETE FROM pubsub_subscriptions WHERE id = ?', subscription(name).id);
    },
  };
}

function withDefaults(it: Subscription): Subscription {
  const { deadLetterPolicy: dead, retryPolicy: retry } = it;
  return {
    ...it,
    ackDeadlineSeconds: it.ackDeadlineSeconds === 0 ? ACK_DEADLINE_DEFAULT : it.ackDeadlineSeconds,
    messageRetentionDuration: it.messageRetentionDuration ?? RETENTION_DEFAULT,
    expirationPolicy: it.expirationPolicy ?? EXPIRATION_DEFAULT,
    pushConfig: it.pushConfig ?? { pushEndpoint: '', attributes: {} },
    deadLetterPolicy: dead && { ...dead, maxDeliveryAttempts: dead.maxDeliveryAttempts || ATTEMPTS_DEFAULT },
    retryPolicy: retry && {
      minimumBackoff: retry.minimumBackoff ?? BACKOFF_MIN_DEFAULT,
      maximumBackoff: retry.maximumBackoff ?? BACKOFF_MAX_DEFAULT,
    },
  };
}

function withFields<T extends object>(
  kind: string,
  current: T,
  wanted: T,
  paths: readonly string[],
  fields: readonly string[],
  fixed: readonly string[],
): T {
  const request = `Update${kind}Request`;
  if (paths.length === 0)
    throw refused(`The update_mask in the ${request} must be set, and must contain a non-empty paths list.`);
  const updated = { ...current } as Record<string, unknown>;
  for (const path of paths) {
    const [head = '', ...rest] = path.split('.');
    const field = head.replace(/_([a-z])/g, (_all, letter: string) => letter.toUpperCase());
    if (fixed.includes(field))
      throw refused(`Invalid update_mask provided in the ${request}: the ${head} field in the ${kind} is not mutable.`);
    if (!fields.includes(field) || head !== head.toLowerCase())
      throw refused(
        `Invalid update_mask provided in the ${request}: ${path} is not a known ${kind} field. Note that field paths must be of ` +
          "the form 'push_config' rather than 'pushConfig'.",
      );
    if (rest.length > 0) throw grpcError('UNIMPLEMENTED', `The local Pub/Sub updates whole fields only, not ${path}.`);
    updated[field] = (wanted as Record<string, unknown>)[field];
  }
  return updated as T;
}

function pageOf<Row extends { readonly name: string }>(
  { pageSize, pageToken }: Page,
  read: (after: string, limit: number) => readonly Row[],
): { readonly rows: readonly Row[]; readonly nextPageToken: string } {
  if (pageSize < 0 || pageSize > PAGE_MAX)
    throw refused(`Invalid page_size: it must be between 0 and ${PAGE_MAX} (page_size=${pageSize})`);
  const size = pageSize === 0 ? PAGE_DEFAULT : pageSize;
  const after = Buffer.from(pageToken, 'base64url').toString();
  if (pageToken !== '' && !after.startsWith('projects/')) throw refused(`Invalid page_token (page_token=${pageToken})`);
  const rows = read(after, size + 1);
  const last = rows.length > size ? rows[size - 1] : undefined;
  return {
    rows: rows.slice(0, size),
    nextPageToken: last === undefined ? '' : Buffer.from(last.name).toString('base64url'),
  };
}
