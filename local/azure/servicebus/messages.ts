/** The messages of Service Bus in the database: locks, attempts, dead letters, schedules and sessions. */

import { randomBytes } from 'node:crypto';
import type { Database } from '../../state/sqlite.ts';
import {
  type Entry,
  entry,
  readEntries,
  readSections,
  toHeader,
  toMapSection,
  toText,
  withEntries,
  withMessageId,
} from './bytes.ts';
import type { Entity } from './entities.ts';

/** A message as it came, with what had to be read of it. */
export interface Incoming {
  readonly bytes: Buffer;
  readonly messageId: string;
  readonly sessionId: string | null;
  readonly ttlMs: number | null;
  readonly enqueueAt: number | null;
}

export interface Held {
  readonly seq: number;
  /** 32 letters; null in receiveAndDelete. */
  readonly token: string | null;
  readonly lockedUntil: number | null;
  readonly bytes: Buffer;
}

export type Outcome =
  | { readonly kind: 'complete' }
  | { readonly kind: 'abandon'; readonly properties: readonly Entry[] }
  | { readonly kind: 'defer'; readonly properties: readonly Entry[] }
  | {
      readonly kind: 'dead';
      readonly reason: string | undefined;
      readonly description: string | undefined;
      readonly properties: readonly Entry[];
    };

export interface Messages {
  /** Answers its sequence number; null: a duplicate, accepted and dropped. */
  enqueue(entity: Entity, message: Incoming): number | null;
  /** The next one, locked or, with `forget`, gone. */
  next(entity: Entity, options: { readonly forget: boolean; readonly sessionId?: string }): Held | null;
  /** False: this lock does not hold a message (any more). */
  settle(entity: Entity, token: string, outcome: Outcome): boolean;
  renew(entity: Entity, token: string): number | null;
  peek(
    entity: Entity,
    from: number,
    max: number,
    sessionId?: string,
  ): readonly { readonly seq: number; readonly bytes: Buffer }[];
  takeDeferred(entity: Entity, seqs: readonly number[], forget: boolean): readonly Held[] | null;
  /** Whether all of them were scheduled still. */
  cancel(entity: Entity, seqs: readonly number[]): boolean;
  lockSession(entity: Entity, wanted: string | null): { readonly id: string; readonly lockedUntil: number } | null;
  renewSession(entity: Entity, id: string): number | null;
  releaseSession(entity: Entity, id: string): void;
  sessionState(entity: Entity, id: string): Buffer | null;
  setSessionState(entity: Entity, id: string, state: Buffer | null): void;
  /** Does what has become due: locks that end, messages whose hour has come or gone. Answers when to look again. */
  tick(entity: Entity): number | null;
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS servicebus_messages (
    entity TEXT NOT NULL, seq INTEGER NOT NULL, state INTEGER NOT NULL, message_id TEXT NOT NULL, session TEXT,
    annotations BLOB, properties BLOB, application BLOB, body BLOB NOT NULL, ttl INTEGER, enqueued_at INTEGER NOT NULL,
    due_at INTEGER, expires_at INTEGER, delivery_count INTEGER NOT NULL DEFAULT 0, token TEXT, locked_until INTEGER,
    dead_source TEXT, PRIMARY KEY (entity, seq)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS servicebus_free ON servicebus_messages (entity, seq) WHERE state = 0 AND token IS NULL;
  CREATE INDEX IF NOT EXISTS servicebus_due ON servicebus_messages (entity, due_at) WHERE state = 2;
  CREATE INDEX IF NOT EXISTS servicebus_locked ON servicebus_messages (entity, locked_until) WHERE token IS NOT NULL;
  CREATE INDEX IF NOT EXISTS servicebus_expiry ON servicebus_messages (entity, expires_at) WHERE expires_at IS NOT NULL;
  CREATE UNIQUE INDEX IF NOT EXISTS servicebus_tokens ON servicebus_messages (token) WHERE token IS NOT NULL;
  CREATE TABLE IF NOT EXISTS servicebus_sessions (
    entity TEXT NOT NULL, id TEXT NOT NULL, state BLOB, locked_until INTEGER, PRIMARY KEY (entity, id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS servicebus_seen (
    entity TEXT NOT NULL, message_id TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (entity, message_id)
  ) STRICT, WITHOUT ROWID;
`;
const STATE = { active: 0, deferred: 1, scheduled: 2 } as const;
/** More than any batch, so that one answer stays of a size that a client takes. */
const PEEK_BYTES_MAX = 1024 * 1024;
/** What only the broker may say of a message. */
const OURS =
  /^x-opt-(?:sequence-number|enqueued-time|locked-until|message-state|enqueue-sequence-number|deadletter-source)$/;

interface Row {
  readonly entity: string;
  readonly seq: number;
  readonly state: number;
  readonly session: string | null;
  readonly annotations: Uint8Array | null;
  readonly properties: Uint8Array | null;
  readonly application: Uint8Array | null;
  readonly body: Uint8Array;
  readonly ttl: number | null;
  readonly enqueued_at: number;
  readonly expires_at: number | null;
  readonly delivery_count: number;
  readonly token: string | null;
  readonly locked_until: number | null;
  readonly dead_source: string | null;
  readonly message_id: string;
}

export function openMessages(db: Database, now: () => number): Messages {
  db.define(TABLES);

  function nextSeq(entity: string): number {
    db.run('UPDATE servicebus_entities SET last = last + 1 WHERE id = ?', entity);
    return db.get<{ last: number }>('SELECT last FROM servicebus_entities WHERE id = ?', entity)?.last ?? 0;
  }

  function isDuplicate(entity: Entity, messageId: string): boolean {
    if (entity.duplicateWindowMs === 0) return false;
    db.run('DELETE FROM servicebus_seen WHERE entity = ? AND at <= ?', entity.id, now() - entity.duplicateWindowMs);
    const { changes } = db.run('INSERT OR IGNORE INTO servicebus_seen VALUES (?, ?, ?)', entity.id, messageId, now());
    return changes === 0;
  }

  function insert(entity: Entity, message: Incoming): number | null {
    const { annotations, properties, application, body } = readSections(message.bytes);
    if (isDuplicate(entity, message.messageId)) return null;
    const seq = nextSeq(entity.id);
    const at = now();
    const due = message.enqueueAt !== null && message.enqueueAt > at ? message.enqueueAt : null;
    const ttl = Math.min(message.ttlMs ?? Number.POSITIVE_INFINITY, entity.defaultTtlMs ?? Number.POSITIVE_INFINITY);
    const kept = readEntries(annotations).filter(([key]) => !OURS.test(key));
    db.run(
      `INSERT INTO servicebus_messages (entity, seq, state, message_id, session, annotations, properties, application,
         body, ttl, enqueued_at, due_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      entity.id,
      seq,
      due === null ? STATE.active : STATE.scheduled,
      message.messageId,
      message.sessionId,
      kept.length === 0 ? null : toMapSection('annotations', kept),
      withMessageId(properties, message.messageId),
      application,
      body,
      Number.isFinite(ttl) ? ttl : null,
      due ?? at,
      due,
      Number.isFinite(ttl) ? (due ?? at) + ttl : null,
    );
    return seq;
  }

  function bytesOf(row: Row): Buffer {
    const system = [
      entry.long('x-opt-sequence-number', row.seq),
      entry.long('x-opt-enqueue-sequence-number', row.seq),
      entry.time('x-opt-enqueued-time', row.enqueued_at),
      entry.int('x-opt-message-state', row.state),
      ...(row.locked_until === null ? [] : [entry.time('x-opt-locked-until', row.locked_until)]),
      ...(row.dead_source === null ? [] : [entry.text('x-opt-deadletter-source', row.dead_source)]),
    ];
    const own = readEntries(row.annotations && Buffer.from(row.annotations));
    const parts = [row.properties, row.application, row.body].filter((it) => it !== null);
    const annotations = toMapSection('annotations', withEntries(own, system));
    return Buffer.concat([toHeader(row.ttl, row.delivery_count), annotations, ...parts]);
  }

  function lock(entity: Entity, row: Row, until: number): Held {
    const token = randomBytes(16).toString('hex');
    db.run(
      'UPDATE servicebus_messages SET token = ?, locked_until = ? WHERE entity = ? AND seq = ?',
      token,
      until,
      entity.id,
      row.seq,
    );
    return { seq: row.seq, token, lockedUntil: until, bytes: bytesOf({ ...row, token, locked_until: until }) };
  }

  function remove(row: Row): void {
    db.run('DELETE FROM servicebus_messages WHERE entity = ? AND seq = ?', row.entity, row.seq);
  }

  function withProperties(row: Row, entries: readonly Entry[]): Buffer | null {
    const own = row.application && Buffer.from(row.application);
    return entries.length === 0 ? own : toMapSection('application', withEntries(readEntries(own), entries));
  }

  function bury(entity: Entity, row: Row, reason?: string, description?: string, more: readonly Entry[] = []): void {
    const target = entity.deadLetters;
    if (target === null) {
      unlock(entity, row, more);
      return;
    }
    const entries = [
      ...more,
      ...(reason === undefined ? [] : [entry.property('DeadLetterReason', toText(reason))]),
      ...(description === undefined ? [] : [entry.property('DeadLetterErrorDescription', toText(description))]),
    ];
    db.run(
      `UPDATE servicebus_messages SET entity = ?, seq = ?, state = 0, application = ?, enqueued_at = ?, expires_at = NULL,
         session = NULL, token = NULL, locked_until = NULL, delivery_count = ?, dead_source = ?
       WHERE entity = ? AND seq = ?`,
      target,
      nextSeq(target),
      withProperties(row, entries),
      now(),
      row.delivery_count,
      entity.path,
      row.entity,
      row.seq,
    );
  }

  /** One attempt more; a deferred message stays deferred. */
  function unlock(entity: Entity, row: Row, properties: readonly Entry[] = []): void {
    const attempts = row.delivery_count + 1;
    if (row.state === STATE.active && attempts >= entity.maxDeliveryCount && entity.deadLetters !== null) {
      const text = `Message could not be consumed after ${entity.maxDeliveryCount} delivery attempts.`;
      bury(entity, { ...row, delivery_count: attempts }, 'MaxDeliveryCountExceeded', text, properties);
      return;
    }
    db.run(
      `UPDATE servicebus_messages SET token = NULL, locked_until = NULL, delivery_count = ?, application = ?
       WHERE entity = ? AND seq = ?`,
      attempts,
      withProperties(row, properties),
      row.entity,
      row.seq,
    );
  }

  function held(entity: Entity, token: string): Row | undefined {
    const sql = 'SELECT * FROM servicebus_messages WHERE token = ? AND entity = ? AND locked_until > ?';
    return db.get<Row>(sql, token, entity.id, now());
  }

  const APPLY: {
    readonly [Kind in Outcome['kind']]: (entity: Entity, row: Row, outcome: Extract<Outcome, { kind: Kind }>) => void;
  } = {
    complete: (_entity, row) => remove(row),
    abandon: (entity, row, { properties }) => unlock(entity, row, properties),
    defer(_entity, row, { properties }) {
      db.run(
        `UPDATE servicebus_messages SET state = 1, token = NULL, locked_until = NULL, application = ?
         WHERE entity = ? AND seq = ?`,
        withProperties(row, properties),
        row.entity,
        row.seq,
      );
    },
    dead: (entity, row, { reason, description, properties }) => bury(entity, row, reason, description, properties),
  };

  function tick(entity: Entity): number | null {
    const at = now();
    const { id } = entity;
    const lost = db.all<Row>(
      'SELECT * FROM servicebus_messages WHERE entity = ? AND token IS NOT NULL AND locked_until <= ?',
      id,
      at,
    );
    const old = db.all<Row>(
      'SELECT * FROM servicebus_messages WHERE entity = ? AND expires_at <= ? AND token IS NULL AND state <> 2',
      id,
      at,
    );
    db.transaction(() => {
      for (const row of lost) unlock(entity, row);
      db.run(
        'UPDATE servicebus_messages SET state = 0, due_at = NULL WHERE entity = ? AND state = 2 AND due_at <= ?',
        id,
        at,
      );
      for (const row of old) {
        if (!entity.deadLetterOnExpiry) remove(row);
        else bury(entity, row, 'TTLExpiredException', 'The message expired and was dead lettered.');
      }
      db.run('UPDATE servicebus_sessions SET locked_until = NULL WHERE entity = ? AND locked_until <= ?', id, at);
    });
    const next = db.get<{ at: number | null }>(
      `SELECT min(at) AS at FROM (
         SELECT min(locked_until) AS at FROM servicebus_messages WHERE entity = ?1 AND token IS NOT NULL
         UNION ALL SELECT min(due_at) FROM servicebus_messages WHERE entity = ?1 AND state = 2
         UNION ALL SELECT min(expires_at) FROM servicebus_messages WHERE entity = ?1 AND expires_at > ?2 AND token IS NULL
       )`,
      id,
      at,
    );
    return next?.at ?? null;
  }

  return {
    enqueue: (entity, message) => db.transaction(() => insert(entity, message)),
    next(entity, { forget, sessionId }) {
      const free = 'SELECT * FROM servicebus_messages WHERE entity = ? AND state = 0 AND token IS NULL';
      const row =
        sessionId === undefined
          ? db.get<Row>(`${free} ORDER BY seq LIMIT 1`, entity.id)
          : db.get<Row>(`${free} AND session = ? ORDER BY seq LIMIT 1`, entity.id, sessionId);
      if (row === undefined) return null;
      if (forget) {
        remove(row);
        return { seq: row.seq, token: null, lockedUntil: null, bytes: bytesOf(row) };
      }
      return lock(entity, row, now() + entity.lockDurationMs);
    },
    settle: (entity, token, outcome) =>
      db.transaction(() => {
        const row = held(entity, token);
        if (row === undefined) return false;
        (APPLY[outcome.kind] as (entity: Entity, row: Row, outcome: Outcome) => void)(entity, row, outcome);
        return true;
      }),
    renew(entity, token) {
      const row = held(entity, token);
      if (row === undefined) return null;
      const until = now() + entity.lockDurationMs;
      db.run('UPDATE servicebus_messages SET locked_until = ? WHERE token = ?', until, token);
      return until;
    },
    peek(entity, from, max, sessionId) {
      const sql = 'SELECT * FROM servicebus_messages WHERE entity = ? AND seq >= ?';
      const rows =
        sessionId === undefined
          ? db.all<Row>(`${sql} ORDER BY seq LIMIT ?`, entity.id, from, max)
          : db.all<Row>(`${sql} AND session = ? ORDER BY seq LIMIT ?`, entity.id, from, sessionId, max);
      const all: { seq: number; bytes: Buffer }[] = [];
      let size = 0;
      for (const row of rows) {
        const bytes = bytesOf({ ...row, locked_until: null });
        size += bytes.length;
        if (all.length > 0 && size > PEEK_BYTES_MAX) break;
        all.push({ seq: row.seq, bytes });
      }
      return all;
    },
    takeDeferred: (entity, seqs, forget) =>
      db.transaction(() => {
        const sql = 'SELECT * FROM servicebus_messages WHERE entity = ? AND seq = ? AND state = 1 AND token IS NULL';
        const rows = seqs.map((seq) => db.get<Row>(sql, entity.id, seq));
        if (!rows.every((row) => row !== undefined)) return null;
        return rows.map((row) => {
          if (!forget) return lock(entity, row, now() + entity.lockDurationMs);
          remove(row);
          return { seq: row.seq, token: null, lockedUntil: null, bytes: bytesOf(row) };
        });
      }),
    cancel: (entity, seqs) =>
      db.transaction(() => {
        const sql = 'SELECT 1 FROM servicebus_messages WHERE entity = ? AND seq = ? AND state = 2';
        if (!seqs.every((seq) => db.get(sql, entity.id, seq) !== undefined)) return false;
        for (const seq of seqs) db.run('DELETE FROM servicebus_messages WHERE entity = ? AND seq = ?', entity.id, seq);
        return true;
      }),
    lockSession: (entity, wanted) =>
      db.transaction(() => {
        const at = now();
        const isFree = (id: string) =>
          db.get(
            'SELECT 1 FROM servicebus_sessions WHERE entity = ? AND id = ? AND locked_until > ?',
            entity.id,
            id,
            at,
          ) === undefined;
        const waiting = db.all<{ session: string }>(
          `SELECT session FROM servicebus_messages WHERE entity = ? AND state = 0 AND token IS NULL AND session IS NOT NULL
           GROUP BY session ORDER BY min(seq)`,
          entity.id,
        );
        const id = wanted ?? waiting.find(({ session }) => isFree(session))?.session;
        if (id === undefined || !isFree(id)) return null;
        const lockedUntil = at + entity.lockDurationMs;
        db.run(
          `INSERT INTO servicebus_sessions (entity, id, locked_until) VALUES (?, ?, ?)
           ON CONFLICT (entity, id) DO UPDATE SET locked_until = excluded.locked_until`,
          entity.id,
          id,
          lockedUntil,
        );
        return { id, lockedUntil };
      }),
    renewSession: (entity, id) =>
      db.transaction(() => {
        const until = now() + entity.lockDurationMs;
        const { changes } = db.run(
          'UPDATE servicebus_sessions SET locked_until = ? WHERE entity = ? AND id = ? AND locked_until > ?',
          until,
          entity.id,
          id,
          now(),
        );
        if (changes === 0) return null;
        db.run(
          'UPDATE servicebus_messages SET locked_until = ? WHERE entity = ? AND session = ? AND token IS NOT NULL',
          until,
          entity.id,
          id,
        );
        return until;
      }),
    releaseSession: (entity, id) =>
      db.transaction(() => {
        const sql = 'SELECT * FROM servicebus_messages WHERE entity = ? AND session = ? AND token IS NOT NULL';
        for (const row of db.all<Row>(sql, entity.id, id)) unlock(entity, row);
        db.run('UPDATE servicebus_sessions SET locked_until = NULL WHERE entity = ? AND id = ?', entity.id, id);
      }),
    sessionState(entity, id) {
      const sql = 'SELECT state FROM servicebus_sessions WHERE entity = ? AND id = ?';
      const state = db.get<{ state: Uint8Array | null }>(sql, entity.id, id)?.state;
      return state ? Buffer.from(state) : null;
    },
    setSessionState(entity, id, state) {
      db.run(
        `INSERT INTO servicebus_sessions (entity, id, state) VALUES (?, ?, ?)
         ON CONFLICT (entity, id) DO UPDATE SET state = excluded.state`,
        entity.id,
        id,
        state,
      );
    },
    tick,
  };
}
