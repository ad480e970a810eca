/** I7: a version has in its past what stood in its bucket before it, and nothing its bucket had not seen. */

import { contains, type VersionVector } from '#shared/model/version-vector.ts';
import { type Born, type History, physAt, type Stood, type Violation } from '../history.ts';

export function causality(history: History): readonly Violation[] {
  if (history.drops.length > 0 || history.disasters.length > 0) return [];
  const violations: Violation[] = [];
  const chains = new Set(
    history.scenario.sites
      .filter(({ flavour, versioned }) => versioned && flavour !== 'gcs')
      .map(({ site }) => site.id),
  );
  const byVid = new Map(history.born.map((born) => [`${born.key}\n${born.version.vid}`, born]));
  const bornAt = new Map(
    history.born
      .filter(({ version }) => version.origin.cause === 'put')
      .map((born) => [physAt(born.version.origin.site, born.key, born.version.origin.phys), born]),
  );
  const firstAt = new Map<string, Stood>();
  for (const stood of history.stood) {
    const name = stood.phys === null ? null : physAt(stood.site, stood.key, stood.phys);
    if (name !== null && !firstAt.has(name)) firstAt.set(name, stood);
  }

  for (const [name, born] of bornAt) {
    const stood = firstAt.get(name);
    if (stood === undefined || stood.actor !== 'client') continue;
    const before = history.stood[stood.over];
    if (before === undefined || before.phys === null || before.actor === 'lifecycle') continue;
    const pred = nameOf(before, byVid, bornAt);
    if (pred === undefined || pred.step > born.step) continue;
    const seen =
      chains.has(stood.site) ||
      (history.bound.get(physAt(before.site, before.key, before.phys))?.step ?? Number.POSITIVE_INFINITY) < born.step;
    if (seen && !contains(born.version.vv, pred.version.dot))
      violations.push({
        invariant: 'I7',
        step: born.step,
        text: `${stood.site} ${stood.key}: ${born.version.vid} was written over ${pred.version.vid} and does not have it in its past`,
      });
  }
  for (const { step, key, loser, winner } of history.superseded) {
    if (contains(loser.vv, winner.dot))
      violations.push({ invariant: 'I7', step, text: `${key}: ${loser.vid} came after ${winner.vid} and lost to it` });
  }
  return [...violations, ...inventedPast(history, bornAt, firstAt, byVid)];
}

/** No past may name a dot whose version stood nowhere in this bucket before, unless that came through what did. */
function inventedPast(
  history: History,
  bornAt: ReadonlyMap<string, Born>,
  firstAt: ReadonlyMap<string, Stood>,
  byVid: ReadonlyMap<string, Born>,
): readonly Violation[] {
  const violations: Violation[] = [];
  const joined = new Map<string, VersionVector[]>();
  for (const { key, winner } of history.superseded)
    joined.set(`${key}\n${winner.vid}`, [...(joined.get(`${key}\n${winner.vid}`) ?? []), winner.vv]);
  for (const [name, born] of bornAt) {
    const stood = firstAt.get(name);
    if (stood === undefined || stood.actor !== 'client') continue;
    const allowed: VersionVector[] = [];
    for (let i = stood.over; i >= 0; i = history.stood[i]?.over ?? -1) {
      const before = history.stood[i] as Stood;
      const named = nameOf(before, byVid, bornAt);
      if (named !== undefined)
        allowed.push(named.version.vv, ...(joined.get(`${born.key}\n${named.version.vid}`) ?? []));
    }
    for (const own of history.born)
      if (own.key === born.key && own.version.origin.site === stood.site)
        allowed.push(own.version.vv, ...(joined.get(`${born.key}\n${own.version.vid}`) ?? []));
    for (const [site, n] of Object.entries(born.version.vv)) {
      if (site === stood.site || allowed.some((vv) => (vv[site] ?? 0) >= n)) continue;
      if (boundHere(history, stood, born.key, byVid, joined, site, n)) continue;
      violations.push({
        invariant: 'I7',
        step: born.step,
        text: `${stood.site} ${stood.key}: ${born.version.vid} claims ${site}:${n} in its past, which never stood here`,
      });
    }
  }
  return violations;
}

/** The ledger may also say that this site holds a version because its content was equal. */
function boundHere(
  history: History,
  stood: Stood,
  key: string,
  byVid: ReadonlyMap<string, Born>,
  joined: ReadonlyMap<string, VersionVector[]>,
  site: string,
  n: number,
): boolean {
  for (const [name, { vid }] of history.bound) {
    if (vid === null || !name.startsWith(`${stood.site}\n${key}\n`)) continue;
    const vvs = [byVid.get(`${key}\n${vid}`)?.version.vv, ...(joined.get(`${key}\n${vid}`) ?? [])];
    if (vvs.some((vv) => (vv?.[site] ?? 0) >= n)) return true;
  }
  return false;
}

function nameOf(stood: Stood, byVid: ReadonlyMap<string, Born>, bornAt: ReadonlyMap<string, Born>): Born | undefined {
  if (stood.actor === 'us') return byVid.get(`${stood.key}\n${stood.vid}`);
  return stood.phys === null ? undefined : bornAt.get(physAt(stood.site, stood.key, stood.phys));
}
