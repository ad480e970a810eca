/** Reads which keys a Query asks for: one partition key, and perhaps a range of sort keys. */

import { refused } from '../errors.ts';
import { typeOf, type Value } from '../values.ts';
import { type Condition, type Operand, readCondition } from './condition.ts';
import type { Placeholders } from './placeholders.ts';

export interface KeyTest {
  readonly by: '=' | '<' | '<=' | '>' | '>=' | 'between' | 'begins_with';
  readonly values: readonly Value[];
}

const TURNED: Readonly<Record<string, KeyTest['by']>> = { '=': '=', '<': '>', '<=': '>=', '>': '<', '>=': '<=' };

/** By attribute, one test each. */
export function readKeyCondition(text: string, placeholders: Placeholders): ReadonlyMap<string, KeyTest> {
  const tests = new Map<string, KeyTest>();
  collect(readCondition('KeyConditionExpression', text, placeholders), tests);
  return tests;
}

function collect(condition: Condition, tests: Map<string, KeyTest>): void {
  if (condition.kind === 'and') {
    collect(condition.left, tests);
    collect(condition.right, tests);
    return;
  }
  if (condition.kind === 'or' || condition.kind === 'not' || condition.kind === 'in')
    throw misused(condition.kind.toUpperCase());
  const [first, ...others] = operandsOf(condition);
  const turned = condition.kind === 'compare' && first?.kind === 'value';
  const [key, rest] = turned ? [others[0], [first]] : [first, others];
  const by = byOf(condition, turned);
  if (key?.kind === 'size' || rest.some((it) => it?.kind === 'size'))
    throw refused('KeyConditionExpressions cannot contain nested operations');
  if (key?.kind !== 'path') {
    if (condition.kind === 'compare') throw wrong('No key attribute specified');
    throw wrong(`${by === 'between' ? 'BETWEEN' : by} operator must have the key attribute as its first operand`);
  }
  if (key.path.length > 1) throw refused('KeyConditionExpressions cannot have conditions on nested attributes');
  const values = rest.map((it) => {
    if (it?.kind === 'value') return it.value;
    throw wrong('Multiple attribute names used in one condition');
  });
  const name = String(key.path[0]);
  if (tests.has(name)) throw refused('KeyConditionExpressions must only contain one condition per key');
  tests.set(name, { by, values });
}

function operandsOf(condition: Condition): readonly Operand[] {
  if (condition.kind === 'compare') return [condition.left, condition.right];
  if (condition.kind === 'between') return [condition.of, condition.low, condition.high];
  return condition.kind === 'call' ? condition.args : [];
}

function byOf(condition: Condition, turned: boolean): KeyTest['by'] {
  if (condition.kind === 'between') return 'between';
  if (condition.kind === 'call') {
    if (condition.name === 'begins_with') return 'begins_with';
    throw misused(condition.name);
  }
  if (condition.kind !== 'compare' || condition.by === '<>') throw misused('<>');
  return turned ? (TURNED[condition.by] as KeyTest['by']) : condition.by;
}

function misused(operator: string) {
  return refused(`Invalid operator used in KeyConditionExpression: ${operator}`);
}

function wrong(why: string) {
  return refused(`Invalid condition in KeyConditionExpression: ${why}`);
}

/** Of a type that the key does not have. */
export function mismatch(value: Value | undefined, type: string): boolean {
  return value === undefined || typeOf(value) !== type;
}
