/** What a suite finds: figures for the history, tables and charts for people, and what was aimed at. */

export interface Figure {
  /** The same in every run, so that runs can be compared: `small.triplicate.objects-per-second`. */
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly better: 'more' | 'less';
  /** What `value` is the median of, in the order in which it was measured. */
  readonly of?: readonly number[];
}

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  /** Numbers are set to the right. */
  readonly rows: ReadonlyArray<ReadonlyArray<string | number | null>>;
}

export type Chart =
  | {
      readonly kind: 'bars';
      readonly name: string;
      readonly title: string;
      readonly unit: string;
      readonly bars: ReadonlyArray<{ readonly label: string; readonly value: number; readonly isMuted?: boolean }>;
    }
  | {
      readonly kind: 'lines';
      readonly name: string;
      readonly title: string;
      readonly x: string;
      readonly y: string;
      /** Tenfold steps at even distances. */
      readonly logarithmicX?: boolean;
      readonly lines: ReadonlyArray<{
        readonly label: string;
        readonly points: ReadonlyArray<readonly [x: number, y: number]>;
      }>;
    };

export interface Target {
  readonly what: string;
  readonly value: number;
  readonly kind: 'at least' | 'at most';
  readonly bound: number;
  readonly unit: string;
  /**
   * A build fails beyond this: what is found today, with room for a machine's mood. Only for ratios and counts, which
   * hold on any machine; left out where a figure does not.
   */
  readonly gate?: number;
}

export interface SuiteResult {
  readonly name: string;
  readonly title: string;
  /** How it was measured, with every setting: sentences. */
  readonly how: readonly string[];
  readonly figures: readonly Figure[];
  readonly tables: readonly Table[];
  readonly charts: readonly Chart[];
  readonly targets: readonly Target[];
  /** `not run: ..., needs ...` */
  readonly notRun: readonly string[];
}

export interface Run {
  /** As ISO 8601. */
  readonly startedAt: string;
  readonly scale: string;
  readonly seed: number;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly versions: Readonly<Record<string, string>>;
  /** Seconds by suite. */
  readonly took: Readonly<Record<string, number>>;
  readonly suites: readonly SuiteResult[];
}

export const NO_RCLONE = 'not run: rclone, needs rclone (apt-get install rclone)';

export function isMet({ value, kind, bound }: Target): boolean {
  return kind === 'at least' ? value >= bound : value <= bound;
}

/** Whether a build may go on. */
export function passesGate(target: Target): boolean {
  return target.gate === undefined || isMet({ ...target, bound: target.gate });
}
