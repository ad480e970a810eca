/** The keys of a file store in the order buckets list in. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareNames } from '../flavours.ts';
import { ifThere } from './disk.ts';
import { decodeKey, encodeKey, readFolder } from './names.ts';

/** All keys that begin so and come later, whether anything stands there or not. */
export async function keysBelow(
  objects: string,
  prefix: string,
  after: string | undefined,
): Promise<readonly string[]> {
  const wanted = encodeKey(prefix);
  const keys: string[] = [];

  async function walk(folder: string, begun: string): Promise<void> {
    for (const name of (await ifThere(() => readdir(folder))) ?? []) {
      const read = readFolder(name);
      if (read === null) continue;
      const text = begun + read.text;
      if (!text.startsWith(wanted) && !wanted.startsWith(text)) continue;
      if (!read.ends) await walk(join(folder, name), text);
      else if (text.startsWith(wanted)) keys.push(decodeKey(text));
    }
  }

  await walk(objects, '');
  const later = after === undefined ? keys : keys.filter((key) => compareNames(key, after) > 0);
  return later.sort(compareNames);
}
