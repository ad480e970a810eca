/** What operations cost, in the units that AWS charges. */

import type { Consumption } from './requests.ts';

/** Of one table: its own units, and those of its indexes. */
export interface Units {
  readonly table: number;
  readonly indexes: Readonly<Record<string, { readonly units: number; readonly isGlobal: boolean }>>;
}

const WRITE_BYTES = 1024;
const READ_BYTES = 4096;

/** A transaction prepares and then commits, so each counts twice. */
export function writeUnits(bytes: number, inTransaction = false): number {
  return Math.max(1, Math.ceil(bytes / WRITE_BYTES)) * (inTransaction ? 2 : 1);
}

export function readUnits(bytes: number, how: 'eventual' | 'strong' | 'transaction'): number {
  const blocks = Math.max(1, Math.ceil(bytes / READ_BYTES));
  return how === 'eventual' ? blocks / 2 : how === 'strong' ? blocks : blocks * 2;
}

export function sumUnits(all: readonly Units[]): Units {
  const indexes: Record<string, { units: number; isGlobal: boolean }> = {};
  for (const units of all)
    for (const [name, { units: more, isGlobal }] of Object.entries(units.indexes))
      indexes[name] = { units: (indexes[name]?.units ?? 0) + more, isGlobal };
  return { table: all.reduce((sum, { table }) => sum + table, 0), indexes };
}

/** `kind`: which units they are, for the operations that say so. */
export function toConsumed(table: string, units: Units, asked: Consumption | undefined, kind?: 'Read' | 'Write') {
  if (asked === undefined || asked === 'NONE') return undefined;
  const counted = (count: number) => ({
    CapacityUnits: count,
    ...(kind === undefined ? {} : { [`${kind}CapacityUnits`]: count }),
  });
  const total = Object.values(units.indexes).reduce((sum, { units: more }) => sum + more, units.table);
  if (asked === 'TOTAL') return { TableName: table, ...counted(total) };
  const indexes = Object.entries(units.indexes);
  const of = (global: boolean) =>
    Object.fromEntries(
      indexes.filter(([, { isGlobal }]) => isGlobal === global).map(([name, it]) => [name, counted(it.units)]),
    );
  const [globals, locals] = [of(true), of(false)];
  return {
    TableName: table,
    ...counted(total),
    Table: counted(units.table),
    ...(Object.keys(globals).length === 0 ? {} : { GlobalSecondaryIndexes: globals }),
    ...(Object.keys(locals).length === 0 ? {} : { LocalSecondaryIndexes: locals }),
  };
}
