/** Removes what crashes leave in a file store: drafts, and bytes that were never published. */

import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ifThere } from './disk.ts';

export interface TidyOptions {
  readonly now: () => number;
  /** What was written to since may still be under way. */
  readonly olderThanMs: number;
}

/** Answers how many files and unfinished uploads were removed. Safe while others use the store. */
export async function tidyFileStore(directory: string, { now, olderThanMs }: TidyOptions): Promise<number> {
  const before = now() - olderThanMs;
  let removed = 0;

  async function removeOld(path: string): Promise<void> {
    const found = await ifThere(() => stat(path));
    if (found === null || found.mtimeMs >= before) return;
    await rm(path, { recursive: true, force: true });
    removed++;
  }

  async function removeBelow(folder: string): Promise<void> {
    for (const name of (await ifThere(() => readdir(folder))) ?? []) await removeOld(join(folder, name));
  }

  /** As deep as the longest key, cut into parts. */
  async function tidyFolder(folder: string): Promise<void> {
    const entries = (await ifThere(() => readdir(folder, { withFileTypes: true }))) ?? [];
    const bodies = entries.filter(({ name }) => name.endsWith('.body'));
    // Records first, bodies after: what is published meanwhile has been written lately.
    const published = new Set<string>();
    for (const { name } of bodies.length > 0 ? entries : []) {
      if (!name.endsWith('.json')) continue;
      const { id } = JSON.parse(await readFile(join(folder, name), 'utf8')) as { readonly id: string };
      published.add(`${id}.body`);
    }
    for (const { name } of bodies) if (!published.has(name)) await removeOld(join(folder, name));
    for (const entry of entries) if (entry.isDirectory()) await tidyFolder(join(folder, entry.name));
  }

  await removeBelow(join(directory, 'temp'));
  await removeBelow(join(directory, 'uploads'));
  await tidyFolder(join(directory, 'objects'));
  return removed;
}
