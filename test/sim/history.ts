/** What truly happened in a run, seen from above: who wrote what where, and what the ledger was told. Input of the checkers. */

import type { KeyItem, LogicalVersion } from '#shared/model/key-item.ts';
import type { LogEntry } from '#shared/model/log-entry.ts';
import type { SiteId } from '#shared/model/site.ts';
import type { Scenario } from './scenario.ts';

export type Actor = 'client' | 'us' | 'lifecycle' | 'disaster';

/** One physical version that came to stand, or an absence that began. */
export interface Stood {
  readonly step: number;
  readonly site: SiteId;
  readonly key: string;
  readonly phys: string | null;
  /** The delete marker that says so, for an absence in a bucket that has such. */
  readonly deleteMarker: string | null;
  readonly actor: Actor;
  readonly op: string;
  /** Bytes and metadata together; null for an absence. */
  readonly content: string | null;
  /** For our own writes: the version and the write id in the marker. */
  readonly vid: string | null;
  readonly wid: string | null;
  /** The text of the marker that came to stand, whoever wrote it. */
  readonly marker: string | null;
  /** What stood just before; index into the same list, -1: nothing ever. */
  readonly over: number;
}

export interface Born {
  readonly step: number;
  readonly key: string;
  /** The worker that stored it. */
  readonly by: number;
  readonly version: LogicalVersion;
  /** The bytes and metadata it stands for; null: a tombstone. undefined: nobody from above saw where it came from. */
  readonly content: string | null | undefined;
}

export interface Superseded {
  readonly step: number;
  readonly key: string;
  readonly loser: LogicalVersion;
  readonly winner: LogicalVersion;
}

export interface Acknowledged {
  readonly step: number;
  readonly receivedAt: number;
  readonly site: SiteId;
  readonly key: string;
  readonly hintedPhys: string | undefined;
  readonly item: KeyItem | null;
}

export interface Uncovered {
  readonly step: number;
  readonly key: string;
  readonly text: string;
}

export interface LedgerWrite {
  readonly step: number;
  readonly key: string;
  readonly claimedEpoch: number;
  readonly epochThen: number;
  readonly bytes: number;
}

export interface Collected {
  readonly step: number;
  readonly key: string;
}

export interface Pass {
  readonly by: number;
  readonly from: number;
  readonly to: number;
  readonly confirmed: boolean;
  /** All sites were listed: what a pass learns of the others while it repairs is not its own belief. */
  readonly complete: boolean;
  readonly cap: number;
}

export interface Binding {
  readonly vid: string | null;
  readonly wid: string | null;
  /** When the ledger first said so. */
  readonly since: number;
  /** And last. */
  readonly step: number;
}

export interface History {
  readonly scenario: Scenario;
  readonly stood: Stood[];
  /** Index in `stood` of what stands now, by site and key. */
  readonly now: Map<string, number>;
  readonly born: Born[];
  readonly superseded: Superseded[];
  /** Versions that the ledger once had in the past of another, as key and vid. */
  readonly dominated: Set<string>;
  readonly acknowledged: Acknowledged[];
  /** Keys that were due, and neither the index nor a message could bring anybody back to them. */
  readonly uncovered: Uncovered[];
  readonly ledgerWrites: LedgerWrite[];
  readonly collected: Collected[];
  readonly passes: Pass[];
  /** Every binding the ledger ever stored: site, key and phys, to vid and wid. */
  readonly bound: Map<string, Binding>;
  /** When the ledger noted that nothing stands at a site. */
  readonly absences: Array<{ readonly site: SiteId; readonly key: string; readonly step: number }>;
  readonly markers: Array<{ readonly step: number; readonly bytes: number }>;
  /** Steps at which the ledger was lost. */
  readonly drops: number[];
  /** Sites that a disaster (emptied, restored from backup) has touched. */
  readonly disasters: Array<{ readonly step: number; readonly site: SiteId }>;
  readonly unverified: string[];
  crashes: number;
  unanswered: number;
  epochs: number;
  /** Bucket writes of ours after everything had come to rest. */
  restlessWrites: number;
  replayChanged: string[];
  settled: boolean;
}

export interface Ending {
  readonly items: ReadonlyMap<string, KeyItem>;
  readonly log: ReadonlyMap<string, readonly LogEntry[]>;
  /** Content standing at each site and key, by `at`. */
  readonly contents: ReadonlyMap<string, string | null>;
  readonly representable: (site: SiteId, key: string) => boolean;
}

export interface Violation {
  readonly invariant: string;
  readonly step: number;
  readonly text: string;
}

export type Checker = (history: History, ending: Ending) => readonly Violation[];

export function at(site: SiteId, key: string): string {
  return `${site}\n${key}`;
}

export function physAt(site: SiteId, key: string, phys: string): string {
  return `${site}\n${key}\n${phys}`;
}

export function openHistory(scenario: Scenario): History {
  return {
    scenario,
    stood: [],
    now: new Map(),
    born: [],
    superseded: [],
    dominated: new Set(),
    acknowledged: [],
    uncovered: [],
    ledgerWrites: [],
    collected: [],
    passes: [],
    bound: new Map(),
    absences: [],
    markers: [],
    drops: [],
    disasters: [],
    unverified: [],
    crashes: 0,
    unanswered: 0,
    epochs: 0,
    restlessWrites: 0,
    replayChanged: [],
    settled: false,
  };
}
