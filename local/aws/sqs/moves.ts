/** Brings dead letters back, or elsewhere: tasks that go on by themselves, and after a restart too. */

import { randomUUID } from 'node:crypto';
import type { Cloud } from '../../service.ts';
import { invalidParameter, sqsError } from './errors.ts';
import type { QueueRecord, Queues } from './queues.ts';

export interface Moves {
  start(sourceArn: string, destinationArn: string | undefined, perSecond: number | undefined): string;
  /** The newest first. */
  list(sourceArn: string, max: number): readonly MoveTask[];
  /** Answers how many had been moved. */
  cancel(taskHandle: string): number;
  stop(): void;
}

export interface MoveTask {
  readonly TaskHandle?: string;
  readonly Status: string;
  readonly SourceArn: string;
  readonly DestinationArn?: string;
  readonly MaxNumberOfMessagesPerSecond?: number;
  readonly ApproximateNumberOfMessagesMoved: number;
  readonly ApproximateNumberOfMessagesToMove: number;
  readonly FailureReason?: string;
  readonly StartedTimestamp: number;
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS sqs_moves (
    id TEXT NOT NULL PRIMARY KEY, source TEXT NOT NULL, destination TEXT, per_second INTEGER, status TEXT NOT NULL,
    moved INTEGER NOT NULL DEFAULT 0, to_move INTEGER NOT NULL, started_at INTEGER NOT NULL, failure TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS sqs_moves_source ON sqs_moves (source, started_at);
`;

const BATCH = 100;
const PER_SECOND_MAX = 500;
const LIST_MAX = 10;

interface Row {
  readonly id: string;
  readonly source: string;
  readonly destination: string | null;
  readonly per_second: number | null;
  readonly status: 'RUNNING' | 'COMPLETED' | 'CANCELLED' | 'FAILED';
  readonly moved: number;
  readonly to_move: number;
  readonly started_at: number;
  readonly failure: string | null;
}

interface Letter {
  readonly id: number;
  readonly source_arn: string | null;
}

export function openMoves(cloud: Cloud, queues: Queues, wake: (queue: number) => void): Moves {
  const { db } = cloud.state;
  db.define(TABLES);
  const timers = new Set<NodeJS.Timeout>();

  function goOn(id: string, perSecond: number | null): void {
    const timer = setTimeout(
      () => {
        timers.delete(timer);
        if (step(id, perSecond === null ? BATCH : 1)) goOn(id, perSecond);
      },
      perSecond === null ? 1 : 1000 / perSecond,
    );
    timers.add(timer);
  }

  /** Moves the next few; answers whether there is more to do. */
  function step(id: string, max: number): boolean {
    return db.transaction(() => {
      const task = db.get<Row>('SELECT * FROM sqs_moves WHERE id = ?', id);
      if (task?.status !== 'RUNNING') return false;
      const source = queues.findByArn(task.source);
      if (source === undefined) return end(id, 'FAILED', 'AWS.SimpleQueueService.NonExistentQueue');
      const letters = db.all<Letter>(
        'SELECT id, source_arn FROM sqs_messages WHERE queue = ? AND visible_at <= ? ORDER BY id LIMIT ?',
        source.id,
        cloud.now(),
        Math.min(max, task.to_move - task.moved),
      );
      if (letters.length === 0) return end(id, 'COMPLETED');
      for (const letter of letters) {
        const arn = task.destination ?? letter.source_arn;
        if (arn === null) return end(id, 'FAILED', 'CouldNotDetermineMessageSource');
        const target = queues.findByArn(arn);
        if (target === undefined) return end(id, 'FAILED', 'AWS.SimpleQueueService.NonExistentQueue');
        move(letter, target);
        db.run('UPDATE sqs_moves SET moved = moved + 1 WHERE id = ?', id);
      }
      return task.moved + letters.length < task.to_move || end(id, 'COMPLETED');
    });
  }

  /** It counts as a new message, with a new name and no history. */
  function move(letter: Letter, target: QueueRecord): void {
    const now = cloud.now();
    db.run(
      `INSERT INTO sqs_messages
         (queue, message_id, body, attributes, system, sent_at, visible_at, group_id, deduplication_id)
       SELECT ?, ?, body, attributes, system, ?, ?, group_id, deduplication_id FROM sqs_messages WHERE id = ?`,
      target.id,
      randomUUID(),
      now,
      now,
      letter.id,
    );
    db.run('DELETE FROM sqs_messages WHERE id = ?', letter.id);
    db.afterCommit(() => wake(target.id));
  }

  function end(id: string, status: Row['status'], failure: string | null = null): false {
    db.run('UPDATE sqs_moves SET status = ?, failure = ? WHERE id = ?', status, failure, id);
    return false;
  }

  function queueOf(arn: string, parameter: string): QueueRecord {
    const queue = queues.findByArn(arn);
    if (queue !== undefined) return queue;
    const message = `The resource that you specified for the ${parameter} parameter doesn't exist.`;
    throw sqsError('ResourceNotFoundException', message);
  }

  for (const { id, per_second } of db.all<Row>("SELECT * FROM sqs_moves WHERE status = 'RUNNING'"))
    goOn(id, per_second);

  return {
    start(sourceArn, destinationArn, perSecond) {
      const source = queueOf(sourceArn, 'SourceArn');
      if (perSecond !== undefined && (perSecond < 1 || perSecond > PER_SECOND_MAX))
        throw invalidParameter(perSecond, 'MaxNumberOfMessagesPerSecond', `Must be between 1 and ${PER_SECOND_MAX}.`);
      if (queues.sourcesOf(source).length === 0)
        throw sqsError('InvalidParameterValue', 'Source queue must be configured as a Dead Letter Queue.');
      if (destinationArn !== undefined) queueOf(destinationArn, 'DestinationArn');
      const id = randomUUID();
      db.transaction(() => {
        if (db.get("SELECT 1 FROM sqs_moves WHERE source = ? AND status = 'RUNNING'", source.arn) !== undefined)
          throw sqsError(
            'InvalidParameterValue',
            'There is already a task running. Only one active task is allowed for a source queue arn at a given time.',
          );
        db.run(
          `INSERT INTO sqs_moves (id, source, destination, per_second, status, to_move, started_at)
           SELECT ?, ?, ?, ?, 'RUNNING', count(*), ? FROM sqs_messages WHERE queue = ? AND visible_at <= ?`,
          id,
          source.arn,
          destinationArn ?? null,
          perSecond ?? null,
          cloud.now(),
          source.id,
          cloud.now(),
        );
        db.afterCommit(() => goOn(id, perSecond ?? null));
      });
      return writeHandle(id, source.arn);
    },
    list(sourceArn, max) {
      const { arn } = queueOf(sourceArn, 'SourceArn');
      if (max < 1 || max > LIST_MAX)
        throw invalidParameter(max, 'MaxResults', `MaxResults must be between 1 and ${LIST_MAX}.`);
      const rows = db.all<Row>(
        'SELECT * FROM sqs_moves WHERE source = ? ORDER BY started_at DESC, rowid DESC LIMIT ?',
        arn,
        max,
      );
      return rows.map(toTask);
    },
    cancel(taskHandle) {
      const { id, source } = readHandle(taskHandle);
      queueOf(source, 'SourceArn');
      const task = db.get<Row>('SELECT * FROM sqs_moves WHERE id = ? AND source = ?', id, source);
      if (task === undefined) throw sqsError('ResourceNotFoundException', 'Task does not exist.');
      if (task.status !== 'RUNNING') throw sqsError('UnsupportedOperation', 'Only active tasks can be cancelled.');
      end(id, 'CANCELLED');
      return task.moved;
    },
    stop() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}

function toTask(row: Row): MoveTask {
  return {
    ...(row.status === 'RUNNING' ? { TaskHandle: writeHandle(row.id, row.source) } : {}),
    Status: row.status,
    SourceArn: row.source,
    ...(row.destination === null ? {} : { DestinationArn: row.destination }),
    ...(row.per_second === null ? {} : { MaxNumberOfMessagesPerSecond: row.per_second }),
    ApproximateNumberOfMessagesMoved: row.moved,
    ApproximateNumberOfMessagesToMove: row.to_move,
    ...(row.failure === null ? {} : { FailureReason: row.failure }),
    StartedTimestamp: row.started_at,
  };
}

function writeHandle(taskId: string, sourceArn: string): string {
  return Buffer.from(JSON.stringify({ taskId, sourceArn })).toString('base64');
}

function readHandle(handle: string): { readonly id: string; readonly source: string } {
  try {
    const { taskId, sourceArn } = JSON.parse(Buffer.from(handle, 'base64').toString()) as Record<string, unknown>;
    if (typeof taskId === 'string' && typeof sourceArn === 'string') return { id: taskId, source: sourceArn };
  } catch {
    // Nobody was ever given such a handle.
  }
  throw sqsError('InvalidParameterValue', 'Value for parameter TaskHandle is invalid.');
}
