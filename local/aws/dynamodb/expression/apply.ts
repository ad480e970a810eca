/** Does to an item what an update expression says; all that is read is read from the item as it was. */

import { refused } from '../errors.ts';
import { addNumbers } from '../numbers.ts';
import { type Item, setOf, typeOf, type Value, type ValueType } from '../values.ts';
import { type Path, valueAt } from './reader.ts';
import type { SetTerm, Update } from './update.ts';

/** The same containers as in Value, open to change. */
interface Open {
  M?: Record<string, Open>;
  L?: Open[];
}

export function applyUpdate(item: Item, update: Update): Item {
  const sets = [
    ...update.set.map(({ path, to }) => ({ path, value: evaluate(item, to) })),
    ...update.add.map(({ path, value }) => ({ path, value: added(valueAt(item, path), value) })),
  ];
  const deletes = update.delete.map(({ path, value }) => ({ path, value: without(valueAt(item, path), value) }));
  const root = { M: structuredClone({ ...item }) } as unknown as Open;
  const gone: Path[] = [...update.remove];
  // What lies beyond the end of a list is appended in the order of its places.
  for (const { path, value } of [...sets].sort((a, b) => lastOf(a.path) - lastOf(b.path))) put(root, path, value);
  for (const { path, value } of deletes) {
    if (value === 'none') gone.push(path);
    else if (value !== null) put(root, path, value);
  }
  // From the end of each list, so that places keep their meaning.
  for (const path of gone.sort((a, b) => lastOf(b) - lastOf(a))) take(root, path);
  return root.M as unknown as Item;
}

function lastOf(path: Path): number {
  const last = path.at(-1);
  return typeof last === 'number' ? last : -1;
}

function evaluate(item: Item, term: SetTerm): Value {
  switch (term.kind) {
    case 'value':
      return term.value;
    case 'path': {
      const value = valueAt(item, term.path);
      if (value === undefined)
        throw refused('The provided expression refers to an attribute that does not exist in the item');
      return value;
    }
    case 'if_not_exists':
      return valueAt(item, term.path) ?? evaluate(item, term.otherwise);
    case 'list_append': {
      const [first, second] = [evaluate(item, term.first), evaluate(item, term.second)];
      if (first.L === undefined || second.L === undefined) throw wrongType();
      return { L: [...first.L, ...second.L] };
    }
    case 'sum': {
      const [left, right] = [evaluate(item, term.left), evaluate(item, term.right)];
      if (left.N === undefined || right.N === undefined) throw wrongType();
      return { N: addNumbers(left.N, right.N, term.factor) };
    }
  }
}

function added(old: Value | undefined, value: Value): Value {
  if (old === undefined) return value;
  if (typeOf(old) !== typeOf(value)) throw wrongType();
  if (old.N !== undefined) return { N: addNumbers(old.N, value.N as string, 1) };
  const members = setOf(old);
  if (members === null) throw wrongType();
  return toSet(typeOf(old), [...new Set([...members, ...(setOf(value) ?? [])])]);
}

/** null: there is nothing to delete from. none: nothing is left. */
function without(old: Value | undefined, value: Value): Value | 'none' | null {
  if (old === undefined) return null;
  const members = setOf(old);
  if (members === null || typeOf(old) !== typeOf(value)) throw wrongType();
  const left = members.filter((member) => !setOf(value)?.includes(member));
  return left.length === 0 ? 'none' : toSet(typeOf(old), left);
}

function toSet(type: ValueType, members: readonly string[]): Value {
  return { [type]: members };
}

function wrongType() {
  return refused('An operand in the update expression has an incorrect data type');
}

function holderOf(root: Open, path: Path): Open {
  let at: Open | undefined = root;
  for (const part of path.slice(0, -1)) {
    if (typeof part === 'number') at = at?.L?.[part];
    else at = at?.M !== undefined && Object.hasOwn(at.M, part) ? at.M[part] : undefined;
  }
  const fits = typeof path.at(-1) === 'number' ? at?.L : at?.M;
  if (at === undefined || fits === undefined)
    throw refused('The document path provided in the update expression is invalid for update');
  return at;
}

function put(root: Open, path: Path, value: Value): void {
  const holder = holderOf(root, path);
  const last = path.at(-1) as string | number;
  if (typeof last === 'number') {
    const list = holder.L as Open[];
    list[Math.min(last, list.length)] = value as unknown as Open;
  } else Object.defineProperty(holder.M, last, { value, enumerable: true, configurable: true, writable: true });
}

function take(root: Open, path: Path): void {
  const holder = holderOf(root, path);
  const last = path.at(-1) as string | number;
  if (typeof last === 'number') (holder.L as Open[]).splice(last, 1);
  else delete holder.M?.[last];
}
