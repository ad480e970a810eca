/** Files that a person names, told of in a sentence where they cannot be read. */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Mistake } from './command.ts';

export const CONFIGURATION = 'triplicate.yaml';

/** Throws a Mistake when it cannot be read. */
export function readText(folder: string, file: string): string {
  const text = readIfThere(folder, file);
  if (text !== null) return text;
  throw new Mistake(`${file} cannot be read: ENOENT: no such file or directory.`);
}

/** null: there is none. */
export function readIfThere(folder: string, file: string): string | null {
  try {
    return readFileSync(resolve(folder, file), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new Mistake(`${file} cannot be read: ${reasonOf(error)}.`);
  }
}

/** `ENOENT: no such file or directory, open 'x'` without what was said already. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.replace(/, \w+(?: '.*')?$/s, '') : String(error);
}
