/** Which suites there are, and what each is given. */

import type { Pair } from './ends.ts';
import type { SuiteResult } from './result.ts';
import type { Scale } from './scales.ts';
import { cost } from './suites/cost.ts';
import { delay } from './suites/delay.ts';
import { keys } from './suites/keys.ts';
import { large } from './suites/large.ts';
import { links } from './suites/links.ts';
import { micro } from './suites/micro.ts';
import { providers } from './suites/providers.ts';
import { small } from './suites/small.ts';

export interface Context {
  readonly scale: Scale;
  readonly seed: number;
  readonly say: (line: string) => void;
  /** Only what a build is held to: fewer peers. */
  readonly isGate?: boolean;
  /** Instead of the pairs of the local world. */
  readonly pair?: Pair;
  /** A folder for CPU profiles of Triplicate's process; left out: none are made. */
  readonly profiles?: string;
}

export type Suite = (context: Context) => Promise<SuiteResult>;

export const SUITES: Readonly<Record<string, Suite>> = { small, large, delay, cost, keys, links, providers, micro };

/** What a build is held to, unless suites are named. */
export const GATED: readonly string[] = ['small', 'cost', 'keys'];
