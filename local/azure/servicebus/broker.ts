/** The broker behind the links: accepts messages, hands them to whoever has credit, and wakes up when something is due. */

import type { Cloud } from '../../service.ts';
import { type Entities, type Entity, matches, openEntities } from './entities.ts';
import { type Held, type Messages, openMessages } from './messages.ts';
import type { ReadMessage } from './wire.ts';

/** A link that receives. */
export interface Consumer {
  readonly entity: Entity;
  /** Messages are gone as soon as they are handed out. */
  readonly forget: boolean;
  readonly sessionId: string | undefined;
  /** How many more it takes. */
  room(): number;
  deliver(held: Held): void;
}

export interface Broker {
  readonly entities: Entities;
  readonly messages: Messages;
  /** Null: there is no such entity. Else the last sequence number. Durable when it returns. */
  accept(path: string, messages: readonly ReadMessage[]): number | null;
  add(consumer: Consumer): void;
  remove(consumer: Consumer): void;
  /** Something has changed: whoever waits may have it. */
  pump(entity: Entity): void;
  stop(): void;
}

/** The clock may jump: it is looked at this often at least. */
const LOOK_MS_MAX = 500;

export function openBroker(cloud: Cloud): Broker {
  const { db } = cloud.state;
  const entities = openEntities(db);
  const messages = openMessages(db, cloud.now);
  const consumers = new Map<string, Set<Consumer>>();
  let timer: NodeJS.Timeout | undefined;
  let timerAt = Number.POSITIVE_INFINITY;

  function pump(entity: Entity): void {
    const due = messages.tick(entity);
    let left = [...(consumers.get(entity.id) ?? [])];
    // One each in turn, so that no receiver starves beside a greedy one.
    while (left.length > 0)
      left = left.filter((consumer) => {
        if (consumer.room() <= 0) return false;
        const { forget, sessionId } = consumer;
        const held = messages.next(entity, { forget, ...(sessionId === undefined ? {} : { sessionId }) });
        if (held === null) return false;
        consumer.deliver(held);
        return true;
      });
    if (due !== null && isWaitedFor(entity)) wake(due);
    const shelf = entity.deadLetters === null ? undefined : entities.entity(entity.deadLetters);
    if (shelf !== undefined && isWaitedFor(shelf)) pump(shelf);
  }

  const isWaitedFor = ({ id }: Entity) => (consumers.get(id)?.size ?? 0) > 0;

  /** Everything that waits for its hour is found by looking again: locks, schedules, ends of life. */
  function wake(due: number): void {
    const at = Date.now() + Math.min(Math.max(1, due - cloud.now()), LOOK_MS_MAX);
    if (at >= timerAt) return;
    clearTimeout(timer);
    timerAt = at;
    timer = setTimeout(() => {
      timerAt = Number.POSITIVE_INFINITY;
      try {
        for (const entity of entities.list()) if (isWaitedFor(entity)) pump(entity);
      } catch (error) {
        cloud.report(`azure servicebus: ${String(error)}`);
      }
    }, at - Date.now());
    timer.unref();
  }

  function targetsOf(path: string, message: ReadMessage): readonly Entity[] | null {
    const topic = entities.topic(path);
    if (topic === undefined) {
      const entity = entities.entity(path);
      return entity === undefined || entity.deadLetters === null ? null : [entity];
    }
    return topic.subscriptions.filter(({ filter }) => matches(filter, message.filtered)).map((it) => it.entity);
  }

  return {
    entities,
    messages,
    accept(path, all) {
      const touched = new Map<string, Entity>();
      let last: number | null = null;
      const known = db.transaction(() => {
        for (const message of all) {
          const targets = targetsOf(path, message);
          if (targets === null) return false;
          for (const entity of targets) {
            last = messages.enqueue(entity, message) ?? last;
            touched.set(entity.id, entity);
          }
        }
        return true;
      });
      if (!known) return null;
      db.afterCommit(() => {
        for (const entity of touched.values()) pump(entity);
      });
      return last ?? 0;
    },
    add(consumer) {
      const { id } = consumer.entity;
      consumers.set(id, (consumers.get(id) ?? new Set()).add(consumer));
    },
    remove: (consumer) => void consumers.get(consumer.entity.id)?.delete(consumer),
    pump,
    stop: () => clearTimeout(timer),
  };
}
