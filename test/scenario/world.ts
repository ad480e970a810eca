/** A whole small world in memory, without chance: clients act at buckets, workers run when told to, every call is counted. */

import { everyRule } from '#shared/decide/rules.ts';
import { type MemoryLedger, openMemoryLedger } from '#shared/ledger/memory.ts';
import type { Happening } from '#shared/model/happening.ts';
import type { KeyItem } from '#shared/model/key-item.ts';
import { fromNativeKey, isReserved } from '#shared/model/key-map.ts';
import type { LogEntry } from '#shared/model/log-entry.ts';
import { type ObjectChange, toObjectChangeText } from '#shared/model/object-change.ts';
import type { Site, SiteId } from '#shared/model/site.ts';
import { DEFAULT_LIMITS, type Limits, type Route, type Topology } from '#shared/model/topology.ts';
import { openMemoryQueue } from '#shared/queue/memory.ts';
import type { DeadLetter, Queue } from '#shared/queue/queue.ts';
import { consume } from '#shared/replicate/consume.ts';
import { plantSentinel } from '#shared/replicate/sentinel.ts';
import { sweep } from '#shared/replicate/sweep.ts';
import { withCanonicalNames } from '#shared/store/layers/canonical.ts';
import { type MemoryFlavour, type MemoryStore, openMemoryStore } from '#shared/store/memory.ts';
import type { ObjectStore } from '#shared/store/store.ts';
import type { CustomResolver, Notice, World } from '#shared/world/world.ts';

export const START_MS = 1_750_000_000_000;
export const DAY_MS = 24 * 3_600_000;

const CLOUDS = { s3: 'aws', gcs: 'gcp', azure: 'azure' } as const;
const VISIBILITY_MS = 30_000;
const BATCHES_MAX = 100;

/** One call of the core to something outside: a site, the ledger or the queue. */
export interface Call {
  readonly place: string;
  readonly op: string;
  readonly args: readonly unknown[];
  /** Absent: it failed, or has not ended. */
  answer?: unknown;
}

export interface SceneOptions {
  readonly sites?: Readonly<Record<SiteId, MemoryFlavour>>;
  readonly routes?: ReadonlyArray<Partial<Route>>;
  readonly limits?: Partial<Limits>;
  readonly resolvers?: Readonly<Record<string, CustomResolver>>;
}

export interface Scene {
  now: number;
  /** True: what happens at buckets is told to nobody. */
  deaf: boolean;
  /** Asked before every call of the core; what it throws is what the call ends with. */
  before: (call: Call) => unknown;
  readonly world: World;
  readonly buckets: Readonly<Record<SiteId, MemoryStore>>;
  readonly queue: Queue;
  readonly calls: Call[];
  readonly notices: Notice[];
  /** What was published, notices aside. */
  readonly happenings: Happening[];

  put(site: SiteId, key: string, text: string, note?: string): void;
  /** What stands there, as text; null: nothing does. */
  read(site: SiteId, key: string): Promise<string | null>;
  /** What stands at every site, in their order. */
  readAll(key: string): Promise<readonly (string | null)[]>;
  /** What is listed there, our own objects included. */
  keys(site: SiteId): Promise<readonly string[]>;
  item(key: string): Promise<KeyItem | null>;
  /** What the ledger's index of due keys holds. */
  listed(): Promise<readonly string[]>;
  log(key: string): Promise<readonly LogEntry[]>;
  deadLetters(): Promise<readonly DeadLetter[]>;
  tell(change: ObjectChange): Promise<void>;
  plantRow(key: string, text: string): void;
  /** Workers take messages until none is left that can be taken now. */
  drain(): Promise<void>;
  /** Drains, then sweeps what is due once all leases have ended. */
  rest(): Promise<void>;
  /** How often each operation was called, sentinels aside, since this was last asked. */
  count(): Readonly<Record<string, number>>;
  /** Writes to buckets since `count` was last asked, sentinels aside. */
  writes(): readonly string[];
  loseLedger(): void;
}

export async function openScene(options: SceneOptions = {}): Promise<Scene> {
  const flavours = options.sites ?? { aws: 's3', gcp: 'gcs', az: 'azure' };
  const ids = Object.keys(flavours);
  const topology = topologyOf(flavours, options);
  let given = 0;
  let ledger = openMemoryLedger();

  const scene: Scene = {
    now: START_MS,
    deaf: false,
    before: () => {},
    world: {
      topology,
      stores: Object.fromEntries(ids.map((id) => [id, watched(id, () => stores[id] as ObjectStore)])),
      ledger: watched('ledger', () => ledger as MemoryLedger),
      queue: watched('queue', () => scene.queue),
      clock: { now: () => scene.now },
      random: { id: () => String(++given).padStart(22, '0') },
      macKeys: { newest: 'k', keys: { k: new Uint8Array(16).fill(9) } },
      resolvers: options.resolvers ?? {},
      rules: everyRule,
      report: (notice) => void scene.notices.push(notice),
      ask: (change) => scene.tell(change),
      publish: (happening) => void scene.happenings.push(happening),
    },
    buckets: Object.fromEntries(ids.map((id) => [id, openBucket(id)])),
    queue: openMemoryQueue({ now: () => scene.now }),
    calls: [],
    notices: [],
    happenings: [],

    put(site, key, text, note = 'plain') {
      const metadata = { headers: { contentType: 'text/plain' }, user: { note } };
      scene.buckets[site]?.clientPut(key, new TextEncoder().encode(text), { metadata });
    },

    async read(site, key) {
      const store = stores[site] as ObjectStore;
      const head = await store.head(key);
      if (head === null) return null;
      const chunks: Uint8Array[] = [];
      for await (const chunk of (await store.get(key, head.phys)).body) chunks.push(chunk);
      return Buffer.concat(chunks).toString();
    },

    readAll: (key) => Promise.all(ids.map((site) => scene.read(site, key))),
    async keys(site) {
      const { objects } = await (stores[site] as ObjectStore).list({ prefix: '', limit: 1000 });
      return objects.map(({ key }) => key);
    },

    item: async (key) => (await ledger.get(key)).item,
    listed: () => ledger.listDue(Number.MAX_SAFE_INTEGER, 100),
    log: (key) => ledger.readLog(key),
    deadLetters: () => scene.queue.deadLetters({ limit: 100 }),
    tell: (change) => scene.queue.send(toObjectChangeText(change)),
    plantRow: (key, text) => ledger.plantRow(key, text),

    async drain() {
      for (let batch = 0; batch < BATCHES_MAX; batch++) {
        if ((await consume(scene.world, { max: 10, visibilityMs: VISIBILITY_MS })) === 0) return;
      }
      throw new Error('the queue never came to rest');
    },

    async rest() {
      await scene.drain();
      scene.now += topology.limits.leaseMs + 1;
      await sweep(scene.world, 100);
      await scene.drain();
    },

    count() {
      const counts: Record<string, number> = {};
      for (const { place, op } of scene.calls.splice(0).filter(({ place }) => place !== 'queue')) {
        counts[`${place} ${op}`] = (counts[`${place} ${op}`] ?? 0) + 1;
      }
      return counts;
    },

    writes: () =>
      scene.calls
        .splice(0)
        .filter(({ op }) => ['put', 'delete', 'copy', 'completeUpload', 'putPart'].includes(op))
        .map(({ place, op, args }) => `${place} ${op} ${args[op === 'copy' ? 1 : 0]}`),

    loseLedger() {
      ledger = openMemoryLedger();
    },
  };

  const stores = Object.fromEntries(ids.map((id) => [id, withCanonicalNames(scene.buckets[id] as MemoryStore)]));

  function openBucket(site: SiteId): MemoryStore {
    const flavour = flavours[site] as MemoryFlavour;
    const bucket = openMemoryStore({ site, flavour, versioned: true, now: () => scene.now, partBytesMin: 1 });
    bucket.onEvent(({ key: name, kind, phys }) => {
      const key = fromNativeKey(CLOUDS[flavour], name);
      if (scene.deaf || key === null || isReserved(key)) return;
      void scene.tell({ site, key, kind, ...(phys === undefined ? {} : { phys }) });
    });
    return bucket;
  }

  function watched<Port extends object>(place: string, port: () => Port): Port {
    const get = (_target: Port, op: string | symbol): unknown => {
      const value: unknown = Reflect.get(port(), op);
      if (typeof value !== 'function' || typeof op !== 'string') return value;
      return async (...args: readonly unknown[]) => {
        const call: Call = { place, op, args };
        scene.calls.push(call);
        await scene.before(call);
        call.answer = await Reflect.apply(value, port(), args);
        return call.answer;
      };
    };
    return new Proxy({} as Port, { get });
  }

  for (const id of ids) await plantSentinel(scene.world, id);
  scene.calls.length = 0;
  return scene;
}

function topologyOf(flavours: Readonly<Record<SiteId, MemoryFlavour>>, options: SceneOptions): Topology {
  const sites = Object.entries(flavours).map(([id, flavour]): Site => {
    return { id, cloud: CLOUDS[flavour], region: 'here', bucket: `bucket-${id}`, mode: 'active' };
  });
  const everywhere: Route = {
    prefix: '',
    sites: sites.map(({ id }) => id),
    policy: { kind: 'lww' },
    deletes: 'write-wins',
    copiesBeforeSupersede: 2,
  };
  const routes = (options.routes ?? [{}]).map((route) => ({ ...everywhere, ...route }));
  return { namespace: 'scene', sites, routes, limits: { ...DEFAULT_LIMITS, ...options.limits } };
}
