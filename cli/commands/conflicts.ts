/** `triplicate conflicts`: keys that nobody may decide about, the copies of those that lost, and a person's decision. */

import { choices } from '../../shared/decide/choose.ts';
import { fault } from '../../shared/model/fault.ts';
import type { KeyItem, LogicalVersion } from '../../shared/model/key-item.ts';
import { chooseWinner } from '../../shared/replicate/choose.ts';
import type { World } from '../../shared/world/world.ts';
import { CONFIG_OPTION, type Command, EXIT, JSON_OPTION, Mistake } from '../command.ts';
import { ask } from '../survey.ts';
import { ago, all, bytes, count, moment, name, openPaint, table } from '../words.ts';
import { withWorld } from '../world.ts';
import { readKey } from './explain.ts';

const PAGE = 200;

interface Listed {
  readonly key: string;
  readonly kind: 'unresolved' | 'copy';
  readonly since: number | null;
  readonly detail: string;
}

export const conflictsList: Command = {
  name: 'conflicts list',
  summary: 'keys that nobody may decide about, and conflict copies',
  takes: '[PREFIX]',
  about: [
    'Reads every key of the ledger. Conflict copies are objects like any others: look at them, take from them what you',
    'need, and delete them at any site; then they are gone at all. Exit code 1 says that keys are unresolved.',
  ],
  examples: [['triplicate conflicts list photos/', 'only keys that begin so']],
  options: [CONFIG_OPTION, JSON_OPTION],
  run: (given, context) =>
    withWorld(
      given,
      context,
      async ({ world }) => {
        const listed = await list(world, given.words[0] ?? '');
        const unresolved = listed.filter(({ kind }) => kind === 'unresolved');
        if (given.has('json')) context.out(JSON.stringify({ conflicts: listed }, null, 2));
        else {
          const paint = openPaint(context.colours);
          const rows = listed.map(({ key, kind, since, detail }) => [
            name(key),
            kind === 'unresolved' ? paint('bad', 'unresolved') : 'conflict copy',
            since === null ? '' : ago(since, context.now()),
            detail,
          ]);
          for (const line of table(['KEY', 'WHAT', 'SINCE', ''], rows)) context.out(line);
          if (rows.length > 0) context.out('');
          const copies = count(listed.length - unresolved.length, 'conflict copy', 'conflict copies');
          context.out(`${count(unresolved.length, 'unresolved key')}, ${copies}.`);
        }
        return unresolved.length === 0 ? EXIT.fine : EXIT.found;
      },
      { looks: true },
    ),
};

export const conflictsShow: Command = {
  name: 'conflicts show',
  summary: 'the versions of an unresolved key that you can choose from',
  takes: 'KEY',
  about: [
    'Tells why nobody may decide, and which versions there are to choose from. triplicate explain tells the rest.',
  ],
  examples: [['triplicate conflicts show plan.txt', 'what to choose from']],
  options: [CONFIG_OPTION, JSON_OPTION],
  run: (given, context) =>
    withWorld(
      given,
      context,
      async ({ world }) => {
        const item = await readItem(world, given.words[0] as string);
        const open = item.unresolved === null ? [] : choices(item);
        if (given.has('json')) {
          context.out(JSON.stringify({ key: item.key, unresolved: item.unresolved, choices: open }, null, 2));
          return item.unresolved === null ? EXIT.fine : EXIT.found;
        }
        if (item.unresolved === null) {
          context.out(`${name(item.key)} is not unresolved. triplicate explain tells its story.`);
          return EXIT.fine;
        }
        const { reason, since } = item.unresolved;
        context.out(`Nobody may decide about ${name(item.key)}, as of ${ago(since, context.now())}: ${reason}.`);
        context.out('');
        const rows = open.map((version) => choiceCells(item, version));
        for (const line of table(['VERSION', 'BORN AT', 'WHEN', 'SIZE', 'STANDS AT', 'CAN BE READ AT'], rows))
          context.out(line);
        context.out('');
        context.out(`triplicate conflicts resolve ${name(item.key)} VERSION makes one of them the winner, everywhere.`);
        return EXIT.found;
      },
      { looks: true },
    ),
};

export const conflictsResolve: Command = {
  name: 'conflicts resolve',
  summary: 'make one version of an unresolved key the winner, everywhere',
  takes: 'KEY VERSION',
  about: [
    'VERSION is one that triplicate conflicts show tells, as aws:1795248419814; or the name of a site, for the version',
    'that was born there. The others are replaced; where a bucket keeps versions they remain in its history. What a',
    'client writes meanwhile is never lost: then the key is unresolved again, with that write to choose from.',
  ],
  examples: [
    ['triplicate conflicts resolve plan.txt aws', 'what was written at aws wins'],
    ['triplicate conflicts resolve plan.txt gcp:1795248419999', 'exactly this version'],
  ],
  options: [CONFIG_OPTION, JSON_OPTION],
  run: (given, context) =>
    withWorld(given, context, async ({ world }) => {
      const [key = '', wanted = ''] = given.words;
      const item = await readItem(world, key);
      if (item.unresolved === null) throw new Mistake(`${name(key)} is not unresolved, so there is nothing to decide.`);
      const vid = readChoice(item, wanted);
      const outcome = await chooseWinner(world, item.key, vid);
      const after = (await readItem(world, key)).unresolved;
      if (given.has('json'))
        context.out(JSON.stringify({ key, winner: vid, outcome: outcome.kind, unresolved: after }, null, 2));
      else if (after !== null)
        context.out(`A client has written meanwhile: ${name(key)} is unresolved again. ${after.reason}.`);
      else if (outcome.kind === 'done') context.out(`${name(key)}: ${vid} won, and stands everywhere.`);
      else context.out(`${name(key)}: ${vid} won. Not every site has it yet; the sweep of a worker goes on with it.`);
      return after === null && outcome.kind === 'done' ? EXIT.fine : EXIT.found;
    }),
};

async function list({ ledger }: World, prefix: string): Promise<readonly Listed[]> {
  const listed: Listed[] = [];
  let after: string | undefined;
  for (;;) {
    const page = await ledger.listKeys({ limit: PAGE, ...(after === undefined ? {} : { after }) });
    const reads = await Promise.all(
      page.filter((key) => key.startsWith(prefix)).map((key) => ask(() => ledger.get(key))),
    );
    for (const read of reads) {
      const item = read.ok ? read.value.item : null;
      if (item !== null) listed.push(...toListed(item));
    }
    if (page.length < PAGE) return listed;
    after = page.at(-1);
  }
}

function toListed(item: KeyItem): readonly Listed[] {
  const { key, unresolved, copyOf, frontier } = item;
  if (unresolved !== null) return [{ key, kind: 'unresolved', since: unresolved.since, detail: unresolved.reason }];
  const version = item.versions[frontier[0] ?? ''];
  if (copyOf === null || version?.kind !== 'object') return [];
  return [{ key, kind: 'copy', since: version.hlc.ms, detail: `of ${copyOf.vid} of ${name(copyOf.key)}` }];
}

async function readItem(world: World, text: string): Promise<KeyItem> {
  const key = readKey(text);
  const { item } = await world.ledger.get(key);
  if (item === null) throw fault('not-found', `the ledger knows nothing of ${name(key)}`);
  return item;
}

function choiceCells(item: KeyItem, version: LogicalVersion): readonly string[] {
  const { vid, kind, origin, hlc, sizeBytes, holders } = version;
  const stands = Object.entries(item.sites).flatMap(([site, state]) => (state.vid === vid ? [site] : []));
  const readable = Object.keys(holders);
  return [
    vid,
    origin.site,
    moment(hlc.ms),
    kind === 'tombstone' ? 'a delete' : bytes(sizeBytes),
    stands.length === 0 ? '-' : all(stands),
    kind === 'tombstone' ? '-' : readable.length === 0 ? 'nowhere' : all(readable),
  ];
}

/** A site means the version born there, where there is but one. */
function readChoice(item: KeyItem, wanted: string): string {
  const open = choices(item);
  const exact = open.find(({ vid }) => vid === wanted);
  if (exact !== undefined) return exact.vid;
  const born = open.filter(({ vid, origin }) => origin.site === wanted && item.frontier.includes(vid));
  if (born.length === 1) return (born[0] as LogicalVersion).vid;
  throw new Mistake(
    `${wanted} cannot be chosen: expected ${all(open.map(({ vid }) => vid))}, or the site of one of them.`,
  );
}
