/** Files written so that they are there after a power cut, and what the errors of a file system mean. */

import { constants, copyFile, mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Fault, type FaultDetails, type FaultKind, fault, isFault } from '../../model/fault.ts';

const KIND_OF_CODE: Readonly<Record<string, FaultKind>> = {
  ENOENT: 'unavailable',
  ENOSPC: 'unavailable',
  EDQUOT: 'unavailable',
  EMFILE: 'unavailable',
  ENFILE: 'unavailable',
  EBUSY: 'unavailable',
  EIO: 'unavailable',
  ESTALE: 'unavailable',
  EFBIG: 'too-large',
  EACCES: 'forbidden',
  EPERM: 'forbidden',
  EROFS: 'forbidden',
  ENAMETOOLONG: 'invalid',
  ENOTSUP: 'unsupported',
  EMLINK: 'unsupported',
};

/** What is no error of the file system comes from the body that was given, and stays as it is. */
export function toFault(error: unknown, place: FaultDetails): unknown {
  if (isFault(error)) return fault(error.kind, error.message, { ...error.details, retry: error.retry, ...place });
  const code = codeOf(error);
  if (code === '') return error;
  const kind = KIND_OF_CODE[code] ?? 'internal';
  return fault(kind, `${place.op}: ${(error as Error).message}`, { ...place, value: code, cause: error });
}

export function codeOf(error: unknown): string {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  return typeof code === 'string' && typeof syscall === 'string' ? code : '';
}

/** The answer, or null where there is no such file. */
export async function ifThere<Answer>(run: () => Promise<Answer>): Promise<Answer | null> {
  try {
    return await run();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** A new file with all that comes; nothing is left of it when that fails. */
export async function writeFile(path: string, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'wx');
  try {
    for await (const piece of pieces)
      for (let at = 0; at < piece.length; ) at += (await file.write(piece, at, piece.length - at)).bytesWritten;
    await file.sync();
  } catch (error) {
    await file.close();
    await rm(path, { force: true });
    throw error;
  }
  await file.close();
}

/** A file system that can shares the bytes between both files until one of them changes, which none ever does. */
export async function duplicateFile(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  const file = await open(to, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** With all folders above it. */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) return;
  // As many rounds as folders were made.
  for (let folder = path; folder.length >= first.length; folder = dirname(folder)) await syncFolder(dirname(folder));
}

/** Names are durable only when their folder is. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export function gone(field: string, value: string): Fault {
  return fault('not-found', `${field}: there is no ${value}`, { field, value });
}
