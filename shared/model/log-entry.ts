/** What is remembered of a key for people and audits, after the item itself has moved on. */

export type LogKind =
  | 'version' // a client's version was seen and got its dot
  | 'superseded' // a concurrent version lost to another by policy
  | 'resolved' // a merge or conflict copy was made by the resolver
  | 'unresolved' // nobody may decide; an operator is asked
  | 'evicted' // gone at one site by that site's own lifecycle
  | 'quarantined' // stands at a site, but the system has forgotten it: reported, not replicated
  | 'collected'; // a tombstone was forgotten

export interface LogEntry {
  readonly key: string;
  /** Unique per key and made from what it tells, so that appending twice is harmless. */
  readonly id: string;
  readonly kind: LogKind;
  /** When Triplicate saw it. */
  readonly at: number;
  /** Of a client's version: when it was written, by the clock of its bucket, where that tells. */
  readonly writtenAt?: number;
  readonly vid?: string;
  /** The winner, for 'superseded'. */
  readonly by?: string;
  readonly site?: string;
  /** What happened, in words and values fit for `explain`. */
  readonly note: string;
}
