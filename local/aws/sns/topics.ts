/** The topics and who subscribed to them, as they are kept. */

import { randomUUID } from 'node:crypto';
import type { Cloud } from '../../service.ts';
import { ACCOUNT, REGION } from '../account.ts';
import { invalidParameter, snsError } from './errors.ts';

export type Texts = Readonly<Record<string, string>>;

export interface Topic {
  readonly arn: string;
  readonly name: string;
  readonly attributes: Texts;
  readonly tags: Texts;
}

export interface Subscription {
  readonly arn: string;
  readonly topicArn: string;
  readonly protocol: string;
  readonly endpoint: string;
  readonly attributes: Texts;
  readonly confirmed: boolean;
  /** Whoever knows it may confirm. */
  readonly token: string;
}

export interface Topics {
  create(name: string, attributes: Texts, tags: Texts): Topic;
  /** Throws what SNS answers when there is none. */
  get(arn: string): Topic;
  find(arn: string): Topic | undefined;
  all(): readonly Topic[];
  update(topic: Topic, change: { readonly attributes?: Texts; readonly tags?: Texts }): void;
  remove(arn: string): void;
  /** Nothing of the kind stands yet. */
  subscribe(
    topic: Topic,
    wanted: Pick<Subscription, 'protocol' | 'endpoint' | 'attributes' | 'confirmed'>,
  ): Subscription;
  subscription(arn: string): Subscription;
  findSubscription(arn: string): Subscription | undefined;
  /** Of one topic, or of all. */
  subscriptions(topicArn?: string): readonly Subscription[];
  updateSubscription(arn: string, change: { readonly attributes?: Texts; readonly confirmed?: true }): void;
  removeSubscription(arn: string): void;
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS sns_topics (
    id INTEGER PRIMARY KEY AUTOINCREMENT, arn TEXT NOT NULL UNIQUE, attributes TEXT NOT NULL, tags TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS sns_subscriptions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, arn TEXT NOT NULL UNIQUE,
    topic TEXT NOT NULL REFERENCES sns_topics (arn) ON DELETE CASCADE,
    protocol TEXT NOT NULL, endpoint TEXT NOT NULL, attributes TEXT NOT NULL,
    confirmed INTEGER NOT NULL, token TEXT NOT NULL, UNIQUE (topic, protocol, endpoint)
  ) STRICT;
`;

const ARN = `arn:aws:sns:${REGION}:${ACCOUNT}:`;
const NAME = /^[\w-]{1,256}$/;

interface TopicRow {
  readonly arn: string;
  readonly attributes: string;
  readonly tags: string;
}

interface SubscriptionRow {
  readonly arn: string;
  readonly topic: string;
  readonly protocol: string;
  readonly endpoint: string;
  readonly attributes: string;
  readonly confirmed: number;
  readonly token: string;
}

export function openTopics(cloud: Cloud): Topics {
  const { db } = cloud.state;
  db.define(TABLES);

  const find = (arn: string): Topic | undefined => {
    const row = db.get<TopicRow>('SELECT * FROM sns_topics WHERE arn = ?', arn);
    return row === undefined ? undefined : toTopic(row);
  };
  const get = (arn: string): Topic => {
    checkArn(arn, 'TopicArn');
    const topic = find(arn);
    if (topic === undefined) throw snsError('NotFound', 'Topic does not exist');
    return topic;
  };
  const findSubscription = (arn: string): Subscription | undefined => {
    const row = db.get<SubscriptionRow>('SELECT * FROM sns_subscriptions WHERE arn = ?', arn);
    return row === undefined ? undefined : toSubscription(row);
  };

  return {
    create(name, attributes, tags) {
      if (!NAME.test(name)) throw invalidParameter('Topic Name');
      const arn = ARN + name;
      db.run(
        'INSERT INTO sns_topics (arn, attributes, tags) VALUES (?, ?, ?)',
        arn,
        JSON.stringify(attributes),
        JSON.stringify(tags),
      );
      return get(arn);
    },
    get,
    find,
    all: () => db.all<TopicRow>('SELECT * FROM sns_topics ORDER BY id').map(toTopic),
    update(topic, { attributes = topic.attributes, tags = topic.tags }) {
      const [written, tagged] = [JSON.stringify(attributes), JSON.stringify(tags)];
      db.run('UPDATE sns_topics SET attributes = ?, tags = ? WHERE arn = ?', written, tagged, topic.arn);
    },
    remove(arn) {
      checkArn(arn, 'TopicArn');
      db.run('DELETE FROM sns_topics WHERE arn = ?', arn);
    },
    subscribe(topic, { protocol, endpoint, attributes, confirmed }) {
      const arn = `${topic.arn}:${randomUUID()}`;
      db.run(
        `INSERT INTO sns_subscriptions (arn, topic, protocol, endpoint, attributes, confirmed, token)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
        arn,
        topic.arn,
        protocol,
        endpoint,
        JSON.stringify(attributes),
        confirmed ? 1 : 0,
        `${randomUUID()}${randomUUID()}`.replaceAll('-', ''),
      );
      return findSubscription(arn)!;
    },
    subscription(arn) {
      checkArn(arn, 'SubscriptionArn');
      const subscription = findSubscription(arn);
      if (subscription === undefined) throw snsError('NotFound', 'Subscription does not exist');
      return subscription;
    },
    findSubscription,
    subscriptions(topicArn) {
      const [where, values] = topicArn === undefined ? ['', []] : ['WHERE topic = ?', [topicArn]];
      return db
        .all<SubscriptionRow>(`SELECT * FROM sns_subscriptions ${where} ORDER BY id`, ...values)
        .map(toSubscription);
    },
    updateSubscription(arn, { attributes, confirmed }) {
      if (attributes !== undefined)
        db.run('UPDATE sns_subscriptions SET attributes = ? WHERE arn = ?', JSON.stringify(attributes), arn);
      if (confirmed) db.run('UPDATE sns_subscriptions SET confirmed = 1 WHERE arn = ?', arn);
    },
    removeSubscription: (arn) => void db.run('DELETE FROM sns_subscriptions WHERE arn = ?', arn),
  };
}

export function topicArnOf(name: string): string {
  return ARN + name;
}

/** Six parts at least, and of this service. */
export function checkArn(arn: string, parameter: string): void {
  const parts = arn.split(':');
  if (parts.length < 6)
    throw invalidParameter(`${parameter} Reason: An ARN must have at least 6 elements, not ${parts.length}`);
  if (!arn.startsWith(ARN)) throw invalidParameter(parameter);
}

function toTopic({ arn, attributes, tags }: TopicRow): Topic {
  return { arn, name: arn.slice(ARN.length), attributes: JSON.parse(attributes), tags: JSON.parse(tags) };
}

function toSubscription(row: SubscriptionRow): Subscription {
  const { arn, topic: topicArn, protocol, endpoint, token } = row;
  const confirmed = row.confirmed === 1;
  return { arn, topicArn, protocol, endpoint, attributes: JSON.parse(row.attributes), confirmed, token };
}
