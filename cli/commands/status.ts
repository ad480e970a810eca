/** `triplicate status`: what is there, whether it answers, and whether a person is needed. */

import type { Fault } from '../../shared/model/fault.ts';
import { CONFIG_OPTION, type Command, type Context, EXIT, JSON_OPTION } from '../command.ts';
import {
  type Asked,
  ask,
  findUnresolved,
  type LedgerSurvey,
  LISTED_MAX,
  type QueueSurvey,
  type SiteSurvey,
  surveyLedger,
  surveyQueue,
  surveySites,
  type UnresolvedKey,
} from '../survey.ts';
import { ago, count, duration, name, openPaint, type Paint, table, wrap } from '../words.ts';
import { type Opened, withWorld } from '../world.ts';

export const status: Command = {
  name: 'status',
  summary: 'what is there, whether it answers, and what needs a person',
  takes: '',
  about: [
    'Asks every bucket, the ledger and every queue, and looks for keys that nobody may decide about. Changes nothing.',
    'Whatever does not answer within 5 seconds counts as not reached.',
    'Exit code 1 says that something needs a person; what it is, and what to do about it, comes last.',
  ],
  examples: [
    ['triplicate status', 'for people'],
    ['triplicate status --json', 'for programs: "needs" is empty when all is well'],
  ],
  options: [
    CONFIG_OPTION,
    JSON_OPTION,
    { name: 'keys', takes: 'N', about: 'look for unresolved keys among the first N of the ledger (1000)' },
  ],
  run: (given, context) =>
    withWorld(
      given,
      context,
      async (opened) => {
        const keysMax = given.count('keys', 1_000, { min: 0, max: 1_000_000 });
        const survey = await surveyAll(opened, context, keysMax);
        const needs = needsOf(opened, survey, context.now());
        if (given.has('json')) context.out(JSON.stringify(toJson(opened, survey, needs), null, 2));
        else for (const line of toLines(opened, survey, needs, context)) context.out(line);
        return needs.length === 0 ? EXIT.fine : EXIT.found;
      },
      { looks: true },
    ),
};

interface Survey {
  readonly sites: readonly SiteSurvey[];
  readonly ledger: Asked<LedgerSurvey>;
  readonly queues: ReadonlyArray<{ readonly site: string; readonly asked: Asked<QueueSurvey> }>;
  readonly unresolved: Asked<Awaited<ReturnType<typeof findUnresolved>>>;
}

async function surveyAll(opened: Opened, context: Context, keysMax: number): Promise<Survey> {
  const { world, queues } = opened;
  const { timer } = context;
  const named = world.topology.sites.map(({ id }) => id).filter((id) => queues[id] !== undefined);
  // By themselves, so that how long they take tells of the sites and of nothing else.
  const sites = await surveySites(opened, context.now);
  const [ledger, asked, unresolved] = await Promise.all([
    ask(() => surveyLedger(world), { timer, place: 'the ledger' }),
    Promise.all(
      named.map(async (site) => ({ site, asked: await ask(() => surveyQueue(opened, site), { timer, place: 'it' }) })),
    ),
    ask(() => findUnresolved(world, keysMax)),
  ]);
  return { sites, ledger, queues: asked, unresolved };
}

/** A sentence for each thing that does not go away by itself. */
function needsOf(opened: Opened, { sites, ledger, queues, unresolved }: Survey, now: number): readonly string[] {
  const needs: string[] = [];
  for (const { id, bucket, sentinel } of sites) {
    if (!sentinel.ok)
      needs.push(`Site ${id} does not answer: ${reason(sentinel.fault)}. triplicate doctor tells more.`);
    else if (!sentinel.value)
      needs.push(
        `The sentinel of site ${id} is missing: is ${bucket} the right bucket, and has nobody emptied it? ` +
          'Until it is back, nothing that is missing there counts as deleted. triplicate doctor tells more.',
      );
  }
  if (!ledger.ok) needs.push(`The ledger does not answer: ${reason(ledger.fault)}.`);
  else if (ledger.value.oldestDueAt !== null && ledger.value.oldestDueAt < now - opened.world.topology.limits.leaseMs)
    needs.push(
      `The key that is due longest waits since ${duration(now - ledger.value.oldestDueAt)}: does a worker run? ` +
        'Start one with triplicate worker.',
    );
  for (const { site, asked } of queues) {
    if (!asked.ok) needs.push(`The queue of site ${site} does not answer: ${reason(asked.fault)}.`);
    else if ((asked.value.dead ?? 0) > 0)
      needs.push(
        `${count(asked.value.dead ?? 0, 'message')} of site ${site} could not be worked on. Mend the cause, then ` +
          `triplicate dead redrive --site ${site} puts them back.`,
      );
  }
  if (!unresolved.ok) return needs;
  for (const { key, reason: why } of unresolved.value.found)
    needs.push(`Nobody may decide about ${name(key)}: ${why}. triplicate conflicts show ${name(key)} tells more.`);
  return needs;
}

function toLines(opened: Opened, survey: Survey, needs: readonly string[], context: Context): readonly string[] {
  const { where, world } = opened;
  const { sites, queues } = survey;
  const paint = openPaint(context.colours);
  const now = context.now();
  return [
    `${where}, namespace ${world.topology.namespace}`,
    '',
    ...table(
      ['SITE', 'CLOUD', 'BUCKET', 'MODE', 'ANSWERS', 'SENTINEL'],
      sites.map(({ id, cloud, bucket, mode, sentinel, tookMs }) => [
        id,
        cloud,
        bucket,
        mode,
        sentinel.ok ? paint('good', `in ${tookMs} ms`) : paint('bad', 'not reached'),
        !sentinel.ok ? '-' : sentinel.value ? paint('good', 'there') : paint('bad', 'MISSING'),
      ]),
    ),
    '',
    ...table(
      ['QUEUE OF', 'WAITING', 'IN FLIGHT', 'DEAD'],
      queues.map(({ site, asked }) => [site, ...queueCells(asked, paint)]),
    ),
    ...(queues.length === 0 ? ['No queue is named, so notifications are not looked at.'] : []),
    ...deadLines(queues, now),
    '',
    ledgerLine(survey.ledger, now, paint),
    unresolvedLine(survey.unresolved),
    '',
    ...needLines(needs, paint, Math.min(context.columns, 100)),
  ];
}

function queueCells(asked: Asked<QueueSurvey>, paint: Paint): readonly string[] {
  if (!asked.ok) return [paint('bad', 'not reached'), '', ''];
  const { waiting, inFlight, dead } = asked.value;
  const told = (amount: number | null) => (amount === null ? 'not told' : amount.toLocaleString('en'));
  return [told(waiting), told(inFlight), dead === 0 || dead === null ? told(dead) : paint('bad', told(dead))];
}

const LETTERS_SHOWN = 5;

function deadLines(queues: Survey['queues'], now: number): readonly string[] {
  const rows = queues.flatMap(({ site, asked }) =>
    asked.ok
      ? asked.value.letters
          .slice(0, LETTERS_SHOWN)
          .map(({ reason: why, deadAt, attempts }) => [
            `  ${site}`,
            ago(deadAt, now),
            count(attempts, 'attempt'),
            name(why),
          ])
      : [],
  );
  return rows.length === 0 ? [] : ['', 'Dead letters:', ...table(['', '', '', ''], rows)];
}

function ledgerLine(ledger: Asked<LedgerSurvey>, now: number, paint: Paint): string {
  if (!ledger.ok) return `Ledger: ${paint('bad', 'not reached')}`;
  const { epoch, underWay, overdue, oldestDueAt } = ledger.value;
  const many = underWay >= LISTED_MAX ? 'or more ' : '';
  if (oldestDueAt === null) return `Ledger: epoch ${epoch}, nothing is under way.`;
  const oldest =
    oldestDueAt <= now ? `the oldest since ${duration(now - oldestDueAt)}` : `the next ${ago(oldestDueAt, now)}`;
  return `Ledger: epoch ${epoch}, ${count(underWay, 'key')} ${many}under way, ${overdue} of them due, ${oldest}.`;
}

function unresolvedLine(unresolved: Survey['unresolved']): string {
  if (!unresolved.ok) return 'Keys that nobody may decide about: not known.';
  const { found, looked, all } = unresolved.value;
  const among = all ? `all ${count(looked, 'key')}` : `the first ${count(looked, 'key')}; --keys looks at more`;
  return `Keys that nobody may decide about: ${found.length}, among ${among}.`;
}

function needLines(needs: readonly string[], paint: Paint, columns: number): readonly string[] {
  if (needs.length === 0) return [paint('good', 'All is well.')];
  return [
    paint('bad', needs.length === 1 ? 'One thing needs a person:' : `${needs.length} things need a person:`),
    ...needs.flatMap((need) => {
      const [first = '', ...rest] = wrap(need, { columns, indent: 4 });
      return [`  - ${first.trimStart()}`, ...rest];
    }),
  ];
}

function reason({ message }: Fault): string {
  return message.replace(/\.$/, '');
}

function toJson(opened: Opened, { sites, ledger, queues, unresolved }: Survey, needs: readonly string[]) {
  return {
    configuration: opened.where,
    namespace: opened.world.topology.namespace,
    needs,
    sites: sites.map(({ sentinel, ...site }) => ({
      ...site,
      answers: sentinel.ok,
      sentinel: sentinel.ok ? sentinel.value : null,
      fault: faultOf(sentinel),
    })),
    ledger: { answers: ledger.ok, ...(ledger.ok ? ledger.value : {}), fault: faultOf(ledger) },
    queues: queues.map(({ site, asked }) => ({
      site,
      answers: asked.ok,
      ...(asked.ok ? asked.value : {}),
      fault: faultOf(asked),
    })),
    unresolved: unresolved.ok ? (unresolved.value.found satisfies readonly UnresolvedKey[]) : null,
    keysLookedAt: unresolved.ok ? unresolved.value.looked : 0,
  };
}

function faultOf(asked: Asked<unknown>): { readonly kind: string; readonly message: string } | null {
  return asked.ok ? null : { kind: asked.fault.kind, message: asked.fault.message };
}
