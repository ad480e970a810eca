/** What a container runs: takes from every queue, sweeps and passes, until it is told to stop. */

import { openWorld } from '../../shared/world/open.ts';
import { openSystemTimer } from '../../shared/world/system.ts';
import { startServing } from '../runtime/serve.ts';
import { readEnvironment, readHealth } from './environment.ts';
import { outlets } from './open.ts';

const told = readEnvironment(process.env);
const opened = await openWorld({ ...told, ...outlets(told) });
const health = readHealth(process.env);
const serving = await startServing(opened, { timer: openSystemTimer(), ...(health === null ? {} : { health }) });

async function stop(): Promise<void> {
  await serving.stop();
  await opened.close();
  // Connections that the SDKs are not done with would keep the process for ten seconds more.
  process.exit();
}

// A second signal ends the process at once, as usual.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop());
