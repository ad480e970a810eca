/** The whole body of a small request; a longer one than any service takes is not kept. */

import type { IncomingMessage } from 'node:http';

/** Answers null when the body is longer than `bytesMax`: the rest is read and thrown away, so that an answer arrives. */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer | null> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request) {
    bytes += (piece as Buffer).length;
    if (bytes <= bytesMax) pieces.push(piece as Buffer);
  }
  return bytes <= bytesMax ? Buffer.concat(pieces) : null;
}
