/** Three local clouds on a folder, until they are killed; tells their endpoints in a file and then prints a line. */

import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startLocalWorld } from '../../../local/world.ts';

const { values } = parseArgs({ options: { task: { type: 'string', default: '' } } });
const { folder, ports, told } = JSON.parse(readFileSync(values.task, 'utf8'));
const { config } = await startLocalWorld({ folder, ports });
writeFileSync(told, JSON.stringify(config));
process.stdout.write('begun\n');
