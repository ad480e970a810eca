/** Every command there is, in the order in which help tells them. */

import type { Command } from './command.ts';
import { conflictsList, conflictsResolve, conflictsShow } from './commands/conflicts.ts';
import { cp } from './commands/cp.ts';
import { demo } from './commands/demo.ts';
import { diff } from './commands/diff.ts';
import { explain } from './commands/explain.ts';
import { local } from './commands/local.ts';
import { resync } from './commands/resync.ts';
import { status } from './commands/status.ts';
import { worker } from './commands/worker.ts';

export const COMMANDS: readonly Command[] = [
  local,
  worker,
  status,
  explain,
  diff,
  resync,
  conflictsList,
  conflictsShow,
  conflictsResolve,
  cp,
  demo,
];
