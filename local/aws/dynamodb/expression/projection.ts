/** Reads projections, and cuts an item down to what one names. */

import type { Item, Value } from '../values.ts';
import type { Placeholders } from './placeholders.ts';
import { checkApart, openReader, type Path, valueAt } from './reader.ts';

export function readProjection(text: string, placeholders: Placeholders): readonly Path[] {
  const reader = openReader('ProjectionExpression', text, placeholders);
  const paths = [reader.path()];
  while (reader.accept(',')) paths.push(reader.path());
  if (reader.peek().kind !== 'end') throw reader.unexpected();
  checkApart('ProjectionExpression', paths);
  return paths;
}

/** Members of lists close ranks. */
export function project(item: Item, paths: readonly Path[]): Item {
  return (
    pick(
      { M: item },
      paths.filter((path) => valueAt(item, path) !== undefined),
    ).M ?? Object.create(null)
  );
}

function pick(value: Value, paths: readonly Path[]): Value {
  if (paths.some((path) => path.length === 0)) return value;
  const parts = new Map<string | number, Path[]>();
  for (const [part, ...rest] of paths)
    parts.set(part as string | number, [...(parts.get(part as string | number) ?? []), rest]);
  if (value.L !== undefined) {
    const places = [...parts.keys()].map(Number).sort((a, b) => a - b);
    return { L: places.map((place) => pick(value.L?.[place] as Value, parts.get(place) as Path[])) };
  }
  const picked: Record<string, Value> = Object.create(null);
  for (const [part, rests] of parts) picked[part] = pick(value.M?.[part] as Value, rests);
  return { M: picked };
}
