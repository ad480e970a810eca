/** What one pass saw at one site, with every marker already checked: the input of all decisions. */

import type { Intent, KeyItem, SiteState } from '../model/key-item.ts';
import { type MacKeys, type Marker, readMarker } from '../model/marker.ts';
import { metaDigest } from '../model/metadata.ts';
import { ABSENT, isAbsent, type ObjectVersion } from '../model/object.ts';
import type { SiteId } from '../model/site.ts';
import type { Rules } from './rules.ts';

export interface SeenVersion {
  readonly version: ObjectVersion;
  readonly metaDigest: string;
  /** Our authentic marker for this very key and site, whatever has become of the content since. */
  readonly marker: Marker | null;
  /** Bytes and metadata are those the marker was written for. */
  readonly intact: boolean;
}

export type Look =
  /** The whole chain, oldest first. */
  | { readonly kind: 'chain'; readonly site: SiteId; readonly entries: readonly SeenVersion[] }
  /** Only what stands now. */
  | { readonly kind: 'current'; readonly site: SiteId; readonly entry: SeenVersion | null }
  /** The answer to our own write, which an exact token proves to stand directly on its base. */
  | { readonly kind: 'answer'; readonly site: SiteId; readonly intent: Intent; readonly entry: SeenVersion };

export function recognise(
  version: ObjectVersion,
  namespace: string,
  site: SiteId,
  macKeys: MacKeys,
  rules: Rules,
): SeenVersion {
  const digest = version.kind === 'object' ? metaDigest(version.metadata) : '';
  const read =
    version.marker === undefined ? null : readMarker(version.marker, { namespace, key: version.key, site }, macKeys);
  const marker = read?.kind === 'authentic' ? read.marker : null;
  return {
    version,
    metaDigest: digest,
    marker,
    intact: marker !== null && (matches(version, digest, marker) || !rules['marker-content']),
  };
}

/** Checksums a service does not store are not compared here: where one is missing, observe.ts reads the bytes first. */
function matches(version: ObjectVersion, digest: string, marker: Marker): boolean {
  const { crc32c, crc64nvme } = version.checksums;
  return (
    version.sizeBytes === marker.sizeBytes &&
    digest === marker.metaDigest &&
    (crc32c === undefined || crc32c === marker.crc32c) &&
    (crc64nvme === undefined || crc64nvme === marker.crc64nvme)
  );
}

export function hasChecksum(version: ObjectVersion): boolean {
  return version.checksums.crc32c !== undefined || version.checksums.crc64nvme !== undefined;
}

/** What the ledger last saw here is not shown any more: deleted for good, or this is not the bucket it was. */
export function hasVanished(state: SiteState, versions: readonly ObjectVersion[]): boolean {
  const known = lastStood(state.phys);
  return known !== '' && !versions.some(({ phys }) => lastStood(phys) === known);
}

/** The version behind a phys: for an absence, the one that stood before it. */
export function lastStood(phys: string): string {
  return isAbsent(phys) ? phys.slice(ABSENT.length) : phys;
}

/** "Nothing stands here", as an entry. */
export function absence(key: string, now: number): SeenVersion {
  return { version: absentVersion(key, now), metaDigest: '', marker: null, intact: false };
}

export function absentVersion(key: string, now: number, after = ''): ObjectVersion {
  return {
    key,
    kind: 'delete-marker',
    phys: ABSENT + after,
    token: null,
    body: '',
    revision: 1,
    sizeBytes: 0,
    modifiedAt: now,
    metadata: { headers: {}, user: {} },
    checksums: {},
  };
}

/** Sites a pass must look at: those the hint names, and those where a write of ours may have landed. */
export function sitesToLookAt(
  item: KeyItem | null,
  hinted: ReadonlySet<SiteId>,
  worker: string,
  now: number,
): Set<SiteId> {
  const sites = new Set(hinted);
  for (const [site, state] of Object.entries(item?.sites ?? {})) {
    if (state.intents.some((intent) => intent.worker === worker || intent.leaseUntil <= now)) sites.add(site);
  }
  return sites;
}
