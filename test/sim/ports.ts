/** The outside world as a simulated worker sees it: every call goes through the scheduler and may meet a fault. */

import type { Rules } from '#shared/decide/rules.ts';
import type { Ledger } from '#shared/ledger/ledger.ts';
import { type Fault, fault, isFault } from '#shared/model/fault.ts';
import type { KeyItem } from '#shared/model/key-item.ts';
import { isReserved } from '#shared/model/key-map.ts';
import type { Topology } from '#shared/model/topology.ts';
import type { Queue } from '#shared/queue/queue.ts';
import type { ObjectRead, ObjectStore } from '#shared/store/store.ts';
import type { CustomResolver, World } from '#shared/world/world.ts';
import type { Cover } from './cover.ts';
import type { Bucket, Ghost } from './ghost.ts';
import type { History } from './history.ts';
import { MAC_KEYS } from './keys.ts';
import type { Chance } from './random.ts';
import type { Scheduler, Task } from './scheduler.ts';
import { truthOf, type Wire } from './wire.ts';

/** All that the ports of one run share. */
export interface Stage {
  readonly chance: Chance;
  readonly history: History;
  readonly ghost: Ghost;
  readonly cover: Cover;
  readonly scheduler: Scheduler;
  readonly buckets: readonly Bucket[];
  readonly topology: Topology;
  readonly rules: Rules;
  readonly wire: Wire;
  readonly down: Set<string>;
  /** The text is made only when somebody reads it. */
  readonly trace: (task: Task | null, text: () => string) => void;
  ledger: Ledger;
  queue: Queue;
  step: number;
  now: number;
  /** No notification leaves any bucket. */
  muted: boolean;
  /** Faults stop when the run comes to rest. */
  calm: boolean;
}

type Effect = 'read' | 'write' | 'conditional-write';

export function openWorldFor(stage: Stage, task: Task): World {
  return {
    topology: stage.topology,
    stores: Object.fromEntries(stage.buckets.map((bucket) => [bucket.id, openStore(stage, task, bucket)])),
    ledger: openLedger(stage, task),
    queue: openQueue(stage, task),
    clock: { now: () => stage.now + task.skewMs },
    random: { id: () => stage.chance.id() },
    macKeys: MAC_KEYS,
    resolvers: RESOLVERS,
    rules: stage.rules,
    report: ({ severity, what, site, key, detail }) =>
      stage.trace(task, () => `REPORT ${severity} ${what} ${site ?? ''} ${key ?? ''}: ${detail}`),
  };
}

function openStore(stage: Stage, task: Task, bucket: Bucket): ObjectStore {
  const { store, id } = bucket;
  function read<T>(op: string, effect: () => Promise<T>): Promise<T> {
    return guarded(stage, task, id, `${id}.${op}`, 'read', effect);
  }
  function write<T>(op: string, key: string, kind: Effect, effect: () => Promise<T>): Promise<T> {
    return guarded(stage, task, id, `${id}.${op}`, kind, async () => {
      const answer = await effect();
      await stage.ghost.changed(stage.step, bucket, key, 'us', op);
      if (stage.calm && !isReserved(key)) stage.history.restlessWrites += 1;
      return answer;
    });
  }
  return {
    site: id,
    capabilities: store.capabilities,
    head: (key) => read(`head ${key}`, () => store.head(key)),
    versions: (key) => read(`versions ${key}`, () => store.versions(key)),
    get: (key, phys, range) =>
      read(`get ${key} ${phys}${range ? ` ${range.start}-${range.end}` : ''}`, async () =>
        tampered(stage, await store.get(key, phys, range)),
      ),
    list: (query) => read(`list ${query.prefix}`, () => store.list(query)),
    put: (key, body, options) => {
      if (options.marker !== undefined) stage.history.markers.push({ step: stage.step, bytes: options.marker.length });
      return write(
        `put ${key} ${describe(options.condition)}`,
        key,
        options.condition.kind === 'always' ? 'write' : 'conditional-write',
        () => store.put(key, body, options),
      );
    },
    delete: (key, condition) =>
      write(`delete ${key} ${describe(condition)}`, key, 'conditional-write', () => store.delete(key, condition)),
    copy: (source, key, options, progress) =>
      write(`publish ${source.key} as ${key} ${describe(options.condition)}`, key, 'conditional-write', () =>
        store.copy(source, key, options, progress),
      ),
    createUpload: (key) => read(`createUpload ${key}`, () => store.createUpload(key)),
    putPart: (key, upload, part, body, sums) =>
      read(`putPart ${key} ${part}`, () => store.putPart(key, upload, part, body, sums)),
    completeUpload: (key, upload, parts) =>
      write(`completeUpload ${key}`, key, 'write', () => store.completeUpload(key, upload, parts)),
    abortUpload: (key, upload) => read(`abortUpload ${key}`, () => store.abortUpload(key, upload)),
  };
}

function openLedger(stage: Stage, task: Task): Ledger {
  // A new ledger is another place: who knew the lost one does not reach it.
  const mine = stage.ledger;
  async function reached<T>(effect: () => Promise<T>): Promise<T> {
    if (stage.ledger !== mine) throw fault('unreachable', 'the ledger this worker knew is gone', { op: 'ledger' });
    return effect();
  }
  function read<T>(op: string, effect: () => Promise<T>): Promise<T> {
    return guarded(stage, task, 'ledger', `ledger.${op}`, 'read', () => reached(effect));
  }
  function write<T>(op: string, effect: () => Promise<T>): Promise<T> {
    return guarded(stage, task, 'ledger', `ledger.${op}`, 'write', () => reached(effect));
  }
  return {
    get: (key) => read(`get ${key}`, () => mine.get(key)),
    listDue: (now, limit) => read('listDue', () => mine.listDue(now, limit)),
    listKeys: (query) => read('listKeys', () => mine.listKeys(query)),
    readLog: (key) => read(`readLog ${key}`, () => mine.readLog(key)),
    epoch: () => read('epoch', () => mine.epoch()),
    getRecord: (id) => read(`getRecord ${id.slice(0, 24)}`, () => mine.getRecord(id)),
    listRecords: (query) => read('listRecords', () => mine.listRecords(query)),
    advanceEpoch: (from, to) => write(`advanceEpoch ${from} ${to}`, () => mine.advanceEpoch(from, to)),
    appendLog: (entry) => write(`appendLog ${entry.key} ${entry.id}`, () => mine.appendLog(entry)),
    swapRecord: (id, rev, value) =>
      write(`swapRecord ${id.slice(0, 24)} ${rev}`, () => mine.swapRecord(id, rev, value)),
    compareAndSet: (item, { rev, epoch: claimedEpoch }) => {
      const { key } = item;
      return write(`compareAndSet ${key} rev ${rev}`, async () => {
        const epochThen = await mine.epoch();
        const epoch = stage.rules['epoch-fence'] ? claimedEpoch : epochThen;
        const answer = await mine.compareAndSet(item, { rev, epoch }).catch(unlessMalformed);
        if (answer === 'done') {
          const bytes = JSON.stringify(item).length;
          stage.history.ledgerWrites.push({ step: stage.step, key, claimedEpoch, epochThen, bytes });
          stage.ghost.stored(stage.step, task.id, item);
          stage.cover.stored(stage.step, stage.now, task.id, item);
          stage.trace(task, () => summary(item));
        }
        return answer;
      });
    },
    remove: (key, expected) =>
      write(`remove ${key}`, async () => {
        const answer = await mine.remove(key, expected);
        if (answer === 'done') stage.history.collected.push({ step: stage.step, key });
        return answer;
      }),
    close: async () => {},
  };
}

function openQueue(stage: Stage, task: Task): Queue {
  const received = new Map<string, { readonly id: string; readonly body: string; readonly step: number }>();
  function call<T>(op: string, effect: () => Promise<T>): Promise<T> {
    return guarded(stage, task, 'queue', `queue.${op}`, 'write', effect);
  }
  return {
    send: (body, options) => call('send', () => stage.queue.send(body, options)),
    receive: (options) =>
      call('receive', async () => {
        const deliveries = await stage.queue.receive(options);
        for (const { id, receipt, body } of deliveries) {
          received.set(receipt, { id, body, step: stage.step });
          const key = truthOf(stage.wire, body)?.key;
          const heldUntil = stage.now + options.visibilityMs;
          if (key !== undefined) stage.cover.received(task.id, { id, key, heldUntil });
        }
        return deliveries;
      }),
    settle: (receipt, settlement) =>
      call(`settle ${settlement.kind}`, async () => {
        const message = received.get(receipt);
        const told = message === undefined ? null : truthOf(stage.wire, message.body);
        if (settlement.kind === 'done' && message !== undefined && told !== null) {
          const { site, key, phys } = told;
          const { item } = await stage.ledger.get(key);
          stage.history.acknowledged.push({
            step: stage.step,
            receivedAt: message.step,
            site,
            key,
            hintedPhys: phys,
            item,
          });
        }
        const held = await stage.queue.settle(receipt, settlement);
        if (held && settlement.kind === 'done' && message !== undefined)
          stage.cover.acknowledged(stage.step, task.id, message.id);
        return held;
      }),
    extend: (receipt, visibilityMs) => call('extend', () => stage.queue.extend(receipt, visibilityMs)),
    depth: () => call('depth', () => stage.queue.depth()),
    deadLetters: (options) => call('deadLetters', () => stage.queue.deadLetters(options)),
    redrive: (options) => call('redrive', () => stage.queue.redrive(options)),
    close: async () => {},
  };
}

/** No mishap of this world makes an item malformed: that is a mistake of the core, and must not pass for a refusal. */
function unlessMalformed(error: unknown): never {
  throw isFault(error, 'invalid') ? new Error(`the core made a malformed item: ${error.message}`) : error;
}

/** One call: scheduled, then perhaps refused, perhaps done with its answer lost. */
function guarded<T>(
  stage: Stage,
  task: Task,
  place: string,
  label: string,
  kind: Effect,
  effect: () => Promise<T>,
): Promise<T> {
  return stage.scheduler.call(task, label, async () => {
    const refused = faultBefore(stage, place, kind);
    if (refused !== null) {
      stage.trace(task, () => `${label}: ${refused.kind}`);
      throw refused;
    }
    try {
      const answer = await effect();
      if (!stage.calm && kind !== 'read' && stage.chance.hit(stage.history.scenario.faults.loseAnswer)) {
        stage.trace(task, () => `${label}: done, ANSWER LOST`);
        stage.history.unanswered += 1;
        throw fault('timeout', 'no answer came', { op: label });
      }
      stage.trace(task, () => `${label}: ${brief(answer)}`);
      return answer;
    } catch (error) {
      stage.trace(task, () => `${label}: ${(error as Error).message}`);
      throw error;
    }
  });
}

function faultBefore({ down, chance, calm, history }: Stage, place: string, kind: Effect): Fault | null {
  if (calm) return null;
  const { faults } = history.scenario;
  if (down.has(place)) return fault('unreachable', `${place} cannot be reached`, { op: place });
  if (chance.hit(faults.refuse)) {
    const which = chance.pick(['throttled', 'unavailable', 'timeout'] as const);
    return fault(which, `${place}: ${which}`, { op: place });
  }
  if (kind === 'conditional-write' && chance.hit(faults.conflict))
    return fault('conflict', `${place}: somebody else is writing`, { op: place });
  return null;
}

function tampered(stage: Stage, read: ObjectRead): ObjectRead {
  if (stage.calm || !stage.chance.hit(stage.history.scenario.faults.corruptRead)) return read;
  const known = read.version.checksums.crc32c !== undefined || read.version.checksums.crc64nvme !== undefined;
  return known ? { ...read, body: flipped(read.body) } : read;
}

async function* flipped(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const chunk of body) yield chunk.map((byte, i) => (i === 0 ? byte ^ 1 : byte));
}

const RESOLVERS: Readonly<Record<string, CustomResolver>> = {
  'pick-longest': (siblings) => {
    const longest = siblings.reduce((best, it) => (it.bytes.length > best.bytes.length ? it : best));
    return { kind: 'pick', vid: longest.version.vid };
  },
  'merge-lines': (siblings) => {
    const texts = siblings.map(({ bytes }) => Buffer.from(bytes).toString('latin1')).sort();
    return {
      kind: 'merge',
      bytes: Buffer.from(texts.join('+').slice(0, 60), 'latin1'),
      metadata: siblings[0]?.metadata ?? { headers: {}, user: {} },
    };
  },
  refuse: () => ({ kind: 'defer', reason: 'this policy never decides' }),
};

/** What an item says, on one line: who leads, and what each site is believed to show. */
function summary({ key, frontier, sites, due, unlisted, unresolved }: KeyItem): string {
  const stands = Object.entries(sites).map(([site, { phys, vid, wid, intents, evicted }]) => {
    const open = intents.map((it) => `${it.kind} ${it.vid} over ${it.basePhys} as ${it.wid.slice(0, 4)}`);
    const ours = wid === null ? '' : ` by us ${wid.slice(0, 4)}`;
    const waiting = open.length > 0 ? ` {${open.join('; ')}}` : '';
    return `${site} ${phys} is ${vid}${ours}${evicted ? ' evicted' : ''}${waiting}`;
  });
  const when = due === null ? '' : unlisted ? ' due, unlisted' : ' due';
  return `  ${key} = ${frontier.join(' | ')}${unresolved ? ' unresolved' : ''}${when} [${stands.join(', ')}]`;
}

function describe(condition: { readonly kind: string; readonly token?: string }): string {
  return condition.kind === 'if-token' ? `if ${condition.token}` : condition.kind;
}

function brief(answer: unknown): string {
  const text = JSON.stringify(answer, (_, value) => (value instanceof Uint8Array ? '...' : value)) ?? 'ok';
  return text.length > 160 ? `${text.slice(0, 157)}...` : text;
}
