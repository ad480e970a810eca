/** Names, addresses and ARNs of queues. */

import { ACCOUNT, REGION } from '../account.ts';

const NAME = /^[\w-]{1,80}$/;
const FIFO = '.fifo';
const ARN = `arn:aws:sqs:${REGION}:${ACCOUNT}:`;

export function isQueueName(name: string): boolean {
  return name.length <= 80 && NAME.test(isFifoName(name) ? name.slice(0, -FIFO.length) : name);
}

export function isFifoName(name: string): boolean {
  return name.endsWith(FIFO);
}

export function arnOf(name: string): string {
  return ARN + name;
}

/** The name in an ARN of this account and region, or null. */
export function readQueueArn(arn: string): string | null {
  const name = arn.startsWith(ARN) ? arn.slice(ARN.length) : '';
  return isQueueName(name) ? name : null;
}

export function pathOf(name: string): string {
  return `/${ACCOUNT}/${name}`;
}

/** The name in an address of a queue; whatever host stands in it, this endpoint was asked. Null: no such address. */
export function readQueueUrl(url: string): string | null {
  const path = /^(?:https?:\/\/[^/?#]*)?\/([^?#]*)$/.exec(url)?.[1] ?? url;
  const [first = '', second, ...more] = path.split('/');
  if (more.length > 0) return null;
  const name = second === undefined ? first : first === ACCOUNT ? second : '';
  return isQueueName(name) ? name : null;
}
