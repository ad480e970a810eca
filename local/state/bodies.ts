/** The bytes of objects and parts: written once, shared by copies, and gone when nothing uses them any more. */

import { randomUUID } from 'node:crypto';
import { close as closeFile, mkdirSync, openSync, readdirSync, read as readFile, rmSync, unlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Database } from './sqlite.ts';

/** Bytes laid end to end. As text it is a column of whoever keeps it. */
export type Body = string;

export const EMPTY_BODY: Body = '';

export interface Bodies {
  /** Takes the bytes as they come, never more than a few pieces at a time. Nobody uses them yet: see `keep`. */
  write(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Body>;
  /** One body made of others, without moving a byte: parts completed, objects composed. */
  join(bodies: readonly Body[]): Body;
  sizeOf(body: Body): number;
  /** One more user. Call it in the transaction that stores the body. */
  keep(body: Body): void;
  /** One user less. A body nobody ever kept may be dropped as well. */
  drop(body: Body): void;
  /** From `start` up to, not including, `end`. What is being read stays readable when it is dropped meanwhile. */
  read(body: Body, start?: number, end?: number): AsyncIterable<Uint8Array>;
  close(): void;
}

/** Smaller bytes live in the database, where they cost no file. */
const INLINE_MAX = 64 * 1024;
const PIECE = 256 * 1024;
/** Pieces come as sockets give them, and each write of its own costs more than its bytes. */
const WRITE_BYTES = 1024 * 1024;

const TABLES = `
  CREATE TABLE IF NOT EXISTS bodies (
    id TEXT NOT NULL PRIMARY KEY, size INTEGER NOT NULL, uses INTEGER NOT NULL, bytes BLOB
  ) STRICT, WITHOUT ROWID;
`;

interface Segment {
  readonly id: string;
  readonly size: number;
}

const readAt = promisify(readFile);

/** `folder` null: in memory. Files that no row tells of are what a killed process left unfinished, and are removed. */
export function openBodies(db: Database, folder: string | null): Bodies {
  db.define(TABLES);
  const memory = new Map<string, readonly Uint8Array[]>();
  if (folder !== null) {
    mkdirSync(folder, { recursive: true });
    db.run('DELETE FROM bodies WHERE uses = 0');
    for (const name of readdirSync(folder))
      if (db.get('SELECT 1 FROM bodies WHERE id = ? AND bytes IS NULL', name) === undefined)
        rmSync(join(folder, name), { force: true });
  }

  async function writeLarge(
    id: string,
    pieces: readonly Uint8Array[],
    rest: AsyncIterator<Uint8Array>,
  ): Promise<number> {
    const all = after(pieces, rest);
    let size = 0;
    if (folder === null) {
      const kept: Uint8Array[] = [];
      for await (const piece of all) {
        kept.push(piece.slice());
        size += piece.length;
      }
      memory.set(id, kept);
      return size;
    }
    const file = await open(join(folder, id), 'wx');
    try {
      let [waiting, waitingBytes]: [Uint8Array[], number] = [[], 0];
      for await (const piece of all) {
        waiting.push(piece);
        waitingBytes += piece.length;
        size += piece.length;
        if (waitingBytes < WRITE_BYTES) continue;
        await writeAll(file, waiting, waitingBytes);
        [waiting, waitingBytes] = [[], 0];
      }
      if (waitingBytes > 0) await writeAll(file, waiting, waitingBytes);
    } catch (error) {
      rmSync(join(folder, id), { force: true });
      throw error;
    } finally {
      await file.close();
    }
    return size;
  }

  function forget(id: string): void {
    const row = db.get<{ bytes: Uint8Array | null }>('SELECT bytes FROM bodies WHERE id = ?', id);
    db.run('DELETE FROM bodies WHERE id = ?', id);
    if (row === undefined || row.bytes !== null) return;
    db.afterCommit(() => {
      memory.delete(id);
      if (folder !== null) unlinkSync(join(folder, id));
    });
  }

  function* openSegments(body: Body): Generator<Opened> {
    for (const { id, size } of segmentsOf(body)) {
      const row = db.get<{ bytes: Uint8Array | null }>('SELECT bytes FROM bodies WHERE id = ?', id);
      if (row === undefined) throw new Error(`the bytes ${id} are gone`);
      if (row.bytes !== null) yield { size, pieces: [row.bytes] };
      else if (folder === null) yield { size, pieces: memory.get(id) ?? [] };
      else yield { size, file: openSync(join(folder, id), 'r') };
    }
  }

  return {
    async write(source) {
      const id = randomUUID();
      const pieces: Uint8Array[] = [];
      let size = 0;
      const rest = iteratorOf(source);
      for (;;) {
        const next = await rest.next();
        if (next.done) break;
        pieces.push(next.value);
        size += next.value.length;
        if (size > INLINE_MAX) {
          const total = await writeLarge(id, pieces, rest);
          db.run('INSERT INTO bodies (id, size, uses) VALUES (?, ?, 0)', id, total);
          return toBody([{ id, size: total }]);
        }
      }
      if (size === 0) return EMPTY_BODY;
      db.run('INSERT INTO bodies (id, size, uses, bytes) VALUES (?, ?, 0, ?)', id, size, Buffer.concat(pieces));
      return toBody([{ id, size }]);
    },
    join: (bodies) => bodies.filter((body) => body !== EMPTY_BODY).join(','),
    sizeOf: (body) => segmentsOf(body).reduce((sum, { size }) => sum + size, 0),
    keep(body) {
      for (const { id } of segmentsOf(body)) {
        const { changes } = db.run('UPDATE bodies SET uses = uses + 1 WHERE id = ?', id);
        if (changes !== 1) throw new Error(`the bytes ${id} are gone`);
      }
    },
    drop(body) {
      for (const { id } of segmentsOf(body)) {
        db.run('UPDATE bodies SET uses = uses - 1 WHERE id = ?', id);
        const row = db.get<{ uses: number }>('SELECT uses FROM bodies WHERE id = ?', id);
        if (row !== undefined && row.uses <= 0) forget(id);
      }
    },
    read(body, start = 0, end = Number.POSITIVE_INFINITY) {
      // Opened now, not at the first piece: what is dropped in between stays readable.
      return readOpened([...openSegments(body)], start, end);
    },
    close: () => memory.clear(),
  };
}

async function writeAll(file: FileHandle, pieces: readonly Uint8Array[], sizeBytes: number): Promise<void> {
  const { bytesWritten } = await file.writev(pieces);
  if (bytesWritten < sizeBytes) await file.writeFile(Buffer.concat(pieces).subarray(bytesWritten));
}

type Opened = { readonly size: number } & ({ readonly pieces: readonly Uint8Array[] } | { readonly file: number });

async function* readOpened(segments: readonly Opened[], start: number, end: number): AsyncGenerator<Uint8Array> {
  let at = 0;
  try {
    for (const segment of segments) {
      const from = Math.max(start - at, 0);
      const to = Math.min(end - at, segment.size);
      if (from < to) yield* 'file' in segment ? readPart(segment.file, from, to) : cut(segment.pieces, from, to);
      at += segment.size;
    }
  } finally {
    for (const segment of segments) if ('file' in segment) closeFile(segment.file);
  }
}

async function* readPart(file: number, from: number, to: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < to; ) {
    const length = Math.min(PIECE, to - at);
    const { bytesRead, buffer } = await readAt(file, Buffer.allocUnsafe(length), 0, length, at);
    if (bytesRead === 0) throw new Error('a file of the local world is shorter than its row says');
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

function* cut(pieces: readonly Uint8Array[], from: number, to: number): Generator<Uint8Array> {
  let at = 0;
  for (const piece of pieces) {
    const first = Math.max(from - at, 0);
    const last = Math.min(to - at, piece.length);
    if (first < last) yield piece.subarray(first, last);
    at += piece.length;
  }
}

async function* after(pieces: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* pieces;
  for (;;) {
    const next = await rest.next();
    if (next.done) return;
    yield next.value;
  }
}

function iteratorOf(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncIterator<Uint8Array> {
  if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]();
  const each = source[Symbol.iterator]();
  return { next: async () => each.next() };
}

function toBody(segments: readonly Segment[]): Body {
  return segments.map(({ id, size }) => `${id}:${size}`).join(',');
}

function segmentsOf(body: Body): readonly Segment[] {
  if (body === EMPTY_BODY) return [];
  return body.split(',').map((text) => {
    const at = text.indexOf(':');
    return { id: text.slice(0, at), size: Number(text.slice(at + 1)) };
  });
}
