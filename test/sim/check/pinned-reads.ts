/** I11: what we write under a version's name is that version: its bytes and its metadata, from one physical version. */

import type { History, Violation } from '../history.ts';

export function pinnedReads(history: History): readonly Violation[] {
  const violations: Violation[] = [];
  for (const stood of history.stood) {
    if (stood.actor !== 'us' || stood.vid === null || stood.content === null) continue;
    const born = history.born.find((it) => it.key === stood.key && it.version.vid === stood.vid);
    if (born?.content != null && born.content !== stood.content)
      violations.push({
        invariant: 'I11',
        step: stood.step,
        text: `${stood.site} ${stood.key}: ${stood.op} wrote ${stood.content} as ${stood.vid}, which is ${born.content}`,
      });
  }
  return violations;
}
