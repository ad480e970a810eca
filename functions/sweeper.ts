/** What goes on by itself: keys that are due every few seconds, and now and then a look at everything. */

import { isFault } from '../shared/model/fault.ts';
import { antiEntropy } from '../shared/replicate/anti-entropy.ts';
import { collect } from '../shared/replicate/collect.ts';
import { sweep } from '../shared/replicate/sweep.ts';
import { isTimeUp } from '../shared/replicate/time.ts';
import type { Timer, World } from '../shared/world/world.ts';

export interface SweeperOptions {
  readonly timer: Timer;
  readonly sweepEveryMs?: number;
  /** 0: never. */
  readonly passEveryMs?: number;
  readonly keysAtOnce?: number;
}

export interface RunningSweeper {
  /** Lets the round under way end. */
  stop(): Promise<void>;
}

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const PAGE = 1000;

export function startSweeper(world: World, options: SweeperOptions): RunningSweeper {
  const { timer, sweepEveryMs = 5 * SECOND, passEveryMs = HOUR, keysAtOnce = 200 } = options;
  let stopped = false;
  let lastPassAt = world.clock.now();
  let waiting = false;
  let round = Promise.resolve();
  let cancel = timer.after(sweepEveryMs, begin);

  function begin(): void {
    round = tick().finally(() => {
      if (!stopped) cancel = timer.after(sweepEveryMs, begin);
    });
  }

  async function tick(): Promise<void> {
    try {
      await sweepDue();
      if (passEveryMs === 0 || world.clock.now() - lastPassAt < passEveryMs) return;
      lastPassAt = world.clock.now();
      await pass(world);
    } catch (error) {
      if (!isFault(error)) throw error;
      world.report({ severity: 'warning', what: 'ledger-down', detail: error.message });
    }
  }

  /** When a site answers again, what waits for it need not wait for its hour. */
  async function sweepDue(): Promise<void> {
    const swept = await sweepAll(world, keysAtOnce, 0, () => stopped);
    const isBack = waiting && swept.done > 0;
    waiting = swept.waiting > 0 || (waiting && !isBack);
    if (isBack) {
      const ahead = await sweepAll(world, keysAtOnce, world.topology.limits.leaseMs, () => stopped);
      waiting = ahead.waiting > 0;
    }
  }

  return {
    async stop() {
      stopped = true;
      cancel();
      await round;
    },
  };
}

/** Page after page of what is due, until there is no more or nothing comes of it. */
export async function sweepAll(
  world: World,
  keysAtOnce: number,
  aheadMs = 0,
  isOver: () => boolean = () => false,
): Promise<{ readonly done: number; readonly waiting: number }> {
  let done = 0;
  let waiting = 0;
  for (;;) {
    const swept = await sweep(world, keysAtOnce, aheadMs);
    done += swept.done;
    waiting += swept.waiting;
    const isLast = swept.done + swept.later + swept.failed < keysAtOnce;
    // What was not done is due again later; ahead of its time that may still be within this page.
    const isIdle = swept.done === 0 && (aheadMs > 0 || swept.later === 0);
    if (isLast || isIdle || isOver() || isTimeUp(world)) return { done, waiting };
  }
}

/** One pass over everything; tombstones may be forgotten when it has seen every site. */
export async function pass(world: World): Promise<void> {
  const report = await antiEntropy(world);
  if (report.kind === 'stopped' || report.skippedSites.length > 0 || report.left > 0) return;
  let after: string | undefined;
  do {
    const keys = await world.ledger.listKeys({ limit: PAGE, ...(after === undefined ? {} : { after }) });
    await collect(world, keys, report.startedAt);
    after = keys.length < PAGE ? undefined : keys.at(-1);
  } while (after !== undefined && !isTimeUp(world));
}
