/** What all function platforms have in common: a world opened once in a process, and work that ends while there is time. */

import { fault, isFault } from '../../shared/model/fault.ts';
import { type Handed, type InTurn, type Settlement, type Source, workInTime } from '../../shared/replicate/consume.ts';
import { isTimeUp, withDeadline } from '../../shared/replicate/time.ts';
import type { Timer, World } from '../../shared/world/world.ts';
import { pass, sweepAll } from '../sweeper.ts';
import { openTurns } from '../turns.ts';
import { verifyHourly } from '../verifier.ts';

/** What functions work with; opened by an entry when the first invocation comes. */
export interface FunctionWorld {
  readonly world: World;
  /** By the name of the queue, as its cloud calls it. */
  readonly sources: Readonly<Record<string, Source>>;
  /** From then on the world is opened anew: a site was away when this one was. */
  readonly reopenAt?: number;
}

export interface FunctionOptions {
  readonly open: () => Promise<FunctionWorld>;
  readonly timer: Timer;
}

/** Tasks for a schedule. */
export type Task = 'sweep' | 'pass' | 'verify';

export const TASKS: readonly Task[] = ['sweep', 'pass', 'verify'];

export interface Functions {
  /** The same for all invocations of a process; an attempt that failed is repeated by the next one. */
  opened(): Promise<FunctionWorld>;
  /** Works on one message; false: its platform must give it again. `remainingMs`: what the invocation has left. */
  take(source: Source, handed: Handed, how: Taking): Promise<boolean>;
  /** Works on a message that nothing holds; null when the time was up before it ended. */
  work(source: Source, handed: Handed, remainingMs: number): Promise<Settlement | null>;
  run(task: Task, remainingMs: number): Promise<void>;
  /** Of what went wrong with one message people hear, and the others go on. */
  tell(world: World, error: unknown): void;
}

export interface Taking {
  readonly remainingMs: number;
  /** Whether the platform removes what was worked on by itself. */
  readonly removes: boolean;
}

/** Of the time that is left, so much is kept to end what was begun, and so much to answer. */
const ENDING = { share: 0.2, mostMs: 30_000 };
const ANSWERING = { share: 0.05, mostMs: 2_000 };
/** A platform holds a message for longer than an invocation takes. */
const HOLD_EXTRA_MS = 60_000;
const KEYS_AT_ONCE = 200;

export function openFunctions({ open, timer }: FunctionOptions): Functions {
  const inTurn = openTurns();
  let opening: Promise<FunctionWorld> | null = null;

  async function opened(): Promise<FunctionWorld> {
    const current = opening ?? openAnew();
    const { reopenAt, world } = await current;
    if (reopenAt === undefined || world.clock.now() < reopenAt) return current;
    // Invocations under way keep the old one, so nobody closes it. Of those that come now the first opens the new one.
    return opening === current || opening === null ? openAnew() : opening;
  }

  function openAnew(): Promise<FunctionWorld> {
    const attempt = open();
    opening = attempt;
    attempt.catch(() => {
      if (opening === attempt) opening = null;
    });
    return attempt;
  }

  async function work(source: Source, handed: Handed, remainingMs: number): Promise<Settlement | null> {
    const { world } = await opened();
    const read = () => source.read({ ...handed, attributes: textsOf(handed.attributes), attempt: 1, receipt: '' });
    return inTime(remainingMs, () => workInTime(limited(world, remainingMs), read, handed.deliveries, inTurn));
  }

  /** null when the time is up first; what was begun may go on and is safe to be cut off. */
  async function inTime<T>(remainingMs: number, task: () => Promise<T>): Promise<T | null> {
    const ended = Promise.withResolvers<null>();
    const cancel = timer.after(Math.max(0, remainingMs - keptOf(remainingMs, ANSWERING)), () => ended.resolve(null));
    try {
      return await Promise.race([task(), ended.promise]);
    } finally {
      cancel();
    }
  }

  return {
    opened,
    work,
    tell,
    async take(source, handed, { remainingMs, removes }) {
      const { world } = await opened();
      const taken = await inTime(remainingMs, () =>
        settle(limited(world, remainingMs), source, handed, { removes, holdMs: remainingMs + HOLD_EXTRA_MS, inTurn }),
      ).catch((error: unknown) => {
        tell(world, error);
        return false;
      });
      return taken === true;
    },
    async run(task, remainingMs) {
      const { world } = await opened();
      const within = limited(world, remainingMs);
      await inTime(remainingMs, async () => {
        if (task === 'sweep') await sweepAll(within, KEYS_AT_ONCE);
        else if (task === 'pass') await pass(within);
        else await verifyHourly(within, () => isTimeUp(within));
      });
    },
  };
}

interface Settling {
  readonly removes: boolean;
  readonly holdMs: number;
  readonly inTurn: InTurn;
}

async function settle(
  world: World,
  { queue, read }: Source,
  handed: Handed,
  { removes, holdMs, inTurn }: Settling,
): Promise<boolean> {
  if (queue.adopt === undefined)
    throw fault('unsupported', 'the queue cannot take over what a function was given: expected one of a cloud');
  const { delivery, dueInMs } = queue.adopt(handed, holdMs);
  const settlement: Settlement =
    dueInMs > 0
      ? { kind: 'again', delayMs: dueInMs }
      : await workInTime(world, () => read(delivery), delivery.attempt, inTurn);
  return (removes && settlement.kind === 'done') || queue.settle(delivery.receipt, settlement);
}

function limited(world: World, remainingMs: number): World {
  return withDeadline(world, world.clock.now() + remainingMs - keptOf(remainingMs, ENDING));
}

function keptOf(remainingMs: number, { share, mostMs }: typeof ENDING): number {
  return Math.min(mostMs, remainingMs * share);
}

function tell(world: World, error: unknown): void {
  if (isFault(error)) world.report({ severity: 'warning', what: 'queue-down', detail: error.message });
  else {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    world.report({ severity: 'alarm', what: 'bug', detail });
  }
}

function textsOf(attributes: Handed['attributes']): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(attributes).filter((it): it is [string, string] => typeof it[1] === 'string'),
  );
}

/** The queue of this name; the only one there is whatever it is called. */
export function sourceOf({ sources }: FunctionWorld, name: string): Source {
  const names = Object.keys(sources);
  const source = sources[name] ?? (names.length === 1 ? sources[names[0] as string] : undefined);
  if (source !== undefined) return source;
  throw fault(
    'invalid',
    `queue: expected one of ${names.join(', ') || 'those configured, which are none'}, got ${name}`,
    {
      field: 'queue',
      value: name,
    },
  );
}
