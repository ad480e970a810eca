/** The story of one key in sentences: how it is now, what happened, and where each copy stands. */

import type { KeyItem, LogicalVersion } from '../../shared/model/key-item.ts';
import type { LogEntry } from '../../shared/model/log-entry.ts';
import { isAbsent } from '../../shared/model/object.ts';
import type { ConflictPolicy, Route } from '../../shared/model/topology.ts';
import { ago, all, bytes, count, moment, name } from '../words.ts';
import type { Facts, SiteFacts } from './facts.ts';

export type State =
  | 'not-seen'
  | 'settled'
  | 'deleted'
  | 'under-way'
  | 'unresolved'
  | 'unknown'
  | 'not-routed'
  | 'disagrees';

/** In one word; everything but the first two deserves a second look. */
export function stateOf(facts: Facts): State {
  const { item, route, sites } = facts;
  if (route === null) return 'not-routed';
  if (item === null) return 'unknown';
  if (item.unresolved !== null) return 'unresolved';
  if (item.due !== null || item.frontier.length !== 1) return 'under-way';
  if (sites.some((it) => !agrees(facts, it))) return 'disagrees';
  if (sites.some(({ stands }) => stands.kind === 'unknown')) return 'not-seen';
  return winnerOf(item)?.kind === 'tombstone' ? 'deleted' : 'settled';
}

export function headline(facts: Facts): string {
  return HEADLINES[stateOf(facts)](facts);
}

const HEADLINES: Readonly<Record<State, (facts: Facts) => string>> = {
  'not-seen'(facts) {
    const winner = winnerOf(facts.item);
    const what = winner?.kind === 'tombstone' ? 'deleted everywhere' : `settled, with ${describe(winner)} everywhere`;
    const silent = facts.sites.flatMap(({ site, stands }) => (stands.kind === 'unknown' ? [site.id] : []));
    const answer = silent.length === 1 ? 'does not answer' : 'do not answer';
    return `The ledger says that it is ${what}; but ${all(silent)} ${answer}, so that cannot be seen now.`;
  },
  settled: ({ item, route }) => `It is settled: ${describe(winnerOf(item))} stands at ${all(route?.sites ?? [])}.`,
  deleted({ item, route }) {
    const vid = winnerOf(item)?.vid;
    return `It is deleted at ${all(route?.sites ?? [])}: the delete is ${vid}, remembered so that nothing old comes back.`;
  },
  'under-way'({ item, now }) {
    if (item?.due == null) return 'It is under way: several versions are known, and none has won yet.';
    if (item.unlisted)
      return `It is under way: a worker is at it, or its message comes again.${
        item.due > now ? '' : ' It should have by now: look at the dead letters, or wait for the next pass.'
      }`;
    const sweep = item.due <= now ? 'the sweep should have looked at it' : 'the sweep looks at it again';
    return `It is under way: ${sweep} ${ago(item.due, now)}.`;
  },
  unresolved({ item, now }) {
    const { since = now, reason = '' } = item?.unresolved ?? {};
    return `Nobody may decide about it, as of ${ago(since, now)}: ${reason}. triplicate conflicts show tells what you can do.`;
  },
  unknown({ sites }) {
    if (!sites.some(({ stands }) => stands.kind === 'object'))
      return 'Nobody knows of it: it stands in no bucket, and the ledger has never heard of it.';
    const why = 'its notification is on the way, or was lost. triplicate resync finds it.';
    return `The ledger knows nothing of it yet, although it stands in a bucket: ${why}`;
  },
  'not-routed': () => 'It is none of our business: no route of the configuration takes this key.',
  disagrees(facts) {
    const sites = facts.sites.filter((it) => !agrees(facts, it)).map(({ site }) => site.id);
    const show = `${all(sites)} ${sites.length === 1 ? 'shows' : 'show'} something else`;
    const why = 'a notification is on the way, or was lost. triplicate resync mends it.';
    return `The ledger says that it is settled, but ${show}: ${why}`;
  },
};

/** What a bucket shows is what the ledger says, as far as the bucket answers. */
export function agrees({ item }: Facts, { site, stands }: SiteFacts): boolean {
  if (stands.kind === 'unknown' || stands.kind === 'not-here') return true;
  const state = item?.sites[site.id];
  if (stands.kind === 'object') return state?.phys === stands.entry.version.phys;
  return (
    state === undefined ||
    isAbsent(state.phys) ||
    item?.versions[state.vid ?? '']?.kind === 'tombstone' ||
    state.evicted
  );
}

function winnerOf(item: KeyItem | null): LogicalVersion | undefined {
  return item?.frontier.length === 1 ? item.versions[item.frontier[0] as string] : undefined;
}

function describe(version: LogicalVersion | undefined): string {
  if (version === undefined) return 'a version';
  const crc = version.crc32c === '' ? '' : `, CRC-32C ${version.crc32c}`;
  return `version ${version.vid} (${bytes(version.sizeBytes)}${crc})`;
}

export function routeSentence({ prefix, sites, policy, deletes }: Route): string {
  const keys = prefix === '' ? 'all keys' : `keys under ${name(prefix)}`;
  return `Its route takes ${keys} to ${all(sites)}; policy ${policyText(policy)}, ${deletes}.`;
}

function policyText(policy: ConflictPolicy): string {
  if (policy.kind === 'prefer-site') return `prefer-site ${policy.order.join(', ')}`;
  return policy.kind === 'custom' ? `custom: ${policy.name}` : policy.kind;
}

export interface Event {
  readonly at: string;
  readonly text: string;
}

/** In the order in which it happened; of a client's write the bucket tells when that was. */
export function events(facts: Facts): readonly Event[] {
  const happened = ({ at, writtenAt = at }: LogEntry) => writtenAt;
  return facts.log
    .toSorted((a, b) => happened(a) - happened(b))
    .map((entry) => ({ at: moment(happened(entry)), text: TELLING[entry.kind](entry, facts) }));
}

const TELLING: Readonly<Record<LogEntry['kind'], (entry: LogEntry, facts: Facts) => string>> = {
  version({ note, site, vid, at, writtenAt }, { item }) {
    if (note.startsWith('merge of chosen:')) return `An operator brought an older version back: version ${vid}.`;
    const cause = note.split(' ')[0] ?? '';
    const version = item?.versions[vid ?? ''];
    const size = version?.kind === 'object' ? `, ${bytes(version.sizeBytes)}` : '';
    const told = `${CAUSES[cause]?.(site ?? '?') ?? `${note} at ${site}`}${size}: version ${vid}.`;
    const seen = moment(at);
    return writtenAt === undefined || moment(writtenAt) === seen ? told : `${told} Triplicate saw it at ${seen}.`;
  },
  superseded({ vid, by, note }, { copies }) {
    const [how = note, ...rest] = note.split(', ');
    const deletes = rest.find((it) => it !== 'uncertain');
    const near = rest.includes('uncertain') ? ' Their clocks are too near to each other to say who was first.' : '';
    const kept = copies[vid ?? ''];
    const copy = kept === undefined ? '' : ` What ${vid} held is kept as ${name(kept)}.`;
    const rule = deletes === undefined ? how : `${how} (${deletes})`;
    if (how === 'operator') return `An operator decided: ${by} replaced ${vid}.${copy}`;
    return `${vid} and ${by} knew nothing of each other; ${by} won by policy ${rule}.${near}${copy}`;
  },
  resolved: ({ note, vid }) => `Triplicate made version ${vid}: ${note}.`,
  unresolved: ({ note }) => `Nobody may decide: ${note}.`,
  evicted: ({ site, note }) => `It went at ${site} by that bucket's own lifecycle, which is no delete: ${note}.`,
  quarantined: ({ site, note }) => `What stands at ${site} is not believed, and not carried on: ${note}.`,
  collected: () => 'The delete was forgotten: every site had seen it, long ago.',
};

const CAUSES: Readonly<Record<string, (site: string) => string>> = {
  put: (site) => `A client wrote it at ${site}`,
  delete: (site) => `A client deleted it at ${site}`,
  rollback: (site) => `A client brought an older version back at ${site}`,
  'inferred-delete': (site) => `It was found gone at ${site}, and that is taken for a delete`,
  'conflict-copy': (site) => `It was made as a conflict copy at ${site}`,
  merge: () => 'The conflict was merged',
};

export interface Place {
  readonly site: string;
  readonly state: string;
  readonly address: string;
  readonly text: string;
}

export function places(facts: Facts): readonly Place[] {
  return facts.sites
    .filter(({ site }) => facts.route?.sites.includes(site.id))
    .map((it) => ({
      site: it.site.id,
      state: placeState(facts, it),
      address: addressOf(it),
      text: placeText(facts, it),
    }));
}

export function addressOf({ site, native }: Pick<SiteFacts, 'site' | 'native'>): string {
  const scheme = { aws: 's3', gcp: 'gs', azure: 'az' }[site.cloud];
  return native.kind === 'unrepresentable' ? '-' : `${scheme}://${site.bucket}/${native.name}`;
}

function placeState(facts: Facts, it: SiteFacts): string {
  const { item } = facts;
  const state = item?.sites[it.site.id];
  if (it.native.kind === 'unrepresentable') return 'cannot hold it';
  if (it.stands.kind === 'unknown') return 'does not answer';
  if (state?.quarantined) return 'quarantined';
  if (state?.evicted) return 'evicted';
  if (!agrees(facts, it)) return 'differs';
  if (state?.vid != null && item?.frontier.includes(state.vid)) return 'in step';
  return state?.vid == null && it.stands.kind === 'nothing' ? 'nothing yet' : 'behind';
}

function placeText(facts: Facts, { site, native, stands, versionsKept }: SiteFacts): string {
  const state = facts.item?.sites[site.id];
  const kept = versionsKept !== null && versionsKept > 1 ? `; the bucket keeps ${count(versionsKept, 'version')}` : '';
  const writing =
    state !== undefined && state.intents.length > 0
      ? `; ${count(state.intents.length, 'write')} of ours under way`
      : '';
  if (native.kind === 'unrepresentable') return native.reason;
  if (stands.kind === 'unknown') return stands.fault.message;
  if (stands.kind !== 'object') return `nothing stands there${kept}${writing}`;
  const { version, marker, intact } = stands.entry;
  const size = `${bytes(version.sizeBytes)}, written ${moment(version.modifiedAt)}`;
  const vid = marker === null ? null : `${marker.dot.s}:${marker.dot.n}`;
  return `${size}, ${whoseText(version.marker !== undefined, vid, intact)}${kept}${writing}`;
}

function whoseText(marked: boolean, vid: string | null, intact: boolean): string {
  if (vid !== null && intact) return `our copy of ${vid}, by its marker`;
  if (vid !== null) return `it carries our marker of ${vid}, but its content is another: a client changed it`;
  return marked ? 'written by a client, with a marker copied from elsewhere' : 'written by a client';
}
