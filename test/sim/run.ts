/** One run: a world under a seed, its disturbance, its coming to rest, and the judgement of the checkers. */

import { everyRule, type RuleName, withoutRule } from '#shared/decide/rules.ts';
import { openMemoryLedger } from '#shared/ledger/memory.ts';
import type { KeyItem } from '#shared/model/key-item.ts';
import { fromNativeKey, isReserved } from '#shared/model/key-map.ts';
import type { LogEntry } from '#shared/model/log-entry.ts';
import { openMemoryQueue } from '#shared/queue/memory.ts';
import { antiEntropy } from '#shared/replicate/anti-entropy.ts';
import { collect } from '#shared/replicate/collect.ts';
import { consume, type Source } from '#shared/replicate/consume.ts';
import { rebuild } from '#shared/replicate/rebuild.ts';
import { reseed } from '#shared/replicate/reseed.ts';
import { plantSentinel } from '#shared/replicate/sentinel.ts';
import { sweep } from '#shared/replicate/sweep.ts';
import { withCanonicalNames } from '#shared/store/layers/canonical.ts';
import { openMemoryStore } from '#shared/store/memory.ts';
import type { World } from '#shared/world/world.ts';
import { checkers } from './check/all.ts';
import { clientAct } from './clients.ts';
import { openCover } from './cover.ts';
import { type Bucket, isRepresentable, openGhost } from './ghost.ts';
import { at, type Ending, type History, openHistory, type Violation } from './history.ts';
import { openWorldFor, type Stage } from './ports.ts';
import { openChance } from './random.ts';
import { DAY_MS, HOUR_MS, readScenario, type Scenario, type SimSite } from './scenario.ts';
import { type Fate, openScheduler, type Task, turn } from './scheduler.ts';
import { readMessage, toMessage, type Wire } from './wire.ts';

export interface RunResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly history: History;
  readonly steps: number;
  /** A digest of everything that happened: equal for equal seeds. */
  readonly digest: string;
}

export interface RunOptions {
  readonly without?: RuleName;
  /** In whose words buckets tell what happened (clouds). */
  readonly wire?: Wire;
  readonly trace?: (line: string) => void;
}

const START_MS = 1_750_000_000_000;
const CALM_ROUNDS_MAX = 14;
const CALM_STEPS_MAX = 60_000;

export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const scenario = readScenario(seed);
  const stage = openStage(scenario, options);
  await plantSentinels(stage);
  await disturb(stage, scenario);
  await comeToRest(stage);
  const ending = await endingOf(stage);
  const violations = [...ownFailures(stage), ...checkers.flatMap((check) => check(stage.history, ending))];
  return {
    seed,
    violations,
    history: stage.history,
    steps: stage.step,
    digest: `${stage.step}:${stage.now}:${stage.history.stood.length}:${[...ending.contents.values()].join('/')}`,
  };
}

interface RunningStage extends Stage {
  /** Notifications sent so far, for the replay. */
  readonly sent: string[];
  /** Those of them that nobody has been given yet. */
  readonly lost: string[];
  /** Nothing else is started. */
  rebuilding: boolean;
  rebuilt: boolean;
}

function openStage(scenario: Scenario, options: RunOptions): RunningStage {
  const chance = openChance(scenario.seed ^ 0x5eed);
  const history = openHistory(scenario);
  const ghost = openGhost(history);
  const say = options.trace;
  const trace = (task: Task | null, text: () => string) => {
    if (say !== undefined)
      say(
        `${String(stage.step).padStart(5)} ${String(stage.now - START_MS).padStart(10)} ${nameOf(task).padEnd(12)} ${text()}`,
      );
  };
  const stage: RunningStage = {
    chance,
    history,
    ghost,
    cover: openCover(history),
    scheduler: openScheduler(chance, trace),
    buckets: scenario.sites.map((site) => openBucket(site, () => stage)),
    topology: scenario.topology,
    rules: options.without === undefined ? everyRule : withoutRule(options.without),
    wire: options.wire ?? 'clouds',
    down: new Set(),
    trace,
    ledger: openMemoryLedger(),
    queue: openMemoryQueue({ now: () => stage.now }),
    step: 0,
    now: START_MS,
    muted: false,
    calm: false,
    sent: [],
    lost: [],
    rebuilding: false,
    rebuilt: true,
  };
  return stage;
}

function nameOf(task: Task | null): string {
  return task === null ? '-' : `${task.name}#${task.id}`;
}

function openBucket({ site, flavour, versioned, skewMs }: SimSite, stage: () => RunningStage): Bucket {
  let id = 0;
  let turn = 0;
  const raw = openMemoryStore({
    site: site.id,
    flavour,
    versioned,
    now: () => stage().now + skewMs,
    nextId: () => `${site.id}${++id}`,
    partBytesMin: 1,
  });
  const bucket: Bucket = { id: site.id, raw, store: withCanonicalNames(raw, site.cloud) };
  raw.onEvent((event) => {
    // The bucket tells nothing of what is not for others: such notifications are filtered where they are set up.
    const key = fromNativeKey(site.cloud, event.key);
    if (key === null || isReserved(key) || stage().muted) return;
    const { wire, now } = stage();
    notify(stage(), toMessage(wire, { site, versioned, event, key, at: now + skewMs, turn: turn++ }));
  });
  return bucket;
}

/** At least once, sometimes: lost, repeated, delayed, out of order. */
function notify(stage: RunningStage, body: string): void {
  stage.sent.push(body);
  if (stage.calm) return void stage.queue.send(body);
  const { loseEvent, repeatEvent, delayEvent } = stage.history.scenario.faults;
  if (stage.chance.hit(loseEvent)) return void stage.lost.push(body);
  const copies = stage.chance.hit(repeatEvent) ? 2 : 1;
  for (let i = 0; i < copies; i++) {
    const delayMs = stage.chance.hit(delayEvent) ? stage.chance.int(100, HOUR_MS) : stage.chance.int(0, 200);
    void stage.queue.send(body, { delayMs });
  }
}

async function plantSentinels(stage: RunningStage): Promise<void> {
  const world: World = {
    ...openWorldFor(stage, { id: 0, name: 'setup', skewMs: 0, asleepUntil: 0, state: 'running' }),
    stores: Object.fromEntries(stage.buckets.map(({ id, store }) => [id, store])),
  };
  for (const { id } of stage.buckets) await plantSentinel(world, id);
}

async function disturb(stage: RunningStage, scenario: Scenario): Promise<void> {
  const { chance, scheduler } = stage;
  const { faults, clients, steps, workersMax } = scenario;
  let operations = clients.operations;
  while (stage.step < steps) {
    stage.step += 1;
    stage.now += chance.int(0, 60);
    if (operations > 0 && chance.hit((clients.operations * 1.4) / steps)) {
      operations -= 1;
      await clientAct(stage);
      continue;
    }
    if (chance.hit(faults.partition)) toggle(stage, chance.pick(stage.buckets).id);
    if (chance.hit(faults.ledgerDown)) toggle(stage, 'ledger');
    if (chance.hit(faults.advanceEpoch)) {
      const epoch = await stage.ledger.epoch();
      await stage.ledger.advanceEpoch(epoch, epoch + 1);
      stage.history.epochs += 1;
      stage.trace(null, () => 'EPOCH advanced');
    }
    if (chance.hit(faults.longPause)) pause(stage, chance.pick([2 * HOUR_MS, 2 * HOUR_MS, 50 * DAY_MS]));
    if (!stage.rebuilding && chance.hit(faults.dropLedger)) dropLedger(stage);
    if (chance.hit(faults.emptyBucket)) await emptyBucket(stage);
    if (stage.rebuilding && !scheduler.tasks.some(({ name }) => name === 'rebuild')) {
      if (stage.rebuilt) stage.rebuilding = false;
      else startRebuild(stage);
    }
    if (!stage.rebuilding && scheduler.tasks.length < workersMax && chance.hit(0.5)) startWork(stage);
    await scheduler.step(stage.now, (task) => fateOf(stage, task));
  }
  while (operations-- > 0) await clientAct(stage);
}

function fateOf(stage: RunningStage, task: Task): Fate {
  const { chance, history } = stage;
  const { crash, slowWorker } = history.scenario.faults;
  if (stage.calm || task.name === 'rebuild') return 'answered';
  if (chance.hit(slowWorker)) {
    task.asleepUntil = stage.now + HOUR_MS;
    stage.trace(task, () => 'sleeps for an hour after this');
  }
  if (!chance.hit(crash)) return 'answered';
  history.crashes += 1;
  return chance.hit(0.5) ? 'crash-before' : 'crash-after';
}

function startWork(stage: RunningStage): void {
  const what = stage.chance.unit();
  const skewMs = stage.chance.int(-stage.history.scenario.workerSkewMs, stage.history.scenario.workerSkewMs);
  if (what < 0.8) start(stage, 'worker', skewMs, (world) => take(stage, world, stage.chance.int(1, 3)));
  else if (what < 0.92) start(stage, 'sweep', skewMs, (world) => sweep(world, 10));
  else if (what < 0.97) start(stage, 'pass', skewMs, (world, task) => passWith(stage, world, task, false));
  else start(stage, 'collect', skewMs, (world) => collectAll(world));
}

/** One batch of messages; what is misread is a fault of our own. */
function take(stage: RunningStage, world: World, max: number): Promise<number> {
  const source: Source = {
    queue: world.queue,
    read: ({ body }) => readMessage(stage.wire, body, stage.topology),
  };
  return consume(world, { max, visibilityMs: 30_000 }, source);
}

function start(
  stage: RunningStage,
  name: string,
  skewMs: number,
  work: (world: World, task: Task) => Promise<unknown>,
): Task {
  return stage.scheduler.start(name, skewMs, async (task) => {
    try {
      await work(openWorldFor(stage, task), task);
    } catch (error) {
      if (!(error instanceof Error && error.name === 'Fault')) throw error;
      stage.trace(task, () => `ended by ${error.message}`);
    }
  });
}

async function passWith(stage: RunningStage, world: World, task: Task, confirmed: boolean): Promise<boolean> {
  const from = stage.step;
  const report = await antiEntropy(world, { confirmDeletions: confirmed });
  const keys = report.kind === 'finished' ? report.keys : 0;
  const { deletionCap, deletionShare } = stage.topology.limits;
  stage.history.passes.push({
    by: task.id,
    from,
    to: stage.step,
    confirmed,
    complete: report.kind === 'stopped' || report.skippedSites.length === 0,
    cap: Math.max(deletionCap, Math.floor(keys * deletionShare)),
  });
  return report.kind === 'finished' && report.differing === 0;
}

/** As the sweeper does: a full pass over all sites, then tombstones from before it. */
async function collectAll(world: World): Promise<void> {
  const report = await antiEntropy(world);
  if (report.kind !== 'finished' || report.skippedSites.length > 0 || report.failed > 0) return;
  await collect(world, await world.ledger.listKeys({ limit: 100 }), report.startedAt);
}

function toggle(stage: RunningStage, place: string): void {
  if (stage.down.has(place)) stage.down.delete(place);
  else stage.down.add(place);
  stage.trace(null, () => `${place} is ${stage.down.has(place) ? 'DOWN' : 'up again'}`);
}

function pause(stage: RunningStage, ms: number): void {
  stage.now += ms;
  stage.trace(null, () => `${ms / HOUR_MS} hours pass`);
  // No function lives for days.
  if (ms > DAY_MS) for (const task of [...stage.scheduler.tasks]) stage.scheduler.crash(task);
}

/** The ledger is lost. Workers that knew it may still write to buckets, but only into the void what they want recorded. */
function dropLedger(stage: RunningStage): void {
  stage.history.drops.push(stage.step);
  stage.ledger = openMemoryLedger();
  stage.cover.ledgerLost();
  stage.now += 10_000;
  stage.rebuilding = true;
  stage.trace(null, () => 'LEDGER LOST');
  stage.down.clear();
  startRebuild(stage);
}

/** An operator repeats it until it has finished. */
function startRebuild(stage: RunningStage): void {
  start(stage, 'rebuild', 0, async (world) => {
    stage.rebuilt = false;
    await rebuild(world);
    stage.rebuilt = true;
  });
}

/** Everything in a bucket is gone, its sentinel too. What is written there from now on is real again. */
async function emptyBucket(stage: RunningStage): Promise<void> {
  const bucket = stage.chance.pick(stage.buckets);
  bucket.raw.empty();
  stage.history.disasters.push({ step: stage.step, site: bucket.id });
  stage.trace(null, () => `${bucket.id} EMPTIED`);
  for (const key of stage.history.scenario.keys)
    await stage.ghost.changed(stage.step, bucket, key, 'disaster', 'emptied');
}

/** Everything heals; then sweeps and passes until nothing changes any more, and every event once more. */
async function comeToRest(stage: RunningStage): Promise<void> {
  const { scheduler, history } = stage;
  stage.down.clear();
  stage.calm = true;
  scheduler.wakeAll();
  await drain(stage);
  if (!stage.rebuilt) startRebuild(stage);
  await drain(stage);
  stage.rebuilding = false;
  await repairDisasters(stage);
  await settle(stage);
  // What was lost comes after all, months late: it may tell of a write and a delete that left nothing to be seen in between.
  for (const body of stage.lost.splice(0)) await stage.queue.send(body);
  history.settled = false;
  await settle(stage);
  await replay(stage);
}

/** Sweeps and passes until nothing changes any more. */
async function settle(stage: RunningStage): Promise<void> {
  const { history } = stage;
  for (let round = 0; round < CALM_ROUNDS_MAX && !history.settled; round++) {
    stage.now += 2 * DAY_MS;
    const before = history.restlessWrites + history.ledgerWrites.length;
    let clean = false;
    start(stage, 'worker', 0, async (world, task) => {
      while ((await take(stage, world, 10)) > 0);
      await sweep(world, 100);
      clean = await passWith(stage, world, task, round > 0);
    });
    await drain(stage);
    history.settled = clean && round > 0 && before === history.restlessWrites + history.ledgerWrites.length;
  }
}

/** An operator has seen the alarms: the bucket is ours, and is to be filled again from the others. */
async function repairDisasters(stage: RunningStage): Promise<void> {
  const sites = new Set(stage.history.disasters.map(({ site }) => site));
  start(stage, 'operator', 0, async (world) => {
    for (const site of sites) await reseed(world, site);
  });
  await drain(stage);
}

/** I3 and I4: a rested world stays at rest, whatever is told again, in whatever order, half of it twice. */
async function replay(stage: RunningStage): Promise<void> {
  const { history, chance, sent } = stage;
  history.restlessWrites = 0;
  const before = await fingerprint(stage);
  const again = chance.shuffle(sent).slice(0, Math.ceil(sent.length / 2));
  for (const body of chance.shuffle([...sent, ...again])) await stage.queue.send(body);
  start(stage, 'worker', 0, async (world) => {
    while ((await take(stage, world, 10)) > 0);
  });
  await drain(stage);
  const after = await fingerprint(stage);
  for (const [name, text] of before)
    if (after.get(name) !== text)
      history.replayChanged.push(`${name}: ${difference(text, after.get(name) ?? 'nothing')}`);
}

/** What an item says of versions and sites; not how often it was stored, nor which of several absences was seen last. */
function meaningOf(item: KeyItem | null): string {
  if (item === null) return 'none';
  const { dots, frontier, versions, sites, unresolved, outbox, due } = item;
  // Deleted is deleted: an event that had been lost may tell of one more write and delete in between.
  if (frontier.every((vid) => versions[vid]?.kind === 'tombstone')) return `deleted, ${outbox.length}, ${due}`;
  const stands = Object.entries(sites).map(([site, { vid, evicted, quarantined }]) => [
    site,
    vid,
    evicted,
    quarantined,
  ]);
  const past = frontier.map((vid) => versions[vid]?.vv);
  return JSON.stringify({ dots, frontier, past, stands, unresolved, outbox, due });
}

/** The part that differs, with a little of what is around it. */
function difference(a: string, b: string): string {
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  return `...${a.slice(Math.max(0, start - 60), start + 80)} became ...${b.slice(Math.max(0, start - 60), start + 80)}`;
}

async function fingerprint(stage: RunningStage): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const key of await stage.ledger.listKeys({ limit: 1000 }))
    texts.set(key, meaningOf((await stage.ledger.get(key)).item));
  for (const { id, store } of stage.buckets) {
    for (const { key, phys } of (await store.list({ prefix: '', limit: 1000 })).objects)
      if (!isReserved(key)) texts.set(at(id, key), phys);
  }
  return texts;
}

async function drain(stage: RunningStage): Promise<void> {
  await turn();
  const last = stage.step + CALM_STEPS_MAX;
  while (stage.scheduler.tasks.length > 0 && stage.step < last) {
    stage.step += 1;
    stage.now += 1;
    if (!(await stage.scheduler.step(stage.now, () => 'answered'))) await turn();
  }
}

async function endingOf(stage: RunningStage): Promise<Ending> {
  const items = new Map<string, KeyItem>();
  const log = new Map<string, readonly LogEntry[]>();
  const keys = new Set([...(await stage.ledger.listKeys({ limit: 1000 })), ...stage.history.scenario.keys]);
  const contents = new Map<string, string | null>();
  for (const key of keys) {
    const { item } = await stage.ledger.get(key);
    if (item !== null) items.set(key, item);
    log.set(key, await stage.ledger.readLog(key));
    for (const bucket of stage.buckets) {
      const head = await bucket.store.head(key).catch(() => null);
      const known = head === null ? null : (stage.ghost.contentOf(bucket.id, key, head.phys) ?? `unknown ${head.phys}`);
      contents.set(at(bucket.id, key), known);
    }
  }
  return { items, log, contents, representable: (site, key) => isRepresentable(stage.history, site, key) };
}

function ownFailures({ scheduler, step }: RunningStage): Violation[] {
  return scheduler.broken.map((error) => ({
    invariant: 'own code',
    step,
    text: (error instanceof Error ? (error.stack ?? error.message) : String(error)).split('\n').slice(0, 3).join(' '),
  }));
}
