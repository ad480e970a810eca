/** Every command there is, in the order in which help tells them. */

import type { Command } from './command.ts';
import { demo } from './commands/demo.ts';
import { local } from './commands/local.ts';

export const COMMANDS: readonly Command[] = [local, demo];
