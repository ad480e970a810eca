/** I6: what counts as our write is ours, and no write of ours counts as a client's. */

import { type History, physAt, type Stood, type Violation } from '../history.ts';

export function echo(history: History): readonly Violation[] {
  const violations: Violation[] = [];
  const stoodAs = new Map<string, Stood>();
  for (const stood of history.stood) {
    const name = stood.phys === null ? null : physAt(stood.site, stood.key, stood.phys);
    if (name !== null && !stoodAs.has(name)) stoodAs.set(name, stood);
  }
  const ours = new Map(
    history.stood
      .filter(({ actor, wid }) => actor === 'us' && wid !== null)
      .map((stood) => [stood.wid as string, stood]),
  );

  for (const [name, { wid, vid, step }] of history.bound) {
    if (wid === null || vid === null) continue;
    const stood = stoodAs.get(name);
    if (stood === undefined || stood.content === null || stood.actor === 'us') continue;
    const original = ours.get(stood.wid ?? '');
    const copyOfOurs =
      original !== undefined &&
      original.content === stood.content &&
      original.site === stood.site &&
      original.key === stood.key;
    if (!copyOfOurs)
      violations.push({
        invariant: 'I6',
        step,
        text: `${stood.site} ${stood.key} ${stood.phys}: a client's ${stood.op} counts as our ${vid}`,
      });
  }

  const lateDrops = history.drops.length > 0;
  for (const { step, key, version } of history.born) {
    const { origin } = version;
    if (origin.cause !== 'put' || lateDrops) continue;
    const stood = stoodAs.get(physAt(origin.site, key, origin.phys));
    if (stood?.actor === 'us')
      violations.push({
        invariant: 'I6',
        step,
        text: `${origin.site} ${key} ${origin.phys}: our own ${stood.op} of ${stood.vid} got the dot ${version.vid}`,
      });
  }
  const deletes = new Map(
    history.stood
      .filter(({ deleteMarker }) => deleteMarker !== null)
      .map((stood) => [physAt(stood.site, stood.key, stood.deleteMarker as string), stood]),
  );
  for (const { step, key, version } of history.born) {
    const stood = deletes.get(physAt(version.origin.site, key, version.origin.phys));
    if (version.origin.cause !== 'delete' || stood?.actor !== 'us' || lateDrops) continue;
    violations.push({
      invariant: 'I6',
      step,
      text: `${stood.site} ${key}: our own ${stood.op} counts as a client's, ${version.vid}`,
    });
  }
  return violations;
}
