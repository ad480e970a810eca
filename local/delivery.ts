/** Brings notifications where they go, as the clouds do: at least once, late, in no order, and after a restart too. */

import type { CloudName, Faults } from './faults.ts';
import type { Database } from './state/sqlite.ts';

export interface Message {
  /** arn:aws:sqs:..., projects/P/topics/T, https://...: the beginning says who takes it. */
  readonly target: string;
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface Delivery {
  /** Call it in the transaction of the change it tells of: then neither stands without the other. */
  send(service: string, message: Message): void;
  /** Messages whose target begins so go here. A rejection is tried again, later and later. */
  to(prefix: string, take: (message: Message) => void | Promise<void>): void;
  /** Waits until nothing is left that could be delivered now: for tests. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY, due INTEGER NOT NULL, target TEXT NOT NULL, body TEXT NOT NULL,
    attributes TEXT NOT NULL, failed INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due, id);
`;

/** Then the message is given up, as the clouds do after hours or days. */
const ATTEMPTS_MAX = 30;
const BATCH = 100;
const RETRY_MS_MAX = 10_000;
const TIMER_MS_MAX = 1_000;

interface Row {
  readonly id: number;
  readonly target: string;
  readonly body: string;
  readonly attributes: string;
  readonly failed: number;
}

export interface DeliveryOptions {
  readonly cloud: CloudName;
  readonly db: Database;
  readonly faults: Faults;
  readonly report: (line: string) => void;
}

export function openDelivery({ cloud, db, faults, report }: DeliveryOptions): Delivery {
  db.define(TABLES);
  const takers = new Map<string, (message: Message) => void | Promise<void>>();
  let timer: NodeJS.Timeout | undefined;
  let timerAt = Number.POSITIVE_INFINITY;
  let running: Promise<void> | null = null;
  let stopped = false;

  function wake(at: number): void {
    if (stopped || running !== null || at >= timerAt) return;
    clearTimeout(timer);
    timerAt = at;
    timer = setTimeout(start, Math.min(Math.max(0, at - Date.now()), TIMER_MS_MAX));
  }

  function start(): void {
    timerAt = Number.POSITIVE_INFINITY;
    if (stopped || running !== null) return;
    running = pump().finally(() => {
      running = null;
      const next = db.get<{ due: number }>('SELECT due FROM deliveries ORDER BY due LIMIT 1');
      if (!stopped && next !== undefined) wake(next.due);
    });
  }

  async function pump(): Promise<void> {
    for (;;) {
      const rows = db.all<Row>('SELECT * FROM deliveries WHERE due <= ? ORDER BY due, id LIMIT ?', Date.now(), BATCH);
      if (rows.length === 0 || stopped) return;
      await Promise.all(rows.map(deliver));
    }
  }

  async function deliver(row: Row): Promise<void> {
    const { id, target, body, failed } = row;
    try {
      const prefix = [...takers.keys()].find((it) => target.startsWith(it));
      if (prefix === undefined) throw new Error(`nobody takes messages for ${target}`);
      await takers.get(prefix)?.({ target, body, attributes: JSON.parse(row.attributes) });
      db.run('DELETE FROM deliveries WHERE id = ?', id);
    } catch (error) {
      if (stopped) return;
      if (failed + 1 >= ATTEMPTS_MAX) {
        report(`${cloud}: a notification for ${target} was given up after ${ATTEMPTS_MAX} attempts: ${String(error)}`);
        db.run('DELETE FROM deliveries WHERE id = ?', id);
        return;
      }
      const due = Date.now() + Math.min(RETRY_MS_MAX, 50 * 2 ** failed);
      db.run('UPDATE deliveries SET failed = failed + 1, due = ? WHERE id = ?', Math.ceil(due), id);
    }
  }

  return {
    send(service, { target, body, attributes }) {
      for (const ms of faults.deliveries(cloud, service)) {
        const due = Math.ceil(Date.now() + ms);
        db.run(
          'INSERT INTO deliveries (due, target, body, attributes) VALUES (?, ?, ?, ?)',
          due,
          target,
          body,
          JSON.stringify(attributes),
        );
        db.afterCommit(() => wake(due));
      }
    },
    to(prefix, take) {
      takers.set(prefix, take);
      wake(Date.now());
    },
    async settled() {
      for (;;) {
        await running;
        const next = db.get<{ due: number }>('SELECT due FROM deliveries WHERE failed = 0 ORDER BY due LIMIT 1');
        if (next === undefined || stopped) return;
        await new Promise((resolve) => setTimeout(resolve, Math.max(1, next.due - Date.now())));
      }
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
