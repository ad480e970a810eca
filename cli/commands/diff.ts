/** `triplicate diff`: what the buckets show and the ledger does not know, without touching anything. */

import { type Comparison, compare, type Difference } from '../../shared/replicate/anti-entropy.ts';
import { CONFIG_OPTION, type Command, EXIT, JSON_OPTION } from '../command.ts';
import { all, count, name, openPaint, table } from '../words.ts';
import { withWorld } from '../world.ts';

export const diff: Command = {
  name: 'diff',
  summary: 'what differs between buckets and ledger',
  takes: '[PREFIX]',
  about: [
    'Lists every bucket, compares what stands there with what the ledger says, and changes nothing. What differs for a',
    'moment only, because its notification is on the way, is listed too: ask again after a few seconds.',
    '',
    'triplicate resync makes good what differs. Exit code 1 says that something differs, or that a site was left out.',
  ],
  examples: [
    ['triplicate diff', 'all keys'],
    ['triplicate diff photos/2024/', 'only keys that begin so'],
  ],
  options: [
    CONFIG_OPTION,
    JSON_OPTION,
    { name: 'limit', takes: 'N', about: 'print at most N keys; all are counted (100)' },
  ],
  run: (given, context) =>
    withWorld(
      given,
      context,
      async ({ world }) => {
        const limit = given.count('limit', 100, { min: 0, max: 1_000_000 });
        const [prefix = ''] = given.words;
        const compared = (await compare(world, { prefix })) as Comparison;
        const { differing, failed, skippedSites } = compared;
        if (given.has('json')) context.out(JSON.stringify(toJson(compared), null, 2));
        else for (const line of toLines(compared, limit, context.colours)) context.out(line);
        return differing.size + failed + skippedSites.length === 0 ? EXIT.fine : EXIT.found;
      },
      { looks: true },
    ),
};

const MEANINGS: Readonly<Record<Difference['kind'], string>> = {
  unknown: 'the ledger has never heard of it',
  'under-way': 'under way',
  'not-looked-at': 'nobody has looked there yet',
  missing: 'missing there: deleted, or lost',
  changed: 'another version stands there than the ledger says',
  none: 'as it should be',
};

function toLines(
  { keys, differing, failed, skippedSites }: Comparison,
  limit: number,
  colours: boolean,
): readonly string[] {
  const paint = openPaint(colours);
  const rows = [...differing].slice(0, limit).flatMap(([key, found]) => {
    const byKind = Map.groupBy(found, ({ kind }) => kind);
    return [...byKind].map(([kind, sites]) => [name(key), all(sites.map(({ site }) => site)), MEANINGS[kind]]);
  });
  const hidden = differing.size - Math.min(limit, differing.size);
  const differ = `${differing.size.toLocaleString('en')} ${differing.size === 1 ? 'differs' : 'differ'}`;
  const words = [
    `${count(keys, 'key')} compared, ${paint(differing.size === 0 ? 'good' : 'bad', differ)}`,
    ...(failed > 0 ? [paint('bad', `${count(failed, 'row')} of the ledger cannot be read`)] : []),
    ...(skippedSites.length > 0 ? [paint('bad', `${all(skippedSites)} left out`)] : []),
  ];
  return [
    ...table(['KEY', 'AT', 'WHAT'], rows),
    ...(hidden > 0 ? [`and ${count(hidden, 'key')} more; --limit prints more of them`] : []),
    ...(rows.length > 0 ? [''] : []),
    `${words.join('; ')}.`,
  ];
}

function toJson({ keys, differing, vanished, cap, failed, skippedSites }: Comparison) {
  return {
    keys,
    differing: [...differing].map(([key, found]) => ({ key, differences: found })),
    vanished,
    deletionCap: cap,
    unreadableRows: failed,
    skippedSites,
  };
}
