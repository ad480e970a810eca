/** The file an operator writes: which sites there are, which keys live where, and who wins when sites disagree. */

import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import { Fault, invalid } from './fault.ts';
import { isReserved, KEY_UNITS_MAX } from './key-map.ts';
import { at, type Path, pathText } from './read.ts';
import { SITE_ID_PATTERN, type Site, type SiteId } from './site.ts';

/** Who wins among concurrent versions. lww-safe keeps the losers too when clocks are too near to be trusted. */
export type ConflictPolicy =
  | { readonly kind: 'lww' }
  | { readonly kind: 'lww-safe' }
  /** Versions born at the first of these win; those of sites not named come last. */
  | { readonly kind: 'prefer-site'; readonly order: readonly SiteId[] }
  | { readonly kind: 'keep-both' }
  | { readonly kind: 'custom'; readonly name: string };

/** Whether a write or a delete wins when neither knew of the other. */
export type DeletePolicy = 'write-wins' | 'delete-wins' | 'by-clock';

export interface Route {
  readonly prefix: string;
  /** Also a promise of residency: through us, nothing under this prefix comes to exist anywhere else. */
  readonly sites: readonly SiteId[];
  readonly policy: ConflictPolicy;
  readonly deletes: DeletePolicy;
  /** keep-both: so many sites hold the loser's copy before the loser is replaced. */
  readonly copiesBeforeSupersede: number;
}

export interface Limits {
  /** Bucket clocks nearer than this cannot tell who was first. */
  readonly skewBoundMs: number;
  /** Larger objects are copied in parts, beside the key, and then put in place. */
  readonly stageOverBytes: number;
  readonly partBytes: number;
  /** How long a worker may take for a write before another one looks after it. */
  readonly leaseMs: number;
  /** How long a delete is remembered. */
  readonly tombstoneGraceMs: number;
  /** A pass that would delete more keys than the cap, or than the share of all keys if that is more, stops and asks. */
  readonly deletionCap: number;
  readonly deletionShare: number;
}

export interface Topology {
  readonly namespace: string;
  readonly sites: readonly Site[];
  readonly routes: readonly Route[];
  readonly limits: Limits;
  /** The files of custom policies by name, as the file says it. */
  readonly resolvers?: Readonly<Record<string, string>>;
}

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;
const MEBIBYTE = 1024 ** 2;

export const DEFAULT_LIMITS: Limits = {
  skewBoundMs: 2 * SECOND_MS,
  stageOverBytes: 16 * MEBIBYTE,
  partBytes: 8 * MEBIBYTE,
  leaseMs: 15 * MINUTE_MS,
  tombstoneGraceMs: 45 * DAY_MS,
  deletionCap: 100,
  deletionShare: 0.001,
};

/** The route of the longest prefix. null: this key is none of our business, as are the keys of our own objects. */
export function routeOf(topology: Topology, key: string): Route | null {
  if (isReserved(key)) return null;
  let found: Route | null = null;
  for (const route of topology.routes) {
    if (key.startsWith(route.prefix) && (found === null || route.prefix.length > found.prefix.length)) found = route;
  }
  return found;
}

export function siteOf(topology: Topology, id: SiteId): Site {
  const site = topology.sites.find((it) => it.id === id);
  if (site === undefined) throw invalid('site', id, `one of ${topology.sites.map((it) => it.id).join(', ')}`);
  return site;
}

/** Throws one Fault 'invalid' with a line for everything that is wrong, each `file:line:column: field: what and why`. */
export function readTopology(text: string, fileName: string): Topology {
  const lines = new LineCounter();
  const problems: Problem[] = [];
  const root = readRoot(text, lines, problems);
  // Where something was wrong the topology has holes, so it leaves only when nothing was.
  const topology = root === null ? undefined : readAll(root);
  if (topology !== undefined && problems.length === 0) return topology;
  problems.sort((a, b) => a.offset - b.offset);
  const report = problems.map(({ offset, message }) => {
    const { line, col } = text === '' ? { line: 1, col: 1 } : lines.linePos(offset);
    return `${fileName}:${line}:${col}: ${message}`;
  });
  const { field = 'topology', value } = problems[0] ?? {};
  throw new Fault('invalid', report.join('\n'), { field, value });
}

const TOPOLOGY_KEYS = ['namespace', 'sites', 'routes', 'limits', 'resolvers'];
const SITE_KEYS = ['id', 'cloud', 'region', 'bucket', 'mode', 'expiresAfter'];
const ROUTE_KEYS = ['prefix', 'sites', 'policy', 'deletes', 'copiesBeforeSupersede'];
const POLICY_KEYS = ['prefer-site', 'custom'];
const LIMIT_KEYS = ['skewBound', 'stageOver', 'partSize', 'lease', 'tombstoneGrace', 'deletionCap', 'deletionShare'];

const SITES_MIN = 2;
const SITES_MAX = 8;
const ROUTES_MAX = 1000;

const COPIES = 2;

const MODES = ['active', 'passive'] as const;
const DELETES = ['write-wins', 'delete-wins', 'by-clock'] as const;
const PLAIN_POLICIES = ['lww', 'lww-safe', 'keep-both'] as const;
const POLICY = `one of ${PLAIN_POLICIES.join(', ')}, { prefer-site: [a, b] }, { custom: name }`;

const NAMESPACE = { expected: 'a name, 1 to 32 of a-z, 0-9 and -, not - first', pattern: /^[a-z0-9][a-z0-9-]{0,31}$/ };
const SITE_ID = { expected: 'an id, 1 to 8 of a-z and 0-9', pattern: SITE_ID_PATTERN };
const PREFIX = { expected: 'a prefix, "" for all keys', pattern: /^/ };
const REGION = { expected: 'the name of a region', pattern: /^[A-Za-z0-9-]{1,64}$/ };
const CUSTOM_NAME = { expected: 'a name, 1 to 64 of a-z, 0-9 and -', pattern: /^[a-z0-9-]{1,64}$/ };
const FILE = { expected: 'the name of a file such as ./merge.mjs', pattern: /^[^\0]{1,1024}$/ };
const BUCKETS = {
  aws: { expected: 'the name of an S3 bucket', pattern: /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/ },
  gcp: { expected: 'the name of a GCS bucket', pattern: /^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/ },
  azure: {
    expected: 'the name of a container, or account/container',
    pattern: /^([a-z0-9]{3,24}\/)?[a-z0-9][a-z0-9-]{2,62}$/,
  },
} as const;

const DURATIONS: Units = {
  expected: 'a duration such as 2s, 15min or 45d',
  factors: { ms: 1, s: SECOND_MS, min: MINUTE_MS, h: 60 * MINUTE_MS, d: DAY_MS },
};
const SIZES: Units = {
  expected: 'a size such as 512KiB or 64MiB',
  factors: { B: 1, KiB: 1024, MiB: MEBIBYTE, GiB: 1024 ** 3, TiB: 1024 ** 4 },
};

function readAll(root: Spot): Topology | undefined {
  const of = readMap(root, TOPOLOGY_KEYS);
  if (of === undefined) return undefined;
  const namespace = readText(of('namespace'), NAMESPACE);
  const ids = new Map<string, Path>();
  const sites = readSites(of('sites'), ids);
  const routes = readRoutes(of('routes'), [...ids.keys()]);
  const limits = optional(of('limits'), DEFAULT_LIMITS, readLimits);
  const resolvers = optional(of('resolvers'), undefined, readResolvers);
  return { namespace, sites, routes, limits, ...(resolvers === undefined ? {} : { resolvers }) } as Topology;
}

function readSites(spot: Spot, ids: Map<string, Path>): Maybe<readonly Maybe<Site>[]> {
  const buckets = new Map<string, Path>();
  return readList(spot, `a list of ${SITES_MIN} to ${SITES_MAX} sites`, SITES_MIN, SITES_MAX)?.map((item) => {
    const of = readMap(item, SITE_KEYS);
    if (of === undefined) return undefined;
    const id = readText(of('id'), SITE_ID);
    const written = scalarOf(of('id').node);
    // A malformed id counts as well, so that routes which use it are not called wrong for the same reason.
    if (typeof written === 'string') claim(ids, written, of('id'), 'an id of its own');
    const cloud = readOneOf(of('cloud'), ['aws', 'gcp', 'azure'] as const);
    const region = readText(of('region'), REGION);
    const bucket = readText(of('bucket'), cloud === undefined ? ANY_TEXT : BUCKETS[cloud]);
    if (cloud !== undefined && bucket !== undefined)
      claim(buckets, `${cloud} ${bucket}`, of('bucket'), 'a bucket of its own');
    const mode = optional(of('mode'), 'active', (it) => readOneOf(it, MODES));
    const expiresAfterMs = optional(of('expiresAfter'), undefined, (it) => readUnits(it, DURATIONS, 1));
    return { id, cloud, region, bucket, mode, ...(expiresAfterMs === undefined ? {} : { expiresAfterMs }) } as Site;
  });
}

function readRoutes(spot: Spot, ids: readonly SiteId[]): Maybe<readonly Maybe<Route>[]> {
  const prefixes = new Map<string, Path>();
  return readList(spot, `a list of 1 to ${ROUTES_MAX} routes`, 1, ROUTES_MAX)?.map((item) => {
    const of = readMap(item, ROUTE_KEYS);
    if (of === undefined) return undefined;
    const prefix = readPrefix(of('prefix'));
    if (prefix !== undefined) claim(prefixes, prefix, of('prefix'), 'a prefix of its own');
    const sites = readSiteIds(of('sites'), ids, 'the sites', SITES_MIN);
    const own = (sites ?? []).filter((id) => id !== undefined);
    const policy = optional(of('policy'), { kind: 'keep-both' } as const, (it) => readPolicy(it, own));
    const deletes = optional(of('deletes'), 'write-wins', (it) => readOneOf(it, DELETES));
    const copiesMax = own.length === 0 ? SITES_MAX : own.length;
    const copiesBeforeSupersede = optional(of('copiesBeforeSupersede'), COPIES, (it) =>
      readInteger(it, `an integer from 1 to ${copiesMax}, the number of its sites`, 1, copiesMax),
    );
    return { prefix, sites, policy, deletes, copiesBeforeSupersede } as Route;
  });
}

function readPrefix(spot: Spot): Maybe<string> {
  const prefix = readText(spot, PREFIX);
  if (prefix === undefined) return undefined;
  if (isReserved(prefix)) return report(spot, 'a prefix outside .triplicate/, which is reserved for our own objects');
  if (prefix.length > KEY_UNITS_MAX || !prefix.isWellFormed())
    return report(spot, `at most ${KEY_UNITS_MAX} characters of well-formed Unicode`);
  return prefix;
}

function readSiteIds(
  spot: Spot,
  known: readonly SiteId[],
  whose: string,
  min: number,
): Maybe<readonly Maybe<SiteId>[]> {
  const seen = new Map<string, Path>();
  return readList(spot, `a list of ${min} to ${SITES_MAX} sites`, min, SITES_MAX)?.map((item) => {
    // Without any site that could be read, every name here would be wrong for a reason already told.
    const id =
      known.length === 0 ? readText(item, SITE_ID) : readOneOf(item, known, `one of ${whose} ${known.join(', ')}`);
    if (id !== undefined) claim(seen, id, item, 'each site once');
    return id;
  });
}

function readPolicy(spot: Spot, own: readonly SiteId[]): Maybe<ConflictPolicy> {
  if (!isMap(spot.node)) {
    const kind = readOneOf(spot, PLAIN_POLICIES, POLICY);
    return kind === undefined ? undefined : { kind };
  }
  const of = readMap(spot, POLICY_KEYS);
  if (of === undefined) return undefined;
  if (spot.node.items.length !== 1) return report(spot, `exactly one key, ${POLICY_KEYS.join(' or ')}`);
  if (!of('custom').missing) return { kind: 'custom', name: readText(of('custom'), CUSTOM_NAME) } as ConflictPolicy;
  if (of('prefer-site').missing) return undefined;
  return {
    kind: 'prefer-site',
    order: readSiteIds(of('prefer-site'), own, 'the sites of this route,', 1),
  } as ConflictPolicy;
}

function readResolvers(spot: Spot): Maybe<Readonly<Record<string, Maybe<string>>>> {
  if (!isMap(spot.node)) return report(spot, 'a map of names to files');
  const names = spot.node.items.map(({ key }) => (isScalar(key) ? String(key.value) : ''));
  const of = readMap(spot, names);
  const files = names.map((name) => {
    if (!CUSTOM_NAME.pattern.test(name)) say(of?.(name) ?? spot, `expected ${CUSTOM_NAME.expected}, for its key`);
    return [name, of === undefined ? undefined : readText(of(name), FILE)] as const;
  });
  return Object.fromEntries(files);
}

function readLimits(spot: Spot): Maybe<Limits> {
  const of = readMap(spot, LIMIT_KEYS);
  if (of === undefined) return undefined;
  const duration = (key: string, standard: number, min: number) =>
    optional(of(key), standard, (it) => readUnits(it, DURATIONS, min));
  const size = (key: string, standard: number) => optional(of(key), standard, (it) => readUnits(it, SIZES, 1));
  const standard = DEFAULT_LIMITS;
  return {
    skewBoundMs: duration('skewBound', standard.skewBoundMs, 0),
    stageOverBytes: size('stageOver', standard.stageOverBytes),
    partBytes: size('partSize', standard.partBytes),
    leaseMs: duration('lease', standard.leaseMs, 1),
    tombstoneGraceMs: duration('tombstoneGrace', standard.tombstoneGraceMs, 1),
    deletionCap: optional(of('deletionCap'), standard.deletionCap, (it) => readInteger(it, 'an integer >= 0', 0)),
    deletionShare: optional(of('deletionShare'), standard.deletionShare, readShare),
  } as Limits;
}

// What follows knows YAML and nothing of topologies. Readers report what is wrong, answer undefined and go on.

type Maybe<T> = T | undefined;

interface Problem {
  readonly offset: number;
  readonly field: string;
  readonly value: unknown;
  readonly message: string;
}

/** A place in the file: what stands there, and where to report it. */
interface Spot {
  readonly problems: Problem[];
  readonly path: Path;
  readonly offset: number;
  readonly node: unknown;
  /** The key is not there at all; a key without a value is there, and wrong. */
  readonly missing: boolean;
}

interface TextRule {
  readonly expected: string;
  readonly pattern: RegExp;
}

interface Units {
  readonly expected: string;
  readonly factors: Readonly<Record<string, number>>;
}

const ANY_TEXT: TextRule = { expected: 'a string', pattern: /^/ };

/** In place of those that speak of the parser's interface. */
const YAML_MESSAGES: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'expected one document, got another one here',
  NON_STRING_KEY: 'expected a text as key',
  RESOURCE_EXHAUSTION: 'expected less nesting',
};

/** null: the text is no YAML, and what its pieces mean would be a guess. */
function readRoot(text: string, lineCounter: LineCounter, problems: Problem[]): Spot | null {
  const document = parseDocument(text, {
    ...{ lineCounter, schema: 'core', merge: false, resolveKnownTags: false },
    ...{ stringKeys: true, uniqueKeys: false, prettyErrors: false, logLevel: 'error' },
  });
  for (const { pos, code, message } of [...document.errors, ...document.warnings]) {
    problems.push({
      offset: pos[0],
      field: 'YAML',
      value: undefined,
      message: `YAML: ${YAML_MESSAGES[code] ?? message}`,
    });
  }
  if (problems.length > 0) return null;
  visit(document, {
    // They are never followed, so a small file cannot mean a large one.
    Node(_key, node) {
      const name = isAlias(node) ? `*${node.source}` : 'anchor' in node && node.anchor ? `&${node.anchor}` : null;
      if (name === null) return;
      const message = `YAML: expected no anchors and aliases, got ${name}`;
      problems.push({ offset: node.range?.[0] ?? 0, field: 'YAML', value: name, message });
    },
  });
  const node = document.contents;
  return { problems, path: '', offset: offsetOf(node) ?? 0, node, missing: false };
}

function optional<T>(spot: Spot, standard: T, read: (spot: Spot) => Maybe<T>): Maybe<T> {
  return spot.missing ? standard : read(spot);
}

function readMap(spot: Spot, keys: readonly string[]): Maybe<(key: string) => Spot> {
  const { node, problems, path } = spot;
  if (!isMap(node)) return report(spot, `a map with the keys ${keys.join(', ')}`);
  const found = new Map<string, Spot>();
  for (const pair of node.items) {
    const name = isScalar(pair.key) ? String(pair.key.value) : '';
    const offset = offsetOf(pair.key) ?? spot.offset;
    const child: Spot = {
      problems,
      path: at(path, name),
      offset: offsetOf(pair.value) ?? offset,
      node: pair.value,
      missing: false,
    };
    if (!keys.includes(name))
      say({ ...child, offset }, `unknown key${nearest(name, keys) ?? `; the keys here are ${keys.join(', ')}`}`);
    else if (found.has(name)) say({ ...child, offset }, 'expected each key once, got it again');
    else found.set(name, child);
  }
  return (key) => found.get(key) ?? { problems, path: at(path, key), offset: spot.offset, node: null, missing: true };
}

function readList(spot: Spot, expected: string, min: number, max: number): Maybe<readonly Spot[]> {
  if (!isSeq(spot.node)) return report(spot, expected);
  const items = spot.node.items.map((node, i): Spot => {
    return {
      problems: spot.problems,
      path: at(spot.path, i),
      offset: offsetOf(node) ?? spot.offset,
      node,
      missing: false,
    };
  });
  if (items.length < min || items.length > max) say(spot, `expected ${expected}, got ${items.length}`);
  return items;
}

function readText(spot: Spot, { expected, pattern }: TextRule): Maybe<string> {
  const value = scalarOf(spot.node);
  if (typeof value === 'string') return pattern.test(value) ? value : report(spot, expected);
  const quoted =
    isScalar(spot.node) && spot.node.source !== undefined && value !== null ? JSON.stringify(spot.node.source) : null;
  return report(spot, expected, quoted === null ? '' : `; did you mean ${quoted}, in quotes?`);
}

function readOneOf<T extends string>(
  spot: Spot,
  choices: readonly T[],
  expected = `one of ${choices.join(', ')}`,
): Maybe<T> {
  const value = scalarOf(spot.node);
  if (choices.includes(value as T)) return value as T;
  return report(spot, expected, typeof value === 'string' ? (nearest(value, choices) ?? '') : '');
}

function readInteger(spot: Spot, expected: string, min: number, max: number = Number.MAX_SAFE_INTEGER): Maybe<number> {
  const value = scalarOf(spot.node);
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  return report(spot, expected);
}

function readShare(spot: Spot): Maybe<number> {
  const value = scalarOf(spot.node);
  return typeof value === 'number' && value >= 0 && value <= 1 ? value : report(spot, 'a number from 0 to 1');
}

function readUnits(spot: Spot, { expected, factors }: Units, min: number): Maybe<number> {
  const value = scalarOf(spot.node);
  const [, digits = '', unit = ''] = (typeof value === 'string' && /^(\d+)([A-Za-z]+)$/.exec(value)) || [];
  const amount = Object.hasOwn(factors, unit) ? Number(digits) * (factors[unit] as number) : Number.NaN;
  if (!Number.isSafeInteger(amount)) return report(spot, expected);
  return amount >= min ? amount : report(spot, `${expected}, more than none`);
}

function claim(taken: Map<string, Path>, name: string, spot: Spot, expected: string): void {
  const other = taken.get(name);
  if (other === undefined) taken.set(name, spot.path);
  else report(spot, expected, `, the same as ${pathText(other)}`);
}

function report(spot: Spot, expected: string, hint = ''): undefined {
  // That it stands there at all is reported already.
  if (!isAlias(spot.node)) say(spot, `expected ${expected}, got ${preview(spot.node)}${hint}`);
}

function say({ problems, path, offset, node }: Spot, what: string): void {
  const field = pathText(path) || 'topology';
  problems.push({ offset, field, value: scalarOf(node), message: `${field}: ${what}` });
}

function preview(node: unknown): string {
  if (isMap(node)) return 'a map';
  if (isSeq(node)) return 'a list';
  const value = scalarOf(node);
  if (value === null || value === undefined) return 'nothing';
  const text = typeof value === 'string' ? JSON.stringify(value) : (isScalar(node) && node.source) || String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function scalarOf(node: unknown): unknown {
  return isScalar(node) ? node.value : undefined;
}

function offsetOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function nearest(name: string, choices: readonly string[]): string | null {
  const near = choices
    .map((choice) => ({ choice, edits: editsBetween(name.toLowerCase(), choice.toLowerCase()) }))
    .filter(({ choice, edits }) => edits <= Math.max(1, Math.floor(choice.length / 3)))
    .sort((a, b) => a.edits - b.edits)[0];
  return near === undefined ? null : `; did you mean ${near.choice}?`;
}

/** How many letters to insert, remove or replace. Names far too long to be a slip are not compared letter by letter. */
function editsBetween(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 3) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
