/** Processes of a benchmark from inside: what their parent asks for by name, answered over the channel between them. */

export interface Ask {
  readonly id: number;
  readonly operation: string;
  readonly args: readonly unknown[];
}

export interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** Since the process began. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
}

export type Operations = Readonly<Record<string, (...args: never[]) => unknown>>;

/** `stop` is called before the process ends. */
export function serveParent(operations: Operations, stop: () => Promise<void> | void): void {
  process.on('message', (message) => void answer(message as Ask));
  // Without its parent nobody would ever stop it.
  process.on('disconnect', () => process.exit(1));

  async function answer({ id, operation, args }: Ask): Promise<void> {
    try {
      if (operation === 'stop') await stop();
      const result = operation === 'stop' ? null : await run(operation, args);
      process.send?.({ id, result } satisfies Answer, () => {
        if (operation === 'stop') process.exit(0);
      });
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      process.send?.({ id, error: text } satisfies Answer);
    }
  }

  async function run(operation: string, args: readonly unknown[]): Promise<unknown> {
    if (operation === 'usage') return usage();
    const it = operations[operation];
    if (it === undefined) throw new Error(`there is no operation ${operation}`);
    return it(...(args as never[]));
  }
}

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { cpuSeconds: (user + system) / 1e6, peakRssBytes: process.resourceUsage().maxRSS * 1024 };
}

/** Milliseconds since the epoch, finer than Date: comparable between the processes of one machine. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
