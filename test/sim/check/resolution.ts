/** I8: who wins depends on the versions and the policy alone, by an order written down here a second time. */

import type { LogicalVersion } from '#shared/model/key-item.ts';
import type { Route } from '#shared/model/topology.ts';
import type { History, Violation } from '../history.ts';

export function resolution(history: History): readonly Violation[] {
  const violations: Violation[] = [];
  const [route] = history.scenario.topology.routes;
  for (const { step, key, loser, winner } of history.superseded) {
    const isCopy = key.includes('~conflict-');
    if (route === undefined || winner.origin.cause === 'merge') continue;
    if (route.policy.kind === 'custom' && !isCopy && winner.kind === 'object') continue; // a function decided
    if (!beats(winner, loser, route, isCopy))
      violations.push({
        invariant: 'I8',
        step,
        text: `${key}: ${loser.vid} lost to ${winner.vid}, which is weaker by ${route.policy.kind}, ${route.deletes}`,
      });
  }
  return violations;
}

function beats(winner: LogicalVersion, loser: LogicalVersion, { policy, deletes }: Route, isCopy: boolean): boolean {
  if (winner.kind !== loser.kind && deletes !== 'by-clock')
    return (winner.kind === 'object') === (deletes === 'write-wins');
  if (policy.kind === 'prefer-site' && !isCopy) {
    const place = (version: LogicalVersion) =>
      policy.order.includes(version.origin.site) ? policy.order.indexOf(version.origin.site) : 99;
    if (place(winner) !== place(loser)) return place(winner) < place(loser);
  }
  const a = [winner.hlc.ms, winner.hlc.c];
  const b = [loser.hlc.ms, loser.hlc.c];
  if (a[0] !== b[0]) return (a[0] as number) > (b[0] as number);
  if (a[1] !== b[1]) return (a[1] as number) > (b[1] as number);
  if (winner.dot.s !== loser.dot.s) return winner.dot.s < loser.dot.s;
  return winner.dot.n > loser.dot.n;
}
