/** Which topics hear of a bucket's changes, and what they are told. */

import type { Cloud } from '../../service.ts';
import { findBucket } from './buckets.ts';
import { type Answer, type Call, isJson, type Json, readJson } from './call.ts';
import { invalidValue, Refusal, required } from './errors.ts';
import { pickFields, toObject } from './resource.ts';
import type { ObjectRow } from './tables.ts';

export const EVENT_TYPES = ['OBJECT_FINALIZE', 'OBJECT_METADATA_UPDATE', 'OBJECT_DELETE', 'OBJECT_ARCHIVE'] as const;
export type EventType = (typeof EVENT_TYPES)[number];

export interface NotificationConfig {
  /** `projects/P/topics/T` */
  readonly topic: string;
  readonly payload?: 'JSON_API_V1' | 'NONE';
  /** Left out: all. */
  readonly eventTypes?: readonly EventType[];
  readonly attributes?: Readonly<Record<string, string>>;
  readonly prefix?: string;
}

interface Row {
  readonly bucket: string;
  readonly id: number;
  readonly topic: string;
  readonly payload: string;
  readonly types: string | null;
  readonly attributes: string | null;
  readonly prefix: string | null;
}

const SERVICE = '//pubsub.googleapis.com/';
const TOPIC = /^projects\/[a-z][a-z0-9:.-]*\/topics\/[A-Za-z][A-Za-z0-9._~+%-]{2,254}$/;
/** https://cloud.google.com/storage/quotas#notifications */
const CONFIGS_MAX = 100;
const ATTRIBUTES_MAX = 10;

export function addNotification(cloud: Cloud, bucket: string, config: NotificationConfig): string {
  const { db } = cloud.state;
  return db.transaction(() => {
    const id = findBucket(cloud, bucket).notifications + 1;
    const count = db.get<{ n: number }>('SELECT count(*) AS n FROM gcs_notifications WHERE bucket = ?', bucket)?.n ?? 0;
    if (count >= CONFIGS_MAX)
      throw new Refusal(400, 'invalid', `A bucket can have at most ${CONFIGS_MAX} notification configurations.`);
    db.run('UPDATE gcs_buckets SET notifications = ? WHERE name = ?', id, bucket);
    db.run(
      'INSERT INTO gcs_notifications (bucket, id, topic, payload, types, attributes, prefix) VALUES (?, ?, ?, ?, ?, ?, ?)',
      bucket,
      id,
      config.topic,
      config.payload ?? 'JSON_API_V1',
      config.eventTypes === undefined ? null : JSON.stringify(config.eventTypes),
      config.attributes === undefined ? null : JSON.stringify(config.attributes),
      config.prefix ?? null,
    );
    return String(id);
  });
}

/** Call it in the transaction of the change. */
export function notify(
  cloud: Cloud,
  eventType: EventType,
  row: ObjectRow,
  base: string,
  more: Readonly<Record<string, string>>,
): void {
  const configs = cloud.state.db.all<Row>('SELECT * FROM gcs_notifications WHERE bucket = ? ORDER BY id', row.bucket);
  if (configs.length === 0) return;
  const eventTime = new Date(cloud.now()).toISOString();
  for (const config of configs) {
    if (config.types !== null && !(JSON.parse(config.types) as string[]).includes(eventType)) continue;
    if (config.prefix !== null && !row.name.startsWith(config.prefix)) continue;
    cloud.delivery.send('gcs', {
      target: config.topic,
      body: config.payload === 'NONE' ? '' : JSON.stringify(toObject(row, base)),
      attributes: {
        ...(config.attributes === null ? {} : (JSON.parse(config.attributes) as Record<string, string>)),
        notificationConfig: `projects/_/buckets/${row.bucket}/notificationConfigs/${config.id}`,
        eventType,
        payloadFormat: config.payload,
        bucketId: row.bucket,
        objectId: row.name,
        objectGeneration: String(row.generation),
        eventTime,
        ...more,
      },
    });
  }
}

export function notificationHandlers(cloud: Cloud) {
  const { db } = cloud.state;
  return {
    async insert({ path: [bucket = ''], body, base, query }: Call): Promise<Answer> {
      const id = addNotification(cloud, bucket, readConfig(await readJson(body)));
      return { status: 200, json: pickFields(toResource(find(bucket, id), base), query.get('fields')) };
    },
    list({ path: [bucket = ''], base, query }: Call): Answer {
      findBucket(cloud, bucket);
      const rows = db.all<Row>('SELECT * FROM gcs_notifications WHERE bucket = ? ORDER BY id', bucket);
      const items = rows.map((row) => toResource(row, base));
      const json = { kind: 'storage#notifications', ...(items.length === 0 ? {} : { items }) };
      return { status: 200, json: pickFields(json, query.get('fields')) };
    },
    get({ path: [bucket = '', id = ''], base, query }: Call): Answer {
      return { status: 200, json: pickFields(toResource(find(bucket, id), base), query.get('fields')) };
    },
    delete({ path: [bucket = '', id = ''] }: Call): Answer {
      const row = find(bucket, id);
      db.run('DELETE FROM gcs_notifications WHERE bucket = ? AND id = ?', bucket, row.id);
      return { status: 204 };
    },
  };

  function find(bucket: string, id: string): Row {
    findBucket(cloud, bucket);
    const sql = 'SELECT * FROM gcs_notifications WHERE bucket = ? AND id = ?';
    const row = /^\d{1,9}$/.test(id) ? db.get<Row>(sql, bucket, Number(id)) : undefined;
    if (row === undefined)
      throw new Refusal(404, 'notFound', `The notification ${bucket}/${id.slice(0, 40)} does not exist.`);
    return row;
  }
}

function toResource(row: Row, base: string) {
  return {
    kind: 'storage#notification',
    id: String(row.id),
    selfLink: `${base}/storage/v1/b/${encodeURIComponent(row.bucket)}/notificationConfigs/${row.id}`,
    etag: String(row.id),
    topic: SERVICE + row.topic,
    payload_format: row.payload,
    ...(row.types === null ? {} : { event_types: JSON.parse(row.types) as string[] }),
    ...(row.attributes === null ? {} : { custom_attributes: JSON.parse(row.attributes) as Json }),
    ...(row.prefix === null ? {} : { object_name_prefix: row.prefix }),
  };
}

function readConfig(json: Json): NotificationConfig {
  const { topic, payload_format: payload, event_types: types, custom_attributes: attributes } = json;
  const prefix = json.object_name_prefix;
  if (topic === undefined) throw required('Required parameter: topic');
  const name = typeof topic === 'string' && topic.startsWith(SERVICE) ? topic.slice(SERVICE.length) : '';
  if (!TOPIC.test(name)) throw invalidValue('Invalid Google Cloud Pub/Sub topic.');
  if (payload === undefined) throw required('Required parameter: payload_format');
  if (payload !== 'JSON_API_V1' && payload !== 'NONE') throw invalidValue('Invalid value for payload_format.');
  if (prefix !== undefined && prefix !== null && typeof prefix !== 'string')
    throw invalidValue('Invalid value for object_name_prefix.');
  return {
    topic: name,
    payload,
    ...(Array.isArray(types) && types.length > 0 ? { eventTypes: types.map(readEventType) } : {}),
    ...(isJson(attributes) ? { attributes: readAttributes(attributes) } : {}),
    ...(prefix ? { prefix } : {}),
  };
}

function readEventType(value: unknown): EventType {
  const type = EVENT_TYPES.find((it) => it === value);
  if (type === undefined) throw invalidValue(`Invalid value for event_types: ${String(value).slice(0, 40)}`);
  return type;
}

function readAttributes(attributes: Json): Readonly<Record<string, string>> {
  const entries = Object.entries(attributes);
  const long = entries.some(([name, value]) => {
    return typeof value !== 'string' || name.length > 256 || value.length > 1024 || name.startsWith('goog');
  });
  if (long || entries.length > ATTRIBUTES_MAX)
    throw invalidValue(`Invalid value for custom_attributes: at most ${ATTRIBUTES_MAX} short texts.`);
  return Object.fromEntries(entries) as Record<string, string>;
}
