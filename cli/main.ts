/** The command line `triplicate`: arguments, environment, terminal and signals are here alone, and handed on from here. */

import { openSystemClock, openSystemTimer } from '../shared/world/system.ts';
import type { Context } from './command.ts';
import { COMMANDS } from './commands.ts';
import { dispatch } from './dispatch.ts';

const COLUMNS = 100;
/** Timers that nobody can stop must not keep the caller: Azurite's database saves itself for as long as the process lives. */
const END_MS = 1_000;
const INTERRUPTED = 130;

const { env, stdout, stderr } = process;
const { now } = openSystemClock();
let drawn = false;

const context: Context = {
  env,
  folder: process.cwd(),
  out: (line) => {
    context.draw('');
    stdout.write(`${line}\n`);
  },
  err: (line) => {
    context.draw('');
    stderr.write(`${line}\n`);
  },
  draw(line) {
    if (!stderr.isTTY || (line === '' && !drawn)) return;
    stderr.write(`\r\u001b[K${line.slice(0, stderr.columns - 1)}`);
    drawn = line !== '';
  },
  colours: stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb',
  columns: stdout.isTTY ? stdout.columns : COLUMNS,
  now,
  timer: openSystemTimer(),
  untilStopped: () =>
    new Promise((resolve) => {
      const stop = () => {
        for (const signal of ['SIGINT', 'SIGTERM'] as const)
          process.off(signal, stop).on(signal, () => process.exit(INTERRUPTED));
        resolve();
      };
      process.on('SIGINT', stop).on('SIGTERM', stop);
    }),
};

stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever read the output has seen enough.
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});
process.exitCode = await dispatch(COMMANDS, process.argv.slice(2), context);
setTimeout(() => process.exit(), END_MS).unref();
