/** One run over a key at a time in this process: what came meanwhile finds the work done, and costs one look at the ledger. */

import type { InTurn } from '../shared/replicate/consume.ts';

export function openTurns(): InTurn {
  const last = new Map<string, Promise<unknown>>();
  return (key, task) => {
    const before = last.get(key);
    const mine = before === undefined ? task() : before.then(task, task);
    last.set(key, mine);
    const forget = () => {
      if (last.get(key) === mine) last.delete(key);
    };
    mine.then(forget, forget);
    return mine;
  };
}
