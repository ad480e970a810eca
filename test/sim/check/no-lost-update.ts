/** I1: a client's object that we wrote over, or that nobody wrote over, is known by dot and won, was dominated, or lost on the record. */

import { RESOLVER } from '#shared/model/site.ts';
import { contains } from '#shared/model/version-vector.ts';
import { type Born, type Ending, type History, physAt, type Stood, type Violation } from '../history.ts';

export function noLostUpdate(history: History, ending: Ending): readonly Violation[] {
  const violations: Violation[] = [];
  const bornAt = new Map<string, Born>();
  for (const born of history.born)
    bornAt.set(physAt(born.version.origin.site, born.key, born.version.origin.phys), born);
  const followed = followers(history);
  for (const [i, stood] of history.stood.entries()) {
    if (stood.actor !== 'client' || stood.content === null || stood.phys === null) continue;
    const next = followed.get(i);
    if (next !== undefined && next.actor !== 'us') continue; // its own bucket's clients or lifecycle replaced it
    if (stood.op.startsWith('purge')) continue; // an old version came back: judged by convergence
    const born = bornAt.get(physAt(stood.site, stood.key, stood.phys));
    if (born === undefined) {
      if (isKnownNoOp(history, stood, bornAt)) continue;
      if (history.disasters.some((it) => it.site === stood.site && it.step > stood.step)) continue; // destroyed before anyone looked
      const end = next ? `fell to ${next.op}` : 'stands';
      violations.push({
        invariant: 'I1',
        step: next?.step ?? stood.step,
        text: `${stood.site} ${stood.key}: the client's ${stood.phys} (${stood.content}) ${end} and has no dot`,
      });
      continue;
    }
    const names = [born, ...boundTo(history, stood)];
    const fate = names.some((name) => fateOf(name, history, ending) === null) ? null : fateOf(born, history, ending);
    if (fate !== null && !hadTheLastWord(history, stood, born) && !wentWithItsLedger(history, stood, born))
      violations.push({
        invariant: 'I1',
        step: next?.step ?? stood.step,
        text: `${stood.site} ${stood.key}: the client's ${born.version.vid} (${stood.content}) ${fate}`,
      });
  }
  return [...violations, ...lostDeletes(history, followed), ...keptCopies(history, ending)];
}

/** A client's delete of what the ledger knew, undone by a write of ours, must have become a version too. */
function lostDeletes(history: History, followed: ReadonlyMap<number, Stood>): readonly Violation[] {
  const violations: Violation[] = [];
  if (history.drops.length > 0 || history.disasters.length > 0) return violations;
  // Where a lifecycle removes old objects, a delete of an old object cannot be told from it.
  const expiring = new Set(
    history.scenario.sites.filter(({ site }) => site.expiresAfterMs !== undefined).map(({ site }) => site.id),
  );
  for (const [i, deleted] of history.stood.entries()) {
    // A bucket with history shows the delete marker for good.
    if (expiring.has(deleted.site) || keepsHistory(history, deleted.site)) continue;
    const next = followed.get(i);
    const before = history.stood[deleted.over];
    if (
      deleted.actor !== 'client' ||
      deleted.content !== null ||
      next?.actor !== 'us' ||
      next.content === null ||
      before?.phys == null
    )
      continue;
    // Overwritten again by a client before anyone looked: that client had the last word at its bucket.
    if (next.phys === null || !history.bound.has(physAt(next.site, next.key, next.phys))) continue;
    const known = history.bound.get(physAt(before.site, before.key, before.phys));
    if (known === undefined || known.vid === null || known.step > next.step) continue;
    const told = history.born.some(
      ({ key, step, version }) =>
        key === deleted.key &&
        step >= deleted.step &&
        version.kind === 'tombstone' &&
        version.origin.site === deleted.site,
    );
    // Seen before our next write there, though it may have been stored after that.
    const until = history.bound.get(physAt(next.site, next.key, next.phys))?.since ?? next.step;
    const shared = history.absences.some(
      ({ site, key, step }) =>
        site === deleted.site && key === deleted.key && step >= deleted.step && step <= Math.max(next.step, until),
    );
    if (!told && !shared)
      violations.push({
        invariant: 'I1',
        step: next.step,
        text: `${deleted.site} ${deleted.key}: the client's delete of ${known.vid} was undone by ${next.op} and has no dot`,
      });
  }
  return violations;
}

/** The version the ledger last said stands there, if its content is the same: equal objects may share a name. */
function boundTo(history: History, { site, key, phys, content }: Stood): readonly Born[] {
  const vid = history.bound.get(physAt(site, key, phys ?? ''))?.vid;
  return vid == null
    ? []
    : history.born.filter((born) => born.key === key && born.version.vid === vid && born.content === content);
}

/** null: accounted for. A log is lost with its ledger: then it counts what the log had said. */
function fateOf({ key, version }: Born, history: History, ending: Ending): string | null {
  const item = ending.items.get(key);
  if (history.drops.length > 0 && history.dominated.has(`${key}\n${version.vid}`)) return null;
  if (history.drops.length > 0 && history.superseded.some((it) => it.key === key && it.loser.vid === version.vid))
    return null;
  if (ending.log.get(key)?.some((entry) => entry.id === `superseded/${version.vid}`)) return null;
  // Forgotten with its key, long after it had been dominated; the key may have been written again since.
  const collected = ending.log.get(key)?.some((entry) => entry.kind === 'collected') === true;
  if (collected && history.dominated.has(`${key}\n${version.vid}`)) return null;
  if (item === undefined)
    return ending.log.get(key)?.some((entry) => entry.kind === 'collected')
      ? null
      : 'is in a key the ledger does not know';
  const heads = item.frontier.map((vid) => item.versions[vid]);
  if (heads.some((head) => head !== undefined && contains(head.vv, version.dot))) return null;
  return `is neither winner, nor dominated, nor superseded on the record (frontier ${item.frontier.join()})`;
}

/**
 * Found below a delete that may have been ours, by one rebuild, and forgotten with that ledger: to the next rebuild, what
 * the bucket's own clients wrote later is the successor of all that lies below.
 */
function hadTheLastWord(history: History, hidden: Stood, { version }: Born): boolean {
  const forgotten = version.dot.s === RESOLVER && history.drops.some((step) => step > hidden.step);
  return (
    forgotten &&
    history.stood.some(
      ({ site, key, step, actor, content }) =>
        site === hidden.site && key === hidden.key && step > hidden.step && actor === 'client' && content !== null,
    )
  );
}

/** Every bucket that held its bytes was emptied, and then the ledger was lost that still knew of them. */
function wentWithItsLedger(history: History, stood: Stood, { content, key, version: { vid } }: Born): boolean {
  const lostAt = history.drops.at(-1);
  const isGone = (site: string, since: number) =>
    history.disasters.some((it) => it.site === site && it.step > since && lostAt !== undefined && it.step < lostAt);
  const ours = history.stood.filter((it) => it.actor === 'us' && it.key === key && it.step > stood.step);
  const copies = ours.filter((it) => it.content === content);
  const bound = [...history.bound].filter(([place, it]) => it.vid === vid && place.split('\n')[1] === key);
  return (
    isGone(stood.site, stood.step) &&
    copies.every(({ site, step }) => isGone(site, step)) &&
    bound.every(([place, { step }]) => isGone(place.split('\n')[0] as string, step))
  );
}

/** A touch or a copy onto itself that changed nothing needs no dot of its own. */
function isKnownNoOp(history: History, stood: Stood, bornAt: ReadonlyMap<string, Born>): boolean {
  // A copy of a create-only write of ours that the ledger still waits for, or has forgotten with everything else: where a
  // bucket keeps no history, nobody can tell it from that write. docs/PROTOCOL.md lists both among the limits.
  const ours = history.stood.find(
    (it) =>
      it.actor === 'us' && it.site === stood.site && it.key === stood.key && it.wid !== null && it.wid === stood.wid,
  );
  if (ours !== undefined && ours.content === stood.content) {
    const unseen = !history.bound.has(physAt(ours.site, ours.key, ours.phys ?? ''));
    if (unseen && ours.op.includes('if-absent')) return true;
    if (history.drops.length > 0 && !keepsHistory(history, stood.site)) return true;
  }
  // Equal objects found when a ledger is rebuilt share one name.
  if (
    history.bound.get(physAt(stood.site, stood.key, stood.phys ?? ''))?.wid === null &&
    boundTo(history, stood).length > 0
  )
    return true;
  for (let i = stood.over; i >= 0; i = history.stood[i]?.over ?? -1) {
    const before = history.stood[i] as Stood;
    const known =
      before.phys !== null && (before.actor === 'us' || bornAt.has(physAt(before.site, before.key, before.phys)));
    if (
      before.content === stood.content &&
      known &&
      (i === stood.over || before.wid === stood.wid || isSameBody(before, stood))
    )
      return true;
    // Whatever the ledger has seen in between makes going back a change of its own.
    if (
      before.content !== null &&
      before.content !== stood.content &&
      history.bound.has(physAt(before.site, before.key, before.phys ?? 'absent:'))
    )
      return false;
  }
  return false;
}

function keepsHistory(history: History, site: string): boolean {
  return history.scenario.sites.some((it) => it.site.id === site && it.versioned && it.flavour !== 'gcs');
}

/** Patched, and patched back, in place: the generation is the same. */
function isSameBody(a: Stood, b: Stood): boolean {
  return a.phys?.startsWith('g:') === true && a.phys.split('.')[0] === b.phys?.split('.')[0];
}

/** Under keep-both the loser's bytes stand, or have stood, under a name of their own before it loses. */
function keptCopies(history: History, ending: Ending): readonly Violation[] {
  const { policy } = history.scenario.topology.routes[0] as (typeof history.scenario.topology.routes)[0];
  if (policy.kind !== 'keep-both') return [];
  const violations: Violation[] = [];
  for (const { step, key, loser, winner } of history.superseded) {
    if (loser.kind === 'tombstone' || ending.items.get(key)?.copyOf != null || key.includes('~conflict-')) continue;
    const lost = history.born.find((born) => born.key === key && born.version.vid === loser.vid)?.content;
    const won = history.born.find((born) => born.key === key && born.version.vid === winner.vid)?.content;
    if (lost == null || lost === won) continue;
    const stood = history.stood.some((it) => it.step <= step && it.content === lost && it.key.includes('~conflict-'));
    const destroyed = Object.keys(loser.holders).length === 0;
    if (!stood && !destroyed)
      violations.push({
        invariant: 'I1',
        step,
        text: `${key}: ${loser.vid} lost before its bytes stood under a name of their own`,
      });
  }
  return violations;
}

function followers(history: History): ReadonlyMap<number, Stood> {
  const followed = new Map<number, Stood>();
  for (const stood of history.stood) if (stood.over >= 0) followed.set(stood.over, stood);
  return followed;
}
