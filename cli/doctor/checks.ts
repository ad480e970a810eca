/** What `triplicate doctor` asks of each part, and what to do about an answer that is not good. */

import { type Fault, isFault } from '../../shared/model/fault.ts';
import { toNativeKey } from '../../shared/model/key-map.ts';
import type { Site, SiteId } from '../../shared/model/site.ts';
import { routeOf } from '../../shared/model/topology.ts';
import type { Queue } from '../../shared/queue/queue.ts';
import { hasSentinel, plantSentinel, SENTINEL_KEY } from '../../shared/replicate/sentinel.ts';
import type { ObjectStore } from '../../shared/store/store.ts';
import type { Timer, World } from '../../shared/world/world.ts';
import { ask, surveyQueue } from '../survey.ts';
import { all, bytes, count, name } from '../words.ts';
import type { Opened } from '../world.ts';

/** note: it works, and could be better. problem: something will go wrong, or does. unknown: it could not be asked, and may be either. */
export interface Check {
  readonly what: 'site' | 'versions' | 'sentinel' | 'write' | 'clock' | 'keys' | 'ledger' | 'queue' | 'notifications';
  readonly site: SiteId | null;
  readonly state: 'ok' | 'note' | 'problem' | 'unknown';
  readonly text: string;
  readonly advice?: string;
}

export interface Asking {
  readonly now: () => number;
  readonly timer: Timer;
  readonly nextId: () => string;
  readonly plantSentinels: boolean;
  readonly keysMax: number;
  /** 0: not waited for. */
  readonly notificationMs: number;
}

const PROBES = '.triplicate/probe/';
const CLOCK_OFF_MS_MAX = 5_000;
/** Some services tell whole seconds only. */
const CLOCK_STEP_MS = 1_000;
const EXAMPLES = 3;
const PAGE = 1_000;
const RECEIVE_MS = 1_000;
const VISIBILITY_MS = 10_000;

export async function checkSite(opened: Opened, site: Site, asking: Asking): Promise<readonly Check[]> {
  const { world, down } = opened;
  const store = world.stores[site.id] as ObjectStore;
  const failed = down.get(site.id);
  if (failed !== undefined) return [notOpened(site, failed)];
  const checks: Check[] = [
    { what: 'site', site: site.id, state: 'ok', text: `${site.bucket} answers` },
    checkVersions(site, store),
  ];
  for (const check of [checkSentinel, checkWrite, checkKeys]) {
    const asked = await ask(() => check(world, site, store, asking));
    checks.push(...(asked.ok ? asked.value : [problemOf(asked.fault, site.id)]));
    if (!asked.ok && (asked.fault.kind === 'unreachable' || asked.fault.kind === 'timeout')) break;
  }
  return checks;
}

function notOpened({ id, bucket }: Site, { kind, message }: Fault): Check {
  return {
    what: 'site',
    site: id,
    state: 'problem',
    text: `${bucket} cannot be opened: ${message}`,
    advice: ADVICE[kind] ?? '',
  };
}

const ADVICE: Readonly<Record<string, string>> = {
  unsupported:
    'Triplicate needs to see every version that stood there; take another bucket or account, as the message says.',
  forbidden: 'Give the credentials that this program finds the rights that docs/operations.md lists, for this bucket.',
  'not-found': 'Make the bucket, or mend its name in the configuration.',
  unreachable: 'Look whether the endpoint is right, and whether a firewall stands in between.',
};

function checkVersions({ id, cloud, mode }: Site, { capabilities }: ObjectStore): Check {
  if (capabilities.history === 'chain')
    return { what: 'versions', site: id, state: 'ok', text: 'it keeps versions, and shows them' };
  if (cloud === 'gcp')
    return {
      what: 'versions',
      site: id,
      state: 'unknown',
      text: 'whether it keeps versions is not known, as that takes the right to look at the bucket itself',
      advice: 'Switch object versioning or soft delete on, or a version that loses a conflict leaves nothing behind.',
    };
  return {
    what: 'versions',
    site: id,
    state: mode === 'passive' ? 'ok' : 'note',
    text: 'it keeps no versions',
    advice: 'Switch versioning on; what loses a conflict, or is deleted by mistake, can then be brought back.',
  };
}

async function checkSentinel(world: World, { id, bucket }: Site, _store: ObjectStore, asking: Asking) {
  const check = { what: 'sentinel', site: id } as const;
  if (await hasSentinel(world, id)) return [{ ...check, state: 'ok', text: 'the sentinel is there' } as const];
  if (asking.plantSentinels) {
    await plantSentinel(world, id);
    return [{ ...check, state: 'ok', text: `the sentinel was missing; ${SENTINEL_KEY} has been written` } as const];
  }
  const advice =
    `If ${bucket} is the right bucket and has never been part of this: triplicate doctor --plant-sentinels. ` +
    'If it was emptied: triplicate reseed brings its objects back from the other sites.';
  return [
    {
      ...check,
      state: 'problem',
      text: `${SENTINEL_KEY} is missing, so no absence there is believed`,
      advice,
    } as const,
  ];
}

/** Writes, looks and deletes, as the worker will have to; the bucket's own clock comes with the answer. */
async function checkWrite({ topology }: World, { id }: Site, store: ObjectStore, { now, nextId }: Asking) {
  const key = `${PROBES}doctor-${nextId()}`;
  const startedAt = now();
  const metadata = { headers: { contentType: 'text/plain' }, user: { namespace: topology.namespace } };
  const written = await store.put(key, new TextEncoder().encode('doctor'), {
    condition: { kind: 'if-absent' },
    metadata,
  });
  const endedAt = now();
  const refused = await ask(() => store.put(key, new Uint8Array(), { condition: { kind: 'if-absent' }, metadata }));
  await store.delete(key, { kind: 'always' });
  const checks: Check[] = [];
  const conditional = !refused.ok && refused.fault.kind === 'precondition';
  checks.push({
    what: 'write',
    site: id,
    state: conditional ? 'ok' : 'problem',
    text: conditional ? 'it takes writes and deletes, and keeps conditions' : 'it ignores the condition of a write',
    ...(conditional
      ? {}
      : { advice: 'This service could lose writes of your clients. Take one that keeps conditions.' }),
  });
  const off = Math.max(written.modifiedAt - endedAt, startedAt - (written.modifiedAt + CLOCK_STEP_MS), 0);
  const direction = written.modifiedAt > endedAt ? 'ahead of' : 'behind';
  checks.push({
    what: 'clock',
    site: id,
    state: off <= CLOCK_OFF_MS_MAX ? 'ok' : 'problem',
    text: off === 0 ? 'its clock and ours agree' : `its clock is ${(off / 1000).toFixed(1)} s ${direction} ours`,
    ...(off <= CLOCK_OFF_MS_MAX ? {} : { advice: 'Look at the clock of this machine first: ntp should keep it.' }),
  });
  return checks;
}

/** Names and sizes that another site of the route could not hold. */
async function checkKeys({ topology, stores }: World, { id }: Site, store: ObjectStore, { keysMax }: Asking) {
  const refused: string[] = [];
  const large: string[] = [];
  let looked = 0;
  let after: string | undefined;
  do {
    const page = await store.list({
      prefix: '',
      limit: Math.min(PAGE, keysMax),
      ...(after === undefined ? {} : { after }),
    });
    for (const { key, sizeBytes } of page.objects) {
      const route = routeOf(topology, key);
      looked += route === null ? 0 : 1;
      for (const other of route?.sites ?? []) {
        const site = topology.sites.find((it) => it.id === other);
        const native = site === undefined ? null : toNativeKey(site.cloud, key);
        const most = stores[other]?.capabilities.objectBytesMax ?? 0;
        if (native?.kind === 'unrepresentable') refused.push(`${name(key)} at ${other}: ${native.reason}`);
        else if (most > 0 && sizeBytes > most) large.push(`${name(key)} at ${other}: ${bytes(sizeBytes)}`);
      }
    }
    after = page.next;
  } while (after !== undefined && looked < keysMax);
  const among = `among ${after === undefined ? 'all' : 'the first'} ${count(looked, 'object')}`;
  const found = [...refused, ...large];
  const check = { what: 'keys', site: id } as const;
  if (found.length === 0)
    return [{ ...check, state: 'ok', text: `${among}, each can be held by all its sites` } as const];
  const more = found.length > EXAMPLES ? `, and ${found.length - EXAMPLES} more` : '';
  return [
    {
      ...check,
      state: 'problem',
      text: `${among}, ${found.length} cannot be held elsewhere: ${found.slice(0, EXAMPLES).join('; ')}${more}`,
      advice: 'They stay where they are. Rename them, or leave them out by a route of their own.',
    } as const,
  ];
}

export async function checkLedger({ world }: Opened, { nextId }: Asking): Promise<readonly Check[]> {
  const { ledger } = world;
  const id = `doctor/${nextId()}`;
  const asked = await ask(async () => {
    const epoch = await ledger.epoch();
    const written = await ledger.swapRecord(id, 0, 'probe');
    const found = await ledger.getRecord(id);
    const removed = await ledger.swapRecord(id, found?.rev ?? 0, null);
    return { epoch, works: written && found?.value === 'probe' && removed };
  });
  const check = { what: 'ledger', site: null } as const;
  if (!asked.ok) return [{ ...problemOf(asked.fault, null), what: 'ledger' }];
  const { epoch, works } = asked.value;
  if (works) return [{ ...check, state: 'ok', text: `it can be read and written, epoch ${epoch}` }];
  return [
    {
      ...check,
      state: 'problem',
      text: 'what was written to it was not read back',
      advice: 'Do not start workers with it.',
    },
  ];
}

export async function checkQueue(opened: Opened, site: SiteId, asking: Asking): Promise<readonly Check[]> {
  const queue = opened.queues[site];
  const check = { what: 'queue', site } as const;
  if (queue === undefined) {
    const advice = `Set TRIPLICATE_QUEUE_${site.toUpperCase()}; without it changes there are found by the hourly pass alone.`;
    return [{ ...check, state: 'problem', text: 'no queue is named for it', advice }];
  }
  const asked = await ask(() => surveyQueue(opened, site), { timer: asking.timer, place: 'the queue' });
  if (!asked.ok) return [{ ...problemOf(asked.fault, site), what: 'queue' }];
  const dead = asked.value.dead ?? 0;
  const state = dead === 0 ? 'ok' : 'problem';
  const advice =
    dead === 0 ? {} : { advice: 'triplicate dead list tells why; triplicate dead redrive puts them back.' };
  const text =
    dead === 0 ? 'it answers, and nothing in it is dead' : `${count(dead, 'message')} could not be worked on`;
  const notified = opened.down.has(site) ? [] : await checkNotifications(opened, site, queue, asking);
  return [{ ...check, state, text, ...advice }, ...notified];
}

/** Writes something that every worker leaves alone, and looks whether the queue hears of it. All else is put back. */
async function checkNotifications(
  { world }: Opened,
  site: SiteId,
  queue: Queue,
  asking: Asking,
): Promise<readonly Check[]> {
  const { now, nextId, notificationMs } = asking;
  const check = { what: 'notifications', site } as const;
  if (notificationMs === 0) return [];
  const id = `doctor${nextId().replace(/[^A-Za-z0-9]/g, '')}`;
  const key = PROBES + id;
  const store = world.stores[site] as ObjectStore;
  const metadata = { headers: {}, user: {} };
  const startedAt = now();
  const asked = await ask(async () => {
    await store.put(key, new Uint8Array(), { condition: { kind: 'if-absent' }, metadata });
    let heard = false;
    while (!heard && now() - startedAt < notificationMs) {
      const deliveries = await queue.receive({ max: 10, visibilityMs: VISIBILITY_MS, waitMs: RECEIVE_MS });
      for (const { body, attributes, receipt } of deliveries) {
        const ours = `${body} ${JSON.stringify(attributes ?? {})}`.includes(id);
        heard ||= ours;
        await queue.settle(receipt, ours ? { kind: 'done' } : { kind: 'again', delayMs: 0 });
      }
    }
    await store.delete(key, { kind: 'always' });
    return heard ? now() - startedAt : null;
  });
  if (!asked.ok) return [{ ...problemOf(asked.fault, site), what: 'notifications' }];
  if (asked.value !== null) return [{ ...check, state: 'ok', text: `a write was heard of after ${asked.value} ms` }];
  return [
    {
      ...check,
      state: 'unknown',
      text: `a write was not heard of within ${notificationMs / 1000} s, perhaps because a worker took the message first`,
      advice: 'Ask again while no worker runs. If it is still not heard of, the bucket does not notify this queue.',
    },
  ];
}

function problemOf(fault: Fault, site: SiteId | null): Check {
  const { op } = fault.details;
  const what = op === undefined || fault.message.includes(op) ? '' : `${op}: `;
  return { what: 'site', site, state: 'problem', text: what + fault.message, advice: ADVICE[fault.kind] ?? '' };
}

/** What cannot even be opened: the configuration asks for a thing that would not be safe. */
export function refusal(error: unknown): Check {
  if (!isFault(error)) throw error;
  const { site = null, field } = error.details;
  const advice = field === undefined ? '' : 'Nothing was started. Mend this first, and ask again.';
  return { what: 'site', site, state: 'problem', text: error.message, advice };
}

export function summary(checks: readonly Check[]): string {
  const amounts = (['ok', 'note', 'problem', 'unknown'] as const).map(
    (state) => checks.filter((it) => it.state === state).length,
  );
  const [fine = 0, notes = 0, problems = 0, unknown = 0] = amounts;
  const parts = [
    `${fine} fine`,
    count(problems, 'problem'),
    ...(notes > 0 ? [count(notes, 'note')] : []),
    ...(unknown > 0 ? [`${unknown} not known`] : []),
  ];
  return `${all(parts)}.`;
}
