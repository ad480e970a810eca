/** Takes apart bodies sent as `aws-chunked`: pieces with their lengths, signatures if there are any, and headers behind. */

import { createHash } from 'node:crypto';
import type { ChunkSignatures } from '../sigv4.ts';
import { refusal } from './refusal.ts';

export interface ChunkedBody {
  readonly source: AsyncIterable<Buffer>;
  /** Of STREAMING-AWS4-HMAC-SHA256-...; null: chunks without signatures. */
  readonly signatures: ChunkSignatures | null;
  /** The names x-amz-trailer promised; none: nothing may come behind the last chunk. */
  readonly trailerNames: readonly string[];
  /** Filled when the last byte has been read. */
  readonly trailers: Map<string, string>;
}

const LINE_BYTES_MAX = 8 * 1024;
const TRAILERS_MAX = 20;
const SIGNATURE = 'x-amz-trailer-signature';

/** The bytes within. Throws where the form, a signature or the promised headers are not right. */
export async function* readChunks(body: ChunkedBody): AsyncGenerator<Buffer> {
  const { signatures } = body;
  const reader = openReader(body.source);
  for (;;) {
    const line = await reader.line();
    const match = /^([0-9a-fA-F]{1,13})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line ?? '');
    if (match === null) throw refusal('IncompleteBody', { message: 'The request body is not well-formed aws-chunked' });
    const size = Number.parseInt(match[1] ?? '', 16);
    const hash = signatures === null ? null : createHash('sha256');
    for await (const piece of reader.bytes(size)) {
      hash?.update(piece);
      yield piece;
    }
    // Of the last chunk of a body with trailers the signature is followed by theirs.
    if (hash !== null && !signatures?.chunk(match[2] ?? '', hash.digest('hex'))) throw refusal('SignatureDoesNotMatch');
    if (size === 0) break;
    if ((await reader.line()) !== '') throw refusal('IncompleteBody');
  }
  await readTrailers(reader, body);
}

async function readTrailers(reader: Reader, { signatures, trailerNames, trailers }: ChunkedBody): Promise<void> {
  let given: string | undefined;
  for (let count = 0; ; count++) {
    const line = await reader.line();
    if (line === null || line === '') break;
    const at = line.indexOf(':');
    if (at < 1 || count > TRAILERS_MAX) throw refusal('MalformedTrailerError');
    const name = line.slice(0, at).trim().toLowerCase();
    const value = line.slice(at + 1).trim();
    if (name === SIGNATURE) given = value;
    else if (trailerNames.includes(name)) trailers.set(name, value);
    else throw refusal('MalformedTrailerError');
  }
  if (trailerNames.some((name) => !trailers.has(name))) throw refusal('MalformedTrailerError');
  if (signatures === null || trailerNames.length === 0) return;
  const text = [...trailers].map(([name, value]) => `${name}:${value}\n`).join('');
  const hash = createHash('sha256').update(text).digest('hex');
  if (given === undefined || !signatures.trailer(given, hash)) throw refusal('SignatureDoesNotMatch');
}

interface Reader {
  /** Up to the next line end; null: the body has ended. */
  line(): Promise<string | null>;
  bytes(size: number): AsyncIterable<Buffer>;
}

function openReader(source: AsyncIterable<Buffer>): Reader {
  const pieces = source[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);
  const more = async (): Promise<boolean> => {
    const next = await pieces.next();
    if (next.done) return false;
    held = held.length === 0 ? next.value : Buffer.concat([held, next.value]);
    return true;
  };
  return {
    async line() {
      for (;;) {
        const at = held.indexOf('\r\n');
        if (at >= 0) {
          const line = held.toString('latin1', 0, at);
          held = held.subarray(at + 2);
          return line;
        }
        if (held.length > LINE_BYTES_MAX) throw refusal('IncompleteBody');
        if (await more()) continue;
        if (held.length > 0) throw refusal('IncompleteBody');
        return null;
      }
    },
    async *bytes(size) {
      for (let left = size; left > 0; ) {
        if (held.length === 0 && !(await more())) throw refusal('IncompleteBody');
        const piece = held.subarray(0, left);
        held = held.subarray(piece.length);
        left -= piece.length;
        yield piece;
      }
    },
  };
}
