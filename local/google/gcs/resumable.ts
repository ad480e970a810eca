/** Resumable uploads: a session that takes bytes in order, over as many requests and restarts as it needs. */

import { createHash, randomUUID } from 'node:crypto';
import { toCrc32cText } from '#shared/model/crc.ts';
import type { Cloud } from '../../service.ts';
import type { Body } from '../../state/bodies.ts';
import { type Answer, type Call, headerOf, readJson, readNumber } from './call.ts';
import { type Conditions, checkConditions, readConditions } from './conditions.ts';
import { invalidValue, Refusal } from './errors.ts';
import { newFields, type ObjectFields } from './fields.ts';
import { checkBytes, counted, type Expected, expectedIn, expectedOf, mergeExpected, type Running } from './ingest.ts';
import { findLive, readStorageClass, writeObject } from './objects.ts';
import { pickFields, toObject } from './resource.ts';
import { interruptible, openTakeover } from './takeover.ts';
import { checkUpload } from './uploads.ts';

/** What is kept of a chunk that breaks off is a multiple of this, as in the cloud. */
export const QUANTUM = 256 * 1024;
/** So much is at most sent again when the process was killed in the middle of a request. */
const BLOCK = 32 * QUANTUM;
/** https://cloud.google.com/storage/quotas#objects: 5 TiB. */
const OBJECT_BYTES_MAX = 5 * 2 ** 40;
const SESSION_MS_MAX = 7 * 24 * 60 * 60 * 1000;

interface Session {
  readonly id: string;
  readonly bucket: string;
  readonly name: string;
  readonly fields: string;
  readonly conditions: string;
  readonly expected: string;
  readonly total: number | null;
  readonly created: number;
  readonly state: 'open' | 'done' | 'cancelled';
  readonly size: number;
  readonly crc32c: number;
  readonly body: Body;
  readonly result: string | null;
}

interface Start {
  readonly fields: ObjectFields;
  readonly storageClass?: string;
}

/** What a request says that it carries. `asks`: nothing, it wants to know. `total` null: not known yet. */
interface Range {
  readonly asks: boolean;
  readonly start: number;
  readonly end: number | null;
  readonly total: number | null;
}

export function resumableHandlers(cloud: Cloud) {
  const { db, bodies } = cloud.state;
  /** MD5 as far as it got; lost with the process, then computed once more from the bytes. */
  const hashes = new Map<string, Running>();
  const writers = openTakeover();
  forgetExpired(cloud);

  return {
    async start(call: Call): Promise<Answer> {
      const { query, headers, base } = call;
      const json = await readJson(call.body);
      const target = checkUpload(cloud, call, json);
      const contentType = json.contentType ?? headerOf(headers, 'x-upload-content-type') ?? 'application/octet-stream';
      const conditions = readConditions(query, 'if', headers);
      checkConditions(findLive(cloud, target), conditions);
      const storageClass = readStorageClass(json.storageClass);
      const start: Start = {
        fields: newFields({ ...json, contentType }),
        ...(storageClass === undefined ? {} : { storageClass }),
      };
      const length = headerOf(headers, 'x-upload-content-length');
      const id = randomUUID();
      db.run(
        `INSERT INTO gcs_sessions (id, bucket, name, fields, conditions, expected, total, created, state, size, crc32c, body)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open', 0, 0, '')`,
        id,
        target.bucket,
        target.name,
        JSON.stringify(start),
        JSON.stringify(conditions),
        JSON.stringify(mergeExpected(expectedOf(json), expectedIn(headers))),
        length === undefined ? null : readLength(length),
        Math.floor(cloud.now()),
      );
      const place = `${base}/upload/storage/v1/b/${encodeURIComponent(target.bucket)}/o`;
      const location = `${place}?uploadType=resumable&name=${encodeURIComponent(target.name)}&upload_id=${id}`;
      return { status: 200, headers: { location, 'x-guploader-uploadid': id } };
    },

    async put(call: Call): Promise<Answer> {
      const session = find(call);
      const range = readRange(call, session);
      return writers.take(session.id, async (until) => {
        if (!range.asks) await append(call, range, until);
        const now = find(call);
        if (now.state === 'done') return { status: 200, json: shown(call, String(now.result)) };
        if (range.total !== null && now.size > range.total)
          throw invalidValue('More bytes have been uploaded than the object is said to have.');
        const isComplete = range.total === null ? isWhole(range) : now.size === range.total;
        return isComplete ? finish(call, now) : incomplete(call, now);
      });
    },

    cancel(call: Call): Answer {
      const { id, state, body } = find(call);
      if (state === 'done') throw invalidValue('The upload has been completed.');
      writers.interrupt(id);
      db.transaction(() => {
        bodies.drop(body);
        db.run("UPDATE gcs_sessions SET state = 'cancelled', body = '', size = 0 WHERE id = ?", id);
      });
      hashes.delete(id);
      return { status: 499 };
    },
  };

  function find({ path: [bucket = ''], query }: Call): Session {
    const session = db.get<Session>('SELECT * FROM gcs_sessions WHERE id = ?', query.get('upload_id') ?? '');
    if (session === undefined || session.bucket !== bucket)
      throw new Refusal(404, 'notFound', 'The upload session does not exist.');
    if (session.state === 'cancelled') throw new Refusal(499, 'clientClosedRequest', 'The upload has been cancelled.');
    if (session.state === 'open' && cloud.now() - session.created > SESSION_MS_MAX)
      throw new Refusal(410, 'gone', 'The upload session has expired.');
    return session;
  }

  /** Adds what the session does not have yet, block by block, so that a broken request is not sent again as a whole. */
  async function append(call: Call, range: Range, until: Promise<void>): Promise<void> {
    let session = find(call);
    if (session.state === 'done') return;
    const stream: Stream = { failure: null };
    const known = Math.max(0, session.size - range.start);
    const gap = range.start > session.size;
    const pieces = quanta(interruptible(skipped(call.body, gap ? Number.POSITIVE_INFINITY : known), until), stream);
    const ends = (size: number) => (range.total === null ? isWhole(range) : size === range.total);
    for (;;) {
      const before = await hashOf(session);
      const running: Running = { md5: before.md5.copy(), crc: session.crc32c, size: session.size };
      const body = await bodies.write(counted(block(pieces, session.size, ends), running));
      if (running.size === session.size) break;
      session = commit(session, body, running);
    }
    if (stream.failure !== null) throw stream.failure.error;
  }

  function commit(session: Session, body: Body, running: Running): Session {
    const after = { ...session, size: running.size, crc32c: running.crc, body: bodies.join([session.body, body]) };
    const sql = "UPDATE gcs_sessions SET size = ?, crc32c = ?, body = ? WHERE id = ? AND state = 'open' AND size = ?";
    const taken = db.transaction(() => {
      const { changes } = db.run(sql, after.size, after.crc32c, after.body, session.id, session.size);
      if (changes === 1) bodies.keep(body);
      else bodies.drop(body);
      return changes === 1;
    });
    if (!taken) throw new Refusal(499, 'clientClosedRequest', 'The upload has been cancelled.');
    hashes.set(session.id, running);
    return after;
  }

  async function hashOf(session: Session): Promise<Running> {
    const kept = hashes.get(session.id);
    if (kept?.size === session.size) return kept;
    const md5 = createHash('md5');
    for await (const piece of bodies.read(session.body)) md5.update(piece);
    return { md5, crc: session.crc32c, size: session.size };
  }

  async function finish(call: Call, session: Session): Promise<Answer> {
    const { md5 } = await hashOf(session);
    const bytes = {
      body: session.body,
      size: session.size,
      md5: md5.copy().digest('base64'),
      crc32c: toCrc32cText(session.crc32c),
    };
    checkBytes(bytes, mergeExpected(JSON.parse(session.expected) as Expected, expectedIn(call.headers)));
    const { fields, storageClass } = JSON.parse(session.fields) as Start;
    const result = db.transaction(() => {
      const { bucket, name } = session;
      const conditions = JSON.parse(session.conditions) as Conditions;
      const row = writeObject(cloud, { bucket, name, bytes, fields, storageClass, conditions, base: call.base });
      bodies.drop(session.body);
      const resource = JSON.stringify(toObject(row, call.base));
      db.run("UPDATE gcs_sessions SET state = 'done', body = '', result = ? WHERE id = ?", resource, session.id);
      return resource;
    });
    hashes.delete(session.id);
    return { status: 200, json: shown(call, result) };
  }
}

function shown({ query }: Call, result: string): unknown {
  return pickFields(JSON.parse(result), query.get('fields'));
}

/** Clients that take 308 for a redirect ask for 200 and another header instead. */
function incomplete({ headers }: Call, { size, id }: Session): Answer {
  const range: Record<string, string> = size === 0 ? {} : { range: `bytes=0-${size - 1}` };
  const told = { ...range, 'x-guploader-uploadid': id };
  if (headerOf(headers, 'x-guploader-no-308') !== 'yes') return { status: 308, headers: told };
  return { status: 200, headers: { ...told, 'x-http-status-code-override': '308' } };
}

function forgetExpired({ state: { db, bodies }, now }: Cloud): void {
  db.transaction(() => {
    const before = now() - SESSION_MS_MAX;
    for (const { id, body } of db.all<Session>('SELECT * FROM gcs_sessions WHERE created < ?', Math.floor(before))) {
      bodies.drop(body);
      db.run('DELETE FROM gcs_sessions WHERE id = ?', id);
    }
  });
}

/** No end and no total: the request carries all the rest, however long that is. */
const isWhole = ({ asks, end, total }: Range): boolean => !asks && end === null && total === null;

function readRange({ headers }: Call, session: Session): Range {
  const text = headerOf(headers, 'content-range');
  if (text === undefined) return { asks: false, start: 0, end: null, total: session.total };
  const read = /^bytes (?:(\d{1,15})-(\d{1,15}|\*)|\*)\/(\d{1,15}|\*)$/.exec(text.trim());
  if (read === null) throw invalidValue(`Failed to parse Content-Range header: '${text.slice(0, 80)}'.`);
  const [, first, last, whole] = read;
  const total = whole === '*' ? session.total : Number(whole);
  if (session.total !== null && total !== session.total)
    throw invalidValue(`The total of Content-Range is not ${session.total}, which X-Upload-Content-Length said.`);
  // A question with `*` after the slash is about the bytes so far, whatever the total will be.
  if (first === undefined) return { asks: true, start: 0, end: null, total: whole === '*' ? null : total };
  const [start, end] = [Number(first), last === '*' ? null : Number(last)];
  const length = headerOf(headers, 'content-length');
  const agree = end === null || length === undefined || Number(length) === end - start + 1;
  if (!agree || (end !== null && (end < start || (total !== null && end >= total))))
    throw invalidValue(`Content-Range '${text}' does not agree with the length of the request or of the object.`);
  return { asks: false, start, end, total };
}

function readLength(text: string): number {
  const length = Number(readNumber('X-Upload-Content-Length', text));
  if (length < 0 || length > OBJECT_BYTES_MAX) throw invalidValue('Invalid value for X-Upload-Content-Length.');
  return length;
}

interface Stream {
  failure: { readonly error: unknown } | null;
}

/** Pieces of exactly a quantum; what is left at the end comes last, or is thrown away when the stream breaks off. */
async function* quanta(source: AsyncIterable<Uint8Array>, stream: Stream): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const piece of source) {
      let rest = piece;
      while (size + rest.length >= QUANTUM) {
        held.push(rest.subarray(0, QUANTUM - size));
        rest = rest.subarray(QUANTUM - size);
        yield Buffer.concat(held);
        held = [];
        size = 0;
      }
      if (rest.length > 0) held.push(rest);
      size += rest.length;
    }
  } catch (error) {
    stream.failure = { error };
    return;
  }
  if (size > 0) yield Buffer.concat(held);
}

/** The next pieces up to the size of a block. A last piece that is no whole quantum counts only if the object ends there. */
async function* block(
  pieces: AsyncGenerator<Uint8Array>,
  from: number,
  ends: (size: number) => boolean,
): AsyncGenerator<Uint8Array> {
  for (let size = 0; size < BLOCK; ) {
    const next = await pieces.next();
    if (next.done) return;
    if (next.value.length < QUANTUM && !ends(from + size + next.value.length)) return;
    size += next.value.length;
    yield next.value;
  }
}

async function* skipped(source: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const piece of source) {
    if (left < piece.length) yield piece.subarray(left);
    left = Math.max(0, left - piece.length);
  }
}
