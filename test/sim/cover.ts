/** Watches whether a key that is due can be found: by the ledger's index, or by a message that is still kept. */

import type { KeyItem } from '#shared/model/key-item.ts';
import type { History } from './history.ts';

export interface Cover {
  received(by: number, message: { readonly id: string; readonly key: string; readonly heldUntil: number }): void;
  stored(step: number, now: number, by: number, item: KeyItem): void;
  /** The message is gone. */
  acknowledged(step: number, by: number, id: string): void;
  ledgerLost(): void;
}

interface Held {
  readonly key: string;
  readonly by: number;
  readonly heldUntil: number;
}

export function openCover({ uncovered }: History): Cover {
  /** Messages that were received at least once and are not gone, with who was given them last. */
  const open = new Map<string, Held>();
  const given = new Set<string>();
  /** Keys that are due, not in the index, and were left so by somebody who held a message. */
  const owed = new Set<string>();

  return {
    received(by, { id, key, heldUntil }) {
      open.set(id, { key, by, heldUntil });
      given.add(`${by} ${key}`);
    },

    stored(step, now, by, { key, unlisted }) {
      owed.delete(key);
      if (!unlisted) return;
      if (!given.has(`${by} ${key}`)) uncovered.push({ step, key, text: 'left out of the index without a message' });
      // Who has slept for longer than its message was held found what no message tells: a pass finds it again.
      else if ([...open.values()].some((it) => it.key === key && it.by === by && it.heldUntil > now)) owed.add(key);
    },

    acknowledged(step, by, id) {
      const key = open.get(id)?.key ?? '';
      open.delete(id);
      const left = [...open.values()].filter((it) => it.key === key);
      if (!left.some((it) => it.by === by)) given.delete(`${by} ${key}`);
      if (owed.has(key) && left.length === 0)
        uncovered.push({
          step,
          key,
          text: 'the last message is acknowledged while the key is due and not in the index',
        });
    },

    ledgerLost: () => owed.clear(),
  };
}
