/** How subscribers get messages: one pull that may wait, or a stream with flow control. */

import type { Caller, Conversation } from '../grpc.ts';
import { grpcError } from '../grpc.ts';
import type { Backlog } from './backlog.ts';
import { checkAckDeadline, checkStreamDeadline, notFound, refused } from './check.ts';
import type { Dispatcher } from './dispatch.ts';
import type { Registry, StoredSubscription } from './registry.ts';
import type { Confirmation, ReceivedMessage, StreamingPullRequest, StreamingPullResponse } from './wire.ts';

/** Google answers a pull without messages after some time as well; clients give up after a minute. */
const PULL_WAIT_MS_MAX = 20_000;
const PULL_MESSAGES_MAX = 1_000;
const RESPONSE_BYTES_MAX = 10_000_000;

export interface Pulls {
  pull(
    request: { readonly subscription: string; readonly returnImmediately: boolean; readonly maxMessages: number },
    caller: Caller,
  ): Promise<{ readonly receivedMessages: readonly ReceivedMessage[] }>;
  stream(conversation: Conversation<StreamingPullRequest, StreamingPullResponse>): void;
  /** A lease is over: the stream it went to has room again. */
  released(ackId: string): void;
  /** Ends what waits, as Google does when it moves things about. */
  stop(): void;
}

interface Stream {
  subscription: StoredSubscription;
  deadlineMs: number;
  readonly messagesMax: number;
  readonly bytesMax: number;
  readonly keepAlive: boolean;
  readonly held: Map<string, number>;
  bytes: number;
  /** The client does not read as fast as messages come. */
  full: boolean;
  leave(): void;
}

export function openPulls(registry: Registry, backlog: Backlog, dispatcher: Dispatcher): Pulls {
  const holders = new Map<string, Stream>();
  const stops = new Set<() => void>();

  function attached(name: string): StoredSubscription {
    const subscription = registry.subscription(name);
    if (subscription.detached)
      throw grpcError('FAILED_PRECONDITION', `The subscription is detached (resource=${name}).`);
    return subscription;
  }

  async function pull(
    { subscription: name, returnImmediately, maxMessages }: Parameters<Pulls['pull']>[0],
    caller: Caller,
  ): ReturnType<Pulls['pull']> {
    const subscription = attached(name);
    if (maxMessages <= 0) throw refused(`No max_messages specified (max_messages=${maxMessages})`);
    const messages = Math.min(maxMessages, PULL_MESSAGES_MAX);
    const leaseFor = (it: StoredSubscription) => ({
      messages,
      bytes: RESPONSE_BYTES_MAX,
      deadlineMs: it.ackDeadlineSeconds * 1000,
    });
    const now = backlog.lease(subscription, leaseFor(subscription));
    if (now.length > 0) dispatcher.changed(subscription.id);
    if (now.length > 0 || returnImmediately) return { receivedMessages: now };
    return new Promise((resolve, reject) => {
      let open = true;
      const close = (then: () => void) => {
        if (!open) return;
        open = false;
        clearTimeout(timer);
        stops.delete(stop);
        leave();
        then();
      };
      const answer = (receivedMessages: readonly ReceivedMessage[]) => close(() => resolve({ receivedMessages }));
      const stop = () => close(() => reject(grpcError('UNAVAILABLE', 'The service is stopping.')));
      const timer = setTimeout(() => answer([]), PULL_WAIT_MS_MAX);
      const leave = dispatcher.join(subscription, {
        wants: (it) => (open ? leaseFor(it) : null),
        take: answer,
        lost: () => close(() => reject(notFound(name))),
      });
      stops.add(stop);
      caller.onGone(() => answer([]));
    });
  }

  function stream(conversation: Conversation<StreamingPullRequest, StreamingPullResponse>): void {
    let it: Stream | null = null;
    const end = (error?: Parameters<typeof conversation.end>[0]) => {
      it?.leave();
      stops.delete(stop);
      conversation.end(error);
    };
    const stop = () => end(grpcError('UNAVAILABLE', 'The service is stopping: open the stream again.'));
    stops.add(stop);

    const send = (response: Omit<StreamingPullResponse, 'subscriptionProperties'>) => {
      if (it === null) return;
      const { enableExactlyOnceDelivery, enableMessageOrdering } = it.subscription;
      const properties = {
        exactlyOnceDeliveryEnabled: enableExactlyOnceDelivery,
        messageOrderingEnabled: enableMessageOrdering,
      };
      it.full = !conversation.send({ ...response, subscriptionProperties: properties });
    };

    function open(request: StreamingPullRequest): void {
      const subscription = attached(request.subscription);
      checkStreamDeadline(request.streamAckDeadlineSeconds);
      const opened: Stream = {
        subscription,
        deadlineMs: request.streamAckDeadlineSeconds * 1000,
        messagesMax: boundOf(request.maxOutstandingMessages),
        bytesMax: boundOf(request.maxOutstandingBytes),
        keepAlive: Number(request.protocolVersion) >= 1,
        held: new Map(),
        bytes: 0,
        full: false,
        leave() {
          leave();
          for (const ackId of opened.held.keys()) holders.delete(ackId);
        },
      };
      const leave = dispatcher.join(subscription, {
        wants: () => roomOf(opened),
        take(leased, current) {
          opened.subscription = current;
          for (const { ackId, bytes } of leased) {
            opened.held.set(ackId, bytes);
            opened.bytes += bytes;
            holders.set(ackId, opened);
          }
          send({ receivedMessages: leased });
        },
        lost: () => end(notFound(subscription.name)),
      });
      it = opened;
    }

    function settle(opened: Stream, request: StreamingPullRequest): void {
      const { subscription } = opened;
      const { ackIds, modifyDeadlineAckIds: ids, modifyDeadlineSeconds: seconds } = request;
      if (ids.length !== seconds.length)
        throw refused('modify_deadline_seconds and modify_deadline_ack_ids must have the same size');
      for (const one of seconds) checkAckDeadline('modify_deadline_seconds', one);
      if (ackIds.length > 0) {
        const invalid = backlog.acknowledge(subscription, ackIds);
        if (subscription.enableExactlyOnceDelivery) send({ acknowledgeConfirmation: toConfirmation(ackIds, invalid) });
      }
      const invalid = ids.flatMap((ackId, index) => backlog.modify(subscription, [ackId], seconds[index] ?? 0));
      if (ids.length > 0 && subscription.enableExactlyOnceDelivery)
        send({ modifyAckDeadlineConfirmation: toConfirmation(ids, invalid) });
    }

    conversation.onRequest((request) => {
      try {
        if (it === null) open(request);
        else if (request.subscription !== '' && request.subscription !== it.subscription.name)
          throw refused('The subscription must only be set in the first request of a stream');
        else if (Number(request.maxOutstandingMessages) !== 0 || Number(request.maxOutstandingBytes) !== 0)
          throw refused('Flow control must only be set in the first request of a stream');
        else if (request.streamAckDeadlineSeconds !== 0) {
          checkStreamDeadline(request.streamAckDeadlineSeconds);
          it.deadlineMs = request.streamAckDeadlineSeconds * 1000;
        }
        if (it === null) return;
        settle(it, request);
        // Clients send something now and then to see whether anybody still listens.
        if (it.keepAlive && isEmpty(request)) send({});
      } catch (error) {
        end(error as Parameters<typeof conversation.end>[0]);
      }
    });
    conversation.onDrain(() => {
      if (it === null) return;
      it.full = false;
      dispatcher.changed(it.subscription.id);
    });
    conversation.onEnd(() => end());
    conversation.onGone(() => {
      it?.leave();
      stops.delete(stop);
    });
  }

  return {
    pull,
    stream,
    released(ackId) {
      const holder = holders.get(ackId);
      if (holder === undefined) return;
      holders.delete(ackId);
      holder.bytes -= holder.held.get(ackId) ?? 0;
      holder.held.delete(ackId);
      dispatcher.changed(holder.subscription.id);
    },
    stop() {
      for (const stop of [...stops]) stop();
    },
  };
}

function roomOf({ messagesMax, bytesMax, held, bytes, full, deadlineMs }: Stream) {
  const messages = Math.min(messagesMax - held.size, PULL_MESSAGES_MAX);
  if (full || messages <= 0 || bytes >= bytesMax) return null;
  return { messages, bytes: Math.min(bytesMax - bytes, RESPONSE_BYTES_MAX), deadlineMs };
}

function boundOf(text: string): number {
  const bound = Number(text);
  return bound > 0 ? bound : Number.POSITIVE_INFINITY;
}

function isEmpty(request: StreamingPullRequest): boolean {
  return request.subscription === '' && request.ackIds.length === 0 && request.modifyDeadlineAckIds.length === 0;
}

function toConfirmation(ackIds: readonly string[], invalid: readonly string[]): Confirmation {
  return { ackIds: ackIds.filter((ackId) => !invalid.includes(ackId)), invalidAckIds: invalid };
}
