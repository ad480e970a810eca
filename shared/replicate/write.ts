/** Carries out the writes a decision announced: one read of the source, every write conditional and marked. */

import type { Decision } from '../decide/decide.ts';
import type { Checksums } from '../model/crc.ts';
import { isFault } from '../model/fault.ts';
import type { Intent, LogicalVersion } from '../model/key-item.ts';
import { writeMarker } from '../model/marker.ts';
import { metaDigest } from '../model/metadata.ts';
import type { ObjectMetadata, ObjectVersion } from '../model/object.ts';
import type { SiteId } from '../model/site.ts';
import type { ObjectStore, PutOptions, WriteCondition } from '../store/store.ts';
import type { World } from '../world/world.ts';
import { budgetOf, roomOf, SMALL_BYTES } from './budget.ts';
import { leftByDelete } from './observe.ts';
import { copyByParts } from './parts.ts';
import { heldOf, readVersion, type Whole } from './read.ts';
import { type Run, setAside } from './run.ts';

export interface Target {
  readonly site: SiteId;
  readonly intent: Intent;
}

export async function write(world: World, run: Run, { winner, writes, item }: Decision): Promise<void> {
  if (winner === null || writes.length === 0) return;
  if (winner.kind === 'tombstone') await Promise.all(writes.map((target) => remove(world, run, target)));
  else if (winner.sizeBytes > world.topology.limits.stageOverBytes) await copyByParts(world, run, item, winner, writes);
  else await copyWhole(world, run, winner, writes);
}

async function copyWhole(world: World, run: Run, version: LogicalVersion, targets: readonly Target[]): Promise<void> {
  if (version.sizeBytes <= SMALL_BYTES) {
    const whole = heldOf(world, run, version) ?? (await readVersion(world, run, version));
    await putWhole(world, run, version, targets, whole);
    return;
  }
  const budget = budgetOf(world.ledger);
  // Objects of about one size use the same rooms again.
  const roomBytes = 2 ** Math.ceil(Math.log2(version.sizeBytes));
  await budget.within(roomBytes, async () => {
    const room = roomOf(budget, roomBytes);
    const whole = await readVersion(world, run, version, room);
    // Bytes that are still on their way after a failure must not change under it.
    if (await putWhole(world, run, version, targets, whole)) budget.spare.push(room);
  });
}

/** True: everybody has taken it. */
async function putWhole(
  world: World,
  run: Run,
  version: LogicalVersion,
  targets: readonly Target[],
  whole: Whole | null,
): Promise<boolean> {
  if (whole === null) {
    for (const { intent } of targets) run.refused.add(intent.wid);
    return false;
  }
  const { bytes, checksums } = whole;
  const { metadata } = whole.version;
  const ends = await Promise.all(
    targets.map((target) =>
      attempt(world, run, target, (store) =>
        store.put(run.key, bytes, putOptions(world, run.key, version, target, metadata, checksums)),
      ),
    ),
  );
  return ends.every((end) => end === 'done');
}

async function remove(world: World, run: Run, target: Target): Promise<void> {
  const { intent } = target;
  await attempt(world, run, target, async (store) => {
    const left = await store.delete(run.key, conditionOf(world, intent));
    return left ?? leftByDelete(store, run.key, intent.basePhys, world.clock.now());
  });
}

/** One conditional write, and what its answer means: done, not done, or nobody knows. */
export async function attempt(
  world: World,
  run: Run,
  { site, intent }: Target,
  act: (store: ObjectStore) => Promise<ObjectVersion>,
): Promise<'done' | 'not-done' | 'unknown'> {
  const store = world.stores[site] as ObjectStore;
  try {
    const version = await act(store);
    const { exactToken } = store.capabilities;
    if (!exactToken) run.spent.add(intent.wid);
    // What an inexact token was written over only a look can tell; what was created over nothing may need none (observe.ts).
    if (exactToken || intent.baseToken === null) run.answers.push({ site, intent, version });
    else run.lookAt.add(site);
    return 'done';
  } catch (error) {
    if (!isFault(error)) throw error;
    const { kind, retry, message } = error;
    const contended = kind === 'precondition' || kind === 'conflict';
    (kind === 'timeout' ? run.unsure : run.refused).add(intent.wid);
    if (contended || kind === 'timeout' || kind === 'not-found') run.lookAt.add(site);
    if (!contended) setAside(run, site, retry);
    if (retry === 'never' && !contended && kind !== 'not-found')
      world.report({ severity: 'alarm', what: 'cannot-hold', site, key: run.key, detail: message });
    return kind === 'timeout' ? 'unknown' : 'not-done';
  }
}

export function putOptions(
  world: World,
  key: string,
  version: LogicalVersion,
  { site, intent }: Target,
  metadata: ObjectMetadata,
  { crc32c, crc64nvme }: Checksums,
): PutOptions {
  const { dot, vv, hlc, origin, sizeBytes } = version;
  const digest = metaDigest(metadata);
  const context = { namespace: world.topology.namespace, key };
  const marker = writeMarker(
    { site, wid: intent.wid, dot, vv, hlc, origin, crc32c, crc64nvme, sizeBytes, metaDigest: digest },
    context,
    world.macKeys,
  );
  return { condition: conditionOf(world, intent), metadata, marker, checksums: { crc32c, crc64nvme } };
}

function conditionOf(world: World, { baseToken }: Intent): WriteCondition {
  if (!world.rules['exact-precondition']) return { kind: 'always' };
  return baseToken === null ? { kind: 'if-absent' } : { kind: 'if-token', token: baseToken };
}
