/** What a change costs: every call that the clouds count, times its list price, for new objects, overwrites and deletes. */

import type { Counts } from '../counts.ts';
import { type Beside, type Line, PRICES, sumOf, toBill } from '../prices.ts';
import type { SuiteResult, Table } from '../result.ts';
import { said } from '../said.ts';
import type { Sample } from '../samples.ts';
import { WRITES_AT_ONCE } from '../scales.ts';
import type { Context } from '../suites.ts';
import { openBenchWorld } from '../world.ts';

interface Phase {
  readonly name: string;
  readonly counts: Counts;
  readonly cpuSeconds: number;
}

const SIZE_BYTES = 4 * 1024;
const SHARE = 0.5;
/** As Lambda is given messages. */
const LAMBDA_BATCH = 10;
/** The user's own calls, which nobody charges us for. */
const USERS: Readonly<Record<string, string>> = {
  'new object': 's3 PutObject',
  overwrite: 's3 PutObject',
  delete: 's3 DeleteObject',
};

/** Whose notifications are those of the change itself, and of our own writes at the targets. */
const NOTIFICATIONS: readonly Beside[] = [
  {
    what: 'pubsub message of our write at Google, in and out',
    price: 'pubsubMessage',
    unitsPerChange: 2,
    why: 'one message, published by Cloud Storage and received by us',
  },
  {
    what: 'eventgrid event of our write at Azure, held against the filter',
    price: 'eventGrid',
    unitsPerChange: 2,
    why: 'an operation when it comes in and one for the advanced match that drops it',
  },
];

export async function cost(context: Context): Promise<SuiteResult> {
  const { scale, seed, say } = context;
  const objects = Math.max(100, Math.round(scale.objects * SHARE));
  const world = await openBenchWorld({ seed });
  const sample: Sample = { prefix: 'cost', seed, objects, sizeBytes: SIZE_BYTES };
  try {
    const worker = await world.openWorker({ ledger: 'dynamodb' });
    await worker.go();
    const phases: Phase[] = [];
    const phase = async (name: string, change: () => Promise<unknown>, wanted: number) => {
      await worker.quiet();
      await world.takeCounts();
      const before = await worker.usage();
      await change();
      if (wanted > 0) await worker.replicated(['gcp', 'azure'], wanted);
      await worker.quiet();
      const { cpuSeconds } = await worker.usage();
      const counts = await world.takeCounts();
      phases.push({ name, counts: without(counts, USERS[name] ?? ''), cpuSeconds: cpuSeconds - before.cpuSeconds });
      say(`cost: ${name} counted`);
    };
    await phase('new object', () => world.write({ ...sample, atOnce: WRITES_AT_ONCE }), objects);
    await world.verify(sample);
    await phase('overwrite', () => world.write({ ...sample, seed: seed + 1, atOnce: WRITES_AT_ONCE }), 2 * objects);
    await world.verify({ ...sample, seed: seed + 1 });
    await phase('delete', () => world.user.ask('remove', sample, WRITES_AT_ONCE), 0);
    return toResult(objects, phases);
  } finally {
    await world.close();
  }
}

function without(counts: Counts, kind: string): Counts {
  const { [kind]: _users, ...others } = counts;
  return others;
}

function toResult(objects: number, phases: readonly Phase[]): SuiteResult {
  const bills = phases.map(({ name, counts, cpuSeconds }) => {
    const seconds = cpuSeconds / objects;
    const lambda: Beside[] = [
      { what: 'lambda request', price: 'lambdaRequest', unitsPerChange: 1 / LAMBDA_BATCH, why: '' },
      { what: 'lambda time, for the CPU it took here', price: 'lambdaSecond', unitsPerChange: seconds, why: '' },
    ];
    const bill = toBill(counts, objects, [...NOTIFICATIONS, ...lambda]);
    // To delete is free; what is written then are traces of ours.
    return { name, bill: name === 'delete' ? bill.map((line) => ({ ...line, inevitable: false })) : bill };
  });
  const fresh = bills[0]?.bill ?? [];
  const ours = (lines: readonly Line[]) => sumOf(lines, ({ inevitable }) => !inevitable);
  return {
    name: 'cost',
    title: 'Dollars per million changes',
    how: [
      said(
        `${objects.toLocaleString('en')} objects of 4 KiB in S3 are written, overwritten and`,
        'deleted, each while Triplicate replicates to Google and Azure with its ledger in DynamoDB.',
        "The clouds count the calls; the user's own PUT and DELETE are left out.",
      ),
      said(
        'Dollars = calls per change x units per call x price of a million units. Inevitable',
        'are one read of the source and one write at each target; everything else is controllable.',
        'Bytes that leave a cloud are not in it, nor what is stored.',
      ),
      said(
        `Lambda is billed for requests of ${LAMBDA_BATCH} messages and for the CPU that a change took on this machine,`,
        'which is a lower bound: a function also pays while it waits.',
        `${NOTIFICATIONS.map(({ what, why }) => `${what}: ${why}`).join('; ')}.`,
      ),
    ],
    figures: bills.flatMap(({ name, bill }) => [
      { name: `cost.${name.replace(' ', '-')}.total`, value: sumOf(bill), unit: '$/million', better: 'less' as const },
      { name: `cost.${name.replace(' ', '-')}.ours`, value: ours(bill), unit: '$/million', better: 'less' as const },
    ]),
    tables: [
      {
        title: 'Dollars per million changes',
        columns: ['change', 'inevitable', 'controllable', 'both'],
        rows: bills.map(({ name, bill }) => [name, sumOf(bill) - ours(bill), ours(bill), sumOf(bill)]),
      },
      ...bills.map(({ name, bill }) => toTable(name, bill)),
      {
        title: 'Prices',
        columns: ['what', '$ per million', 'source', 'as of'],
        rows: Object.values(PRICES).map(({ what, perMillion, source, date }) => [what, perMillion, source, date]),
      },
    ],
    charts: [
      {
        kind: 'bars',
        name: 'cost-new-object',
        title: 'A million new objects: what the calls cost (grey: inevitable)',
        unit: '$',
        bars: fresh
          .filter(({ dollarsPerMillion }) => dollarsPerMillion >= 0.01)
          .map(({ what, dollarsPerMillion, inevitable }) => ({
            label: what,
            value: dollarsPerMillion,
            isMuted: inevitable,
          })),
      },
    ],
    targets: [
      {
        what: 'controllable dollars per million new objects',
        value: ours(fresh),
        kind: 'at most',
        bound: 1.5,
        unit: '$',
        gate: 4.3,
      },
    ],
    notRun: [],
  };
}

function toTable(name: string, bill: readonly Line[]): Table {
  return {
    title: `Per ${name}`,
    columns: ['call', 'calls per change', 'units per call', '$ per million units', '$ per million changes', ''],
    rows: bill.map(({ what, callsPerChange, unitsPerCall, price, dollarsPerMillion, inevitable }) => [
      what,
      callsPerChange,
      unitsPerCall,
      price.perMillion,
      dollarsPerMillion,
      inevitable ? 'inevitable' : '',
    ]),
  };
}
