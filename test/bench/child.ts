/** Processes of a benchmark as their parent sees them: each is asked by name, and tells what it has used. */

import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Answer, Ask, Operations, Usage } from './serve.ts';

export interface Child {
  readonly pid: number;
  ask<Result>(operation: string, ...args: readonly unknown[]): Promise<Result>;
  usage(): Promise<Usage>;
  stop(): Promise<void>;
}

/** `execArgv`: for profiles. */
export interface ChildOptions {
  readonly execArgv?: readonly string[];
  /** Its own lines on standard error are shown only when it fails. */
  readonly answerMs?: number;
}

const ANSWER_MS = 20 * 60_000;
const STOP_MS = 30_000;
const TOLD_MAX = 20_000;

/** `name`: a file in processes/. */
export function openChild(name: string, { execArgv = [], answerMs = ANSWER_MS }: ChildOptions = {}): Child {
  const child = fork(join(import.meta.dirname, 'processes', `${name}.ts`), {
    serialization: 'advanced',
    execArgv: ['--disable-warning=ExperimentalWarning', ...execArgv],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let told = '';
  const keep = (text: Buffer) => {
    told = `${told}${text}`.slice(-TOLD_MAX);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  const open = new Map<number, PromiseWithResolvers<unknown>>();
  let asked = 0;
  let stopping = false;

  child.on('message', (message) => {
    const { id, result, error } = message as Answer;
    const waiting = open.get(id);
    open.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(`${name}: ${error}`));
  });
  const ended = new Promise<void>((resolve) => {
    child.on('exit', (code, signal) => {
      const failure = new Error(`${name} ended by ${signal ?? code}${stopping ? '' : `:\n${told}`}`);
      for (const waiting of open.values()) waiting.reject(failure);
      open.clear();
      resolve();
    });
  });

  function ask<Result>(operation: string, ...args: readonly unknown[]): Promise<Result> {
    const id = ++asked;
    const waiting = Promise.withResolvers<unknown>();
    const limit = setTimeout(() => {
      open.delete(id);
      waiting.reject(new Error(`${name}: no answer to ${operation} within ${answerMs} ms\n${told}`));
    }, answerMs);
    open.set(id, waiting);
    child.send({ id, operation, args } satisfies Ask, (error) => {
      if (error) waiting.reject(new Error(`${name}: ${operation}: ${error.message}\n${told}`));
    });
    return (waiting.promise as Promise<Result>).finally(() => clearTimeout(limit));
  }

  return {
    pid: child.pid ?? 0,
    ask,
    usage: () => ask<Usage>('usage'),
    async stop() {
      stopping = true;
      if (child.exitCode !== null || child.signalCode !== null) return;
      ask('stop').catch(() => {});
      const cut = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await ended;
      clearTimeout(cut);
    },
  };
}

export type { ChildProcess, Operations };
