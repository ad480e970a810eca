/** What a seed stands for: which sites, keys, policy and faults. Each run has some faults and lacks others. */

import type { Cloud, Site } from '#shared/model/site.ts';
import type { ConflictPolicy, DeletePolicy, Topology } from '#shared/model/topology.ts';
import type { MemoryFlavour } from '#shared/store/memory.ts';
import { type Chance, openChance } from './random.ts';

export interface SimSite {
  readonly site: Site;
  readonly flavour: MemoryFlavour;
  readonly versioned: boolean;
  readonly skewMs: number;
}

/** Probabilities: per event, per port call, or per step. */
export interface Faults {
  readonly loseEvent: number;
  readonly repeatEvent: number;
  readonly delayEvent: number;
  readonly crash: number;
  readonly loseAnswer: number;
  readonly refuse: number;
  readonly conflict: number;
  readonly corruptRead: number;
  readonly partition: number;
  readonly slowWorker: number;
  readonly ledgerDown: number;
  readonly advanceEpoch: number;
  readonly dropLedger: number;
  readonly emptyBucket: number;
  readonly longPause: number;
}

export interface Clients {
  readonly operations: number;
  readonly put: number;
  readonly delete: number;
  readonly patch: number;
  readonly restore: number;
  readonly purge: number;
  readonly expire: number;
  readonly touch: number;
  readonly copyOverOther: number;
  readonly deleteAll: number;
}

export interface Scenario {
  readonly seed: number;
  readonly sites: readonly SimSite[];
  readonly keys: readonly string[];
  readonly topology: Topology;
  readonly faults: Faults;
  readonly clients: Clients;
  readonly steps: number;
  readonly workersMax: number;
  readonly workerSkewMs: number;
}

const KINDS: ReadonlyArray<{ readonly flavour: MemoryFlavour; readonly versioned: boolean; readonly cloud: Cloud }> = [
  { flavour: 's3', versioned: true, cloud: 'aws' },
  { flavour: 'gcs', versioned: false, cloud: 'gcp' },
  { flavour: 'azure', versioned: true, cloud: 'azure' },
  { flavour: 'azure', versioned: false, cloud: 'azure' },
  { flavour: 'gcs', versioned: true, cloud: 'gcp' },
  { flavour: 's3', versioned: true, cloud: 'aws' },
];

const KEYS = ['a/one.txt', 'a/two.', 'b~x', 'three/'] as const;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

export function readScenario(seed: number): Scenario {
  const chance = openChance(seed);
  const sites = drawSites(chance);
  const ids = sites.map(({ site }) => site.id);
  const active = ids.filter((id) => sites.find(({ site }) => site.id === id)?.site.mode === 'active');
  const policy = drawPolicy(chance, active);
  const deletes = chance.pick<DeletePolicy>(['write-wins', 'write-wins', 'delete-wins', 'by-clock']);
  const some = (probability: number, most: number) => (chance.hit(probability) ? chance.unit() * most : 0);
  return {
    seed,
    sites,
    keys: KEYS.slice(0, chance.pick([1, 1, 2, 3])),
    topology: {
      namespace: 'sim',
      sites: sites.map(({ site }) => site),
      routes: [{ prefix: '', sites: ids, policy, deletes, copiesBeforeSupersede: chance.int(1, 2) }],
      limits: {
        skewBoundMs: 2_000,
        stageOverBytes: chance.pick([1_000, 1_000, 12]),
        partBytes: 8,
        leaseMs: 60_000,
        tombstoneGraceMs: 45 * DAY_MS,
        deletionCap: chance.pick([1, 100]),
        deletionShare: 0.001,
      },
    },
    faults: {
      loseEvent: some(0.6, 0.5),
      repeatEvent: some(0.5, 0.5),
      delayEvent: some(0.5, 0.6),
      crash: some(0.6, 0.06),
      loseAnswer: some(0.5, 0.08),
      refuse: some(0.4, 0.08),
      conflict: some(0.3, 0.1),
      corruptRead: some(0.15, 0.2),
      partition: some(0.3, 0.02),
      slowWorker: some(0.4, 0.03),
      ledgerDown: some(0.2, 0.01),
      advanceEpoch: some(0.2, 0.01),
      dropLedger: some(0.12, 0.008),
      emptyBucket: some(0.08, 0.01),
      longPause: sites.some(({ site }) => site.expiresAfterMs !== undefined) ? 0.02 : some(0.2, 0.01),
    },
    clients: {
      operations: chance.int(3, 9),
      put: 4,
      delete: 1.2,
      patch: chance.hit(0.6) ? 1.5 : 0,
      restore: chance.hit(0.5) ? 1.4 : 0,
      purge: chance.hit(0.5) ? 1 : 0,
      expire: sites.some(({ site }) => site.expiresAfterMs !== undefined) ? 1.5 : 0,
      touch: chance.hit(0.3) ? 0.7 : 0,
      copyOverOther: chance.hit(0.3) ? 0.7 : 0,
      deleteAll: chance.hit(0.25) ? 1 : 0,
    },
    steps: chance.int(90, 220),
    workersMax: chance.int(1, 4),
    workerSkewMs: chance.pick([0, 0, 900]),
  };
}

function drawSites(chance: Chance): readonly SimSite[] {
  const count = chance.pick([3, 3, 3, 4]);
  const sites: SimSite[] = [];
  for (let i = 0; i < count; i++) {
    const { flavour, versioned, cloud } = chance.pick(KINDS);
    sites.push(draw(chance, 'abcd'[i] as string, flavour, versioned, cloud, 'active'));
  }
  // S3 without versions cannot prove what it replaces, so only the replicator may write there.
  if (chance.hit(0.12)) sites[count - 1] = draw(chance, 'abcd'[count - 1] as string, 's3', false, 'aws', 'passive');
  return sites;
}

function draw(
  chance: Chance,
  id: string,
  flavour: MemoryFlavour,
  versioned: boolean,
  cloud: Cloud,
  mode: Site['mode'],
): SimSite {
  const expires = mode === 'active' && chance.hit(0.15) ? { expiresAfterMs: HOUR_MS } : {};
  return {
    site: {
      id,
      cloud,
      region: 'here',
      bucket: cloud === 'azure' ? `account${id}/container` : `bucket-${id}`,
      mode,
      ...expires,
    },
    flavour,
    versioned,
    skewMs: chance.int(-1_500, 1_500),
  };
}

function drawPolicy(chance: Chance, active: readonly string[]): ConflictPolicy {
  switch (chance.int(0, 6)) {
    case 0:
    case 1:
      return { kind: 'lww' };
    case 2:
      return { kind: 'lww-safe' };
    case 3:
      return { kind: 'prefer-site', order: chance.shuffle(active).slice(0, chance.int(1, active.length)) };
    case 4:
    case 5:
      return { kind: 'keep-both' };
    default:
      return { kind: 'custom', name: chance.pick(['pick-longest', 'merge-lines', 'refuse']) };
  }
}
