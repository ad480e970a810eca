/** Reads multipart bodies piece by piece: each part's headers, then its bytes as they come. */

import { malformed } from './errors.ts';

export interface Part {
  readonly headers: Readonly<Record<string, string>>;
  /** Must be read to its end before the next part is asked for. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

const HEAD_BYTES_MAX = 16 * 1024;

/** The boundary that a Content-Type names. */
export function boundaryOf(contentType: string | undefined, kind: 'related' | 'mixed'): string {
  const read = /^multipart\/([\w-]+)\s*;.*?boundary=(?:"([^"]+)"|([^\s;]+))/is.exec(contentType ?? '');
  // Apiary clients have written quotes of one sort around boundaries for a decade.
  const boundary = (read?.[2] ?? read?.[3] ?? '').replace(/^'(.*)'$/, '$1');
  if (read?.[1]?.toLowerCase() !== kind || boundary === '' || boundary.length > 256)
    throw malformed(`Missing or malformed Content-Type: expected multipart/${kind} with a boundary.`);
  return boundary;
}

export async function* readParts(source: AsyncIterable<Uint8Array>, boundary: string): AsyncGenerator<Part> {
  const pieces = source[Symbol.asyncIterator]();
  // The first boundary shows how lines end: Python clients, gcloud and gsutil among them, write bare line feeds.
  let lineEnd = '\n';
  let delimiter = Buffer.from(`\n--${boundary}`);
  // As if a line ended before the first boundary, which then looks like all others.
  let held: Buffer = Buffer.from('\n');

  async function more(): Promise<boolean> {
    const next = await pieces.next();
    if (next.done) return false;
    held = held.length === 0 ? Buffer.from(next.value) : Buffer.concat([held, next.value]);
    return true;
  }

  async function hold(length: number): Promise<void> {
    while (held.length < length) if (!(await more())) throw malformed('The multipart body breaks off.');
  }

  /** Everything before the next boundary, which is taken off as well. */
  async function* upToBoundary(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const at = held.indexOf(delimiter);
      const safe = at >= 0 ? at : Math.max(0, held.length - delimiter.length + 1);
      if (safe > 0) {
        const piece = held.subarray(0, safe);
        held = held.subarray(safe);
        yield piece;
      }
      if (at >= 0) {
        held = held.subarray(delimiter.length);
        return;
      }
      if (!(await more())) throw malformed('The multipart body breaks off.');
    }
  }

  for await (const _ of upToBoundary());
  await hold(1);
  if (held[0] !== 0x0a) lineEnd = '\r\n';
  delimiter = Buffer.from(`${lineEnd}--${boundary}`);
  for (;;) {
    await hold(2);
    if (held.subarray(0, 2).toString() === '--') break;
    const headers = await readHead();
    const bytes = upToBoundary();
    yield { headers, bytes };
    for await (const _ of bytes);
  }
  // What follows the last boundary means nothing, but must be taken off the connection.
  while (!(await pieces.next()).done);

  async function readHead(): Promise<Readonly<Record<string, string>>> {
    const headEnd = lineEnd + lineEnd;
    let end = held.indexOf(headEnd);
    while (end < 0) {
      if (held.length > HEAD_BYTES_MAX || !(await more()))
        throw malformed('A part of the multipart body has no end of headers.');
      end = held.indexOf(headEnd);
    }
    const lines = held.subarray(0, end).toString('latin1').split(lineEnd).slice(1);
    // The line of the boundary itself may end in spaces, and a part may have no headers at all.
    held = held.subarray(end + headEnd.length);
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const at = line.indexOf(':');
      if (at < 1) throw malformed('A part of the multipart body has a malformed header.');
      headers[line.slice(0, at).trim().toLowerCase()] = line.slice(at + 1).trim();
    }
    return headers;
  }
}
