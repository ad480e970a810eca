/** Loads the conflict policies that users write themselves: modules named in the configuration, each a function by default. */

import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { type Fault, fault } from '../model/fault.ts';
import type { Topology } from '../model/topology.ts';
import type { CustomResolver } from './world.ts';

const require = createRequire(import.meta.url);
const KINDS = '{ kind: "pick", vid }, { kind: "merge", bytes, metadata } or { kind: "defer", reason }';

/** File names count from `folder`. Throws one Fault 'invalid' with a line for everything that is wrong, which begins with `where`. */
export function loadResolvers(
  { resolvers = {}, routes }: Topology,
  folder: string,
  where: string,
): Readonly<Record<string, CustomResolver>> {
  const faults: Fault[] = [];
  const loaded: Record<string, CustomResolver> = {};
  const note = (field: string, value: string, what: string, cause?: unknown) =>
    faults.push(fault('invalid', `${where}: ${field}: ${what}`, { field, value, cause }));
  for (const [name, file] of Object.entries(resolvers)) {
    const field = `resolvers.${name}`;
    try {
      const { default: made } = require(resolve(folder, file)) as { readonly default?: unknown };
      if (typeof made === 'function') loaded[name] = checked(name, made as CustomResolver);
      else note(field, file, `${file}: expected a function as its default export, got ${wordFor(made)}`);
    } catch (error) {
      note(field, file, `${file} cannot be loaded: ${firstLine(error)}`, error);
    }
  }
  for (const [index, { policy }] of routes.entries())
    if (policy.kind === 'custom' && resolvers[policy.name] === undefined)
      note(`routes[${index}].policy.custom`, policy.name, `expected a name under resolvers, got ${policy.name}`);
  const [first] = faults;
  if (first === undefined) return loaded;
  throw fault('invalid', faults.map(({ message }) => message).join('\n'), first.details);
}

/** What a function answers that is none of the answers there are leaves the key to an operator, as does one that throws. */
function checked(name: string, resolver: CustomResolver): CustomResolver {
  return (siblings) => {
    const said = resolver(siblings) as Partial<Record<string, unknown>> | null | undefined;
    const metadata = said?.metadata ?? siblings[0]?.metadata;
    if (said?.kind === 'pick' && typeof said.vid === 'string') return { kind: 'pick', vid: said.vid };
    if (said?.kind === 'defer' && typeof said.reason === 'string') return { kind: 'defer', reason: said.reason };
    if (said?.kind === 'merge' && said.bytes instanceof Uint8Array && isMetadata(metadata))
      return { kind: 'merge', bytes: said.bytes, metadata };
    throw new Error(`${name} answered ${wordFor(said)}: expected ${KINDS}`);
  };
}

type Metadata = Extract<ReturnType<CustomResolver>, { kind: 'merge' }>['metadata'];

function isMetadata(value: unknown): value is Metadata {
  const { headers, user } = (value ?? {}) as { readonly headers?: unknown; readonly user?: unknown };
  return [headers, user].every(
    (entries) =>
      typeof entries === 'object' && entries !== null && Object.values(entries).every((it) => typeof it === 'string'),
  );
}

function wordFor(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value instanceof Promise) return 'a promise, and it must answer at once';
  const text =
    JSON.stringify(value, (_key, it) => (it instanceof Uint8Array ? `${it.length} bytes` : it)) ?? typeof value;
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] as string;
}
