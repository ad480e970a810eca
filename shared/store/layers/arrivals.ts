/** Tells of the bytes of large bodies as they arrive, so that somebody can give their memory back in time. */

import type { ByteRange, ObjectRead, ObjectStore } from '../store.ts';

/** Called with every piece that has arrived. */
export type Arrived = (bytes: number) => void;

/** Smaller bodies are gone with the garbage of everything else. */
const TOLD_BYTES_MIN = 256 * 1024;

export function withArrivals(store: ObjectStore, arrived: Arrived): ObjectStore {
  async function get(key: string, phys: string | null, range?: ByteRange): Promise<ObjectRead> {
    const read = await store.get(key, phys, range);
    const sizeBytes = range ? range.end - range.start : read.version.sizeBytes;
    return sizeBytes < TOLD_BYTES_MIN ? read : { ...read, body: told(read.body) };
  }

  async function* told(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of body) {
      const { length } = piece;
      yield piece;
      arrived(length);
    }
  }

  return { ...store, get };
}
