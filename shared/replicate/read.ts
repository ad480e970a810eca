/** Reads the bytes of a version from one physical version, and proves that they are its bytes. */

import { type Checksums, openChecksums } from '../model/crc.ts';
import { fault, isFault } from '../model/fault.ts';
import type { Holder, LogicalVersion } from '../model/key-item.ts';
import type { ObjectVersion } from '../model/object.ts';
import type { SiteId } from '../model/site.ts';
import type { ByteRange, ObjectRead, ObjectStore } from '../store/store.ts';
import type { World } from '../world/world.ts';
import type { Run } from './run.ts';

export interface Whole {
  readonly version: ObjectVersion;
  readonly bytes: Uint8Array;
  readonly checksums: Checksums;
}

export interface Source {
  readonly site: SiteId;
  readonly key: string;
  readonly phys: string;
}

export async function readWhole(
  store: ObjectStore,
  key: string,
  phys: string,
  range?: ByteRange,
  room?: Uint8Array,
): Promise<Whole> {
  const { version, body } = await store.get(key, phys, range);
  return toWhole(version, body, room);
}

/** Into the room that is given, if any; what does not fit there is summed all the same, so that it shows. */
export async function toWhole(
  version: ObjectVersion,
  body: AsyncIterable<Uint8Array>,
  room?: Uint8Array,
): Promise<Whole> {
  const sums = openChecksums();
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of body) {
    sums.update(piece);
    if (room === undefined) pieces.push(piece);
    else room.set(piece.subarray(0, Math.max(0, room.length - size)), Math.min(size, room.length));
    size += piece.length;
  }
  const bytes = room?.subarray(0, size) ?? (pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces));
  return { version, bytes, checksums: sums.result() };
}

/** What the bytes add up to, of which none are kept. */
export async function readSums(store: ObjectStore, key: string, phys: string): Promise<Checksums> {
  const sums = openChecksums();
  for await (const chunk of (await store.get(key, phys)).body) sums.update(chunk);
  return sums.result();
}

/** The bytes of a version from whichever holder still has them; null when none could give them in this run. */
export async function readVersion(
  world: World,
  run: Run,
  version: LogicalVersion,
  room?: Uint8Array,
): Promise<Whole | null> {
  for (const source of sourcesOf(version, run)) {
    const store = world.stores[source.site] as ObjectStore;
    const whole = await fromHolder(run, version, source, () => readPinned(world, store, source, undefined, room));
    if (whole === null) continue;
    if (isSound(version, whole) || !world.rules['checked-read']) return whole;
    world.report({
      severity: 'alarm',
      what: 'corrupt-source',
      site: source.site,
      key: source.key,
      detail: `bytes of ${version.vid} do not match its checksums`,
    });
    run.down.add(source.site);
  }
  return null;
}

/** The bytes that came with the look, if they are those of this version. */
export function heldOf(world: World, { held, key }: Run, version: LogicalVersion): Whole | null {
  if (held === null || !world.rules['pinned-read']) return null;
  const holder = version.holders[held.site];
  const same = holder?.phys === held.whole.version.phys && (holder.key ?? key) === key;
  return same && isSound(version, held.whole) ? held.whole : null;
}

function isSound(version: LogicalVersion, { version: read, checksums }: Whole): boolean {
  return agrees(version, checksums) && matchesStored(read.checksums, checksums);
}

/** Holders of the version at sites that answer, this key's own before those under another name. */
export function sourcesOf(version: LogicalVersion, run: Run): readonly Source[] {
  return Object.entries(version.holders)
    .filter(([site]) => !run.down.has(site))
    .sort(([a, x], [b, y]) => Number(x.key !== undefined) - Number(y.key !== undefined) || (a < b ? -1 : 1))
    .map(([site, holder]: [SiteId, Holder]) => ({ site, key: holder.key ?? run.key, phys: holder.phys }));
}

/** What a read tells about its holder: gone is recorded, down is remembered for this run. */
export async function fromHolder<T>(
  run: Run,
  version: LogicalVersion,
  source: Source,
  read: () => Promise<T>,
): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (!isFault(error)) throw error;
    if (isFault(error, 'not-found')) {
      run.gone.push({ vid: version.vid, site: source.site, phys: source.phys });
      if (source.key === run.key) run.lookAt.add(source.site);
    } else run.down.add(source.site);
    return null;
  }
}

export function agrees(version: LogicalVersion, sums: Checksums): boolean {
  return (
    version.sizeBytes === sums.sizeBytes &&
    (version.crc32c === '' || version.crc32c === sums.crc32c) &&
    (version.crc64nvme === '' || version.crc64nvme === sums.crc64nvme)
  );
}

/** What the service itself stores about the object it gave us. */
export function matchesStored(stored: ObjectVersion['checksums'], sums: Checksums): boolean {
  const { crc32c = sums.crc32c, crc64nvme = sums.crc64nvme } = stored;
  return crc32c === sums.crc32c && crc64nvme === sums.crc64nvme;
}

export async function readPinned(
  world: World,
  store: ObjectStore,
  source: Source,
  range?: ByteRange,
  room?: Uint8Array,
): Promise<Whole> {
  return readWhole(store, source.key, await physOf(world, store, source), range, room);
}

/** The same, as a stream. */
export async function openPinned(
  world: World,
  store: ObjectStore,
  source: Source,
  range: ByteRange,
): Promise<ObjectRead> {
  return store.get(source.key, await physOf(world, store, source), range);
}

async function physOf(world: World, store: ObjectStore, source: Source): Promise<string> {
  if (world.rules['pinned-read']) return source.phys;
  const current = await store.head(source.key);
  if (current === null) throw fault('not-found', 'nothing stands there', { site: source.site, key: source.key });
  return current.phys;
}
