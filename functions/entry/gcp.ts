/** What Cloud Functions and Cloud Run serve, by the name of the target: `changes`, `events`, `sweep`, `pass` and `verify`. */

import { openSystemTimer } from '../../shared/world/system.ts';
import { registerCloudFunctions } from '../runtime/cloud-functions.ts';
import { readEnvironment, readTimeMs } from './environment.ts';
import { openFunctionWorld, queuesOf } from './open.ts';

/** What Cloud Functions gives when nobody asks for more. */
const STANDARD_SECONDS = 60;

const told = readEnvironment(process.env);
queuesOf('gcp', told);

registerCloudFunctions({
  open: () => openFunctionWorld('gcp', told),
  timer: openSystemTimer(),
  timeMs: readTimeMs(process.env, Number(process.env.CLOUD_RUN_TIMEOUT_SECONDS) || STANDARD_SECONDS),
});
