/** The objects of a benchmark: names and bytes that follow from the seed alone. */

import { createCipheriv, createHash } from 'node:crypto';

export interface Sample {
  readonly prefix: string;
  readonly seed: number;
  readonly objects: number;
  readonly sizeBytes: number;
}

export const PIECE_BYTES = 1024 * 1024;

/** Spread over a hundred folders, as buckets of people are. */
export function keyOf({ prefix }: Pick<Sample, 'prefix'>, index: number): string {
  return `${prefix}/${String(index % 100).padStart(2, '0')}/${String(index).padStart(8, '0')}`;
}

/** Bytes that no compression makes smaller. */
export function bytesOf(sample: Pick<Sample, 'seed' | 'sizeBytes'>, index: number): Buffer {
  return Buffer.concat([...piecesOf(sample, index)]);
}

export function* piecesOf({ seed, sizeBytes }: Pick<Sample, 'seed' | 'sizeBytes'>, index: number): Generator<Buffer> {
  const key = createHash('md5').update(`triplicate bench ${seed}`).digest();
  const start = createHash('md5').update(`object ${index}`).digest();
  const cipher = createCipheriv('aes-128-ctr', key, start);
  const zeros = Buffer.alloc(Math.min(PIECE_BYTES, sizeBytes));
  for (let left = sizeBytes; left > 0; left -= PIECE_BYTES) yield cipher.update(zeros.subarray(0, left));
}

/** In hexadecimal. */
export function md5Of(sample: Pick<Sample, 'seed' | 'sizeBytes'>, index: number): string {
  const hash = createHash('md5');
  for (const piece of piecesOf(sample, index)) hash.update(piece);
  return hash.digest('hex');
}

/** `run` for every number below `count`, so many at once; the first failure ends it. */
export async function eachOf(count: number, atOnce: number, run: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  let failed = false;
  const lane = async () => {
    while (next < count && !failed) {
      try {
        await run(next++);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, lane));
}
