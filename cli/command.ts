/** What a command is: what it is called, what it takes, and what it does with the outside that is handed to it. */

import type { Timer } from '../shared/world/world.ts';

export interface Command {
  /** One word, or two where several commands belong together: `dead list`. */
  readonly name: string;
  /** One line, without a full stop. */
  readonly summary: string;
  /** Its words: `KEY`, or `[PREFIX]` where one may be left out. */
  readonly takes: string;
  /** What it does and what its answer means, as lines for people. */
  readonly about: readonly string[];
  /** What to type, and what that is for. */
  readonly examples: ReadonlyArray<readonly [typed: string, why: string]>;
  readonly options: readonly Option[];
  /** Answers the exit code. */
  run(given: Given, context: Context): Promise<number>;
}

export interface Option {
  readonly name: string;
  /** The name of its value; a switch when left out. */
  readonly takes?: string;
  /** May be given several times. */
  readonly many?: boolean;
  readonly about: string;
}

/** What was typed after the name of the command, checked against what it takes. */
export interface Given {
  /** As it was typed. */
  readonly args: readonly string[];
  readonly words: readonly string[];
  has(option: string): boolean;
  text(option: string): string | undefined;
  /** A whole number within the bounds, or a Mistake. */
  count(option: string, usual: number, bounds: { readonly min: number; readonly max: number }): number;
}

/** Everything outside that a command may touch, beside files and what it opens by address. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The current directory: every file name is relative to it. */
  readonly folder: string;
  /** A line of the answer. */
  out(line: string): void;
  /** A line about how it goes, for people. */
  err(line: string): void;
  /** Puts a line where the last one of these stood; '' takes it away. Does nothing where nobody looks. */
  draw(line: string): void;
  readonly colours: boolean;
  readonly columns: number;
  now(): number;
  readonly timer: Timer;
  /** Called, it resolves with the first Ctrl-C or SIGTERM; a second one ends the process at once. */
  untilStopped(): Promise<void>;
}

export const EXIT = { fine: 0, found: 1, misuse: 2 } as const;

/** A mistake of the person who typed this, told in a sentence, or a line for each. Exit code 2. */
export class Mistake extends Error {}

export const JSON_OPTION: Option = { name: 'json', about: 'answer with one JSON document, for programs' };
export const CONFIG_OPTION: Option = {
  name: 'config',
  takes: 'FILE',
  about: 'a triplicate.yaml, or the local.json of a local world',
};
