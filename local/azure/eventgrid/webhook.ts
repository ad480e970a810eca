/** Event Grid at a webhook: the handshake that asks whether events are wanted, and the events. */

import { randomUUID } from 'node:crypto';

export type Schema = 'EventGrid' | 'CloudEvents';

/** `final`: trying again will not help, as Event Grid sees it. */
export interface WebhookRefusal {
  readonly why: string;
  readonly final: boolean;
}

/** Event Grid waits that long. */
const TIMEOUT_MS = 30_000;
const ORIGIN = 'eventgrid.azure.net';
const FINAL = [400, 413];

export interface WebhookEvent {
  readonly url: string;
  readonly schema: Schema;
  readonly body: string;
  /** Of the subscription. */
  readonly name: string;
  readonly eventType: string;
  /** Attempts before this one. */
  readonly count: number;
}

/** Null: it was taken. */
export async function refusalOf({ url, schema, body, name, count }: WebhookEvent): Promise<WebhookRefusal | null> {
  const cloudEvents = schema === 'CloudEvents';
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': cloudEvents ? 'application/cloudevents+json; charset=utf-8' : 'application/json; charset=utf-8',
      'aeg-event-type': 'Notification',
      'aeg-subscription-name': name.toUpperCase(),
      'aeg-delivery-count': String(count),
      'aeg-data-version': '',
      'aeg-metadata-version': '1',
    },
    // In Event Grid's own schema events come in a list, CloudEvents alone.
    body: cloudEvents ? body : `[${body}]`,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  await response.arrayBuffer();
  if (response.ok) return null;
  return { why: `the webhook answered ${response.status}`, final: FINAL.includes(response.status) };
}

export interface Handshake {
  readonly url: string;
  readonly name: string;
  readonly schema: Schema;
  readonly at: number;
}

/** Throws unless the other side agrees: by the code that it was sent, or by allowing the origin. */
export async function validate({ url, name, schema, at }: Handshake): Promise<void> {
  const agreed = schema === 'CloudEvents' ? await askOptions(url) : await askCode(url, name, at);
  if (!agreed) throw new Error(`azure eventgrid: ${url} did not agree to be sent events: the handshake failed`);
}

async function askOptions(url: string): Promise<boolean> {
  const headers = { 'webhook-request-origin': ORIGIN, 'webhook-request-rate': '120' };
  const response = await fetch(url, { method: 'OPTIONS', headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
  await response.arrayBuffer();
  const allowed = response.headers.get('webhook-allowed-origin');
  return response.ok && (allowed === '*' || allowed === ORIGIN);
}

async function askCode(url: string, name: string, at: number): Promise<boolean> {
  const validationCode = randomUUID();
  const event = {
    id: randomUUID(),
    topic: '/subscriptions/local',
    subject: '',
    data: { validationCode },
    eventType: 'Microsoft.EventGrid.SubscriptionValidationEvent',
    eventTime: new Date(at).toISOString(),
    metadataVersion: '1',
    dataVersion: '2',
  };
  const headers = {
    'content-type': 'application/json',
    'aeg-event-type': 'SubscriptionValidation',
    'aeg-subscription-name': name.toUpperCase(),
  };
  const response = await fetch(url, {
    method: 'POST',
    headers,
    body: JSON.stringify([event]),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const answer: unknown = await response.json().catch(() => null);
  return response.ok && (answer as { validationResponse?: unknown } | null)?.validationResponse === validationCode;
}
