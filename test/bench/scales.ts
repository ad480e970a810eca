/** How much of everything, as data: a scale is a column, and every number can be given on the command line as well. */

import type { Cloud } from '../../shared/model/site.ts';

export interface Scale {
  /** Of the suite `small`. */
  readonly objects: number;
  /** Of everything that is held against a peer: each is measured so often, one after the other in turn. */
  readonly rounds: number;
  /** So many changes Triplicate works on at once. */
  readonly concurrency: number;
  readonly largeBytes: number;
  /** Of the suite `delay`. */
  readonly changes: number;
  readonly changesPerSecond: number;
  /** Of the suite `keys`: so many stand in every bucket and the ledger already. */
  readonly keys: readonly number[];
  readonly differences: readonly number[];
  /** Measured at each number of keys, in batches. */
  readonly keyChanges: number;
  /** Of the suite `links`: there and back, added to every link; then by name of places. */
  readonly linkMs: readonly number[];
  readonly places: readonly string[];
  readonly linkObjects: number;
  readonly linkRounds: number;
  readonly outageSeconds: number;
  /** So long it may take until what has waited stands; later is told as such. */
  readonly catchUpSeconds: number;
  /** Of the suite `providers`: from where to where, in the local world. */
  readonly pairs: ReadonlyArray<readonly [from: Cloud, to: Cloud]>;
  readonly pairSizes: readonly PairSize[];
  readonly mixedChanges: number;
  /** Of the suite `micro`. */
  readonly ledgerCalls: number;
  readonly simulatedRuns: number;
}

export interface PairSize {
  readonly sizeBytes: number;
  readonly objects: number;
  readonly rounds: number;
}

const KI = 1024;
const MI = 1024 * KI;

const CLOUDS: readonly Cloud[] = ['aws', 'gcp', 'azure'];
const EVERY_PAIR = CLOUDS.flatMap((from) => CLOUDS.filter((to) => to !== from).map((to) => [from, to] as const));

const ofSize = (sizeBytes: number, objects: number, rounds: number): PairSize => ({ sizeBytes, objects, rounds });

export const SCALES: Readonly<Record<string, Scale>> = {
  /** For a build: says whether it still works, and whether a ratio is far off. */
  short: {
    objects: 200,
    rounds: 1,
    concurrency: 64,
    largeBytes: 32 * MI,
    changes: 300,
    changesPerSecond: 50,
    keys: [1_000, 10_000],
    differences: [0, 10],
    keyChanges: 200,
    linkMs: [30],
    places: ['transatlantic'],
    linkObjects: 60,
    linkRounds: 1,
    outageSeconds: 2,
    catchUpSeconds: 30,
    pairs: [
      ['aws', 'gcp'],
      ['gcp', 'azure'],
      ['azure', 'aws'],
    ],
    pairSizes: [ofSize(0, 20, 1), ofSize(4 * KI, 50, 1), ofSize(MI, 4, 1)],
    mixedChanges: 40,
    ledgerCalls: 300,
    simulatedRuns: 50,
  },
  usual: {
    objects: 2_000,
    rounds: 5,
    concurrency: 64,
    largeBytes: 256 * MI,
    changes: 3_000,
    changesPerSecond: 100,
    keys: [1_000, 10_000, 100_000],
    differences: [0, 10, 1_000],
    keyChanges: 1_000,
    linkMs: [2, 30, 80, 200],
    places: ['same city', 'same continent', 'transatlantic', 'transpacific'],
    linkObjects: 300,
    linkRounds: 3,
    outageSeconds: 10,
    catchUpSeconds: 120,
    pairs: EVERY_PAIR,
    pairSizes: [ofSize(0, 200, 5), ofSize(4 * KI, 300, 5), ofSize(MI, 30, 5), ofSize(100 * MI, 1, 5)],
    mixedChanges: 300,
    ledgerCalls: 3_000,
    simulatedRuns: 500,
  },
  full: {
    objects: 10_000,
    rounds: 5,
    concurrency: 64,
    largeBytes: 1024 * MI,
    changes: 12_000,
    changesPerSecond: 100,
    keys: [1_000, 10_000, 100_000, 1_000_000],
    differences: [0, 10, 1_000],
    keyChanges: 2_500,
    linkMs: [2, 30, 80, 200],
    places: ['same city', 'same continent', 'transatlantic', 'transpacific'],
    linkObjects: 500,
    linkRounds: 5,
    outageSeconds: 30,
    catchUpSeconds: 300,
    pairs: EVERY_PAIR,
    pairSizes: [
      ofSize(0, 500, 5),
      ofSize(4 * KI, 1_000, 5),
      ofSize(MI, 100, 5),
      ofSize(100 * MI, 2, 5),
      // One object takes minutes; that of the suite `large` is measured in as many rounds as all the rest.
      ofSize(1024 * MI, 1, 1),
    ],
    mixedChanges: 1_000,
    ledgerCalls: 20_000,
    simulatedRuns: 5_000,
  },
};

/** How the peers are run. Tried on two cores: more at once made each of them slower. */
export const PEERS = {
  rclone: ['--transfers', '32', '--checkers', '32', '--fast-list', '--retries', '1'],
  loopAtOnce: 32,
} as const;

/** How many writes the user has under way. */
export const WRITES_AT_ONCE = 32;
