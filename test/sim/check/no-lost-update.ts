/** I1: a client's object that we wrote over, or that nobody wrote over, is known by dot and won, was dominated, or lost on the record. */

import { contains } from '#shared/model/version-vector.ts';
import { type Born, type Ending, type History, physAt, type Stood, type Violation } from '../history.ts';

export function noLostUpdate(history: History, ending: Ending): readonly Violation[] {
  const violations: Violation[] = [];
  const bornAt = new Map<string, Born>();
  for (const born of history.born) bornAt.set(physAt(born.version.origin.site, born.key, born.version.origin.phys), born);
  const followed = followers(history);
  for (const [i, stood] of history.stood.entries()) {
    if (stood.actor !== 'client' || stood.content === null || stood.phys === null) continue;
    const next = followed.get(i);
    if (next !== undefined && next.actor !== 'us') continue; // its own bucket's clients or lifecycle replaced it
    if (stood.op.startsWith('purge')) continue; // an old version came back: judged by convergence
    const born = bornAt.get(physAt(stood.site, stood.key, stood.phys));
    if (born === undefined) {
      if (isKnownNoOp(history, stood, bornAt)) continue;
      violations.push({ invariant: 'I1', step: next?.step ?? stood.step, text: `${stood.site} ${stood.key}: the client's ${stood.phys} (${stood.content}) ${next ? `was written over by ${next.op}` : 'stands'} and has no dot` });
      continue;
    }
    const fate = fateOf(born, ending);
    if (fate !== null) violations.push({ invariant: 'I1', step: next?.step ?? stood.step, text: `${stood.site} ${stood.key}: the client's ${born.version.vid} (${stood.content}) ${fate}` });
  }
  return [...violations, ...keptCopies(history, ending)];
}

/** null: accounted for. */
function fateOf({ key, version }: Born, ending: Ending): string | null {
  const item = ending.items.get(key);
  if (ending.log.get(key)?.some((entry) => entry.id === `superseded/${version.vid}`)) return null;
  if (item === undefined) return ending.log.get(key)?.some((entry) => entry.kind === 'collected') ? null : 'is in a key the ledger does not know';
  const heads = item.frontier.map((vid) => item.versions[vid]);
  if (heads.some((head) => head !== undefined && contains(head.vv, version.dot))) return null;
  return `is neither winner, nor dominated, nor superseded on the record (frontier ${item.frontier.join()})`;
}

/** A touch or a copy onto itself that changed nothing needs no dot of its own. */
function isKnownNoOp(history: History, stood: Stood, bornAt: ReadonlyMap<string, Born>): boolean {
  const binding = history.bound.get(physAt(stood.site, stood.key, stood.phys ?? ''));
  if (binding?.vid != null) return history.born.some((born) => born.key === stood.key && born.version.vid === binding.vid && born.content === stood.content);
  const before = history.stood[stood.over];
  if (before === undefined || before.content !== stood.content || before.phys === null) return false;
  return before.actor === 'us' || bornAt.has(physAt(before.site, before.key, before.phys)) || isKnownNoOp(history, before, bornAt);
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
    if (!stood && !destroyed) violations.push({ invariant: 'I1', step, text: `${key}: ${loser.vid} lost before its bytes stood under a name of their own` });
  }
  return violations;
}

function followers(history: History): ReadonlyMap<number, Stood> {
  const followed = new Map<number, Stood>();
  for (const stood of history.stood) if (stood.over >= 0) followed.set(stood.over, stood);
  return followed;
}
