/** The two ends of a copy, as things that can be looked at, read and written, whether objects or files. */

import { createReadStream } from 'node:fs';
import { link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { fault, isFault } from '../../shared/model/fault.ts';
import { isReserved } from '../../shared/model/key-map.ts';
import type { ObjectMetadata, ObjectVersion } from '../../shared/model/object.ts';
import type { ObjectStore } from '../../shared/store/store.ts';

/** One thing to copy. */
export interface Source {
  readonly name: string;
  readonly sizeBytes: number;
  readonly metadata: ObjectMetadata;
  /** Those that its service keeps. */
  readonly checksums: ObjectVersion['checksums'];
  readonly body: () => Promise<AsyncIterable<Uint8Array>>;
  readonly range: (start: number, end: number) => Promise<AsyncIterable<Uint8Array>>;
  /** Where a service could copy it by itself. */
  readonly stored?: { readonly store: ObjectStore; readonly key: string; readonly phys: string };
}

export interface Found {
  /** Below the place that was asked for. */
  readonly name: string;
  readonly sizeBytes: number;
}

/** null: there is no such object. */
export async function objectSource(store: ObjectStore, key: string): Promise<Source | null> {
  const version = await store.head(key);
  if (version === null || version.kind !== 'object') return null;
  const { phys, sizeBytes, metadata, checksums } = version;
  return {
    name: key.slice(key.lastIndexOf('/') + 1),
    sizeBytes,
    metadata,
    checksums,
    body: async () => (await store.get(key, phys)).body,
    range: async (start, end) => (await store.get(key, phys, { start, end })).body,
    stored: { store, key, phys },
  };
}

/** null: there is no such file. */
export async function fileSource(path: string, contentType: string | undefined): Promise<Source | null> {
  const found = await ifThere(() => stat(path));
  if (found === null) return null;
  if (!found.isFile())
    throw fault('invalid', `${path} is a folder: --recursive copies what is in it`, { field: 'SRC' });
  return {
    name: basename(path),
    sizeBytes: found.size,
    metadata: { headers: contentType === undefined ? {} : { contentType }, user: {} },
    checksums: {},
    body: async () => createReadStream(path),
    range: async (start, end) => createReadStream(path, { start, end: end - 1 }),
  };
}

const PAGE = 1_000;

export async function objectsBelow(store: ObjectStore, prefix: string): Promise<readonly Found[]> {
  const found: Found[] = [];
  let after: string | undefined;
  do {
    const page = await store.list({ prefix, limit: PAGE, ...(after === undefined ? {} : { after }) });
    for (const { key, sizeBytes } of page.objects)
      if (key !== prefix && !isReserved(key)) found.push({ name: key.slice(prefix.length), sizeBytes });
    after = page.next;
  } while (after !== undefined);
  return found;
}

export async function filesBelow(folder: string): Promise<readonly Found[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const found = await Promise.all(files.map(async (path) => ({ path, size: (await stat(path)).size })));
  return found
    .map(({ path, size }) => ({ name: relative(folder, path).split(sep).join('/'), sizeBytes: size }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The path of an object's name below a folder, or Fault 'unsupported' where it would lead out of it or be none. */
export function pathBelow(folder: string, name: string): string {
  const segments = name.split('/');
  const odd = segments.some((it) => it === '' || it === '.' || it === '..' || it.includes('\0') || it.includes(sep));
  if (odd) throw fault('unsupported', `${JSON.stringify(name)} cannot be the name of a file`, { key: name });
  return join(folder, ...segments);
}

/** Whole or not at all: under another name until it is complete. Fault 'precondition' when one is there and may not go. */
export async function writeFile(path: string, body: AsyncIterable<Uint8Array>, overwrite: boolean): Promise<void> {
  if (!overwrite && (await ifThere(() => stat(path))) !== null) throw standsThere(path);
  await mkdir(dirname(path), { recursive: true });
  const partial = `${path}.triplicate-partial`;
  const file = await open(partial, 'w');
  try {
    try {
      for await (const chunk of body) await file.write(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    if (overwrite) await rename(partial, path);
    else
      await link(partial, path).catch((error) => Promise.reject(error.code === 'EEXIST' ? standsThere(path) : error));
  } finally {
    await rm(partial, { force: true });
  }
}

function standsThere(path: string): Error {
  return fault('precondition', `${path} is there`, { key: path });
}

async function ifThere<T>(look: () => Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    if (isFault(error) || !(error instanceof Error) || !('code' in error) || error.code !== 'ENOENT') throw error;
    return null;
  }
}
