/** Gives messages out and takes them back: visibility, receipts, and the way to the dead-letter queue. */

import { randomBytes } from 'node:crypto';
import type { Cloud } from '../../service.ts';
import { redrivePolicyOf } from './attributes.ts';
import { invalidParameter, sqsError } from './errors.ts';
import type { MessageAttributes } from './message.ts';
import type { QueueRecord, Queues } from './queues.ts';
import { sequenceNumber } from './send.ts';

export interface Received {
  readonly messageId: string;
  readonly receiptHandle: string;
  readonly body: string;
  readonly attributes: MessageAttributes;
  /** Everything AWS tells of a message besides what the sender wrote. */
  readonly system: Readonly<Record<string, string>>;
}

export interface Receiving {
  receive(queue: QueueRecord, max: number, visibilitySeconds: number): readonly Received[];
  /** Milliseconds until the next hidden message can be seen. */
  nextIn(queue: QueueRecord): number;
  remove(queue: QueueRecord, receiptHandle: string): void;
  changeVisibility(queue: QueueRecord, receiptHandle: string, seconds: number): void;
}

export const VISIBILITY_SECONDS_MAX = 43_200;
/** Whoever uses the local clouds sends as this one. */
const SENDER = 'AIDALOCALLOCALLOCAL00';

interface Row {
  readonly id: number;
  readonly message_id: string;
  readonly body: string;
  readonly attributes: string;
  readonly system: string;
  readonly sent_at: number;
  readonly visible_at: number;
  readonly held: number;
  readonly held_since: number | null;
  readonly receives: number;
  readonly deliveries: number;
  readonly first_received_at: number | null;
  readonly group_id: string | null;
  readonly deduplication_id: string | null;
  readonly source_arn: string | null;
}

const VISIBLE = `
  SELECT * FROM sqs_messages WHERE queue = ?1 AND visible_at <= ?2 ORDER BY visible_at, id LIMIT ?3
`;

/** While one message of a group is in flight, or an earlier one is hidden, no other one of it comes. */
const VISIBLE_IN_ORDER = `
  SELECT * FROM sqs_messages m WHERE queue = ?1 AND visible_at <= ?2 AND NOT EXISTS (
    SELECT 1 FROM sqs_messages o
    WHERE o.queue = ?1 AND o.group_id = m.group_id AND o.visible_at > ?2 AND (o.held = 1 OR o.id < m.id)
  ) ORDER BY id LIMIT ?3
`;

export function openReceiving(cloud: Cloud, queues: Queues, wake: (queue: number) => void): Receiving {
  const { db } = cloud.state;

  function visible(queue: QueueRecord, now: number, max: number): readonly Row[] {
    return db.all<Row>(queue.fifo ? VISIBLE_IN_ORDER : VISIBLE, queue.id, now, max);
  }

  /** The message of a receipt, if it is still in this queue. */
  function rowOf(queue: QueueRecord, { row }: Receipt): Row | undefined {
    return db.get<Row>('SELECT * FROM sqs_messages WHERE id = ? AND queue = ?', row, queue.id);
  }

  function give(queue: QueueRecord, row: Row, now: number, visibilitySeconds: number): Received {
    const [receives, deliveries] = [row.receives + 1, row.deliveries + 1];
    const firstAt = row.first_received_at ?? now;
    db.run(
      `UPDATE sqs_messages SET held = 1, held_since = ?, visible_at = ?, receives = ?, deliveries = ?,
         first_received_at = ? WHERE id = ?`,
      now,
      now + visibilitySeconds * 1000,
      receives,
      deliveries,
      firstAt,
      row.id,
    );
    const trace = (JSON.parse(row.system) as MessageAttributes).AWSTraceHeader?.StringValue;
    const system: Record<string, string | null | undefined> = {
      SenderId: SENDER,
      SentTimestamp: String(row.sent_at),
      ApproximateReceiveCount: String(receives),
      ApproximateFirstReceiveTimestamp: String(firstAt),
      SequenceNumber: queue.fifo ? sequenceNumber(row.id) : null,
      MessageDeduplicationId: row.deduplication_id,
      MessageGroupId: row.group_id,
      AWSTraceHeader: trace,
      DeadLetterQueueSourceArn: row.source_arn,
    };
    const told = Object.entries(system).filter((it): it is [string, string] => typeof it[1] === 'string');
    return {
      messageId: row.message_id,
      receiptHandle: writeReceipt({ queue: queue.id, row: row.id, delivery: deliveries }),
      body: row.body,
      attributes: JSON.parse(row.attributes),
      system: Object.fromEntries(told),
    };
  }

  function bury(queue: QueueRecord, target: QueueRecord, row: Row, now: number): void {
    db.run(
      `UPDATE sqs_messages SET queue = ?, source_arn = ?, held = 0, held_since = NULL, visible_at = ?, sent_at = ?
       WHERE id = ?`,
      target.id,
      queue.arn,
      now,
      queue.fifo ? now : row.sent_at,
      row.id,
    );
    db.afterCommit(() => wake(target.id));
  }

  return {
    receive(queue, max, visibilitySeconds) {
      return db.transaction(() => {
        const now = cloud.now();
        queues.expire(queue);
        const policy = redrivePolicyOf(queue.attributes);
        const found = policy === null ? undefined : queues.findByArn(policy.deadLetterTargetArn);
        // A queue may be its own dead-letter queue: then nothing moves.
        const target = found?.id === queue.id ? undefined : found;
        const isDead = (row: Row) => target !== undefined && row.receives >= (policy?.maxReceiveCount ?? 0);
        for (;;) {
          const rows = visible(queue, now, max);
          const dead = rows.filter(isDead);
          if (dead.length === 0) return rows.map((row) => give(queue, row, now, visibilitySeconds));
          for (const row of dead) bury(queue, target!, row, now);
        }
      });
    },
    nextIn(queue) {
      const now = cloud.now();
      const next = db.get<{ at: number | null }>(
        'SELECT min(visible_at) AS at FROM sqs_messages WHERE queue = ? AND visible_at > ?',
        queue.id,
        now,
      );
      return (next?.at ?? Number.POSITIVE_INFINITY) - now;
    },
    remove(queue, receiptHandle) {
      const receipt = readReceipt(queue, receiptHandle);
      const row = rowOf(queue, receipt);
      // An older receipt is answered like a good one; the message stays with whoever has it now.
      if (row === undefined || row.deliveries !== receipt.delivery) return;
      if (queue.fifo && row.visible_at <= cloud.now())
        throw invalidParameter(receiptHandle, 'ReceiptHandle', 'The receipt handle has expired.');
      db.run('DELETE FROM sqs_messages WHERE id = ?', row.id);
      wake(queue.id);
    },
    changeVisibility(queue, receiptHandle, seconds) {
      const receipt = readReceipt(queue, receiptHandle);
      if (seconds < 0 || seconds > VISIBILITY_SECONDS_MAX)
        throw invalidParameter(seconds, 'VisibilityTimeout', 'Must be between 0 and 43200, if provided.');
      const row = rowOf(queue, receipt);
      const now = cloud.now();
      if (row === undefined || row.held === 0)
        throw invalidParameter(
          receiptHandle,
          'ReceiptHandle',
          'Message does not exist or is not available for visibility timeout change.',
        );
      if (row.visible_at <= now) {
        // A standard queue says yes and does nothing.
        if (!queue.fifo) return;
        throw invalidParameter(receiptHandle, 'ReceiptHandle', 'The receipt handle has expired.');
      }
      // Any receipt of a message in flight is taken, not only the latest.
      const visibleAt = now + seconds * 1000;
      if (visibleAt > (row.held_since ?? now) + VISIBILITY_SECONDS_MAX * 1000)
        throw invalidParameter(
          seconds,
          'VisibilityTimeout',
          `Total VisibilityTimeout for the message is beyond the limit [${VISIBILITY_SECONDS_MAX} seconds].`,
        );
      db.run('UPDATE sqs_messages SET visible_at = ? WHERE id = ?', visibleAt, row.id);
      if (seconds === 0) wake(queue.id);
    },
  };
}

interface Receipt {
  readonly queue: number;
  readonly row: number;
  readonly delivery: number;
}

/** As long and as meaningless to look at as one of AWS. */
function writeReceipt({ queue, row, delivery }: Receipt): string {
  const plain = `${queue}.${row}.${delivery}.`;
  return Buffer.concat([Buffer.from(plain), randomBytes(96)]).toString('base64');
}

function readReceipt(queue: QueueRecord, handle: string): Receipt {
  const plain = Buffer.from(handle, 'base64').toString('latin1');
  const [, queueId, row, delivery] = /^(\d{1,12})\.(\d{1,15})\.(\d{1,15})\./.exec(plain) ?? [];
  if (queueId === undefined || row === undefined || delivery === undefined)
    throw sqsError('ReceiptHandleIsInvalid', `The input receipt handle "${handle}" is not a valid receipt handle.`);
  if (Number(queueId) !== queue.id)
    throw sqsError('ReceiptHandleIsInvalid', 'The input receipt handle is not for this queue.');
  return { queue: queue.id, row: Number(row), delivery: Number(delivery) };
}
