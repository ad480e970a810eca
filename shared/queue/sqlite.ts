/** A queue in one SQLite file, which several processes of one machine may open at the same time. */

import type { StatementSync } from 'node:sqlite';
import { toSqliteFault } from '../sqlite/fault.ts';
import { openSqliteFile, type Tenant } from '../sqlite/sqlite.ts';
import { checkBody, checkDelay, checkLimit, checkMax, checkReason, checkVisibility } from './checks.ts';
import type { DeadLetter, Delivery, Queue, QueueDepth, Settlement } from './queue.ts';

export interface SqliteQueueOptions {
  readonly now: () => number;
  /** How long a call may wait, and this process with it, until other processes let go of the file. */
  readonly busyTimeoutMs?: number;
}

const BUSY_TIMEOUT_MS = 5_000;

/**
 * The file may hold a ledger as well, so each of them has one half of user_version: this is the upper one.
 * visible_at: when the message may be received, or, while it is held, when its receipt expires; null once it is dead.
 * deliveries never starts again, not even by redrive, and no id is given twice: no receipt ever comes back.
 */
const TABLES = `
  CREATE TABLE queue_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    deliveries INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0,
    visible_at INTEGER,
    dead_at INTEGER,
    reason TEXT
  ) STRICT;
  CREATE INDEX queue_messages_visible ON queue_messages (visible_at, id) WHERE visible_at IS NOT NULL;
  CREATE INDEX queue_messages_dead ON queue_messages (dead_at, id) WHERE dead_at IS NOT NULL;
`;

const TENANT: Tenant = { name: 'queue', half: 'upper', schema: 1, tables: TABLES };

const HOLDING = 'id = :id AND deliveries = :delivery AND held = 1 AND visible_at > :now';

/**
 * What was answered survives the end of the process and of the power: every commit is synced before it is answered.
 * Calls run in the calling thread, so none of them waits for another call of the same process.
 */
export function openSqliteQueue(path: string, { now, busyTimeoutMs = BUSY_TIMEOUT_MS }: SqliteQueueOptions): Queue {
  const db = openSqliteFile(path, busyTimeoutMs, TENANT);
  const sql = {
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    rollback: db.prepare('ROLLBACK'),
    send: db.prepare('INSERT INTO queue_messages (body, sent_at, visible_at) VALUES (:body, :now, :now + :delayMs)'),
    receive: db.prepare(
      `UPDATE queue_messages
       SET attempts = attempts + 1, deliveries = deliveries + 1, held = 1, visible_at = :now + :visibilityMs
       WHERE id IN (SELECT id FROM queue_messages WHERE visible_at <= :now ORDER BY visible_at, id LIMIT :max)
       RETURNING id, body, sent_at, attempts, deliveries`,
    ),
    done: db.prepare(`DELETE FROM queue_messages WHERE ${HOLDING}`),
    again: db.prepare(`UPDATE queue_messages SET held = 0, visible_at = :now + :delayMs WHERE ${HOLDING}`),
    dead: db.prepare(
      `UPDATE queue_messages SET held = 0, visible_at = NULL, dead_at = :now, reason = :reason WHERE ${HOLDING}`,
    ),
    extend: db.prepare(`UPDATE queue_messages SET visible_at = :now + :visibilityMs WHERE ${HOLDING}`),
    depth: db.prepare(
      `SELECT count(*) AS messages, count(dead_at) AS dead,
         count(*) FILTER (WHERE held = 1 AND visible_at > :now) AS inFlight
       FROM queue_messages`,
    ),
    deadLetters: db.prepare(
      `SELECT id, body, reason, attempts, dead_at FROM queue_messages
       WHERE dead_at IS NOT NULL ORDER BY dead_at, id LIMIT :limit`,
    ),
    redrive: db.prepare(
      `UPDATE queue_messages SET attempts = 0, visible_at = :now, dead_at = NULL, reason = NULL
       WHERE id IN (SELECT id FROM queue_messages WHERE dead_at IS NOT NULL ORDER BY dead_at, id LIMIT :limit)`,
    ),
  };

  function ask<T>(op: string, body: () => T): T {
    try {
      return body();
    } catch (error) {
      throw toSqliteFault(error, { op });
    }
  }

  /** The write lock first: a transaction that read before it got the lock could not get it any more. */
  function write<T>(op: string, body: () => T): T {
    return ask(op, () => {
      sql.begin.run();
      try {
        const answer = body();
        sql.commit.run();
        return answer;
      } catch (error) {
        if (db.isTransaction) sql.rollback.run();
        throw error;
      }
    });
  }

  function changes(statement: StatementSync, values: Record<string, string | number>): number {
    return Number(statement.run(values).changes);
  }

  /** False for a receipt that nobody was ever given. */
  function changesHeld(op: string, statement: StatementSync, receipt: string, values: Record<string, string | number>) {
    const place = readReceipt(receipt);
    return place !== null && write(op, () => changes(statement, { ...place, ...values, now: now() }) === 1);
  }

  return {
    async send(body: string, { delayMs = 0 }: { readonly delayMs?: number } = {}): Promise<void> {
      checkBody(body);
      checkDelay(delayMs);
      write('send', () => changes(sql.send, { body, delayMs, now: now() }));
    },

    async receive({ max, visibilityMs }: { readonly max: number; readonly visibilityMs: number }) {
      checkMax(max);
      checkVisibility(visibilityMs);
      return write('receive', () => sql.receive.all({ max, visibilityMs, now: now() }).map(toDelivery));
    },

    async settle(receipt: string, settlement: Settlement): Promise<boolean> {
      switch (settlement.kind) {
        case 'done':
          return changesHeld('settle', sql.done, receipt, {});
        case 'again':
          checkDelay(settlement.delayMs);
          return changesHeld('settle', sql.again, receipt, { delayMs: settlement.delayMs });
        case 'dead':
          checkReason(settlement.reason);
          return changesHeld('settle', sql.dead, receipt, { reason: settlement.reason });
      }
    },

    async extend(receipt: string, visibilityMs: number): Promise<boolean> {
      checkVisibility(visibilityMs);
      return changesHeld('extend', sql.extend, receipt, { visibilityMs });
    },

    async depth(): Promise<QueueDepth> {
      return ask('depth', () => {
        const { messages, dead, inFlight } = rowOf<DepthRow>(sql.depth.get({ now: now() }));
        return { waiting: messages - dead - inFlight, inFlight, dead };
      });
    },

    async deadLetters({ limit }: { readonly limit: number }): Promise<readonly DeadLetter[]> {
      checkLimit(limit);
      return ask('deadLetters', () => sql.deadLetters.all({ limit }).map(toDeadLetter));
    },

    async redrive({ limit }: { readonly limit: number }): Promise<number> {
      checkLimit(limit);
      return write('redrive', () => changes(sql.redrive, { limit, now: now() }));
    },

    async close(): Promise<void> {
      if (db.isOpen) ask('close', () => db.close());
    },
  };
}

interface MessageRow {
  readonly id: number;
  readonly body: string;
  readonly sent_at: number;
  readonly attempts: number;
  readonly deliveries: number;
  readonly dead_at: number;
  readonly reason: string;
}

interface DepthRow {
  readonly messages: number;
  readonly dead: number;
  readonly inFlight: number;
}

function toDelivery(row: unknown): Delivery {
  const { id, body, attempts, sent_at, deliveries } = rowOf<MessageRow>(row);
  return { id: `m${id}`, body, attempt: attempts, sentAt: sent_at, receipt: `m${id}.${deliveries}` };
}

function toDeadLetter(row: unknown): DeadLetter {
  const { id, body, reason, attempts, dead_at } = rowOf<MessageRow>(row);
  return { id: `m${id}`, body, reason, attempts, deadAt: dead_at };
}

function readReceipt(receipt: string): { readonly id: number; readonly delivery: number } | null {
  const [, id, delivery] = /^m(\d{1,15})\.(\d{1,15})$/.exec(receipt) ?? [];
  return id === undefined || delivery === undefined ? null : { id: Number(id), delivery: Number(delivery) };
}

function rowOf<T>(row: unknown): T {
  return row as T;
}
