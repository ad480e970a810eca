/** `triplicate dead`: messages that could not be worked on, why, and back with them once the cause is mended. */

import type { Queue } from '../../shared/queue/queue.ts';
import { CONFIG_OPTION, type Command, EXIT, type Given, JSON_OPTION, Mistake, type Option } from '../command.ts';
import { ago, all, count, name, table } from '../words.ts';
import { type Opened, withWorld } from '../world.ts';

const SITE_OPTION: Option = { name: 'site', takes: 'SITE', about: 'only the queue of this site' };
const LIMIT_OPTION: Option = { name: 'limit', takes: 'N', about: 'at most so many of each queue (100)' };
const BODY_LETTERS = 60;

export const deadList: Command = {
  name: 'dead list',
  summary: 'messages that could not be worked on, and why',
  takes: '',
  about: ['Changes nothing. Exit code 1 says that there are some.'],
  examples: [['triplicate dead list --site aws --json', 'with the whole of each message']],
  options: [CONFIG_OPTION, JSON_OPTION, SITE_OPTION, LIMIT_OPTION],
  run: (given, context) =>
    withWorld(
      given,
      context,
      async (opened) => {
        const limit = given.count('limit', 100, { min: 1, max: 10_000 });
        const found = await Promise.all(
          queuesOf(opened, given).map(async ([site, queue]) =>
            (await queue.deadLetters({ limit })).map((letter) => ({ site, ...letter })),
          ),
        );
        const letters = found.flat();
        if (given.has('json')) context.out(JSON.stringify({ letters }, null, 2));
        else {
          const rows = letters.map(({ site, deadAt, attempts, reason, body }) => [
            site,
            ago(deadAt, context.now()),
            String(attempts),
            name(reason),
            name(body.length > BODY_LETTERS ? `${body.slice(0, BODY_LETTERS)}...` : body),
          ]);
          for (const line of table(['SITE', 'SINCE', 'ATTEMPTS', 'WHY', 'MESSAGE'], rows)) context.out(line);
          context.out(`${rows.length > 0 ? '\n' : ''}${count(letters.length, 'dead letter')}.`);
        }
        return letters.length === 0 ? EXIT.fine : EXIT.found;
      },
      { looks: true },
    ),
};

export const deadRedrive: Command = {
  name: 'dead redrive',
  summary: 'put messages back that could not be worked on',
  takes: '',
  about: [
    'Mend first what was told as the reason, or they will be here again. To work on a message twice does no harm.',
  ],
  examples: [['triplicate dead redrive --site aws', 'those of one site']],
  options: [CONFIG_OPTION, JSON_OPTION, SITE_OPTION, LIMIT_OPTION],
  run: (given, context) =>
    withWorld(
      given,
      context,
      async (opened) => {
        const limit = given.count('limit', 100, { min: 1, max: 10_000 });
        const done: Record<string, number> = {};
        for (const [site, queue] of queuesOf(opened, given)) done[site] = await queue.redrive({ limit });
        if (given.has('json')) context.out(JSON.stringify({ redriven: done }, null, 2));
        else
          for (const [site, amount] of Object.entries(done))
            context.out(`${site}: ${count(amount, 'message')} put back.`);
        return EXIT.fine;
      },
      { withoutDown: true },
    ),
};

function queuesOf({ queues }: Opened, given: Given): ReadonlyArray<readonly [site: string, queue: Queue]> {
  const wanted = given.text('site');
  if (wanted === undefined) return Object.entries(queues);
  const queue = queues[wanted];
  if (queue !== undefined) return [[wanted, queue]];
  throw new Mistake(`--site ${wanted}: expected a site with a queue: ${all(Object.keys(queues)) || 'there is none'}.`);
}
