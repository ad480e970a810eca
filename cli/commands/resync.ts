/** `triplicate resync`: looks at every bucket and makes good what differs, with the brakes on. */

import { antiEntropy } from '../../shared/replicate/anti-entropy.ts';
import { CONFIG_OPTION, type Command, EXIT, JSON_OPTION } from '../command.ts';
import { all, count } from '../words.ts';
import { withWorld } from '../world.ts';

export const resync: Command = {
  name: 'resync',
  summary: 'compare all buckets with the ledger and make good what differs',
  takes: '[PREFIX]',
  about: [
    'Lists every bucket and reconciles the keys that differ from the ledger, as a worker does by itself once an hour. Safe',
    'at any time, beside workers and clients.',
    '',
    'More keys missing from a site than deletionCap and deletionShare of the configuration allow are not taken for',
    'deleted: then nothing is changed, and you are asked. Look with triplicate diff; if clients did delete them,',
    '--confirm-deletions carries the deletes to the other sites. A site whose sentinel is missing is left out.',
    '',
    'Exit code 1 says that keys were left, or a site, or that the brake stopped it.',
  ],
  examples: [
    ['triplicate resync', 'all keys that differ'],
    ['triplicate resync photos/ --every-key', 'look at each key below photos/ in every bucket, differing or not'],
  ],
  options: [
    CONFIG_OPTION,
    JSON_OPTION,
    { name: 'every-key', about: 'reconcile keys that do not differ, too: slower, and believes no listing' },
    { name: 'confirm-deletions', about: 'you have looked at what is missing, and it may be deleted everywhere' },
  ],
  run: (given, context) =>
    withWorld(
      given,
      context,
      async ({ world }) => {
        const [prefix = ''] = given.words;
        const report = await antiEntropy(world, {
          prefix,
          everyKey: given.has('every-key'),
          confirmDeletions: given.has('confirm-deletions'),
        });
        if (given.has('json')) context.out(JSON.stringify(report, null, 2));
        if (report.kind === 'stopped') {
          if (!given.has('json'))
            context.out(
              `Stopped: ${report.reason}. Nothing was changed. If they are to go, --confirm-deletions says so.`,
            );
          return EXIT.found;
        }
        const { keys, differing, failed, left, skippedSites } = report;
        if (!given.has('json')) {
          const looked = given.has('every-key')
            ? `${count(differing, 'key')} looked at`
            : `${count(differing, 'key')} differed`;
          context.out(`${count(keys, 'key')} compared, ${looked}, ${differing - failed - left} reconciled.`);
          if (failed + left > 0)
            context.out(`${count(failed + left, 'key')} not finished: the sweep of a worker goes on with them.`);
          if (skippedSites.length > 0) context.out(`Left out: ${all(skippedSites)}. triplicate status tells why.`);
        }
        return failed + left + skippedSites.length === 0 ? EXIT.fine : EXIT.found;
      },
      { withoutDown: true },
    ),
};
