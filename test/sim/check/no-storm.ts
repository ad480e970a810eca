/** I3: at rest no writes, and over the run no more than changes, decisions and mishaps can explain. */

import type { History, Violation } from '../history.ts';

export function noStorm(history: History): readonly Violation[] {
  const violations: Violation[] = [];
  if (history.restlessWrites > 0)
    violations.push({
      invariant: 'I3',
      step: 0,
      text: `${history.restlessWrites} writes after everything had come to rest`,
    });
  const sites = history.scenario.sites.length;
  const ours = history.stood.filter(({ actor }) => actor === 'us').length;
  const undone = history.stood.filter(({ actor, content }) => actor !== 'us' && content === null).length;
  const mishaps =
    undone +
    history.crashes +
    history.unanswered +
    history.epochs +
    history.disasters.length * history.scenario.keys.length;
  const bound =
    sites *
    (history.born.length + history.superseded.length + mishaps + history.drops.length * history.scenario.keys.length);
  if (ours > bound)
    violations.push({ invariant: 'I3', step: 0, text: `${ours} bucket writes, where ${bound} can be explained` });
  return violations;
}
