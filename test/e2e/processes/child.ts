/** A process of its own, to be killed without a warning. */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Child {
  readonly pid: number;
  /** What it wrote to its error output. */
  complaints(): string;
  kill(): Promise<void>;
}

/** Answers when the process has printed a line; one that ends before is an error with what it complained of. */
export async function startChild(script: string, args: readonly string[]): Promise<Child> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...args]);
  let complaints = '';
  child.stderr.on('data', (bytes) => {
    complaints = `${complaints}${bytes}`.slice(-20_000);
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('close', () => reject(new Error(`${script} ended by itself: ${complaints}`)));
  });
  child.stdout.resume();
  return {
    pid: child.pid as number,
    complaints: () => complaints,
    async kill() {
      if (isRunning(child)) child.kill('SIGKILL');
      await ended;
    },
  };
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}

/** The most memory that the process has ever had, in MiB; null where the system does not tell. */
export function peakMebibytes(pid: number): number | null {
  try {
    const kibibytes = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kibibytes === undefined ? null : Math.round(Number(kibibytes) / 1024);
  } catch {
    return null;
  }
}
