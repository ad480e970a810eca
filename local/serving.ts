/** What is deployed, for the command line: only a room like this one may open it. */

export { readAccess, readEnvironment } from '../functions/entry/environment.ts';
export { type Serving, startServing } from '../functions/runtime/serve.ts';
export { type VerifyTotals, verify } from '../functions/verifier.ts';
