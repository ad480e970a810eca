/** Triplicate alone, between clouds that run elsewhere, until it is killed; prints a line when it has begun. */

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startReplication } from '../scene.ts';

const { values } = parseArgs({ options: { task: { type: 'string', default: '' } } });
const { config, folder, options } = JSON.parse(readFileSync(values.task, 'utf8'));
await startReplication(config, folder, options, (notice) => process.stderr.write(`${JSON.stringify(notice)}\n`));
process.stdout.write('begun\n');
