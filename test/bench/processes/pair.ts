/** Two buckets and Triplicate between them: a user writes to one, and each change is handed over as if just notified. */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { ObjectMetadata } from '../../../shared/model/object.ts';
import type { ObjectChange } from '../../../shared/model/object-change.ts';
import { readTopology } from '../../../shared/model/topology.ts';
import { replicate } from '../../../shared/replicate/replicate.ts';
import { plantSentinel } from '../../../shared/replicate/sentinel.ts';
import type { ObjectStore, PutOptions } from '../../../shared/store/store.ts';
import { type Access, openWorld } from '../../../shared/world/open.ts';
import type { World } from '../../../shared/world/world.ts';
import type { End, Pair } from '../ends.ts';
import { bytesOf, eachOf, keyOf, md5Of, piecesOf, type Sample } from '../samples.ts';
import { nowMs, serveParent } from '../serve.ts';

export interface PairStart extends Pair {
  readonly access: Access;
  /** For the ledger. */
  readonly folder: string;
}

export interface Replicated {
  readonly changes: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

export interface Shares {
  readonly overwrite: number;
  readonly metadata: number;
  readonly delete: number;
}

/** What stands at a key of the source. */
interface Written {
  readonly sample: Sample;
  readonly index: number;
  readonly number: string;
}

const OURS = '.triplicate/';
const PAGE = 1000;
const AT_ONCE = 64;
const TRIES_MAX = 5;
const AGAIN_MS = 1_000;
/** Larger ones are streamed. */
const WHOLE_BYTES_MAX = 8 * 1024 * 1024;
const SECRET = Buffer.from('pairs of the benchmark sign their markers with these words');

const expected = new Map<string, Written | null>();
let waiting: ObjectChange[] = [];
let world: World;
let from: ObjectStore;
let to: ObjectStore;
let stop = async () => {};

serveParent(
  {
    /** A bucket that Triplicate has to do with already is left alone. */
    async start({ from: source, to: target, access, folder }: PairStart): Promise<void> {
      const site = (id: string, { cloud, region, bucket }: End) =>
        `  - { id: ${id}, cloud: ${cloud}, region: ${region}, bucket: ${bucket} }`;
      const topology = [
        'namespace: bench',
        'sites:',
        site('from', source),
        site('to', target),
        'routes:',
        '  - { prefix: "", sites: [from, to] }',
      ];
      const opened = await openWorld({
        topology: readTopology(topology.join('\n'), 'pair'),
        access,
        ledger: `sqlite:${join(folder, 'pair.sqlite')}`,
        queues: {},
        macKeys: { newest: 'bench', keys: { bench: SECRET } },
        report: () => {},
      });
      stop = opened.close;
      ({ world } = opened);
      from = world.stores.from as ObjectStore;
      to = world.stores.to as ObjectStore;
      for (const [store, { bucket }] of [[from, source] as const, [to, target] as const])
        if ((await store.list({ prefix: OURS, limit: 1 })).objects.length > 0)
          throw new Error(
            `${bucket} is known to Triplicate: ${OURS} is not empty; a benchmark wants buckets of its own`,
          );
      for (const id of ['from', 'to']) await plantSentinel(world, id);
    },

    write: (sample: Sample) => write(sample, 0, sample.objects),

    /** Some of what `write` has written is changed, the first of them first, and as many new ones as there is room for come. */
    async mix(sample: Sample, { overwrite, metadata, delete: gone }: Shares): Promise<void> {
      const at = (share: number) => Math.round(share * sample.objects);
      const [overwritten, described, removed] = [at(overwrite), at(metadata), at(gone)];
      await write({ ...sample, seed: sample.seed + 1 }, 0, overwritten);
      await eachOf(described, AT_ONCE, (index) => put({ sample, index: overwritten + index, number: 'changed' }));
      await eachOf(removed, AT_ONCE, async (index) => {
        const key = keyOf(sample, overwritten + described + index);
        await from.delete(key, { kind: 'always' });
        note(key, null, 'delete');
      });
      await write(sample, overwritten + described + removed, sample.objects);
    },

    /** All that has been written and not yet been handed over. */
    async replicate(): Promise<Replicated> {
      const changes = waiting;
      waiting = [];
      const before = process.cpuUsage();
      const startedAt = nowMs();
      await eachOf(changes.length, AT_ONCE, (index) => hand(changes[index] as ObjectChange));
      const seconds = (nowMs() - startedAt) / 1000;
      const { user, system } = process.cpuUsage(before);
      return { changes: changes.length, seconds, cpuSeconds: (user + system) / 1e6 };
    },

    /** Nobody is to replicate what has been written so far. */
    forget(): void {
      waiting = [];
    },

    /** Bytes, and metadata where `metadata` says so, of all that stands below the prefix, or below another one at the target. */
    async verify(prefix: string, at: string, metadata: boolean): Promise<void> {
      const keys = [...expected].filter(([key]) => key.startsWith(`${prefix}/`));
      await eachOf(keys.length, AT_ONCE, async (index) => {
        const [key, written] = keys[index] as [string, Written | null];
        await check(`${at}${key.slice(prefix.length)}`, written, metadata);
      });
    },

    /** Everything that was written below the prefix, by whomever, and what Triplicate needs for itself. */
    async clear(prefix: string): Promise<void> {
      for (const store of [from, to]) for (const below of [`${prefix}/`, OURS]) await removeAll(store, below);
      expected.clear();
    },
  },
  () => stop(),
);

const ALWAYS: PutOptions['condition'] = { kind: 'always' };

async function removeAll(store: ObjectStore, prefix: string): Promise<void> {
  let after: string | undefined;
  do {
    const { objects, next } = await store.list({ prefix, limit: PAGE, ...(after === undefined ? {} : { after }) });
    await eachOf(objects.length, AT_ONCE, async (index) => {
      await store.delete(objects[index]?.key ?? '', ALWAYS);
    });
    after = next;
  } while (after !== undefined);
}

function write(sample: Sample, first: number, end: number): Promise<void> {
  return eachOf(Math.max(0, end - first), AT_ONCE, (index) =>
    put({ sample, index: first + index, number: String(first + index) }),
  );
}

async function put(written: Written): Promise<void> {
  const { sample, index } = written;
  const key = keyOf(sample, index);
  const large = sample.sizeBytes > WHOLE_BYTES_MAX;
  const body = large ? streamOf(piecesOf(sample, index)) : bytesOf(sample, index);
  await from.put(key, body, { condition: ALWAYS, metadata: metadataOf(written) });
  note(key, written, written.number === 'changed' ? 'metadata' : 'put');
}

async function* streamOf(pieces: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  // A cipher hands out pieces of its own: nobody keeps what it has given.
  for (const piece of pieces) yield piece;
}

function metadataOf({ number }: Written): ObjectMetadata {
  return { headers: { contentType: 'application/octet-stream' }, user: { number } };
}

function note(key: string, written: Written | null, kind: ObjectChange['kind']): void {
  expected.set(key, written);
  waiting.push({ site: 'from', key, kind });
}

/** As a queue would: what is to come again comes again. */
async function hand(change: ObjectChange): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await replicate(world, change, async () => {});
    if (outcome.kind === 'done' || outcome.kind === 'skipped') return;
    if (outcome.kind === 'failed' || attempt === TRIES_MAX)
      throw new Error(`${change.key} could not be replicated: ${JSON.stringify(outcome)}`);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

async function check(key: string, written: Written | null, metadata: boolean): Promise<void> {
  const found = await to.head(key);
  if (written === null) {
    if (found !== null) throw new Error(`${key} was deleted, and stands at the target`);
    return;
  }
  if (found === null) throw new Error(`${key} is missing at the target`);
  const hash = createHash('md5');
  for await (const piece of (await to.get(key, found.phys)).body) hash.update(piece);
  if (hash.digest('hex') !== md5Of(written.sample, written.index)) throw new Error(`the bytes of ${key} differ`);
  if (metadata && found.metadata.user.number !== written.number)
    throw new Error(`the metadata of ${key} differ: ${JSON.stringify(found.metadata)}`);
}
