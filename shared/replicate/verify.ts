/** Looks whether every copy is what it should be, trusting neither the ledger nor any event, and has what is not made good. */

import { openChecksums } from '../model/crc.ts';
import { isFault } from '../model/fault.ts';
import type { KeyItem, LogicalVersion, SiteState } from '../model/key-item.ts';
import { metaDigest } from '../model/metadata.ts';
import { isAbsent, type ObjectVersion } from '../model/object.ts';
import type { SiteId } from '../model/site.ts';
import type { ObjectStore } from '../store/store.ts';
import type { World } from '../world/world.ts';
import { agrees, matchesStored } from './read.ts';
import { reconcile } from './replicate.ts';
import { routeFor } from './route.ts';
import { readReported } from './row.ts';

export type Finding =
  /** Stands as it should. */
  | { readonly kind: 'sound'; readonly site: SiteId; readonly deep: boolean }
  /** Something else stands there than the ledger knows: a change nobody told of. */
  | { readonly kind: 'changed'; readonly site: SiteId }
  /** It is what we wrote, or should be, and its bytes or metadata are not. */
  | { readonly kind: 'damaged'; readonly site: SiteId; readonly what: string }
  | { readonly kind: 'unreachable'; readonly site: SiteId; readonly what: string };

export interface KeyVerdict {
  readonly key: string;
  readonly findings: readonly Finding[];
  /** `repaired`: all that was found has been made good. `left`: the sweep goes on with it, or a person has to look. */
  readonly outcome: 'sound' | 'repaired' | 'left' | 'unknown';
}

export interface VerifyOptions {
  /** Read the bytes, too, instead of asking for the checksums that the services keep. */
  readonly deep: boolean;
  /** Tell only. */
  readonly dryRun?: boolean;
}

/** One key at all of its sites. */
export async function verifyKey(
  world: World,
  key: string,
  { deep, dryRun = false }: VerifyOptions,
): Promise<KeyVerdict> {
  const read = await readReported(world, key);
  const item = read?.item ?? null;
  const route = item === null ? null : routeFor(world, item);
  // A key nobody decides about, or one that is under way, is not judged.
  if (read === null || item === null || route === null || item.frontier.length !== 1 || item.due !== null)
    return { key, findings: [], outcome: 'unknown' };
  const winner = item.versions[item.frontier[0] as string] as LogicalVersion;
  const looked = await Promise.all(route.sites.map((site) => lookAt(world, item, winner, site, deep)));
  const findings = looked.map(({ finding }) => finding);
  const wrong = findings.filter(({ kind }) => kind === 'changed' || kind === 'damaged');
  for (const finding of findings)
    if (finding.kind === 'damaged')
      world.report({ severity: 'alarm', what: 'corrupt-replica', site: finding.site, key, detail: finding.what });
  if (wrong.length === 0 || dryRun) {
    const sound = findings.every(({ kind }) => kind === 'sound');
    return { key, findings, outcome: sound ? 'sound' : 'left' };
  }
  const spoiled = looked.flatMap(({ spoiled: it }) => (it === null ? [] : [it]));
  const changed = findings.filter(({ kind }) => kind === 'changed').map(({ site }) => site);
  const outcome = await reconcile(world, key, route, changed, undefined, read, spoiled);
  const after = outcome.kind === 'done' ? (await world.ledger.get(key)).item : null;
  return { key, findings, outcome: after !== null && after.unresolved === null ? 'repaired' : 'left' };
}

interface Looked {
  readonly finding: Finding;
  readonly spoiled: { readonly site: SiteId; readonly phys: string } | null;
}

async function lookAt(
  world: World,
  item: KeyItem,
  winner: LogicalVersion,
  site: SiteId,
  deep: boolean,
): Promise<Looked> {
  const store = world.stores[site] as ObjectStore;
  const state = item.sites[site];
  try {
    const stands = await store.head(item.key);
    if (!isKnown(item, state, stands)) return { finding: { kind: 'changed', site }, spoiled: null };
    const here = state?.vid === winner.vid || winner.kind === 'tombstone';
    if (stands === null || stands.kind !== 'object' || !here)
      return { finding: { kind: 'sound', site, deep: false }, spoiled: null };
    const what = differenceOf(winner, stands) ?? (deep ? await deepDifference(store, winner, stands) : null);
    return what === null
      ? { finding: { kind: 'sound', site, deep }, spoiled: null }
      : { finding: { kind: 'damaged', site, what }, spoiled: { site, phys: stands.phys } };
  } catch (error) {
    if (!isFault(error)) throw error;
    return { finding: { kind: 'unreachable', site, what: error.message }, spoiled: null };
  }
}

function isKnown(item: KeyItem, state: SiteState | undefined, stands: ObjectVersion | null): boolean {
  if (state === undefined) return stands === null;
  if (stands !== null) return stands.phys === state.phys;
  // A delete may have a version of its own there, which `head` does not show.
  return isAbsent(state.phys) || item.versions[state.vid ?? '']?.kind === 'tombstone';
}

/** What its service says of it, without reading a byte. */
function differenceOf(winner: LogicalVersion, { sizeBytes, checksums, metadata }: ObjectVersion): string | null {
  if (sizeBytes !== winner.sizeBytes) return `it has ${sizeBytes} bytes, not ${winner.sizeBytes}`;
  for (const name of ['crc32c', 'crc64nvme'] as const) {
    const stored = checksums[name];
    if (stored !== undefined && winner[name] !== '' && stored !== winner[name])
      return `its ${name} is ${stored}, not ${winner[name]}`;
  }
  return metaDigest(metadata) === winner.metaDigest ? null : 'its metadata is not that of the original';
}

async function deepDifference(
  store: ObjectStore,
  winner: LogicalVersion,
  stands: ObjectVersion,
): Promise<string | null> {
  const sums = openChecksums();
  try {
    const { body } = await store.get(stands.key, stands.phys);
    for await (const piece of body) sums.update(piece);
  } catch (error) {
    // The driver compares what it reads with what the service stores.
    if (isFault(error, 'corrupt')) return error.message;
    throw error;
  }
  const found = sums.result();
  if (agrees(winner, found) && matchesStored(stands.checksums, found)) return null;
  return `its ${found.sizeBytes} bytes have CRC-32C ${found.crc32c}, not ${winner.crc32c || 'what its service says'}`;
}
