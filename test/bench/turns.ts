/** Contenders one after the other, round by round, so that what else a machine does strikes all of them. */

import { median } from './statistics.ts';

/** Whoever comes first in one round comes last in the next. */
export async function inTurns<Measured>(
  names: readonly string[],
  rounds: number,
  measure: (name: string, round: number) => Promise<Measured>,
): Promise<ReadonlyMap<string, readonly Measured[]>> {
  const measured = new Map<string, Measured[]>(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const first = round % names.length;
    for (const name of [...names.slice(first), ...names.slice(0, first)])
      measured.get(name)?.push(await measure(name, round));
  }
  return measured;
}

export interface Ratio {
  /** One for each round. */
  readonly pairs: readonly number[];
  /** The median of them: not the ratio of two medians, which would compare different minutes. */
  readonly ratio: number;
}

export function ratioOf(own: readonly number[], peer: readonly number[]): Ratio {
  const pairs = peer.map((value, round) => (own[round] ?? Number.NaN) / value);
  return { pairs, ratio: median(pairs) };
}
