/** The SQS driver against a service that is not ours: whatever speaks SQS at TRIPLICATE_TEST_SQS, or AWS itself. */

import { SQS } from '@aws-sdk/client-sqs';
import { afterAll, test } from 'vitest';
import type { Queue } from '#shared/queue/queue.ts';
import { openSqsQueue } from '#shared/queue/sqs.ts';
import type { Skip } from './cases.ts';
import { queueConformance } from './queue.ts';

const { TRIPLICATE_TEST_SQS: target, AWS_REGION: region = 'us-east-1' } = process.env;

const because = (reason: string, tests: readonly string[]): readonly Skip[] =>
  tests.map((it) => ({ test: it, reason }));

/** What no case can ask of a service whose clock goes on by itself. */
const GAPS: readonly Skip[] = [
  ...because('SQS counts in whole seconds', [
    'an extension ends like any visibility, and can be shorter than what was left',
    'in any sequence of calls no message is lost, and a receipt is worth what it should be',
  ]),
  ...because('the clock of a service cannot be stopped, and this one compares milliseconds', [
    'a message is delivered as it was sent, and says when',
    'a message in flight is hidden until its visibility ends, to the millisecond',
    'a message put back comes after its delay, with one attempt more',
    'a message sent with a delay waits for it',
    'a dead message is kept apart with its reason and comes to nobody',
    'who extends keeps the message for that long from then on',
  ]),
  ...because('it would wait for longer than a case may take', [
    'a message that nobody settled is delivered again and again, as the same one',
    'a dead letter says after how many attempts',
  ]),
];

/** SQS tells its depth approximately, and a moment late. */
const AT_AWS: readonly Skip[] = because('SQS counts its messages approximately', [
  'two messages of one body are two',
  'a receipt settles once',
  'an expired receipt settles nothing, even before the message is delivered again',
  'the receipt of an earlier delivery does not touch a later one',
  'dead letters are told and redriven up to a limit',
  'of 64 who settle one receipt at once one does',
  'the depth adds up, and what expired is waiting again',
]);

if (target === undefined) {
  test('sqs keeps the contract of a queue on a service that is not ours', (context) => {
    const reason = 'needs TRIPLICATE_TEST_SQS=http://host:port of a server that speaks SQS, or =aws and credentials';
    console.warn(`not run: sqs on a service that is not ours, ${reason}`);
    context.skip(reason);
  });
} else {
  runAt(target);
}

function runAt(place: string): void {
  const isAws = place === 'aws';
  const where = isAws
    ? {}
    : { endpoint: place, credentials: { accessKeyId: 'local', secretAccessKey: 'local-secret' } };
  const sqs = new SQS({ region, ...where });
  const made: string[] = [];
  const urls = new Map<Queue, { readonly queueUrl: string; readonly deadLetterQueueUrl: string }>();

  afterAll(async () => {
    for (const QueueUrl of made) await sqs.deleteQueue({ QueueUrl });
    sqs.destroy();
  });

  async function make(name: string): Promise<string> {
    const { QueueUrl: url = '' } = await sqs.createQueue({ QueueName: name });
    made.push(url);
    return url;
  }

  async function openAt(found: { readonly queueUrl: string; readonly deadLetterQueueUrl: string }): Promise<Queue> {
    const queue = await openSqsQueue({ ...found, region, ...where });
    urls.set(queue, found);
    return queue;
  }

  queueConformance({
    name: `sqs at ${place}`,
    async open() {
      const name = `triplicate-${Date.now().toString(36)}-${made.length}`;
      return openAt({ queueUrl: await make(name), deadLetterQueueUrl: await make(`${name}-dead`) });
    },
    reopen: (queue) => openAt(urls.get(queue)!),
    advance: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    skip: isAws ? [...GAPS, ...AT_AWS] : GAPS,
  });
}
