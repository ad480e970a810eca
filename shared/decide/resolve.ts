/** Who wins among concurrent versions, and what becomes of the losers. One total order per policy. */

import { compareStamps } from '../model/hybrid-clock.ts';
import type { LogicalVersion } from '../model/key-item.ts';
import type { ConflictPolicy, DeletePolicy } from '../model/topology.ts';
import type { Rules } from './rules.ts';

export interface Policies {
  readonly policy: ConflictPolicy;
  readonly deletes: DeletePolicy;
  /** Bucket clocks nearer than this cannot tell who was first. */
  readonly skewBoundMs: number;
}

export type Resolution =
  | {
      readonly kind: 'winner';
      readonly winner: LogicalVersion;
      /** Losers whose bytes must first stand under a name of their own. */
      readonly keep: readonly LogicalVersion[];
      /** The clocks that decided are nearer to each other than they can be trusted. */
      readonly uncertain: boolean;
    }
  /** The policy is a function of the user's: it must be asked, with the siblings strongest first. */
  | { readonly kind: 'ask'; readonly name: string; readonly siblings: readonly LogicalVersion[] };

/** More siblings than this are not kept one by one: no explosion of conflict copies. */
export const SIBLINGS_KEPT_MAX = 8;

export function resolve(siblings: readonly LogicalVersion[], policies: Policies, rules: Rules): Resolution {
  const { policy, skewBoundMs } = policies;
  const ranked = rules['total-order'] ? [...siblings].sort((a, b) => stronger(b, a, policies)) : siblings;
  const winner = ranked[0] as LogicalVersion;
  const objects = ranked.filter((version) => version.kind === 'object');
  if (
    policy.kind === 'custom' &&
    winner.kind === 'object' &&
    objects.length > 1 &&
    !objects.every((it) => sameContent(it, winner))
  ) {
    return { kind: 'ask', name: policy.name, siblings: objects };
  }
  const near = ranked.filter((it) => it !== winner && Math.abs(it.hlc.ms - winner.hlc.ms) <= skewBoundMs);
  const keeps = policy.kind === 'keep-both' || (policy.kind === 'lww-safe' && near.length > 0);
  const keep = keeps && siblings.length <= SIBLINGS_KEPT_MAX ? distinct(objects, winner) : [];
  return { kind: 'winner', winner, keep, uncertain: near.length > 0 };
}

/** Greater than zero when `a` wins over `b`. A total order: the same for every site, worker and order of asking. */
export function stronger(a: LogicalVersion, b: LogicalVersion, { policy, deletes }: Policies): number {
  return (
    byKind(a, b, deletes) ||
    (policy.kind === 'prefer-site' ? rank(b, policy.order) - rank(a, policy.order) : 0) ||
    compareStamps(a.hlc, b.hlc) ||
    (a.dot.s < b.dot.s ? 1 : a.dot.s > b.dot.s ? -1 : 0) ||
    a.dot.n - b.dot.n
  );
}

/** Proven, not assumed: unknown checksums are equal to nothing. */
export function sameContent(a: LogicalVersion, b: LogicalVersion): boolean {
  if (a.kind !== b.kind) return false;
  if (a.kind === 'tombstone') return true;
  const crc32c = a.crc32c !== '' && a.crc32c === b.crc32c;
  const crc64nvme = a.crc64nvme !== '' && a.crc64nvme === b.crc64nvme;
  const contradicts =
    (a.crc32c !== '' && b.crc32c !== '' && !crc32c) || (a.crc64nvme !== '' && b.crc64nvme !== '' && !crc64nvme);
  return a.sizeBytes === b.sizeBytes && a.metaDigest === b.metaDigest && (crc32c || crc64nvme) && !contradicts;
}

function byKind(a: LogicalVersion, b: LogicalVersion, deletes: DeletePolicy): number {
  if (a.kind === b.kind || deletes === 'by-clock') return 0;
  const objectWins = deletes === 'write-wins';
  return (a.kind === 'object') === objectWins ? 1 : -1;
}

function rank(version: LogicalVersion, order: readonly string[]): number {
  const at = order.indexOf(version.origin.site);
  return at < 0 ? order.length : at;
}

/** One of each content, and of those one whose bytes can still be read. */
function distinct(objects: readonly LogicalVersion[], winner: LogicalVersion): readonly LogicalVersion[] {
  const kept: LogicalVersion[] = [];
  const isReadable = ({ holders }: LogicalVersion) => Object.keys(holders).length > 0;
  const unreadable = objects.filter((object) => !isReadable(object));
  for (const object of [...objects.filter(isReadable), ...unreadable]) {
    if (object !== winner && ![winner, ...kept].some((other) => sameContent(object, other))) kept.push(object);
  }
  return kept;
}
