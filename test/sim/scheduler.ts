/** Owns every await of the simulated workers: a call waits here until the scheduler, under the seed, lets it happen. */

import type { Chance } from './random.ts';

export interface Task {
  readonly id: number;
  readonly name: string;
  readonly skewMs: number;
  /** A paused worker: none of its calls happens before this time. */
  asleepUntil: number;
  state: 'running' | 'ended' | 'crashed';
}

/** What becomes of one call. */
export type Fate = 'answered' | 'crash-before' | 'crash-after';

interface Pending {
  readonly task: Task;
  readonly label: string;
  readonly happen: (fate: Fate) => Promise<void>;
}

export interface Scheduler {
  readonly tasks: readonly Task[];
  start(name: string, skewMs: number, work: (task: Task) => Promise<unknown>): Task;
  /** Resolves when the scheduler chose this call and it was answered; never when its worker crashed. */
  call<T>(task: Task, label: string, effect: () => Promise<T>): Promise<T>;
  /** Lets one pending call happen; false when none can. */
  step(now: number, fate: (task: Task, label: string) => Fate): Promise<boolean>;
  crash(task: Task): void;
  wakeAll(): void;
  /** Faults of the workers' own code, which no fault of the world excuses. */
  readonly broken: unknown[];
}

export function openScheduler(chance: Chance, trace: (task: Task, text: () => string) => void): Scheduler {
  const tasks: Task[] = [];
  const broken: unknown[] = [];
  let pending: Pending[] = [];
  let nextId = 1;

  function end(task: Task, state: 'ended' | 'crashed'): void {
    task.state = state;
    const at = tasks.indexOf(task);
    if (at >= 0) tasks.splice(at, 1);
    if (state === 'crashed') pending = pending.filter((call) => call.task !== task);
  }

  return {
    tasks,
    broken,

    start(name, skewMs, work) {
      const task: Task = { id: nextId++, name, skewMs, asleepUntil: 0, state: 'running' };
      tasks.push(task);
      work(task).then(
        () => end(task, 'ended'),
        (error) => {
          if (task.state === 'crashed') return;
          end(task, 'ended');
          broken.push(error);
        },
      );
      return task;
    },

    call(task, label, effect) {
      return new Promise((resolve, reject) => {
        if (task.state === 'crashed') return;
        pending.push({
          task,
          label,
          async happen(fate) {
            if (fate === 'crash-before') {
              trace(task, () => `${label}: CRASHED before`);
              end(task, 'crashed');
              return;
            }
            try {
              const answer = await effect();
              if (fate === 'crash-after') {
                trace(task, () => `${label}: happened, then CRASHED`);
                end(task, 'crashed');
              } else resolve(answer);
            } catch (error) {
              if (fate === 'crash-after') end(task, 'crashed');
              else reject(error);
            }
          },
        });
      });
    },

    async step(now, fate) {
      const awake = pending.filter((call) => call.task.asleepUntil <= now);
      if (awake.length === 0) return false;
      const chosen = chance.pick(awake);
      pending.splice(pending.indexOf(chosen), 1);
      await chosen.happen(fate(chosen.task, chosen.label));
      await turn();
      return true;
    },

    crash(task) {
      end(task, 'crashed');
    },

    wakeAll() {
      for (const task of tasks) task.asleepUntil = 0;
    },
  };
}

/** Until every worker waits for the scheduler again. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
