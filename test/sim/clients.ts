/** What applications, operators and lifecycles do to the buckets of a run, knowing nothing of us. */

import { isFault } from '#shared/model/fault.ts';
import { toNativeKey } from '#shared/model/key-map.ts';
import { toNativeMetadata } from '#shared/model/metadata.ts';
import type { ObjectMetadata, ObjectVersion } from '#shared/model/object.ts';
import { siteOf } from '#shared/model/topology.ts';
import type { Bucket } from './ghost.ts';
import type { Actor } from './history.ts';
import type { Stage } from './ports.ts';

type Operation = 'put' | 'delete' | 'patch' | 'restore' | 'purge' | 'expire' | 'touch' | 'copyOverOther' | 'deleteAll';

const OPERATIONS: readonly Operation[] = [
  'put',
  'delete',
  'patch',
  'restore',
  'purge',
  'expire',
  'touch',
  'copyOverOther',
  'deleteAll',
];
const WORDS = ['x', 'y', 'zz', 'a longer text of more than one part', 'another long text, also by parts'] as const;

/** One operation of one client; nothing when it makes no sense there. */
export async function clientAct(stage: Stage): Promise<void> {
  const { chance, buckets, history } = stage;
  const open = buckets.filter(({ id }) => siteOf(stage.topology, id).mode === 'active' && !stage.down.has(id));
  if (open.length === 0) return;
  const bucket = chance.pick(open);
  const key = chance.pick(history.scenario.keys);
  const operation = drawOperation(stage);
  const acts: Record<Operation, () => Promise<string | null>> = {
    put: async () => {
      bucket.raw.clientPut(nativeKey(bucket, key), textBytes(stage), {
        metadata: nativeMetadata(bucket, drawMetadata(stage)),
      });
      return 'put';
    },
    delete: async () => {
      bucket.raw.clientDelete(nativeKey(bucket, key));
      return 'delete';
    },
    patch: async () => {
      bucket.raw.clientPatchMetadata(nativeKey(bucket, key), nativeMetadata(bucket, drawMetadata(stage)));
      return 'patch';
    },
    restore: () => restoreOld(stage, bucket, key),
    purge: () => purgeCurrent(bucket, key),
    expire: () => expire(stage, bucket, key),
    touch: async () => {
      bucket.raw.touch(nativeKey(bucket, key));
      return 'touch';
    },
    copyOverOther: () => copyOverOther(stage, bucket, key),
    deleteAll: () => deleteAll(stage, bucket),
  };
  try {
    const done = await acts[operation]();
    if (done === null) return;
    const actor: Actor = operation === 'expire' ? 'lifecycle' : 'client';
    await stage.ghost.changed(stage.step, bucket, key, actor, done);
    stage.trace(
      null,
      () => `CLIENT ${bucket.id} ${done} ${key} -> ${stage.ghost.contentAt(bucket.id, key) ?? 'nothing'}`,
    );
  } catch (error) {
    if (!isFault(error)) throw error;
  }
}

/** Copies an older version over the current one, as people undo: the old marker travels along. */
async function restoreOld(stage: Stage, { raw, store, id }: Bucket, key: string): Promise<string | null> {
  const kept = new Set(
    stage.history.stood
      .filter((it) => it.site === id && it.key === key && it.phys !== null)
      .map((it) => it.phys as string),
  );
  const readable: ObjectVersion[] = [];
  for (const phys of kept) {
    const read = await store.get(key, phys).catch(() => null);
    if (read !== null) readable.push(read.version);
  }
  if (readable.length === 0) return null;
  const name = nativeKey({ raw, store, id }, key);
  const marked = readable.filter(({ marker }) => marker !== undefined);
  raw.clientCopy(name, stage.chance.pick(marked.length > 0 && stage.chance.hit(0.6) ? marked : readable).phys, name);
  return 'restore';
}

/** Removes the newest version or delete marker for good: on S3 what was below comes back. */
async function purgeCurrent(bucket: Bucket, key: string): Promise<string | null> {
  const newest = (await bucket.store.versions(key)).at(-1);
  if (newest === undefined || newest.phys.startsWith('absent:')) return null;
  bucket.raw.purge(nativeKey(bucket, key), newest.phys);
  return `purge ${newest.phys}`;
}

async function expire(stage: Stage, bucket: Bucket, key: string): Promise<string | null> {
  const { expiresAfterMs } = siteOf(stage.topology, bucket.id);
  const head = await bucket.store.head(key);
  if (expiresAfterMs === undefined || head === null) return null;
  const skewMs = stage.history.scenario.sites.find(({ site }) => site.id === bucket.id)?.skewMs ?? 0;
  // A lifecycle runs once a day and is never early; the bucket's clock may be behind ours.
  if (stage.now + skewMs < head.modifiedAt + expiresAfterMs + 10_000) return null;
  bucket.raw.expire(nativeKey(bucket, key));
  return 'expire';
}

/** A copy from another key, marker and all. */
async function copyOverOther(stage: Stage, bucket: Bucket, key: string): Promise<string | null> {
  const from = stage.chance.pick(stage.history.scenario.keys);
  const head = await bucket.store.head(from);
  if (head === null || from === key) return null;
  bucket.raw.clientCopy(nativeKey(bucket, from), head.phys, nativeKey(bucket, key));
  return `copy of ${from}`;
}

/** Somebody cleans up, and mostly no notification tells of it. */
async function deleteAll(stage: Stage, bucket: Bucket): Promise<null> {
  stage.muted = stage.chance.hit(0.7);
  for (const key of stage.history.scenario.keys) {
    if ((await bucket.store.head(key)) === null) continue;
    bucket.raw.clientDelete(nativeKey(bucket, key));
    await stage.ghost.changed(stage.step, bucket, key, 'client', 'delete of all');
    stage.trace(null, () => `CLIENT ${bucket.id} delete of all ${key}${stage.muted ? ', unannounced' : ''}`);
  }
  stage.muted = false;
  return null;
}

function drawOperation({ chance, history }: Stage): Operation {
  const { clients } = history.scenario;
  let left = chance.unit() * OPERATIONS.reduce((sum, operation) => sum + clients[operation], 0);
  for (const operation of OPERATIONS) {
    left -= clients[operation];
    if (left < 0) return operation;
  }
  return 'put';
}

function textBytes({ chance }: Stage): Uint8Array {
  return new TextEncoder().encode(chance.pick(WORDS));
}

function drawMetadata({ chance }: Stage): ObjectMetadata {
  const value = chance.pick(['m0', 'm1', 'm2']);
  return { headers: { contentType: 'text/plain' }, user: { note: value } };
}

export function nativeKey({ store }: Bucket, key: string): string {
  const native = toNativeKey(store.capabilities.cloud, key);
  if (native.kind === 'unrepresentable') throw new Error(`${key}: ${native.reason}`);
  return native.name;
}

function nativeMetadata({ store }: Bucket, metadata: ObjectMetadata): ObjectMetadata {
  const native = toNativeMetadata(store.capabilities.cloud, metadata.user);
  if (native.kind !== 'fits') throw new Error('metadata of the simulated clients must fit');
  return { headers: metadata.headers, user: native.entries };
}
