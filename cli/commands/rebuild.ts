/** `triplicate seed`, `rebuild` and `reseed`: what an operator does when buckets join, a ledger is lost, or a bucket is. */

import { type FillReport, seed as fill, rebuild as fillAgain } from '../../shared/replicate/rebuild.ts';
import { reseed as refill } from '../../shared/replicate/reseed.ts';
import {
  CONFIG_OPTION,
  type Command,
  type Context,
  EXIT,
  type Given,
  JSON_OPTION,
  Mistake,
  type Option,
} from '../command.ts';
import { all, count, name, table } from '../words.ts';
import { withWorld } from '../world.ts';

const YES_OPTION: Option = { name: 'yes', about: 'you know what this does, and no worker runs' };
const CONFLICTS_SHOWN = 50;

export const seed: Command = {
  name: 'seed',
  summary: 'join buckets that hold objects already; --dry-run tells before',
  takes: '',
  about: [
    'Enters every object into the ledger that stands in a bucket. Objects that are equal everywhere are left as they are;',
    'those that a site lacks will be copied there; those that differ are conflicts, which the policy of their route',
    'resolves. Look at it with --dry-run before. No worker may run meanwhile; start one afterwards, and it does the rest.',
  ],
  examples: [
    ['triplicate seed --dry-run', 'what would be copied, and what would be a conflict'],
    ['triplicate seed --yes', 'enter it'],
  ],
  options: [CONFIG_OPTION, JSON_OPTION, { name: 'dry-run', about: 'tell only' }, YES_OPTION],
  run(given, context) {
    const dryRun = given.has('dry-run');
    if (!dryRun) confirm(given, 'seed enters everything into the ledger. Look with --dry-run; then');
    return withWorld(given, context, async ({ world }) => tell(await fill(world, { dryRun }), given, context));
  },
};

export const rebuild: Command = {
  name: 'rebuild',
  summary: 'fill a lost ledger again from what the buckets hold',
  takes: '',
  about: [
    'For a new, empty ledger in place of one that was lost. Markers and traces of deletes in the buckets tell which',
    'versions there were. Its new epoch fences whoever still remembers the old ledger. No worker may run meanwhile.',
  ],
  examples: [['triplicate rebuild --yes', 'with the address of the new ledger in TRIPLICATE_LEDGER']],
  options: [CONFIG_OPTION, JSON_OPTION, YES_OPTION],
  run(given, context) {
    confirm(given, 'rebuild moves the ledger to a new epoch and fills it from the buckets;');
    return withWorld(given, context, async ({ world }) => tell(await fillAgain(world), given, context));
  },
};

export const reseed: Command = {
  name: 'reseed',
  summary: 'bring the objects of an emptied bucket back from the other sites',
  takes: 'SITE',
  about: [
    'For a bucket that was emptied or replaced: what is missing there was lost, and not deleted. The ledger forgets that',
    'it stood there, the sentinel is written again, and a worker copies everything back.',
  ],
  examples: [['triplicate reseed azure --yes', 'after the container was made anew']],
  options: [CONFIG_OPTION, JSON_OPTION, YES_OPTION],
  run(given, context) {
    confirm(given, 'reseed trusts the bucket again as it is, and has everything copied there that it lacks;');
    return withWorld(given, context, async ({ world }) => {
      const [site = ''] = given.words;
      const known = world.topology.sites.map(({ id }) => id);
      if (!known.includes(site))
        throw new Mistake(`There is no site ${JSON.stringify(site)}: expected one of ${all(known)}.`);
      const forgotten = await refill(world, site);
      if (given.has('json')) context.out(JSON.stringify({ site, keys: forgotten }, null, 2));
      else
        context.out(
          `${count(forgotten, 'key')} will come back to ${site}: a worker copies them, or triplicate resync.`,
        );
      return EXIT.fine;
    });
  },
};

function confirm(given: Given, what: string): void {
  if (!given.has('yes')) throw new Mistake(`triplicate ${what} --yes says that you mean it.`);
}

function tell(report: FillReport, given: Given, { out }: Context): number {
  const { keys, equal, toCopy, conflicts, raced } = report;
  if (given.has('json')) out(JSON.stringify({ dryRun: given.has('dry-run'), ...report }, null, 2));
  else {
    const rows = conflicts.slice(0, CONFLICTS_SHOWN).map(({ key, sites }) => [name(key), all(Object.keys(sites))]);
    for (const line of table(['DIFFERENT OBJECTS', 'AT'], rows)) out(line);
    if (conflicts.length > CONFLICTS_SHOWN) out(`and ${count(conflicts.length - CONFLICTS_SHOWN, 'more', 'more')}`);
    if (rows.length > 0) out('');
    out(
      `${count(keys, 'key')}: ${equal} equal everywhere, ${count(toCopy, 'copy', 'copies')} to make, ` +
        `${count(conflicts.length, 'conflict')}${raced > 0 ? `, ${raced} left to somebody who was faster` : ''}.`,
    );
    if (given.has('dry-run')) out('Nothing was changed.');
  }
  return EXIT.fine;
}
