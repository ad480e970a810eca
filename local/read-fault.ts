/** A fault rule out of JSON; what is wrong with it is told with the name of the field. */

import {
  at,
  type Fields,
  type Path,
  type Reader,
  readInteger,
  readObject,
  readOneOf,
  readOptional,
  readString,
  refuse,
} from '#shared/model/read.ts';
import type { CloudName, Effect, FaultRule, FaultScope, Spread } from './faults.ts';

export type NewFault = Omit<FaultRule, 'id' | 'share' | 'scope'> & {
  readonly scope: FaultScope;
  readonly share: number;
};

const CLOUDS: readonly CloudName[] = ['aws', 'gcp', 'azure'];
const FIELDS: ReadonlySet<string> = new Set(['scope', 'effect', 'share', 'times']);
const SCOPE: ReadonlySet<string> = new Set(['cloud', 'service', 'operation', 'from', 'keyPrefix']);

/** What each kind of effect is made of. */
const EFFECTS: Readonly<Record<Effect['kind'], Readonly<Record<string, Reader<unknown>>>>> = {
  outage: {},
  silence: {},
  'lost-answer': {},
  status: { status: (value, path) => readInteger(value, path, 400, 599) },
  wait: { ms: readSpread },
  cut: { afterBytes: (value, path) => readInteger(value, path, 0) },
  slow: { bytesPerSecond: (value, path) => readInteger(value, path, 1) },
  delivery: { ms: readSpread, twice: readShare, never: readShare },
  clock: { aheadMs: (value, path) => readNumber(value, path, -Number.MAX_SAFE_INTEGER) },
};

export function readFault(value: unknown, path: Path = ''): NewFault {
  const fields = readObject(value, path, FIELDS);
  const times = readOptional(fields.times, at(path, 'times'), (it, where) => readInteger(it, where, 1));
  return {
    scope: readOptional(fields.scope, at(path, 'scope'), readScope) ?? {},
    effect: readEffect(fields.effect, at(path, 'effect')),
    share: readOptional(fields.share, at(path, 'share'), readShare) ?? 1,
    ...(times === undefined ? {} : { times }),
  };
}

function readScope(value: unknown, path: Path): FaultScope {
  const fields = readObject(value, path, SCOPE);
  for (const name of SCOPE)
    if (name === 'cloud') readOptional(fields.cloud, at(path, name), (it, where) => readOneOf(it, where, CLOUDS));
    else readOptional(fields[name], at(path, name), readString);
  return fields as FaultScope;
}

function readEffect(value: unknown, path: Path): Effect {
  const kinds = Object.keys(EFFECTS) as Effect['kind'][];
  const all = new Set(['kind', ...kinds.flatMap((kind) => Object.keys(EFFECTS[kind]))]);
  const kind = readOneOf(readObject(value, path, all).kind, at(path, 'kind'), kinds);
  const parts = EFFECTS[kind];
  const fields: Fields = readObject(value, path, new Set(['kind', ...Object.keys(parts)]));
  for (const [name, read] of Object.entries(parts)) read(fields[name], at(path, name));
  return fields as unknown as Effect;
}

function readSpread(value: unknown, path: Path): Spread {
  const fields = readObject(value, path, new Set(['kind', 'min', 'max', 'median', 'p99']));
  const kind = readOneOf(fields.kind, at(path, 'kind'), ['even', 'tail'] as const);
  const [low, high] = kind === 'even' ? ['min', 'max'] : ['median', 'p99'];
  const least = readNumber(fields[low as string], at(path, low as string), kind === 'even' ? 0 : Number.MIN_VALUE);
  readNumber(fields[high as string], at(path, high as string), least);
  return fields as unknown as Spread;
}

function readShare(value: unknown, path: Path): number {
  const share = readNumber(value, path, 0);
  return share <= 1 ? share : refuse(value, path, 'a share from 0 to 1');
}

function readNumber(value: unknown, path: Path, min: number): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= min
    ? value
    : refuse(value, path, `a number >= ${min}`);
}
