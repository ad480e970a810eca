/** Six things that happen to objects in several clouds, each of them checked by reading the buckets back. */

import { openChecksums } from '../../shared/model/crc.ts';
import { invalid } from '../../shared/model/fault.ts';
import { isReserved, toNativeKey } from '../../shared/model/key-map.ts';
import type { SiteId } from '../../shared/model/site.ts';
import { type Route, routeOf, siteOf, type Topology } from '../../shared/model/topology.ts';
import { antiEntropy } from '../../shared/replicate/anti-entropy.ts';
import { consume } from '../../shared/replicate/consume.ts';
import { readWhole, type Whole } from '../../shared/replicate/read.ts';
import type { MemoryStore } from '../../shared/store/memory.ts';
import type { ObjectStore } from '../../shared/store/store.ts';
import type { World } from '../../shared/world/world.ts';
import { all, count } from '../words.ts';
import type { Told, Totals } from './print.ts';

/** Where it takes place: one route, and those of its sites where clients write. */
export interface Setting {
  readonly topology: Topology;
  readonly route: Route;
  readonly sites: readonly SiteId[];
  readonly writers: readonly [SiteId, ...SiteId[]];
  readonly folder: string;
}

export interface Clouds {
  readonly world: World;
  /** As clients see them. */
  readonly buckets: ReadonlyMap<SiteId, MemoryStore>;
  /** How often buckets have told of a change; all of that is in the queue then. */
  readonly delivered: () => Promise<number>;
  readonly putClockForward: (ms: number) => void;
}

const MIB = 1024 ** 2;
const LARGE_BYTES = 12 * MIB;
const FOLDER = 'story/';
const STAGED = '.triplicate/stage/';
const BATCHES_MAX = 100;
const LISTED_MAX = 1000;

/** The route that lets most of the story happen, or Fault 'invalid' when none lets any of it. */
export function readSetting(topology: Topology): Setting {
  const settings = topology.routes.flatMap((route): readonly Setting[] => {
    const folder = `${route.prefix}${FOLDER}`;
    const [writer, ...more] = route.sites.filter((site) => siteOf(topology, site).mode === 'active');
    if (writer === undefined || routeOf(topology, folder) !== route) return [];
    return [{ topology, route, folder, sites: route.sites, writers: [writer, ...more] }];
  });
  const worth = ({ sites, writers, route }: Setting) =>
    (writers.length > 1 ? 100 : 0) + (route.policy.kind === 'keep-both' ? 10 : 0) + sites.length;
  const best = settings.sort((a, b) => worth(b) - worth(a))[0];
  const prefixes = topology.routes.map(({ prefix }) => prefix);
  if (best === undefined) throw invalid('routes', prefixes, 'one with a site in mode active, or no client can write');
  return best;
}

export async function tellStory(setting: Setting, clouds: Clouds, tell: (told: Told) => void): Promise<Totals> {
  const stage = openStage(setting, clouds, tell);
  await writeAppears(stage);
  await conflictIsFound(stage);
  await deleteReplicates(stage);
  await largeObjectGoesByParts(stage);
  await deadWorkersWriteIsFinished(stage);
  await nothingIsLeftToDo(stage);
  return { ...stage.totals, notifications: await clouds.delivered() };
}

async function writeAppears(stage: Stage): Promise<void> {
  const { sites, writers, world } = stage;
  const key = `${stage.folder}notes.txt`;
  const bytes = toBytes('The first notes.');
  const [source] = writers;
  const expect = checker(stage, 'write', key);
  clientPut(stage, source, key, bytes);
  await expect((site) => (site === source ? bytes : null), `A client writes ${key} at ${source}: ${describe(bytes)}.`);
  const writtenAt = world.clock.now();
  await work(stage);
  const tookMs = world.clock.now() - writtenAt;
  await expect(() => bytes, `${tookMs} ms later it is at ${all(others(sites, source))} too, with equal CRCs.`);
}

async function conflictIsFound(stage: Stage): Promise<void> {
  const { sites, writers, route, world, folder } = stage;
  const [here, there] = writers;
  const { policy } = route;
  const step = 'conflict';
  if (there === undefined) return notRun(stage, step, 'A conflict needs a route with two sites in mode active.');
  if (policy.kind === 'custom') return notRun(stage, step, `Policy ${policy.name} is a function that is not here.`);
  const key = `${folder}plan.txt`;
  const plans = new Map([here, there].map((site) => [site, toBytes(`The plan as ${site} wants it.`)]));
  const expect = checker(stage, step, key);
  for (const [site, plan] of plans) clientPut(stage, site, key, plan);
  const text = `Clients write ${key} at ${here} and at ${there}, neither knowing of the other.`;
  await expect((site) => plans.get(site) ?? null, text);
  await work(stage);

  const { item } = await world.ledger.get(key);
  const decided = (await world.ledger.readLog(key)).find(({ kind }) => kind === 'superseded');
  const winner = item?.versions[decided?.by ?? '']?.origin.site ?? here;
  const loser = winner === here ? there : here;
  const seen = `Conflict seen: ${loser} yields to ${winner} by policy ${decided?.note ?? policy.kind}.`;
  check(stage, step, decided !== undefined, seen, 'no such entry in the log');
  await expect(() => plans.get(winner) ?? null, `What ${winner} wrote is now at ${all(sites)}.`);
  if (policy.kind !== 'keep-both') return notRun(stage, step, `Policy ${policy.kind} promises no copy of the loser.`);
  const copies = await listKeys(stage, loser, `${folder}plan~conflict-`);
  const copy = copies[0] ?? `${folder}plan~conflict`;
  await checker(stage, step, copy)(() => plans.get(loser) ?? null, `${copy} has what ${loser} wrote, at each site.`);
}

async function deleteReplicates(stage: Stage): Promise<void> {
  const { sites, writers } = stage;
  const key = `${stage.folder}notes.txt`;
  const where = writers[1] ?? writers[0];
  clientDelete(stage, where, key);
  await work(stage);
  const text = `A client deletes ${key} at ${where}; it is gone at ${all(others(sites, where))} too.`;
  await checker(stage, 'delete', key)(() => null, text);
}

async function largeObjectGoesByParts(stage: Stage): Promise<void> {
  const { sites, writers, parts, world } = stage;
  const { partBytes } = world.topology.limits;
  const [source] = writers;
  const targets = others(sites, source);
  const key = `${stage.folder}film.mp4`;
  const bytes = Uint8Array.from({ length: LARGE_BYTES }, (_, at) => at * 31 + (at >> 12));
  const expect = checker(stage, 'parts', key);
  clientPut(stage, source, key, bytes);
  await expect((site) => (site === source ? bytes : null), `A client writes ${key} at ${source}: ${describe(bytes)}.`);
  await work(stage);
  const wanted = Math.ceil(LARGE_BYTES / partBytes);
  const moved = `carried there in ${wanted} parts of at most ${partBytes / MIB} MiB`;
  const counts = targets.map((site) => `${count(parts.get(site) ?? 0, 'part')} to ${site}`);
  const isByParts = targets.every((site) => parts.get(site) === wanted);
  await expect(() => bytes, `It is at ${all(targets)} too, ${moved}.`, isByParts ? null : counts.join(', '));
  const left = (await Promise.all(targets.map((site) => listKeys(stage, site, STAGED)))).flat();
  check(
    stage,
    'parts',
    left.length === 0,
    `Nothing of the parts is left there under ${STAGED} afterwards.`,
    left.join(', '),
  );
}

async function deadWorkersWriteIsFinished(stage: Stage): Promise<void> {
  const { sites, writers, world, totals } = stage;
  const [source] = writers;
  const [reached = source, ...missed] = others(sites, source);
  const key = `${stage.folder}letter.txt`;
  const bytes = toBytes('A letter that must arrive once.');
  const expect = checker(stage, 'crash', key);
  const writesBefore = totals.replicaWrites;
  clientPut(stage, source, key, bytes);
  await untilDeath(() => consumeBatch(stage, withDeathAfterPut(world, reached)));
  const { item } = await world.ledger.get(key);
  const isUnknown = item !== null && item.sites[reached]?.vid !== item.frontier[0];
  const died = await expect(
    (site) => (missed.includes(site) ? null : bytes),
    `A worker dies when ${key} has reached ${reached}; the ledger does not know.`,
    isUnknown ? null : 'the ledger knows',
  );

  const { leaseMs } = world.topology.limits;
  stage.putClockForward(leaseMs + 1);
  await work(stage);
  const learns = missed.length === 0 ? 'learns of it' : `copies it to ${all(missed)}`;
  const text = `The clock is put ${lasting(leaseMs)} forward: its message comes again, and a worker ${learns}.`;
  const due = (await world.ledger.get(key)).item?.due;
  await expect(() => bytes, text, due === null ? null : 'it is still due');
  const writes = totals.replicaWrites - writesBefore;
  const now = await readBack(stage, key);
  const isSame = now.get(reached)?.version.phys === died.get(reached)?.version.phys;
  const once = `No second copy: ${reached} still has the one from before; ${count(writes, 'write')} in all.`;
  check(stage, 'crash', isSame && writes === sites.length - 1, once, isSame ? 'too many' : 'another version');
}

async function nothingIsLeftToDo(stage: Stage): Promise<void> {
  const { sites, world, delivered } = stage;
  const changesBefore = await delivered();
  const pass = await antiEntropy(world);
  await work(stage);
  const changes = (await delivered()) - changesBefore;
  const { keys, differing, skippedSites } = pass.kind === 'finished' ? pass : NO_PASS;
  const isCalm = keys > 0 && differing === 0 && skippedSites.length === 0 && changes === 0;
  const compared = `Anti-entropy compares ${count(keys, 'key')} in all buckets: ${differing} differ`;
  check(stage, 'calm', isCalm, `${compared}, ${count(changes, 'bucket write')}.`, JSON.stringify(pass));

  const { waiting, inFlight, dead } = await world.queue.depth();
  const due = (await world.ledger.listDue(Number.MAX_SAFE_INTEGER, LISTED_MAX)).length;
  const isDone = waiting + inFlight + dead + due === 0;
  const left = `${count(waiting + inFlight, 'message')} in the queue, ${dead} dead`;
  check(stage, 'calm', isDone, `${left}; ${count(due, 'key')} due in the ledger.`);

  const [first = [], ...rest] = await Promise.all(sites.map((site) => contentsOf(stage, site)));
  const isEqual = first.length > 0 && rest.every((contents) => contents.join('\n') === first.join('\n'));
  check(stage, 'calm', isEqual, `${all(sites)} hold the same ${count(first.length, 'object')}, all read back in full.`);
}

const NO_PASS = { keys: 0, differing: 0, skippedSites: [] } as const;

interface Stage extends Setting, Clouds {
  readonly totals: { -readonly [Name in keyof Totals]: number };
  /** Parts written to each site. */
  readonly parts: Map<SiteId, number>;
  readonly tell: (told: Told) => void;
}

function openStage(setting: Setting, clouds: Clouds, tell: (told: Told) => void): Stage {
  const totals = { passed: 0, failed: 0, notRun: 0, writes: 0, deletes: 0 };
  const ours = { replicaWrites: 0, replicaDeletes: 0, parts: 0, notifications: 0 };
  const stage = { ...setting, ...clouds, totals: { ...totals, ...ours }, parts: new Map<SiteId, number>(), tell };
  const stores = Object.entries(clouds.world.stores).map(([id, store]) => [id, withTotals(store, stage)]);
  return { ...stage, world: { ...clouds.world, stores: Object.fromEntries(stores) } };
}

/** Counts what Triplicate does to objects of clients. */
function withTotals(store: ObjectStore, { totals, parts }: Stage): ObjectStore {
  async function counted<T>(key: string, name: 'replicaWrites' | 'replicaDeletes', done: Promise<T>): Promise<T> {
    const answer = await done;
    if (!isReserved(key)) totals[name] += 1;
    return answer;
  }
  return {
    ...store,
    put: (key, body, options) => counted(key, 'replicaWrites', store.put(key, body, options)),
    copy: (source, key, options, progress) => counted(key, 'replicaWrites', store.copy(source, key, options, progress)),
    delete: (key, condition) => counted(key, 'replicaDeletes', store.delete(key, condition)),
    async putPart(key, upload, part, body, sums) {
      const receipt = await store.putPart(key, upload, part, body, sums);
      totals.parts += 1;
      parts.set(store.site, (parts.get(store.site) ?? 0) + 1);
      return receipt;
    },
  };
}

class WorkerDied extends Error {}

/** The world of a worker that dies when its write has landed at the site: elsewhere and afterwards it does nothing. */
function withDeathAfterPut(world: World, site: SiteId): World {
  const landing = Promise.withResolvers<never>();
  landing.promise.catch(() => {});
  const stores = Object.entries(world.stores).map(([id, store]): [SiteId, ObjectStore] => {
    const put: ObjectStore['put'] = async (key, body, options) => {
      if (id === site) await store.put(key, body, options).finally(() => landing.reject(new WorkerDied()));
      return landing.promise;
    };
    return [id, { ...store, put }];
  });
  return { ...world, stores: Object.fromEntries(stores) };
}

async function untilDeath(run: () => Promise<unknown>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof WorkerDied)) throw error;
  }
}

/** Until the queue has nothing more to give. */
async function work(stage: Stage): Promise<void> {
  for (let batch = 0; batch < BATCHES_MAX; batch++) if ((await consumeBatch(stage, stage.world)) === 0) return;
}

async function consumeBatch(stage: Stage, world: World): Promise<number> {
  await stage.delivered();
  return consume(world, { max: 10, visibilityMs: world.topology.limits.leaseMs });
}

function clientPut(stage: Stage, site: SiteId, key: string, bytes: Uint8Array): void {
  stage.buckets.get(site)?.clientPut(nativeName(stage, site, key), bytes);
  stage.totals.writes += 1;
}

function clientDelete(stage: Stage, site: SiteId, key: string): void {
  stage.buckets.get(site)?.clientDelete(nativeName(stage, site, key));
  stage.totals.deletes += 1;
}

function nativeName({ topology }: Stage, site: SiteId, key: string): string {
  const native = toNativeKey(siteOf(topology, site).cloud, key);
  if (native.kind !== 'name') throw invalid('key', key, `a name that ${site} can hold`);
  return native.name;
}

type Found = ReadonlyMap<SiteId, Whole | null>;

/** What stands at every site, read in full; at those outside the route as well. */
async function readBack({ world, topology }: Stage, key: string): Promise<Found> {
  const found = new Map<SiteId, Whole | null>();
  for (const { id } of topology.sites) {
    const store = world.stores[id] as ObjectStore;
    const version = await store.head(key);
    found.set(id, version && (await readWhole(store, key, version.phys)));
  }
  return found;
}

/** Tells whether these bytes stand at each site of the route, and nothing elsewhere, and nothing else is amiss. */
function checker(stage: Stage, step: string, key: string) {
  return async (expected: (site: SiteId) => Uint8Array | null, text: string, amiss: string | null = null) => {
    const found = await readBack(stage, key);
    const isFound = [...found].every(([site, whole]) => {
      const bytes = stage.sites.includes(site) ? expected(site) : null;
      if (bytes === null || whole === null) return bytes === whole;
      return whole.checksums.crc32c === crc32cOf(bytes) && Buffer.compare(whole.bytes, bytes) === 0;
    });
    const texts = [...found].map(([site, whole]) => `${site} ${whole === null ? 'nothing' : describe(whole.bytes)}`);
    check(stage, step, isFound && amiss === null, text, [...texts, ...(amiss === null ? [] : [amiss])].join('; '));
    return found;
  };
}

function check({ totals, tell }: Stage, step: string, ok: boolean, text: string, found?: string): void {
  totals[ok ? 'passed' : 'failed'] += 1;
  tell({ kind: 'check', step, ok, text, ...(ok || found === undefined ? {} : { found }) });
}

function notRun({ totals, tell }: Stage, step: string, text: string): void {
  totals.notRun += 1;
  tell({ kind: 'not-run', step, text });
}

async function listKeys({ world }: Stage, site: SiteId, prefix: string): Promise<readonly string[]> {
  const page = await world.stores[site]?.list({ prefix, limit: LISTED_MAX });
  return (page?.objects ?? []).map(({ key }) => key);
}

/** A line for every object of clients: its key and the checksums of the bytes that were read. */
async function contentsOf(stage: Stage, site: SiteId): Promise<readonly string[]> {
  const keys = (await listKeys(stage, site, '')).filter((key) => !isReserved(key));
  const lines = keys.map(async (key) => `${key} ${JSON.stringify((await readBack(stage, key)).get(site)?.checksums)}`);
  return (await Promise.all(lines)).sort();
}

function others(sites: readonly SiteId[], site: SiteId): readonly SiteId[] {
  return sites.filter((it) => it !== site);
}

function toBytes(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\n`);
}

function crc32cOf(bytes: Uint8Array): string {
  const sums = openChecksums();
  sums.update(bytes);
  return sums.result().crc32c;
}

function describe(bytes: Uint8Array): string {
  const size = bytes.length >= MIB ? `${bytes.length / MIB} MiB` : `${bytes.length} bytes`;
  return `${size}, CRC-32C ${crc32cOf(bytes)}`;
}

function lasting(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`;
}
