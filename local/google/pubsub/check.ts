/** What Pub/Sub refuses, and in which words. */

import { type GrpcError, grpcError } from '../grpc.ts';
import { readFilter } from './filter.ts';
import { type PubsubMessage, type Subscription, type Time, type Topic, toMs } from './wire.ts';

export const ACK_DEADLINE_DEFAULT = 10;
const ACK_DEADLINE_MIN = 10;
const ACK_DEADLINE_MAX = 600;
const BACKOFF_MS_MAX = 600_000;
const RETENTION_MS_MIN = 600_000;
const RETENTION_MS_MAX = 31 * 86_400_000;
const FILTER_BYTES_MAX = 256;
const ATTEMPTS_MIN = 5;
const ATTEMPTS_MAX = 100;
const MESSAGES_MAX = 1_000;
const REQUEST_BYTES_MAX = 10_000_000;
const ATTRIBUTES_MAX = 100;
const ATTRIBUTE_KEY_BYTES_MAX = 256;
const ATTRIBUTE_VALUE_BYTES_MAX = 1_024;
const ORDERING_KEY_BYTES_MAX = 1_024;
/** What Pub/Sub itself counts for each message beside its content. */
const MESSAGE_OVERHEAD = 20;

export function refused(text: string): GrpcError {
  return grpcError('INVALID_ARGUMENT', text);
}

function notHere(what: string): GrpcError {
  return grpcError('UNIMPLEMENTED', `The local Pub/Sub has no ${what}.`);
}

export function notFound(name: string): GrpcError {
  return grpcError('NOT_FOUND', `Resource not found (resource=${shortName(name)}).`);
}

export function existsAlready(name: string): GrpcError {
  return grpcError('ALREADY_EXISTS', `Resource already exists in the project (resource=${shortName(name)}).`);
}

export function invalidAckIds(ackIds: readonly string[]): GrpcError {
  return grpcError(
    'INVALID_ARGUMENT',
    'Some acknowledgement ids in the request were invalid. This could be because the acknowledgement ids have expired ' +
      'or the acknowledgement ids were malformed.',
    {
      reason: 'EXACTLY_ONCE_ACKID_FAILURE',
      domain: 'pubsub.googleapis.com',
      metadata: Object.fromEntries(ackIds.map((ackId) => [ackId, 'PERMANENT_FAILURE_INVALID_ACK_ID'])),
    },
  );
}

export function shortName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

export function checkName(kind: 'topics' | 'subscriptions', name: string): void {
  const [projects, project, found, id = '', ...rest] = name.split('/');
  const fits =
    projects === 'projects' &&
    found === kind &&
    rest.length === 0 &&
    /^[a-z0-9.:-]+$/.test(project ?? '') &&
    /^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$/.test(id) &&
    !id.startsWith('goog');
  if (!fits)
    throw refused(
      `Invalid resource name given (name=${name}). Refer to https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names` +
        ' for more information.',
    );
}

export function checkProject(name: string): void {
  if (!/^projects\/[a-z0-9.:-]+$/.test(name)) throw refused(`Invalid [projects] name: (name=${name})`);
}

export function checkTopic(topic: Topic): void {
  checkName('topics', topic.name);
  checkRetention(topic.messageRetentionDuration);
  if (topic.schemaSettings !== null) throw notHere('schemas');
  if (topic.ingestionDataSourceSettings !== null) throw notHere('ingestion');
  if (topic.messageTransforms.length > 0) throw notHere('message transforms');
}

/** The dead letter topic must exist as well: `hasTopic`. */
export function checkSubscription(it: Subscription, hasTopic: (name: string) => boolean): void {
  checkName('subscriptions', it.name);
  const seconds = it.ackDeadlineSeconds;
  if (seconds !== 0) checkAckDeadline('ack_deadline_seconds', seconds, ACK_DEADLINE_MIN);
  checkRetention(it.messageRetentionDuration);
  if (Buffer.byteLength(it.filter) > FILTER_BYTES_MAX)
    throw refused(`The filter is too long: it has ${Buffer.byteLength(it.filter)} bytes, at most ${FILTER_BYTES_MAX}.`);
  readFilter(it.filter);
  checkPush(it.pushConfig);
  if (it.retryPolicy !== null) checkBackoff(it.retryPolicy.minimumBackoff, it.retryPolicy.maximumBackoff);
  if (it.deadLetterPolicy !== null) checkDeadLetters(it.deadLetterPolicy, hasTopic);
  if (it.bigqueryConfig !== null) throw notHere('delivery to BigQuery');
  if (it.cloudStorageConfig !== null) throw notHere('delivery to Cloud Storage');
  if (it.bigtableConfig !== null) throw notHere('delivery to Bigtable');
  if (it.messageTransforms.length > 0) throw notHere('message transforms');
  if (it.enableExactlyOnceDelivery && (it.pushConfig?.pushEndpoint ?? '') !== '')
    throw refused('Exactly once delivery is not supported for push subscriptions.');
}

export function checkAckDeadline(field: string, seconds: number, min = 0): void {
  if (seconds < min || seconds > ACK_DEADLINE_MAX)
    throw refused(`${field} must be between ${min} and ${ACK_DEADLINE_MAX} seconds (${field}=${seconds})`);
}

export function checkStreamDeadline(seconds: number): void {
  checkAckDeadline('stream_ack_deadline_seconds', seconds, ACK_DEADLINE_MIN);
}

export function checkPush(push: Subscription['pushConfig']): void {
  const url = push?.pushEndpoint ?? '';
  if (push === null || url === '') return;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw refused(`Unsupported push_endpoint (endpoint=${url})`);
  if (push.oidcToken !== undefined && push.oidcToken !== null) throw notHere('OIDC tokens for push');
  if (push.noWrapper !== undefined && push.noWrapper !== null) throw notHere('push without a wrapper');
}

function checkDeadLetters(policy: NonNullable<Subscription['deadLetterPolicy']>, hasTopic: (name: string) => boolean) {
  const { deadLetterTopic, maxDeliveryAttempts: attempts } = policy;
  checkName('topics', deadLetterTopic);
  const passed = `You passed ${attempts} in the request, but the`;
  if (attempts !== 0 && attempts < ATTEMPTS_MIN)
    throw refused(`The value for max_delivery_attempts is too small. ${passed} minimum value is ${ATTEMPTS_MIN}.`);
  if (attempts > ATTEMPTS_MAX)
    throw refused(`The value for max_delivery_attempts is too large. ${passed} maximum value is ${ATTEMPTS_MAX}.`);
  if (!hasTopic(deadLetterTopic)) throw notFound(deadLetterTopic);
}

function checkBackoff(min: Time | null, max: Time | null): void {
  for (const [field, time] of Object.entries({ minimum_backoff: min, maximum_backoff: max }))
    if (time !== null && (toMs(time) < 0 || toMs(time) > BACKOFF_MS_MAX))
      throw refused(
        `The value for ${field} is out of bounds. You passed ${toMs(time) / 1000}s in the request, but the value must be ` +
          'between 0s and 600s.',
      );
  if (min !== null && max !== null && toMs(min) > toMs(max))
    throw refused(
      `The value for maximum_backoff is too small. You passed ${toMs(max) / 1000}s in the request, but the minimum value is ` +
        `${toMs(min) / 1000}s.`,
    );
}

function checkRetention(time: Time | null): void {
  if (time !== null && (toMs(time) < RETENTION_MS_MIN || toMs(time) > RETENTION_MS_MAX))
    throw refused('message_retention_duration out of bounds: it must be between 10 minutes and 31 days');
}

export function sizeOf({ data, attributes, orderingKey }: Pick<PubsubMessage, 'data' | 'attributes' | 'orderingKey'>) {
  const texts = [orderingKey, ...Object.entries(attributes).flat()];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), data.length + MESSAGE_OVERHEAD);
}

export function checkMessages(messages: readonly PubsubMessage[]): void {
  if (messages.length === 0) throw refused('No messages to publish');
  if (messages.length > MESSAGES_MAX)
    throw refused(`Too many messages to publish: ${messages.length}, at most ${MESSAGES_MAX} in one request`);
  for (const message of messages) checkMessage(message);
  if (messages.some(({ orderingKey }) => orderingKey !== messages[0]?.orderingKey))
    throw refused(
      'In a single publish request, all messages must have no ordering key or they must all have the same ordering key.',
    );
  const bytes = messages.reduce((sum, message) => sum + sizeOf(message), 0);
  if (bytes > REQUEST_BYTES_MAX)
    throw refused(`The request of ${bytes} bytes is too large: the maximum is ${REQUEST_BYTES_MAX} bytes`);
}

function checkMessage({ data, attributes, orderingKey }: PubsubMessage): void {
  const all = Object.entries(attributes);
  if (data.length === 0 && all.length === 0)
    throw refused(
      'Some messages are empty: each message must contain either non-empty data, or at least one attribute.',
    );
  if (all.length > ATTRIBUTES_MAX)
    throw refused(`A message has ${all.length} attributes: at most ${ATTRIBUTES_MAX} are allowed`);
  for (const [key, value] of all) {
    if (key === '' || key.startsWith('goog') || Buffer.byteLength(key) > ATTRIBUTE_KEY_BYTES_MAX)
      throw refused(
        `Invalid attribute key (key=${key.slice(0, ATTRIBUTE_KEY_BYTES_MAX)}): it must have 1 to ` +
          `${ATTRIBUTE_KEY_BYTES_MAX} bytes and must not begin with goog`,
      );
    if (Buffer.byteLength(value) > ATTRIBUTE_VALUE_BYTES_MAX)
      throw refused(`The value of the attribute is too long (key=${key}): at most ${ATTRIBUTE_VALUE_BYTES_MAX} bytes`);
  }
  if (Buffer.byteLength(orderingKey) > ORDERING_KEY_BYTES_MAX)
    throw refused(`The ordering key is too long: at most ${ORDERING_KEY_BYTES_MAX} bytes`);
}
