/** Push subscriptions: every message is posted to the endpoint, and a 2xx acknowledges it. */

import type { Cloud } from '../../service.ts';
import type { Backlog, Leased } from './backlog.ts';
import type { Dispatcher } from './dispatch.ts';
import type { Registry, StoredSubscription } from './registry.ts';
import { toMs } from './wire.ts';

export interface Pushes {
  /** Looks again at what this subscription wants. */
  refresh(subscription: StoredSubscription): void;
  start(): void;
  stop(): Promise<void>;
}

const OUTSTANDING_MAX = 20;
const BYTES_MAX = 10_000_000;
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 60_000;
const ACKNOWLEDGED = [102, 200, 201, 202, 204];

export function openPushes(cloud: Cloud, registry: Registry, backlog: Backlog, dispatcher: Dispatcher): Pushes {
  const leaves = new Map<number, () => void>();
  const running = new Set<Promise<void>>();
  const stopping = new AbortController();

  function join(joined: StoredSubscription): void {
    const { id } = joined;
    let outstanding = 0;
    let failures = 0;
    let pausedUntil = 0;

    async function post(leased: Leased, subscription: StoredSubscription): Promise<void> {
      outstanding += 1;
      const good = await postOne(leased, subscription, stopping.signal);
      outstanding -= 1;
      if (stopping.signal.aborted) return;
      failures = good ? 0 : failures + 1;
      pausedUntil = good ? 0 : Date.now() + Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(failures - 1, 20));
      const current = registry.byId(id);
      if (current === null) return;
      if (good) backlog.acknowledge(current, [leased.ackId]);
      else backlog.modify(current, [leased.ackId], 0);
      if (!good) setTimeout(() => dispatcher.changed(id), pausedUntil - Date.now()).unref();
      dispatcher.changed(id);
    }

    leaves.set(
      id,
      dispatcher.join(joined, {
        wants: ({ ackDeadlineSeconds }) =>
          outstanding >= OUTSTANDING_MAX || Date.now() < pausedUntil
            ? null
            : { messages: OUTSTANDING_MAX - outstanding, bytes: BYTES_MAX, deadlineMs: ackDeadlineSeconds * 1000 },
        take(leased, subscription) {
          for (const one of leased) {
            const run = post(one, subscription)
              .catch((error) => cloud.report(`${cloud.name} pubsub: push: ${String(error)}`))
              .finally(() => running.delete(run));
            running.add(run);
          }
        },
        lost: () => leave(id),
      }),
    );
  }

  function leave(id: number): void {
    leaves.get(id)?.();
    leaves.delete(id);
  }

  function refresh(subscription: StoredSubscription): void {
    const wanted = (subscription.pushConfig?.pushEndpoint ?? '') !== '' && !subscription.detached;
    if (!wanted) leave(subscription.id);
    else if (!leaves.has(subscription.id)) join(subscription);
  }

  return {
    refresh,
    start() {
      for (const subscription of registry.all()) refresh(subscription);
    },
    async stop() {
      for (const id of [...leaves.keys()]) leave(id);
      stopping.abort();
      await Promise.all(running);
    },
  };
}

async function postOne(leased: Leased, subscription: StoredSubscription, stopping: AbortSignal): Promise<boolean> {
  const { message, deliveryAttempt } = leased;
  const { data, attributes, messageId, publishTime, orderingKey } = message;
  const publishedAt = new Date(publishTime === null ? 0 : toMs(publishTime)).toISOString();
  const body = {
    ...(deliveryAttempt === 0 ? {} : { deliveryAttempt }),
    message: {
      ...(Object.keys(attributes).length === 0 ? {} : { attributes }),
      ...(data.length === 0 ? {} : { data: data.toString('base64') }),
      ...{ messageId, message_id: messageId, publishTime: publishedAt, publish_time: publishedAt },
      ...(orderingKey === '' ? {} : { orderingKey }),
    },
    subscription: subscription.name,
  };
  try {
    const response = await fetch(subscription.pushConfig?.pushEndpoint ?? '', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'CloudPubSub-Google', from: 'noreply@google.com' },
      body: JSON.stringify(body),
      redirect: 'manual',
      signal: AbortSignal.any([stopping, AbortSignal.timeout(subscription.ackDeadlineSeconds * 1000)]),
    });
    await response.body?.cancel();
    return ACKNOWLEDGED.includes(response.status);
  } catch {
    return false;
  }
}
