/** What the host of Azure Functions loads: `changes-SITE` for every queue, `sweep`, `pass`, `verify`, and `event-grid` by HTTP. */

import { openSystemTimer } from '../../shared/world/system.ts';
import { registerAzureFunctions } from '../runtime/azure-functions.ts';
import { readEnvironment, readTimeMs } from './environment.ts';
import { openFunctionWorld, queuesOf } from './open.ts';

/** What the Consumption plan gives when nobody asks for more. */
const STANDARD_SECONDS = 300;

const told = readEnvironment(process.env);

registerAzureFunctions({
  open: () => openFunctionWorld('azure', told),
  timer: openSystemTimer(),
  timeMs: readTimeMs(process.env, STANDARD_SECONDS),
  queues: queuesOf('azure', told),
  connection: 'TRIPLICATE_SERVICE_BUS',
});
