/** I20: an emptied bucket deletes nothing elsewhere, and no pass believes in more deletions than it may unasked. */

import { isAbsent } from '#shared/model/object.ts';
import { type History, physAt, type Violation } from '../history.ts';

export function brake(history: History): readonly Violation[] {
  const violations: Violation[] = [];
  const vanished = history.born.filter(
    ({ version }) =>
      version.kind === 'tombstone' && version.origin.cause !== 'inferred-delete' && isAbsent(version.origin.phys),
  );
  for (const { step, key, version } of vanished) {
    const { site } = version.origin;
    const disaster = history.disasters.findLast((it) => it.site === site && it.step <= step);
    if (disaster === undefined) continue;
    const byClient = history.stood.some(
      (it) => it.site === site && it.key === key && it.step > disaster.step && it.actor !== 'us',
    );
    // Deleted before the bucket was emptied, looked at then, and stored by a slow worker afterwards.
    const deletedBefore = history.stood.some(
      (it) =>
        it.site === site && it.key === key && it.step < disaster.step && it.actor === 'client' && it.content === null,
    );
    const before = history.stood.findLast((it) => it.site === site && it.key === key && it.step < disaster.step);
    if (!byClient && !deletedBefore && before?.content != null)
      violations.push({
        invariant: 'I20',
        step,
        text: `${key} was taken for deleted because ${site} was emptied at step ${disaster.step}`,
      });
  }
  for (const { by, from, to, confirmed, complete, cap } of history.passes) {
    // Of each key, what the pass believed last: a delete that the client wrote over before the pass looked takes nothing away.
    const believed = new Map(
      history.born.filter((born) => born.by === by && born.step >= from).map(({ key, version }) => [key, version]),
    );
    // A listing shows that something is gone only where the ledger said that it stood.
    const deletions = [...believed].filter(
      ([key, { kind, origin }]) =>
        kind === 'tombstone' && origin.cause === 'delete' && wasKnown(history, origin.site, key, from),
    ).length;
    const meanwhile = history.stood.filter(
      ({ step, actor, content }) => step >= from && step <= to && actor !== 'us' && content === null,
    ).length;
    if (!confirmed && complete && deletions > cap + meanwhile)
      violations.push({
        invariant: 'I20',
        step: to,
        text: `a pass believed in ${deletions} deletions, ${cap} are allowed unasked`,
      });
  }
  for (const { step, key, version } of history.born) {
    if (version.kind !== 'tombstone' || version.origin.cause !== 'delete') continue;
    const here = history.stood.filter((it) => it.site === version.origin.site && it.key === key && it.step <= step);
    const last = here.find((it) => it.deleteMarker === version.origin.phys) ?? here.at(-1);
    if (last?.actor === 'lifecycle')
      violations.push({
        invariant: 'I20',
        step,
        text: `${key}: ${last.site} expired its own copy, and that was taken for a delete everywhere`,
      });
  }
  return violations;
}

function wasKnown(history: History, site: string, key: string, before: number): boolean {
  const here = physAt(site, key, '');
  return [...history.bound].some(
    ([name, { vid, since }]) =>
      since < before && vid !== null && name.startsWith(here) && !isAbsent(name.slice(here.length)),
  );
}
