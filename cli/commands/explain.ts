/** `triplicate explain KEY`: the story of one key, in sentences. */

import { isFault } from '../../shared/model/fault.ts';
import { checkKey } from '../../shared/model/key-map.ts';
import { CONFIG_OPTION, type Command, type Context, EXIT, JSON_OPTION, Mistake } from '../command.ts';
import { type Facts, gather } from '../explain/facts.ts';
import { addressOf, events, headline, places, routeSentence, type State, stateOf } from '../explain/story.ts';
import { name, openPaint, type Paint, table, wrap } from '../words.ts';
import { withWorld } from '../world.ts';

const FINE: ReadonlySet<State> = new Set(['settled', 'deleted']);

export const explain: Command = {
  name: 'explain',
  summary: 'the story of one key: who won and why, where each copy stands',
  takes: 'KEY',
  about: [
    'Reads the ledger, its log and every bucket. Changes nothing.',
    '',
    'A version is named by where it was born and a number that grows there, as aws:1795248419814. All copies of a version',
    'share its name; a copy that Triplicate wrote carries a marker that tells it, signed for this key at this site.',
    '',
    'Exit code 1 says that the key is not settled: under way, unresolved, or not as the ledger says.',
  ],
  examples: [
    ['triplicate explain photos/cat.jpg', 'a key as it is called in the buckets of AWS, without the bucket'],
    ['triplicate explain photos/cat.jpg --json', 'everything, for programs'],
  ],
  options: [CONFIG_OPTION, JSON_OPTION],
  run: (given, context) =>
    withWorld(
      given,
      context,
      async ({ world }) => {
        const facts = await gather(world, readKey(given.words[0] as string));
        if (given.has('json')) context.out(JSON.stringify(toJson(facts), null, 2));
        else for (const line of toLines(facts, context)) context.out(line);
        return FINE.has(stateOf(facts)) ? EXIT.fine : EXIT.found;
      },
      { looks: true },
    ),
};

/** An address where a key was meant is a mistake that is easy to make. */
export function readKey(text: string): string {
  if (/^(s3|gs|az|file):\/\//.test(text))
    throw new Mistake(`${text} is an address: leave out everything up to the bucket, and give the key alone.`);
  try {
    return checkKey(text);
  } catch (error) {
    if (isFault(error, 'invalid')) throw new Mistake(error.message);
    throw error;
  }
}

function toLines(facts: Facts, { colours, columns: wide }: Context): readonly string[] {
  const paint = openPaint(colours);
  const columns = Math.min(wide, 100);
  const { item, route } = facts;
  const copyOf = item?.copyOf;
  const told = events(facts);
  const nowhere =
    item === null && facts.sites.every(({ stands }) => stands.kind === 'nothing' || stands.kind === 'not-here');
  const stand = nowhere ? [] : places(facts);
  return [
    paint('strong', name(facts.key)),
    '',
    ...wrap(headline(facts), { columns }),
    ...(copyOf == null
      ? []
      : wrap(`It is the conflict copy of ${name(copyOf.key)}, made of version ${copyOf.vid}.`, { columns })),
    ...(route === null ? [] : wrap(routeSentence(route), { columns })),
    ...(told.length === 0 ? [] : ['', 'What happened:', '']),
    ...told.flatMap(({ at, text }) => {
      const [first = '', ...rest] = wrap(text, { columns, indent: at.length + 4 });
      return [`  ${paint('quiet', at)}  ${first.trimStart()}`, ...rest];
    }),
    ...(stand.length === 0 ? [] : ['', 'Where it stands:', '']),
    ...table(
      ['', '', ''],
      stand.map(({ site, state, address }) => [`  ${site}`, paintState(paint, state), name(address)]),
    ).flatMap((line, index) => [line, ...wrap(stand[index]?.text ?? '', { columns, indent: 6 })]),
  ];
}

function paintState(paint: Paint, state: string): string {
  return paint(
    state === 'in step' ? 'good' : state === 'behind' || state === 'nothing yet' ? 'doubtful' : 'bad',
    state,
  );
}

function toJson(facts: Facts) {
  const { key, route, item, log, copies } = facts;
  return {
    key,
    state: stateOf(facts),
    headline: headline(facts),
    route,
    frontier: item?.frontier ?? [],
    versions: item?.versions ?? {},
    dueAt: item?.due ?? null,
    unresolved: item?.unresolved ?? null,
    copyOf: item?.copyOf ?? null,
    conflictCopies: copies,
    log,
    sites: facts.sites.map(({ site, native, stands, versionsKept }) => ({
      id: site.id,
      address: addressOf({ site, native }),
      state: places(facts).find((it) => it.site === site.id)?.state ?? 'not routed',
      known: item?.sites[site.id] ?? null,
      stands:
        stands.kind === 'object'
          ? {
              ...stands.entry.version,
              markerOf: stands.entry.marker?.dot ?? null,
              intact: stands.entry.intact,
            }
          : stands.kind === 'unknown'
            ? { kind: 'unknown', fault: stands.fault.message }
            : stands,
      versionsKept,
    })),
  };
}
