/** Takes in the body of a request: whole, as it was signed, and with the checksums that it promised, or not at all. */

import { createHash } from 'node:crypto';
import type { Body } from '../../state/bodies.ts';
import { openChunkSignatures } from '../sigv4.ts';
import { type Call, header } from './call.ts';
import { type Algorithm, headerOf, isWellFormed, openChecksum, readAlgorithm } from './checksums.ts';
import { readChunks } from './chunked.ts';
import { invalidArgument, invalidRequest, notImplemented, refusal } from './refusal.ts';

export interface Received {
  readonly body: Body;
  readonly size: number;
  /** In hex. */
  readonly md5: string;
  /** What the client sent a checksum of, if it did. */
  readonly given: Algorithm | null;
  readonly checksums: ReadonlyMap<Algorithm, string>;
}

export const GIB = 1024 ** 3;
const BODY_BYTES_MAX = 5 * GIB;
/** Lists of a thousand keys or ten thousand parts stay well below. */
const TEXT_BYTES_MAX = 4 * 1024 * 1024;
/** A client that says nothing for so long is given up. */
const IDLE_MS_MAX = 60_000;

/** Nobody uses the body yet: keep it or drop it. `compute` says which checksums are wanted besides the one given. */
export async function receive(
  call: Call,
  compute: (given: Algorithm | null) => readonly Algorithm[],
): Promise<Received> {
  const promise = readPromise(call);
  const wanted = new Set(compute(promise.given));
  if (promise.given !== null) wanted.add(promise.given);
  const facts: { received?: Omit<Received, 'body'> } = {};
  const { bodies } = call.s3.cloud.state;
  // What is not as promised breaks the writing off, so that nothing of it is left.
  const body = await bodies.write(
    checked(call, promise, [...wanted], (received) => {
      facts.received = received;
    }),
  );
  if (facts.received === undefined) throw new Error('a body was written that nobody has read');
  return { body, ...facts.received };
}

/**
 * A small body, as text: XML. `ofObject`: a checksum in the headers is not one of this body, but of the object that the
 * request completes.
 */
export async function receiveText(call: Call, { ofObject = false } = {}): Promise<string> {
  const read = readPromise(call);
  const promise = ofObject ? { ...read, given: null } : read;
  const wanted = promise.given === null ? [] : [promise.given];
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of checked(call, promise, wanted, () => {})) {
    size += piece.length;
    if (size > TEXT_BYTES_MAX)
      throw refusal('MaxMessageLengthExceeded', { details: { MaxMessageLengthBytes: TEXT_BYTES_MAX } });
    pieces.push(piece);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
  } catch {
    throw refusal('MalformedXML');
  }
}

/** Whether the request proves its body by a checksum of any sort. */
export function isProven(call: Call): boolean {
  return header(call, 'content-md5') !== undefined || readPromise(call).given !== null;
}

/** What the headers say about the body. */
interface Promised {
  readonly size: number;
  readonly streaming: boolean;
  readonly chunksSigned: boolean;
  /** Hex; null where the body is not signed as a whole. */
  readonly sha256: string | null;
  /** Base64. */
  readonly md5: string | null;
  readonly given: Algorithm | null;
  /** Null: it comes behind the body. */
  readonly checksum: string | null;
  readonly trailerNames: readonly string[];
}

const SIGNED_STREAM = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
const STREAMS = [SIGNED_STREAM, `${SIGNED_STREAM}-TRAILER`, 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'];

function readPromise(call: Call): Promised {
  const { payloadHash } = call.signature;
  const streaming = STREAMS.includes(payloadHash);
  const isHash = /^[0-9a-f]{64}$/i.test(payloadHash);
  if (payloadHash.startsWith('STREAMING-') && !streaming) throw notImplemented('x-amz-content-sha256');
  if (payloadHash === '') throw invalidRequest('Missing required header for this request: x-amz-content-sha256');
  if (!isHash && !streaming && payloadHash !== 'UNSIGNED-PAYLOAD')
    throw invalidArgument(
      'x-amz-content-sha256',
      payloadHash,
      'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, or a valid sha256 value.',
    );
  const md5 = header(call, 'content-md5') ?? null;
  if (md5 !== null && !isWellFormed('MD5', md5)) throw refusal('InvalidDigest', { details: { 'Content-MD5': md5 } });
  return {
    size: readSize(call, streaming),
    streaming,
    chunksSigned: payloadHash.startsWith(SIGNED_STREAM),
    sha256: isHash ? payloadHash.toLowerCase() : null,
    md5,
    ...readChecksumHeaders(call, streaming),
  };
}

function readSize(call: Call, streaming: boolean): number {
  const text = header(call, streaming ? 'x-amz-decoded-content-length' : 'content-length');
  // Only a request that cannot have a body may leave its length out.
  const bare = text === undefined && !streaming && header(call, 'transfer-encoding') === undefined;
  if (text === undefined && !bare) throw refusal('MissingContentLength');
  const size = Number(text ?? '0');
  if (!/^\d+$/.test(text ?? '0') || !Number.isSafeInteger(size))
    throw invalidArgument('Content-Length', text ?? '', 'The length of the body must be a whole number of bytes.');
  if (size > BODY_BYTES_MAX)
    throw refusal('EntityTooLarge', { details: { ProposedSize: size, MaxSizeAllowed: BODY_BYTES_MAX } });
  return size;
}

const NO_CHECKSUMS = ['x-amz-checksum-algorithm', 'x-amz-checksum-mode', 'x-amz-checksum-type'];

function readChecksumHeaders(call: Call, streaming: boolean): Pick<Promised, 'given' | 'checksum' | 'trailerNames'> {
  const { headers } = call.request;
  const sent = Object.keys(headers).filter(
    (name) => name.startsWith('x-amz-checksum-') && !NO_CHECKSUMS.includes(name),
  );
  const trailerNames = (header(call, 'x-amz-trailer') ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  if (trailerNames.length > 0 && !streaming)
    throw invalidRequest('The x-amz-trailer header needs a body that is streamed with a trailer');
  if (trailerNames.some((name) => !name.startsWith('x-amz-checksum-')))
    throw invalidRequest('The value specified in the x-amz-trailer header is not supported');
  const all = [...sent, ...trailerNames];
  if (all.length > 1)
    throw invalidRequest('Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.');
  const [name] = all;
  const said = header(call, 'x-amz-sdk-checksum-algorithm');
  if (name === undefined) {
    if (said !== undefined && readAlgorithm(said) !== 'MD5')
      throw invalidRequest(
        'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
      );
    return { given: null, checksum: null, trailerNames };
  }
  const given = readAlgorithm(name.slice('x-amz-checksum-'.length));
  if (said !== undefined && readAlgorithm(said) !== given)
    throw invalidRequest(`Value for x-amz-sdk-checksum-algorithm header is invalid.`);
  const checksum = sent.length === 0 ? null : (header(call, name) ?? '');
  if (checksum !== null && !isWellFormed(given, checksum)) throw malformed(given);
  return { given, checksum, trailerNames };
}

/** Passes the bytes on; throws at their end unless they are as promised. */
async function* checked(
  call: Call,
  promise: Promised,
  wanted: readonly Algorithm[],
  done: (received: Omit<Received, 'body'>) => void,
): AsyncGenerator<Uint8Array> {
  const { size, streaming, given } = promise;
  const trailers = new Map<string, string>();
  const source = patient(call);
  const pieces = streaming
    ? readChunks({
        source,
        signatures: promise.chunksSigned ? openChunkSignatures(call.signature) : null,
        trailerNames: promise.trailerNames,
        trailers,
      })
    : source;
  const md5 = createHash('md5');
  const sha256 = promise.sha256 === null ? null : createHash('sha256');
  const hashes = wanted.map((algorithm) => [algorithm, openChecksum(algorithm)] as const);
  let count = 0;
  for await (const piece of pieces) {
    count += piece.length;
    if (count > size) throw refusal('IncompleteBody');
    md5.update(piece);
    sha256?.update(piece);
    for (const [, hash] of hashes) hash.update(piece);
    yield piece;
  }
  if (count !== size)
    throw refusal('IncompleteBody', {
      message: 'You did not provide the number of bytes specified by the Content-Length HTTP header',
    });
  const sum = sha256?.digest('hex');
  if (sum !== undefined && sum !== promise.sha256)
    throw refusal('XAmzContentSHA256Mismatch', {
      details: { ClientComputedContentSHA256: promise.sha256 ?? '', S3ComputedContentSHA256: sum },
    });
  const digest = md5.digest();
  if (promise.md5 !== null && promise.md5 !== digest.toString('base64'))
    throw refusal('BadDigest', {
      details: { ExpectedDigest: promise.md5, CalculatedDigest: digest.toString('base64') },
    });
  const checksums = new Map(hashes.map(([algorithm, hash]) => [algorithm, hash.result()]));
  if (given !== null) {
    const value = promise.checksum ?? trailers.get(headerOf(given)) ?? '';
    if (!isWellFormed(given, value)) throw malformed(given);
    if (value !== checksums.get(given))
      throw refusal('BadDigest', { message: `The ${given} you specified did not match the calculated checksum.` });
  }
  done({ size, md5: digest.toString('hex'), given, checksums });
}

async function* patient({ request }: Call): AsyncGenerator<Buffer> {
  const { socket } = request;
  const giveUp = () => request.destroy();
  socket.setTimeout(IDLE_MS_MAX, giveUp);
  try {
    // Left open when something is refused midway: the answer still has to go out.
    yield* request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  } finally {
    socket.setTimeout(0);
    socket.removeListener('timeout', giveUp);
  }
}

function malformed(algorithm: Algorithm): Error {
  return invalidRequest(`Value for ${headerOf(algorithm)} header is invalid.`);
}
