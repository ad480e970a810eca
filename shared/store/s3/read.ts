/** Reads of one physical version: pinned by the request, proven by the answer, checked against the stored checksum. */

import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { crc32c, crc64nvme, toCrc32cText, toCrc64nvmeText } from '../../model/crc.ts';
import { type Fault, fault, invalid, isFault } from '../../model/fault.ts';
import type { ObjectVersion } from '../../model/object.ts';
import type { ByteRange, ObjectRead } from '../store.ts';
import type { Call, Connection } from './client.ts';
import { type Asked, codeOf, statusOf, toFault } from './faults.ts';
import { nameOf, type Pin, readPhys, toVersion } from './identity.ts';
import type { Looks } from './look.ts';

/** `phys` null: whatever stands now. */
export type Reads = (key: string, phys: string | null, range?: ByteRange) => Promise<ObjectRead>;

export function openReads(connection: Connection, looks: Looks, versioned: boolean): Reads {
  const { sdk, bucket, site, stallMs } = connection;

  return async (key, phys, range) => {
    const asked: Asked = { site, op: 'get', key, writes: false };
    const pin = phys === null ? null : readPhys(versioned, phys);
    if (phys !== null && pin === null) throw gone(asked, phys);
    if (range) checkRange(asked, range);
    // An answer about a part of the bytes carries no checksum of the whole, or that of a part alone.
    const [{ answer, call }, described] = await Promise.all([
      ask(asked, phys, pin, range),
      range && phys !== null && pin !== null ? looks.pinned(key, phys, pin, 'get') : null,
    ]);
    const stream = answer.Body as unknown as NodeJS.ReadableStream & AsyncIterable<Uint8Array>;
    // Nobody may be listening yet when the connection breaks.
    stream.on('error', () => {});
    try {
      const sizeBytes = range ? totalOf(asked, answer.ContentRange) : (answer.ContentLength ?? 0);
      const own = toVersion(key, versioned, answer, sizeBytes);
      if ((phys !== null && own.phys !== phys) || (range && described === null)) throw gone(asked, phys);
      if (range && range.end > sizeBytes) throw outside(asked, range, sizeBytes);
      const version = described ?? looks.remember(own);
      const expected = { sizeBytes: range ? range.end - range.start : sizeBytes, of: range ? null : version };
      return { version, body: bodyOf(asked, stream, call, expected, stallMs) };
    } catch (error) {
      call.abort();
      throw toFault(error, asked);
    }
  };

  async function ask(
    asked: Asked,
    phys: string | null,
    pin: Pin | null,
    range: ByteRange | undefined,
  ): Promise<{ readonly answer: GetObjectCommandOutput; readonly call: Call }> {
    const key = asked.key as string;
    const command = new sdk.GetObjectCommand({
      Bucket: bucket,
      Key: nameOf(key),
      ...(pin?.versionId !== undefined && { VersionId: pin.versionId }),
      ...(pin?.kind === 'etag' && { IfMatch: pin.etag }),
      ...(range && { Range: `bytes=${range.start}-${range.end - 1}` }),
    });
    // Asked for by header alone: told by its own parameter, the SDK would check as well, and in words of its own.
    command.middlewareStack.add(
      (next) => (args) => {
        (args.request as { headers: Record<string, string> }).headers['x-amz-checksum-mode'] = 'ENABLED';
        return next(args);
      },
      { step: 'build', name: 'askForChecksum' },
    );
    try {
      return await connection.send(asked, async (call) => ({
        answer: await call.client.send(command, { abortSignal: call.abortSignal }),
        call,
      }));
    } catch (error) {
      // Of what stands nobody asked for an id or a tag: then only that there is nothing says so.
      if (isFault(error) && phys !== null && isGone(error)) throw gone(asked, phys);
      throw error;
    }
  }
}

interface Expected {
  readonly sizeBytes: number;
  /** The version whose checksums these bytes must have; null for a part of one. */
  readonly of: ObjectVersion | null;
}

function bodyOf(
  asked: Asked,
  stream: AsyncIterable<Uint8Array>,
  { abort }: Call,
  expected: Expected,
  stallMs: number,
): AsyncIterable<Uint8Array> {
  let stalled = false;
  const timer = setTimeout(() => {
    stalled = true;
    abort();
  }, stallMs);
  // The reader's own program may end while a body waits for it.
  timer.unref();
  return {
    async *[Symbol.asyncIterator]() {
      const check = openCheck(asked, expected);
      let ended = false;
      try {
        for await (const piece of stream) {
          check.update(piece);
          timer.refresh();
          yield piece;
          timer.refresh();
        }
        ended = true;
        check.end();
      } catch (error) {
        if (stalled) throw fault('timeout', `no bytes for ${stallMs} ms`, { ...placeOf(asked), cause: error });
        throw toFault(error, asked);
      } finally {
        clearTimeout(timer);
        if (!ended) abort();
      }
    },
  };
}

function openCheck(asked: Asked, { sizeBytes, of }: Expected) {
  const { crc32c: known32, crc64nvme: known64 } = of?.checksums ?? {};
  let size = 0;
  let c32 = 0;
  let c64 = 0n;
  return {
    update(piece: Uint8Array): void {
      size += piece.length;
      if (known64 !== undefined) c64 = crc64nvme(piece, c64);
      else if (known32 !== undefined) c32 = crc32c(piece, c32);
    },
    end(): void {
      if (size !== sizeBytes) throw corrupt('sizeBytes', size, sizeBytes);
      if (known64 !== undefined) expect('crc64nvme', toCrc64nvmeText(c64), known64);
      else if (known32 !== undefined) expect('crc32c', toCrc32cText(c32), known32);
    },
  };

  function expect(field: string, actual: string, stored: string): void {
    if (actual !== stored) throw corrupt(field, actual, stored);
  }

  function corrupt(field: string, actual: unknown, stored: unknown): Fault {
    return fault('corrupt', `${field}: ${stored} is stored, ${actual} arrived`, {
      ...placeOf(asked),
      field,
      value: actual,
    });
  }
}

function checkRange(asked: Asked, { start, end }: ByteRange): void {
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start < end) return;
  throw toFault(invalid('range', { start, end }, 'whole numbers, the end above the start'), asked);
}

function outside(asked: Asked, range: ByteRange, sizeBytes: number): Fault {
  return toFault(invalid('range', range, `a part of ${sizeBytes} bytes`), asked);
}

/** The size of the object, from `bytes 0-9/10`. */
function totalOf(asked: Asked, contentRange: string | undefined): number {
  const total = /\/(\d+)$/.exec(contentRange ?? '')?.[1];
  if (total !== undefined) return Number(total);
  throw fault('unavailable', `the answer is no part of an object: ${contentRange}`, placeOf(asked));
}

/** The version is not there, or another is by now, or the id is none that this service would give. */
function isGone(error: Fault): boolean {
  const status = statusOf(error.cause);
  return error.kind === 'not-found' || status === 412 || status === 405 || codeOf(error.cause) === 'InvalidArgument';
}

function gone(asked: Asked, phys: string | null): Fault {
  return fault('not-found', `no version ${phys}`, { ...placeOf(asked), field: 'phys', value: phys });
}

function placeOf({ site, op, key }: Asked): { readonly site: string; readonly op: string; readonly key?: string } {
  return { site, op, ...(key !== undefined && { key }) };
}
