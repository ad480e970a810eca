/** An operator's answer where nobody else may decide: one version is to win, whatever the policy would have said. */

import { invalid } from '../model/fault.ts';
import type { KeyItem, LogicalVersion } from '../model/key-item.ts';
import { RESOLVER } from '../model/site.ts';
import { dotName, join, type VersionVector } from '../model/version-vector.ts';
import { addVersion, copyItem, type Moment, nextDot, remember } from './draft.ts';

/** Versions that an operator may choose: the siblings, and where the only one is lost, older ones whose bytes remain. */
export function choices(item: KeyItem): readonly LogicalVersion[] {
  const siblings = item.frontier.map((vid) => item.versions[vid] as LogicalVersion);
  const readable = Object.values(item.versions).filter(
    (version) => !item.frontier.includes(version.vid) && isReadable(version),
  );
  const lost = siblings.every((version) => version.kind === 'object' && !isReadable(version));
  return lost ? [...siblings, ...readable] : siblings;
}

/** The item with its winner, due at once; Fault 'invalid' when it is settled or the version cannot be chosen. */
export function choose(before: KeyItem, vid: string, moment: Moment): KeyItem {
  if (before.unresolved === null) throw invalid('key', before.key, 'a key that is unresolved; this one is not');
  const allowed = choices(before).map((version) => version.vid);
  if (!allowed.includes(vid)) throw invalid('version', vid, `one of ${allowed.join(', ')}`);
  const item = copyItem(before);
  const chosen = item.versions[vid] as LogicalVersion;
  const siblings = item.frontier.map((each) => item.versions[each] as LogicalVersion);
  const winner = item.frontier.includes(vid) ? chosen : again(item, chosen, siblings, moment);
  // From here on this is as if a policy had spoken: the losers enter the winner's past, each with a line in the log.
  winner.vv = siblings.reduce<VersionVector>((sum, { vv }) => join(sum, vv), winner.vv);
  for (const loser of siblings) {
    if (loser.vid === winner.vid) continue;
    const entry = { kind: 'superseded', vid: loser.vid, by: winner.vid, note: 'operator' } as const;
    remember(item, moment, { id: `superseded/${loser.vid}`, ...entry });
  }
  item.frontier = [winner.vid];
  item.unresolved = null;
  item.due = moment.now;
  delete item.unlisted;
  return item;
}

/** An old version cannot win over what came after it: its content is born again, after both. */
function again(
  item: KeyItem,
  chosen: LogicalVersion,
  siblings: readonly LogicalVersion[],
  moment: Moment,
): LogicalVersion {
  const dot = nextDot(item, RESOLVER, moment);
  const { sizeBytes, crc32c, crc64nvme, metaDigest, kind } = chosen;
  const latest = Math.max(...siblings.map(({ hlc }) => hlc.ms));
  const made = addVersion(item, moment, {
    dot,
    past: [...siblings, chosen],
    cause: 'merge',
    site: RESOLVER,
    kind,
    seen: {
      metaDigest,
      version: {
        phys: `chosen:${dotName(dot)}`,
        modifiedAt: latest,
        sizeBytes,
        checksums: { ...(crc32c === '' ? {} : { crc32c }), ...(crc64nvme === '' ? {} : { crc64nvme }) },
      },
    },
    holders: { ...chosen.holders },
  });
  return made;
}

function isReadable({ kind, holders }: LogicalVersion): boolean {
  return kind === 'object' && Object.keys(holders).length > 0;
}
