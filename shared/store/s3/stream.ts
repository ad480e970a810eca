/** A put of bytes that come one after another: in one request when they are few, else by parts as they come. */

import { crc32c, toCrc32cText } from '../../model/crc.ts';
import { fault } from '../../model/fault.ts';
import type { ObjectVersion } from '../../model/object.ts';
import type { PutOptions } from '../store.ts';
import type { Connection } from './client.ts';
import { toDescribed } from './identity.ts';
import type { Looks } from './look.ts';
import { joinedSum, type Part, sendPart, writeInParts } from './multipart.ts';
import { afterWrite, expectSum, putBytes } from './write.ts';

export interface StreamLimits {
  /** How much is held before it is sent: nobody has said how long the body is, and S3 wants to know. */
  readonly partBytes: number;
  readonly putBytesMax: number;
}

/** Parts under way while the next one fills; the source waits when there are as many. */
const PARTS_AT_ONCE = 2;

export async function putStream(
  connection: Connection,
  looks: Looks,
  key: string,
  body: AsyncIterable<Uint8Array>,
  options: PutOptions,
  { partBytes, putBytesMax }: StreamLimits,
): Promise<ObjectVersion> {
  const spare: Uint8Array[] = [];
  const source = toBlocks(body, partBytes, spare);
  const first = await source.next();
  if (first.done) return putBytes(connection, looks, key, new Uint8Array(0), options);
  if (first.value.length < partBytes) return putBytes(connection, looks, key, first.value, options);

  const described = toDescribed(options.metadata, options.marker);
  const { condition } = options;
  const written = await writeInParts(connection, 'put', key, described, condition, async (upload) => {
    const sending = new Set<Promise<void>>();
    const parts: Part[] = [];
    const failures: unknown[] = [];
    let sizeBytes = 0;
    let c32 = 0;
    const send = (part: number, bytes: Uint8Array) => {
      const sent: Promise<void> = sendPart(connection, 'put', key, upload, part, bytes)
        .then(
          (answer) => {
            parts.push(answer);
            // Used again: collected only now and then, such blocks would add up. One that failed may still be on its way.
            if (bytes.length === partBytes) spare.push(bytes);
          },
          (error) => void failures.push(error),
        )
        .finally(() => sending.delete(sent));
      sending.add(sent);
    };
    try {
      let next: IteratorResult<Uint8Array, void> = first;
      for (let part = 1; !next.done && failures.length === 0; part++) {
        sizeBytes += next.value.length;
        if (sizeBytes > putBytesMax)
          throw fault('too-large', `more than ${putBytesMax} bytes in one put`, { field: 'body', value: sizeBytes });
        if (options.checksums?.crc32c !== undefined) c32 = crc32c(next.value, c32);
        send(part, next.value);
        if (sending.size >= PARTS_AT_ONCE) await Promise.race(sending);
        next = await source.next();
      }
    } finally {
      await Promise.all(sending);
      await source.return(undefined);
    }
    if (failures.length > 0) throw failures[0];
    parts.sort((a, b) => a.part - b.part);
    const { crc32c: known32, crc64nvme: known64 } = options.checksums ?? {};
    if (known32 !== undefined) expectSum('crc32c', toCrc32cText(c32), known32);
    if (known64 !== undefined) expectSum('crc64nvme', joinedSum(parts) ?? '', known64);
    return parts;
  });
  return afterWrite(connection, looks, 'put', key, described, written);
}

/** Blocks of exactly that size, the last one less; each is a copy, since a source may use its buffer again. */
async function* toBlocks(
  body: AsyncIterable<Uint8Array>,
  blockBytes: number,
  spare: Uint8Array[],
): AsyncGenerator<Uint8Array, void> {
  let block: Uint8Array = Buffer.allocUnsafe(Math.min(blockBytes, 64 * 1024));
  let filled = 0;
  for await (const piece of body) {
    for (let at = 0; at < piece.length; ) {
      if (filled === block.length) block = grown(block, Math.min(blockBytes, block.length * 4));
      const taken = Math.min(block.length - filled, piece.length - at);
      block.set(piece.subarray(at, at + taken), filled);
      filled += taken;
      at += taken;
      if (filled < blockBytes) continue;
      yield block;
      block = spare.pop() ?? Buffer.allocUnsafe(blockBytes);
      filled = 0;
    }
  }
  if (filled > 0) yield block.subarray(0, filled);
}

function grown(block: Uint8Array, size: number): Uint8Array {
  const larger = Buffer.allocUnsafe(size);
  larger.set(block);
  return larger;
}
