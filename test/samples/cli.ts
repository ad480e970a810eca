/** Runs commands as a person would, in this process: what they print, and their exit code. */

import type { Context } from '../../cli/command.ts';
import { COMMANDS } from '../../cli/commands.ts';
import { dispatch } from '../../cli/dispatch.ts';
import { openSystemTimer } from '../../shared/world/system.ts';

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly lines: readonly string[];
}

export interface Surroundings {
  readonly folder: string;
  readonly env?: Context['env'];
  readonly colours?: boolean;
  /** Ctrl-C. */
  readonly stopped?: Promise<void>;
  readonly heard?: (line: string) => void;
}

export async function run(
  { folder, env = {}, colours = false, stopped = new Promise(() => {}), heard = () => {} }: Surroundings,
  ...args: readonly string[]
): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const status = await dispatch(COMMANDS, args, {
    env,
    folder,
    out: (line) => {
      out.push(line);
      heard(line);
    },
    err: (line) => {
      err.push(line);
      heard(line);
    },
    draw: () => {},
    colours,
    columns: 100,
    now: Date.now,
    timer: openSystemTimer(),
    untilStopped: () => stopped,
  });
  const stdout = out.join('\n');
  return { status, stdout, stderr: err.join('\n'), lines: stdout.split('\n') };
}
