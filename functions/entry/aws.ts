/** What Lambda calls: `aws.changes` for batches of SQS, `aws.sweep`, `aws.pass` and `aws.verify` for schedules of EventBridge. */

import { openSystemTimer } from '../../shared/world/system.ts';
import { type LambdaHandlers, openLambda } from '../runtime/lambda.ts';
import { readEnvironment } from './environment.ts';
import { openFunctionWorld, queuesOf } from './open.ts';

const told = readEnvironment(process.env);
queuesOf('aws', told);

export const { changes, sweep, pass, verify }: LambdaHandlers = openLambda({
  open: () => openFunctionWorld('aws', told),
  timer: openSystemTimer(),
});
