/** Every command there is, in the order in which help tells them. */

import type { Command } from './command.ts';
import { conflictsList, conflictsResolve, conflictsShow } from './commands/conflicts.ts';
import { cp } from './commands/cp.ts';
import { deadList, deadRedrive } from './commands/dead.ts';
import { demo } from './commands/demo.ts';
import { diff } from './commands/diff.ts';
import { doctor } from './commands/doctor.ts';
import { explain } from './commands/explain.ts';
import { local } from './commands/local.ts';
import { rebuild, reseed, seed } from './commands/rebuild.ts';
import { resync } from './commands/resync.ts';
import { status } from './commands/status.ts';
import { verify } from './commands/verify.ts';
import { worker } from './commands/worker.ts';

export const COMMANDS: readonly Command[] = [
  ...[local, worker],
  ...[status, explain, diff, resync, verify],
  ...[conflictsList, conflictsShow, conflictsResolve, deadList, deadRedrive],
  ...[cp, doctor, seed, rebuild, reseed, demo],
];
