/** One stream of bytes for several readers: it goes on as fast as the slowest of them, and little is held meanwhile. */

import { type Checksums, openChecksums } from '../model/crc.ts';

export interface Split {
  readonly branches: readonly Branch[];
  /** Of all the bytes, once they have ended. */
  sums(): Checksums;
  /** Ends when nobody reads any more or nothing is left; fails as the source fails. */
  readonly ended: Promise<void>;
}

export interface Branch {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** This reader wants no more, and holds nobody up. */
  leave(): void;
}

/** `heldBytesMax`: how far the fastest reader may be ahead of the slowest. */
export function split(body: AsyncIterable<Uint8Array>, ways: number, heldBytesMax: number): Split {
  const sums = openChecksums();
  let changed = Promise.withResolvers<void>();
  const wake = () => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const branches = Array.from({ length: ways }, () => openBranch(wake));

  async function pump(): Promise<void> {
    try {
      for await (const piece of body) {
        sums.update(piece);
        for (const branch of branches) branch.push(piece);
        while (branches.some((it) => it.open && it.heldBytes > heldBytesMax)) await changed.promise;
        if (!branches.some(({ open }) => open)) return;
      }
      for (const branch of branches) branch.end();
    } catch (error) {
      for (const branch of branches) branch.fail(error);
      throw error;
    }
  }

  const ended = pump();
  // Who waits for it may be busy with the branches still.
  ended.catch(() => {});
  return { branches, sums: sums.result, ended };
}

function openBranch(wake: () => void) {
  const held: Uint8Array[] = [];
  let over: { readonly error?: unknown } | null = null;
  let arrived = Promise.withResolvers<void>();
  const tell = () => {
    arrived.resolve();
    arrived = Promise.withResolvers();
  };
  const branch = {
    open: true,
    heldBytes: 0,
    push(piece: Uint8Array) {
      if (!branch.open) return;
      held.push(piece);
      branch.heldBytes += piece.length;
      tell();
    },
    end() {
      over = {};
      tell();
    },
    fail(error: unknown) {
      over = { error };
      tell();
    },
    leave() {
      branch.open = false;
      held.length = 0;
      wake();
    },
    bytes: {
      async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
        try {
          for (;;) {
            const piece = held.shift();
            if (piece !== undefined) {
              branch.heldBytes -= piece.length;
              wake();
              yield piece;
            } else if (over !== null) {
              if ('error' in over) throw over.error;
              return;
            } else await arrived.promise;
          }
        } finally {
          branch.leave();
        }
      },
    },
  };
  return branch;
}
