/** Longer ways to the clouds, lost packets, and a cloud that is away for a while. */

import type { LocalConfig } from '../../../local/config.ts';
import type { CloudName } from '../../../local/faults.ts';
import { type Child, openChild } from '../child.ts';
import { evenly, PLACES, type Way } from '../links.ts';
import { toNoticeTable } from '../notices.ts';
import { type Drain, drainRate, measureOutage, OUTAGE_RATE } from '../outage.ts';
import type { Noticed } from '../processes/worker.ts';
import { rcloneEach, rcloneVersion } from '../rclone.ts';
import { type Figure, NO_RCLONE, type SuiteResult, type Target } from '../result.ts';
import { said } from '../said.ts';
import type { Sample } from '../samples.ts';
import { PEERS, type Scale, WRITES_AT_ONCE } from '../scales.ts';
import { nowMs } from '../serve.ts';
import { median, rounded } from '../statistics.ts';
import type { Context } from '../suites.ts';
import { inTurns, ratioOf } from '../turns.ts';
import { type BenchWorld, openBenchWorld } from '../world.ts';

/** Objects a second, to both targets. */
interface Once {
  readonly rate: number;
  readonly noticed: Noticed;
}

interface Measured {
  readonly way: Way;
  readonly told: readonly Noticed[];
  readonly triplicate: readonly number[];
  /** Empty: it is not here. */
  readonly rclone: readonly number[];
}

const SIZE_BYTES = 4 * 1024;
const LOSSY = evenly(30, 0.01);
const TARGETS = ['gcp', 'azure'] as const;
const NAMES: readonly CloudName[] = ['aws', 'gcp', 'azure'];

export async function links(context: Context): Promise<SuiteResult> {
  const { scale, say } = context;
  const rclone = await rcloneVersion();
  const drain = await measureOutage(context);
  say(`links: ${verdictOf(drain)}`);
  const places = PLACES.filter(({ name }) => scale.places.includes(name));
  const measured: Measured[] = [];
  for (const way of [...scale.linkMs.map((ms) => evenly(ms)), LOSSY, ...places]) {
    const names = rclone === null ? ['triplicate'] : ['triplicate', 'rclone'];
    const rates = await inTurns(names, scale.linkRounds, (name, round) =>
      through(way, context, round, name === 'rclone' ? byRclone : byTriplicate),
    );
    const ratesOf = (name: string) => (rates.get(name) ?? []).map(({ rate }) => rate);
    const [triplicate, peer] = [ratesOf('triplicate'), ratesOf('rclone')];
    measured.push({
      way,
      triplicate,
      rclone: peer,
      told: (rates.get('triplicate') ?? []).map(({ noticed }) => noticed),
    });
    const told = peer.length === 0 ? 'not run' : median(peer).toFixed(0);
    say(`links: ${way.name}: ${median(triplicate).toFixed(0)} objects/s, rclone ${told}`);
  }
  return toResult(context, measured, drain, rclone);
}

type Runner = (
  world: BenchWorld,
  config: LocalConfig,
  sample: Sample,
  scale: Scale,
) => Promise<Omit<Once, 'rate'> & { readonly seconds: number }>;

async function through(way: Way, { scale, seed }: Context, round: number, run: Runner): Promise<Once> {
  const objects = scale.linkObjects;
  const sample: Sample = { prefix: 'links', seed: seed + round, objects, sizeBytes: SIZE_BYTES };
  const world = await openBenchWorld({ seed: sample.seed });
  const proxy = openChild('proxy');
  try {
    await world.write({ ...sample, atOnce: WRITES_AT_ONCE });
    const { seconds, noticed } = await run(world, await behind(proxy, world.config, way, sample.seed), sample, scale);
    await world.verify(sample);
    return { rate: objects / seconds, noticed };
  } finally {
    await proxy.stop();
    await world.close();
  }
}

async function byTriplicate(
  world: BenchWorld,
  config: LocalConfig,
  { objects }: Sample,
  { concurrency }: Scale,
): ReturnType<Runner> {
  const worker = await world.openWorker({ config, concurrency });
  const startedAt = nowMs();
  await worker.go();
  const { lastReplicaAt, noticed } = await worker.replicated(TARGETS, objects);
  return { seconds: (lastReplicaAt - startedAt) / 1000, noticed };
}

async function byRclone(_world: BenchWorld, config: LocalConfig, { prefix }: Sample): ReturnType<Runner> {
  const { seconds } = await rcloneEach(config, 'copy', prefix, TARGETS, PEERS.rclone);
  return { seconds, noticed: {} };
}

/** The same world, each of its endpoints behind the link of its cloud. */
async function behind(proxy: Child, config: LocalConfig, { links: by }: Way, seed: number): Promise<LocalConfig> {
  const moved: Record<string, unknown> = { ...config };
  for (const name of NAMES) {
    let text = JSON.stringify(config[name]);
    const ports = new Set([...text.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => port ?? ''));
    for (const port of ports) {
      const near = await proxy.ask<number>('open', { port: Number(port), ...by[name], seed });
      text = text.replaceAll(`127.0.0.1:${port}`, `127.0.0.1:${near}`);
    }
    moved[name] = JSON.parse(text);
  }
  return moved as unknown as LocalConfig;
}

function verdictOf({ waiting, worked, caughtUpSeconds, boundSeconds }: Drain): string {
  return caughtUpSeconds === null
    ? `did not catch up within ${boundSeconds} s: ${worked} of the ${waiting} changes that waited stand`
    : `caught up ${caughtUpSeconds.toFixed(1)} s after the return: ${waiting} changes had waited`;
}

function toResult({ scale }: Context, measured: readonly Measured[], drain: Drain, rclone: string | null): SuiteResult {
  const rows = measured.map(({ way, triplicate, rclone: peer }) => {
    const id = way.name.replaceAll(/[^\w]+/g, '-');
    return { way, id, triplicate, own: median(triplicate), peer: median(peer), ...ratioOf(triplicate, peer) };
  });
  return {
    name: 'links',
    title: 'Long links, lost packets, an outage',
    how: [
      said(
        `${scale.linkObjects} objects of 4 KiB from S3 to Google and Azure; ${scale.linkRounds} rounds in turns, medians.`,
        'A TCP proxy stands before every endpoint and holds each piece back for half of the time there and back;',
        'a piece of which a segment is lost comes 200 ms later, and what is behind it waits.',
        'At a place by name Triplicate, or rclone, runs beside the S3 bucket.',
      ),
      `Triplicate works on ${scale.concurrency} changes at once; rclone runs with ${PEERS.rclone.join(' ')}.`,
      said(
        `The outage: every connection to Azure, its queue included, is cut for ${drain.outageSeconds} s,`,
        `while ${OUTAGE_RATE} changes a second come at S3. What is measured begins when Azure is back,`,
        `and is given up after ${drain.boundSeconds} s. Here Triplicate ${verdictOf(drain)}.`,
      ),
    ],
    figures: [
      ...rows.flatMap(({ id, triplicate, own, pairs, ratio }): Figure[] => [
        { name: `links.${id}.objects-per-second`, value: own, unit: 'objects/s', better: 'more', of: triplicate },
        ...(pairs.length === 0
          ? []
          : [{ name: `links.${id}.ratio`, value: ratio, unit: 'x', better: 'more' as const, of: pairs }]),
      ]),
      { name: 'links.outage.drain-rate', value: drainRate(drain), unit: 'changes/s', better: 'more' },
      ...(drain.caughtUpSeconds === null
        ? []
        : [{ name: 'links.outage.caught-up', value: drain.caughtUpSeconds, unit: 's', better: 'less' as const }]),
    ],
    tables: [
      {
        title: 'Objects per second',
        columns: ['way', 'Triplicate', 'rclone', 'Triplicate is faster by', 'where that comes from'],
        rows: rows.map(({ way, own, peer, ratio, pairs }) => [
          way.name,
          own,
          pairs.length === 0 ? null : peer,
          pairs.length === 0 ? null : ratio,
          way.source,
        ]),
      },
      ...toNoticeTable(
        measured.flatMap(({ way, told }) =>
          told.map((noticed, round) => [`${way.name}, round ${round + 1}`, noticed] as const),
        ),
      ),
      {
        title: 'After an outage of Azure',
        columns: [
          'changes',
          'outage, s',
          'at Google when Azure returned',
          'waited for Azure',
          'first one stands after, s',
          'changes/s until the last one',
          'caught up after, s',
        ],
        rows: [
          [
            drain.changes,
            drain.outageSeconds,
            drain.elsewhere,
            drain.waiting,
            drain.firstSeconds,
            drainRate(drain),
            drain.caughtUpSeconds ?? `not within ${drain.boundSeconds}: ${drain.worked} of ${drain.waiting}`,
          ],
        ],
      },
    ],
    charts: [
      {
        kind: 'bars',
        name: 'links',
        title: 'Objects per second by way',
        unit: 'objects/s',
        bars: rows.flatMap(({ way, own, peer, pairs }) => [
          { label: `${way.name}: triplicate`, value: own },
          ...(pairs.length === 0 ? [] : [{ label: `${way.name}: rclone`, value: peer, isMuted: true }]),
        ]),
      },
      {
        kind: 'lines',
        name: 'links-outage',
        title: `Changes that wait for Azure after ${drain.outageSeconds} s of outage`,
        x: 'seconds after its return',
        y: 'changes',
        lines: [{ label: 'still waiting', points: drain.points }],
      },
    ],
    targets: targetsOf(drain),
    notRun: rclone === null ? [NO_RCLONE] : [],
  };
}

function targetsOf({ waiting, worked, boundSeconds }: Drain): readonly Target[] {
  return [
    {
      what: `share of the changes waiting for Azure that stand within ${rounded(boundSeconds)} s of its return`,
      value: waiting === 0 ? 1 : worked / waiting,
      kind: 'at least',
      bound: 1,
      unit: '',
    },
  ];
}
