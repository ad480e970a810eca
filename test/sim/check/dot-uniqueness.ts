/** I5: a dot names one version for ever, and dots of a site only grow, across lost ledgers and collected keys too. */

import type { History, Violation } from '../history.ts';

export function dotUniqueness(history: History): readonly Violation[] {
  const violations: Violation[] = [];
  const highest = new Map<string, number>();
  const named = new Map<string, string>();
  for (const { step, key, version } of history.born) {
    const { dot, origin, vid } = version;
    const identity = `${origin.site} ${origin.cause}`;
    const known = named.get(`${key}\n${vid}`);
    if (known !== undefined && known !== identity)
      violations.push({ invariant: 'I5', step, text: `${key} ${vid} names ${known} and ${identity}` });
    named.set(`${key}\n${vid}`, identity);
    const before = highest.get(`${key}\n${dot.s}`) ?? 0;
    if (dot.n <= before)
      violations.push({ invariant: 'I5', step, text: `${key}: ${vid} was given out after ${dot.s}:${before}` });
    highest.set(`${key}\n${dot.s}`, Math.max(before, dot.n));
  }
  return violations;
}
